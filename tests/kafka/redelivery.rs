//! Reading again on purpose: what the decision log makes of it, and how to have things delivered
//! again.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use tailsieve::testing::ids::TraceId;

use crate::rig::{Rig, checked_scrape, one_span};
use crate::support::{Member, Scrape};

const KEEP_ALL: &str = "
decision_wait: 5s
decision_wait_after_root_received: 500ms
policies:
  - {name: everything, type: always_sample}
";

const TRACES: u8 = 40;
const PATIENCE: Duration = Duration::from_secs(60);

fn write(rig: &Rig) {
    let producer: BaseProducer = rig.kafka.client().create().unwrap();
    for number in 1..=TRACES {
        let id = TraceId::from_slice(&[number; 16]).unwrap();
        let (key, value) = (id.to_string(), one_span(id, 1, None));
        let partition = i32::from(number) % rig.topic.partitions();
        let record = BaseRecord::to(rig.topic.name()).partition(partition);
        producer.send(record.key(&key).payload(&value)).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

/// As `kafka-consumer-groups.sh --reset-offsets --to-earliest` does it, with no member running.
fn reset_offsets(rig: &Rig) {
    let mut config = rig.kafka.client();
    let consumer: BaseConsumer = config.set("group.id", rig.topic.name()).create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..rig.topic.partitions() {
        list.add_partition_offset(rig.topic.name(), partition, Offset::Offset(0)).unwrap();
    }
    consumer.commit(&list, CommitMode::Sync).unwrap();
}

/// The spans that a member has delivered.
fn delivered(scrape: &Scrape) -> f64 {
    let all = scrape.starting("tailsieve_export_spans_total{");
    let taken = all.iter().filter(|(series, _)| series.contains(r#"outcome="delivered""#));
    taken.map(|(_, count)| count).sum()
}

/// Scenario: a group has delivered a topic; its offsets are set back, and it reads it again; then
/// another group reads it from a time on.
/// Guarantees: the first delivers nothing again, since it is on record that it did; the second
/// delivers all of it.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn offsets_that_are_set_back_deliver_nothing_again_and_another_group_does() {
    let rig = Rig::new("again", KEEP_ALL);
    write(&rig);
    let mut member = rig.member("first");
    rig.settle();
    assert_eq!(delivered(&checked_scrape(&member)), f64::from(TRACES));
    assert!(member.process.terminate().success());

    reset_offsets(&rig);
    let mut member = rig.member("set-back");
    rig.settle();
    assert_eq!(delivered(&checked_scrape(&member)), 0.0);
    let passed_over = r#"tailsieve_replayed_spans_total{outcome="delivered_before"}"#;
    assert_eq!(member.scrape().get(passed_over), Some(f64::from(TRACES)));
    assert!(member.process.terminate().success());

    let group = format!("group_id: {}", rig.topic.name());
    let from = humantime::format_rfc3339_seconds(std::time::SystemTime::now() - PATIENCE * 5);
    let another = format!("{group}-again\n  start_from: {from}");
    let config = rig.config().replace(&group, &another);
    let mut member = Member::start(rig.scratch.path(), "another-group", &config);
    member.wait_ready();
    member.wait_for_metrics("everything to be delivered again", |scrape| {
        delivered(scrape) == f64::from(TRACES)
    });
}
