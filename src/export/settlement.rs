//! Settles chunks: counts and logs them, tells their workers, and frees their room in the queue.
//!
//! Promises that workers are told before the room is freed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::delivery::Shared;
use super::health::shortened;
use super::transport::Reply;
use super::{Ack, Chunk, GIVEN_UP, GenerationStatus, Outcome, Refusal};
use crate::ids::Origin;
use crate::telemetry::log_throttle::LogThrottle;

/// How often the same kind of error is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// One throttle for each kind of error, so that one does not hide another.
pub(super) struct LogLimits {
    refused: LogThrottle,
    rejected: LogThrottle,
    pub(super) retried: LogThrottle,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            refused: LogThrottle::new(LOG_INTERVAL),
            rejected: LogThrottle::new(LOG_INTERVAL),
            retried: LogThrottle::new(LOG_INTERVAL),
        }
    }
}

impl Shared {
    /// Settles chunks that can never be sent: one above the request size, which a backend might answer
    /// with a retryable code for ever, and one without bytes, which would make an empty request.
    pub(super) fn without_impossible(&self, chunks: Vec<Chunk>) -> Vec<Chunk> {
        let (possible, rest): (Vec<_>, Vec<_>) = chunks.into_iter().partition(|chunk| {
            !chunk.bytes.is_empty() && chunk.bytes.len() <= self.max_request_bytes
        });
        let (empty, oversized): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|chunk| chunk.bytes.is_empty());
        if !empty.is_empty() {
            self.delivered(empty, &Reply::default());
        }
        if !oversized.is_empty() {
            self.refused(oversized, "max_request_bytes", "larger than one request may be");
        }
        possible
    }

    /// Settles the chunks whose partition was given up since they were handed in. Returns those that
    /// may be sent, and those that wait since their generation is suspended.
    pub(super) fn without_abandoned(&self, chunks: Vec<Chunk>) -> (Vec<Chunk>, Vec<Chunk>) {
        let (mut current, mut suspended, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        for chunk in chunks {
            let origin = chunk.ticket.origin;
            match self.fence.status(origin.partition, origin.generation) {
                GenerationStatus::Current => current.push(chunk),
                GenerationStatus::Suspended => suspended.push(chunk),
                GenerationStatus::Ended => ended.push(chunk),
            }
        }
        self.abandoned(ended);
        (current, suspended)
    }

    /// Settles waiting chunks of partitions that were given up, and those that have waited too long.
    pub(super) fn sweep(&self) {
        let known = RefCell::new(HashMap::<Origin, bool>::new());
        let is_over = |chunk: &Chunk| {
            let origin @ Origin { partition, generation, .. } = chunk.ticket.origin;
            let ask = || self.fence.status(partition, generation) == GenerationStatus::Ended;
            *known.borrow_mut().entry(origin).or_insert_with(ask)
        };
        let mut swept = self.scheduler.sweep(is_over);
        swept.over.extend(self.queue.sweep(is_over));
        self.abandoned(swept.over);
        for (chunks, said) in swept.given_up {
            self.refused(chunks, GIVEN_UP, &said);
        }
    }

    fn abandoned(&self, chunks: Vec<Chunk>) {
        if !chunks.is_empty() {
            self.metrics.abandoned_spans.increment(spans(&chunks));
            self.settle(chunks, Outcome::Abandoned, |_| None);
        }
    }

    /// Settles the chunks that were accepted although the attempt failed as a whole.
    pub(super) fn without_taken(&self, chunks: Vec<Chunk>, taken: &[usize]) -> Vec<Chunk> {
        if taken.is_empty() {
            return chunks;
        }
        let (done, rest): (Vec<_>, Vec<_>) =
            chunks.into_iter().enumerate().partition(|(index, _)| taken.contains(index));
        let bare = |chunks: Vec<(usize, Chunk)>| chunks.into_iter().map(|(_, chunk)| chunk);
        self.delivered(bare(done).collect(), &Reply::default());
        bare(rest).collect()
    }

    pub(super) fn delivered(&self, chunks: Vec<Chunk>, reply: &Reply) {
        let spans = spans(&chunks);
        chunks.iter().for_each(|chunk| self.metrics.accepted(chunk.since.elapsed()));
        let rejected = reply.rejected_spans.min(spans);
        self.metrics.delivered_spans.increment(spans - rejected);
        self.metrics.rejected_spans.increment(rejected);
        let has_news = reply.rejected_spans > 0 || !reply.message.is_empty();
        if has_news
            && let Some(suppressed) = self.log_limits.rejected.allow_at(Instant::now().into_std())
        {
            tracing::warn!(
                exporter = self.health.exporter(),
                rejected_spans = reply.rejected_spans,
                request_spans = spans,
                error = shortened(&reply.message),
                suppressed,
                "export.partial_success"
            );
        }
        self.settle(chunks, Outcome::Delivered, |_| None);
    }

    pub(super) fn refused(&self, chunks: Vec<Chunk>, reason: &'static str, error: &str) {
        let spans = spans(&chunks);
        self.metrics.refused_spans.increment(spans);
        if let Some(suppressed) = self.log_limits.refused.allow_at(Instant::now().into_std()) {
            let traces: u64 = chunks.iter().map(|chunk| u64::from(chunk.traces)).sum();
            tracing::error!(
                exporter = self.health.exporter(),
                reason,
                error = shortened(error),
                traces,
                spans,
                suppressed,
                effect = "these kept traces go to the dead letters; without them they are lost to the backend",
                "export.refused"
            );
        }
        let message = shortened(error);
        self.settle(chunks, Outcome::Refused, |chunk| {
            let (bytes, forwarded) = (chunk.bytes.clone(), chunk.forwarded.clone());
            Some(Box::new(Refusal { bytes, forwarded, reason, message: message.to_owned() }))
        });
    }

    /// Tells the workers, and then frees the room, in this order.
    fn settle(
        &self,
        chunks: Vec<Chunk>,
        outcome: Outcome,
        refusal: impl Fn(&Chunk) -> Option<Box<Refusal>>,
    ) {
        let count = chunks.len();
        let bytes = chunks.iter().map(|chunk| chunk.bytes.len()).sum();
        let mut by_worker: Vec<Vec<Ack>> = self.acks.iter().map(|_| Vec::new()).collect();
        for chunk in chunks {
            let worker = by_worker.get_mut(chunk.ticket.origin.worker);
            debug_assert!(worker.is_some(), "a ticket names a worker that has a sink");
            if let Some(acks) = worker {
                let refusal = refusal(&chunk);
                acks.push(Ack { ticket: chunk.ticket, outcome, spans: chunk.spans, refusal });
            }
        }
        for (sink, acks) in self.acks.iter().zip(by_worker) {
            if !acks.is_empty() {
                sink(acks);
            }
        }
        self.metrics.queue_bytes.decrement(bytes as f64);
        self.queue.release(count, bytes);
    }
}

fn spans(chunks: &[Chunk]) -> u64 {
    chunks.iter().map(|chunk| u64::from(chunk.spans)).sum()
}
