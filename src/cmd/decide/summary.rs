//! What all decisions came to, by policy.

use super::offline::ExplainedDecision;
use crate::sampling::policy::{
    Decision, ExplainedVote, InEffect, PolicyIndex, PolicySet, VoteKind,
};
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
    pub fn add(&mut self, policies: &PolicySet, explained: &ExplainedDecision) {
        let amount = explained.amount;
        match explained.decision {
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
        for vote in &explained.votes {
            let share = self.share(vote.policy);
            share.votes += u64::from(vote.vote != VoteKind::None);
            share.errors += u64::from(vote.failed);
        }
        let (shadows, others): (Vec<_>, Vec<_>) =
            explained.votes.iter().partition(|vote| policies.is_shadow(vote.policy));
        let mut in_effect = InEffect::default();
        for ExplainedVote { policy, vote, .. } in others {
            in_effect.enter(policies, *policy, *vote);
        }
        if let Some(policy) = in_effect.alone() {
            self.share(policy).alone.add(amount);
        }
        for ExplainedVote { policy, vote, .. } in shadows {
            match in_effect.changed_by(policies, *policy, *vote) {
                Some(VoteKind::Keep) => self.share(*policy).would_keep.add(amount),
                Some(VoteKind::Drop) => self.share(*policy).would_drop.add(amount),
                _ => {}
            }
        }
    }

    fn share(&mut self, policy: PolicyIndex) -> &mut Share {
        &mut self.policies[usize::from(policy.0)]
    }
}
