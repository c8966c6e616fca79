//! What the callbacks and the poll loop of one consumer share: its partitions, and what is known
//! about the topic and the client.
//!
//! All of it is used on the consumer's thread only. Promises that each change of the assigned
//! partitions begins a new epoch, so that what was looked up before is known to be stale.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use tracing::debug;

use super::events::{CaughtUp, Rebalance};
use super::inbox::InboxSender;
use super::lease::Lease;
use super::metrics::SourceMetrics;
use super::ownership::{Acquisition, OwnershipTable};
use super::settings::SourceSettings;
use super::statistics::{ClientState, Statistics};
use crate::ids::{Partition, Position, Timestamp, TopicId};
use crate::telemetry::log_throttle::LogThrottle;

/// A partition of this consumer.
#[derive(Debug)]
pub(super) struct AssignedPartition {
    pub(super) acquisition: Arc<Acquisition>,
    /// The next offset to read; negative as long as it is not known.
    pub(super) position: AtomicI64,
    /// The position after the last record that was handed to its worker.
    pub(super) handed_over: AtomicI64,
    /// The timestamp of the last record read; negative before the first.
    pub(super) last_timestamp: AtomicI64,
    /// What may be committed, and since when that has not moved.
    pub(super) committable: Mutex<(Position, Instant)>,
    /// The epoch that began with this acquisition.
    pub(super) epoch: u64,
}

/// What the callbacks and the poll loop of one consumer share. All of it is used on the
/// consumer's thread only, so the locks are never contended.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) settings: SourceSettings,
    pub(super) ownership: Arc<OwnershipTable>,
    pub(super) workers: Vec<InboxSender>,
    pub(super) metrics: Arc<SourceMetrics>,
    /// How long this process may believe that it is a member.
    pub(super) lease: Arc<Lease>,
    pub(super) assigned: Mutex<HashMap<Partition, Arc<AssignedPartition>>>,
    pub(super) statistics: Mutex<Statistics>,
    pub(super) client_states: Mutex<Vec<ClientState>>,
    /// Partitions of the topic, whoever owns them; 0 before that is known.
    pub(super) topic_size: AtomicU32,
    /// Counts the changes of the assigned partitions. What was looked up in an older epoch is stale.
    pub(super) epoch: AtomicU64,
    /// The id of the topic that is read, if the brokers tell ids.
    topic: Mutex<Option<TopicId>>,
    recreated: AtomicBool,
    /// The brokers did not tell the topic's id when they were asked last.
    tells_no_ids: AtomicBool,
    /// There was a rebalance, and the topic's id was not asked for since.
    rebalanced: AtomicBool,
    /// Records that the client has returned so far.
    pub(super) polled: AtomicU64,
    /// Fetching is paused, and what was fetched ahead was thrown away.
    pub(super) paused: AtomicBool,
    /// Partitions of which records were dropped that nobody would read again.
    skipped: Mutex<Vec<Partition>>,
    /// The member has had its first assignment, be it empty.
    pub(super) joined: AtomicBool,
    pub(super) connected: AtomicBool,
    /// Set to leave as a crash would: waits for nothing, commits nothing.
    pub(super) crashed: AtomicBool,
    pub(super) trouble: Arc<LogThrottle>,
    pub(super) errors: Arc<LogThrottle>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AssignedPartition {
    /// Sets the position that is read from.
    pub(super) fn move_to(&self, position: Position) {
        self.position.store(position.0, Ordering::Relaxed);
        self.handed_over.store(position.0, Ordering::Relaxed);
    }

    /// Everything below `next` was handed to its worker.
    pub(super) fn given_up_to(&self, next: Position) {
        self.handed_over.store(next.0, Ordering::Relaxed);
    }

    /// Takes note of what may be committed.
    pub(super) fn note(&self, position: Position) {
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

    /// Called when everything below `end` was fetched. True if nothing below `end` is left to read:
    /// the worker has been given all that was read, and either the last record was read, or no
    /// fetched record `is_left` unread. Then the offsets from there to `end` hold no records.
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
        ownership: Arc<OwnershipTable>,
        workers: Vec<InboxSender>,
        metrics: Arc<SourceMetrics>,
        (trouble, errors): (Arc<LogThrottle>, Arc<LogThrottle>),
    ) -> Self {
        let lease = Arc::new(Lease::new(settings.lease_timeout));
        Self {
            settings,
            ownership,
            workers,
            metrics,
            lease,
            assigned: Mutex::default(),
            statistics: Mutex::new(Statistics::new(Instant::now())),
            client_states: Mutex::default(),
            topic_size: AtomicU32::new(0),
            epoch: AtomicU64::new(0),
            topic: Mutex::default(),
            recreated: AtomicBool::new(false),
            tells_no_ids: AtomicBool::new(false),
            rebalanced: AtomicBool::new(false),
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

    /// The id of the topic that is read, if it is known.
    pub(super) fn topic(&self) -> Option<TopicId> {
        *lock(&self.topic)
    }

    /// Sets the id of the topic that exists now. Returns the one that was known before.
    pub(super) fn replace_topic(&self, now: TopicId) -> Option<TopicId> {
        lock(&self.topic).replace(now)
    }

    /// Whether the brokers did not tell the topic's id when they were asked last.
    pub(super) fn tells_no_ids(&self) -> bool {
        self.tells_no_ids.load(Ordering::Relaxed)
    }

    pub(super) fn set_tells_no_ids(&self, is_so: bool) {
        self.tells_no_ids.store(is_so, Ordering::Relaxed);
    }

    /// A rebalance is over.
    pub(super) fn set_rebalanced(&self) {
        self.rebalanced.store(true, Ordering::Relaxed);
    }

    /// Whether there was a rebalance since this was asked last.
    pub(super) fn take_rebalanced(&self) -> bool {
        self.rebalanced.swap(false, Ordering::Relaxed)
    }

    /// Whether the topic was deleted and created again, and some partitions may still be read as
    /// those of the old one.
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

    /// Sets whether fetching is paused. Positions in reports of that time prove nothing.
    pub(super) fn set_paused(&self, is_paused: bool) {
        self.paused.store(is_paused, Ordering::Relaxed);
        self.forget_reports();
    }

    /// Notes that records of `partition` were dropped that were read under its current acquisition,
    /// so that nobody would read them again.
    pub(super) fn skipped(&self, partition: Partition, records: u64) {
        self.metrics.skipped_records.increment(records);
        lock(&self.skipped).push(partition);
    }

    /// The partitions that were passed to [`skipped`](Self::skipped) since the last call.
    pub(super) fn take_skipped(&self) -> Vec<Partition> {
        std::mem::take(&mut lock(&self.skipped))
    }

    pub(super) fn partition(&self, partition: Partition) -> Option<Arc<AssignedPartition>> {
        lock(&self.assigned).get(&partition).cloned()
    }

    pub(super) fn partitions(&self) -> Vec<(Partition, Arc<AssignedPartition>)> {
        lock(&self.assigned)
            .iter()
            .map(|(partition, assigned)| (*partition, Arc::clone(assigned)))
            .collect()
    }

    /// Reports that came since the last call.
    pub(super) fn take_client_states(&self) -> Vec<ClientState> {
        std::mem::take(&mut lock(&self.client_states))
    }

    /// Forgets the positions in the reports so far: they were changed from outside.
    pub(super) fn forget_reports(&self) {
        lock(&self.client_states).clear();
        lock(&self.statistics).forget(Instant::now());
    }

    /// Takes note of partitions that were fetched to their end when the wall clock was at `at`.
    /// Returns what their workers are to be told; a worker that has not been given everything is told
    /// later.
    pub(super) fn caught_up(&self, state: &ClientState, at: Timestamp) -> Vec<(usize, CaughtUp)> {
        let is_left = !state.is_drained;
        let caught_up = state.at_end.iter().filter_map(|(partition, position)| {
            let assigned = self.partition(*partition);
            let assigned = assigned.filter(|assigned| assigned.skip_to(*position, is_left))?;
            let (partition, position) = (*partition, *position);
            let generation = assigned.acquisition.generation;
            Some((assigned.acquisition.worker, CaughtUp { partition, generation, position, at }))
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
}
