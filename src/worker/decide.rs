//! Complete traces to decisions, and kept ones to chunks for the exporter.

use bytes::Bytes;

use super::partition::{PartitionState, amount_of};
use super::{Desk, Shared};
use crate::books::Tally;
use crate::export::{Chunk, Ticket};
use crate::ids::Pin;
use crate::otlp::{Additions, SpanSegment};
use crate::policy::{Decision, LeafIndex, Observer, PolicyIndex, PolicySet, Said};
use crate::probability::Threshold;
use crate::trace::{Decided, OpenTrace, Segment, Trigger};

/// What is remembered of a decision, for the spans that come after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// The trace was dropped.
    Dropped,
    /// The trace was kept.
    Kept {
        /// On whose account.
        policy: PolicyIndex,
        /// The threshold it passed.
        threshold: Threshold,
        /// Whether that threshold says what the chance was.
        consistent: bool,
    },
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
    pub(super) fn of<'a>(
        &self,
        policies: &'a PolicySet,
        policy: PolicyIndex,
        threshold: Threshold,
        consistent: bool,
    ) -> Additions<'a> {
        Additions {
            policy: self.policy.then(|| &**policies.name(policy)),
            threshold: (consistent && threshold != Threshold::ALWAYS).then_some(threshold),
            erase_threshold: !consistent,
            tracestate: self.tracestate,
            sample_rate: self.sample_rate,
        }
    }
}

/// Counts who said what.
struct Votes<'a> {
    tally: &'a mut Tally,
}

impl Observer for Votes<'_> {
    fn voted(&mut self, policy: PolicyIndex, said: Said) {
        if said != Said::None {
            self.tally.votes[usize::from(policy.0)] += 1;
        }
    }

    fn failed(&mut self, _: PolicyIndex) {}

    fn leaf_voted(&mut self, _: LeafIndex) {}
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
        let mut votes = Votes { tally: &mut desk.tally };
        let decision = shared.policies.decide(&trace.summary, now, &mut self.budgets, &mut votes);
        let remembered = match decision {
            Decision::Drop { policy } => {
                let none = desk.tally.dropped.len() - 1;
                let place = policy.map_or(none, |policy| usize::from(policy.0));
                desk.tally.dropped[place].add(amount);
                self.watermark.release(trace.pin);
                Remembered::Dropped
            }
            Decision::Keep { policy, threshold, consistent, leaf: _ } => {
                desk.tally.kept[usize::from(policy.0)].add(amount);
                let additions =
                    shared.annotations.of(&shared.policies, policy, threshold, consistent);
                self.forward(desk, trace.pin, trace.payload.segments(), &additions);
                Remembered::Kept { policy, threshold, consistent }
            }
        };
        self.release_headers(trace);
        let generation = self.generation();
        let decided = Decided { generation, at: self.traces.clock(), decision: remembered };
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
                spans: chunk.spans,
                traces: u32::from(number == 0),
                ticket: Ticket { partition, generation, pin, worker },
            });
        }
    }
}
