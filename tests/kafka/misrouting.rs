//! Traces that are not kept in one partition: a running member counts, explains and shows it.

use std::time::Duration;

use rdkafka::Message as _;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tailsieve::testing::kafka::source;
use tailsieve::testing::testbed::generator::ModelSettings;

use crate::rig::{POLICIES, Rig, checked_scrape};
use crate::support::http_get;

fn series(kind: &str) -> String {
    format!("tailsieve_misrouted_records_total{{kind=\"{kind}\"}}")
}

/// Scenario: a topic that the Collector wrote; then a Java producer writes spans of the same
/// traces; then partitions are added.
/// Guarantees: nothing is said of the first; the second is counted as two partitioners and as
/// traces on two partitions, the third once; each is explained in the log with what mends it, and
/// shown on `/readyz?verbose`, and the member stays ready.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn two_partitioners_and_added_partitions_are_told() {
    let rig = Rig::new("misrouting", POLICIES)
        .with_kafka("properties: {topic.metadata.refresh.interval.ms: 2000}");
    let settings = ModelSettings {
        seed: 1,
        start: source::now(),
        rate: 20_000.0,
        max_spans: Some(40_000),
        ..ModelSettings::default()
    };
    rig.write(settings, true).finish();
    let mut member = rig.member("member");
    rig.settle();
    let scrape = checked_scrape(&member);
    for kind in ["null_key", "foreign_key", "two_partitions", "two_partitioners"] {
        assert_eq!(scrape.get(&series(kind)), Some(0.0), "{kind}");
    }

    let mut config = rig.kafka.client();
    let java: BaseProducer = config.set("partitioner", "murmur2_random").create().unwrap();
    for record in rig.topic.records() {
        let record = BaseRecord::<[u8], [u8]>::to(rig.topic.name())
            .key(record.key().unwrap())
            .payload(record.payload().unwrap())
            .timestamp(source::now().0);
        java.send(record).map_err(|(error, _)| error).unwrap();
        java.poll(Duration::ZERO);
    }
    java.flush(Duration::from_secs(60)).unwrap();
    member.wait_for_metrics("two partitioners", |scrape| {
        let is_counted = |kind| scrape.get(&series(kind)) > Some(0.0);
        is_counted("two_partitions") && is_counted("two_partitioners")
    });

    let admin: AdminClient<DefaultClientContext> = rig.kafka.client().create().unwrap();
    let partitions = NewPartitions::new(rig.topic.name(), 18);
    let options = AdminOptions::new();
    let added = rig.runtime.block_on(admin.create_partitions([&partitions], &options)).unwrap();
    added.into_iter().for_each(|result| drop(result.unwrap()));
    member.wait_for_metrics("added partitions", |scrape| {
        scrape.get(&series("partitions_added")) == Some(1.0)
    });
    let (status, page) = http_get(member.admin(), "/readyz?verbose").unwrap();
    assert_eq!(status, 200, "{page}");
    for kind in ["two_partitions", "two_partitioners", "partitions_added"] {
        assert!(page.contains(&format!("[!] {kind}: ")), "{kind} is not in {page}");
    }
    let line = member.process.wait_for_line("two_partitioners");
    assert!(line.contains("records.misrouted") && line.contains("fnv1a_random"), "{line}");
}
