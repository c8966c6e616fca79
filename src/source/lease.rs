//! For how long this process may believe that it still is a member of the group.
//!
//! A process that was stopped, or cut off, may have lost its partitions without having heard of
//! it. The group's answer to a commit says that it was a member when the commit was sent; from
//! then on the lease runs. Polling proves nothing: what it returns may have been fetched before.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A commit whose answer does not come within this time is not waited for any more.
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);

/// The lease of one consumer.
#[derive(Debug)]
pub struct Lease {
    origin: Instant,
    length: Duration,
    /// When the membership was confirmed last, in milliseconds since `origin`.
    confirmed: AtomicU64,
    /// The commit whose answer will confirm it. One at a time, so that no answer is taken for that
    /// of a later one.
    asked: Mutex<Option<Instant>>,
}

impl Lease {
    /// A lease that runs for `length` from now, and from each time it is renewed.
    pub(super) fn new(length: Duration) -> Self {
        let confirmed = AtomicU64::new(0);
        Self { origin: Instant::now(), length, confirmed, asked: Mutex::default() }
    }

    /// True while it runs.
    pub(super) fn is_valid(&self) -> bool {
        let confirmed = Duration::from_millis(self.confirmed.load(Ordering::Acquire));
        self.origin.elapsed().saturating_sub(confirmed) < self.length
    }

    /// The membership was confirmed: it was one at `at`.
    pub(super) fn renew(&self, at: Instant) {
        let since_origin = at.saturating_duration_since(self.origin).as_millis();
        let since_origin = u64::try_from(since_origin).unwrap_or(u64::MAX);
        self.confirmed.fetch_max(since_origin, Ordering::AcqRel);
    }

    /// True if the group may be asked at `now`: it is not being asked already.
    pub(super) fn may_ask(&self, now: Instant) -> bool {
        self.asked().is_none_or(|asked| now - asked > ANSWER_PATIENCE)
    }

    /// The group is asked at `now`.
    pub(super) fn ask(&self, now: Instant) {
        *self.lock() = Some(now);
    }

    /// The group answered what it was asked last.
    pub(super) fn answered(&self, is_member: bool) {
        let asked = self.lock().take();
        if let Some(asked) = asked
            && is_member
        {
            self.renew(asked);
        }
    }

    fn asked(&self) -> Option<Instant> {
        *self.lock()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expired() -> Lease {
        let past = Instant::now() - Duration::from_secs(100);
        Lease { origin: past, ..Lease::new(Duration::from_secs(10)) }
    }

    #[test]
    fn a_lease_runs_from_when_the_group_was_asked_and_not_from_when_it_answered() {
        let lease = expired();
        assert!(!lease.is_valid());
        lease.ask(Instant::now() - Duration::from_secs(20));
        lease.answered(true);
        assert!(!lease.is_valid(), "the answer is old news");
        lease.ask(Instant::now());
        assert!(!lease.may_ask(Instant::now()));
        lease.answered(true);
        assert!(lease.is_valid());
        assert!(lease.may_ask(Instant::now()));
    }

    #[test]
    fn a_refusal_or_an_answer_to_nothing_renews_nothing() {
        let lease = expired();
        lease.ask(Instant::now());
        lease.answered(false);
        assert!(!lease.is_valid());
        lease.answered(true);
        assert!(!lease.is_valid());
    }
}
