//! Requests to keep dropped traces: which are granted, and why others are not.

use std::time::Duration;

use super::bench::*;
use crate::ids::{Offset, Position};
use crate::kafka::decision_log::GroupHash;
use crate::kafka::decision_log::testing::dropped;
use crate::kafka::keep_request::KeepRequest;
use crate::member::worker::ActivePolicies;
use crate::sampling::decided::{DecisionRecord, Kept, SamplingDecision};
use crate::sampling::policy::spec::{Drop, PolicyKind, PolicySpec};
use crate::sampling::policy::{self, ReopenSpec};
use crate::sampling::sampler::Policies;
use crate::sampling::trace::Trigger;
use crate::telemetry::metrics::RestoreFailure;

const GROUP: GroupHash = GroupHash::from_bits(7);

fn bench() -> Bench {
    let secret = attribute("secret", "secret", "yes");
    let veto = PolicyKind::Drop(Drop { drop_sub_policy: vec![secret] });
    let policies = [PolicySpec::new("veto", veto), errors("errors")];
    Bench::with_log(active(&policies), GROUP)
}

fn header(trace: u8) -> Vec<u8> {
    let request = KeepRequest { group: GROUP, trace_id: id(trace), log: Position(0) };
    request.to_string().into_bytes()
}

impl Bench {
    fn ask(&mut self, at: i64, header: &[u8]) {
        self.take_in_request(at, Some(b""), Some(header));
    }

    fn granted(&self) -> u64 {
        self.counts().triggers[Trigger::Restored as usize]
    }

    /// The requests that were refused, with the reasons.
    fn refused(&self) -> Vec<(RestoreFailure, u64)> {
        let all = RestoreFailure::ALL.into_iter().zip(self.counts().restore_failures);
        all.filter(|(_, count)| *count > 0).collect()
    }
}

#[test]
fn a_dropped_trace_is_kept_once() {
    let mut bench = bench();
    bench.take_in(0, "shop", vec![span(1)]);
    bench.run_clock_to(31_000);
    bench.ask(31_001, &header(1));
    let decided = bench.decided(1).expect("it is remembered");
    assert_eq!(decided.decision, SamplingDecision::Kept(Kept::on_request()));
    assert_eq!((decided.first, decided.trigger), (Offset(1), Trigger::Restored));
    bench.ask(31_002, &header(1));
    assert_eq!((bench.granted(), bench.refused()), (1, vec![(RestoreFailure::Kept, 1)]));
    bench.take_in(31_003, "shop", vec![span(1)]);
    assert_eq!(bench.counts().late_kept.spans, 1, "what comes late follows");
}

#[test]
fn one_that_was_forgotten_is_kept_too() {
    let mut bench = bench();
    bench.run_clock_to(900_000);
    bench.ask(900_001, &header(1));
    assert_eq!((bench.granted(), bench.refused()), (1, vec![]));
}

/// Scenario: records are read again that lie between a decision to drop a trace and one by which it was
/// restored; with a request and a late error that an earlier owner had no budget for.
/// Guarantees: neither has the trace delivered once more.
#[test]
fn what_is_restored_later_is_not_brought_back_before() {
    let policies = policy::compile(&[errors("errors")]).unwrap();
    let reopen = ReopenSpec { policies: vec!["errors".into()], max_traces_per_second: 9 };
    let policies = policies.reopening(&reopen).unwrap();
    let policies = Policies::new(policies, LIMITS, Duration::from_secs(600));
    let mut bench = Bench::with_log(ActivePolicies::new(policies, "hash".to_owned()), GROUP);
    let restored = DecisionRecord {
        decision: SamplingDecision::Kept(Kept::on_request()),
        trigger: Trigger::Restored,
        delivered: true,
        ..dropped(1, 5, 5)
    };
    bench.state.learn(&bench.ctx, &[dropped(1, 0, 0), restored]);
    bench.take_in(0, "shop", vec![span(1)]);
    bench.ask(0, &header(1));
    bench.take_in(0, "shop", vec![failed(span(1))]);
    assert_eq!((bench.granted(), bench.refused()), (0, vec![(RestoreFailure::Kept, 1)]));
    assert_eq!(bench.counts().triggers[Trigger::Late as usize], 0);
    assert_eq!(bench.counts().late_dropped.spans, 1);
}

#[test]
fn what_is_open_or_vetoed_is_not_kept() {
    let mut bench = bench();
    bench.take_in(0, "shop", vec![span(1)]);
    bench.ask(1, &header(1));
    assert_eq!(bench.refused(), [(RestoreFailure::Open, 1)]);
    bench.take_in(2, "shop", vec![with(span(2), "secret", "yes")]);
    bench.run_clock_to(31_000);
    bench.ask(31_001, &header(2));
    assert_eq!(bench.refused(), [(RestoreFailure::Open, 1), (RestoreFailure::Vetoed, 1)]);
    assert_eq!(bench.granted(), 0);
}

#[test]
fn what_is_no_request_is_counted_and_does_no_harm() {
    let mut bench = bench();
    bench.take_in(0, "shop", vec![span(1)]);
    bench.run_clock_to(31_000);
    bench.ask(31_001, b"1 nonsense");
    bench.ask(31_001, b"");
    // Spans beside a request are taken in as ever; the request counts for nothing.
    let value = record("shop", vec![span(1), span(3)]);
    bench.take_in_request(31_002, Some(&value), Some(&header(1)));
    assert_eq!(bench.counts().late_dropped.spans, 1);
    assert!(bench.is_open(3));
    assert_eq!((bench.granted(), bench.refused()), (0, vec![(RestoreFailure::Malformed, 3)]));
    // That of another group is not ours, and a record without a value is refused as ever.
    let other = KeepRequest { group: GroupHash::from_bits(8), trace_id: id(1), log: Position(0) };
    bench.ask(31_003, other.to_string().as_bytes());
    bench.take_in_request(31_003, None, Some(&header(1)));
    assert_eq!((bench.granted(), bench.refused()), (0, vec![(RestoreFailure::Malformed, 3)]));
}

#[test]
fn requests_have_a_limit_of_their_own() {
    let mut bench = bench();
    (1..=25).for_each(|trace| bench.ask(1_000, &header(trace)));
    assert_eq!((bench.granted(), bench.refused()), (20, vec![(RestoreFailure::Budget, 5)]));
    bench.ask(1_200, &header(26));
    bench.ask(1_200, &header(27));
    assert_eq!(bench.granted(), 21, "there are five more a second");
}
