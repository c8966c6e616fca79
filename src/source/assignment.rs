//! Rebalances: what happens on the consumer's thread, inside librdkafka's callbacks.
//!
//! While a revoke is unanswered librdkafka stops all partitions of the member, so it is answered
//! here, in time, and cleaned up after.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};
use tracing::{debug, error, info, warn};

use super::events::Rebalance;
use super::inbox::InboxSender;
use super::lease::Lease;
use super::metrics::SourceMetrics;
use super::ownership::{Owned, Ownership};
use super::resume::Resume;
use super::settings::SourceSettings;
use super::statistics::{Learned, Statistics};
use crate::ids::{Partition, Position};
use crate::limited::Limited;

/// How much longer than told a worker may take to answer a revoke before it is left behind.
const WORKER_GRACE: Duration = Duration::from_millis(500);

/// A partition of this consumer.
#[derive(Debug)]
pub(super) struct Mine {
    pub(super) owned: Arc<Owned>,
    /// The next offset to read; negative as long as it is not known.
    pub(super) position: AtomicI64,
    /// The offset behind the last record that its worker was given.
    pub(super) handed_over: AtomicI64,
    /// The timestamp of the last record read; negative before the first.
    pub(super) last_timestamp: AtomicI64,
    /// What may be committed, and since when that has not moved.
    committable: Mutex<(Position, Instant)>,
}

/// What the callbacks and the poll loop of one consumer share. All of it is used on the
/// consumer's thread only, so the locks are never contended.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) settings: SourceSettings,
    pub(super) ownership: Arc<Ownership>,
    pub(super) workers: Vec<InboxSender>,
    pub(super) metrics: Arc<SourceMetrics>,
    /// For how long the membership may be believed in.
    pub(super) lease: Arc<Lease>,
    mine: Mutex<HashMap<Partition, Arc<Mine>>>,
    statistics: Mutex<Statistics>,
    learned: Mutex<Vec<Learned>>,
    /// Partitions of the topic, whoever owns them; 0 before that is known.
    pub(super) topic_size: AtomicU32,
    /// Counts rebalances: what was looked up before one is stale after it.
    epoch: AtomicU64,
    /// The member has had its first assignment, be it empty.
    pub(super) joined: AtomicBool,
    pub(super) connected: AtomicBool,
    /// Set to leave as a crash would: nothing is waited for, nothing committed.
    pub(super) crashed: AtomicBool,
    trouble: Limited,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mine {
    /// Sets the position that is read from.
    pub(super) fn move_to(&self, position: Position) {
        self.position.store(position.0, Ordering::Relaxed);
        self.handed_over.store(position.0, Ordering::Relaxed);
    }

    /// Takes note of what may be committed.
    fn note(&self, position: Position) {
        let mut noted = lock(&self.committable);
        if noted.0 != position {
            *noted = (position, Instant::now());
        }
    }

    /// For how long something that was read has held the offset back; zero if nothing does.
    pub(super) fn held_back(&self) -> (Position, Duration) {
        let (position, since) = *lock(&self.committable);
        let is_held = position.0 < self.position.load(Ordering::Relaxed);
        (position, if is_held { since.elapsed() } else { Duration::ZERO })
    }

    /// True if its worker has been given everything that was read.
    pub(super) fn is_handed_over(&self) -> bool {
        self.position.load(Ordering::Relaxed) == self.handed_over.load(Ordering::Relaxed)
    }
}

impl Context {
    pub(super) fn new(
        settings: SourceSettings,
        ownership: Arc<Ownership>,
        workers: Vec<InboxSender>,
        metrics: Arc<SourceMetrics>,
    ) -> Self {
        let lease = Arc::new(Lease::new(settings.lease_timeout));
        Self {
            settings,
            ownership,
            workers,
            metrics,
            lease,
            mine: Mutex::default(),
            statistics: Mutex::new(Statistics::new(Instant::now())),
            learned: Mutex::default(),
            topic_size: AtomicU32::new(0),
            epoch: AtomicU64::new(0),
            joined: AtomicBool::new(false),
            connected: AtomicBool::new(false),
            crashed: AtomicBool::new(false),
            trouble: Limited::new(Duration::from_secs(10)),
        }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    pub(super) fn partition(&self, partition: Partition) -> Option<Arc<Mine>> {
        lock(&self.mine).get(&partition).cloned()
    }

    pub(super) fn partitions(&self) -> Vec<(Partition, Arc<Mine>)> {
        lock(&self.mine).iter().map(|(partition, mine)| (*partition, Arc::clone(mine))).collect()
    }

    /// Reports that came since the last call.
    pub(super) fn take_learned(&self) -> Vec<Learned> {
        std::mem::take(&mut lock(&self.learned))
    }

    /// Forgets what the reports so far have told about positions: they were changed.
    pub(super) fn forget_reports(&self) {
        lock(&self.learned).clear();
        lock(&self.statistics).forget();
    }

    /// The list of the given partitions of the topic.
    pub(super) fn list(&self, partitions: impl Iterator<Item = Partition>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.settings.topic, partition.0);
        }
        list
    }

    pub(super) fn send(&self, worker: usize, event: Rebalance) {
        if self.workers[worker].rebalance(event).is_err() {
            debug!(worker, "rebalance.worker_gone");
        }
    }

    /// Enters a partition that starts at `start`, and tells its worker.
    pub(super) fn acquire(&self, partition: Partition, start: Position, resume: Resume) {
        let worker = self.ownership.least_loaded(self.workers.len());
        let owned = self.ownership.acquire(partition, worker, &self.lease, start, resume);
        let mine = Mine {
            owned: Arc::clone(&owned),
            position: AtomicI64::new(start.0),
            handed_over: AtomicI64::new(start.0),
            last_timestamp: AtomicI64::new(-1),
            committable: Mutex::new((start, Instant::now())),
        };
        lock(&self.mine).insert(partition, Arc::new(mine));
        self.send(worker, Rebalance::Assigned { partition, owned, start, resume });
        self.metrics.assigned.increment(1);
    }

    /// Forgets a partition that is gone, without a commit.
    pub(super) fn lose(&self, partition: Partition) {
        lock(&self.mine).remove(&partition);
        if let Some(owned) = self.ownership.release(partition) {
            let generation = owned.generation;
            self.send(owned.worker, Rebalance::Lost { partition, generation });
        }
        self.metrics.lost.increment(1);
    }

    /// Forgets all partitions, without a commit.
    pub(super) fn lose_all(&self) {
        self.partitions().into_iter().for_each(|(partition, _)| self.lose(partition));
        self.metrics.owned_partitions.set(lock(&self.mine).len() as f64);
    }

    /// Has the workers finish with `partitions`, commits their watermarks, and forgets them.
    pub(super) fn give_up(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: &[Partition],
        timeout: Duration,
    ) {
        let (done, answers) = mpsc::channel();
        let mut waiting = 0;
        for (partition, mine) in partitions.iter().filter_map(|p| Some((*p, self.partition(*p)?))) {
            let generation = mine.owned.generation;
            let done = done.clone();
            self.send(
                mine.owned.worker,
                Rebalance::Revoked { partition, generation, timeout, done },
            );
            waiting += 1;
        }
        let deadline = Instant::now() + timeout + WORKER_GRACE;
        while waiting > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if answers.recv_timeout(left).is_err() {
                warn!(partitions = waiting, "revoke.unanswered");
                break;
            }
            waiting -= 1;
        }
        self.commit(consumer, partitions.iter().copied());
        for partition in partitions {
            lock(&self.mine).remove(partition);
            self.ownership.release(*partition);
            self.metrics.revoked.increment(1);
        }
    }

    /// Commits the watermarks of `partitions`, also of those that did not move: what the group
    /// answers says that this process is a member of it.
    pub(super) fn commit(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: impl Iterator<Item = Partition>,
    ) {
        let mut list = TopicPartitionList::new();
        for (partition, mine) in partitions.filter_map(|p| Some((p, self.partition(p)?))) {
            let (position, resume) = mine.owned.committable();
            mine.note(position);
            if position.0 < 0 {
                continue;
            }
            let mut element = list.add_partition(&self.settings.topic, partition.0);
            element.set_metadata(resume.to_text());
            if let Err(error) = element.set_offset(KafkaOffset::Offset(position.0)) {
                warn!(%error, partition = partition.0, "kafka.commit_failed");
            }
        }
        if list.count() == 0 {
            return;
        }
        // Waited for: librdkafka tells nobody what became of the others.
        let asked = Instant::now();
        match consumer.commit(&list, CommitMode::Sync) {
            Ok(()) => {
                self.lease.renew(asked);
                self.metrics.commits.increment(1);
            }
            Err(error) => self.commit_failed(&error),
        }
    }

    fn commit_failed(&self, error: &KafkaError) {
        self.metrics.commit_failures.increment(1);
        if let Some(left_out) = self.trouble.allow() {
            let text = "offsets stay uncommitted for now; they are committed again later";
            warn!(%error, left_out, "kafka.commit_failed: {text}");
        }
    }

    fn assigned(&self, consumer: &BaseConsumer<Self>, list: &mut TopicPartitionList) {
        self.lease.renew(Instant::now());
        let partitions: Vec<Partition> =
            list.elements().iter().map(|element| Partition(element.partition())).collect();
        let mut starts = HashMap::new();
        if !partitions.is_empty() {
            self.learn_topic_size(consumer, &partitions);
            starts = self.starts(consumer, &partitions);
        }
        for partition in &partitions {
            let (start, resume) = match starts.get(partition) {
                Some((start, resume)) => (Some(*start), *resume),
                None => (None, Resume::default()),
            };
            // Where the start is not known librdkafka looks the committed offset up itself, for
            // as long as it takes; and says so if there is none.
            let offset = start.map_or(KafkaOffset::Stored, |start| KafkaOffset::Offset(start.0));
            if let Err(error) = list.set_partition_offset(&self.settings.topic, partition.0, offset)
            {
                warn!(%error, partition = partition.0, "kafka.assign_failed");
            }
            self.acquire(*partition, start.unwrap_or(Position(-1)), resume);
        }
        if let Err(error) = consumer.incremental_assign(list) {
            error!(%error, "kafka.assign_failed");
        }
        self.joined.store(true, Ordering::Relaxed);
        let owned = self.ownership.len();
        info!(assigned = partitions.len(), owned, "kafka.assigned");
    }

    fn revoked(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let since = Instant::now();
        let partitions: Vec<Partition> =
            list.elements().iter().map(|element| Partition(element.partition())).collect();
        let lost = consumer.assignment_lost() || self.crashed.load(Ordering::Relaxed);
        if lost {
            partitions.iter().for_each(|partition| self.lose(*partition));
        } else {
            self.give_up(consumer, &partitions, self.settings.revoke_timeout);
        }
        if let Err(error) = consumer.incremental_unassign(list) {
            error!(%error, "kafka.unassign_failed");
        }
        let owned = self.ownership.len();
        let millis = since.elapsed().as_millis();
        info!(revoked = partitions.len(), lost, owned, millis, "kafka.revoked");
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                error!(facility, message, "librdkafka");
            }
            _ => debug!(facility, message, "librdkafka"),
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        let topic = &self.settings.topic;
        match lock(&self.statistics).read(topic, statistics, Instant::now()) {
            Some(learned) => {
                self.connected.store(learned.connected, Ordering::Relaxed);
                lock(&self.learned).push(learned);
            }
            None => debug!("kafka.statistics_unreadable"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.metrics.poll_errors.increment(1);
        if let Some(left_out) = self.trouble.allow() {
            warn!(%error, reason, brokers = self.settings.brokers, left_out, "kafka.trouble");
        }
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
        self.forget_reports();
        if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assigned(consumer, list);
        } else {
            self.revoked(consumer, list);
        }
        self.metrics.owned_partitions.set(lock(&self.mine).len() as f64);
    }
}
