//! Which partitions this process owns, under which generation, and how far each may be committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use dashmap::DashMap;

use crate::ids::{Generation, Partition, Position};

/// Numbers all acquisitions of the process, whichever consumer makes them.
static GENERATIONS: AtomicU64 = AtomicU64::new(1);

/// One acquisition of a partition, as the worker, the exporter and the consumer share it.
#[derive(Debug)]
pub struct Owned {
    /// Which acquisition.
    pub generation: Generation,
    /// Index of the worker that keeps the partition's state.
    pub worker: usize,
    committable: AtomicI64,
}

impl Owned {
    /// Says that everything below `position` is decided and delivered.
    pub fn set_committable(&self, position: Position) {
        self.committable.store(position.0, Ordering::Release);
    }

    /// What may be committed.
    pub fn committable(&self) -> Position {
        Position(self.committable.load(Ordering::Acquire))
    }
}

/// The fence: many readers ask it before they act for a partition, rebalances write it.
#[derive(Debug, Default)]
pub struct Ownership {
    partitions: DashMap<Partition, Arc<Owned>>,
}

impl Ownership {
    /// Enters a new acquisition, which starts at `start`.
    pub(crate) fn acquire(
        &self,
        partition: Partition,
        worker: usize,
        start: Position,
    ) -> Arc<Owned> {
        let generation = Generation(GENERATIONS.fetch_add(1, Ordering::Relaxed));
        let committable = AtomicI64::new(start.0);
        let owned = Arc::new(Owned { generation, worker, committable });
        self.partitions.insert(partition, Arc::clone(&owned));
        owned
    }

    /// Strikes a partition out.
    pub(super) fn release(&self, partition: Partition) -> Option<Arc<Owned>> {
        self.partitions.remove(&partition).map(|(_, owned)| owned)
    }

    /// The current acquisition of a partition.
    pub fn get(&self, partition: Partition) -> Option<Arc<Owned>> {
        self.partitions.get(&partition).map(|owned| Arc::clone(&owned))
    }

    /// True while `generation` is the current acquisition of `partition`.
    pub fn is_current(&self, partition: Partition, generation: Generation) -> bool {
        self.partitions.get(&partition).is_some_and(|owned| owned.generation == generation)
    }

    /// Number of partitions owned.
    pub fn len(&self) -> usize {
        self.partitions.len()
    }

    /// True if no partition is owned.
    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// The worker with the fewest partitions, of `workers`.
    pub(super) fn least_loaded(&self, workers: usize) -> usize {
        let mut load = vec![0_usize; workers];
        for owned in &self.partitions {
            load[owned.worker] += 1;
        }
        (0..workers).min_by_key(|worker| load[*worker]).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_generation_is_not_current() {
        let ownership = Ownership::default();
        let first = ownership.acquire(Partition(3), 0, Position(0)).generation;
        assert!(ownership.is_current(Partition(3), first));
        ownership.release(Partition(3));
        assert!(!ownership.is_current(Partition(3), first));
        let second = ownership.acquire(Partition(3), 0, Position(0)).generation;
        assert!(second > first && !ownership.is_current(Partition(3), first));
    }

    #[test]
    fn partitions_are_spread_over_the_workers() {
        let ownership = Ownership::default();
        for partition in 0..9 {
            let worker = ownership.least_loaded(3);
            ownership.acquire(Partition(partition), worker, Position(0));
        }
        let of = |worker| ownership.partitions.iter().filter(|o| o.worker == worker).count();
        assert_eq!((of(0), of(1), of(2)), (3, 3, 3));
    }
}
