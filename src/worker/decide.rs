//! Complete traces to decisions, and kept ones to chunks for the exporter.

use std::sync::Arc;

use bytes::Bytes;

use super::partition::{PartitionState, amount_of};
use super::{Desk, Shared};
use crate::export::{Chunk, DeliveryId, Ticket};
use crate::ids::{Pin, TraceId};
use crate::otlp::{Additions, Chance, SpanSegment};
use crate::policy::Decision;
use crate::probability::Threshold;
use crate::trace::{Decided, OpenTrace, Segment, Trigger};

/// What is remembered of a decision, for the spans that come after it. Policies may have changed
/// by then, so it refers to none of theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// The trace was dropped.
    Dropped,
    /// The trace was kept.
    Kept(Kept),
}

/// Why a trace was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The name of the policy on whose account.
    pub policy: Arc<str>,
    /// The threshold it passed.
    pub threshold: Threshold,
    /// Whether that threshold says what the chance was.
    pub consistent: bool,
}

impl Kept {
    fn chance(&self) -> Chance {
        match (self.threshold, self.consistent) {
            (Threshold::ALWAYS, true) => Chance::Certain,
            (threshold, true) => Chance::Passed(threshold),
            (Threshold::NEVER, false) => Chance::Unknown,
            (threshold, false) => Chance::Apart(threshold),
        }
    }
}

/// What is written on kept spans.
#[derive(Clone, Copy, Debug)]
pub struct Annotations {
    /// Attribute `tailsieve.policy`.
    pub policy: bool,
    /// `th` in the tracestate's `ot` entry.
    pub tracestate: bool,
    /// Attribute `SampleRate`.
    pub sample_rate: bool,
}

impl Annotations {
    pub(super) fn of<'a>(&self, kept: &'a Kept) -> Additions<'a> {
        Additions {
            policy: self.policy.then_some(&*kept.policy),
            chance: kept.chance(),
            tracestate: self.tracestate,
            sample_rate: self.sample_rate,
        }
    }
}

impl PartitionState {
    /// Decides a trace that was taken, remembers the decision, and does what it says.
    pub(super) fn decide(
        &mut self,
        shared: &Shared,
        desk: &mut Desk,
        trace: &OpenTrace,
        trigger: Trigger,
    ) {
        let amount = amount_of(trace);
        desk.closed.add(amount);
        desk.tally.triggers[trigger as usize] += 1;
        self.observe(shared, trace);
        let now = self.traces.clock();
        let policies = &self.in_force.policies;
        let mut votes = desk.votes(policies);
        let decision = policies.decide(&trace.summary, now, &mut self.budgets, &mut votes);
        let remembered = match decision {
            Decision::Drop { .. } => {
                self.watermark.release(trace.pin);
                Remembered::Dropped
            }
            Decision::Keep { policy, threshold, consistent, leaf: _ } => {
                let policy = Arc::clone(policies.name(policy));
                let kept = Kept { policy, threshold, consistent };
                let additions = shared.annotations.of(&kept);
                let trace_id = trace.summary.trace_id;
                self.forward(desk, trace.pin, trace_id, trace.payload.segments(), &additions);
                Remembered::Kept(kept)
            }
        };
        desk.account(&self.in_force.policies, &decision, amount);
        self.release_headers(trace);
        let generation = self.generation();
        let decided = Decided { generation, at: now, decision: remembered };
        shared.decided.insert(self.partition, trace.summary.trace_id, decided);
    }

    fn observe(&self, shared: &Shared, trace: &OpenTrace) {
        let (books, summary) = (&shared.books, &trace.summary);
        let delay = self.traces.clock().since(trace.opened_at);
        books.decision_delay.record(delay.as_secs_f64());
        books.trace_spans.record(f64::from(summary.spans));
        books.trace_bytes.record(summary.bytes as f64);
        books.trace_duration.record(summary.duration().as_secs_f64());
    }

    /// Frames spans into chunks for the exporter. `pin`, which is held once, passes to them.
    pub(super) fn forward<'a>(
        &mut self,
        desk: &mut Desk,
        pin: Pin,
        trace_id: TraceId,
        segments: impl Iterator<Item = (Segment, &'a [u8])>,
        additions: &Additions<'_>,
    ) {
        let headers = &self.headers;
        let segments = segments.map(|(segment, spans)| SpanSegment {
            resource: headers.get(segment.resource),
            scope: headers.get(segment.scope),
            spans,
        });
        let framed = desk.framer.frame(segments, additions);
        desk.tally.oversized_spans += u64::from(framed.oversized_spans);
        desk.tally.malformed_tracestate += u64::from(framed.malformed_tracestate);
        if framed.chunks.is_empty() {
            self.watermark.release(pin);
            return;
        }
        let (partition, generation, worker) = (self.partition, self.generation(), self.worker);
        for (number, chunk) in framed.chunks.into_iter().enumerate() {
            if number > 0 {
                self.watermark.hold(pin);
            }
            self.in_flight += 1;
            desk.kept.push(Chunk {
                bytes: Bytes::from(chunk.bytes),
                trace_id,
                spans: chunk.spans,
                traces: u32::from(number == 0),
                ticket: Ticket { partition, generation, delivery: DeliveryId(pin.0), worker },
            });
        }
    }
}
