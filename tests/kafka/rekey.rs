//! `tailsieve rekey`: a topic without keys becomes one that keeps each trace in one partition.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message as _;
use rdkafka::Message as _;
use tailsieve::testing::ids::{Partition, TraceId};
use tailsieve::testing::kafka::partitioner::Family;
use tailsieve::testing::kafka::source;
use tailsieve::testing::testbed::generator::{Layout, ModelSettings};

use crate::bad_input::{assert_has_all_texts, record_of_texts};
use crate::rig::{POLICIES, Rig};
use crate::support::{Process, Topic, eventually, free_address, http_get, tailsieve};

const PATIENCE: Duration = Duration::from_secs(180);

/// A running `tailsieve rekey` from `from` into the topic of the rig.
pub fn rekey(rig: &Rig, from: &Topic, name: &str) -> (Process, String) {
    let admin = free_address();
    let file = rig.scratch.path().join(format!("{name}.yaml"));
    fs::write(&file, rig.config().replace("$ADMIN", &admin)).unwrap();
    let mut command = tailsieve();
    command.args(["--log-format=json", "rekey", "--from", from.name(), "--config"]).arg(file);
    (Process::spawn(command, rig.scratch.path(), name), admin)
}

/// Waits until everything on `from` is committed by the group that rekeys it.
fn settle(rig: &Rig, from: &Topic) {
    let group = format!("{}-rekey", rig.topic.name());
    let ends = from.end_offsets();
    eventually("everything to be rekeyed", PATIENCE, || {
        let committed = rig.kafka.committed(&group, from);
        let is_done = |(partition, end): (&i32, &i64)| {
            *end == 0 || committed.get(partition) == Some(&Some(*end))
        };
        ends.iter().all(is_done).then_some(())
    });
}

/// The spans of a topic and how often each is there, by trace; and the partitions of each trace.
#[derive(Default)]
struct Contents {
    spans: BTreeMap<(Vec<u8>, Vec<u8>), usize>,
    partitions: HashMap<Vec<u8>, i32>,
}

/// Reads a topic that is rekeyed: every record has to hold one trace, and be where it belongs.
fn read(topic: &Topic, is_rekeyed: bool) -> Contents {
    let mut contents = Contents::default();
    for record in topic.records() {
        let traces = TracesData::decode(record.payload().unwrap()).unwrap();
        for span in
            traces.resource_spans.iter().flat_map(|it| &it.scope_spans).flat_map(|it| &it.spans)
        {
            if is_rekeyed {
                let id = TraceId::from_slice(&span.trace_id).unwrap();
                let key = id.to_string().into_bytes();
                assert_eq!(record.key(), Some(key.as_slice()));
                let partitions = topic.partitions().cast_unsigned();
                let placed = Family::Fnv1a.partition(&key, partitions);
                assert_eq!(placed, Partition(record.partition()), "as the Collector places it");
                let first = contents.partitions.entry(span.trace_id.clone());
                assert_eq!(*first.or_insert(record.partition()), record.partition());
            }
            *contents.spans.entry((span.trace_id.clone(), span.span_id.clone())).or_default() += 1;
        }
    }
    contents
}

/// Scenario: Collectors write without keys, many traces a record; rekey is killed in the middle
/// and started again; a member reads what it writes.
/// Guarantees: every span is on the topic, keyed by its trace and where the Collector would have
/// put it; the member's ledger balances, and every trace that is kept is whole.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn an_unkeyed_topic_becomes_a_keyed_one_in_spite_of_kill_9() {
    // Waits that bridge the time from the kill to the restart.
    let policies =
        POLICIES.replace("wait: 8s", "wait: 60s").replace("received: 3s", "received: 45s");
    let rig = Rig::new("rekey", POLICIES);
    rig.scratch.write("policies.yaml", &policies);
    let from = rig.kafka.topic("rekey-from", 6, &[]);
    let (mut first, _) = rekey(&rig, &from, "rekey");
    let settings = ModelSettings {
        seed: 1,
        start: source::now(),
        rate: 6000.0,
        layout: Layout::Batched,
        max_spans: Some(60_000),
        ..ModelSettings::default()
    };
    let writing = rig.write_to(&from, settings, true);
    writing.wait_for(20_000);
    eventually("records to be rekeyed", PATIENCE, || {
        (rig.topic.end_offsets().values().sum::<i64>() > 1000).then_some(())
    });
    first.kill();
    let (mut second, admin) = rekey(&rig, &from, "rekey-again");
    let member = rig.member("member");
    let ledger = writing.finish();
    settle(&rig, &from);
    let metrics = http_get(&admin, "/metrics").unwrap().1;
    assert!(metrics.contains("tailsieve_rekey_read_records_total{fate=\"split\"}"), "{metrics}");
    assert!(second.terminate().success(), "it ends in good order");

    let (before, after) = (read(&from, false), read(&rig.topic, true));
    assert!(before.spans.keys().eq(after.spans.keys()), "the same spans on both topics");
    let fewer = before.spans.iter().filter(|(span, count)| after.spans[*span] < **count).count();
    assert_eq!(fewer, 0, "spans are missing");
    let again = after.spans.values().sum::<usize>() - before.spans.values().sum::<usize>();
    println!("{again} spans written again after the kill");

    rig.settle();
    let verdict = rig.verdict(&ledger);
    println!("{verdict}");
    assert!(verdict.is_balanced());
    assert!(verdict.expected_traces > 300, "the test has something to lose");
    drop(member);
}

/// Guarantees: what is not OTLP comes through as it is, with its key; OTLP JSON comes through as
/// protobuf; a null value stays one.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn what_cannot_be_read_is_passed_on() {
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
    let rig = Rig::new("rekey-odd", POLICIES);
    let from = rig.kafka.topic("rekey-odd-from", 1, &[]);
    let json = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{
        "traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","name":"n"}]}]}]}"#;
    let producer: BaseProducer = rig.kafka.client().create().unwrap();
    type Part<'a> = Option<&'a [u8]>;
    let odd: [(Part<'_>, Part<'_>); 4] = [
        (Some(b"k"), Some(b"\xff\xff no protobuf")),
        (None, Some(b"\xfe\xfe neither")),
        (Some(b"null"), None),
        (Some(b"json"), Some(json)),
    ];
    for (key, value) in odd {
        let mut record = BaseRecord::<[u8], [u8]>::to(from.name());
        (record.key, record.payload) = (key, value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(Duration::from_secs(60)).unwrap();
    let (mut process, _) = rekey(&rig, &from, "rekey");
    settle(&rig, &from);
    assert!(process.log().contains("rekey.unreadable"));
    assert!(process.terminate().success());
    let records = rig.topic.records();
    let mut found: Vec<_> = records.iter().map(|record| (record.key(), record.payload())).collect();
    found.sort();
    let id = b"0af7651916cd43dd8448eb211c80319c".as_slice();
    let protobuf = tailsieve::testing::otlp::json::to_protobuf(json).unwrap();
    let mut expected = vec![odd[0], odd[1], odd[2], (Some(id), Some(protobuf.as_slice()))];
    expected.sort();
    assert_eq!(found, expected);
}

/// Guarantees: text that is not UTF-8 comes through byte for byte, also where a record is split.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn text_that_is_not_utf8_comes_through() {
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
    let rig = Rig::new("rekey-utf8", POLICIES);
    let from = rig.kafka.topic("rekey-utf8-from", 1, &[]);
    let record = record_of_texts(3);
    let producer: BaseProducer = rig.kafka.client().create().unwrap();
    let send = BaseRecord::<[u8], [u8]>::to(from.name()).payload(&record);
    producer.send(send).map_err(|(error, _)| error).unwrap();
    producer.flush(Duration::from_secs(60)).unwrap();
    let (mut process, _) = rekey(&rig, &from, "rekey");
    settle(&rig, &from);
    assert!(!process.log().contains("rekey.unreadable"));
    assert!(process.terminate().success());
    let records = rig.topic.records();
    let keys: Vec<_> = records.iter().map(|record| record.key().unwrap().to_vec()).collect();
    assert_eq!(records.len(), 2, "{keys:?}");
    let all: Vec<u8> = records.iter().flat_map(|it| it.payload().unwrap()).copied().collect();
    assert_has_all_texts(&all);
}

/// Guarantees: a topic to write that is the one to read, or is not there, ends the start with what
/// to do; `--create-topics` creates it.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn topics_are_checked_before_anything_is_read() {
    let rig = Rig::new("rekey-topics", POLICIES);
    let file = rig.scratch.path().join("rekey.yaml");
    fs::write(&file, rig.config().replace("$ADMIN", &free_address())).unwrap();
    let rekey = |to: &str, more: &[&str]| {
        let mut command = tailsieve();
        command.args(["--log-format=json", "rekey", "--from", rig.topic.name(), "--to", to]);
        command.args(more).arg("--config").arg(&file);
        command
    };
    let failed = |to: &str| {
        let output = rekey(to, &[]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, error) = failed(rig.topic.name());
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("are the same"), "{error}");
    let new = format!("{}-new", rig.topic.name());
    let (code, error) = failed(&new);
    assert_eq!(code, Some(1), "{error}");
    let create = format!("--create --topic {new} --partitions 12");
    assert!(error.contains(&create), "{error}");
    let command = rekey(&new, &["--create-topics"]);
    let mut process = Process::spawn(command, rig.scratch.path(), "create");
    process.wait_for_line("rekey.topic_created");
    process.wait_for_line("kafka.assigned");
    assert!(process.terminate().success());
}

/// Scenario: a span is larger than the topic to write takes; later the topic is told to take it.
/// Guarantees: until then its offset is held, however often it is refused; then it comes through.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn what_is_not_taken_holds_its_offset_until_it_is() {
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
    use rdkafka::client::DefaultClientContext;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
    let mut rig = Rig::new("rekey-large", POLICIES);
    rig.topic = rig.kafka.topic("rekey-large-to", 1, &[("max.message.bytes", "2000")]);
    let from = rig.kafka.topic("rekey-large-from", 1, &[]);
    // No compression makes it small.
    let mut state = 1_u64;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'a' + (state >> 33) as u8 % 26)
    };
    let name: String = (0..100_000).map(|_| letter()).collect();
    let span = Span { trace_id: vec![7; 16], span_id: vec![7; 8], name, ..Span::default() };
    let scope = ScopeSpans { spans: vec![span], ..ScopeSpans::default() };
    let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
    let value = TracesData { resource_spans: vec![resource] }.encode_to_vec();
    let producer: BaseProducer = rig.kafka.client().create().unwrap();
    let record = BaseRecord::<[u8], [u8]>::to(from.name()).payload(&value);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(Duration::from_secs(60)).unwrap();

    let (mut process, admin) = rekey(&rig, &from, "rekey");
    process.wait_for_line("rekey.not_taken");
    let retried = |metrics: &str| {
        let line =
            metrics.lines().find(|it| it.starts_with("tailsieve_rekey_retried_records_total"));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
    };
    // Each try is a second after the one before, and offsets are committed every second.
    eventually("some tries", PATIENCE, || {
        let (_, metrics) = http_get(&admin, "/metrics")?;
        retried(&metrics).filter(|tries| *tries >= 4)
    });
    let group = format!("{}-rekey", rig.topic.name());
    assert_ne!(rig.kafka.committed(&group, &from)[&0], Some(1), "the offset is held");

    let client: AdminClient<DefaultClientContext> = rig.kafka.client().create().unwrap();
    let topic = ResourceSpecifier::Topic(rig.topic.name());
    let larger = AlterConfig::new(topic).set("max.message.bytes", "1000000");
    let options = AdminOptions::new();
    let altered = rig.runtime.block_on(client.alter_configs([&larger], &options)).unwrap();
    altered.into_iter().for_each(|result| drop(result.unwrap()));
    settle(&rig, &from);
    assert!(process.terminate().success());
    let records = rig.topic.records();
    let id = "07".repeat(16);
    assert_eq!(records[0].key(), Some(id.as_bytes()));
    assert_eq!(records[0].payload(), Some(value.as_slice()));
}
