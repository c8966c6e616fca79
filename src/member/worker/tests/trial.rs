//! Policies that are tried beside those in force.

use std::sync::Arc;
use std::time::Duration;

use super::bench::*;
use crate::member::worker::trial::{Part, Trial, TrialTally};
use crate::sampling::policy::spec::{Drop, PolicyKind, PolicySpec};
use crate::sampling::policy::{self};
use crate::sampling::sampler::Policies;
use crate::telemetry::accounts::Amount;

/// Policies that are tried from now on.
fn begin(bench: &mut Bench, policies: &[PolicySpec]) -> Arc<Trial> {
    let policies = Policies::new(policy::compile(policies).unwrap(), LIMITS, Duration::ZERO);
    let trial = Arc::new(Trial::new(Arc::new(policies), "hash".to_owned()));
    bench.ctx.trial = Some(Box::new(Part::new(Arc::clone(&trial), 1)));
    trial
}

fn tally(bench: &mut Bench, trial: &Trial) -> TrialTally {
    bench.ctx.trial.as_mut().unwrap().post();
    trial.tally()
}

/// An error, what is red, both, and nothing of that, of one to four spans.
fn traffic(bench: &mut Bench) {
    let red = |trace| with(span(trace), "color", "red");
    bench.take_in(0, "shop", vec![failed(span(1))]);
    bench.take_in(0, "shop", vec![red(2), span(2)]);
    bench.take_in(0, "shop", vec![failed(red(3)), span(3), span(3)]);
    bench.take_in(0, "shop", vec![span(4), span(4), span(4), span(4)]);
}

#[test]
fn what_would_be_decided_is_held_against_what_was() {
    let mut bench = Bench::new(active(&[errors("errors")]));
    // They are open when it begins, and nobody asked them for a colour.
    traffic(&mut bench);
    let candidate =
        [attribute("red", "color", "red"), everything("more").into_shadow(), errors("no").shy()];
    let trial = begin(&mut bench, &candidate);
    bench.run_clock_to(30_000);
    let tally = tally(&mut bench, &trial);
    let cells = [tally.kept_kept, tally.kept_dropped, tally.dropped_kept, tally.dropped_dropped];
    assert_eq!(cells.map(|it| (it.traces, it.spans)), [(0, 0), (2, 4), (1, 2), (1, 4)]);
    assert_eq!(tally.decided().traces, 4);
    let bytes: u64 = cells.iter().map(|it| it.bytes).sum();
    let counts = bench.counts();
    assert_eq!(bytes, counts.policies[0].kept.bytes + counts.unwanted.bytes);
    let policies = &tally.policies;
    assert_eq!((policies[0].votes, policies[0].kept.traces), ([2, 2, 0], 1));
    assert_eq!((policies[1].votes, policies[1].kept), ([0, 4, 0], Amount::default()));
    assert_eq!((policies[2].votes, policies[2].dropped.traces), ([2, 0, 2], 2));
    assert_eq!(tally.dropped_by_none.traces, 1);
    let kept = &tally.newly_kept[0];
    assert_eq!((tally.newly_kept.len(), kept.trace.trace_id), (1, id(2)));
    assert_eq!((kept.policy.as_deref(), kept.trace.policy.as_deref()), (Some("red"), None));
    assert!(kept.reasons[0].1.contains("color of red"), "{:?}", kept.reasons);
    assert!(kept.reasons.iter().all(|(policy, _)| &**policy != "more"), "it has no effect");
    let mut dropped: Vec<_> = tally.newly_dropped.iter().map(|it| it.trace.trace_id).collect();
    dropped.sort_unstable();
    assert_eq!(dropped, [id(1), id(3)]);
    let example = &tally.newly_dropped[0];
    assert_eq!(example.policy.as_deref(), Some("no"));
    assert_eq!(example.trace.policy.as_deref(), Some("errors"));
    assert_eq!(&*example.reasons[0].0, "no", "who decides it stands at the top");
}

/// Turns a policy into one that drops what it would keep.
trait Shy {
    fn shy(self) -> Self;
}

impl Shy for PolicySpec {
    fn shy(self) -> Self {
        let name = self.name.clone();
        Self::new(&name, PolicyKind::Drop(Drop { drop_sub_policy: vec![self] }))
    }
}

#[test]
fn nothing_that_is_in_force_changes() {
    let policies = [limited("limited", 5), errors("errors").into_shadow()];
    let run = |is_tried: bool| {
        let mut bench = Bench::new(active(&policies));
        traffic(&mut bench);
        let trial =
            is_tried.then(|| begin(&mut bench, &[limited("limited", 5), errors("e").shy()]));
        bench.run_clock_to(30_000);
        bench.take_in(30_000, "shop", vec![span(1), span(4)]);
        let decided: Vec<_> = (1..5).map(|trace| bench.decided(trace)).collect();
        let counts = bench.counts();
        let counted: Vec<_> = counts.policies.iter().map(|it| format!("{it:?}")).collect();
        let late = (counts.late_kept, counts.late_dropped);
        let committable = bench.committable();
        (decided, counted, late, committable, bench.forwarded(), trial)
    };
    let (with, without) = (run(true), run(false));
    assert_eq!((with.0, with.1, with.2, with.3), (without.0, without.1, without.2, without.3));
    assert_eq!(with.4, without.4, "the same spans, annotated alike");
}

#[test]
fn limits_have_budgets_of_their_own() {
    let mut bench = Bench::new(active(&[limited("limited", 5)]));
    let trial = begin(&mut bench, &[limited("narrow", 2)]);
    for trace in 1..=4 {
        bench.take_in(0, "shop", vec![span(trace)]);
    }
    bench.run_clock_to(30_000);
    let tally = tally(&mut bench, &trial);
    assert_eq!((tally.kept_kept.traces, tally.kept_dropped.traces), (2, 2));
    assert!(tally.newly_dropped[0].reasons[0].1.contains("1 spans > 0 left"));
}

#[test]
fn a_trial_takes_no_more_than_half_of_the_time() {
    let mut bench = Bench::new(active(&[everything("all")]));
    let trial = begin(&mut bench, &[errors("errors")]);
    traffic(&mut bench);
    bench.ctx.trial.as_mut().unwrap().busy = Duration::from_secs(3600);
    bench.run_clock_to(30_000);
    let tally = tally(&mut bench, &trial);
    assert_eq!((tally.left_out.traces, tally.left_out.spans, tally.decided().traces), (4, 10, 4));
    assert_eq!(tally.kept_dropped, Amount::default());
}

#[test]
fn examples_are_few_and_nothing_is_counted_when_it_is_over() {
    let mut bench = Bench::new(active(&[everything("all")]));
    let trial = begin(&mut bench, &[errors("errors")]);
    for trace in 1..=30 {
        bench.take_in(0, "shop", vec![span(trace)]);
    }
    bench.run_clock_to(30_000);
    bench.take_in(31_000, "shop", vec![span(31)]);
    trial.close();
    bench.run_clock_to(90_000);
    let tally = tally(&mut bench, &trial);
    assert_eq!((tally.kept_dropped.traces, tally.newly_dropped.len()), (30, 10));
}
