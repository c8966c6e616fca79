//! Complete traces to decisions, and kept ones to chunks for the exporter.

use std::sync::Arc;
use std::time::Duration;

use super::deliver::{Part, Undelivered};
use super::partition::{PartitionState, amount_of};
use super::{Desk, Shared};
use crate::ids::{Offset, TraceId};
use crate::kafka::decision_log::{DecisionRecord, Kept, SamplingDecision};
use crate::otlp::probability::Threshold;
use crate::otlp::{Additions, Chance};
use crate::sampling::policy::{Decision, PolicySet};
use crate::sampling::trace::{Decided, OpenTrace, Trigger};
use crate::telemetry::metrics::TRIGGERS;

/// What is remembered of a decision, for the spans that come after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// What was decided.
    pub decision: SamplingDecision,
    /// The first and the last record that the decision covers.
    pub covers: (Offset, Offset),
    /// Why it was decided when it was.
    pub trigger: Trigger,
}

fn chance(kept: &Kept) -> Chance {
    match (kept.threshold, kept.consistent) {
        (Threshold::ALWAYS, true) => Chance::Certain,
        (threshold, true) => Chance::Passed(threshold),
        (Threshold::NEVER, false) => Chance::Unknown,
        (threshold, false) => Chance::Apart(threshold),
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
            chance: chance(kept),
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
        desk.counts.triggers[trigger as usize] += 1;
        self.observe(shared, trace);
        let now = self.traces.clock();
        let policies = &self.in_force.policies;
        let mut votes = desk.votes(policies);
        let decision = policies.decide(&trace.summary, now, &mut self.budgets, &mut votes);
        let (verdict, dropped_by) = verdict(policies, &decision);
        desk.account(&self.in_force.policies, &decision, amount);
        let trace_id = trace.summary.trace_id;
        let recorded = DecisionRecord {
            trace_id,
            decision: verdict,
            dropped_by,
            first: trace.first,
            last: trace.last,
            at: now,
            trigger,
            delivered: false,
        };
        self.remember(shared, &recorded);
        match &recorded.decision {
            SamplingDecision::Dropped => {
                if self.record(shared, desk, &recorded, Some(trace.pin)).is_none() {
                    self.watermark.release(trace.pin);
                }
            }
            SamplingDecision::Kept(kept) => {
                let additions = shared.annotations.of(kept);
                let chunks = self.frame(desk, trace.payload.segments(), &additions);
                let (kept, of) = (kept.clone(), (trace_id, trace.first));
                if let Some(sequence) = self.record(shared, desk, &recorded, None) {
                    let undelivered = Undelivered::whole(recorded, sequence);
                    self.undelivered.insert(of, undelivered);
                }
                let pin = trace.pin;
                self.deliver(shared, desk, of, Part::Covered, pin, (&kept, chunks));
            }
        }
        self.release_headers(trace);
    }

    /// Remembers a decision that is made now, for the spans that come late.
    fn remember(&mut self, shared: &Shared, recorded: &DecisionRecord) {
        if self.replay.is_under_way() {
            self.remember_in_order(shared, recorded);
        } else {
            self.remember_latest(shared, recorded.trace_id, self.to_remember(recorded));
        }
    }

    /// Remembers a decision while others of its trace may be known that were made earlier or
    /// later: at hand is the one that begins last, and what is read again of before then finds the
    /// others.
    pub(super) fn remember_in_order(&mut self, shared: &Shared, recorded: &DecisionRecord) {
        let (id, decided) = (recorded.trace_id, self.to_remember(recorded));
        let first = |decided: &Decided<Remembered>| decided.decision.covers.0;
        match self.decided(shared, id, Duration::MAX) {
            Some(known) if first(&known) > first(&decided) => {
                self.replay.learn_earlier(id, decided);
            }
            Some(known) if first(&known) < first(&decided) => {
                self.replay.learn_earlier(id, known);
                self.remember_latest(shared, id, decided);
            }
            _ => self.remember_latest(shared, id, decided),
        }
    }

    fn remember_latest(&mut self, shared: &Shared, id: TraceId, decided: Decided<Remembered>) {
        self.remembered.push(id, decided.at);
        shared.decided.insert(self.partition, id, decided);
    }

    fn to_remember(&self, recorded: &DecisionRecord) -> Decided<Remembered> {
        let decision = Remembered {
            decision: recorded.decision.clone(),
            covers: (recorded.first, recorded.last),
            trigger: recorded.trigger,
        };
        Decided { generation: self.generation(), at: recorded.at, decision }
    }

    /// What was decided of a trace, no longer than `ttl` ago.
    pub(super) fn decided(
        &self,
        shared: &Shared,
        id: TraceId,
        ttl: Duration,
    ) -> Option<Decided<Remembered>> {
        shared.decided.get(self.partition, id, self.generation(), self.traces.clock(), ttl)
    }

    /// What late spans of the record at `offset` follow.
    pub(super) fn decided_before(
        &self,
        shared: &Shared,
        id: TraceId,
        offset: Offset,
    ) -> Option<Decided<Remembered>> {
        let ttl = self.in_force.decision_cache_ttl;
        let decided = self.decided(shared, id, ttl)?;
        if decided.decision.covers.0 <= offset {
            return Some(decided);
        }
        // It was made of records that come after this one, which is read again.
        let earlier = self.replay.find_earlier(id, offset)?;
        (self.traces.clock().since(earlier.at) <= ttl).then(|| earlier.clone())
    }

    fn observe(&self, shared: &Shared, trace: &OpenTrace) {
        let (accounts, summary) = (&shared.accounts, &trace.summary);
        let delay = self.traces.clock().since(trace.opened_at);
        accounts.decision_delay.record(delay.as_secs_f64());
        accounts.trace_spans.record(f64::from(summary.spans));
        accounts.trace_bytes.record(summary.bytes as f64);
        accounts.trace_duration.record(summary.duration().as_secs_f64());
    }
}

/// A decision in words that outlive the policies; and who dropped it, if a policy did.
fn verdict(policies: &PolicySet, decision: &Decision) -> (SamplingDecision, Option<Arc<str>>) {
    match *decision {
        Decision::Drop { policy } => {
            (SamplingDecision::Dropped, policy.map(|policy| Arc::clone(policies.name(policy))))
        }
        Decision::Keep { policy, threshold, consistent, leaf: _ } => {
            let policy = Arc::clone(policies.name(policy));
            (SamplingDecision::Kept(Kept { policy, threshold, consistent }), None)
        }
    }
}

// What the counts's places are numbered by.
const _: () = assert!(Trigger::LogGone as usize + 1 == TRIGGERS.len());
