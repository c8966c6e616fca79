//! What all decisions came to, by policy.

use super::ballot::Ballot;
use super::offline::Verdict;
use crate::sampling::policy::{Decision, InEffect, PolicyIndex, PolicySet, Said};
use crate::telemetry::accounts::Amount;

/// What all decisions came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Traces that were kept.
    pub kept: Amount,
    /// Traces that were dropped.
    pub dropped: Amount,
    /// Those of them that no policy spoke for or against.
    pub dropped_by_none: Amount,
    /// By policy, in the order of the file.
    pub policies: Vec<Share>,
}

/// What one policy has to do with the decisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Traces that it voted on: to keep them, or to drop them.
    pub votes: u64,
    /// Traces for which some condition of it could not be evaluated.
    pub errors: u64,
    /// Traces kept on its account.
    pub kept: Amount,
    /// Traces dropped on its account.
    pub dropped: Amount,
    /// Traces that it alone decided: no other policy that counts voted to keep them; or it drops
    /// what others would have kept.
    pub alone: Amount,
    /// Of a shadow policy: traces that it would have kept in addition.
    pub would_keep: Amount,
    /// Of a shadow policy: traces that it would have dropped.
    pub would_drop: Amount,
}

impl Summary {
    /// Nothing was decided yet.
    pub fn new(policies: &PolicySet) -> Self {
        let policies = policies.names().map(|_| Share::default()).collect();
        Self { policies, ..Self::default() }
    }

    /// All traces that were decided.
    pub fn decided(&self) -> Amount {
        let mut all = self.kept;
        all.add(self.dropped);
        all
    }

    /// Takes in a decision.
    pub fn add(&mut self, policies: &PolicySet, verdict: &Verdict) {
        let amount = verdict.amount;
        match verdict.decision {
            Decision::Keep { policy, .. } => {
                self.kept.add(amount);
                self.share(policy).kept.add(amount);
            }
            Decision::Drop { policy: Some(policy) } => {
                self.dropped.add(amount);
                self.share(policy).dropped.add(amount);
            }
            Decision::Drop { policy: None } => {
                self.dropped.add(amount);
                self.dropped_by_none.add(amount);
            }
        }
        for ballot in &verdict.ballots {
            let share = self.share(ballot.policy);
            share.votes += u64::from(ballot.said != Said::None);
            share.errors += u64::from(ballot.failed);
        }
        if let Some(policy) = decided_alone(policies, verdict) {
            self.share(policy).alone.add(amount);
        }
        let (shadows, others): (Vec<_>, Vec<_>) =
            verdict.ballots.iter().partition(|ballot| policies.is_shadow(ballot.policy));
        let mut in_effect = InEffect::default();
        for Ballot { policy, said, .. } in others {
            in_effect.enter(policies, *policy, *said);
        }
        for Ballot { policy, said, .. } in shadows {
            match in_effect.changed_by(policies, *policy, *said) {
                Some(Said::Keep) => self.share(*policy).would_keep.add(amount),
                Some(Said::Drop) => self.share(*policy).would_drop.add(amount),
                _ => {}
            }
        }
    }

    fn share(&mut self, policy: PolicyIndex) -> &mut Share {
        &mut self.policies[usize::from(policy.0)]
    }
}

/// The votes that count, of those that said `said`.
fn counted<'v>(
    policies: &'v PolicySet,
    verdict: &'v Verdict,
    said: Said,
) -> impl Iterator<Item = PolicyIndex> + 'v {
    let counts = move |it: &&Ballot| it.said == said && !policies.is_shadow(it.policy);
    verdict.ballots.iter().filter(counts).map(|ballot| ballot.policy)
}

/// Those that drop the trace whatever the others say. A rule that says drop is none of them: it
/// only keeps nothing, and ends the asking.
fn vetoes<'v>(
    policies: &'v PolicySet,
    verdict: &'v Verdict,
) -> impl Iterator<Item = PolicyIndex> + 'v {
    counted(policies, verdict, Said::Drop).filter(|policy| !policies.is_rule(*policy))
}

/// The policy without which the decision would have been the other one, as far as those that
/// were asked can tell.
fn decided_alone(policies: &PolicySet, verdict: &Verdict) -> Option<PolicyIndex> {
    let only = |mut votes: Box<dyn Iterator<Item = PolicyIndex> + '_>| {
        let first = votes.next()?;
        votes.next().is_none().then_some(first)
    };
    if verdict.is_kept() {
        return only(Box::new(counted(policies, verdict, Said::Keep)));
    }
    counted(policies, verdict, Said::Keep).next()?;
    only(Box::new(vetoes(policies, verdict)))
}
