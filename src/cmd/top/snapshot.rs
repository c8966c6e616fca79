//! All members together at one time: what is drawn.
//!
//! Pure: a function of the [`Fleet`] and the time. Sums are those of the members that answer.

use super::fleet::{Contact, Fleet, Member};
use super::report::{Exporter, Log, Partition, PolicyFigures, Report, Trace, seconds_between, sum};
use super::stop::{Amount, Stop, Stops};
use crate::ids::Timestamp;

/// How far parted the values of a chart are: as a member's samples are.
pub(super) const CHART_STEP_SECONDS: f64 = 5.0;

/// How many values a chart has: five minutes.
pub(super) const CHART_LENGTH: usize = 60;

/// All members together.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) at: Timestamp,
    pub(super) members: Vec<MemberState>,
    pub(super) problems: Vec<Problem>,
    pub(super) totals: Stops<Amount<u64>>,
    /// In a second.
    pub(super) rates: Stops<Amount<f64>>,
    /// How it went, the oldest first.
    pub(super) charts: Stops<Vec<Option<f64>>>,
    pub(super) partitions: Vec<Owned<Partition>>,
    pub(super) policies: Vec<PolicySum>,
    pub(super) dropped_by_none: Option<u64>,
    /// The last one first.
    pub(super) traces: Vec<Owned<Trace>>,
    /// The last one first; also those of members that are away by now.
    pub(super) logs: Vec<Owned<Log>>,
}

/// Something of one member.
#[derive(Clone, Debug)]
pub(super) struct Owned<T> {
    pub(super) member: String,
    pub(super) of: T,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// With whom; nobody if it is with several.
    pub(super) member: Option<String>,
    pub(super) text: String,
}

/// A member.
#[derive(Clone, Debug)]
pub(super) struct MemberState {
    pub(super) address: String,
    pub(super) state: State,
    pub(super) version: Option<String>,
    pub(super) up_seconds: Option<f64>,
    pub(super) partitions: Option<u64>,
    pub(super) lag_seconds: Option<f64>,
    pub(super) lag_records: Option<u64>,
    pub(super) committed_lag_records: Option<u64>,
    /// For how long nothing was committed although it was read, of the partition where that is longest.
    pub(super) held_back_seconds: Option<f64>,
    pub(super) open_traces: Option<u64>,
    pub(super) open_bytes: Option<u64>,
    pub(super) buffer_limit_bytes: Option<u64>,
    pub(super) oldest_seconds: Option<f64>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) is_export_up: Option<bool>,
    pub(super) queue_bytes: Option<u64>,
    pub(super) queue_capacity_bytes: Option<u64>,
    pub(super) refused_spans: Option<u64>,
    pub(super) retries: Option<u64>,
}

/// What a member does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Asked,
    Ready,
    NotReady,
    Away,
}

/// A policy, of all members together.
#[derive(Clone, Debug)]
pub(super) struct PolicySum {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) is_shadow: bool,
    pub(super) figures: PolicyFigures,
}

impl Snapshot {
    /// How the members are at `at`.
    pub(super) fn of(fleet: &Fleet, at: Timestamp) -> Self {
        let members = fleet.members();
        let reports: Vec<(&Member, &Report)> =
            members.iter().filter_map(|it| Some((it, it.report()?))).collect();
        let all = |take: &dyn Fn(&Report) -> Option<u64>| sum(reports.iter().map(|it| take(it.1)));
        let mut totals = Stops::<Amount<u64>>::default();
        for (stop, total) in totals.iter_mut().enumerate() {
            *total = std::array::from_fn(|unit| all(&|it| it.totals[stop][unit]));
        }
        Self {
            at,
            members: members.iter().map(MemberState::of).collect(),
            problems: problems(members, at),
            totals,
            rates: rates(members),
            charts: charts(members, at),
            partitions: partitions(&reports),
            policies: policies(&reports),
            dropped_by_none: all(&|it| it.dropped_by_none),
            traces: latest(members, |it| &it.traces, |trace| trace.decided_at),
            logs: latest(members, |it| &it.logs, |log| log.at),
        }
    }

    /// A total or a rate of `amounts`.
    pub(super) fn of_stop<T: Copy>(
        amounts: &Stops<Amount<T>>,
        stop: Stop,
        unit: usize,
    ) -> Option<T> {
        amounts[stop as usize][unit]
    }

    /// Members that are ready.
    pub(super) fn ready(&self) -> usize {
        self.members.iter().filter(|member| member.state == State::Ready).count()
    }

    /// The share of all decided traces.
    pub(super) fn share_of_decided(&self, traces: Option<u64>) -> Option<f64> {
        let of = |stop| Self::of_stop(&self.totals, stop, 0);
        let decided = of(Stop::Kept)? + of(Stop::Dropped)?;
        (decided > 0).then_some(traces? as f64 / decided as f64)
    }
}

impl MemberState {
    fn of(member: &Member) -> Self {
        let report = member.report();
        let state = match (&member.contact, report.map(|it| it.is_ready)) {
            (Contact::Asked, _) => State::Asked,
            (Contact::Away { .. }, _) => State::Away,
            (Contact::Answers, Some(Some(false))) => State::NotReady,
            (Contact::Answers, _) => State::Ready,
        };
        // Where it ran is known of one that is away, too.
        let last = member.last.as_ref().map(|(_, report)| report);
        let get = |take: fn(&Report) -> Option<u64>| report.and_then(take);
        let longest = |take: fn(&Partition) -> Option<f64>| {
            report.and_then(|it| it.partitions.iter().filter_map(take).reduce(f64::max))
        };
        Self {
            address: member.address.clone(),
            state,
            version: last.and_then(|it| it.version.clone()),
            up_seconds: report.and_then(|it| Some(seconds_between(it.started_at?, it.at?))),
            partitions: report.map(|it| it.partitions.len() as u64),
            lag_seconds: report.and_then(|it| it.lag_seconds),
            lag_records: get(|it| it.lag_records),
            committed_lag_records: get(|it| it.committed_lag_records),
            held_back_seconds: longest(|it| it.held_back_seconds),
            open_traces: get(|it| it.totals[Stop::Open as usize][0]),
            open_bytes: get(|it| it.buffer_bytes),
            buffer_limit_bytes: get(|it| it.buffer_limit_bytes),
            oldest_seconds: longest(|it| it.oldest_seconds),
            resident_bytes: get(|it| it.resident_bytes),
            is_export_up: report.and_then(|it| all_up(&it.exporters)),
            queue_bytes: get(|it| sum(it.exporters.iter().map(|it| it.queue_bytes))),
            queue_capacity_bytes: get(|it| {
                sum(it.exporters.iter().map(|it| it.queue_capacity_bytes))
            }),
            refused_spans: get(|it| sum(it.exporters.iter().map(|it| it.refused_spans))),
            retries: get(|it| sum(it.exporters.iter().map(|it| it.retries))),
        }
    }
}

/// Whether all backends accept; not known if there is none that is known to.
fn all_up(exporters: &[Exporter]) -> Option<bool> {
    exporters.iter().filter_map(|it| it.is_up).reduce(|all, it| all && it)
}

fn rates(members: &[Member]) -> Stops<Amount<f64>> {
    let of_members: Vec<Stops<Amount<f64>>> = members.iter().map(Member::rates).collect();
    let mut rates = Stops::<Amount<f64>>::default();
    for (stop, rates) in rates.iter_mut().enumerate() {
        for (unit, rate) in rates.iter_mut().enumerate() {
            let all = of_members.iter().filter_map(|member| member[stop][unit]);
            *rate = all.reduce(|sum, rate| sum + rate);
        }
    }
    rates
}

/// How it went in the last minutes. What a member that is away said of them before is part of it.
fn charts(members: &[Member], at: Timestamp) -> Stops<Vec<Option<f64>>> {
    Stop::ALL.map(|stop| {
        let ages = (0..CHART_LENGTH).rev().map(|step| step as f64 * CHART_STEP_SECONDS);
        let values = ages.map(|age| {
            let values = members.iter().filter_map(|member| value_at(member, stop, at, age));
            values.reduce(|sum, value| sum + value)
        });
        values.collect()
    })
}

/// A value some seconds ago, by the clock of the member.
fn value_at(member: &Member, stop: Stop, at: Timestamp, age: f64) -> Option<f64> {
    let (came, report) = member.last.as_ref()?;
    let waited = match member.contact {
        Contact::Away { .. } => seconds_between(*came, at),
        Contact::Asked | Contact::Answers => 0.0,
    };
    // Members take samples at different times: the last one of each stands for now, and the middle of
    // a step for all of it.
    let (newest, age) = (report.history.last()?.at, age + CHART_STEP_SECONDS / 2.0);
    let past = report.history.iter().rev().find(|past| {
        let end = seconds_between(past.at, newest) + waited;
        (end..end + past.seconds).contains(&age)
    });
    past?.values[stop as usize]
}

fn problems(members: &[Member], at: Timestamp) -> Vec<Problem> {
    let mut problems = Vec::new();
    for member in members {
        let mut add = |text| problems.push(Problem { member: Some(member.address.clone()), text });
        if let Contact::Away { since, reason } = &member.contact {
            let seconds = super::format::seconds(seconds_between(*since, at));
            add(format!("away for {seconds}: {reason}"));
        }
        let texts = member.report().into_iter().flat_map(|it| it.problems.iter().cloned());
        texts.for_each(&mut add);
    }
    let several = [twice(members), several_files(members), shared(members)];
    let several = several.into_iter().flatten().map(|text| Problem { member: None, text });
    problems.splice(0..0, several);
    problems
}

/// Two addresses of one member, by when it started.
fn twice(members: &[Member]) -> Option<String> {
    let start = |member: &Member| member.report().and_then(|it| it.started_at);
    members.iter().enumerate().find_map(|(place, member)| {
        let started = start(member)?;
        let other = members[..place].iter().find(|other| start(other) == Some(started))?;
        let (one, other) = (&other.address, &member.address);
        Some(format!("{one} and {other} are one member, which is counted twice"))
    })
}

/// Members decide by different policies.
fn several_files(members: &[Member]) -> Option<String> {
    let hash = |member: &Member| member.report().and_then(|it| it.policies_hash.clone());
    let mut known = members.iter().filter_map(|member| Some((&member.address, hash(member)?)));
    let (first, of_first) = known.next()?;
    let (other, of_other) = known.find(|(_, hash)| *hash != of_first)?;
    Some(format!("policies differ: {first} has {of_first}, {other} has {of_other}"))
}

/// A partition that two members say they have. While a rebalance goes on, that may be.
fn shared(members: &[Member]) -> Option<String> {
    if twice(members).is_some() {
        return None;
    }
    let owned = |member: &Member| {
        let partitions = member.report().into_iter().flat_map(|it| &it.partitions);
        partitions.map(|it| it.number).collect::<Vec<i64>>()
    };
    let mut seen: Vec<(i64, &str)> = Vec::new();
    for member in members {
        for partition in owned(member) {
            if let Some((_, other)) = seen.iter().find(|(number, _)| *number == partition) {
                let (one, other) = (other, &member.address);
                return Some(format!(
                    "{one} and {other} both have partition {partition}: a rebalance, or two groups"
                ));
            }
            seen.push((partition, &member.address));
        }
    }
    None
}

fn partitions(reports: &[(&Member, &Report)]) -> Vec<Owned<Partition>> {
    let mut all: Vec<Owned<Partition>> = Vec::new();
    for (member, report) in reports {
        let owned = |it: &Partition| Owned { member: member.address.clone(), of: it.clone() };
        all.extend(report.partitions.iter().map(owned));
    }
    all.sort_by_key(|it| it.of.number);
    all
}

/// In the order of the file of the first member that has them.
fn policies(reports: &[(&Member, &Report)]) -> Vec<PolicySum> {
    let mut all: Vec<PolicySum> = Vec::new();
    for policy in reports.iter().flat_map(|(_, report)| &report.policies) {
        let is_it =
            |it: &&mut PolicySum| it.name == policy.name && it.is_shadow == policy.is_shadow;
        match all.iter_mut().find(is_it) {
            Some(known) => known.figures = known.figures.and(policy.figures),
            None => all.push(PolicySum {
                name: policy.name.clone(),
                kind: policy.kind.clone(),
                is_shadow: policy.is_shadow,
                figures: policy.figures,
            }),
        }
    }
    all
}

impl PolicyFigures {
    fn and(self, more: Self) -> Self {
        let add = |one, other| sum([one, other].into_iter());
        Self {
            votes_to_keep: add(self.votes_to_keep, more.votes_to_keep),
            votes_to_drop: add(self.votes_to_drop, more.votes_to_drop),
            no_votes: add(self.no_votes, more.no_votes),
            errors: add(self.errors, more.errors),
            kept: add(self.kept, more.kept),
            dropped: add(self.dropped, more.dropped),
            alone: add(self.alone, more.alone),
        }
    }
}

/// Something of all members, also of those that are away, the last one first.
fn latest<T: Clone>(
    members: &[Member],
    of: fn(&Report) -> &Vec<T>,
    at: fn(&T) -> Timestamp,
) -> Vec<Owned<T>> {
    let mut all: Vec<Owned<T>> = Vec::new();
    for (member, (_, report)) in members.iter().filter_map(|it| Some((it, it.last.as_ref()?))) {
        let owned = |it: &T| Owned { member: member.address.clone(), of: it.clone() };
        all.extend(of(report).iter().map(owned));
    }
    all.sort_by_key(|it| std::cmp::Reverse(at(&it.of)));
    all
}
