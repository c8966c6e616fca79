//! Tests of the producer against the embedded broker.

use std::collections::HashMap;
use std::io::BufReader;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Parser;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{Offset as StartOffset, TopicPartitionList};

use super::*;
use crate::ids::{Offset, Partition, Timestamp};
use crate::ledger::Ledger;

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

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    generate: GenerateArgs,
}

fn parse(arguments: &[&str]) -> Result<GenerateArgs, clap::Error> {
    let name = ["generate"].iter();
    Cli::try_parse_from(name.chain(arguments)).map(|cli| cli.generate)
}

#[test]
fn the_command_leaves_a_ledger_of_what_is_on_the_topic() {
    let cluster = cluster();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ledger.jsonl");
    let args = parse(&[
        "--brokers",
        &cluster.bootstrap_servers(),
        "--topic",
        TOPIC,
        "--rate=0",
        "--traces=200",
        "--late-fraction=0.1",
        "--compression=lz4",
        "-Xbatch.size=10000",
        "--start-time=2026-01-02T03:04:05Z",
        "--ledger",
        file.to_str().unwrap(),
    ]);
    run(&args.unwrap()).unwrap();
    let reader = BufReader::new(std::fs::File::open(&file).unwrap());
    let ledger = Ledger::read(reader).unwrap();
    assert_eq!(ledger.settings["start_unix_milli"], "1767323045000");
    let mut expected = Ledger::new(ledger.settings.clone());
    for record in Model::new(ModelSettings {
        start: Timestamp(1_767_323_045_000),
        rate: 10_000.0,
        max_traces: Some(200),
        late_fraction: 0.1,
        ..ModelSettings::default()
    }) {
        expected.record(&record.spans);
    }
    assert_eq!(ledger.traces.len(), expected.traces.len());
    for (trace_id, trace) in &mut expected.traces {
        // Acknowledgements come partition by partition, records in order within each.
        let written = &ledger.traces[trace_id];
        assert_eq!(written, trace);
    }
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let endless = parse(&["--rate=0"]).unwrap();
    let now = std::time::SystemTime::now();
    assert!(matches!(endless.model_settings(now), Err(GenerateError::Endless)));
    assert!(parse(&["--error-fraction=1.5"]).is_err());
    assert!(parse(&["--rate=-1"]).is_err());
    assert!(parse(&["-Xlinger"]).is_err());
    assert!(parse(&["--duration=soon"]).is_err());
}

#[test]
fn a_backlog_ends_in_the_past() {
    let args = parse(&["--rate=0", "--spans=20000", "--late-fraction=0.01"]).unwrap();
    let now = std::time::UNIX_EPOCH + Duration::from_secs(1_760_000_000);
    let settings = args.model_settings(now).unwrap();
    let last = Model::new(settings).last().unwrap();
    assert!(last.at < Timestamp(1_760_000_000_000));
    assert!(last.at > Timestamp(1_760_000_000_000 - 60_000));
}
