//! Kept traces to a topic, against librdkafka's broker for tests.

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message as _;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{Offset, TopicPartitionList};

use super::super::*;
use super::backend::{acks, start, trace};
use crate::kafka::partitioner::Family;

const PARTITIONS: i32 = 4;

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn cluster() -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("kept", PARTITIONS, 1).unwrap();
    cluster
}

fn settings(cluster: &Cluster) -> ExportSettings {
    let target = KafkaTarget {
        brokers: cluster.bootstrap_servers(),
        topic: "kept".to_owned(),
        properties: Vec::new(),
    };
    let mut settings = ExportSettings {
        kafka: Some(target),
        flush_interval: Duration::from_millis(1),
        ..ExportSettings::of(Protocol::Kafka)
    };
    settings.retry_on_failure.initial_interval = Duration::from_millis(5);
    settings.retry_on_failure.max_interval = Duration::from_millis(20);
    settings
}

/// `count` records as (partition, key, value), in no order.
fn records(cluster: &Cluster, count: usize) -> Vec<(i32, String, Bytes)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "reader")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset("kept", partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut records = Vec::new();
    while records.len() < count {
        let Some(message) = consumer.poll(Duration::from_secs(1)) else { continue };
        let message = message.unwrap();
        let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
        let value = Bytes::copy_from_slice(message.payload().unwrap());
        records.push((message.partition(), key, value));
    }
    records
}

/// What the Collector's exporter does.
fn partition_of(key: &str) -> i32 {
    Family::Fnv1a.partition(key.as_bytes(), PARTITIONS.cast_unsigned()).0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_chunk_is_a_record_under_the_key_of_its_trace() {
    let cluster = cluster();
    let (exporter, mut ack_receiver) = start(&settings(&cluster));
    for pin in 0..20 {
        exporter.try_send(trace(pin, 100)).unwrap();
    }
    let acks = acks(&mut ack_receiver, 20).await;
    assert!(acks.iter().all(|(_, outcome)| *outcome == Outcome::Delivered));
    assert!(exporter.reachable());
    let mut records = records(&cluster, 20);
    records.sort_by(|a, b| a.1.cmp(&b.1));
    for (pin, (partition, key, value)) in records.iter().enumerate() {
        let sent = trace(pin as u64, 100);
        assert_eq!((key, value), (&sent.trace_id.to_string(), &sent.bytes));
        assert_eq!(*partition, partition_of(key), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_brokers_find_too_large_is_refused_and_what_may_pass_is_tried_again() {
    for (error, outcome) in [
        ([RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE; 3], Outcome::Refused),
        ([RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 3], Outcome::Delivered),
    ] {
        let cluster = cluster();
        cluster.request_errors(RDKafkaApiKey::Produce, &error);
        let (exporter, mut ack_receiver) = start(&settings(&cluster));
        exporter.try_send(trace(1, 100)).unwrap();
        assert_eq!(acks(&mut ack_receiver, 1).await, [(1, outcome)], "{error:?}");
        if outcome == Outcome::Delivered {
            assert_eq!(records(&cluster, 1).len(), 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_that_are_out_of_reach_are_waited_for() {
    let mut settings = settings(&cluster());
    settings.kafka.as_mut().unwrap().brokers = "127.0.0.1:1".to_owned();
    settings.timeout = Duration::from_millis(200);
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let (exporter, mut ack_receiver) =
        ::metrics::with_local_recorder(&recorder, || start(&settings));
    exporter.try_send(trace(1, 100)).unwrap();
    let none = "tailsieve_export_retries_total{exporter=\"default\"} 0\n";
    while recorder.handle().render().contains(none) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(!exporter.reachable());
    assert!(ack_receiver.try_recv().is_err());
}
