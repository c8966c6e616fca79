//! The members that are looked at: what each said last, and how fast its totals grow.
//!
//! Pure: answers come with the time at which they came. Promises that a member which started anew
//! counts from its start, and that one which does not answer is counted nowhere, and taken up again
//! with its next answer.

use std::collections::VecDeque;

use super::report::{Report, seconds_between};
use super::stop::{Amount, SPANS, Stop, Stops};
use crate::ids::Timestamp;

/// Rates are over this time, so that they do not jump with each batch.
const WINDOW_SECONDS: f64 = 10.0;

/// Totals that are closer than that say nothing of a rate.
const SHORTEST_SECONDS: f64 = 0.9;

/// Members that are looked at.
#[derive(Clone, Debug)]
pub(super) struct Fleet(Vec<Member>);

/// A member.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// As it was named on the command line.
    pub(super) address: String,
    pub(super) contact: Contact,
    /// What it said last, and when that came.
    pub(super) last: Option<(Timestamp, Report)>,
    /// Its totals in the last seconds, the oldest first.
    samples: VecDeque<Sample>,
}

/// Whether a member answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Contact {
    /// It was asked for the first time.
    Asked,
    Answers,
    /// It does not answer, since then, for that reason.
    Away {
        since: Timestamp,
        reason: String,
    },
}

#[derive(Clone, Debug)]
struct Sample {
    at: Timestamp,
    totals: Stops<Amount<u64>>,
}

impl Fleet {
    /// Nobody was asked yet.
    pub(super) fn new(addresses: impl IntoIterator<Item = String>) -> Self {
        let member = |address| Member {
            address,
            contact: Contact::Asked,
            last: None,
            samples: VecDeque::new(),
        };
        Self(addresses.into_iter().map(member).collect())
    }

    /// The members, in the order of the command line.
    pub(super) fn members(&self) -> &[Member] {
        &self.0
    }

    /// A member has answered, or has not.
    pub(super) fn take(&mut self, member: usize, now: Timestamp, answer: Result<Report, String>) {
        let Some(member) = self.0.get_mut(member) else { return };
        match answer {
            Ok(report) => member.answered(now, report),
            Err(reason) => member.failed(now, reason),
        }
    }

    /// Whether each of them answers.
    pub(super) fn all_answer(&self) -> bool {
        self.0.iter().all(|member| member.contact == Contact::Answers)
    }
}

impl Member {
    fn answered(&mut self, now: Timestamp, report: Report) {
        let at = report.at.unwrap_or(now);
        let sample = Sample { at, totals: report.totals };
        if !self.last.as_ref().is_some_and(|(_, last)| continues(last, &report)) {
            self.samples.clear();
        }
        // A member looks at itself once a second: the same answer again is no news.
        if self.samples.back().is_none_or(|last| last.at < at) {
            self.samples.push_back(sample);
        }
        let is_old = |sample: &Sample| seconds_between(sample.at, at) >= WINDOW_SECONDS;
        while self.samples.get(1).is_some_and(is_old) {
            self.samples.pop_front();
        }
        self.contact = Contact::Answers;
        self.last = Some((now, report));
    }

    fn failed(&mut self, now: Timestamp, reason: String) {
        let since = match &self.contact {
            Contact::Away { since, .. } => *since,
            Contact::Asked | Contact::Answers => now,
        };
        self.contact = Contact::Away { since, reason };
    }

    /// What it says, if it does.
    pub(super) fn report(&self) -> Option<&Report> {
        self.last.as_ref().filter(|_| self.contact == Contact::Answers).map(|(_, report)| report)
    }

    /// How fast its totals grow: by what was seen of them, or else by its own account.
    pub(super) fn rates(&self) -> Stops<Amount<f64>> {
        let Some(report) = self.report() else { return Stops::default() };
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else {
            return report.rates;
        };
        let seconds = seconds_between(first.at, last.at);
        if seconds < SHORTEST_SECONDS {
            return report.rates;
        }
        let mut rates = Stops::<Amount<f64>>::default();
        for (stop, rates) in rates.iter_mut().enumerate() {
            for (unit, rate) in rates.iter_mut().enumerate() {
                let (before, after) = (first.totals[stop][unit], last.totals[stop][unit]);
                let growth = before.zip(after).map(|(before, after)| after.saturating_sub(before));
                *rate = growth.map(|growth| growth as f64 / seconds);
            }
        }
        rates
    }
}

/// Whether it is the same run of the member, whose totals only grow; those that are open do not.
fn continues(before: &Report, after: &Report) -> bool {
    let grows = |stop: &Stop| {
        let of = |report: &Report| report.totals[*stop as usize][SPANS];
        of(before).zip(of(after)).is_none_or(|(before, after)| before <= after)
    };
    let is_same_start = before.started_at == after.started_at;
    is_same_start && Stop::ALL.iter().filter(|stop| **stop != Stop::Open).all(grows)
}
