//! A member of the consumer group, wired: consumers, workers, exporter.
//!
//! Owns the order in which the parts are started and stopped. Leaves the process around it
//! (files, signals, admin pages) to the command that runs it.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::books::Books;
use crate::export::{Ack, AckSink, ExportMetrics, ExportSettings, Exporter, Fence, Standing};
use crate::ids::{Generation, Partition};
use crate::memory::Memory;
use crate::source::{self, ConsumerHandle, ConsumerStatus, Ownership, SourceSettings};
use crate::trace::DecidedTraces;
use crate::worker::{Annotations, Keying, PoliciesInForce, Shared, Worker};

/// What a member has to know.
#[derive(Clone, Debug)]
pub struct MemberSettings {
    /// The Kafka side.
    pub source: SourceSettings,
    /// Number of consumers, each a member of the group with a thread of its own.
    pub consumers: usize,
    /// Number of worker threads.
    pub workers: usize,
    /// Bytes of records that may wait for the workers.
    pub queue_bytes: usize,
    /// How far behind the wall clock the clock of a quiet partition stays.
    pub idle_grace: Duration,
    /// How many decisions are remembered.
    pub decision_cache_entries: u64,
    /// What is written on kept spans.
    pub annotations: Annotations,
    /// The way out.
    pub export: ExportSettings,
}

/// Why a member cannot be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The Kafka client cannot be made.
    #[error(transparent)]
    Source(#[from] source::StartError),
    /// The exporter cannot be made.
    #[error(transparent)]
    Export(#[from] crate::export::ExportError),
    /// No thread could be had.
    #[error("a worker's thread cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// A running member.
#[derive(Debug)]
pub struct Member {
    consumers: Vec<ConsumerHandle>,
    workers: Vec<JoinHandle<()>>,
    stop_workers: CancellationToken,
    exporter: Exporter,
}

/// How a member is.
#[derive(Clone, Debug)]
pub struct Readiness {
    consumers: Vec<Arc<ConsumerStatus>>,
    exporter: Exporter,
}

impl Readiness {
    /// `Ok` if Kafka is connected and the group joined; else what is missing.
    pub fn kafka(&self) -> Result<(), String> {
        self.consumers.iter().try_for_each(|consumer| consumer.ready())
    }

    /// `Ok` if the backend answers; else what is missing.
    pub fn backend(&self) -> Result<(), String> {
        if self.exporter.reachable() {
            return Ok(());
        }
        Err(format!("the OTLP backend {} does not answer", self.exporter.endpoint()))
    }
}

/// The exporter asks the ownership table before each attempt.
struct OwnershipFence(Arc<Ownership>);

impl Fence for OwnershipFence {
    fn standing(&self, partition: Partition, generation: Generation) -> Standing {
        match self.0.is_current(partition, generation) {
            true => Standing::Current,
            false => Standing::Ended,
        }
    }
}

impl Member {
    /// Starts a member. Kafka and the backend may be out of reach: it waits for them.
    pub fn start(
        name: &str,
        settings: MemberSettings,
        policies: Arc<PoliciesInForce>,
        books: Arc<Books>,
        memory: Arc<Memory>,
        runtime: &Handle,
    ) -> Result<Self, StartError> {
        let ownership = Arc::new(Ownership::default());
        let (senders, inboxes) = source::inboxes(settings.workers, settings.queue_bytes);
        let (sinks, acks): (Vec<AckSink>, Vec<_>) =
            (0..settings.workers).map(|_| ack_channel()).unzip();
        let fence = Arc::new(OwnershipFence(Arc::clone(&ownership)));
        let exporter = Exporter::start(
            &settings.export,
            runtime,
            fence,
            sinks,
            ExportMetrics::new(&settings.export),
        )?;
        let shared = Arc::new(Shared {
            policies,
            annotations: settings.annotations,
            idle_grace: settings.idle_grace,
            max_chunk_bytes: settings.export.max_request_bytes,
            decided: DecidedTraces::new(settings.decision_cache_entries),
            memory,
            books,
            keying: Keying::default(),
        });
        let stop_workers = CancellationToken::new();
        let mut workers = Vec::with_capacity(settings.workers);
        for (index, (inbox, acks)) in inboxes.into_iter().zip(acks).enumerate() {
            let worker = Worker::new(index, Arc::clone(&shared), exporter.clone(), inbox, acks);
            let stop = stop_workers.clone();
            let worker_runtime = Builder::new_current_thread().enable_time().build()?;
            let thread = thread::Builder::new().name(format!("{name}-worker-{index}"));
            workers.push(thread.spawn(move || worker_runtime.block_on(worker.run(stop)))?);
        }
        let mut consumers = Vec::with_capacity(settings.consumers);
        for index in 0..settings.consumers {
            let mut source_settings = settings.source.clone();
            if let Some(instance) = &mut source_settings.group_instance_id
                && settings.consumers > 1
            {
                *instance = format!("{instance}-{index}");
            }
            consumers.push(source::start(
                format!("{name}-kafka-{index}"),
                source_settings,
                Arc::clone(&ownership),
                senders.clone(),
            )?);
        }
        Ok(Self { consumers, workers, stop_workers, exporter })
    }

    /// Tells how the member is, for as long as it runs.
    pub fn readiness(&self) -> Readiness {
        Readiness {
            consumers: self.consumers.iter().map(ConsumerHandle::status).collect(),
            exporter: self.exporter.clone(),
        }
    }

    /// Hands the partitions over, commits, leaves the group, and stops all threads. Blocks until
    /// that is done, or `timeout` is over.
    pub fn stop(self, runtime: &Handle, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        self.consumers.iter().for_each(ConsumerHandle::stop);
        self.consumers.into_iter().for_each(ConsumerHandle::join);
        let left = deadline.saturating_duration_since(Instant::now());
        let unsettled = runtime.block_on(self.exporter.drain(left));
        self.stop_workers.cancel();
        for worker in self.workers {
            if worker.join().is_err() {
                error!("worker.panicked");
            }
        }
        info!(unsettled, "member.stopped");
    }

    /// Ends the member as a crash would: nothing is finished, handed over or committed.
    pub fn crash(self) {
        self.consumers.iter().for_each(ConsumerHandle::crash);
        self.exporter.stop();
        self.consumers.into_iter().for_each(ConsumerHandle::join);
        self.stop_workers.cancel();
        for worker in self.workers {
            if worker.join().is_err() {
                error!("worker.panicked");
            }
        }
    }
}

fn ack_channel() -> (AckSink, mpsc::UnboundedReceiver<Vec<Ack>>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let sink: AckSink = Box::new(move |acks: Vec<Ack>| {
        // A worker that is gone needs no acks.
        let _ = sender.send(acks);
    });
    (sink, receiver)
}
