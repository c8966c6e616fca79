//! Several connections, or clients that have some, used in turn.
//!
//! Promises that a connection that broke a moment ago, or over which a request was turned away, is
//! skipped while another one works; that one whose peer is silent is replaced; and that each is
//! replaced when it is old, one after the other. A new one resolves the name again, so that new pods
//! get their share. Requests on a replaced one end there.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::sync::lock;
use tokio::time::Instant;

/// How long a failed connection is skipped while another one works.
const PASS_OVER: Duration = Duration::from_secs(5);

/// Connections of type `C`; see the module.
pub(super) struct Pool<C> {
    make: Box<dyn Fn() -> C + Send + Sync>,
    slots: Vec<Mutex<Slot<C>>>,
    next: AtomicUsize,
    max_age: Option<Duration>,
}

struct Slot<C> {
    connection: C,
    renew_at: Option<Instant>,
    failed_at: Option<Instant>,
    answered_at: Option<Instant>,
}

/// A connection for one attempt, and its place in the pool.
pub(super) struct Picked<C> {
    pub(super) connection: C,
    slot: usize,
    at: Instant,
}

impl<C> Picked<C> {
    /// Which of the connections it is.
    pub(super) fn slot(&self) -> usize {
        self.slot
    }
}

/// What an attempt says about its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// There was an answer, and nothing speaks against the server.
    Answered,
    /// There was an answer, and the request was not accepted; another server may accept it.
    Refused,
    /// It broke, or could not be opened. It opens again by itself on the next use.
    Broken,
    /// Nothing came within the time-out.
    TimedOut,
}

impl<C: Clone> Pool<C> {
    /// `count` connections made by `make`; each is replaced after `max_age`, zero is never.
    pub(super) fn new(
        count: usize,
        max_age: Duration,
        make: impl Fn() -> C + Send + Sync + 'static,
    ) -> Self {
        let count = u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        let max_age = (!max_age.is_zero()).then_some(max_age);
        let now = Instant::now();
        let slot = |number: u32| {
            // The first ages differ, so that not all are replaced at once.
            let renew_at = max_age.and_then(|age| now.checked_add(age / count * (number + 1)));
            Mutex::new(Slot { connection: make(), renew_at, failed_at: None, answered_at: None })
        };
        let slots = (0..count).map(slot).collect();
        Self { make: Box::new(make), slots, next: AtomicUsize::new(0), max_age }
    }

    /// The next connection in turn that did not fail a moment ago and is not `not_over`; if there is
    /// none, the next one.
    pub(super) fn pick(&self, now: Instant, not_over: Option<usize>) -> Picked<C> {
        let count = self.slots.len();
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let in_turn = |step: usize| first.wrapping_add(step) % count;
        let is_fine = |index: &usize| {
            let failed_at = lock(&self.slots[*index]).failed_at;
            let is_well = failed_at.is_none_or(|at| now.duration_since(at) >= PASS_OVER);
            is_well && Some(*index) != not_over
        };
        let slot = (0..count).map(in_turn).find(is_fine).unwrap_or_else(|| in_turn(0));
        let mut state = lock(&self.slots[slot]);
        if state.renew_at.is_some_and(|at| at <= now) {
            self.renew(&mut state, now);
        }
        Picked { connection: state.connection.clone(), slot, at: now }
    }

    /// Notes what an attempt says about the connection it was made on.
    pub(super) fn note(&self, picked: &Picked<C>, condition: Condition) {
        let now = Instant::now();
        let mut slot = lock(&self.slots[picked.slot]);
        match condition {
            Condition::Answered => {
                slot.failed_at = None;
                slot.answered_at = Some(now);
            }
            Condition::Refused => {
                slot.failed_at = Some(now);
                slot.answered_at = Some(now);
            }
            Condition::Broken => slot.failed_at = Some(now),
            Condition::TimedOut => {
                // If there was no answer since, the peer may be gone, which TCP notices only after
                // many minutes.
                let is_silent = slot.answered_at.is_none_or(|at| at < picked.at);
                if is_silent {
                    slot.failed_at = Some(now);
                    self.renew(&mut slot, now);
                }
            }
        }
    }

    fn renew(&self, slot: &mut Slot<C>, now: Instant) {
        slot.connection = (self.make)();
        slot.renew_at = self.max_age.and_then(|age| now.checked_add(age));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// A pool whose connections are numbers, in the order they are made.
    fn pool(count: usize, max_age: Duration) -> Pool<usize> {
        let made = Arc::new(AtomicUsize::new(0));
        // What makes the first ones is called by `new` and later by the pool itself.
        Pool::new(count, max_age, move || made.fetch_add(1, Ordering::Relaxed))
    }

    fn pick(pool: &Pool<usize>) -> usize {
        pool.pick(Instant::now(), None).slot
    }

    #[tokio::test(start_paused = true)]
    async fn connections_take_turns() {
        let pool = pool(3, Duration::ZERO);
        let picked: Vec<_> = (0..6).map(|_| pick(&pool)).collect();
        assert_eq!(picked, [0, 1, 2, 0, 1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_connection_is_passed_over_for_a_while() {
        let pool = pool(2, Duration::ZERO);
        let note = |slot: usize, condition| {
            pool.note(&Picked { connection: 0, slot, at: Instant::now() }, condition);
        };
        note(0, Condition::Broken);
        assert_eq!((pick(&pool), pick(&pool)), (1, 1));
        // With no other left the broken ones are tried again.
        note(1, Condition::Broken);
        assert_eq!((pick(&pool), pick(&pool)), (0, 1));
        note(1, Condition::Answered);
        assert_eq!((pick(&pool), pick(&pool)), (1, 1));
        tokio::time::advance(PASS_OVER).await;
        assert_eq!((pick(&pool), pick(&pool)), (0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_was_turned_away_goes_another_way() {
        let pool = pool(3, Duration::ZERO);
        let first = pool.pick(Instant::now(), None);
        pool.note(&first, Condition::Refused);
        let ways: Vec<_> = (0..4).map(|_| pick(&pool)).collect();
        assert_eq!(ways, [1, 2, 1, 1], "it is passed over for a while");
        tokio::time::advance(PASS_OVER).await;
        for _ in 0..6 {
            assert_ne!(pool.pick(Instant::now(), Some(first.slot())).slot, first.slot);
        }
        let alone = self::pool(1, Duration::ZERO);
        assert_eq!(alone.pick(Instant::now(), Some(0)).slot, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn old_connections_are_replaced_one_after_the_other() {
        let pool = pool(2, Duration::from_secs(10));
        let both = || {
            let mut both: Vec<_> =
                (0..2).map(|_| pool.pick(Instant::now(), None).connection).collect();
            both.sort_unstable();
            both
        };
        assert_eq!(both(), [0, 1]);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(both(), [1, 2]);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(both(), [2, 3]);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(both(), [3, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_is_replaced_and_one_that_answered_meanwhile_is_not() {
        let pool = pool(1, Duration::ZERO);
        let slow = pool.pick(Instant::now(), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        pool.note(&pool.pick(Instant::now(), None), Condition::Answered);
        pool.note(&slow, Condition::TimedOut);
        assert_eq!(pool.pick(Instant::now(), None).connection, 0);
        tokio::time::advance(Duration::from_secs(1)).await;
        pool.note(&pool.pick(Instant::now(), None), Condition::TimedOut);
        assert_eq!(pool.pick(Instant::now(), None).connection, 1);
    }
}
