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

use crate::export::{ExportMetrics, ExportSettings, Exporter, Fence};
use crate::kafka::dead_letters::{DeadLetterSettings, DeadLetters, Input, LetterSink};
use crate::kafka::decision_log::{DecisionLog, DecisionLogSettings, GroupHash, Log, LogError};
use crate::kafka::publish::NoticeSink;
use crate::kafka::source::{self, ConsumerHandle, ConsumerStatus, OwnershipTable, SourceSettings};
use crate::member::observer::Observer;
use crate::member::rereader::{Answers, Rereader};
use crate::member::routing::Routing;
use crate::member::worker::{
    Annotations, DecisionRoom, Liveness, Notice, PolicyWatch, ReadAnew, Refusals, Reread, Shared,
    Stalls, Worker,
};
use crate::retrieval::Origin;
use crate::telemetry::accounts::Accounts;
use crate::telemetry::latest::Latest;
use crate::telemetry::memory::Memory;

/// How long a stop may take for the index of the decision log, which can do without.
const INDEX_TIMEOUT: Duration = Duration::from_secs(2);

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
    /// Where decisions are put on record, unless that is switched off.
    pub decision_log: Option<DecisionLogSettings>,
    /// How many decisions are remembered.
    pub decision_cache_entries: u64,
    /// What is written on kept spans.
    pub annotations: Annotations,
    /// The ways out; never empty.
    pub exports: Vec<ExportSettings>,
    /// Where goes what is refused, if it is kept.
    pub dead_letter: Option<DeadLetterSettings>,
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
    /// The decision log cannot be made.
    #[error(transparent)]
    DecisionLog(#[from] LogError),
    /// The producer of dead letters cannot be made.
    #[error("dead letters: {0}")]
    DeadLetters(String),
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
    exporters: Vec<Exporter>,
    log: Option<Arc<DecisionLog>>,
    routing: Arc<Routing>,
    dead_letters: DeadLetters,
    liveness: Vec<Arc<Liveness>>,
    latest: Arc<Latest>,
    notices: Vec<mpsc::UnboundedSender<Notice>>,
}

/// How a member is.
#[derive(Clone, Debug)]
pub struct Readiness {
    consumers: Vec<Arc<ConsumerStatus>>,
    exporters: Vec<Exporter>,
    log: Option<Arc<DecisionLog>>,
    routing: Arc<Routing>,
}

impl Readiness {
    /// `Ok` if Kafka is connected and the group joined; else what is missing.
    pub fn kafka(&self) -> Result<(), String> {
        self.consumers.iter().try_for_each(|consumer| consumer.ready())
    }

    /// `Ok` if what was decided before is known for all partitions; else what is missing.
    pub fn decision_log(&self) -> Result<(), String> {
        self.log.as_ref().map_or(Ok(()), |log| log.ready())
    }

    /// `Ok` if the backends take requests; else which does not, and what it says.
    pub fn backend(&self) -> Result<(), String> {
        let away = |exporter: &Exporter| {
            let trouble = exporter.trouble().unwrap_or_else(|| "not asked yet".to_owned());
            format!("the backend {} takes nothing: {trouble}", exporter.endpoint())
        };
        let away = self.exporters.iter().filter(|exporter| !exporter.reachable()).map(away);
        let away: Vec<_> = away.collect();
        if away.is_empty() { Ok(()) } else { Err(away.join("; ")) }
    }

    /// What is wrong with how traces are spread over partitions; it keeps no span from flowing.
    pub fn routing(&self) -> Vec<String> {
        self.routing.notes()
    }
}

impl Member {
    /// Starts a member. Kafka and the backend may be out of reach: it waits for them.
    pub fn start(
        name: &str,
        settings: MemberSettings,
        policies: Arc<PolicyWatch>,
        accounts: Arc<Accounts>,
        memory: Arc<Memory>,
        runtime: &Handle,
    ) -> Result<Self, StartError> {
        let ownership = Arc::new(OwnershipTable::default());
        let (senders, inboxes) = source::inboxes(settings.workers, settings.queue_bytes);
        #[expect(clippy::disallowed_methods, reason = "bounded by what is in flight")]
        let notices = (0..settings.workers).map(|_| mpsc::unbounded_channel());
        let (notices, told): (Vec<_>, Vec<_>) = notices.unzip();
        let fence: Arc<dyn Fence> = Arc::<OwnershipTable>::clone(&ownership);
        let mut exporters = Vec::with_capacity(settings.exports.len());
        for (number, export) in settings.exports.iter().enumerate() {
            let sinks = sinks(&notices, move |acks| Notice::Acks(number, acks));
            let (fence, metrics) = (Arc::clone(&fence), ExportMetrics::new(export));
            exporters.push(Exporter::start(export, runtime, fence, sinks, metrics)?);
        }
        let log = settings.decision_log.as_ref();
        let log = log.map(|log| DecisionLog::start(log, sinks(&notices, Notice::Log)));
        let log = log.transpose()?.map(Arc::new);
        let (routing, latest) = (Arc::new(Routing::default()), Arc::new(Latest::default()));
        let dead_letters = start_dead_letters(&settings, sinks(&notices, Notice::Letter))?;
        let stop_workers = CancellationToken::new();
        let reread = start_rereader(name, &settings, &notices, &stop_workers)?;
        let shared = Arc::new(Shared {
            epoch: tokio::time::Instant::now(),
            policies,
            annotations: settings.annotations,
            idle_grace: settings.idle_grace,
            exporters: settings.exports.iter().map(|export| export.name.clone()).collect(),
            max_chunk_bytes: smallest(&settings.exports, |export| export.max_request_bytes),
            log: log.clone().map(|log| log as Arc<dyn Log>),
            reread: reread.map(|reread| Arc::new(reread) as Arc<dyn Reread>),
            max_unrecorded_bytes: smallest(&settings.exports, |export| {
                export.sending_queue.queue_size_bytes
            }) as u64,
            decision_room: DecisionRoom::new(settings.decision_cache_entries),
            stalls: Stalls::default(),
            memory,
            accounts,
            routing: Arc::clone(&routing),
            latest: Arc::clone(&latest),
            refusals: Refusals::default(),
            dead_letters: dead_letters.clone(),
        });
        let mut workers = Vec::with_capacity(settings.workers);
        let mut liveness = Vec::with_capacity(settings.workers);
        for (index, (inbox, told)) in inboxes.into_iter().zip(told).enumerate() {
            let (shared, exporters) = (Arc::clone(&shared), exporters.clone());
            let worker = Worker::new(index, shared, exporters, inbox, told);
            liveness.push(worker.liveness());
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
        Ok(Self {
            consumers,
            workers,
            stop_workers,
            exporters,
            log,
            dead_letters,
            routing,
            liveness,
            latest,
            notices,
        })
    }

    /// Tells how the member is, for as long as it runs.
    pub fn readiness(&self) -> Readiness {
        Readiness {
            consumers: self.consumers.iter().map(ConsumerHandle::status).collect(),
            exporters: self.exporters.clone(),
            log: self.log.clone(),
            routing: Arc::clone(&self.routing),
        }
    }

    /// Looks at the member, for as long as it runs.
    pub fn observer(&self) -> Observer {
        let consumers = self.consumers.iter().map(ConsumerHandle::status).collect();
        let (routing, latest) = (Arc::clone(&self.routing), Arc::clone(&self.latest));
        Observer::new(self.notices.clone(), consumers, routing, latest)
    }

    /// The liveness of each worker.
    pub fn liveness(&self) -> Vec<Arc<Liveness>> {
        self.liveness.clone()
    }

    /// Hands the partitions over, commits, leaves the group, and stops all threads. Blocks until
    /// that is done, or `timeout` is over.
    pub fn stop(self, runtime: &Handle, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        // The other half is for commits, and for leaving a cluster that does not answer.
        self.consumers.iter().for_each(|consumer| consumer.stop(timeout / 2));
        self.consumers.into_iter().for_each(ConsumerHandle::join);
        let mut unsettled = 0;
        for exporter in &self.exporters {
            let left = deadline.saturating_duration_since(Instant::now());
            unsettled += runtime.block_on(exporter.drain(left));
        }
        self.stop_workers.cancel();
        for worker in self.workers {
            if worker.join().is_err() {
                error!("worker.panicked");
            }
        }
        if let Some(log) = &self.log {
            let left = deadline.saturating_duration_since(Instant::now());
            log.finish(left.min(INDEX_TIMEOUT));
        }
        info!(unsettled, "member.stopped");
    }

    /// Ends the member as a crash would: nothing is finished, handed over or committed.
    pub fn crash(self) {
        self.consumers.iter().for_each(ConsumerHandle::crash);
        self.exporters.iter().for_each(Exporter::stop);
        self.log.iter().for_each(|log| log.crash());
        self.dead_letters.crash();
        self.consumers.into_iter().for_each(ConsumerHandle::join);
        self.stop_workers.cancel();
        for worker in self.workers {
            if worker.join().is_err() {
                error!("worker.panicked");
            }
        }
    }
}

/// Without a decision log nobody knows where the records of a trace are.
fn start_rereader(
    name: &str,
    settings: &MemberSettings,
    notices: &[mpsc::UnboundedSender<Notice>],
    stop: &CancellationToken,
) -> Result<Option<Rereader>, StartError> {
    let Some(log) = &settings.decision_log else { return Ok(None) };
    let SourceSettings { brokers, properties, topic, headers, .. } = settings.source.clone();
    let group = Some(GroupHash::of(&log.group_id));
    let decision_log = log.topic.clone();
    let decision_index = log.index.as_ref().map(|index| index.topic.clone());
    let origin = Origin { brokers, properties, topic, decision_log, decision_index, group };
    let notices = notices.to_vec();
    let answers: Answers = Arc::new(move |anew: ReadAnew| {
        // A worker that is gone needs no answers.
        if let Some(worker) = notices.get(anew.asked.origin.worker) {
            drop(worker.send(Notice::Reread(anew)));
        }
    });
    Ok(Some(Rereader::start(name, (origin, headers), &answers, stop)?))
}

fn start_dead_letters(
    settings: &MemberSettings,
    sinks: Vec<LetterSink>,
) -> Result<DeadLetters, StartError> {
    let SourceSettings { brokers, properties, topic, .. } = &settings.source;
    let input = Input { brokers, properties, topic };
    let started = match &settings.dead_letter {
        Some(dead_letter) => DeadLetters::start(dead_letter, input, sinks),
        None => {
            DeadLetters::describe();
            Ok(DeadLetters::default())
        }
    };
    started.map_err(|error| StartError::DeadLetters(error.to_string()))
}

/// A sink for each worker, which puts what it is told of among the worker's notices.
fn sinks<T: 'static>(
    notices: &[mpsc::UnboundedSender<Notice>],
    notice: impl Fn(T) -> Notice + Copy + Send + Sync + 'static,
) -> Vec<NoticeSink<T>> {
    let sink = |notices: &mpsc::UnboundedSender<Notice>| -> NoticeSink<T> {
        let notices = notices.clone();
        // A worker that is gone needs no notices.
        Box::new(move |told| drop(notices.send(notice(told))))
    };
    notices.iter().map(sink).collect()
}

/// The smallest of a setting: what holds for all exporters.
fn smallest(exports: &[ExportSettings], of: impl Fn(&ExportSettings) -> usize) -> usize {
    exports.iter().map(of).min().unwrap_or(0)
}
