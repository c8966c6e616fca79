//! What a worker counts: what becomes of spans and traces, and who votes how.

use super::active_policies::ActivePolicies;
use crate::sampling::policy::{
    Decision, InEffect, LeafIndex, Observer, PolicyIndex, PolicySet, VoteKind,
};
use crate::sampling::sampler::SpanRun;
use crate::sampling::trace::{OpenTrace, Trigger};
use crate::telemetry::accounts::{Amount, Counts};
use crate::telemetry::metrics::TRIGGERS;

/// What was counted and not posted yet, by the policies in force.
#[derive(Debug)]
pub(super) struct Counting {
    pub(super) counts: Counts,
    /// On how many traces all of [`PolicySet::simple`] said nothing, which is not entered for each.
    none_voted: u64,
    /// What was added to the open traces, and what was taken from them.
    pub(super) opened: Amount,
    pub(super) closed: Amount,
    /// The votes of shadow policies on the trace in hand.
    shadows: Vec<(PolicyIndex, VoteKind)>,
    /// The votes of the others on it.
    in_effect: InEffect,
}

impl Counting {
    /// Nothing is counted yet.
    pub(super) fn new(active: &ActivePolicies) -> Self {
        Self {
            counts: active.counts(),
            none_voted: 0,
            opened: Amount::default(),
            closed: Amount::default(),
            shadows: Vec::with_capacity(active.policies.set.names().count()),
            in_effect: InEffect::default(),
        }
    }

    /// Counting a trace that was opened.
    pub(super) fn opened_trace(&mut self) {
        let trace = Amount { traces: 1, ..Amount::default() };
        self.counts.received.add(trace);
        self.opened.add(trace);
    }

    /// Counting out what was open, and what is not decided.
    pub(super) fn abandoned(&mut self, trace: &OpenTrace) {
        let amount = of_trace(trace);
        self.counts.revoked.add(amount);
        self.closed.add(amount);
    }

    /// Writes down who says what of the trace in hand.
    pub(super) fn votes<'a>(&'a mut self, policies: &'a PolicySet) -> Votes<'a> {
        let Self { counts, none_voted, shadows, in_effect, .. } = self;
        shadows.clear();
        *in_effect = InEffect::default();
        Votes { policies, counts, none_voted, shadows, in_effect }
    }

    /// Enters for each of `policies`, which are those in force, the traces on which all that are
    /// simple said nothing.
    pub(super) fn enter_none_voted(&mut self, policies: &PolicySet) {
        let traces = std::mem::take(&mut self.none_voted);
        for policy in policies.simple().iter().filter(|_| traces > 0) {
            self.counts.policies[usize::from(policy.0)].votes[VoteKind::None as usize] += traces;
        }
    }

    /// Counting what became of a trace that `policies` decided.
    pub(super) fn decided(
        &mut self,
        policies: &PolicySet,
        decision: &Decision,
        (trace, trigger): (&OpenTrace, Trigger),
    ) {
        let amount = of_trace(trace);
        self.closed.add(amount);
        let Self { counts, shadows, in_effect, .. } = self;
        counts.triggers[trigger as usize] += 1;
        match decision {
            Decision::Drop { policy: None } => counts.unwanted.add(amount),
            Decision::Drop { policy: Some(policy) } => {
                counts.policies[usize::from(policy.0)].dropped.add(amount);
            }
            Decision::Keep { policy, leaf, .. } => {
                counts.policies[usize::from(policy.0)].kept.add(amount);
                if let Some(leaf) = leaf {
                    counts.leaves[usize::from(leaf.0)].kept.add(amount);
                }
            }
        }
        if let Some(policy) = in_effect.alone() {
            counts.policies[usize::from(policy.0)].alone.add(amount);
        }
        for (policy, vote) in shadows.drain(..) {
            let shadow = &mut counts.policies[usize::from(policy.0)];
            match in_effect.changed_by(policies, policy, vote) {
                Some(VoteKind::Keep) => shadow.shadow_kept.add(amount),
                Some(VoteKind::Drop) => shadow.shadow_dropped.add(amount),
                _ => {}
            }
        }
    }
}

/// The number of spans in a run, and their bytes.
pub(super) fn of_run(run: &SpanRun<'_>) -> Amount {
    Amount { traces: 0, spans: u64::from(run.count()), bytes: run.bytes() }
}

/// A trace, with its spans and their bytes.
pub(super) fn of_trace(trace: &OpenTrace) -> Amount {
    let summary = &trace.summary;
    Amount { traces: 1, spans: u64::from(summary.spans), bytes: summary.bytes }
}

/// Counts the votes on the trace in hand.
pub(super) struct Votes<'a> {
    policies: &'a PolicySet,
    counts: &'a mut Counts,
    none_voted: &'a mut u64,
    shadows: &'a mut Vec<(PolicyIndex, VoteKind)>,
    in_effect: &'a mut InEffect,
}

impl Observer for Votes<'_> {
    fn voted(&mut self, policy: PolicyIndex, vote: VoteKind) {
        // In the order of `VOTES`.
        self.counts.policies[usize::from(policy.0)].votes[vote as usize] += 1;
        if !self.policies.is_shadow(policy) {
            self.in_effect.enter(self.policies, policy, vote);
        } else if vote != VoteKind::None {
            self.shadows.push((policy, vote));
        }
    }

    fn none_voted(&mut self, _: &[PolicyIndex]) {
        *self.none_voted += 1;
    }

    fn failed(&mut self, policy: PolicyIndex) {
        self.counts.policies[usize::from(policy.0)].errors += 1;
    }

    fn leaf_voted(&mut self, leaf: LeafIndex) {
        self.counts.leaves[usize::from(leaf.0)].votes += 1;
    }
}

// Places among the counts have these numbers.
const _: () = assert!(Trigger::Restored as usize + 1 == TRIGGERS.len());
