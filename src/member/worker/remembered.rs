//! Decisions in the order in which they were remembered, so that they can be forgotten again.
//!
//! The cache is bounded, but it is to hold no more than somebody may still ask for: a bound that
//! suits the busiest hour is reached in the quietest week.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Shared, Worker};
use crate::ids::{Generation, Partition, Timestamp, TraceId};

/// How many are forgotten at a time: the clock of a partition may jump, and others must not wait.
const AT_A_TIME: usize = 500;

/// What one ownership of a partition has in the decision cache, the oldest first.
#[derive(Debug)]
pub(super) struct RememberedTraces {
    partition: Partition,
    generation: Generation,
    queue: VecDeque<(Timestamp, TraceId)>,
}

impl RememberedTraces {
    /// Nothing yet.
    pub(super) fn new(partition: Partition, generation: Generation) -> Self {
        Self { partition, generation, queue: VecDeque::new() }
    }

    /// A decision that was made at `at` is in the cache.
    pub(super) fn push(&mut self, id: TraceId, at: Timestamp) {
        self.queue.push_back((at, id));
    }

    /// Takes some of what was decided longer than `ttl` before `now` out of the cache.
    pub(super) fn forget_old(&mut self, shared: &Shared, now: Timestamp, ttl: Duration) {
        self.forget_while(shared, |at| now.since(at) > ttl);
    }

    fn forget_while(&mut self, shared: &Shared, is_old: impl Fn(Timestamp) -> bool) {
        for _ in 0..AT_A_TIME {
            let Some((at, id)) = self.queue.front().copied().filter(|(at, _)| is_old(*at)) else {
                return;
            };
            self.queue.pop_front();
            shared.decided.forget(self.partition, id, self.generation, at);
        }
    }
}

impl Worker {
    /// Takes some of what ended ownerships remembered out of the cache: it is good for nobody.
    pub(super) fn forget_what_is_left(&mut self) {
        let Some(left) = self.left.last_mut() else { return };
        left.forget_while(&self.shared, |_| true);
        if left.queue.is_empty() {
            self.left.pop();
        }
    }
}
