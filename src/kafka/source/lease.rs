//! How long this process may believe that it still is a member of the group.
//!
//! A process that was stopped or cut off may have lost its partitions without knowing it. A commit
//! that succeeds proves that it was a member when the commit was sent; from then on the lease runs.
//! Polling proves nothing: what it returns may have been fetched before.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The lease of one consumer.
#[derive(Debug)]
pub struct Lease {
    origin: Instant,
    length: Duration,
    /// When the membership was confirmed last, in milliseconds since `origin`.
    confirmed: AtomicU64,
}

impl Lease {
    /// A lease that runs for `length` from now, and from each time it is renewed.
    pub(super) fn new(length: Duration) -> Self {
        Self { origin: Instant::now(), length, confirmed: AtomicU64::new(0) }
    }

    /// True while it runs.
    pub(super) fn is_valid(&self) -> bool {
        let confirmed = Duration::from_millis(self.confirmed.load(Ordering::Acquire));
        self.origin.elapsed().saturating_sub(confirmed) < self.length
    }

    /// The group has confirmed that this process was a member at `at`.
    pub(super) fn renew(&self, at: Instant) {
        let since_origin = at.saturating_duration_since(self.origin).as_millis();
        let since_origin = u64::try_from(since_origin).unwrap_or(u64::MAX);
        self.confirmed.fetch_max(since_origin, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_runs_from_when_the_group_was_asked_and_not_from_when_it_answered() {
        let past = Instant::now() - Duration::from_secs(100);
        let lease = Lease { origin: past, ..Lease::new(Duration::from_secs(10)) };
        assert!(!lease.is_valid());
        lease.renew(Instant::now() - Duration::from_secs(20));
        assert!(!lease.is_valid(), "the answer is old news");
        lease.renew(Instant::now());
        assert!(lease.is_valid());
        lease.renew(Instant::now() - Duration::from_secs(20));
        assert!(lease.is_valid(), "old news takes nothing back");
    }
}
