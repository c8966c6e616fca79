//! The librdkafka producer of a publisher, and what its callbacks do.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext};
use tracing::{debug, error, warn};

use super::{DeliveryReports, Failed, PublisherSettings};
use crate::ids::{Offset, Partition};
use crate::telemetry::log_throttle::LogThrottle;

/// How often the same kind of error is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

pub(super) struct Client<R: DeliveryReports>(BaseProducer<Context<R>>);

impl<R: DeliveryReports> Deref for Client<R> {
    type Target = BaseProducer<Context<R>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<R: DeliveryReports> Client<R> {
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

pub(super) struct Context<R> {
    name: String,
    /// How many reports came.
    settled: AtomicU64,
    reports: Arc<R>,
    trouble: LogThrottle,
}

pub(super) fn create<R: DeliveryReports>(
    settings: &PublisherSettings,
    reports: &Arc<R>,
) -> Result<Client<R>, KafkaError> {
    let context = Context {
        name: settings.name.clone(),
        reports: Arc::clone(reports),
        settled: AtomicU64::new(0),
        trouble: LogThrottle::new(LOG_INTERVAL),
    };
    settings.client_config().create_with_context(context).map(Client)
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
        if let Some(suppressed) = self.trouble.allow() {
            warn!(%error, reason, producer = self.name, suppressed, "kafka.trouble");
        }
    }
}

impl<R: DeliveryReports> ProducerContext for Context<R> {
    type DeliveryOpaque = Box<R::Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Self::DeliveryOpaque) {
        let result = match result {
            Ok(message) => Ok((Partition(message.partition()), Offset(message.offset()))),
            Err((error, message)) => Err(Failed {
                error,
                partition: Partition(message.partition()),
                key: message.key(),
                value: message.payload(),
            }),
        };
        self.settled.fetch_add(1, Ordering::Relaxed);
        self.reports.settled(*ticket, result);
    }
}
