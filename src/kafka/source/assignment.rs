//! The partitions that one consumer has been assigned.
//!
//! Promises that each change of them begins a new epoch, so that what was looked up before is known
//! to be stale. Used on the consumer's thread, and looked at by those who look at a member, so the locks
//! are hardly ever contended.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::events::CaughtUp;
use super::ownership::Acquisition;
use super::statistics::ClientState;
use crate::ids::{Partition, Position, Timestamp};
use crate::sync::lock;

/// A partition of this consumer.
#[derive(Debug)]
pub(super) struct AssignedPartition {
    pub(super) acquisition: Arc<Acquisition>,
    /// The next offset to read; negative as long as it is not known.
    pub(super) position: AtomicI64,
    /// The position after the last record that was handed to its worker.
    handed_over: AtomicI64,
    /// The timestamp of the last record read; negative before the first.
    pub(super) last_timestamp: AtomicI64,
    /// Its end, when it was last reported; negative before.
    end: AtomicI64,
    /// The committed position, when it was last reported; negative before.
    committed: AtomicI64,
    /// What may be committed, and since when that has not moved.
    committable: Mutex<(Position, Instant)>,
    /// The epoch that began with this acquisition.
    pub(super) epoch: u64,
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

    /// Takes note of where it ends, and of what is committed.
    pub(super) fn reported(&self, end: Position, committed: Option<Position>) {
        self.end.store(end.0, Ordering::Relaxed);
        self.committed.store(committed.map_or(-1, |committed| committed.0), Ordering::Relaxed);
    }

    /// How far behind its end it is, `now`.
    pub(super) fn lag(&self, now: Timestamp) -> PartitionLag {
        let known = |number: &AtomicI64| Some(number.load(Ordering::Relaxed)).filter(|it| *it >= 0);
        let (position, end, committed) =
            (known(&self.position), known(&self.end), known(&self.committed));
        // The end was reported a while ago: more may have been read since.
        let end = end.max(position.filter(|_| end.is_some()));
        let behind = |position: Option<i64>| Some((end? - position?).max(0));
        let unread = behind(position);
        let last = known(&self.last_timestamp).map(Timestamp);
        let age = last.filter(|_| unread > Some(0)).map_or(Duration::ZERO, |last| now.since(last));
        PartitionLag {
            position: position.map(Position),
            end: end.map(Position),
            committed: committed.map(Position),
            unread,
            age,
            uncommitted: behind(committed),
            held_back: self.held_back().1,
        }
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
    fn skip_to(&self, end: Position, is_left: bool) -> bool {
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

/// How far behind the end of a partition its consumer is; `None` where it is not known yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionLag {
    /// Everything below was read.
    pub position: Option<Position>,
    /// Where it ends.
    pub end: Option<Position>,
    /// Everything below is committed.
    pub committed: Option<Position>,
    /// Records that are not read yet.
    pub unread: Option<i64>,
    /// How old the last record is that was read, if some are not read yet.
    pub age: Duration,
    /// Records that a restart would read.
    pub uncommitted: Option<i64>,
    /// Since when what may be committed has not moved, although records behind it were read.
    pub held_back: Duration,
}

/// The partitions of one consumer.
#[derive(Debug, Default)]
pub(super) struct Assignment {
    partitions: Mutex<HashMap<Partition, Arc<AssignedPartition>>>,
    /// Counts the changes. What was looked up in an older epoch is stale.
    epoch: AtomicU64,
    /// Partitions of which records were dropped that nobody would read again.
    skipped: Mutex<Vec<Partition>>,
}

impl Assignment {
    /// Adds a partition, which is read from `start` on.
    pub(super) fn insert(
        &self,
        partition: Partition,
        acquisition: Arc<Acquisition>,
        start: Position,
    ) {
        let assigned = AssignedPartition {
            acquisition,
            position: AtomicI64::new(start.0),
            handed_over: AtomicI64::new(start.0),
            last_timestamp: AtomicI64::new(-1),
            end: AtomicI64::new(-1),
            committed: AtomicI64::new(-1),
            committable: Mutex::new((start, Instant::now())),
            epoch: self.next_epoch(),
        };
        lock(&self.partitions).insert(partition, Arc::new(assigned));
    }

    /// Removes a partition.
    pub(super) fn remove(&self, partition: Partition) {
        self.next_epoch();
        lock(&self.partitions).remove(&partition);
    }

    /// Begins a new epoch: the partitions are about to change.
    fn next_epoch(&self) -> u64 {
        self.epoch.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.partitions).len()
    }

    pub(super) fn get(&self, partition: Partition) -> Option<Arc<AssignedPartition>> {
        lock(&self.partitions).get(&partition).cloned()
    }

    pub(super) fn all(&self) -> Vec<(Partition, Arc<AssignedPartition>)> {
        let partitions = lock(&self.partitions);
        partitions.iter().map(|(partition, assigned)| (*partition, Arc::clone(assigned))).collect()
    }

    pub(super) fn ids(&self) -> Vec<Partition> {
        lock(&self.partitions).keys().copied().collect()
    }

    /// Notes that records of `partition` were dropped that were read under its current acquisition,
    /// so that nobody would read them again.
    pub(super) fn note_skipped(&self, partition: Partition) {
        lock(&self.skipped).push(partition);
    }

    /// The partitions that were passed to [`note_skipped`](Self::note_skipped) since the last call.
    pub(super) fn take_skipped(&self) -> Vec<Partition> {
        std::mem::take(&mut lock(&self.skipped))
    }

    /// Takes note of partitions that were fetched to their end when the wall clock was at `at`.
    /// Returns what their workers are to be told; a worker that has not been given everything is told
    /// later.
    pub(super) fn caught_up(&self, state: &ClientState, at: Timestamp) -> Vec<(usize, CaughtUp)> {
        let is_left = !state.is_drained;
        let caught_up = state.at_end.iter().filter_map(|(partition, position)| {
            let assigned = self.get(*partition);
            let assigned = assigned.filter(|assigned| assigned.skip_to(*position, is_left))?;
            let (partition, position) = (*partition, *position);
            let generation = assigned.acquisition.generation;
            Some((assigned.acquisition.worker, CaughtUp { partition, generation, position, at }))
        });
        caught_up.collect()
    }
}
