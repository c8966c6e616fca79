//! Writes records to Kafka: one idempotent producer for each purpose.
//!
//! Owns the producer, the thread that serves it, and its replacement after a fatal error. Promises
//! that every record that it takes is settled exactly once, by [`DeliveryReports::settled`], on that
//! thread; that one that the user may not write waits for the ACL, and for no longer than its time-out;
//! and that a full queue hands the record back instead of waiting. Leaves to others what a
//! record means, and what to do if one fails.

mod client;
mod held;
mod settings;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rdkafka::Timestamp as KafkaTimestamp;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{BaseRecord, Producer as _, PurgeConfig};
use thiserror::Error;
use tracing::error;

use crate::ids::{Offset, Partition, Timestamp, TopicId};
use crate::kafka::access::{Acl, AllDenied, Denied};
use crate::kafka::cluster::{self, describe, permissions};

use client::Client;
use held::{Held, Sent};

pub use settings::PublisherSettings;

/// Delivery reports are taken at these intervals, all that are there at once. Waiting for each of them
/// in librdkafka would wake the thread for each, and rdkafka's `poll` does so without pause in the last
/// millisecond of its time.
const REPORTS: Duration = Duration::from_millis(10);

/// How long the thread rests while nothing is in flight, and only errors may have come.
const REST: Duration = Duration::from_secs(1);

/// How long to wait before a new producer is created after a fatal error.
const RESTART_WAIT: Duration = Duration::from_secs(1);

/// No partition: the partitioner chooses.
const ANY_PARTITION: i32 = -1;

/// A record to write.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition; `None`: the one of the key, as the Collector partitions (FNV-1a).
    pub partition: Option<Partition>,
    /// The key, if it has one.
    pub key: Option<&'a [u8]>,
    /// The value, if it has one.
    pub value: Option<&'a [u8]>,
    /// Headers.
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// A record that is not on the topic, or of which this is not known.
#[derive(Debug)]
pub struct Failed<'a> {
    /// Why.
    pub error: &'a KafkaError,
    /// The partition it was for.
    pub partition: Partition,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// The ACL that was missing for too long, if that is why.
    pub denied: Option<Denied>,
}

impl Failed<'_> {
    /// Why, for people.
    pub fn reason(&self) -> String {
        self.denied.as_ref().map_or_else(|| self.error.to_string(), ToString::to_string)
    }
}

/// Tells one worker what became of something that it handed on. Called on the teller's thread; must
/// not block.
pub type NoticeSink<T> = Box<dyn Fn(T) + Send + Sync>;

/// Gets the delivery reports of records. Called on the producer's thread; must not block.
pub trait DeliveryReports: Send + Sync + 'static {
    /// Goes with a record, and comes back with its report.
    type Ticket: Send + Sync + 'static;

    /// A record is on the topic at this offset, or it is not there.
    fn settled(&self, ticket: Self::Ticket, result: Result<(Partition, Offset), Failed<'_>>);

    /// Called after some reports, to pass them on together.
    fn batch_done(&self) {}
}

/// A record was not taken.
#[derive(Debug, Error)]
pub enum Refusal {
    /// Too much waits already; it may be tried again.
    #[error("the producer's queue is full")]
    QueueFull,
    /// The user may not write it, and nobody wants to wait.
    #[error(transparent)]
    Denied(Box<Denied>),
    /// It never will be taken.
    #[error(transparent)]
    Kafka(KafkaError),
}

/// A running producer.
pub struct Publisher<R: DeliveryReports> {
    shared: Arc<Shared<R>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared<R: DeliveryReports> {
    settings: PublisherSettings,
    reports: Arc<R>,
    client: ArcSwap<Client<R>>,
    /// What the user may not write at the moment.
    held: Arc<Held<R::Ticket>>,
    stop: AtomicBool,
    /// How long the thread rests at most.
    rest: Duration,
    /// True while the thread rests until it is woken.
    rests: AtomicBool,
}

impl<R: DeliveryReports> std::fmt::Debug for Publisher<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

impl<R: DeliveryReports> Publisher<R> {
    /// Starts a producer. A broker that is out of reach is not an error.
    ///
    /// # Errors
    /// When librdkafka refuses the settings.
    pub fn start(settings: PublisherSettings, reports: R) -> Result<Self, KafkaError> {
        Self::start_with(settings, reports, REST)
    }

    fn start_with(
        settings: PublisherSettings,
        reports: R,
        rest: Duration,
    ) -> Result<Self, KafkaError> {
        let reports = Arc::new(reports);
        let held = Arc::default();
        let client = client::create(&settings, &reports, &held)?;
        let name = settings.name.clone();
        let client = ArcSwap::from_pointee(client);
        let (stop, rests) = (AtomicBool::new(false), AtomicBool::new(false));
        let shared = Arc::new(Shared { settings, reports, client, held, stop, rest, rests });
        let own = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name(name)
            .spawn(move || own.serve())
            .map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// What gets the delivery reports.
    pub fn reports(&self) -> &R {
        &self.shared.reports
    }

    /// Takes a record, from any thread. Never blocks.
    ///
    /// # Errors
    /// When it is not taken; the ticket comes back.
    pub fn publish(
        &self,
        outgoing: &Outgoing<'_>,
        ticket: R::Ticket,
    ) -> Result<(), (Refusal, R::Ticket)> {
        self.publish_at(outgoing, None, ticket)
    }

    /// As [`publish`](Self::publish), with a timestamp, which counts if the topic has `CreateTime`.
    ///
    /// # Errors
    /// When it is not taken; the ticket comes back.
    pub fn publish_at(
        &self,
        outgoing: &Outgoing<'_>,
        timestamp: Option<Timestamp>,
        ticket: R::Ticket,
    ) -> Result<(), (Refusal, R::Ticket)> {
        if self.shared.held.bytes() >= self.shared.settings.queue_bytes {
            return Err((Refusal::QueueFull, ticket));
        }
        let sent = Box::new(Sent::new(ticket));
        let mut record = BaseRecord::<[u8], [u8], _>::with_opaque_to(outgoing.topic, sent);
        record.partition = outgoing.partition.map(|partition| partition.0);
        record.timestamp = timestamp.map(|timestamp| timestamp.0);
        record.key = outgoing.key;
        record.payload = outgoing.value;
        if !outgoing.headers.is_empty() {
            let mut headers = OwnedHeaders::new_with_capacity(outgoing.headers.len());
            for (key, value) in outgoing.headers {
                headers = headers.insert(Header { key, value: Some(*value) });
            }
            record.headers = Some(headers);
        }
        let client = self.shared.client.load();
        let sent = client.send(record);
        self.wake();
        sent.or_else(|(error, record)| self.not_taken(&client, error, record))
    }

    /// librdkafka did not take a record: it is held if the user may not write it, or handed back.
    fn not_taken(
        &self,
        client: &Client<R>,
        error: KafkaError,
        record: BaseRecord<'_, [u8], [u8], Box<Sent<R::Ticket>>>,
    ) -> Result<(), (Refusal, R::Ticket)> {
        let mut sent = record.delivery_opaque;
        if client.may_be_taken_later(&error) {
            return Err((Refusal::QueueFull, sent.ticket));
        }
        let Some(denied) = client.denied(&error, record.topic) else {
            return Err((Refusal::Kafka(error), sent.ticket));
        };
        if sent.waits_no_longer(self.shared.settings.patience()) {
            return Err((Refusal::Denied(Box::new(denied)), sent.ticket));
        }
        let timestamp = record.timestamp.map(KafkaTimestamp::CreateTime);
        let message = OwnedMessage::new(
            record.payload.map(<[u8]>::to_vec),
            record.key.map(<[u8]>::to_vec),
            record.topic.to_owned(),
            timestamp.unwrap_or(KafkaTimestamp::NotAvailable),
            record.partition.unwrap_or(ANY_PARTITION),
            0,
            record.headers,
        );
        self.shared.held.push(message, sent);
        Ok(())
    }

    /// Ends the rest of the thread, if it has one.
    fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.shared.rests.load(Ordering::Relaxed)
            && let Some(thread) = &self.thread
        {
            thread.thread().unpark();
        }
    }

    /// Asks the brokers about a topic, and waits for the answer. Blocks.
    ///
    /// # Errors
    /// When no broker answers in time, or the topic cannot be written to.
    pub fn reach(&self, topic: &str, timeout: Duration) -> Result<(), KafkaError> {
        let client = self.shared.client.load_full();
        let metadata = client.client().fetch_metadata(Some(topic), timeout)?;
        let mut topics = metadata.topics().iter();
        match topics.find(|found| found.name() == topic).and_then(|found| found.error()) {
            Some(error) => Err(KafkaError::MetadataFetch(error.into())),
            None => Ok(()),
        }
    }

    /// Number of partitions of a topic; `None` if there is no such topic. Blocks.
    ///
    /// # Errors
    /// When no broker answers in time, or the user may not know of the topic, which is counted and logged as if
    /// a record were denied.
    pub fn partitions(&self, topic: &str, timeout: Duration) -> Result<Option<usize>, Refusal> {
        let client = self.shared.client.load_full();
        let answer = client.client().fetch_metadata(Some(topic), timeout);
        let found = answer.and_then(|metadata| cluster::partitions_of(&metadata, topic));
        found.map_err(|error| match client.denied(&error, topic) {
            Some(denied) => Refusal::Denied(Box::new(denied)),
            None => Refusal::Kafka(error),
        })
    }

    /// The id of a topic, if the brokers know it and say so in time. Blocks.
    pub(crate) fn topic_id(&self, topic: &str, timeout: Duration) -> Option<TopicId> {
        let client = self.shared.client.load_full();
        describe::topic_id(client.client(), topic).answer(timeout)?.ok().flatten()
    }

    /// Whether the user has the `needed` ACLs, as far as the brokers tell. Blocks.
    ///
    /// # Errors
    /// All that are missing.
    pub(crate) fn may(&self, needed: &[Acl]) -> Result<(), AllDenied> {
        let client = self.shared.client.load_full();
        permissions::check(client.client(), &self.shared.settings.brokers, needed)
    }

    /// The number of records that were taken and are not settled.
    pub fn in_flight(&self) -> usize {
        // A record that goes from one to the other meanwhile is in one of the three.
        let before = self.shared.held.count();
        let in_flight = usize::try_from(self.shared.client.load().in_flight_count());
        in_flight.unwrap_or(0) + before.max(self.shared.held.count())
    }

    /// Waits until everything that was taken is settled. True if that happened in time.
    pub fn flush(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        // Flushing sends what lingers. The reports come on the producer's thread.
        loop {
            if self.in_flight() == 0 {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let slice = left.min(REPORTS);
            // If it times out, the count shows it.
            let _ = self.shared.client.load().flush(slice);
        }
    }

    /// Ends as a crash would: what was not sent yet is forgotten.
    pub fn crash(&self) {
        self.shared.client.load().purge(PurgeConfig::default().queue().inflight());
        self.stop();
    }

    fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.wake();
    }
}

impl<R: DeliveryReports> Drop for Publisher<R> {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!(name = self.shared.settings.name, "publisher.panicked");
        }
    }
}

impl<R: DeliveryReports> Shared<R> {
    fn serve(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let client = self.client.load_full();
            self.rest(&client);
            client.take_reports();
            self.held.write(&client, &*self.reports, self.settings.patience());
            self.reports.batch_done();
            if let Some((code, reason)) = client.client().fatal_error() {
                if code == RDKafkaErrorCode::ClusterAuthorizationFailed {
                    // The reports of its records name the ACL.
                    client.set_denied();
                    self.wait(held::AGAIN);
                } else {
                    let name = &self.settings.name;
                    error!(name, %code, reason, "publisher.fatal: a new producer takes its place");
                }
                self.renew(&client);
            }
        }
    }

    /// Waits for reports to come together, or for a record to be published.
    fn rest(&self, client: &Client<R>) {
        // Who publishes counts the record first and then looks here; here it is the other way round, so
        // that one of the two sees the other.
        self.rests.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if client.in_flight_count() == 0 && !self.stop.load(Ordering::Relaxed) {
            thread::park_timeout(self.rest);
        }
        self.rests.store(false, Ordering::Relaxed);
        if !self.stop.load(Ordering::Relaxed) {
            thread::sleep(REPORTS);
        }
    }

    /// Waits, unless it is told to stop.
    fn wait(&self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end && !self.stop.load(Ordering::Relaxed) {
            thread::sleep(REPORTS);
        }
    }

    /// Replaces a client that has a fatal error. The records that it held fail.
    fn renew(&self, old: &Client<R>) {
        while !self.stop.load(Ordering::Relaxed) {
            match client::create(&self.settings, &self.reports, &self.held) {
                Ok(client) => {
                    self.client.store(Arc::new(client));
                    break;
                }
                Err(error) => {
                    error!(%error, name = self.settings.name, "publisher.restart_failed");
                    thread::sleep(RESTART_WAIT);
                }
            }
        }
        old.purge(PurgeConfig::default().queue().inflight());
        while old.in_flight_count() > 0 && !self.stop.load(Ordering::Relaxed) {
            thread::sleep(REPORTS);
            old.take_reports();
        }
        self.reports.batch_done();
    }
}

#[cfg(test)]
mod tests;
