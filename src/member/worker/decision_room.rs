//! The bound on decisions that are remembered: all partitions of the process share it.
//!
//! A partition may have what the others leave, and its share in any case. So where one has more than
//! its share while others need theirs, it has to give some up, which takes it a few batches.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What may be remembered, and by how many partitions; what is remembered.
#[derive(Debug)]
pub struct DecisionRoom {
    most: u64,
    partitions: AtomicUsize,
    used: AtomicU64,
}

impl DecisionRoom {
    /// Room for `most` decisions.
    pub fn new(most: u64) -> Self {
        Self { most, partitions: AtomicUsize::new(0), used: AtomicU64::new(0) }
    }

    /// A partition more shares it.
    pub(super) fn add_partition(&self) {
        self.partitions.fetch_add(1, Ordering::Relaxed);
    }

    /// A partition less shares it.
    pub(super) fn remove_partition(&self) {
        self.partitions.fetch_sub(1, Ordering::Relaxed);
    }

    /// Decisions of one partition that have room beside as many of each other one.
    pub(super) fn share(&self) -> usize {
        let partitions = self.partitions.load(Ordering::Relaxed).max(1);
        usize::try_from(self.most).unwrap_or(usize::MAX) / partitions
    }

    /// Decisions that a partition may have that has `used` of them.
    pub(super) fn of_partition(&self, used: u64) -> usize {
        let others = self.used().saturating_sub(used);
        let left = usize::try_from(self.most.saturating_sub(others)).unwrap_or(usize::MAX);
        left.max(self.share())
    }

    /// Where `before` decisions were remembered there are `now`.
    pub(super) fn changed(&self, before: u64, now: u64) {
        // Wrapping: as a whole it never falls below zero.
        self.used.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
    }

    /// Decisions that are remembered.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_has_what_others_leave_and_its_share_in_any_case() {
        let room = DecisionRoom::new(100);
        assert_eq!(room.of_partition(0), 100);
        (0..4).for_each(|_| room.add_partition());
        room.changed(0, 90);
        assert_eq!((room.of_partition(90), room.of_partition(0)), (100, 25));
        room.changed(0, 25);
        assert_eq!((room.of_partition(90), room.of_partition(25)), (75, 25));
        room.changed(90, 75);
        assert_eq!((room.of_partition(75), room.of_partition(25)), (75, 25));
        room.changed(75, 0);
        room.remove_partition();
        assert_eq!((room.of_partition(25), room.share(), room.used()), (100, 33, 25));
    }
}
