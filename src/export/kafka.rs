//! Writes kept traces to a Kafka topic: one record of OTLP protobuf for each chunk, keyed by trace id.
//!
//! Promises that the spans of a trace go to one partition, the one that the Collector's exporter
//! would choose (FNV-1a of the 32 hexadecimal digits), and that records which are on the topic are
//! not written again if others of the same request fail. Leaves retries to others: a record that is
//! not acknowledged within the time-out is given up, and may be written again.

use std::sync::Arc;

use bytes::Bytes;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::oneshot;

use super::ExportError;
use super::settings::{ExportSettings, KafkaTarget};
use super::transport::{Failure, Piece, Reply, Request, Transport};
use crate::ids::{Offset, Partition};
use crate::kafka::access::{Acl, Denied, Operation};
use crate::kafka::publish::{
    DeliveryReports, Failed, Outgoing, Publisher, PublisherSettings, Refusal,
};
use crate::kafka::record_headers;

/// Writes chunks to a topic; see the module.
pub(super) struct KafkaTransport {
    publisher: Arc<Publisher<RecordReports>>,
    target: KafkaTarget,
    timeout: std::time::Duration,
}

/// Whether a record is on the topic.
type Settled = Result<(), Trouble>;

/// Why a record is not on the topic.
#[derive(Debug)]
enum Trouble {
    /// The record is too large for the topic or the brokers.
    TooLarge(String),
    /// The brokers refuse its contents.
    Refused(String),
    /// The next attempt may succeed.
    Passing(String),
    /// No broker acknowledged it in time.
    TimedOut,
}

/// Passes the report of a record on to the request that waits for it.
struct RecordReports;

impl DeliveryReports for RecordReports {
    type Ticket = oneshot::Sender<Settled>;

    fn settled(&self, ticket: Self::Ticket, result: Result<(Partition, Offset), Failed<'_>>) {
        // The request may be gone.
        let _ = ticket.send(result.map(drop).map_err(|failed| {
            let denied = failed.denied.map(|denied| Trouble::Passing(denied.to_string()));
            denied.unwrap_or_else(|| trouble(failed.error))
        }));
    }
}

fn trouble(error: &KafkaError) -> Trouble {
    use RDKafkaErrorCode as Kafka;
    match error.rdkafka_error_code() {
        Some(
            Kafka::MessageSizeTooLarge | Kafka::InvalidMessageSize | Kafka::MessageBatchTooLarge,
        ) => Trouble::TooLarge(error.to_string()),
        Some(Kafka::InvalidRecord) => Trouble::Refused(error.to_string()),
        Some(Kafka::MessageTimedOut) => Trouble::TimedOut,
        _ => Trouble::Passing(error.to_string()),
    }
}

impl KafkaTransport {
    /// Starts a producer, which waits for brokers that cannot be reached.
    pub(super) fn new(settings: &ExportSettings) -> Result<Self, ExportError> {
        let refused = |reason: String| ExportError::Kafka { reason };
        let target = settings.kafka.clone();
        let target = target.ok_or_else(|| refused("a topic is needed".to_owned()))?;
        let name = format!("tailsieve-export-{}", settings.name);
        let mut publisher = PublisherSettings::new(&name, &target.brokers, &target.properties);
        publisher.message_timeout = Some(settings.timeout);
        publisher.waits_for_acls = false;
        publisher.queue_bytes = settings.sending_queue.queue_size_bytes;
        let publisher = Publisher::start(publisher, RecordReports);
        Ok(Self {
            publisher: Arc::new(publisher.map_err(|error| refused(error.to_string()))?),
            target,
            timeout: settings.timeout,
        })
    }

    /// Where it writes to.
    pub(super) fn endpoint(&self) -> String {
        self.target.to_string()
    }

    fn publish(&self, piece: &Piece, headers: &[(&str, &[u8])]) -> oneshot::Receiver<Settled> {
        let (sender, receiver) = oneshot::channel();
        let key = piece.trace_id.to_string();
        let record = Outgoing {
            topic: &self.target.topic,
            partition: None,
            key: Some(key.as_bytes()),
            value: Some(&piece.bytes),
            headers,
        };
        if let Err((refusal, sender)) = self.publisher.publish(&record, sender) {
            let trouble = match refusal {
                Refusal::QueueFull => Trouble::Passing(refusal.to_string()),
                Refusal::Denied(denied) => Trouble::Passing(denied.to_string()),
                Refusal::Kafka(error) => trouble(&error),
            };
            // The receiver is here.
            let _ = sender.send(Err(trouble));
        }
        receiver
    }
}

impl Transport for KafkaTransport {
    async fn send(&self, request: Request) -> Result<Reply, Failure> {
        let headers: Vec<_> = record_headers::iter(&request.forwarded).collect();
        let records = request.pieces.iter().map(|piece| self.publish(piece, &headers));
        let records: Vec<_> = records.collect();
        let mut taken = Vec::with_capacity(records.len());
        let mut failures = Vec::new();
        for (index, record) in records.into_iter().enumerate() {
            let stopped = || Err(Trouble::Passing("the producer was stopped".to_owned()));
            match record.await.unwrap_or_else(|_| stopped()) {
                Ok(()) => taken.push(index),
                Err(trouble) => failures.push(trouble),
            }
        }
        match worst(failures) {
            None => Ok(Reply::default()),
            Some(failure) => Err(Failure { taken, ..failure }),
        }
    }

    /// Asks only whether the topic exists and may be written to: a record without spans would reach its readers.
    async fn probe(&self, _: Bytes) -> Result<(), Failure> {
        let (publisher, topic) = (Arc::clone(&self.publisher), self.target.topic.clone());
        let (timeout, brokers) = (self.timeout, self.target.brokers.clone());
        let ask = move || {
            let needed = [Acl::topic(Operation::Write, &topic)];
            let reached = publisher.reach(&topic, timeout);
            reached.map_err(|error| Denied::explain(&error, &brokers, &needed))?;
            publisher.may(&needed).map_err(|denied| denied.to_string())
        };
        match tokio::task::spawn_blocking(ask).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Failure::unavailable(error)),
            Err(_) => Err(Failure::unavailable("the exporter is stopped")),
        }
    }
}

/// One failure for those of several records. As long as one of them may pass, all are sent again; a
/// record that is refused is found when it is alone.
fn worst(failures: Vec<Trouble>) -> Option<Failure> {
    let mut refused = None;
    for trouble in failures {
        match trouble {
            Trouble::TimedOut => return Some(Failure::timed_out()),
            Trouble::Passing(message) => return Some(Failure::unavailable(message)),
            Trouble::Refused(message) => {
                refused = Some(Failure::new(tonic::Code::InvalidArgument, message));
            }
            Trouble::TooLarge(message) => {
                let failure = Failure::new(tonic::Code::InvalidArgument, message);
                refused.get_or_insert(Failure { is_too_large: true, ..failure });
            }
        }
    }
    refused
}
