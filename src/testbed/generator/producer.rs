//! Writes generated records to a topic.
//!
//! Owns the Kafka producer: idempotent, acknowledged by all replicas, partitioned as the Collector does
//! it. Promises that every record is either acknowledged and passed to the caller, or counted as failed,
//! which makes the run an error. Follows the wall clock if asked to. Waits while the queue is full;
//! drops nothing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use thiserror::Error;

use super::model::GeneratedRecord;
use crate::ids::{Offset, Partition, Timestamp};
use crate::sync::lock;
use crate::testbed::ledger::SpanFact;

/// How often the stop flag is checked, at least.
const POLL_SLICE: Duration = Duration::from_millis(50);

/// How often an error of the Kafka client that persists is logged.
const ERROR_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Where records go, and how.
#[derive(Clone, Debug)]
pub struct ProducerSettings {
    /// `bootstrap.servers`.
    pub brokers: String,
    /// The topic.
    pub topic: String,
    /// `compression.type`: none, gzip, snappy, lz4 or zstd.
    pub compression: String,
    /// `linger.ms`: how long a record waits for others.
    pub linger: Duration,
    /// Further librdkafka properties; they win over everything else.
    pub properties: Vec<(String, String)>,
    /// If given, a record is sent as long after the start of [`produce`] as its time is after this
    /// one; otherwise as soon as possible.
    pub pace_from: Option<Timestamp>,
    /// How long to wait at the end for acknowledgements.
    pub flush_timeout: Duration,
}

impl ProducerSettings {
    /// The usual settings, as fast as possible.
    pub fn new(brokers: impl Into<String>, topic: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            topic: topic.into(),
            compression: "zstd".into(),
            linger: Duration::from_millis(20),
            properties: Vec::new(),
            pace_from: None,
            flush_timeout: Duration::from_secs(60),
        }
    }

    fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "tailsieve-generate")
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("partitioner", "fnv1a_random")
            .set("compression.type", &self.compression)
            .set("linger.ms", self.linger.as_millis().to_string())
            .set("queue.buffering.max.kbytes", "131072");
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        config
    }
}

/// Why records are not, or not all, on the topic.
#[derive(Debug, Error)]
pub enum ProduceError {
    /// librdkafka refuses the settings.
    #[error("cannot create the kafka producer: {0}")]
    Client(#[source] KafkaError),
    /// Records were refused, or sent and not acknowledged.
    #[error("{records} records were not acknowledged: {reason}")]
    Unacknowledged {
        /// How many.
        records: u64,
        /// The first reason.
        reason: String,
    },
}

/// What has been produced so far.
#[derive(Debug, Default)]
pub struct Counters {
    /// Records handed to the Kafka client, taken or refused.
    pub records_sent: AtomicU64,
    /// Records acknowledged.
    pub records_acknowledged: AtomicU64,
    /// Spans in acknowledged records.
    pub spans_acknowledged: AtomicU64,
    /// Payload bytes of acknowledged records, uncompressed.
    pub bytes_acknowledged: AtomicU64,
    /// Records that Kafka or its client gave up on.
    pub records_failed: AtomicU64,
}

/// A record that is on the topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Acknowledged {
    /// Where.
    pub partition: Partition,
    /// Where.
    pub offset: Offset,
    /// Its timestamp, as sent.
    pub at: Timestamp,
    /// Its spans.
    pub spans: Vec<SpanFact>,
}

/// Produces `records` until there are none, `stop` is set or one fails, then waits for those in
/// flight. Calls `acknowledged` on this thread for each record that is on the topic. The counts are in
/// `counters`, also after an error.
pub fn produce<F>(
    records: impl Iterator<Item = GeneratedRecord>,
    settings: &ProducerSettings,
    counters: &Arc<Counters>,
    stop: &AtomicBool,
    acknowledged: F,
) -> Result<(), ProduceError>
where
    F: Fn(Acknowledged) + Send + Sync + 'static,
{
    let context = Context {
        counters: Arc::clone(counters),
        acknowledged,
        first_failure: Mutex::new(None),
        last_error_logged: Mutex::new(None),
    };
    let producer: BaseProducer<Context<F>> =
        settings.client_config().create_with_context(context).map_err(ProduceError::Client)?;
    let started = Instant::now();
    let goes_on = || {
        let failed = counters.records_failed.load(Ordering::Relaxed) > 0;
        !failed && !stop.load(Ordering::Relaxed)
    };
    for record in records {
        if let Some(origin) = settings.pace_from {
            let due = started + record.at.since(origin);
            wait_until(&producer, due, &goes_on);
        }
        if !goes_on() {
            break;
        }
        send(&producer, &settings.topic, record, counters, &goes_on);
    }
    finish(&producer, settings.flush_timeout, counters)
}

/// Serves acknowledgements until `due`.
fn wait_until<F>(producer: &BaseProducer<Context<F>>, due: Instant, goes_on: &impl Fn() -> bool)
where
    F: Fn(Acknowledged) + Send + Sync + 'static,
{
    while goes_on() {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        producer.poll(left.min(POLL_SLICE));
    }
}

/// Hands a record to the client, and waits while its queue is full.
fn send<F>(
    producer: &BaseProducer<Context<F>>,
    topic: &str,
    record: GeneratedRecord,
    counters: &Counters,
    goes_on: &impl Fn() -> bool,
) where
    F: Fn(Acknowledged) + Send + Sync + 'static,
{
    let sent = Box::new(Sent { at: record.at, spans: record.spans });
    let mut next = BaseRecord::<[u8], [u8], _>::with_opaque_to(topic, sent)
        .payload(&record.payload)
        .timestamp(record.at.0);
    if let Some(key) = &record.key {
        next = next.key(key);
    }
    loop {
        match producer.send(next) {
            Ok(()) => break,
            Err((error, again))
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) =>
            {
                if !goes_on() {
                    return;
                }
                producer.poll(POLL_SLICE);
                next = again;
            }
            // librdkafka refuses the topic here if it knows that it is wrong, otherwise in the
            // delivery report. For the caller both are the same.
            Err((error, _)) => {
                producer.context().failed(&error);
                break;
            }
        }
    }
    counters.records_sent.fetch_add(1, Ordering::Relaxed);
    producer.poll(Duration::ZERO);
}

fn finish<F>(
    producer: &BaseProducer<Context<F>>,
    timeout: Duration,
    counters: &Counters,
) -> Result<(), ProduceError>
where
    F: Fn(Acknowledged) + Send + Sync + 'static,
{
    // If it times out, the counters show what is in flight.
    let flushed = producer.flush(timeout);
    let sent = counters.records_sent.load(Ordering::Relaxed);
    let records = sent - counters.records_acknowledged.load(Ordering::Relaxed);
    if records == 0 {
        return Ok(());
    }
    let context = producer.context();
    let reason = lock(&context.first_failure).take();
    let reason = reason.unwrap_or_else(|| match flushed {
        Err(error) => error.to_string(),
        Ok(()) => "no answer".into(),
    });
    Err(ProduceError::Unacknowledged { records, reason })
}

/// What is needed when a record is acknowledged.
struct Sent {
    at: Timestamp,
    spans: Vec<SpanFact>,
}

struct Context<F> {
    counters: Arc<Counters>,
    acknowledged: F,
    first_failure: Mutex<Option<String>>,
    last_error_logged: Mutex<Option<Instant>>,
}

impl<F> Context<F> {
    fn failed(&self, error: &KafkaError) {
        self.counters.records_failed.fetch_add(1, Ordering::Relaxed);
        lock(&self.first_failure).get_or_insert_with(|| error.to_string());
    }
}

impl<F: Send + Sync + 'static> ClientContext for Context<F> {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(?level, facility, message, "generator.client_log");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let mut last = lock(&self.last_error_logged);
        if last.is_none_or(|at| at.elapsed() >= ERROR_LOG_INTERVAL) {
            *last = Some(Instant::now());
            tracing::warn!(%error, reason, "generator.client_error");
        }
    }
}

impl<F> ProducerContext for Context<F>
where
    F: Fn(Acknowledged) + Send + Sync + 'static,
{
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent>) {
        let counters = &self.counters;
        match result {
            Ok(message) => {
                let bytes = message.payload_len() as u64;
                let spans = sent.spans.len() as u64;
                counters.bytes_acknowledged.fetch_add(bytes, Ordering::Relaxed);
                counters.spans_acknowledged.fetch_add(spans, Ordering::Relaxed);
                counters.records_acknowledged.fetch_add(1, Ordering::Relaxed);
                (self.acknowledged)(Acknowledged {
                    partition: Partition(message.partition()),
                    offset: Offset(message.offset()),
                    at: sent.at,
                    spans: sent.spans,
                });
            }
            Err((error, _)) => self.failed(error),
        }
    }
}
