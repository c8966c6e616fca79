//! Policies that change while traces are open.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::{Span, TracesData};
use proptest::prelude::*;
use prost::Message;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::bench::*;
use crate::export::{AckSink, ExportMetrics, ExportSettings, Exporter, Fence};
use crate::ids::{Generation, Offset, Partition, Position, Timestamp};
use crate::kafka::source::{
    self, CommitMetadata, GenerationStatus, OwnershipTable, Rebalance, Record, RecordBatch,
};
use crate::member::worker::{ActivePolicies, Notice, Worker};
use crate::sampling::policy::spec::{Drop, PolicyKind, PolicySpec, Probabilistic, SpanCount};
use crate::sampling::sampler::Policies;
use crate::sampling::trace::Limits;
use crate::testbed::receiver::Receiver;

#[test]
fn what_only_the_new_policies_ask_is_found_in_old_bytes() {
    let mut bench = Bench::new(active(&[errors("old")]));
    bench.take_in(0, "shop", vec![with(span(1), "color", "red")]);
    bench.take_in(0, "shop", vec![failed(span(2))]);
    bench.take_in(0, "paint", vec![span(3)]);
    let next = [attribute("red", "color", "red"), attribute("paint", "service.name", "paint")];
    bench.switch(active(&next));
    bench.take_in(1, "shop", vec![span(1)]);
    bench.run_clock_to(30_000);
    assert_eq!(bench.kept_by(1).as_deref(), Some("red"));
    assert_eq!(bench.kept_by(2), None, "what the old policies knew is forgotten");
    assert_eq!(bench.kept_by(3).as_deref(), Some("paint"), "resources are asked again, too");
}

#[test]
fn sums_and_randomness_stay() {
    let traced = |mut span: Span| {
        span.trace_state = "ot=rv:80000000000000".into();
        (span.start_time_unix_nano, span.end_time_unix_nano) = (1_000_000, 900_000_000);
        span
    };
    let mut bench = Bench::new(active(&[everything("old")]));
    bench.take_in(0, "shop", vec![failed(traced(span(1))), span(1)]);
    let summary =
        |bench: &mut Bench| bench.state.sampler.open_trace(id(1)).unwrap().summary.clone();
    let before = summary(&mut bench);
    bench.switch(active(&[errors("new")]));
    let after = summary(&mut bench);
    assert_eq!((after.spans, after.bytes, after.errors), (2, before.bytes, 1));
    assert_eq!(after.duration(), before.duration());
    assert_eq!(after.explicit_randomness, Some(0x80000000000000));
}

#[test]
fn deadlines_are_those_of_the_new_limits() {
    let limits = |wait, after_root| Limits {
        decision_wait: Duration::from_secs(wait),
        decision_wait_after_root_received: Duration::from_secs(after_root),
        ..LIMITS
    };
    // A trace without a root from 0 s on, one from 1 s on with its root at 2 s.
    let cases = [
        (limits(30, 3), 30_000, 5_000),
        (limits(10, 3), 10_000, 5_000),
        (limits(60, 20), 60_000, 22_000),
        (limits(10, 20), 10_000, 11_000),
        (limits(60, 1), 60_000, 4_000),
        (limits(2, 1), 4_000, 4_000),
    ];
    for (new, without_root, with_root) in cases {
        let mut bench = Bench::new(active(&[everything("old")]));
        bench.take_in(0, "shop", vec![span(1)]);
        bench.take_in(1000, "shop", vec![span(2)]);
        bench.take_in(2000, "shop", vec![root(2)]);
        bench.take_in(4000, "shop", vec![span(9)]);
        bench.switch(active_with(&[everything("new")], new));
        let mut dues = [(2, with_root), (1, without_root)];
        dues.sort_by_key(|(_, due)| *due);
        for (trace, due) in dues {
            if due > 4000 {
                bench.run_clock_to(due - 1);
                assert_eq!(bench.decided(trace), None, "{new:?}: trace {trace} is early");
                bench.run_clock_to(due);
            }
            let kept_by = bench.kept_by(trace);
            assert_eq!(kept_by.as_deref(), Some("new"), "{new:?}: trace {trace}");
        }
    }
}

#[test]
fn later_traces_wait_as_the_new_limits_say_and_order_is_kept() {
    let mut bench = Bench::new(active(&[everything("old")]));
    bench.take_in(0, "shop", vec![span(1)]);
    let short = Limits { decision_wait: Duration::from_secs(5), ..LIMITS };
    bench.switch(active_with(&[everything("new")], short));
    bench.take_in(1000, "shop", vec![span(2)]);
    bench.run_clock_to(5_000);
    assert!(bench.decided(1).is_some() && bench.decided(2).is_none());
    bench.run_clock_to(6_000);
    assert!(bench.decided(2).is_some());
}

#[test]
fn a_lower_cap_takes_effect_with_the_next_span() {
    let mut bench = Bench::new(active(&[everything("old")]));
    bench.take_in(0, "shop", vec![span(1), span(1), span(1)]);
    let low = Limits { maximum_trace_spans: 2, ..LIMITS };
    bench.switch(active_with(&[everything("new")], low));
    assert_eq!(bench.decided(1), None);
    bench.take_in(0, "shop", vec![span(1)]);
    assert_eq!(bench.kept_by(1).as_deref(), Some("new"));
}

#[test]
fn budgets_of_policies_that_did_not_change_keep_their_state() {
    for (next, expected) in [
        (vec![errors("e"), limited("same", 2)], None),
        (vec![limited("same", 3)], Some("same")),
        (vec![limited("renamed", 2)], Some("renamed")),
    ] {
        let mut bench = Bench::new(active(&[limited("same", 2)]));
        bench.take_in(0, "shop", vec![span(1), span(1)]);
        bench.take_in(0, "shop", vec![span(2)]);
        let at_once = Limits { decision_wait: Duration::ZERO, ..LIMITS };
        bench.switch(active_with(&[limited("same", 2)], at_once));
        let decided = (bench.kept_by(1), bench.kept_by(2));
        assert_eq!(decided, (Some("same".to_owned()), None), "the bucket is empty");
        bench.switch(active_with(&next, at_once));
        bench.take_in(0, "shop", vec![span(3)]);
        bench.run_clock_to(1);
        assert_eq!(bench.kept_by(3).as_deref(), expected, "{next:?}");
    }
}

#[test]
fn a_partition_has_its_share_of_a_limit() {
    let at_once = Limits { decision_wait: Duration::ZERO, ..LIMITS };
    let mut bench = Bench::new(active_with(&[limited("ten", 10)], at_once));
    bench.state.sampler.share_out(5);
    for trace in 1..=3 {
        bench.take_in(0, "shop", vec![span(trace)]);
        bench.run_clock_to(0);
    }
    let kept: Vec<bool> = (1..=3).map(|trace| bench.kept_by(trace).is_some()).collect();
    assert_eq!(kept, [true, true, false]);
}

#[test]
fn late_spans_follow_a_decision_of_policies_that_are_gone() {
    let half =
        PolicyKind::Probabilistic(Probabilistic { sampling_percentage: 50.0, hash_salt: None });
    let old = [PolicySpec::new("half", half), errors("errors")];
    let mut bench = Bench::new(active(&old));
    let high = "ot=rv:80000000000000";
    let lucky = Span { trace_state: high.into(), ..span(1) };
    let unlucky = Span { trace_state: "ot=rv:10000000000000".into(), ..span(2) };
    bench.take_in(0, "shop", vec![lucky.clone()]);
    bench.take_in(0, "shop", vec![unlucky.clone()]);
    bench.run_clock_to(30_000);
    let kept = bench.forwarded();
    bench.switch(active(&[everything("only")]));
    bench.take_in(30_000, "shop", vec![lucky]);
    bench.take_in(30_000, "shop", vec![failed(unlucky)]);
    let late = bench.forwarded();
    assert_eq!(late, kept, "the late span is written as the ones before");
    assert_eq!(value_of(&late[0], "tailsieve.policy").as_deref(), Some("half"));
    assert_eq!(late[0].trace_state, "ot=th:8;rv:80000000000000");
    assert_eq!((bench.counts().late_kept.spans, bench.counts().late_dropped.spans), (1, 1));
}

#[test]
fn the_time_to_live_of_decisions_is_that_of_the_policies_in_force() {
    let mut bench = Bench::new(active(&[errors("errors")]));
    bench.take_in(0, "shop", vec![span(1)]);
    bench.run_clock_to(30_000);
    let all = crate::sampling::policy::compile(&[everything("all")]).unwrap();
    let short = Policies::new(all, LIMITS, Duration::from_secs(5));
    bench.switch(ActivePolicies::new(short, "short".to_owned()));
    bench.take_in(35_000, "shop", vec![span(1)]);
    assert_eq!(bench.counts().late_dropped.spans, 1, "still remembered");
    bench.take_in(35_001, "shop", vec![span(1)]);
    assert!(bench.is_open(1), "forgotten: a trace of its own");
}

/// What happens to a partition.
#[derive(Clone, Debug)]
enum Step {
    Span { trace: u8, after: i64, red: bool, failed: bool, root: bool },
    Switch(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let flag = || prop::bool::weighted(0.3);
    let span = (1..6_u8, 0..3_000_i64, flag(), flag(), flag());
    let span = span.prop_map(|(trace, after, red, failed, root)| Step::Span {
        trace,
        after,
        red,
        failed,
        root,
    });
    let switch = (0..4_usize).prop_map(Step::Switch);
    prop::collection::vec(prop_oneof![6 => span, 1 => switch], 1..60)
}

/// Policy sets that have nothing in common: rules, names, the order of keys, waits.
fn version(number: usize) -> ActivePolicies {
    let policies = [
        vec![errors("v0-errors")],
        vec![attribute("v1-red", "color", "red"), everything("v1-shadow").into_shadow()],
        vec![attribute("v2-shop", "service.name", "shop"), attribute("v2-red", "color", "red")],
        vec![
            PolicySpec::new(
                "v3-two",
                PolicyKind::SpanCount(SpanCount { min_spans: 2, max_spans: None }),
            ),
            PolicySpec::new(
                "v3-drop",
                PolicyKind::Drop(Drop { drop_sub_policy: vec![errors("failed")] }),
            ),
        ],
    ];
    let wait = Duration::from_secs([30, 6, 15, 4][number]);
    active_with(&policies[number], Limits { decision_wait: wait, ..LIMITS })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Every trace is decided as the version in force at that moment decides the whole of what
    /// came of it, asked from the start.
    #[test]
    fn a_decision_is_made_by_one_version_as_a_whole(steps in steps()) {
        let versions: Vec<ActivePolicies> = (0..4).map(version).collect();
        let mut bench = Bench::new(version(0));
        let mut current = 0;
        let mut records: Vec<Vec<Vec<u8>>> = vec![Vec::new(); 6];
        let mut clock = 0;
        for step in steps {
            let open_before: Vec<u8> =
                (1..6).filter(|trace| bench.is_open(*trace)).collect();
            let mut arrived = None;
            match step {
                Step::Switch(to) => {
                    current = to;
                    bench.switch(version(to));
                }
                Step::Span { trace, after, red, failed: is_failed, root: is_root } => {
                    clock += after;
                    let mut span = if is_root { root(trace) } else { span(trace) };
                    span = if red { with(span, "color", "red") } else { span };
                    span = if is_failed { failed(span) } else { span };
                    let service = if trace % 2 == 0 { "shop" } else { "other" };
                    let record = bench.take_in(clock, service, vec![span]);
                    arrived = Some((trace, record));
                }
            }
            for trace in open_before {
                // A span may have come late, or have opened nothing: traces are decided once.
                if bench.is_open(trace) {
                    continue;
                }
                let active = &versions[current];
                let summary = asked_again(active, trace, &records[usize::from(trace)]);
                let mut budgets = active.policies.set.budgets(1);
                let decision =
                    active.policies.set.decide(&summary, Timestamp(clock), &mut budgets, &mut ());
                prop_assert_eq!(bench.kept_by(trace), name_of(active, decision));
            }
            if let Some((trace, record)) = arrived
                && bench.is_open(trace)
            {
                records[usize::from(trace)].push(record);
            }
        }
    }
}

/// Ends a test that waits in vain.
const PATIENCE: Duration = Duration::from_secs(60);

/// Everything is current.
struct Open;

impl Fence for Open {
    fn status(&self, _: Partition, _: Generation) -> GenerationStatus {
        GenerationStatus::Current
    }
}

/// Scenario: a trace waits for 30 s, nothing more comes, and the policies change.
/// Guarantees: the worker notices by itself, and what the new ones hold complete is decided by
/// them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_without_records_switches_all_the_same() {
    let localhost = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
    let (delivered, mut deliveries) = mpsc::unbounded_channel();
    let sink = move |request| delivered.send(request).unwrap();
    let receiver = Receiver::start(localhost, Box::new(sink)).await.unwrap();
    let settings =
        ExportSettings { endpoint: receiver.local_addr().to_string(), ..Default::default() };
    let (sink, notices) = mpsc::unbounded_channel();
    let sink: AckSink = Box::new(move |acks| drop(sink.send(Notice::Acks(0, acks))));
    let runtime = tokio::runtime::Handle::current();
    let metrics = ExportMetrics::new(&settings);
    let exporter =
        Exporter::start(&settings, &runtime, std::sync::Arc::new(Open), vec![sink], metrics)
            .unwrap();

    let shared = std::sync::Arc::new(shared(active(&[everything("old")])));
    let (senders, mut inboxes) = source::inboxes(1, 1 << 20);
    let inbox = inboxes.pop().unwrap();
    let worker = Worker::new(0, shared.clone(), vec![exporter], inbox, notices);
    let (partition, start) = (Partition(0), Position(0));
    let acquisition = OwnershipTable::default().acquire_for_test(partition, start);
    let generation = acquisition.generation;
    senders[0]
        .rebalance(Rebalance::Assigned {
            partition,
            acquisition,
            start,
            metadata: CommitMetadata::default(),
            takeover: tracing::Span::none(),
        })
        .unwrap();
    let value = record("shop", vec![with(span(1), "color", "red")]);
    let timestamp = Timestamp(0);
    let record = Record {
        offset: Offset(0),
        timestamp,
        key: None,
        value: Some(&value),
        attempts: 0,
        headers: b"",
        keep: None,
    };
    let room = senders[0].try_room(value.len()).unwrap();
    senders[0].records(RecordBatch::of_one(partition, generation, record, room)).unwrap();
    let stop = CancellationToken::new();
    let work = tokio::spawn(worker.run(stop.clone()));

    // The room of the batch comes back when the record was taken in.
    while senders[0].try_room(usize::MAX).is_none() {
        tokio::task::yield_now().await;
    }
    let at_once = Limits { decision_wait: Duration::ZERO, ..LIMITS };
    shared.policies.replace(active_with(&[attribute("new", "color", "red")], at_once));
    let delivery = tokio::time::timeout(PATIENCE, deliveries.recv());
    let request = delivery.await.expect("the worker notices").unwrap();
    let spans = &TracesData::decode(request).unwrap().resource_spans[0].scope_spans[0].spans;
    assert_eq!(value_of(&spans[0], "tailsieve.policy").as_deref(), Some("new"));
    stop.cancel();
    work.await.unwrap();
}
