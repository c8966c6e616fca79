//! `tailsieve rekey`: a topic that is not keyed by trace, into one that is.
//!
//! Reads one topic as a consumer group of its own, splits every record by trace (re-framed, not
//! re-encoded), and writes each part with its trace id as the key, partitioned as the Collector
//! partitions. Promises at least once: an offset is committed when all that was made of its record
//! is acknowledged. What cannot be read, or holds no spans, is passed on as it is, with its key.
//! Keeps key, value, time and headers of records; of a record that is split each part has its headers.

mod metrics;
mod receipts;
mod topics;
mod value;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::cmd::run::{EXIT_USAGE, Signals, end_by_force};
use crate::config::{self, Settings};
use crate::kafka::publish::{Publisher, PublisherSettings};
use crate::kafka::source::{self, ConsumerHandle, KeptHeaders, OwnershipTable, SourceSettings};
use crate::telemetry::admin::{self, AdminError, Check, Pages};
use crate::telemetry::logs::{self, LogFormat, TelemetryError};

use metrics::RekeyMetrics;
use receipts::Settle;
use worker::{Parts, Worker};

pub use topics::TopicsError;
pub(crate) use value::split;

/// Write a topic that is keyed by trace id out of one that is not.
///
/// For producers that cannot be changed: they write to FROM, members (`tailsieve run`) read TO.
/// Brokers and how to log in are those of the static file. Several of these share the work.
#[derive(Clone, Debug, clap::Args)]
pub struct RekeyArgs {
    /// The static file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// The topic to read
    #[arg(long, value_name = "TOPIC")]
    pub from: String,
    /// The topic to write; by default the one that members read (`kafka.topic`)
    #[arg(long, value_name = "TOPIC")]
    pub to: Option<String>,
    /// The consumer group; by default that of the members with `-rekey` behind it
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,
    /// Create the topic to write if it is not there, with as many partitions as the one to read
    #[arg(long)]
    pub create_topics: bool,
}

/// Why it does not run.
#[derive(Debug, Error)]
pub enum RekeyError {
    /// The file is wrong.
    #[error(transparent)]
    Config(#[from] config::Diagnostics),
    /// Logs cannot be set up.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The metrics recorder cannot be installed.
    #[error("metrics cannot be set up: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    /// The topics are not as they have to be.
    #[error(transparent)]
    Topics(#[from] TopicsError),
    /// The admin pages cannot be served.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The consumer cannot be started.
    #[error(transparent)]
    Source(#[from] source::StartError),
    /// The producer cannot be started.
    #[error("the Kafka producer refuses its settings: {0}")]
    Publisher(#[from] rdkafka::error::KafkaError),
    /// The system refuses threads or signal handlers.
    #[error("the system refuses: {0}")]
    System(#[from] std::io::Error),
}

impl RekeyError {
    /// The exit code: 2 if files or arguments have to be mended, 1 otherwise.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_)
            | Self::Telemetry(TelemetryError::Filter { .. })
            | Self::Topics(TopicsError::Same(_)) => ExitCode::from(EXIT_USAGE),
            _ => ExitCode::FAILURE,
        }
    }
}

/// Runs until SIGTERM or SIGINT, then hands everything over.
///
/// # Errors
/// When it cannot be started.
pub fn run(args: &RekeyArgs, log_format: LogFormat, log: Option<&str>) -> Result<(), RekeyError> {
    let settings = config::load(&args.config)?;
    let telemetry = &settings.telemetry;
    let format = if log_format == LogFormat::Auto { telemetry.log_format } else { log_format };
    logs::init(format, log.or(telemetry.log.as_deref()))?;
    let to = args.to.clone().unwrap_or_else(|| settings.source.topic.clone());
    let group_id = args.group.clone();
    let source = SourceSettings {
        topic: args.from.clone(),
        group_id: group_id.unwrap_or_else(|| format!("{}-rekey", settings.source.group_id)),
        headers: KeptHeaders::All,
        ..settings.source.clone()
    };
    let runtime = Builder::new_multi_thread().enable_all().thread_name("tailsieve-io").build()?;
    // Before anything that takes time: process 1 of a container ignores what it does not handle.
    let mut signals = Signals::new(&runtime)?;
    info!(brokers = source.brokers, "topics.checking");
    let (own, target, create) = (source.clone(), to.clone(), args.create_topics);
    match signals.unless_before(&runtime, move || topics::check(&own, &target, create)) {
        Ok(max_bytes) => serve(&settings, source, &to, max_bytes?, &runtime, signals),
        Err(signal) => {
            info!(signal, "rekey.stopped: before it started");
            runtime.shutdown_background();
            Ok(())
        }
    }
}

fn serve(
    settings: &Settings,
    source: SourceSettings,
    to: &str,
    max_bytes: usize,
    runtime: &Runtime,
    mut signals: Signals,
) -> Result<(), RekeyError> {
    let recorder = admin::install()?;
    let listener = runtime.block_on(admin::bind(settings.admin_listen))?;
    info!(
        version = env!("CARGO_PKG_VERSION"),
        brokers = source.brokers,
        from = source.topic,
        to,
        group_id = source.group_id,
        max_bytes,
        "rekey.starting"
    );
    let rekeying = Rekeying::start(settings, source, to, max_bytes)?;
    let is_stopping = Arc::new(AtomicBool::new(false));
    let stop_pages = CancellationToken::new();
    let render = recorder.clone();
    let pages = Pages {
        metrics: Arc::new(move || render.render()),
        readiness: checks(&rekeying, Arc::clone(&is_stopping)),
        notes: Arc::new(Vec::new),
        policies: None,
    };
    let pages = runtime.spawn(admin::serve(listener, pages, stop_pages.clone()));
    runtime.spawn(recorder.upkeep());
    let name = runtime.block_on(signals.next());
    is_stopping.store(true, Ordering::Relaxed);
    info!(signal = name, "rekey.stopping");
    end_by_force(signals, settings.shutdown_timeout, runtime);
    rekeying.stop(settings.shutdown_timeout);
    stop_pages.cancel();
    // The pages are gone or were aborted with the runtime; neither is worth an error.
    let _ = runtime.block_on(pages);
    Ok(())
}

type Checks = Arc<dyn Fn() -> Vec<Check> + Send + Sync>;

fn checks(rekeying: &Rekeying, is_stopping: Arc<AtomicBool>) -> Checks {
    let consumers: Vec<_> = rekeying.consumers.iter().map(ConsumerHandle::status).collect();
    Arc::new(move || {
        let running = match is_stopping.load(Ordering::Relaxed) {
            true => Err("the process is shutting down".to_owned()),
            false => Ok(()),
        };
        let kafka = consumers.iter().try_for_each(|consumer| consumer.ready());
        vec![Check { name: "kafka", state: kafka }, Check { name: "running", state: running }]
    })
}

/// The parts that run.
struct Rekeying {
    consumers: Vec<ConsumerHandle>,
    workers: Vec<JoinHandle<()>>,
    stop_workers: CancellationToken,
    publisher: Arc<Publisher<Settle>>,
}

impl Rekeying {
    fn start(
        settings: &Settings,
        source: SourceSettings,
        to: &str,
        max_bytes: usize,
    ) -> Result<Self, RekeyError> {
        let (senders, inboxes) = source::inboxes(settings.workers, settings.queue_bytes);
        let (tell, told): (Vec<_>, Vec<_>) =
            (0..settings.workers).map(|_| mpsc::unbounded_channel()).unzip();
        let producer =
            PublisherSettings::new("tailsieve-rekey", &source.brokers, &source.properties);
        let publisher = Arc::new(Publisher::start(producer, Settle::new(to, tell))?);
        let metrics = RekeyMetrics::new();
        let stop_workers = CancellationToken::new();
        let mut workers = Vec::with_capacity(settings.workers);
        for (index, (inbox, settled)) in inboxes.into_iter().zip(told).enumerate() {
            let (publisher, to) = (Arc::clone(&publisher), to.to_owned());
            let metrics = metrics.clone();
            let worker =
                Worker::new(Parts { index, inbox, settled, publisher, to, max_bytes, metrics });
            let stop = stop_workers.clone();
            let runtime = Builder::new_current_thread().enable_time().build()?;
            let thread = thread::Builder::new().name(format!("rekey-worker-{index}"));
            workers.push(thread.spawn(move || runtime.block_on(worker.run(stop)))?);
        }
        let ownership = Arc::new(OwnershipTable::default());
        let mut consumers = Vec::with_capacity(settings.consumers);
        for index in 0..settings.consumers {
            let mut source = source.clone();
            if let Some(instance) = &mut source.group_instance_id {
                *instance = format!("{instance}-rekey-{index}");
            }
            let name = format!("rekey-kafka-{index}");
            consumers.push(source::start(name, source, Arc::clone(&ownership), senders.clone())?);
        }
        Ok(Self { consumers, workers, stop_workers, publisher })
    }

    /// Has what is on its way acknowledged, commits, leaves the group, and stops all threads.
    fn stop(self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        self.consumers.iter().for_each(|consumer| consumer.stop(Duration::ZERO));
        self.consumers.into_iter().for_each(ConsumerHandle::join);
        self.stop_workers.cancel();
        for worker in self.workers {
            if worker.join().is_err() {
                error!("worker.panicked");
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if !self.publisher.flush(left) {
            warn!("rekey.unflushed: what was not acknowledged is read and written again");
        }
        info!("rekey.stopped");
    }
}
