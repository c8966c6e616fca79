//! Delivers batches: attempts, retries, and the search for the one trace at fault.
//!
//! Promises that every chunk it takes is acknowledged exactly once and its room released after
//! that, that the fence is asked before every attempt, and that one bad trace does not cost the
//! others of its request. Leaves queueing to [`queue`](super::queue), the wire to the transport.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use metrics::Gauge;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Code as GrpcCode;

use super::code::Code;
use super::health::{Health, shortened};
use super::metrics::ExportMetrics;
use super::queue::Queue;
use super::retry::{Backoff, Verdict, judge};
use super::settings::RetrySettings;
use super::transport::{Failure, Piece, Reply, Request, Transport};
use super::{Ack, AckSink, Chunk, Fence, Outcome, Refusal, Standing};
use crate::limited::Limited;

/// How often the same kind of trouble is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// How often the fence is asked again while it does not know.
const SUSPENDED_WAIT: Duration = Duration::from_millis(100);

/// What all consumers share.
pub(super) struct Shared {
    pub(super) queue: Queue,
    pub(super) health: Health,
    pub(super) metrics: ExportMetrics,
    pub(super) fence: Arc<dyn Fence>,
    pub(super) acks: Vec<AckSink>,
    pub(super) retry: RetrySettings,
    pub(super) retry_on_resource_exhausted: bool,
    pub(super) max_request_bytes: usize,
    pub(super) log_limits: LogLimits,
    /// Cancelled when a drain starts.
    pub(super) draining: CancellationToken,
}

/// One limit for each kind of trouble, so that one does not hide the other.
pub(super) struct LogLimits {
    refused: Limited,
    rejected: Limited,
    throttled: Limited,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            refused: Limited::new(LOG_INTERVAL),
            rejected: Limited::new(LOG_INTERVAL),
            throttled: Limited::new(LOG_INTERVAL),
        }
    }
}

/// Takes batches and delivers them, one at a time, for ever.
pub(super) async fn consume<T: Transport>(shared: Arc<Shared>, transport: Arc<T>) {
    loop {
        let batch = shared.queue.take().await;
        let batch = shared.without_impossible(batch);
        let mut parts = vec![batch];
        while let Some(part) = parts.pop() {
            if let Some([first, second]) = deliver(&shared, &*transport, part).await {
                parts.push(second);
                parts.push(first);
            }
        }
    }
}

/// Sends the chunks as one request until it is settled, or returns them in two parts that have to
/// be sent one after the other.
async fn deliver<T: Transport>(
    shared: &Shared,
    transport: &T,
    mut chunks: Vec<Chunk>,
) -> Option<[Vec<Chunk>; 2]> {
    let mut first_attempt = Instant::now();
    let mut backoff = Backoff::new(&shared.retry);
    loop {
        let (current, suspended) = shared.without_abandoned(chunks);
        match (current.is_empty(), suspended.is_empty()) {
            (true, true) => return None,
            (false, true) => chunks = current,
            (false, false) => return Some([current, suspended]),
            (true, false) => {
                tokio::time::sleep(SUSPENDED_WAIT).await;
                // What must not be sent does not age.
                first_attempt += SUSPENDED_WAIT;
                chunks = suspended;
                continue;
            }
        }
        let failure = match attempt(shared, transport, &chunks).await {
            Ok(reply) => {
                shared.delivered(chunks, &reply);
                return None;
            }
            Err(failure) => failure,
        };
        chunks = shared.without_taken(chunks, &failure.taken);
        let told = match judge(&failure, shared.retry_on_resource_exhausted) {
            Verdict::Isolate | Verdict::Shrink if chunks.len() > 1 => {
                let second = chunks.split_off(chunks.len() / 2);
                return Some([chunks, second]);
            }
            Verdict::Isolate | Verdict::Refuse => {
                shared.refused(chunks, failure.code.name(), &failure.message);
                return None;
            }
            Verdict::Shrink => None,
            Verdict::Retry(told) => told,
        };
        let Some(wait) = backoff.next(told, first_attempt.elapsed(), random()) else {
            shared.refused(chunks, "max_elapsed_time", &failure.message);
            return None;
        };
        shared.throttled(&failure, wait);
        shared.pause(wait, told.is_some()).await;
        shared.metrics.retries.increment(1);
    }
}

/// One attempt, with its metrics and what it says about the backend.
async fn attempt<T: Transport>(
    shared: &Shared,
    transport: &T,
    chunks: &[Chunk],
) -> Result<Reply, Failure> {
    let piece = |chunk: &Chunk| Piece { trace_id: chunk.trace_id, bytes: chunk.bytes.clone() };
    let request = Request(chunks.iter().map(piece).collect());
    let bytes = request.len();
    let started = Instant::now();
    let result = {
        let _in_flight = InFlight::new(&shared.metrics.in_flight);
        transport.send(request).await
    };
    let code = result.as_ref().err().map(|failure| failure.code);
    shared.metrics.attempt(code, bytes, started.elapsed());
    match &result {
        Err(failure) if is_down(failure) => {
            shared.health.failed(failure, shared.queue.held_bytes());
        }
        _ => shared.health.answered(),
    }
    result
}

/// Whether the failure means that nobody takes traces there. A backend that says how long to wait
/// is alive.
fn is_down(failure: &Failure) -> bool {
    let is_away = match failure.code {
        Code::Grpc(code) => matches!(code, GrpcCode::Unavailable | GrpcCode::DeadlineExceeded),
        Code::Http(status) => matches!(status, 502..=504),
    };
    is_away && failure.retry_after.is_none()
}

impl Shared {
    /// Settles what can never be sent: a chunk above the request size, which a backend may ask to
    /// repeat for ever, and one without bytes, which would make an empty request.
    fn without_impossible(&self, chunks: Vec<Chunk>) -> Vec<Chunk> {
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

    /// Leaves out the chunks whose partition was given up since they were handed in. The rest: what
    /// may be sent, and what has to wait until it is known whether it may.
    fn without_abandoned(&self, chunks: Vec<Chunk>) -> (Vec<Chunk>, Vec<Chunk>) {
        let (mut current, mut suspended, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        for chunk in chunks {
            let ticket = &chunk.ticket;
            match self.fence.standing(ticket.partition, ticket.generation) {
                Standing::Current => current.push(chunk),
                Standing::Suspended => suspended.push(chunk),
                Standing::Ended => ended.push(chunk),
            }
        }
        if !ended.is_empty() {
            self.metrics.abandoned_spans.increment(spans(&ended));
            self.settle(ended, Outcome::Abandoned, |_| None);
        }
        (current, suspended)
    }

    /// Settles those that were taken although the attempt failed as a whole.
    fn without_taken(&self, chunks: Vec<Chunk>, taken: &[usize]) -> Vec<Chunk> {
        if taken.is_empty() {
            return chunks;
        }
        let (done, rest): (Vec<_>, Vec<_>) =
            chunks.into_iter().enumerate().partition(|(index, _)| taken.contains(index));
        let bare = |chunks: Vec<(usize, Chunk)>| chunks.into_iter().map(|(_, chunk)| chunk);
        self.delivered(bare(done).collect(), &Reply::default());
        bare(rest).collect()
    }

    fn delivered(&self, chunks: Vec<Chunk>, reply: &Reply) {
        let spans = spans(&chunks);
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
                "export_partial_success"
            );
        }
        self.settle(chunks, Outcome::Delivered, |_| None);
    }

    fn refused(&self, chunks: Vec<Chunk>, reason: &'static str, error: &str) {
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
                "export_refused"
            );
        }
        let message = shortened(error);
        self.settle(chunks, Outcome::Refused, |chunk| {
            let (bytes, message) = (chunk.bytes.clone(), message.to_owned());
            Some(Box::new(Refusal { bytes, reason, message }))
        });
    }

    /// Waits before the next attempt. The start of a drain ends a wait of our own choice, for one
    /// last attempt in time; what the backend asked for stands.
    async fn pause(&self, wait: Duration, is_asked_for: bool) {
        let is_fixed = is_asked_for || self.draining.is_cancelled();
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.draining.cancelled(), if !is_fixed => {}
        }
    }

    /// Mentions a retry that does not mean that the backend is down.
    fn throttled(&self, failure: &Failure, wait: Duration) {
        if is_down(failure) {
            return;
        }
        if let Some(suppressed) = self.log_limits.throttled.allow_at(Instant::now().into_std()) {
            tracing::warn!(
                exporter = self.health.exporter(),
                code = failure.code.name(),
                error = shortened(&failure.message),
                wait_seconds = wait.as_secs_f64(),
                suppressed,
                "export_retry"
            );
        }
    }

    /// Tells the workers, then gives the room back: whoever is told finds its chunks still counted
    /// and never the other way round.
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
            let worker = by_worker.get_mut(chunk.ticket.worker);
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

/// Counts an attempt as in flight until it is dropped, also when it is cancelled.
struct InFlight<'a>(&'a Gauge);

impl<'a> InFlight<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

fn spans(chunks: &[Chunk]) -> u64 {
    chunks.iter().map(|chunk| u64::from(chunk.spans)).sum()
}

/// An even draw from 0 to 1. Jitter needs no more than the standard library's hash keys.
fn random() -> f64 {
    let bits = RandomState::new().hash_one(Instant::now());
    bits as f64 / u64::MAX as f64
}
