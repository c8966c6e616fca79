//! Logs that are not what they were: topics that are deleted and created again, and offsets that hold no
//! record.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use tailsieve::testing::ids::TraceId;

use crate::rig::{Rig, checked_scrape, one_span};
use crate::support::{Member, eventually};

/// Keeps everything: a trace whose root came at once, any other one after a while.
const KEEP_ALL: &str = "
decision_wait: 60s
decision_wait_after_root_received: 500ms
policies:
  - {name: everything, type: always_sample}
";

const PATIENCE: Duration = Duration::from_secs(60);

fn id(number: u32) -> TraceId {
    TraceId::from_slice(&[(number + 1).to_be_bytes(); 4].concat()).unwrap()
}

/// Writes a trace a number: its root alone, or a span without it.
fn write(rig: &Rig, numbers: Range<u32>, is_root: bool) {
    let producer: BaseProducer = rig.kafka.client().create().unwrap();
    for number in numbers {
        send(rig, &producer, number, &one_span(id(number), 1, (!is_root).then_some(9)));
    }
    producer.flush(PATIENCE).unwrap();
}

fn write_span(rig: &Rig, number: u32, span: u8, parent: Option<u8>) {
    let producer: BaseProducer = rig.kafka.client().create().unwrap();
    send(rig, &producer, number, &one_span(id(number), span, parent));
    producer.flush(PATIENCE).unwrap();
}

fn send(rig: &Rig, producer: &BaseProducer, number: u32, value: &[u8]) {
    let key = id(number).to_string();
    let partition = number as i32 % rig.topic.partitions();
    let record = BaseRecord::to(rig.topic.name()).partition(partition);
    producer.send(record.key(&key).payload(value)).map_err(|(error, _)| error).unwrap();
}

/// Waits until each of these traces was delivered.
fn wait_delivered(rig: &Rig, numbers: Range<u32>) {
    let mut missing = Vec::new();
    let what = format!("{numbers:?} to be delivered");
    eventually(&what, PATIENCE, || {
        missing =
            numbers.clone().filter(|number| rig.policies_of(id(*number)).is_empty()).collect();
        missing.is_empty().then_some(())
    });
    for number in numbers {
        assert_eq!(rig.policies_of(id(number)), ["everything"], "{number}");
    }
}

fn rig(test: &str, protocol: &str, partitions: i32) -> Rig {
    let mut rig = Rig::new(test, KEEP_ALL).with_kafka(&format!("group_protocol: {protocol}"));
    rig.topic = rig.kafka.topic(test, partitions, &[]);
    rig
}

fn recreations(member: &Member) -> f64 {
    member.scrape().sum("tailsieve_kafka_topic_recreations_total")
}

/// Scenario: a topic is deleted and created again under a running member; the new log is shorter than
/// what was read of the old one, or at once longer. Some traces were open.
/// Guarantees: everything of the new topic is read and delivered, and what was open is delivered
/// on what there was of it; it is logged and counted, and nothing was passed over.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn a_recreated_topic_is_read_from_its_beginning() {
    for protocol in ["classic", "consumer"] {
        for (name, before, after) in [("short", 50, 20), ("long", 20, 300)] {
            let rig = rig(&format!("recreated-{name}-{protocol}"), protocol, 1);
            let mut member = rig.member("member");
            write(&rig, 0..before, true);
            wait_delivered(&rig, 0..before);
            write(&rig, 1000..1005, false);
            member.wait_for_metrics("five open traces", |scrape| {
                scrape.sum("tailsieve_open_traces") == 5.0
            });

            rig.topic.recreate();
            // At the very offset that its trace had on the old topic.
            write_span(&rig, 0, 2, None);
            write(&rig, before..before + after, true);
            wait_delivered(&rig, 0..before + after);
            wait_delivered(&rig, 1000..1005);
            rig.settle();
            let scrape = checked_scrape(&member);
            assert_eq!(scrape.sum("tailsieve_kafka_skipped_records_total"), 0.0);
            let early = scrape.get(r#"tailsieve_decision_triggers_total{trigger="log_gone"}"#);
            assert_eq!(early, Some(5.0), "{protocol}, {name}");
            assert_eq!(recreations(&member), 1.0, "{protocol}, {name}");
            let late = scrape.get(r#"tailsieve_late_spans_total{decision="keep"}"#);
            // What was read of the longer one before it was noticed comes again.
            let most = if name == "short" { 1 } else { 1 + after };
            let is_right = late.is_some_and(|late| (1.0..=f64::from(most)).contains(&late));
            assert!(is_right, "{protocol}, {name}: what was kept stays kept: {late:?}");
            assert!(member.process.terminate().success());
        }
    }
}

/// Scenario: the group committed for a topic that was deleted while no member ran, and the commit
/// outlived it.
/// Guarantees: it means nothing for the topic of the same name that is there now.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn an_offset_of_another_topic_is_no_place_to_start() {
    let rig = rig("recreated-away", "classic", 1);
    write(&rig, 0..50, true);
    let mut member = rig.member("before");
    wait_delivered(&rig, 0..50);
    rig.settle();
    assert!(member.process.terminate().success());
    let committed = committed(&rig);
    assert!(committed.contains("topic="), "{committed}");

    rig.topic.recreate();
    write(&rig, 50..150, true);
    commit(&rig, 50, &committed);
    let mut member = rig.member("after");
    member.process.wait_for_line("kafka.topic_recreated");
    wait_delivered(&rig, 50..150);
    rig.settle();
}

/// The metadata that the group committed.
fn committed(rig: &Rig) -> String {
    let mut list = TopicPartitionList::new();
    list.add_partition(rig.topic.name(), 0);
    let mut config = rig.kafka.client();
    let consumer: BaseConsumer = config.set("group.id", rig.topic.name()).create().unwrap();
    let committed = consumer.committed_offsets(list, PATIENCE).unwrap();
    committed.elements()[0].metadata().to_owned()
}

fn commit(rig: &Rig, offset: i64, metadata: &str) {
    let mut list = TopicPartitionList::new();
    let mut element = list.add_partition(rig.topic.name(), 0);
    element.set_offset(Offset::Offset(offset)).unwrap();
    element.set_metadata(metadata);
    let mut config = rig.kafka.client();
    let consumer: BaseConsumer = config.set("group.id", rig.topic.name()).create().unwrap();
    consumer.commit(&list, CommitMode::Sync).unwrap();
}

/// Scenario: partitions end in the marker of a transaction that was committed, or aborted; of one
/// everything was deleted before it was read; in one a transaction is open.
/// Guarantees: the lag goes back to 0, in records and in seconds, and everything is committed; what is
/// in the open transaction is read when it is committed.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn what_is_no_record_is_no_lag() {
    let rig = rig("markers", "classic", 4);
    let mut config = rig.kafka.client();
    config.set("transactional.id", rig.topic.name());
    let producer: BaseProducer = config.create().unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    let mut ends = BTreeMap::new();
    for (number, partition) in [(0_u32, 0), (1, 1), (2, 0)] {
        producer.begin_transaction().unwrap();
        let value = one_span(id(number), 1, None);
        let record: BaseRecord<'_, (), _> = BaseRecord::to(rig.topic.name());
        producer.send(record.partition(partition).payload(&value)).map_err(|(e, _)| e).unwrap();
        producer.flush(PATIENCE).unwrap();
        match partition {
            0 => producer.commit_transaction(PATIENCE).unwrap(),
            _ => producer.abort_transaction(PATIENCE).unwrap(),
        }
        *ends.entry(partition).or_insert(0) += 2;
    }
    write(&rig, 10..11, true);
    rig.topic.delete_records(&BTreeMap::from([(2, 1)]));
    *ends.entry(2).or_insert(0) += 1;
    let open: BaseProducer =
        config.set("transactional.id", format!("{}-open", rig.topic.name())).create().unwrap();
    open.init_transactions(PATIENCE).unwrap();
    open.begin_transaction().unwrap();
    let value = one_span(id(3), 1, None);
    let record: BaseRecord<'_, (), _> = BaseRecord::to(rig.topic.name());
    open.send(record.partition(3).payload(&value)).map_err(|(e, _)| e).unwrap();
    open.flush(PATIENCE).unwrap();

    let mut member = rig.member("member");
    wait_delivered(&rig, 0..1);
    wait_delivered(&rig, 2..3);
    assert!(rig.policies_of(id(1)).is_empty(), "its transaction was aborted");
    member.wait_for_metrics("no lag", |scrape| {
        let is_none = |name| scrape.sum(name) == 0.0;
        scrape.sum("tailsieve_received_spans_total") == 2.0
            && is_none("tailsieve_kafka_lag_records")
            && is_none("tailsieve_kafka_lag_seconds")
    });
    open.commit_transaction(PATIENCE).unwrap();
    wait_delivered(&rig, 3..4);
    ends.insert(3, 2);
    rig.settle();
    let committed = rig.kafka.committed(rig.topic.name(), &rig.topic);
    for (partition, end) in ends {
        assert_eq!(committed[&partition], Some(end), "partition {partition}");
    }
    checked_scrape(&member);
}
