//! More than a member can take at once: nothing is lost, nothing grows without bound.

use std::cell::Cell;
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use prost::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tailsieve::testing::ids::{SpanId, TraceId};
use tailsieve::testing::testbed::generator::ModelSettings;
use tailsieve::testing::testbed::ledger::{Ledger, SpanFact};
use tailsieve::testing::testbed::receiver::Behaviour;
use tonic::Code;

use crate::rig::{KEEP_ALL, Rig, checked_scrape, traffic};
use crate::support::eventually;

const MIB: f64 = 1024.0 * 1024.0;

/// Spans of the huge trace: four times the cap of `maximum_trace_spans`.
const HUGE: u64 = 200_000;

/// Spans of a record.
const SPANS: u64 = 200;

fn trace_id(number: u64) -> TraceId {
    TraceId::from_slice(&(u128::from(number) + 1).to_be_bytes()).unwrap()
}

fn fact(trace: u64, span: u64) -> SpanFact {
    SpanFact {
        trace_id: trace_id(trace),
        span_id: SpanId::from_slice(&(span + 1).to_be_bytes()).unwrap(),
        start_unix_nano: 1_000_000,
        end_unix_nano: 2_000_000,
        error: false,
        root: span == 0,
        late: false,
        service: "overload",
        randomness: trace_id(trace).randomness(),
    }
}

fn encoded(facts: &[SpanFact]) -> Vec<u8> {
    let span = |fact: &SpanFact| Span {
        trace_id: fact.trace_id.as_bytes().to_vec(),
        span_id: fact.span_id.as_bytes().to_vec(),
        parent_span_id: if fact.root { Vec::new() } else { vec![1; 8] },
        name: "work".into(),
        start_time_unix_nano: fact.start_unix_nano,
        end_time_unix_nano: fact.end_unix_nano,
        ..Span::default()
    };
    let spans = facts.iter().map(span).collect();
    let scope = ScopeSpans { spans, ..ScopeSpans::default() };
    let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
    TracesData { resource_spans: vec![resource] }.encode_to_vec()
}

/// Writes records, each of one trace and keyed by it, and enters them.
fn write(rig: &Rig, records: impl Iterator<Item = Vec<SpanFact>>) -> Ledger {
    let mut config = rig.kafka.client();
    config.set("partitioner", "fnv1a_random").set("linger.ms", "20");
    let producer: BaseProducer = config.create().unwrap();
    let mut ledger = Ledger::new(Default::default());
    for facts in records {
        let (key, payload) = (facts[0].trace_id.to_string(), encoded(&facts));
        let mut record = BaseRecord::to(rig.topic.name()).key(&key).payload(&payload);
        while let Err((_, again)) = producer.send(record) {
            record = again;
            producer.poll(Duration::from_millis(100));
        }
        ledger.record(&facts);
    }
    producer.flush(Duration::from_secs(60)).unwrap();
    ledger
}

/// Scenario: a trace of 200 000 spans between small ones; the cap is 50 000.
/// Guarantees: it is decided at the cap, what comes later follows; every span of it and of the
/// others is delivered, and the partition goes on.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn a_huge_trace_is_delivered_whole_and_blocks_nobody() {
    let rig = Rig::new("huge", KEEP_ALL).with("buffer: {max_bytes: 64MiB}\n");
    let huge = (0..HUGE).collect::<Vec<_>>();
    let huge = huge
        .chunks(SPANS as usize)
        .map(|spans| spans.iter().map(|span| fact(0, *span)).collect::<Vec<_>>());
    // After each record of the huge trace, one small trace.
    let records = (1..).zip(huge).flat_map(|(number, huge)| [huge, vec![fact(number, 0)]]);
    let ledger = write(&rig, records);
    let member = rig.member("member");
    rig.settle();
    let scrape = checked_scrape(&member);
    let verdict = rig.verdict(&ledger);
    println!("{verdict}");
    assert!(verdict.is_balanced());
    assert_eq!(verdict.received_spans, verdict.spans, "everything was to be kept");
    let at_cap = scrape.get("tailsieve_decision_triggers_total{trigger=\"size\"}");
    assert_eq!(at_cap, Some(1.0), "it was decided at its cap");
    assert!(scrape.get("tailsieve_late_spans_total{decision=\"keep\"}").unwrap() >= 149_000.0);
}

/// Scenario: 300 000 traces of one span come as fast as they can be read, all are to be kept, and
/// the backend is away until the member takes no more.
/// Guarantees: memory stays near its bound, the lag is what grows, the metric says why; nothing is
/// lost when the backend is back.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn a_storm_of_tiny_traces_meets_a_backend_that_is_away() {
    let policies = KEEP_ALL.replace("20s", "1s").replace("15s", "1s");
    let rig = Rig::new("storm", &policies).with("buffer: {max_bytes: 16MiB}\n");
    let ledger = write(&rig, (0..300_000).map(|trace| vec![fact(trace, 0)]));
    let receiver = rig.receiver.as_ref().unwrap();
    receiver.behave(Behaviour::Code(Code::Unavailable, None));
    let mut member = rig.start("member");
    member.process.wait_for_line("member.starting");
    let most = Cell::new(0.0_f64);
    let watch = |scrape: &crate::support::Scrape| {
        let buffer = scrape.get("tailsieve_buffer_bytes").unwrap();
        most.set(most.get().max(buffer));
    };
    // The lag is known once a second.
    member.wait_for_metrics("to stall, with the backlog in Kafka", |scrape| {
        watch(scrape);
        let is_stalled = scrape.get("tailsieve_stalled_workers{reason=\"export\"}").unwrap() > 0.0;
        is_stalled && scrape.sum("tailsieve_kafka_lag_records") > 0.0
    });
    checked_scrape(&member);
    receiver.behave(Behaviour::Accept);
    eventually("the member to go on", Duration::from_secs(120), || {
        let scrape = member.scrape();
        watch(&scrape);
        (scrape.sum("tailsieve_received_spans_total") >= 300_000.0).then_some(())
    });
    rig.settle();
    checked_scrape(&member);
    let verdict = rig.verdict(&ledger);
    println!("{verdict}\naccounted at most {:.1} MiB", most.get() / MIB);
    assert!(verdict.is_balanced());
    assert_eq!(verdict.received_spans, 300_000);
    assert!(most.get() < 2.0 * 16.0 * MIB, "accounted: {}", most.get());
}

/// Scenario: the backend is away, so a member's partitions are paused; meanwhile half of them go to another
/// member, which later leaves.
/// Guarantees: the first one reads them when they are back, and nothing is lost.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn partitions_that_went_away_while_they_were_paused_are_read_when_they_are_back() {
    const ALL: &str = "
decision_wait: 2s
policies:
  - {name: everything, type: always_sample}
";
    let rig = Rig::new("paused", ALL).with("buffer: {queue_bytes: 64KiB}\n");
    let mut first = rig.member("first");
    let receiver = rig.receiver.as_ref().unwrap();
    receiver.behave(Behaviour::Code(Code::Unavailable, None));
    let settings = ModelSettings { max_spans: Some(60_000), late_fraction: 0.0, ..traffic(6) };
    let writing = rig.write(settings, false);
    first.process.wait_for_line("kafka.paused");
    let mut second = rig.start("second");
    first.wait_for_metrics("half of the partitions", |scrape| {
        scrape.sum("tailsieve_kafka_owned_partitions") == 6.0
    });
    receiver.behave(Behaviour::Accept);
    first.process.wait_for_line("kafka.resumed");
    assert!(second.process.terminate().success());
    first.wait_for_metrics("all partitions", |scrape| {
        scrape.sum("tailsieve_kafka_owned_partitions") == 12.0
    });
    let ledger = writing.finish();
    rig.settle();
    assert!(rig.verdict(&ledger).is_balanced());
}
