//! Tests of the producer against the embedded broker.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{Offset as StartOffset, TopicPartitionList};

use super::*;
use crate::ids::{Offset, Partition, Timestamp};

const TOPIC: &str = "spans";
const PARTITIONS: i32 = 6;

/// A record as it was read back.
#[derive(Debug, PartialEq)]
struct Stored {
    at: Timestamp,
    key: Option<Vec<u8>>,
    payload: Vec<u8>,
}

fn cluster() -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, PARTITIONS, 1).unwrap();
    cluster
}

/// Everything on the topic. Reads until `count` records have come; a test that waits for more than
/// there are fails after a minute without any.
fn read_back(brokers: &str, count: usize) -> HashMap<(Partition, Offset), Stored> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "reader")
        .set("fetch.wait.max.ms", "50")
        .create()
        .unwrap();
    let mut from = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        from.add_partition_offset(TOPIC, partition, StartOffset::Beginning).unwrap();
    }
    consumer.assign(&from).unwrap();
    let mut stored = HashMap::new();
    while stored.len() < count {
        let message = consumer.poll(Duration::from_secs(60));
        let message = message.expect("a record in a minute").unwrap();
        let place = (Partition(message.partition()), Offset(message.offset()));
        let record = Stored {
            at: Timestamp(message.timestamp().to_millis().unwrap()),
            key: message.key().map(<[u8]>::to_vec),
            payload: message.payload().unwrap().to_vec(),
        };
        stored.insert(place, record);
    }
    stored
}

/// The partition that the Collector's Kafka exporter puts a key on (FNV-1a, 32 bits, as sarama).
/// By hand: the testbed takes nothing from what it tests.
fn collector_partition(key: &[u8]) -> i32 {
    let hash = key
        .iter()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    (hash as i32 % PARTITIONS).abs()
}

#[test]
fn what_is_acknowledged_is_on_the_topic_as_it_was_generated() {
    let cluster = cluster();
    let brokers = cluster.bootstrap_servers();
    let model = ModelSettings { max_traces: Some(300), ..ModelSettings::default() };
    let records: Vec<_> = Model::new(model).collect();
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let counters = Arc::new(Counters::default());
    let to = Arc::clone(&acknowledged);
    produce(
        records.iter().cloned(),
        &ProducerSettings::new(&brokers, TOPIC),
        &counters,
        &AtomicBool::new(false),
        move |record| to.lock().unwrap().push(record),
    )
    .unwrap();
    let acknowledged = acknowledged.lock().unwrap();
    assert_eq!(acknowledged.len(), records.len());
    let spans: usize = records.iter().map(|record| record.spans.len()).sum();
    let counted = counters.spans_acknowledged.load(Ordering::Relaxed);
    assert_eq!(counted, spans as u64);

    let stored = read_back(&brokers, records.len());
    let mut unmatched: Vec<_> = records.iter().collect();
    for record in acknowledged.iter() {
        let found = &stored[&(record.partition, record.offset)];
        let key = found.key.as_deref().unwrap();
        assert_eq!(record.partition.0, collector_partition(key));
        assert_eq!(record.at, found.at);
        let is_it = |generated: &&GeneratedRecord| {
            generated.at == found.at
                && generated.payload == found.payload
                && generated.key == found.key
                && generated.spans == record.spans
        };
        let index = unmatched.iter().position(is_it).expect("was generated");
        unmatched.swap_remove(index);
    }
}

#[test]
fn a_record_that_is_not_acknowledged_is_an_error() {
    let cluster = cluster();
    let mut settings = ProducerSettings::new(cluster.bootstrap_servers(), "no such topic");
    settings.properties.push(("topic.metadata.propagation.max.ms".into(), "100".into()));
    settings.properties.push(("message.timeout.ms".into(), "1000".into()));
    let records = Model::new(ModelSettings { max_traces: Some(3), ..ModelSettings::default() });
    cluster
        .topic_error(
            "no such topic",
            rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        )
        .unwrap();
    let counters = Arc::new(Counters::default());
    let stop = AtomicBool::new(false);
    let result = produce(records, &settings, &counters, &stop, |_| {});
    let Err(ProduceError::Unacknowledged { records, .. }) = result else {
        panic!("{result:?}");
    };
    assert!(records > 0);
    assert!(counters.records_failed.load(Ordering::Relaxed) > 0);
}

#[test]
fn the_stop_flag_ends_paced_traffic_and_what_was_sent_is_awaited() {
    let cluster = cluster();
    let start = ModelSettings::default().start;
    let settings = ProducerSettings {
        pace_from: Some(start),
        ..ProducerSettings::new(cluster.bootstrap_servers(), TOPIC)
    };
    let stop = Arc::new(AtomicBool::new(false));
    let counters = Arc::new(Counters::default());
    let model = Model::new(ModelSettings { rate: 5000.0, ..ModelSettings::default() });
    // Without limits the model never ends: only the flag, set on the first acknowledgement, does.
    let flag = Arc::clone(&stop);
    produce(model, &settings, &counters, &stop, move |_| {
        flag.store(true, Ordering::Relaxed);
    })
    .unwrap();
    let sent = counters.records_sent.load(Ordering::Relaxed);
    assert!(sent > 0);
    assert_eq!(counters.records_acknowledged.load(Ordering::Relaxed), sent);
}
