//! Delivers requests: makes attempts, and acts on how they end.
//!
//! Promises that every chunk that it takes is settled exactly once, that the fence is asked before
//! every attempt, and that a request that waits occupies no consumer. Leaves to
//! [`scheduler`](super::scheduler) which request is next, to [`retry`](super::retry) what a failure
//! means, and to the transport how a request is sent.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use metrics::Gauge;
use tokio::time::Instant;

use super::health::{Health, shortened};
use super::metrics::ExportMetrics;
use super::pending_request::PendingRequest;
use super::queue::Queue;
use super::scheduler::{AfterFailure, Attempt, Scheduler};
use super::settlement::LogLimits;
use super::transport::{Failure, Piece, Reply, Request, Transport};
use super::{AckSink, Chunk, Fence};
use crate::sync::lock;

/// What all consumers share.
pub(super) struct Shared {
    pub(super) queue: Queue,
    pub(super) scheduler: Scheduler,
    pub(super) health: Health,
    pub(super) metrics: ExportMetrics,
    pub(super) fence: Arc<dyn Fence>,
    pub(super) acks: Vec<AckSink>,
    pub(super) max_request_bytes: usize,
    pub(super) log_limits: LogLimits,
    /// Whether a request without forwarded headers lacks one that the backend may need.
    pub(super) forwards_without_default: bool,
    /// The forwarded headers of the request that was accepted last.
    pub(super) last_forwarded: Mutex<Option<Bytes>>,
}

/// Sends one request after the other, for ever.
pub(super) async fn consume<T: Transport>(shared: Arc<Shared>, transport: Arc<T>) {
    loop {
        let request = shared.scheduler.next(&shared.queue).await;
        let was_sent = request.was_sent();
        if let Some(request) = shared.what_may_be_sent(request) {
            deliver(&shared, &*transport, request).await;
        }
        shared.scheduler.done(was_sent, &shared.queue);
    }
}

/// Sends the request once, and settles it or hands it back to the scheduler.
async fn deliver<T: Transport>(shared: &Shared, transport: &T, mut request: PendingRequest) {
    if request.was_sent() {
        shared.metrics.retries.increment(1);
    }
    let attempt = shared.scheduler.sent(&mut request);
    let failure = match send(shared, transport, &request).await {
        Ok(reply) => {
            shared.accepted(&request, attempt);
            shared.delivered(request.chunks, &reply);
            return;
        }
        Err(failure) => failure,
    };
    if !failure.taken.is_empty() {
        shared.accepted(&request, attempt);
        request.chunks = shared.without_taken(request.chunks, &failure.taken);
    }
    let after = shared.scheduler.failed(request, attempt, &failure, &shared.queue);
    shared.say(&failure, &after);
    if let Some((chunks, reason)) = after.refused {
        shared.refused(chunks, reason, &failure.message);
    }
}

/// One attempt, with its metrics.
async fn send<T: Transport>(
    shared: &Shared,
    transport: &T,
    request: &PendingRequest,
) -> Result<Reply, Failure> {
    let piece = |chunk: &Chunk| Piece { trace_id: chunk.trace_id, bytes: chunk.bytes.clone() };
    let pieces = request.chunks.iter().map(piece).collect();
    let request = Request { pieces, forwarded: request.forwarded(), not_over: request.failed_over };
    let bytes = request.len();
    let started = Instant::now();
    let result = {
        let _in_flight = InFlight::new(&shared.metrics.in_flight);
        transport.send(request).await
    };
    let code = result.as_ref().err().map(|failure| failure.code);
    shared.metrics.attempt(code, bytes, started.elapsed());
    result
}

impl Shared {
    /// The forwarded headers of the request that was accepted last, if there was one.
    pub(super) fn last_forwarded(&self) -> Option<Bytes> {
        lock(&self.last_forwarded).clone()
    }

    fn accepted(&self, request: &PendingRequest, attempt: Attempt) {
        self.scheduler.accepted(attempt, &self.queue);
        self.health.accepted();
        let mut last = lock(&self.last_forwarded);
        *last = Some(request.forwarded());
    }

    /// Removes chunks that must not be sent, or not now, and returns the rest if there is any.
    fn what_may_be_sent(&self, mut request: PendingRequest) -> Option<PendingRequest> {
        let chunks = std::mem::take(&mut request.chunks);
        let chunks = if request.was_sent() { chunks } else { self.without_impossible(chunks) };
        let (current, suspended) = self.without_abandoned(chunks);
        if !suspended.is_empty() {
            self.scheduler.suspend(&request, suspended, &self.queue);
        }
        if current.is_empty() {
            self.scheduler.unsent(&request, &self.queue);
            return None;
        }
        request.chunks = current;
        Some(request)
    }

    /// Logs that the backend is down, or that a request fails while others do not.
    fn say(&self, failure: &Failure, after: &AfterFailure) {
        if after.is_down || !self.health.is_up() {
            self.health.failed(failure, self.queue.held_bytes());
            return;
        }
        let Some(wait) = after.wait else { return };
        if let Some(suppressed) = self.log_limits.retried.allow_at(Instant::now().into_std()) {
            tracing::warn!(
                exporter = self.health.exporter(),
                code = failure.code.name(),
                error = shortened(&failure.message),
                others_are_accepted = after.others_pass,
                wait_seconds = wait.as_secs_f64(),
                suppressed,
                "export.retry"
            );
        }
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
