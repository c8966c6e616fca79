//! A handle to the thread of a consumer: starts it, replaces its client after a fatal error, reports
//! its status, stops it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use rdkafka::error::KafkaError;
use thiserror::Error;
use tracing::error;

use super::assignment::PartitionLag;
use super::consumer::Consumer;
use super::context::Context;
use super::inbox::InboxSender;
use super::metrics::SourceMetrics;
use super::ownership::OwnershipTable;
use super::settings::SourceSettings;
use super::static_membership::{self, Fatal, NotLetInLog};
use crate::clock;
use crate::ids::Partition;
use crate::telemetry::log_throttle::LogThrottle;

/// How long to wait before a new client is created after a fatal error.
const RESTART_WAIT: Duration = Duration::from_secs(1);
pub(super) const RUNNING: u8 = 0;
const STOPPING: u8 = 1;
pub(super) const CRASHED: u8 = 2;

/// Why a consumer cannot be made.
#[derive(Debug, Error)]
pub enum StartError {
    /// librdkafka refuses the settings.
    #[error("the Kafka client refuses its settings: {0}")]
    Settings(#[from] KafkaError),
    /// The thread does not start.
    #[error("the consumer's thread cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// A running consumer.
#[derive(Debug)]
pub struct ConsumerHandle {
    state: Arc<AtomicU8>,
    /// How long leaving may take, in milliseconds.
    leave_timeout: Arc<AtomicU64>,
    status: Arc<ConsumerStatus>,
    thread: JoinHandle<()>,
}

/// The status of a consumer; outlives it.
#[derive(Debug, Default)]
pub struct ConsumerStatus {
    pub(super) context: ArcSwapOption<Context>,
    /// Why the group does not let the member in.
    not_let_in: ArcSwapOption<String>,
}

impl ConsumerStatus {
    /// `Ok` if a broker is connected and the group was joined; else what is missing.
    pub fn ready(&self) -> Result<(), String> {
        let context = self.context.load();
        let not_let_in = self.not_let_in.load();
        let is_joined = |context: &Arc<Context>| context.joined.load(Ordering::Relaxed);
        if let Some(reason) = not_let_in.as_ref()
            && !context.as_ref().is_some_and(is_joined)
        {
            return Err(reason.to_string());
        }
        let Some(context) = context.as_ref() else {
            return Err("the Kafka client is not running".into());
        };
        let settings = &context.settings;
        if !context.reports.is_connected() {
            return Err(format!("no Kafka broker of {} is connected", settings.brokers));
        }
        if let Some(denied) = context.denied.load().as_deref() {
            return Err(denied.to_string());
        }
        if !context.joined.load(Ordering::Relaxed) {
            let (group, topic) = (&settings.group_id, &settings.topic);
            return Err(format!("consumer group {group} is not joined yet (topic {topic})"));
        }
        Ok(())
    }
}

impl ConsumerStatus {
    /// The partitions that it has, and how far behind they are.
    pub fn partitions(&self) -> Vec<(Partition, PartitionLag)> {
        let now = clock::now();
        let context = self.context.load();
        let all = context.as_ref().map_or_else(Vec::new, |context| context.assignment.all());
        all.into_iter().map(|(partition, assigned)| (partition, assigned.lag(now))).collect()
    }
}

impl ConsumerHandle {
    /// The status of the consumer.
    pub fn status(&self) -> Arc<ConsumerStatus> {
        Arc::clone(&self.status)
    }

    /// Asks the consumer to hand its partitions over and to leave the group. It waits at most
    /// `timeout` for what is in flight; [`Self::join`] waits for the consumer.
    pub fn stop(&self, timeout: Duration) {
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self.leave_timeout.store(millis, Ordering::Relaxed);
        self.state.fetch_max(STOPPING, Ordering::Relaxed);
    }

    /// Makes the consumer leave as a crash would: nothing is finished, nothing is committed.
    pub fn crash(&self) {
        self.state.fetch_max(CRASHED, Ordering::Relaxed);
    }

    /// Waits until the consumer's thread has ended.
    pub fn join(self) {
        if self.thread.join().is_err() {
            error!("kafka.consumer_panicked");
        }
    }
}

/// Starts a consumer that hands records to `workers`. Fails if librdkafka refuses the settings; a
/// broker that cannot be reached is not an error.
pub fn start(
    name: String,
    settings: SourceSettings,
    ownership: Arc<OwnershipTable>,
    workers: Vec<InboxSender>,
) -> Result<ConsumerHandle, StartError> {
    let state = Arc::new(AtomicU8::new(RUNNING));
    let status = Arc::new(ConsumerStatus::default());
    let metrics = Arc::new(SourceMetrics::new(&name));
    let leave_timeout = Arc::new(AtomicU64::new(0));
    let every = Duration::from_secs(10);
    let limits = (Arc::new(LogThrottle::new(every)), Arc::new(LogThrottle::new(every)));
    let (own_settings, own_status) = (settings.clone(), Arc::clone(&status));
    let make = {
        let (state, status) = (Arc::clone(&state), Arc::clone(&status));
        let leave_timeout = Arc::clone(&leave_timeout);
        move || -> Result<Consumer, KafkaError> {
            let context = Context::new(
                settings.clone(),
                Arc::clone(&ownership),
                workers.clone(),
                Arc::clone(&metrics),
                limits.clone(),
            );
            Consumer::new(context, Arc::clone(&state), Arc::clone(&leave_timeout), &status)
        }
    };
    let first = make()?;
    let own_state = Arc::clone(&state);
    let thread = thread::Builder::new().name(name).spawn(move || {
        let mut next = Some(first);
        let mut not_let_in = NotLetInLog::default();
        while let Some(consumer) = next.take() {
            let context = Arc::clone(&consumer.context);
            let Some(fatal) = consumer.run() else { return };
            if context.joined.load(Ordering::Relaxed) {
                not_let_in = NotLetInLog::default();
            }
            let reason = not_let_in.log(fatal, &own_settings);
            own_status.context.store(None);
            own_status.not_let_in.store(reason.map(Arc::new));
            if fatal != Fatal::Other {
                static_membership::wait(fatal, &own_settings, &own_state);
            }
            while next.is_none() && own_state.load(Ordering::Relaxed) == RUNNING {
                thread::sleep(RESTART_WAIT);
                next = make().inspect_err(|error| error!(%error, "kafka.restart_failed")).ok();
            }
        }
    })?;
    Ok(ConsumerHandle { state, leave_timeout, status, thread })
}
