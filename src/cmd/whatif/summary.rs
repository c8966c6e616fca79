//! What is said of a candidate, in figures that are scaled up to all partitions: once for all forms of output.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::whatif::{
    Candidate, Cell, Estimate, Example, Figures, Measure, Outcome, PolicyTally, Sample, Square,
};

/// The bytes of a gigabyte, as it is paid for.
const GIGABYTE: f64 = 1e9;

/// What a month is, in milliseconds.
const MONTH_MS: f64 = 30.0 * 24.0 * 3600.0 * 1000.0;

/// How figures are scaled, and what they cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    sample: Sample,
    price_per_gb: Option<f64>,
    /// How many such ranges a month has, if it is known how long this one is.
    per_month: Option<f64>,
}

/// How much something is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Amount {
    pub(super) traces: Estimate,
    pub(super) spans: Estimate,
    pub(super) bytes: Estimate,
    /// What these bytes cost, if there is a price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) money: Option<Estimate>,
}

/// What is said of a candidate.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary<'a> {
    /// What was compared.
    pub(super) compared: Amount,
    /// What the old side keeps of it.
    pub(super) kept_before: Amount,
    /// What the candidate keeps of it.
    pub(super) kept_now: Amount,
    pub(super) newly_lost: Amount,
    pub(super) newly_kept: Amount,
    /// What the candidate keeps more than the old side, or less.
    pub(super) change: Amount,
    /// The same in a month, if the range is one of time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) change_per_month: Option<f64>,
    /// How it goes with the time that it waits for spans.
    pub(super) waiting: Waiting,
    /// Kept by one side only, the most bytes first.
    pub(super) changes: Vec<Change<'a>>,
    /// The most change first.
    pub(super) policies: Vec<PolicyRow<'a>>,
    /// The most change first.
    pub(super) services: Vec<ServiceRow<'a>>,
}

/// How it goes with the time that a candidate waits for spans.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Waiting {
    /// Spans that came after their trace was decided.
    pub(super) late_spans: f64,
    /// Traces that were judged without them.
    pub(super) late_traces: f64,
    /// From the first span of a trace to its decision, on average.
    pub(super) mean_delay_millis: f64,
    /// Memory of open traces: the sum over all partitions, each at its worst.
    pub(super) most_open_bytes: f64,
}

/// Traces that go from one verdict to another.
#[derive(Debug, Serialize)]
pub(super) struct Change<'a> {
    pub(super) old: &'a crate::whatif::Verdict,
    pub(super) new: &'a crate::whatif::Verdict,
    #[serde(flatten)]
    pub(super) amount: Amount,
    pub(super) examples: &'a [Example],
}

/// A policy, of either side.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PolicyRow<'a> {
    pub(super) name: &'a str,
    /// What the old side keeps on its account.
    pub(super) kept_before: Amount,
    /// What the candidate keeps on its account.
    pub(super) kept_now: Amount,
    /// Of what it kept before, what the candidate drops.
    pub(super) lost: Amount,
    /// What the candidate would decide the other way without it.
    pub(super) alone: Amount,
    /// What is to be known of it, if the candidate has it.
    pub(super) remark: Option<Remark>,
    /// It has budgets.
    pub(super) simulated: bool,
}

/// What is to be known of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Remark {
    /// It voted on no trace.
    NeverMatches,
    /// It voted, and nothing would be decided otherwise without it.
    Redundant,
    /// Its votes have no effect.
    Shadow,
}

/// A service.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServiceRow<'a> {
    pub(super) name: &'a str,
    pub(super) kept_before: Amount,
    pub(super) kept_now: Amount,
    pub(super) newly_lost: Amount,
    pub(super) newly_kept: Amount,
}

impl Scale {
    /// That of an outcome.
    pub(super) fn of(outcome: &Outcome, price_per_gb: Option<f64>) -> Self {
        let millis = outcome.from_unix_milli.zip(outcome.to_unix_milli).map(|(from, to)| to - from);
        let per_month = millis.filter(|millis| *millis > 0).map(|millis| MONTH_MS / millis as f64);
        Self { sample: outcome.sample(), price_per_gb, per_month }
    }

    /// What 10^9 bytes cost, if that is known.
    pub(super) fn price_per_gb(&self) -> Option<f64> {
        self.price_per_gb
    }

    fn of_measures(&self, estimate: impl Fn(Measure) -> Estimate) -> Amount {
        let bytes = estimate(Measure::Bytes);
        let cost = |price: f64| {
            let cost = |bytes: f64| bytes / GIGABYTE * price;
            Estimate { value: cost(bytes.value), low: cost(bytes.low), high: cost(bytes.high) }
        };
        Amount {
            traces: estimate(Measure::Traces),
            spans: estimate(Measure::Spans),
            bytes,
            money: self.price_per_gb.map(cost),
        }
    }

    /// These figures, in all partitions.
    pub(super) fn amount(&self, figures: &Figures) -> Amount {
        self.of_measures(|measure| self.sample.estimate(figures, measure))
    }

    /// By how much one is more than another one, of other traces.
    fn difference(&self, more: &Figures, less: &Figures) -> Amount {
        self.of_measures(|measure| self.sample.difference(more, less, measure))
    }
}

impl PolicyRow<'_> {
    /// Kept before, kept now, lost, and by it alone.
    pub(super) fn amounts(&self) -> [&Amount; 4] {
        [&self.kept_before, &self.kept_now, &self.lost, &self.alone]
    }
}

impl ServiceRow<'_> {
    /// Kept before, kept now, newly lost, newly kept.
    pub(super) fn amounts(&self) -> [&Amount; 4] {
        [&self.kept_before, &self.kept_now, &self.newly_lost, &self.newly_kept]
    }
}

impl<'a> Summary<'a> {
    /// What is said of a candidate.
    pub(super) fn of(candidate: &'a Candidate, scale: &Scale) -> Self {
        let square = candidate.tally.square();
        let change = scale.difference(&square.newly_kept, &square.newly_lost);
        let change_per_month = change.money.zip(scale.per_month);
        Self {
            compared: scale.amount(&square.all()),
            kept_before: scale.amount(&square.kept_before()),
            kept_now: scale.amount(&square.kept_now()),
            newly_lost: scale.amount(&square.newly_lost),
            newly_kept: scale.amount(&square.newly_kept),
            change,
            change_per_month: change_per_month.map(|(money, months)| money.value * months),
            waiting: waiting(candidate, scale),
            changes: changes(&candidate.tally.cells, scale),
            policies: policies(candidate, scale),
            services: services(&candidate.tally.services, scale),
        }
    }
}

fn waiting(candidate: &Candidate, scale: &Scale) -> Waiting {
    let tally = &candidate.tally;
    let all = |counted: u64| counted as f64 / scale.sample.chance();
    Waiting {
        late_spans: all(tally.late_spans),
        late_traces: all(tally.late_traces),
        mean_delay_millis: tally.delay_millis as f64 / tally.decided.max(1) as f64,
        most_open_bytes: all(tally.most_open_bytes),
    }
}

fn changes<'a>(cells: &'a [Cell], scale: &Scale) -> Vec<Change<'a>> {
    let mut changes: Vec<&Cell> = cells.iter().filter(|cell| cell.is_change()).collect();
    changes.sort_by_key(|cell| std::cmp::Reverse(cell.figures.bytes));
    let change = |cell: &'a Cell| {
        let Cell { old, new, figures, examples } = cell;
        Change { old, new, amount: scale.amount(figures), examples }
    };
    changes.into_iter().map(change).collect()
}

/// What a policy keeps.
#[derive(Default)]
struct Kept {
    before: Figures,
    now: Figures,
    lost: Figures,
}

fn policies<'a>(candidate: &'a Candidate, scale: &Scale) -> Vec<PolicyRow<'a>> {
    let mut kept: BTreeMap<&str, Kept> = BTreeMap::new();
    for policy in &candidate.tally.policies {
        kept.entry(&policy.name).or_default();
    }
    for Cell { old, new, figures, .. } in &candidate.tally.cells {
        if let (true, Some(policy)) = (old.kept, &old.policy) {
            let row = kept.entry(policy).or_default();
            row.before.add(figures);
            if !new.kept {
                row.lost.add(figures);
            }
        }
        if let (true, Some(policy)) = (new.kept, &new.policy) {
            kept.entry(policy).or_default().now.add(figures);
        }
    }
    let mut rows: Vec<_> = kept.into_iter().collect();
    rows.sort_by_key(|(_, it)| std::cmp::Reverse(it.before.bytes.abs_diff(it.now.bytes)));
    let row = |(name, kept): (&'a str, Kept)| {
        let tally = candidate.tally.policies.iter().find(|policy| policy.name == name);
        PolicyRow {
            name,
            kept_before: scale.amount(&kept.before),
            kept_now: scale.amount(&kept.now),
            lost: scale.amount(&kept.lost),
            alone: scale.amount(&tally.map(|it| it.alone).unwrap_or_default()),
            remark: tally.and_then(remark),
            simulated: tally.is_some_and(|it| it.simulated),
        }
    };
    rows.into_iter().map(row).collect()
}

fn remark(policy: &PolicyTally) -> Option<Remark> {
    let votes = policy.votes_keep + policy.votes_drop;
    match (votes, policy.alone.traces) {
        (0, _) => Some(Remark::NeverMatches),
        _ if policy.shadow => Some(Remark::Shadow),
        (_, 0) => Some(Remark::Redundant),
        _ => None,
    }
}

fn services<'a>(all: &'a BTreeMap<String, Square>, scale: &Scale) -> Vec<ServiceRow<'a>> {
    let mut rows: Vec<_> = all.iter().collect();
    let changed = |square: &Square| square.newly_lost.bytes + square.newly_kept.bytes;
    rows.sort_by_key(|(_, square)| {
        std::cmp::Reverse((changed(square), square.kept_before().bytes))
    });
    let row = |(name, square): (&'a String, &Square)| ServiceRow {
        name,
        kept_before: scale.amount(&square.kept_before()),
        kept_now: scale.amount(&square.kept_now()),
        newly_lost: scale.amount(&square.newly_lost),
        newly_kept: scale.amount(&square.newly_kept),
    };
    rows.into_iter().map(row).collect()
}
