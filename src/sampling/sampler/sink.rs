//! What comes out of a sampler, and who takes it.

use crate::ids::{Offset, Pin, Timestamp};
use crate::otlp::{SpanSegment, service_name};
use crate::sampling::decided::{DecisionRecord, TraceDetails};
use crate::sampling::facts::Summary;
use crate::sampling::policy::{Budgets, Decision, Explanation, Observer, PolicyIndex, PolicySet};
use crate::sampling::trace::{Headers, OpenTrace};

use super::SpanRun;

/// Takes what comes out of a sampler. Each run of spans that went in comes out once: by `added`, `late`
/// or `read_again`; each trace that was opened by `decided`, unless it is abandoned.
pub trait Sink {
    /// A trace begins with a span of the record at `offset`. Returns what holds that record back until
    /// the trace is done.
    fn opened(&mut self, offset: Offset) -> Pin;

    /// Spans joined their trace, which is open.
    fn added(&mut self, run: &SpanRun<'_>);

    /// Has the policies decide: with [`Question::decide`] or [`Question::explain`].
    fn judge(&mut self, question: Question<'_>) -> Decision;

    /// A trace was decided.
    fn decided(&mut self, trace: DecidedTrace<'_>);

    /// Spans came after their trace was decided, and follow that decision.
    fn late(&mut self, spans: FollowingSpans<'_>);

    /// Late spans re-open their trace, which was dropped: it is kept after all. Further spans of the
    /// trace in the same record come by `late`.
    fn reopened(&mut self, trace: ReopenedTrace<'_>);

    /// Late spans would have re-opened their trace on account of this policy, had there been budget.
    fn reopen_over_budget(&mut self, policy: PolicyIndex);

    /// Spans are read again whose trace an earlier owner decided with them: they follow that.
    fn read_again(&mut self, spans: FollowingSpans<'_>);
}

/// A trace that is to be decided.
#[derive(Debug)]
pub struct Question<'a> {
    /// The policies that decide it.
    pub policies: &'a PolicySet,
    /// What is known of it.
    pub summary: &'a Summary,
    /// The partition's clock.
    pub now: Timestamp,
    /// The partition's budgets.
    pub budgets: &'a mut Budgets,
}

impl Question<'_> {
    /// The decision; `observer` is told how it comes about.
    pub fn decide(self, observer: &mut impl Observer) -> Decision {
        self.policies.decide(self.summary, self.now, self.budgets, observer)
    }

    /// The same decision, with its reasons.
    pub fn explain(self) -> Explanation {
        self.policies.explain(self.summary, self.now, self.budgets)
    }
}

/// A trace that was decided.
#[derive(Debug)]
pub struct DecidedTrace<'a> {
    /// What there is of it.
    pub trace: &'a OpenTrace,
    /// What was decided, in terms of the policies.
    pub decision: Decision,
    /// The same, as it is remembered.
    pub recorded: DecisionRecord,
    pub(super) headers: &'a Headers,
}

impl<'a> DecidedTrace<'a> {
    pub(super) fn new(
        trace: &'a OpenTrace,
        decision: Decision,
        recorded: DecisionRecord,
        headers: &'a Headers,
    ) -> Self {
        Self { trace, decision, recorded, headers }
    }

    /// What goes on record of it beside the decision.
    pub fn details(&self) -> TraceDetails<'a> {
        let OpenTrace { records, summary, .. } = self.trace;
        let (segment, name) = self.trace.name().unzip();
        let service = segment.and_then(|it| service_name(self.headers.get(it.resource)));
        let text = |bytes: Option<&'a [u8]>| String::from_utf8_lossy(bytes.unwrap_or_default());
        TraceDetails {
            records: records.clone(),
            spans: u64::from(summary.spans),
            bytes: summary.bytes,
            duration: Some(summary.duration()),
            errors: Some(summary.errors),
            service: text(service),
            name: text(name),
        }
    }

    /// Its spans, in the order they came.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'a>> + Clone + use<'a> {
        let (trace, headers) = (self.trace, self.headers);
        trace.payload.segments().map(move |(segment, spans)| Piece::new(headers, segment, spans))
    }
}

/// Spans that follow a decision.
#[derive(Debug)]
pub struct FollowingSpans<'a> {
    /// Which ones.
    pub run: &'a SpanRun<'a>,
    /// Their record.
    pub offset: Offset,
    /// The partition's clock.
    pub now: Timestamp,
    /// Their bytes.
    pub piece: Piece<'a>,
    /// What they follow.
    pub recorded: DecisionRecord,
}

/// A trace that late spans re-opened.
#[derive(Debug)]
pub struct ReopenedTrace<'a> {
    /// These spans.
    pub run: &'a SpanRun<'a>,
    /// The partition's clock.
    pub now: Timestamp,
    /// What was decided before.
    pub dropped: DecisionRecord,
    /// What is decided now: it covers the record of these spans.
    pub recorded: DecisionRecord,
}

impl FollowingSpans<'_> {
    /// True if a decision covers them that takes back that their trace was dropped: they are read once more
    /// with all that came before.
    pub fn are_read_anew(&self) -> bool {
        let DecisionRecord { trigger, first, last, .. } = self.recorded;
        trigger.takes_back() && first <= self.offset && self.offset <= last
    }
}

/// Spans with what they share.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// See [`ScannedRecord::forwarded`](super::ScannedRecord::forwarded).
    pub forwarded: &'a [u8],
    /// The spans.
    pub segment: SpanSegment<'a>,
}

impl<'a> Piece<'a> {
    pub(super) fn new(
        headers: &'a Headers,
        segment: crate::sampling::trace::Segment,
        spans: &'a [u8],
    ) -> Self {
        let (resource, scope) = (headers.get(segment.resource), headers.get(segment.scope));
        Self {
            forwarded: headers.forwarded(segment.resource),
            segment: SpanSegment { resource, scope, spans },
        }
    }
}
