//! `--suggest`: what could be left out or changed in a candidate, as the traffic says.
//!
//! Each suggestion says what it goes by: of how many traces, those that were read and not those that a part of the
//! topic stands for. None is made of a few traces.

mod roots;

use super::format::{count, name, size};
use super::summary::{PolicyRow, Remark, Scale, Summary};
use crate::whatif::{Candidate, Estimate};

pub(super) use roots::Suggestion;

/// A policy that alone keeps this share of what is kept, most of it without an error, is worth a thought.
const LARGE: f64 = 0.2;

/// So many late traces of all are worth one.
const MANY_LATE: f64 = 0.01;

/// So few traces say nothing.
const FEW: u64 = 1000;

/// What could be changed, the most bytes first.
pub(super) fn suggestions(candidate: &Candidate, scale: &Scale) -> Vec<Suggestion> {
    let summary = Summary::of(candidate, scale);
    let read = candidate.tally.square().all().traces;
    let all = count(Estimate::exact(read as f64));
    if read < FEW {
        return vec![format!("{all} traces are too few to suggest anything").into()];
    }
    let is_large = |row: &&PolicyRow<'_>| share(&summary, row) >= LARGE && is_plain(candidate, row);
    let mut large: Vec<&PolicyRow<'_>> = summary.policies.iter().filter(is_large).collect();
    large.sort_by(|one, other| other.alone.bytes.value.total_cmp(&one.alone.bytes.value));
    let large = large.into_iter().map(|row| {
        let (half, percent) = (row.alone.bytes.value / 2.0, share(&summary, row) * 100.0);
        let (policy, alone, half) =
            (name(row.name), size(Estimate::exact(row.alone.bytes.value)), size(Estimate::exact(half)));
        format!(
            "{policy} alone keeps {alone}, {percent:.0} % of what is kept: with `and` and a `probabilistic` of \
             50 % it would be about {half} less"
        )
    });
    let left_out = |remark, why: &'static str| {
        let rows = summary.policies.iter().filter(move |row| row.remark == Some(remark));
        let all = &all;
        rows.map(move |row| {
            format!("{} could be left out: of {all} traces that were read {why}", name(row.name))
        })
    };
    let never = left_out(Remark::NeverMatches, "it matches none");
    let redundant = left_out(Remark::Redundant, "none would be decided otherwise without it");
    let wait = wait(&summary, candidate);
    let all = large.chain(never).chain(redundant).chain(wait).map(Suggestion::from);
    roots::suggestions(candidate, &summary, scale).into_iter().chain(all).collect()
}

/// The share of what is kept that a policy alone keeps.
fn share(summary: &Summary<'_>, row: &PolicyRow<'_>) -> f64 {
    let keeps = row.kept_now.bytes.value > 0.0;
    if keeps { row.alone.bytes.value / summary.kept_now.bytes.value.max(1.0) } else { 0.0 }
}

/// Whether most of what a policy alone keeps is without an error.
fn is_plain(candidate: &Candidate, row: &PolicyRow<'_>) -> bool {
    let tally = &candidate.tally;
    let roots = tally.roots.iter().filter(|root| root.policy == row.name);
    let plain: u64 = roots.map(|root| root.kept.bytes).sum();
    let alone = tally.policies.iter().find(|policy| policy.name == row.name);
    alone.is_some_and(|policy| plain > policy.alone.bytes / 2)
}

fn wait(summary: &Summary<'_>, candidate: &Candidate) -> Option<String> {
    let late = candidate.tally.late_traces as f64 / candidate.tally.decided.max(1) as f64;
    (late >= MANY_LATE).then(|| {
        let (percent, traces) = (late * 100.0, count(Estimate::exact(summary.waiting.late_traces)));
        format!(
            "{traces} traces ({percent:.1} %) were judged without spans that came late: see what a longer \
             decision_wait does, with --decision-wait"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::an_outcome;
    use super::*;
    use crate::whatif::{Figures, PolicyTally, RootTally};

    #[test]
    fn what_the_traffic_says_is_suggested_and_nothing_of_a_few_traces() {
        let mut outcome = an_outcome();
        let scale = Scale::of(&outcome, None);
        let few = suggestions(&outcome.candidates[0], &scale);
        let text = |all: &[Suggestion]| all.iter().map(|it| it.text.clone()).collect::<Vec<_>>();
        assert_eq!(text(&few), ["123 traces are too few to suggest anything"]);
        let tally = &mut outcome.candidates[0].tally;
        let dropped = tally.cells.last_mut().unwrap();
        dropped.figures = Figures { traces: 5000, ..dropped.figures };
        (tally.decided, tally.late_traces) = (5000, 75);
        let voted = |name: &str, votes_keep, alone: u64| PolicyTally {
            name: name.to_owned(),
            votes_keep,
            alone: Figures { traces: alone, bytes: alone * 100, ..Figures::default() },
            ..PolicyTally::default()
        };
        // Of 1900 bytes that are kept.
        tally.policies =
            vec![voted("errors", 6, 6), voted("more", 13, 12), voted("a", 0, 0), voted("b", 3, 0)];
        let root = |policy: &str, name: &str, traces: u64| RootTally {
            policy: policy.to_owned(),
            service: "cart".to_owned(),
            name: name.to_owned(),
            kept: Figures { traces, bytes: traces * 100, ..Figures::default() },
        };
        tally.roots = vec![
            root("more", "GET /a", 8),
            root("more", "GET /b", 1),
            root("more", "GET /ping", 1),
        ];
        let found = suggestions(&outcome.candidates[0], &scale);
        let policies = found.iter().filter(|it| it.yaml.is_some()).count();
        let expected = [
            "more alone keeps 100 B (5.3 % of what is kept) of traces without an error that begin with GET /ping of \
             cart, which looks like a health check: an `and` of what more is now and of this drops them",
            "more alone keeps 800 B (42.1 % of what is kept) of traces without an error that begin with GET /a of \
             cart: an `and` of what more is now and of this drops them",
            "more alone keeps 1.2 kB, 63 % of what is kept: with `and` and a `probabilistic` of 50 % it would be \
             about 600 B less",
            "a could be left out: of 5 023 traces that were read it matches none",
            "b could be left out: of 5 023 traces that were read none would be decided otherwise without it",
            "75 traces (1.5 %) were judged without spans that came late: see what a longer decision_wait does, with \
             --decision-wait",
        ];
        assert_eq!((&text(&found)[..], policies), (&expected.map(str::to_owned)[..], 2));
    }
}
