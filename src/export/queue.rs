//! The queue between the workers and the consumers that send.
//!
//! Bounded in bytes. The bound covers all chunks that are not settled: those that wait, are in flight
//! or wait for a retry. When it is full, [`Queue::push`] hands the chunk back and the worker waits for
//! [`Queue::room`], so that in the end no more is read from Kafka. When the queue is empty any chunk
//! is taken, so that a bound below one chunk slows down but never blocks for ever.
//!
//! Chunks leave in the order in which they came, in batches that fit one request. Leaves sending, the
//! fence, acks and retries to others.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Chunk;
use crate::sync::lock;

/// At most so many chunks with other forwarded headers are skipped for a batch.
const MOST_OTHERS: usize = 1000;

/// The bounds and triggers of a [`Queue`], in bytes and time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Most bytes held at once.
    pub(super) capacity: usize,
    /// Most bytes of one batch.
    pub(super) max_batch: usize,
    /// A batch is due when this many bytes wait. At most `max_batch`.
    pub(super) full_batch: usize,
    /// A batch is due when its oldest chunk has waited this long.
    pub(super) flush_interval: Duration,
}

/// A byte-bounded queue of chunks; see the module.
pub(super) struct Queue {
    limits: Limits,
    state: Mutex<State>,
    /// Wakes the one consumer that waits for the next request, which may be due earlier now.
    filled: Notify,
    /// Wakes those that wait for room or for an empty queue.
    released: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    held_bytes: usize,
    held_chunks: usize,
    /// How many callers of [`Queue::hurry`] have not called [`Queue::calm`].
    hurried_by: usize,
    /// Nothing is taken in any more.
    closed: bool,
}

struct Waiting {
    since: Instant,
    chunk: Chunk,
}

/// Whether there is a batch.
pub(super) enum Due {
    /// There is one: at least one chunk, and at most `max_batch` bytes unless it is a single larger
    /// chunk; all with the same forwarded headers.
    Now(Vec<Chunk>),
    /// There will be one at this time, or when the waiting consumer is woken before.
    At(Instant),
    /// Nothing waits.
    WhenFilled,
}

impl Queue {
    pub(super) fn new(limits: Limits) -> Self {
        debug_assert!(limits.full_batch <= limits.max_batch);
        Self { limits, state: Mutex::default(), filled: Notify::new(), released: Notify::new() }
    }

    /// Takes the chunk in, or hands it back when the queue is full or closed. Never blocks.
    pub(super) fn push(&self, chunk: Chunk) -> Result<(), Chunk> {
        let mut state = lock(&self.state);
        if !state.has_room(chunk.bytes.len(), self.limits.capacity) {
            return Err(chunk);
        }
        let was_full = state.waiting_bytes >= self.limits.full_batch;
        let was_empty = state.waiting.is_empty();
        state.waiting_bytes += chunk.bytes.len();
        state.held_bytes += chunk.bytes.len();
        state.held_chunks += 1;
        state.waiting.push_back(Waiting { since: Instant::now(), chunk });
        let is_full = state.waiting_bytes >= self.limits.full_batch;
        drop(state);
        if was_empty || (is_full && !was_full) {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// The next batch, if it is due.
    pub(super) fn due(&self, now: Instant) -> Due {
        lock(&self.state).due(&self.limits, now)
    }

    /// Returns when a batch may be due, or [`Queue::wake`] was called. Only one may wait at a time.
    pub(super) async fn woken(&self) {
        self.filled.notified().await;
    }

    /// Wakes the one that waits in [`Queue::woken`], or the next one that will.
    pub(super) fn wake(&self) {
        self.filled.notify_one();
    }

    /// Takes out the chunks for which `is_over` is true. They count until they are released.
    pub(super) fn sweep(&self, is_over: impl Fn(&Chunk) -> bool) -> Vec<Chunk> {
        let mut state = lock(&self.state);
        let (over, rest): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut state.waiting)
            .into_iter()
            .partition(|waiting| is_over(&waiting.chunk));
        state.waiting = rest;
        let over: Vec<Chunk> = over.into_iter().map(|waiting| waiting.chunk).collect();
        state.waiting_bytes -= over.iter().map(|chunk| chunk.bytes.len()).sum::<usize>();
        over
    }

    /// Frees the room of chunks that are settled.
    pub(super) fn release(&self, chunks: usize, bytes: usize) {
        let mut state = lock(&self.state);
        debug_assert!(state.held_bytes >= bytes && state.held_chunks >= chunks);
        state.held_bytes = state.held_bytes.saturating_sub(bytes);
        state.held_chunks = state.held_chunks.saturating_sub(chunks);
        drop(state);
        self.released.notify_waiters();
    }

    /// Waits until there is room for a chunk of `bytes`, which others may take first. Waits for ever
    /// once the queue is closed.
    pub(super) async fn room(&self, bytes: usize) {
        self.until(|state| state.has_room(bytes, self.limits.capacity)).await;
    }

    /// Waits until all chunks are settled.
    pub(super) async fn idle(&self) {
        self.until(|state| state.held_chunks == 0).await;
    }

    /// Makes everything due at once, until the caller calls [`Queue::calm`].
    pub(super) fn hurry(&self) {
        lock(&self.state).hurried_by += 1;
        self.filled.notify_one();
    }

    /// Undoes one [`Queue::hurry`].
    pub(super) fn calm(&self) {
        let mut state = lock(&self.state);
        debug_assert!(state.hurried_by > 0);
        state.hurried_by = state.hurried_by.saturating_sub(1);
    }

    /// From now on nothing is taken in.
    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
    }

    /// How many chunks are held.
    pub(super) fn held_chunks(&self) -> usize {
        lock(&self.state).held_chunks
    }

    /// How many bytes are held.
    pub(super) fn held_bytes(&self) -> usize {
        lock(&self.state).held_bytes
    }

    async fn until(&self, condition: impl Fn(&State) -> bool) {
        loop {
            // Listening starts before the condition is checked, so that no release is missed.
            let released = self.released.notified();
            tokio::pin!(released);
            released.as_mut().enable();
            if condition(&lock(&self.state)) {
                return;
            }
            released.await;
        }
    }
}

impl State {
    fn has_room(&self, bytes: usize, capacity: usize) -> bool {
        !self.closed && (self.held_chunks == 0 || self.held_bytes.saturating_add(bytes) <= capacity)
    }

    fn due(&mut self, limits: &Limits, now: Instant) -> Due {
        let Some(oldest) = self.waiting.front() else {
            return Due::WhenFilled;
        };
        let deadline = oldest.since + limits.flush_interval;
        if self.hurried_by > 0 || self.waiting_bytes >= limits.full_batch || now >= deadline {
            return Due::Now(self.pop_batch(limits.max_batch));
        }
        Due::At(deadline)
    }

    fn pop_batch(&mut self, max_bytes: usize) -> Vec<Chunk> {
        let mut batch: Vec<Chunk> = Vec::new();
        let mut batch_bytes = 0;
        let mut others = Vec::new();
        while let Some(next) = self.waiting.pop_front() {
            let with_next = batch_bytes + next.chunk.bytes.len();
            let is_other =
                batch.first().is_some_and(|first| first.forwarded != next.chunk.forwarded);
            if is_other {
                others.push(next);
                if others.len() >= MOST_OTHERS {
                    break;
                }
            } else if !batch.is_empty() && with_next > max_bytes {
                self.waiting.push_front(next);
                break;
            } else {
                batch_bytes = with_next;
                batch.push(next.chunk);
            }
        }
        others.into_iter().rev().for_each(|other| self.waiting.push_front(other));
        self.waiting_bytes -= batch_bytes;
        batch
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::testing::chunk;
    use super::*;

    const LIMITS: Limits = Limits {
        capacity: 100,
        max_batch: 40,
        full_batch: 40,
        flush_interval: Duration::from_millis(200),
    };

    /// Waits for the next batch, as a consumer does.
    async fn take(queue: &Queue) -> Vec<Chunk> {
        loop {
            match queue.due(Instant::now()) {
                Due::Now(batch) => return batch,
                Due::At(at) => drop(tokio::time::timeout_at(at, queue.woken()).await),
                Due::WhenFilled => queue.woken().await,
            }
        }
    }

    fn sizes(batch: &[Chunk]) -> Vec<usize> {
        batch.iter().map(|chunk| chunk.bytes.len()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_batch_leaves_at_once_and_the_rest_after_the_flush_interval() {
        let queue = Queue::new(LIMITS);
        for pin in 0..3 {
            queue.push(chunk(pin, 20)).unwrap();
        }
        let start = Instant::now();
        assert_eq!(sizes(&take(&queue).await), [20, 20]);
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(sizes(&take(&queue).await), [20]);
        assert_eq!(start.elapsed(), LIMITS.flush_interval);
    }

    #[tokio::test(start_paused = true)]
    async fn what_goes_along_with_a_batch_is_the_same_and_order_is_kept() {
        let queue = Queue::new(Limits { capacity: 1000, ..LIMITS });
        for (pin, forwarded) in
            [(1, "blue"), (2, ""), (3, "blue"), (4, "red"), (5, ""), (6, "blue")]
        {
            let chunk = Chunk { forwarded: forwarded.as_bytes().into(), ..chunk(pin, 10) };
            queue.push(chunk).unwrap();
        }
        let mut batches = Vec::new();
        for _ in 0..3 {
            let batch = take(&queue).await;
            assert!(batch.iter().all(|chunk| chunk.forwarded == batch[0].forwarded));
            batches.push(batch.iter().map(|chunk| chunk.ticket.delivery.0).collect::<Vec<_>>());
        }
        assert_eq!(batches, [vec![1, 3, 6], vec![2, 5], vec![4]]);
        assert!(matches!(queue.due(Instant::now()), Due::WhenFilled));
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_consumer_is_woken_when_the_batch_fills() {
        let queue = Arc::new(Queue::new(LIMITS));
        queue.push(chunk(0, 10)).unwrap();
        let start = Instant::now();
        let taker = tokio::spawn({
            let queue = queue.clone();
            async move { take(&queue).await }
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        queue.push(chunk(1, 30)).unwrap();
        assert_eq!(sizes(&taker.await.unwrap()), [10, 30]);
        assert_eq!(start.elapsed(), Duration::from_millis(50));
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_never_exceeds_its_size_but_one_large_chunk_is_not_stuck() {
        let queue = Queue::new(LIMITS);
        queue.push(chunk(0, 30)).unwrap();
        queue.push(chunk(1, 60)).unwrap();
        assert_eq!(sizes(&take(&queue).await), [30]);
        assert_eq!(sizes(&take(&queue).await), [60]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_taken_still_counts_until_it_is_released() {
        let queue = Arc::new(Queue::new(LIMITS));
        queue.push(chunk(0, 60)).unwrap();
        queue.push(chunk(1, 40)).unwrap();
        let refused = queue.push(chunk(2, 1)).unwrap_err();
        assert_eq!(refused.bytes.len(), 1);

        let batch = take(&queue).await;
        assert!(queue.push(chunk(2, 1)).is_err());

        let waiter = tokio::spawn({
            let queue = queue.clone();
            async move { queue.room(1).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        queue.release(batch.len(), 60);
        waiter.await.unwrap();
        queue.push(chunk(2, 60)).unwrap();
        assert!(queue.push(chunk(3, 1)).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn one_chunk_larger_than_the_queue_is_taken_when_nothing_is_held() {
        let queue = Queue::new(LIMITS);
        queue.push(chunk(0, 500)).unwrap();
        assert!(queue.push(chunk(1, 0)).is_err());
        queue.release(1, 500);
        queue.push(chunk(1, 0)).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_waits_while_somebody_is_in_a_hurry() {
        let queue = Queue::new(LIMITS);
        let start = Instant::now();
        let take = async || {
            queue.push(chunk(0, 10)).unwrap();
            let taken = take(&queue).await;
            queue.release(taken.len(), 10);
            start.elapsed()
        };
        queue.hurry();
        queue.hurry();
        assert_eq!(take().await, Duration::ZERO);
        queue.calm();
        assert_eq!(take().await, Duration::ZERO, "another still is");
        queue.calm();
        assert_eq!(take().await, LIMITS.flush_interval);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hurry_is_noticed_by_who_waits_for_a_batch() {
        let queue = Arc::new(Queue::new(LIMITS));
        queue.push(chunk(0, 10)).unwrap();
        let start = Instant::now();
        let taker = tokio::spawn({
            let queue = queue.clone();
            async move { take(&queue).await }
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        queue.hurry();
        assert_eq!(sizes(&taker.await.unwrap()), [10]);
        assert_eq!(start.elapsed(), Duration::from_millis(50));
    }

    #[tokio::test(start_paused = true)]
    async fn idle_waits_for_the_last_release() {
        let queue = Arc::new(Queue::new(LIMITS));
        queue.push(chunk(0, 10)).unwrap();
        let batch = take(&queue).await;
        let idle = tokio::spawn({
            let queue = queue.clone();
            async move { queue.idle().await }
        });
        tokio::task::yield_now().await;
        assert!(!idle.is_finished());
        queue.release(batch.len(), 10);
        idle.await.unwrap();
    }

    #[tokio::test]
    async fn a_closed_queue_takes_nothing() {
        let queue = Queue::new(LIMITS);
        queue.close();
        assert!(queue.push(chunk(0, 1)).is_err());
    }
}
