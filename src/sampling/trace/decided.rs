//! The traces that were decided not long ago, so that what comes late follows the decision.
//!
//! Shared by all partitions of the process and bounded in entries, which all weigh the same. An
//! entry is good only for the generation that made it, and only as long as the one who asks wants
//! it, on the partition's clock; so a lookup depends on the log alone, except where the bound pushed
//! an entry out. Whoever has an entry made has it forgotten: what an hour is on that clock, the
//! cache cannot know.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::ids::{Generation, Partition, Timestamp, TraceId};

/// A decision as it is remembered.
#[derive(Clone, Debug)]
pub struct Decided<D> {
    /// The ownership under which it was made.
    pub generation: Generation,
    /// The partition's clock when it was made.
    pub at: Timestamp,
    /// What was decided.
    pub decision: D,
}

/// The decision cache.
#[derive(Debug)]
pub struct DecidedTraces<D: Clone + Send + Sync + 'static> {
    cache: Cache<(Partition, TraceId), Decided<D>, foldhash::fast::RandomState>,
    capacity: u64,
    partitions: AtomicUsize,
}

/// What is needed besides for an entry: its node in the table and in the lists that tell which was
/// used last; and who made it has it in a queue.
const CACHE_OVERHEAD: usize = 120;

impl<D: Clone + Send + Sync + 'static> DecidedTraces<D> {
    /// Bytes of an entry. Names of policies are shared, and not counted.
    const ENTRY_BYTES: u32 =
        (size_of::<(Partition, TraceId)>() + size_of::<Decided<D>>() + CACHE_OVERHEAD) as u32;

    /// Remembers at most `capacity` decisions. The least recently used go first: the usual
    /// admission by frequency would turn new decisions away.
    pub fn new(capacity: u64) -> Self {
        let cache = Cache::builder()
            .max_capacity(capacity.saturating_mul(Self::ENTRY_BYTES.into()))
            .weigher(|_, _| Self::ENTRY_BYTES)
            .eviction_policy(EvictionPolicy::lru())
            .build_with_hasher(foldhash::fast::RandomState::default());
        Self { cache, capacity, partitions: AtomicUsize::new(0) }
    }

    /// A partition more shares it.
    pub fn add_partition(&self) {
        self.partitions.fetch_add(1, Ordering::Relaxed);
    }

    /// A partition less shares it.
    pub fn remove_partition(&self) {
        self.partitions.fetch_sub(1, Ordering::Relaxed);
    }

    /// Decisions of one partition that have room beside as many of each other one.
    pub fn share(&self) -> usize {
        let partitions = self.partitions.load(Ordering::Relaxed).max(1);
        usize::try_from(self.capacity).unwrap_or(usize::MAX) / partitions
    }

    /// Remembers what was decided of a trace.
    pub fn insert(&self, partition: Partition, id: TraceId, decided: Decided<D>) {
        self.cache.insert((partition, id), decided);
    }

    /// What was decided of a trace, if `generation` decided it no longer than `ttl` before `now`.
    pub fn get(
        &self,
        partition: Partition,
        id: TraceId,
        generation: Generation,
        now: Timestamp,
        ttl: Duration,
    ) -> Option<Decided<D>> {
        let key = (partition, id);
        // Nearly every look-up is for a new trace. Unlike `get` this keeps no account of it.
        if !self.cache.contains_key(&key) {
            return None;
        }
        let decided = self.cache.get(&key)?;
        let is_good = decided.generation == generation && now.since(decided.at) <= ttl;
        is_good.then_some(decided)
    }

    /// Forgets what `generation` decided of a trace at `at`, unless another decision has taken its
    /// place.
    pub fn forget(&self, partition: Partition, id: TraceId, generation: Generation, at: Timestamp) {
        let is_it = |decided: &Decided<D>| decided.generation == generation && decided.at == at;
        self.cache.entry((partition, id)).and_compute_with(|entry| match entry {
            Some(entry) if is_it(entry.value()) => Op::Remove,
            _ => Op::Nop,
        });
    }

    /// Number of entries, as of the cache's last housekeeping.
    pub fn len(&self) -> u64 {
        self.cache.entry_count()
    }

    /// Bytes of the entries, as of the cache's last housekeeping.
    pub fn bytes(&self) -> u64 {
        self.cache.weighted_size()
    }

    /// True if nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cache with the decision of one trace of partition 3, by generation 1 at 1000.
    fn with_one() -> (DecidedTraces<bool>, TraceId) {
        let decided = DecidedTraces::new(10);
        let id = TraceId::from_slice(&[7; 16]).unwrap();
        let entry = Decided { generation: Generation(1), at: Timestamp(1000), decision: true };
        decided.insert(Partition(3), id, entry);
        (decided, id)
    }

    #[test]
    fn only_the_decision_that_is_meant_is_forgotten() {
        let (decided, id) = with_one();
        let is_known = || {
            let (now, ttl) = (Timestamp(1000), Duration::MAX);
            decided.get(Partition(3), id, Generation(1), now, ttl).is_some()
        };
        decided.forget(Partition(3), id, Generation(2), Timestamp(1000));
        decided.forget(Partition(3), id, Generation(1), Timestamp(1001));
        decided.forget(Partition(4), id, Generation(1), Timestamp(1000));
        assert!(is_known());
        decided.forget(Partition(3), id, Generation(1), Timestamp(1000));
        assert!(!is_known());
    }

    #[test]
    fn a_decision_is_good_for_its_generation_and_its_time() {
        let (decided, id) = with_one();
        let get = |partition, generation, now| {
            let (partition, generation) = (Partition(partition), Generation(generation));
            let ttl = Duration::from_millis(100);
            decided.get(partition, id, generation, Timestamp(now), ttl).is_some()
        };
        assert!(get(3, 1, 1100));
        assert!(!get(3, 1, 1101));
        assert!(!get(3, 2, 1000));
        assert!(!get(4, 1, 1000));
    }

    #[test]
    fn the_newest_decisions_are_kept_at_the_bound() {
        let decided = DecidedTraces::new(10);
        let id = |n: u8| TraceId::from_slice(&[n; 16]).unwrap();
        for n in 1..=100 {
            let entry = Decided { generation: Generation(1), at: Timestamp(0), decision: n };
            decided.insert(Partition(0), id(n), entry);
            decided.cache.run_pending_tasks();
        }
        for n in 91..=100 {
            let (partition, generation, now) = (Partition(0), Generation(1), Timestamp(0));
            let ttl = Duration::from_secs(1);
            assert!(decided.get(partition, id(n), generation, now, ttl).is_some());
        }
        assert_eq!(decided.len(), 10);
        assert_eq!(decided.bytes(), 10 * u64::from(DecidedTraces::<u8>::ENTRY_BYTES));
    }
}
