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

use super::events::{CaughtUp, LogGone, Rebalance};
use super::identity::Fatal;
use super::inbox::InboxSender;
use super::lease::Lease;
use super::metrics::SourceMetrics;
use super::ownership::{Owned, Ownership};
use super::resume::Resume;
use super::settings::SourceSettings;
use super::statistics::{Learned, Statistics};
use crate::ids::{Partition, Position, Timestamp, TopicId};
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
    handed_over: AtomicI64,
    /// The timestamp of the last record read; negative before the first.
    pub(super) last_timestamp: AtomicI64,
    /// What may be committed, and since when that has not moved.
    committable: Mutex<(Position, Instant)>,
    /// The epoch that began with this acquisition.
    pub(super) epoch: u64,
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
    /// Counts the changes of what is owned: what was looked up before one is stale after it.
    epoch: AtomicU64,
    /// The topic that was read last, if brokers tell ids.
    topic: Mutex<Option<TopicId>>,
    recreated: AtomicBool,
    /// The last question for the topic's id was not answered.
    tells_no_ids: AtomicBool,
    /// Records that the client has returned so far.
    polled: AtomicU64,
    /// Fetching is paused, and what was fetched ahead was thrown away.
    paused: AtomicBool,
    /// Partitions of which something was thrown away that nobody would read again.
    skipped: Mutex<Vec<Partition>>,
    /// The member has had its first assignment, be it empty.
    pub(super) joined: AtomicBool,
    pub(super) connected: AtomicBool,
    /// Set to leave as a crash would: nothing is waited for, nothing committed.
    pub(super) crashed: AtomicBool,
    trouble: Arc<Limited>,
    pub(super) errors: Arc<Limited>,
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

    /// Its worker was given everything below `next`.
    pub(super) fn given_up_to(&self, next: Position) {
        self.handed_over.store(next.0, Ordering::Relaxed);
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

    /// Everything up to `end` was fetched. If its worker has been given all that was read, and the
    /// last record was, or nothing that was fetched `is_left` unread, there is nothing to read below
    /// it: what lies between it and the last record is no record.
    pub(super) fn skip_to(&self, end: Position, is_left: bool) -> bool {
        let position = self.position.load(Ordering::Relaxed);
        if position != self.handed_over.load(Ordering::Relaxed) {
            return false;
        }
        if position >= end.0 {
            return true;
        }
        if !is_left {
            self.move_to(end);
        }
        !is_left
    }
}

impl Context {
    pub(super) fn new(
        settings: SourceSettings,
        ownership: Arc<Ownership>,
        workers: Vec<InboxSender>,
        metrics: Arc<SourceMetrics>,
        (trouble, errors): (Arc<Limited>, Arc<Limited>),
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
            topic: Mutex::default(),
            recreated: AtomicBool::new(false),
            tells_no_ids: AtomicBool::new(false),
            polled: AtomicU64::new(0),
            paused: AtomicBool::new(false),
            skipped: Mutex::default(),
            joined: AtomicBool::new(false),
            connected: AtomicBool::new(false),
            crashed: AtomicBool::new(false),
            trouble,
            errors,
        }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// The topic that is read, as far as that is known.
    pub(super) fn topic(&self) -> Option<TopicId> {
        *lock(&self.topic)
    }

    /// Takes note of the topic that is there now. Returns the one that was known before.
    pub(super) fn set_topic(&self, now: TopicId) -> Option<TopicId> {
        lock(&self.topic).replace(now)
    }

    /// The brokers did not say which topic it is when they were asked last.
    pub(super) fn tells_no_ids(&self) -> bool {
        self.tells_no_ids.load(Ordering::Relaxed)
    }

    pub(super) fn set_tells_no_ids(&self, is_so: bool) {
        self.tells_no_ids.store(is_so, Ordering::Relaxed);
    }

    /// Whether the topic was made anew, and partitions may still be read as those of the old one.
    pub(super) fn is_recreated(&self) -> bool {
        self.recreated.load(Ordering::Relaxed)
    }

    /// See [`is_recreated`](Self::is_recreated).
    pub(super) fn set_recreated(&self, is_so: bool) {
        self.recreated.store(is_so, Ordering::Relaxed);
    }

    /// The client has returned one more record.
    pub(super) fn count_polled(&self) {
        self.polled.fetch_add(1, Ordering::Relaxed);
    }

    /// Says whether fetching is paused. What the reports say of positions meanwhile is no evidence.
    pub(super) fn set_paused(&self, is_paused: bool) {
        self.paused.store(is_paused, Ordering::Relaxed);
        self.forget_reports();
    }

    /// Records of `partition` were thrown away that were read under the ownership it has now, so
    /// nobody would read them again.
    pub(super) fn skipped(&self, partition: Partition, records: u64) {
        self.metrics.skipped_records.increment(records);
        lock(&self.skipped).push(partition);
    }

    /// The partitions that [`skipped`](Self::skipped) was said of since the last call.
    pub(super) fn take_skipped(&self) -> Vec<Partition> {
        std::mem::take(&mut lock(&self.skipped))
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
        lock(&self.statistics).forget(Instant::now());
    }

    /// Takes note of partitions that were fetched to their end when the wall clock was at `at`.
    /// Returns what their workers are to be told; a worker that has not been given everything is told
    /// later.
    pub(super) fn caught_up(&self, learned: &Learned, at: Timestamp) -> Vec<(usize, CaughtUp)> {
        let is_left = !learned.is_drained;
        let caught_up = learned.at_end.iter().filter_map(|(partition, position)| {
            let mine = self.partition(*partition);
            let mine = mine.filter(|mine| mine.skip_to(*position, is_left))?;
            let (partition, position) = (*partition, *position);
            let generation = mine.owned.generation;
            Some((mine.owned.worker, CaughtUp { partition, generation, position, at }))
        });
        caught_up.collect()
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

    /// Enters a partition of `topic` that starts at `start`, and tells its worker.
    pub(super) fn acquire(
        &self,
        partition: Partition,
        topic: Option<TopicId>,
        (start, resume): (Position, Resume),
    ) {
        let worker = self.ownership.least_loaded(self.workers.len());
        let acquired = (start, resume);
        let owned = self.ownership.acquire(partition, worker, &self.lease, topic, acquired);
        let mine = Mine {
            epoch: self.next_epoch(),
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

    /// What is owned is about to change.
    fn next_epoch(&self) -> u64 {
        self.epoch.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Strikes a partition out.
    fn release(&self, partition: Partition) -> Option<Arc<Owned>> {
        self.next_epoch();
        lock(&self.mine).remove(&partition);
        self.ownership.release(partition)
    }

    /// Forgets a partition that is gone, without a commit.
    pub(super) fn lose(&self, partition: Partition) {
        if let Some(owned) = self.release(partition) {
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
        self.finish(partitions, timeout, |partition, owned, done| {
            let generation = owned.generation;
            self.send(owned.worker, Rebalance::Revoked { partition, generation, timeout, done });
        });
        self.commit(consumer, partitions.iter().copied());
        for partition in partitions {
            self.release(*partition);
            self.metrics.revoked.increment(1);
        }
    }

    /// Has the workers finish with `partitions` whose records are gone: what was read of them exists
    /// nowhere else any more, so its traces are decided on what there is. To be acquired anew.
    pub(super) fn end(&self, partitions: &[Partition]) {
        let timeout = self.settings.revoke_timeout;
        self.finish(partitions, timeout, |partition, owned, done| {
            let generation = owned.generation;
            let event = LogGone { partition, generation, timeout, done };
            if self.workers[owned.worker].log_gone(event).is_err() {
                debug!(worker = owned.worker, "rebalance.worker_gone");
            }
        });
    }

    /// Asks the workers of `partitions` to finish with them, and waits until they have.
    fn finish(
        &self,
        partitions: &[Partition],
        timeout: Duration,
        ask: impl Fn(Partition, &Owned, mpsc::Sender<Partition>),
    ) {
        let (done, answers) = mpsc::channel();
        let mut waiting = 0;
        for (partition, mine) in partitions.iter().filter_map(|p| Some((*p, self.partition(*p)?))) {
            ask(partition, &mine.owned, done.clone());
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
        let (mut topic, mut starts) = (None, HashMap::new());
        if !partitions.is_empty() {
            self.learn_topic_size(consumer, &partitions);
            topic = self.learn_topic_id(consumer);
            starts = self.starts(consumer, &partitions, topic);
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
            // If nobody says which topic it is, it is held to be that of the committed offset.
            let topic = topic.or(resume.topic).or(self.topic());
            self.acquire(*partition, topic, (start.unwrap_or(Position(-1)), resume));
        }
        if let Err(error) = consumer.incremental_assign(list) {
            error!(%error, "kafka.assign_failed");
        }
        self.joined.store(true, Ordering::Relaxed);
        // The group has answered; the next report says it, too.
        self.connected.store(true, Ordering::Relaxed);
        let owned = self.ownership.len();
        info!(assigned = partitions.len(), owned, "kafka.assigned");
    }

    fn revoked(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let since = Instant::now();
        let partitions: Vec<Partition> =
            list.elements().iter().map(|element| Partition(element.partition())).collect();
        let lost = consumer.assignment_lost() || self.crashed.load(Ordering::Relaxed);
        let is_all = partitions.len() == lock(&self.mine).len();
        if lost {
            partitions.iter().for_each(|partition| self.lose(*partition));
        } else if is_all && !partitions.is_empty() && self.is_topic_gone(consumer) {
            self.end(&partitions);
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
            // Said by who sees that the client is of no use any more.
            _ if facility == "FATAL" => debug!(facility, message, "librdkafka"),
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                error!(facility, message, "librdkafka");
            }
            _ => debug!(facility, message, "librdkafka"),
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        let topic = &self.settings.topic;
        let polled = self.polled.load(Ordering::Relaxed);
        let learned = lock(&self.statistics).read(topic, statistics, Instant::now(), polled);
        match learned {
            Some(mut learned) => {
                if self.paused.load(Ordering::Relaxed) {
                    learned.at_end.clear();
                }
                self.connected.store(learned.connected, Ordering::Relaxed);
                lock(&self.learned).push(learned);
            }
            None => debug!("kafka.statistics_unreadable"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.metrics.poll_errors.increment(1);
        if Fatal::of(error.rdkafka_error_code()) != Fatal::Other {
            // What is wrong is said where it is known what to do about it.
            return;
        }
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
        self.forget_reports();
        if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assigned(consumer, list);
        } else {
            self.revoked(consumer, list);
        }
        self.metrics.owned_partitions.set(lock(&self.mine).len() as f64);
    }
}
