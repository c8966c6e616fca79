//! `tailsieve rekey`: a topic that is not keyed by trace, into one that is.
//!
//! Reads one topic as a consumer group of its own, splits every record by trace (re-framed, not
//! re-encoded), and writes each part with its trace id as the key, partitioned as the Collector
//! partitions. Promises at least once: an offset is committed when all that was made of its record
//! is acknowledged. What cannot be read, or holds no spans, is passed on as it is, with its key.
//! Keeps key, value, time and headers of records; of a record that is split each part has its headers.

mod metrics;
mod reports;
mod topics;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::own_telemetry::OwnTelemetry;
use super::process::{CommandError, LogOptions, Process};
use crate::config::{self, Settings};
use crate::kafka::publish::{Publisher, PublisherSettings};
use crate::kafka::source::{self, ConsumerHandle, KeptHeaders, OwnershipTable, SourceSettings};
use crate::telemetry::admin::{Check, Pages};

use metrics::RekeyMetrics;
use reports::Reports;
use worker::{Parts, Worker};

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

/// Runs until SIGTERM or SIGINT, then hands everything over.
///
/// # Errors
/// When it cannot be started.
pub fn run(args: &RekeyArgs, logs: &LogOptions) -> Result<ExitCode, CommandError> {
    let settings = config::load(&args.config)?;
    let lines = (settings.telemetry.log_format, settings.telemetry.log.as_deref());
    let instance = settings.source.group_instance_id.as_ref().map(|id| format!("{id}-rekey"));
    let own = OwnTelemetry::start(logs, lines, instance.as_deref())?;
    let to = args.to.clone().unwrap_or_else(|| settings.source.topic.clone());
    let group_id = args.group.clone();
    let source = SourceSettings {
        topic: args.from.clone(),
        group_id: group_id.unwrap_or_else(|| format!("{}-rekey", settings.source.group_id)),
        headers: KeptHeaders::All,
        ..settings.source.clone()
    };
    let mut process = Process::start()?.with_otel(own.otel());
    info!(brokers = source.brokers, "topics.checking");
    let (own, target, create) = (source.clone(), to.clone(), args.create_topics);
    match process.unless_stopped(move || topics::check(&own, &target, create)) {
        Ok(max_bytes) => {
            let target = Target { to, max_bytes: max_bytes? };
            serve(process, &settings, source, target)?;
        }
        Err(signal) => info!(signal, "rekey.stopped: before it started"),
    }
    Ok(ExitCode::SUCCESS)
}

/// The topic to write.
struct Target {
    to: String,
    /// How large the values of its records may be.
    max_bytes: usize,
}

fn serve(
    process: Process,
    settings: &Settings,
    source: SourceSettings,
    target: Target,
) -> Result<(), CommandError> {
    let admin = process.admin(&settings.admin)?;
    info!(
        version = env!("CARGO_PKG_VERSION"),
        brokers = source.brokers,
        from = source.topic,
        to = target.to,
        group_id = source.group_id,
        max_bytes = target.max_bytes,
        "rekey.starting"
    );
    let rekeying = Rekeying::start(settings, source, &target)?;
    let consumers: Vec<_> = rekeying.consumers.iter().map(ConsumerHandle::status).collect();
    let kafka = move || consumers.iter().try_for_each(|consumer| consumer.ready());
    let render = admin.recorder.clone();
    let pages = Pages {
        metrics: Arc::new(move || render.render()),
        readiness: Arc::new(move || vec![Check { name: "kafka", state: kafka() }]),
        notes: Arc::new(Vec::new),
        policies: None,
        status: None,
    };
    let pages = process.serve(admin, pages);
    let timeout = settings.shutdown_timeout;
    process.stop_when_told(pages, timeout, |signal| {
        info!(signal, "rekey.stopping");
        rekeying.stop(timeout);
    });
    Ok(())
}

/// The parts that run.
struct Rekeying {
    consumers: Vec<ConsumerHandle>,
    workers: Vec<JoinHandle<()>>,
    stop_workers: CancellationToken,
    publisher: Arc<Publisher<Reports>>,
}

impl Rekeying {
    fn start(
        settings: &Settings,
        source: SourceSettings,
        Target { to, max_bytes }: &Target,
    ) -> Result<Self, CommandError> {
        let (senders, inboxes) = source::inboxes(settings.workers, settings.queue_bytes);
        #[expect(clippy::disallowed_methods, reason = "bounded by the producer's queue")]
        let reports = (0..settings.workers).map(|_| mpsc::unbounded_channel());
        let (tell, told): (Vec<_>, Vec<_>) = reports.unzip();
        let producer =
            PublisherSettings::new("tailsieve-rekey", &source.brokers, &source.properties);
        let publisher = Publisher::start(producer, Reports::new(to, tell)).map_err(|error| {
            CommandError::failed(format_args!("the Kafka producer refuses its settings: {error}"))
        })?;
        let publisher = Arc::new(publisher);
        let metrics = RekeyMetrics::new();
        let stop_workers = CancellationToken::new();
        let mut workers = Vec::with_capacity(settings.workers);
        for (index, (inbox, settled)) in inboxes.into_iter().zip(told).enumerate() {
            let (publisher, to) = (Arc::clone(&publisher), to.clone());
            let metrics = metrics.clone();
            let worker = Worker::new(Parts {
                index,
                inbox,
                settled,
                publisher,
                to,
                max_bytes: *max_bytes,
                metrics,
            });
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
            let (ownership, senders) = (Arc::clone(&ownership), senders.clone());
            let consumer = source::start(name, source, ownership, senders);
            consumers.push(consumer.map_err(CommandError::failed)?);
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
