//! Which partitions this process owns, under which generation, and how far each may be committed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use dashmap::DashMap;

use super::commit_metadata::CommitMetadata;
use super::lease::Lease;
use crate::ids::{Generation, Partition, Position, TopicId};
use crate::sync::lock;

/// Numbers all acquisitions of the process, whichever consumer makes them.
static GENERATIONS: AtomicU64 = AtomicU64::new(1);

/// One acquisition of a partition, as the worker, the exporter and the consumer share it.
#[derive(Debug)]
pub struct Acquisition {
    /// Which acquisition.
    pub generation: Generation,
    /// Index of the worker that keeps the partition's state.
    pub worker: usize,
    /// The id of its topic, once it is known.
    topic: OnceLock<TopicId>,
    lease: Arc<Lease>,
    committable: Mutex<(Position, CommitMetadata)>,
}

/// Whether this process may act for a partition under a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GenerationStatus {
    /// It may.
    Current,
    /// Not known: the group has not confirmed the membership for so long that it may have given
    /// the partition to another member. Nothing may be done until it is known.
    Suspended,
    /// It may not any more.
    Ended,
}

impl Acquisition {
    /// Sets the position below which everything is decided and delivered, and what the next owner
    /// needs to go on from there.
    pub fn set_committable(&self, position: Position, metadata: CommitMetadata) {
        *lock(&self.committable) = (position, metadata);
    }

    /// What may be committed.
    pub fn committable(&self) -> (Position, CommitMetadata) {
        *lock(&self.committable)
    }

    /// The id of its topic, if it is known.
    pub fn topic(&self) -> Option<TopicId> {
        self.topic.get().copied()
    }

    /// Sets the id of its topic, unless it is known.
    pub(super) fn set_topic_id(&self, topic: TopicId) {
        let _known_before = self.topic.set(topic);
    }

    /// True if both have the same lease.
    pub fn shares_lease(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.lease, &other.lease)
    }

    /// True while the group has confirmed the membership not long ago.
    pub fn is_leased(&self) -> bool {
        self.lease.is_valid()
    }
}

/// The partitions of this process. Read before each act for a partition, written by rebalances.
#[derive(Debug, Default)]
pub struct OwnershipTable {
    partitions: DashMap<Partition, Arc<Acquisition>>,
}

impl OwnershipTable {
    /// Enters a new acquisition of a partition of `topic`, which starts at `start`.
    pub(crate) fn acquire(
        &self,
        partition: Partition,
        worker: usize,
        lease: &Arc<Lease>,
        topic: Option<TopicId>,
        (start, metadata): (Position, CommitMetadata),
    ) -> Arc<Acquisition> {
        let generation = Generation(GENERATIONS.fetch_add(1, Ordering::Relaxed));
        let committable = Mutex::new((start, CommitMetadata { topic, ..metadata }));
        let lease = Arc::clone(lease);
        let topic = topic.map_or_else(OnceLock::new, OnceLock::from);
        let acquisition = Arc::new(Acquisition { generation, worker, topic, lease, committable });
        self.partitions.insert(partition, Arc::clone(&acquisition));
        acquisition
    }

    /// Removes a partition.
    pub(super) fn release(&self, partition: Partition) -> Option<Arc<Acquisition>> {
        self.partitions.remove(&partition).map(|(_, acquisition)| acquisition)
    }

    /// Whether this process may act for `partition` as it was acquired under `generation`.
    pub fn status(&self, partition: Partition, generation: Generation) -> GenerationStatus {
        match self.partitions.get(&partition) {
            Some(acquisition) if acquisition.generation != generation => GenerationStatus::Ended,
            Some(acquisition) if acquisition.is_leased() => GenerationStatus::Current,
            Some(_) => GenerationStatus::Suspended,
            None => GenerationStatus::Ended,
        }
    }

    /// Number of partitions owned.
    pub fn len(&self) -> usize {
        self.partitions.len()
    }

    /// The worker with the fewest partitions, of `workers`.
    pub(super) fn least_loaded(&self, workers: usize) -> usize {
        let mut load = vec![0_usize; workers];
        for acquisition in &self.partitions {
            load[acquisition.worker] += 1;
        }
        (0..workers).min_by_key(|worker| load[*worker]).unwrap_or(0)
    }
}

#[cfg(test)]
impl OwnershipTable {
    /// Enters an acquisition with a lease that lasts.
    pub(crate) fn acquire_for_test(
        &self,
        partition: Partition,
        start: Position,
    ) -> Arc<Acquisition> {
        let lease = Arc::new(Lease::new(std::time::Duration::from_secs(3600)));
        self.acquire(partition, 0, &lease, None, (start, CommitMetadata::default()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_old_generation_is_not_current() {
        let ownership = OwnershipTable::default();
        let first = ownership.acquire_for_test(Partition(3), Position(0)).generation;
        assert_eq!(ownership.status(Partition(3), first), GenerationStatus::Current);
        ownership.release(Partition(3));
        assert_eq!(ownership.status(Partition(3), first), GenerationStatus::Ended);
        let second = ownership.acquire_for_test(Partition(3), Position(0)).generation;
        assert!(second > first);
        assert_eq!(ownership.status(Partition(3), first), GenerationStatus::Ended);
    }

    #[test]
    fn without_a_lease_an_acquisition_is_suspended() {
        let ownership = OwnershipTable::default();
        let lease = Arc::new(Lease::new(Duration::ZERO));
        let (start, metadata) = (Position(0), CommitMetadata::default());
        let acquisition = ownership.acquire(Partition(3), 0, &lease, None, (start, metadata));
        assert_eq!(
            ownership.status(Partition(3), acquisition.generation),
            GenerationStatus::Suspended
        );
    }

    #[test]
    fn partitions_are_spread_over_the_workers() {
        let ownership = OwnershipTable::default();
        let lease = Arc::new(Lease::new(Duration::from_secs(60)));
        for partition in 0..9 {
            let worker = ownership.least_loaded(3);
            let (partition, metadata) = (Partition(partition), CommitMetadata::default());
            ownership.acquire(partition, worker, &lease, None, (Position(0), metadata));
        }
        let of = |worker| ownership.partitions.iter().filter(|o| o.worker == worker).count();
        assert_eq!((of(0), of(1), of(2)), (3, 3, 3));
    }
}
