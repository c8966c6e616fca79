//! Records that the user may not write at the moment, because an ACL is missing or was taken away.
//!
//! librdkafka gives such a record up at once. Here it is held and written again each second, until it
//! is taken or its time is up: somebody grants the ACL, and nothing is lost.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Message as _, OwnedMessage};
use rdkafka::producer::BaseRecord;

use super::client::Client;
use super::{DeliveryReports, Failed, Partition};
use crate::sync::lock;
use crate::telemetry::log_throttle::LogThrottle;

/// How long to wait before a record is written again.
pub(super) const AGAIN: Duration = Duration::from_secs(1);

/// How often the same kind of error is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// How long a record that was denied is held.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    Forever,
    For(Duration),
}

impl Patience {
    pub(super) fn is_over(self, since: Instant) -> bool {
        matches!(self, Self::For(time) if since.elapsed() >= time)
    }
}

/// What goes with a record, and comes back with its report.
pub(super) struct Sent<T> {
    pub(super) ticket: T,
    /// When it was denied first, if it was.
    denied_since: Option<Instant>,
}

impl<T> Sent<T> {
    pub(super) fn new(ticket: T) -> Self {
        Self { ticket, denied_since: None }
    }

    /// It was denied: whether that has been so for too long.
    pub(super) fn waits_no_longer(&mut self, patience: Patience) -> bool {
        patience.is_over(*self.denied_since.get_or_insert_with(Instant::now))
    }
}

/// The records that are held, and what else outlives a client that is replaced.
pub(super) struct Held<T> {
    pub(super) denials: LogThrottle,
    pub(super) trouble: LogThrottle,
    records: Mutex<VecDeque<Record<T>>>,
    count: AtomicUsize,
    bytes: AtomicUsize,
}

struct Record<T> {
    due: Instant,
    message: OwnedMessage,
    sent: Box<Sent<T>>,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        let (count, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let [denials, trouble] = [LOG_INTERVAL; 2].map(LogThrottle::new);
        Self { denials, trouble, records: Mutex::default(), count, bytes }
    }
}

/// True of what the brokers answer if an ACL is missing. An idempotent producer that may write to no topic
/// gets the error of the cluster.
pub(super) fn is_denial(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{ClusterAuthorizationFailed, TopicAuthorizationFailed};
    let code = error.rdkafka_error_code();
    matches!(code, Some(TopicAuthorizationFailed | ClusterAuthorizationFailed))
}

impl<T> Held<T> {
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn push(&self, message: OwnedMessage, sent: Box<Sent<T>>) {
        let record = Record { due: Instant::now() + AGAIN, message, sent };
        self.count.fetch_add(1, Ordering::SeqCst);
        self.bytes.fetch_add(size(&record.message), Ordering::Relaxed);
        lock(&self.records).push_back(record);
    }

    fn take_due(&self) -> Option<Record<T>> {
        let mut records = lock(&self.records);
        let is_due = records.front().is_some_and(|record| record.due <= Instant::now());
        is_due.then(|| records.pop_front()).flatten()
    }

    /// Writes what is due again.
    pub(super) fn write<R: DeliveryReports<Ticket = T>>(
        &self,
        client: &Client<R>,
        reports: &R,
        patience: Patience,
    ) where
        T: Send + Sync + 'static,
    {
        while let Some(record) = self.take_due() {
            let bytes = size(&record.message);
            let goes_on = self.write_one(record, client, reports, patience);
            // It was counted until somebody else does.
            self.count.fetch_sub(1, Ordering::SeqCst);
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            if !goes_on {
                return;
            }
        }
    }

    /// False if librdkafka takes no more at the moment.
    fn write_one<R: DeliveryReports<Ticket = T>>(
        &self,
        Record { message, sent, .. }: Record<T>,
        client: &Client<R>,
        reports: &R,
        patience: Patience,
    ) -> bool
    where
        T: Send + Sync + 'static,
    {
        let mut record = BaseRecord::<[u8], [u8], _>::with_opaque_to(message.topic(), sent);
        record.partition = Some(message.partition()).filter(|partition| *partition >= 0);
        record.timestamp = message.timestamp().to_millis();
        (record.key, record.payload) = (message.key(), message.payload());
        record.headers = message.headers().cloned();
        let Err((error, record)) = client.send(record) else { return true };
        let mut sent = record.delivery_opaque;
        if client.may_be_taken_later(&error) {
            self.push(message, sent);
            return false;
        }
        // librdkafka refuses a topic by itself that it knows to be denied.
        let denied = client.denied(&error, message.topic());
        if denied.is_some() && !sent.waits_no_longer(patience) {
            self.push(message, sent);
            return true;
        }
        let failed = Failed {
            error: &error,
            partition: Partition(message.partition()),
            key: message.key(),
            value: message.payload(),
            denied,
        };
        reports.settled(sent.ticket, Err(failed));
        true
    }
}

fn size(message: &OwnedMessage) -> usize {
    message.key().map_or(0, <[u8]>::len) + message.payload().map_or(0, <[u8]>::len)
}
