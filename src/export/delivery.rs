//! Delivers requests: attempts, and what follows from how they end.
//!
//! Promises that every chunk it takes is settled exactly once, that the fence is asked before every
//! attempt, and that a request that has to wait takes no consumer. Leaves who is next to
//! [`line`](super::line), what a failure means to [`retry`](super::retry), the wire to the
//! transport.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use metrics::Gauge;
use tokio::time::Instant;

use super::health::{Health, shortened};
use super::line::{Aftermath, Attempt, Line};
use super::metrics::ExportMetrics;
use super::parcel::Parcel;
use super::queue::Queue;
use super::settle::LogLimits;
use super::transport::{Failure, Piece, Reply, Request, Transport};
use super::{AckSink, Chunk, Fence};

/// What all consumers share.
pub(super) struct Shared {
    pub(super) queue: Queue,
    pub(super) line: Line,
    pub(super) health: Health,
    pub(super) metrics: ExportMetrics,
    pub(super) fence: Arc<dyn Fence>,
    pub(super) acks: Vec<AckSink>,
    pub(super) max_request_bytes: usize,
    pub(super) log_limits: LogLimits,
    /// Whether a request that nothing goes along with lacks what the backend may ask for.
    pub(super) forwards_without_default: bool,
    /// What went along with the request that was accepted last.
    pub(super) last_along: Mutex<Option<Bytes>>,
}

/// Sends one request after the other, for ever.
pub(super) async fn consume<T: Transport>(shared: Arc<Shared>, transport: Arc<T>) {
    loop {
        let parcel = shared.line.next(&shared.queue).await;
        let was_sent = parcel.was_sent();
        if let Some(parcel) = shared.what_may_be_sent(parcel) {
            deliver(&shared, &*transport, parcel).await;
        }
        shared.line.done(was_sent, &shared.queue);
    }
}

/// Sends the request once, and settles it or has it wait.
async fn deliver<T: Transport>(shared: &Shared, transport: &T, mut parcel: Parcel) {
    if parcel.was_sent() {
        shared.metrics.retries.increment(1);
    }
    let attempt = shared.line.sent(&mut parcel);
    let failure = match send(shared, transport, &parcel).await {
        Ok(reply) => {
            shared.accepted(&parcel, attempt);
            shared.delivered(parcel.chunks, &reply);
            return;
        }
        Err(failure) => failure,
    };
    if !failure.taken.is_empty() {
        shared.accepted(&parcel, attempt);
        parcel.chunks = shared.without_taken(parcel.chunks, &failure.taken);
    }
    let aftermath = shared.line.failed(parcel, attempt, &failure, &shared.queue);
    shared.say(&failure, &aftermath);
    if let Some((chunks, reason)) = aftermath.refused {
        shared.refused(chunks, reason, &failure.message);
    }
}

/// One attempt, with its metrics.
async fn send<T: Transport>(
    shared: &Shared,
    transport: &T,
    parcel: &Parcel,
) -> Result<Reply, Failure> {
    let piece = |chunk: &Chunk| Piece { trace_id: chunk.trace_id, bytes: chunk.bytes.clone() };
    let pieces = parcel.chunks.iter().map(piece).collect();
    let request = Request { pieces, along: parcel.along(), not_over: parcel.failed_over };
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
    /// What went along with the request that was accepted last, if there was one.
    pub(super) fn last_along(&self) -> Option<Bytes> {
        self.last_along.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn accepted(&self, parcel: &Parcel, attempt: Attempt) {
        self.line.accepted(attempt, &self.queue);
        self.health.accepted();
        let mut last = self.last_along.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(parcel.along());
    }

    /// Leaves out what must not be sent, or not now, and returns the rest if there is any.
    fn what_may_be_sent(&self, mut parcel: Parcel) -> Option<Parcel> {
        let chunks = std::mem::take(&mut parcel.chunks);
        let chunks = if parcel.was_sent() { chunks } else { self.without_impossible(chunks) };
        let (current, suspended) = self.without_abandoned(chunks);
        if !suspended.is_empty() {
            self.line.suspend(&parcel, suspended, &self.queue);
        }
        if current.is_empty() {
            self.line.unsent(&parcel, &self.queue);
            return None;
        }
        parcel.chunks = current;
        Some(parcel)
    }

    /// Says that the backend is down, or that a request fails while others do not.
    fn say(&self, failure: &Failure, aftermath: &Aftermath) {
        if aftermath.is_down || !self.health.is_up() {
            self.health.failed(failure, self.queue.held_bytes());
            return;
        }
        let Some(wait) = aftermath.wait else { return };
        if let Some(suppressed) = self.log_limits.retried.allow_at(Instant::now().into_std()) {
            tracing::warn!(
                exporter = self.health.exporter(),
                code = failure.code.name(),
                error = shortened(&failure.message),
                others_are_accepted = aftermath.others_pass,
                wait_seconds = wait.as_secs_f64(),
                suppressed,
                "export_retry"
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
