//! Late spans that re-open a trace which was dropped.

use std::sync::Arc;

use super::{Sampler, ScannedRecord, Sink, SpanRun, summarize};
use crate::otlp::probability::Threshold;
use crate::sampling::decided::{DecisionRecord, Kept, SamplingDecision};
use crate::sampling::facts::Summary;
use crate::sampling::policy::Reopening;
use crate::sampling::trace::Trigger;

impl Sampler {
    /// The decision to keep a trace after all, if late spans of it say so and `before` is that it is
    /// dropped.
    pub(super) fn reopen(
        &mut self,
        record: &ScannedRecord<'_>,
        run: &SpanRun<'_>,
        before: &DecisionRecord,
        sink: &mut impl Sink,
    ) -> Option<DecisionRecord> {
        let policies = &self.policies.set;
        let taken_back = || self.memory.is_taken_back(before.trace_id, before.first);
        let is_dropped =
            before.decision == SamplingDecision::Dropped && before.dropped_by.is_none();
        if !policies.can_reopen() || !is_dropped || taken_back() {
            return None;
        }
        let late = self.summary_of(record, run);
        let now = self.traces.clock();
        match self.policies.set.reopened_by(&late, now, &mut self.budgets) {
            Reopening::No => None,
            Reopening::OverBudget(policy) => {
                sink.reopen_over_budget(policy);
                None
            }
            Reopening::By(policy) => {
                let kept = Kept {
                    policy: Arc::clone(self.policies.set.name(policy)),
                    threshold: Threshold::ALWAYS,
                    consistent: true,
                };
                let recorded = DecisionRecord {
                    trace_id: before.trace_id,
                    decision: SamplingDecision::Kept(kept),
                    dropped_by: None,
                    first: record.offset,
                    last: record.offset,
                    // A former owner's clock may have been ahead. It is remembered no shorter than what it
                    // follows.
                    at: now.max(before.at),
                    trigger: Trigger::Late,
                    delivered: false,
                };
                self.memory.made(&recorded);
                Some(recorded)
            }
        }
    }

    /// What late spans alone say.
    fn summary_of(&mut self, record: &ScannedRecord<'_>, run: &SpanRun<'_>) -> Summary {
        let mut late = Summary::new(run.trace_id());
        let predicates = self.policies.set.predicates();
        let facts = self.in_hand.facts(predicates, record, run);
        let spans = run.first..run.first + run.spans.len();
        summarize(predicates, facts, record.bytes, record.found, spans, &mut late);
        late.spans = run.count();
        late.bytes = run.bytes();
        late
    }
}
