//! The dead-letter topic: what was refused for good, byte for byte, with the reason and the place.
//!
//! Owns the producer of the topic and the headers of a letter. Promises that each letter that it
//! takes is settled once, written or given up after `message_timeout`, and that its ticket comes back
//! to the worker then; that both are counted, and failures logged at a limited rate; and that a full
//! queue hands the letter back instead of waiting. Leaves to the workers what is refused, and to hold
//! its offset back until the ticket comes back.

mod letter;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use metrics::Counter;
use rdkafka::error::KafkaError;
use tokio::sync::Notify;
use tracing::error;

use crate::ids::{Offset, Origin, Partition, Pin};
use crate::kafka::publish::{
    DeliveryReports, Failed, NoticeSink, Outgoing, Publisher, PublisherSettings, Refusal,
};
use crate::kafka::record_headers;
use crate::options::{name, options, wait};
use crate::telemetry::log_throttle::LogThrottle;
use crate::telemetry::metrics::table;

pub use letter::{
    ATTEMPTS, EXPORTER, KIND, Kind, Letter, MESSAGE, OWN_HEADERS, PARTITION, REASON, TIMESTAMP,
    TOPIC,
};

/// Bytes of the largest letter, before compression: as large as a record can be elsewhere.
const MAX_LETTER_BYTES: usize = 64 << 20;

/// Bytes of letters that may wait. The largest one has to fit, or it would wait for ever.
const QUEUE_BYTES: usize = 80 << 20;

/// How often a letter that could not be written is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

options! {
    /// Where what is refused for good goes, with the reason and the place in headers.
    pub struct DeadLetterSettings {
        /// The topic, in the same cluster. `run --create-topics` creates it.
        topic: String = name().required("otlp_spans_dead"),
        /// After this a letter that Kafka does not take is given up, counted and logged.
        message_timeout: Duration = wait().or("30s"),
    }
}

/// Where the input comes from: the same cluster that the letters go to.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// `bootstrap.servers`.
    pub brokers: &'a str,
    /// Further librdkafka settings; they may hold passwords.
    pub properties: &'a [(String, String)],
    /// The input topic.
    pub topic: &'a str,
}

/// What comes back when a letter is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LetterTicket {
    /// Where what was refused was read. The worker is an index into the sinks given to
    /// [`DeadLetters::start`].
    pub origin: Origin,
    /// What waits for the letter, and holds an offset back until then.
    pub waiter: Waiter,
}

/// Where the tickets of one worker go.
pub type LetterSink = NoticeSink<LetterTicket>;

/// What waits for a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiter {
    /// The record that was refused.
    Record(Pin),
    /// The delivery that the refused chunk belongs to, as the worker numbers it.
    Delivery(u64),
}

/// The dead-letter topic, or none. Clones are handles of the same one.
#[derive(Clone, Debug, Default)]
pub struct DeadLetters(Option<Arc<Open>>);

#[derive(Debug)]
struct Open {
    publisher: Publisher<LetterReports>,
    topic: String,
    input_topic: String,
}

struct LetterReports {
    topic: String,
    sinks: Vec<LetterSink>,
    written: Counter,
    failed: Counter,
    log: LogThrottle,
    room: Notify,
}

impl DeadLetters {
    /// Starts the producer. A broker that is out of reach is not an error.
    ///
    /// `sinks` holds one for each worker, at the index that [`Origin::worker`] names.
    ///
    /// # Errors
    /// When librdkafka refuses the settings.
    pub fn start(
        settings: &DeadLetterSettings,
        input: Input<'_>,
        sinks: Vec<LetterSink>,
    ) -> Result<Self, KafkaError> {
        let mut publishing =
            PublisherSettings::new("tailsieve-dead-letters", input.brokers, input.properties);
        publishing.message_timeout = Some(settings.message_timeout);
        publishing.max_message_bytes = MAX_LETTER_BYTES;
        publishing.queue_bytes = QUEUE_BYTES;
        let topic = settings.topic.clone();
        let publisher = Publisher::start(publishing, LetterReports::new(topic.clone(), sinks))?;
        Ok(Self(Some(Arc::new(Open { publisher, topic, input_topic: input.topic.to_owned() }))))
    }

    /// Registers the metrics, also for a process that has no dead-letter topic.
    pub fn describe() {
        let _ = table::DEAD_LETTERS.each(&[]);
    }

    /// True if there is a dead-letter topic. If not, nothing may be sent.
    pub fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Takes a letter, from any thread. Never blocks. The ticket comes back through the sink of its
    /// worker, also if the letter cannot be written.
    ///
    /// # Errors
    /// When too many letters wait; [`room`](Self::room) returns when to try again.
    pub fn try_send(&self, letter: &Letter, ticket: LetterTicket) -> Result<(), Full> {
        let Some(open) = &self.0 else {
            debug_assert!(false, "without a topic nothing is sent");
            return Ok(());
        };
        let headers = letter.headers(&open.input_topic, crate::clock::system_time());
        let own = headers.iter().map(|(key, value)| (*key, value.as_bytes()));
        let headers: Vec<_> = own.chain(record_headers::iter(&letter.forwarded)).collect();
        let outgoing = Outgoing {
            topic: &open.topic,
            partition: None,
            key: letter.key.as_deref(),
            value: letter.value.as_deref(),
            headers: &headers,
        };
        match open.publisher.publish(&outgoing, ticket) {
            Ok(()) => Ok(()),
            Err((Refusal::QueueFull, _)) => Err(Full),
            Err((refusal, ticket)) => {
                open.publisher.reports().give_up(ticket, &refusal.to_string());
                Ok(())
            }
        }
    }

    /// Waits until there may be room for another letter. Another worker may take it first; then
    /// `try_send` fails again.
    pub async fn room(&self) {
        let Some(open) = &self.0 else { return };
        let mut settled = std::pin::pin!(open.publisher.reports().room.notified());
        settled.as_mut().enable();
        // Whatever is in flight now notifies when it is settled.
        if open.publisher.in_flight() > 0 {
            settled.await;
        }
    }

    /// Ends as a crash would: forgets what was not sent yet.
    pub fn crash(&self) {
        if let Some(open) = &self.0 {
            open.publisher.crash();
        }
    }
}

/// Too many letters wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Debug for LetterReports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LetterReports").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl LetterReports {
    fn new(topic: String, sinks: Vec<LetterSink>) -> Self {
        DeadLetters::describe();
        let [written, failed] = ["written", "failed"].map(outcome);
        let (log, room) = (LogThrottle::new(LOG_INTERVAL), Notify::new());
        Self { topic, sinks, written, failed, log, room }
    }

    fn give_up(&self, ticket: LetterTicket, error: &str) {
        self.failed.increment(1);
        if let Some(suppressed) = self.log.allow() {
            let (topic, partition) = (&self.topic, ticket.origin.partition.0);
            error!(
                topic,
                partition,
                %error,
                suppressed,
                "dead_letter.failed: what was refused is not on the dead-letter topic; check that \
                 the topic is there and takes records of this size (max.message.bytes)"
            );
        }
        self.hand_back(ticket);
    }

    fn hand_back(&self, ticket: LetterTicket) {
        if let Some(sink) = self.sinks.get(ticket.origin.worker) {
            sink(ticket);
        }
        self.room.notify_waiters();
    }
}

impl DeliveryReports for LetterReports {
    type Ticket = LetterTicket;

    fn settled(&self, ticket: LetterTicket, result: Result<(Partition, Offset), Failed<'_>>) {
        match result {
            Ok(_) => {
                self.written.increment(1);
                self.hand_back(ticket);
            }
            Err(failed) => self.give_up(ticket, &failed.reason()),
        }
    }

    /// Notifies again, now that librdkafka does not count the settled letters as in flight.
    fn batch_done(&self) {
        self.room.notify_waiters();
    }
}

fn outcome(outcome: &'static str) -> Counter {
    table::DEAD_LETTERS.with(&[outcome])
}

#[cfg(test)]
mod tests;
