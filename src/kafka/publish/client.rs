//! The librdkafka producer of a publisher, and what its callbacks do.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Message as _};
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext};
use tracing::{debug, error, warn};

use super::held::{self, Held, Patience, Sent};
use super::{DeliveryReports, Failed, PublisherSettings};
use crate::ids::{Offset, Partition};
use crate::kafka::access::{Acl, Denied, Operation};
use crate::telemetry::metrics::table;

pub(super) struct Client<R: DeliveryReports>(BaseProducer<Context<R>>);

impl<R: DeliveryReports> Deref for Client<R> {
    type Target = BaseProducer<Context<R>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<R: DeliveryReports> Client<R> {
    /// What is missing, if a record was not taken because the user may not write it. It is counted and
    /// logged.
    pub(super) fn denied(&self, error: &KafkaError, topic: &str) -> Option<Denied> {
        self.0.context().denied(error, topic)
    }

    /// The user may write to no topic, so that this producer has ended.
    pub(super) fn set_denied(&self) {
        self.0.context().is_denied.store(true, Ordering::Relaxed);
    }

    /// True of a record that was not taken, and may be a little later.
    pub(super) fn may_be_taken_later(&self, error: &KafkaError) -> bool {
        error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull)
            || self.0.context().is_denied.load(Ordering::Relaxed)
    }

    /// Takes the delivery reports that are there, without waiting for more.
    pub(super) fn take_reports(&self) {
        let settled = || self.0.context().settled.load(Ordering::Relaxed);
        loop {
            let before = settled();
            // Without time it serves one event, which has the reports of a batch.
            self.0.poll(Duration::ZERO);
            if settled() == before {
                break;
            }
        }
    }
}

/// A record that is not held: the ACL that it lacks, if that is why, and what goes with it.
type NotHeld<T> = (Option<Denied>, Box<Sent<T>>);

pub(super) struct Context<R: DeliveryReports> {
    name: String,
    brokers: String,
    /// How long a record that was denied is held.
    patience: Patience,
    held: Arc<Held<R::Ticket>>,
    /// An idempotent producer ends when the user may write to no topic.
    is_denied: AtomicBool,
    /// How many reports came.
    settled: AtomicU64,
    reports: Arc<R>,
}

pub(super) fn create<R: DeliveryReports>(
    settings: &PublisherSettings,
    reports: &Arc<R>,
    held: &Arc<Held<R::Ticket>>,
) -> Result<Client<R>, KafkaError> {
    let context = Context {
        name: settings.name.clone(),
        brokers: settings.brokers.clone(),
        patience: settings.patience(),
        held: Arc::clone(held),
        is_denied: AtomicBool::new(false),
        reports: Arc::clone(reports),
        settled: AtomicU64::new(0),
    };
    settings.client_config().create_with_context(context).map(Client)
}

impl<R: DeliveryReports> Context<R> {
    /// What is missing, if a record was not written because the user may not. Counts and logs it.
    fn denied(&self, error: &KafkaError, topic: &str) -> Option<Denied> {
        use RDKafkaErrorCode::{Fatal, PurgeInflight, PurgeQueue};
        let code = error.rdkafka_error_code();
        let was_purged = matches!(code, Some(Fatal | PurgeInflight | PurgeQueue));
        let is_denied =
            held::is_denial(error) || (was_purged && self.is_denied.load(Ordering::Relaxed));
        if !is_denied {
            return None;
        }
        let acl = Acl::topic(Operation::Write, topic);
        let denied = Denied { brokers: self.brokers.clone(), acl };
        table::KAFKA_DENIED.handle().increment(1);
        if let Some(suppressed) = self.held.denials.allow() {
            let (acl, grant, producer) = (&denied.acl, denied.command(), &self.name);
            error!(
                grant,
                producer, suppressed, "kafka.denied: {acl}; nothing is written without it"
            );
        }
        Some(denied)
    }

    /// Holds a record that was denied, unless its time is up; then returns what is missing.
    fn hold(
        &self,
        error: &KafkaError,
        message: &BorrowedMessage<'_>,
        mut sent: Box<Sent<R::Ticket>>,
    ) -> Result<(), NotHeld<R::Ticket>> {
        let Some(denied) = self.denied(error, message.topic()) else { return Err((None, sent)) };
        if sent.waits_no_longer(self.patience) {
            return Err((Some(denied), sent));
        }
        self.held.push(message.detach(), sent);
        Ok(())
    }
}

impl<R: DeliveryReports> ClientContext for Context<R> {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                error!(facility, message, "kafka.client_log");
            }
            _ => debug!(facility, message, "kafka.client_log"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(suppressed) = self.held.trouble.allow() {
            warn!(%error, reason, producer = self.name, suppressed, "kafka.trouble");
        }
    }
}

impl<R: DeliveryReports> ProducerContext for Context<R> {
    type DeliveryOpaque = Box<Sent<R::Ticket>>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Self::DeliveryOpaque) {
        self.settled.fetch_add(1, Ordering::Relaxed);
        let (error, message) = match result {
            Ok(message) => {
                let place = (Partition(message.partition()), Offset(message.offset()));
                return self.reports.settled(sent.ticket, Ok(place));
            }
            Err((error, message)) => (error, message),
        };
        if let Err((denied, sent)) = self.hold(error, message, sent) {
            let failed = Failed {
                error,
                partition: Partition(message.partition()),
                key: message.key(),
                value: message.payload(),
                denied,
            };
            self.reports.settled(sent.ticket, Err(failed));
        }
    }
}
