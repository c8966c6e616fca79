use std::collections::BTreeMap;
use std::env;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::*;
use crate::kafka::decision_log::testing::dropped;
use crate::retrieval::reader::OF_SPANS;
use crate::retrieval::{Entry, Origin};
use crate::sampling::decided::TraceDetails;
use crate::sampling::trace::RecordOffsets;
use crate::testbed::generator::{Model, ModelSettings};

/// Of 20 000 spans a second on 12 partitions, those of one.
const SPANS_PER_SECOND: f64 = 20_000.0 / 12.0;
const SPANS: u64 = 60_000;

/// Records of a trace.
const RECORDS: usize = 5;

#[test]
fn what_is_near_is_read_in_one_go() {
    let ranges = [1..=1, 5..=9, 41..=41, 74..=74];
    let together: Vec<usize> = together(&ranges).map(<[_]>::len).collect();
    assert_eq!(together, [3, 1]);
}

/// A partition with traffic as of a collector, and the offsets of each trace, in order.
fn traffic(brokers: &str, topic: &str) -> BTreeMap<TraceId, Vec<i64>> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("linger.ms", "5");
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let new = NewTopic::new(topic, 1, TopicReplication::Fixed(1)).set("retention.ms", "-1");
    runtime.block_on(admin.create_topics([&new], &AdminOptions::new())).unwrap();
    let producer: BaseProducer = config.create().unwrap();
    let settings = ModelSettings {
        rate: SPANS_PER_SECOND,
        max_spans: Some(SPANS),
        duplicate_fraction: 0.0,
        ..ModelSettings::default()
    };
    let mut offsets: BTreeMap<TraceId, Vec<i64>> = BTreeMap::new();
    for (offset, record) in (0..).zip(Model::new(settings)) {
        offsets.entry(record.trace_id.unwrap()).or_default().push(offset);
        let message = BaseRecord::<(), [u8]>::to(topic).partition(0).payload(&record.payload);
        producer.send(message.timestamp(record.at.0)).map_err(|(error, _)| error).unwrap();
        producer.poll(Duration::ZERO);
    }
    producer.flush(Duration::from_secs(60)).unwrap();
    offsets
}

/// Scenario: traces of five records are read by the list of their records, and from the first to the last of
/// them, as if there were no list.
/// Guarantees: the same spans; the list saves nine tenths of what is read.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn a_list_of_records_saves_reading() {
    let brokers = env::var("TAILSIEVE_TEST_KAFKA").unwrap();
    let topic = format!("fetch-{}", rand::random::<u32>());
    let all = traffic(&brokers, &topic);
    let origin = Origin {
        brokers,
        properties: Vec::new(),
        topic: topic.clone(),
        decision_log: topic.clone(),
        decision_index: None,
        group: None,
    };
    let spans = Reader::new(&origin, &topic, &OF_SPANS).unwrap();
    let entry = |offsets: &[i64], details| Entry {
        partition: Partition(0),
        offset: Offset(0),
        marker: None,
        by_former_owner: false,
        record: dropped(1, offsets[0], offsets[offsets.len() - 1]),
        details,
    };
    let (mut listed, mut whole, mut traces) = (0, 0, 0);
    for (id, offsets) in all.iter().filter(|(_, offsets)| offsets.len() == RECORDS).take(100) {
        let mut records = RecordOffsets::one(Offset(offsets[0]));
        offsets[1..].iter().for_each(|offset| records.add(Offset(*offset)));
        let read = |details| {
            let mut budget = Budget::of(Duration::from_secs(60));
            let places = Places::of(&[entry(offsets, details)]);
            let fetched = fetch(&spans, *id, &places, &mut budget).unwrap();
            assert_eq!((fetched.parts.len(), fetched.missing), (RECORDS, 0));
            let parts = fetched.parts.into_iter().map(|part| part.bytes);
            (parts.collect::<Vec<_>>(), budget.bytes())
        };
        let (by_list, by_range) = (read(Some(TraceDetails::late(records, 1, 1))), read(None));
        assert_eq!(by_list.0, by_range.0);
        (listed, whole, traces) = (listed + by_list.1, whole + by_range.1, traces + 1);
    }
    let ratio = whole as f64 / listed as f64;
    println!(
        "{traces} traces of {RECORDS} records: {} bytes each by the list, {} from the first to the \
         last: {ratio:.1}x",
        listed / traces,
        whole / traces
    );
    assert!(ratio >= 10.0, "{ratio}");
}
