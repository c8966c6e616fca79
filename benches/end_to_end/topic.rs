//! What is read: a topic that is made once, and found again by what it holds.

use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde::{Deserialize, Serialize};
use tailsieve::testing::testbed::generator::{Model, ModelSettings};

use crate::kafka::Kafka;
use crate::options::Options;

/// Raised when other settings make other records.
const VERSION: u32 = 1;

/// How long a trace of the model is open under the default policies, in seconds: until its root has
/// come, and the wait after that.
const OPEN_SECONDS: f64 = 4.0;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A topic with records on it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Topic {
    pub name: String,
    pub partitions: i32,
    pub records: u64,
    pub spans: u64,
    pub traces: u64,
    pub bytes: u64,
}

impl Topic {
    /// The one that was asked for, made now if it is not there yet.
    pub fn prepared(kafka: &Kafka, options: &Options) -> Self {
        let Options { spans, codec, shape, partitions, open_traces, .. } = options;
        let name = format!(
            "bench-{shape}-{codec}-{spans}-spans-{open_traces}-open-{partitions}-v{VERSION}"
        );
        let note = kafka.note(&name);
        let known = fs::read(&note).ok().and_then(|it| serde_json::from_slice::<Self>(&it).ok());
        if let Some(known) = known.filter(|known| known.is_whole(kafka)) {
            return known;
        }
        println!("making the topic {name} (once) ...");
        delete(kafka, &name);
        create(kafka, &name, *partitions);
        let topic = fill(kafka, options, name);
        assert!(topic.is_whole(kafka), "all records are on the topic");
        fs::create_dir_all(note.parent().expect("it is in a folder")).expect("a folder");
        let text = serde_json::to_vec_pretty(&topic).expect("it can be written");
        fs::write(&note, text).expect("a note of the topic");
        topic
    }

    /// Spans of a record, on average.
    pub fn spans_per_record(&self) -> f64 {
        self.spans as f64 / self.records as f64
    }

    /// True if all its records are there. A Kafka that has just started answers before its
    /// partitions have leaders again, so a topic is given up only after a while.
    fn is_whole(&self, kafka: &Kafka) -> bool {
        let consumer: BaseConsumer = kafka.client().create().expect("a consumer");
        let end = Instant::now() + TIMEOUT;
        while Instant::now() < end {
            if self.records_on(&consumer) == Some(self.records as i64) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        false
    }

    /// Records on it, unless a partition does not answer.
    fn records_on(&self, consumer: &BaseConsumer) -> Option<i64> {
        let records = (0..self.partitions).map(|partition| {
            let marks = consumer.fetch_watermarks(&self.name, partition, Duration::from_secs(1));
            marks.ok().map(|(first, end)| end - first)
        });
        records.sum()
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, partitions, records, spans, traces, bytes } = self;
        write!(
            f,
            "{name}: {spans} spans of {traces} traces in {records} records, {} bytes each, {} a \
             span, {:.1} spans a trace, {partitions} partitions",
            bytes / records,
            bytes / spans,
            *spans as f64 / *traces as f64
        )
    }
}

/// Creates a topic whose records may be old.
pub fn create(kafka: &Kafka, name: &str, partitions: i32) {
    // The records are of the past.
    let new = NewTopic::new(name, partitions, TopicReplication::Fixed(1)).set("retention.ms", "-1");
    let admin: AdminClient<DefaultClientContext> =
        kafka.client().create().expect("an admin client");
    let created = block_on(admin.create_topics(&[new], &AdminOptions::new()));
    created.expect("an answer").into_iter().for_each(|topic| {
        topic.expect("the topic is created");
    });
}

/// Deletes a topic, if it is there.
pub fn delete(kafka: &Kafka, name: &str) {
    let admin: AdminClient<DefaultClientContext> =
        kafka.client().create().expect("an admin client");
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
    let _ = block_on(admin.delete_topics(&[name], &options));
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

fn fill(kafka: &Kafka, options: &Options, name: String) -> Topic {
    let mut config = kafka.client();
    config
        .set("linger.ms", "50")
        .set("acks", "1")
        .set("compression.type", &options.codec)
        .set("partitioner", "fnv1a_random")
        .set("queue.buffering.max.messages", "100000");
    let producer: BaseProducer = config.create().expect("a producer");
    let settings = ModelSettings {
        max_spans: Some(options.spans),
        layout: options.shape,
        rate: options.open_traces as f64 / OPEN_SECONDS * 12.0,
        ..ModelSettings::default()
    };
    let partitions = options.partitions;
    let mut topic = Topic { name, partitions, records: 0, spans: 0, traces: 0, bytes: 0 };
    let mut model = Model::new(settings);
    for record in model.by_ref() {
        let key = record.key.unwrap_or_default();
        let mut message =
            BaseRecord::to(&topic.name).key(&key).payload(&record.payload).timestamp(record.at.0);
        while let Err((_, unsent)) = producer.send(message) {
            message = unsent;
            producer.poll(Duration::from_millis(10));
        }
        producer.poll(Duration::ZERO);
        topic.records += 1;
        topic.spans += record.spans.len() as u64;
        topic.bytes += record.payload.len() as u64;
    }
    producer.flush(Duration::from_secs(60)).expect("all is produced");
    topic.traces = model.traces_started();
    topic
}
