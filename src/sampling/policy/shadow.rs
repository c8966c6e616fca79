//! What a shadow policy would have changed, were it in force; and what a policy in force alone decided.
//!
//! Owns the comparison of one policy's vote with those of the policies in force on the same
//! trace. Whoever observes a decision collects their votes here, in any order.

use super::{PolicyIndex, PolicySet, VoteKind};

/// The votes of the policies in force on a trace, as far as they matter to one of them, or a shadow one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InEffect {
    /// How many `drop` policies matched, and one of them. A rule that votes to drop is no such veto:
    /// it only keeps nothing, and ends the asking.
    vetoes: u16,
    veto: PolicyIndex,
    /// How many keep the trace, and the first of them in the file.
    keepers: u16,
    first_keeper: Option<PolicyIndex>,
}

impl InEffect {
    /// Enters the vote of a policy in force.
    pub fn enter(&mut self, policies: &PolicySet, policy: PolicyIndex, vote: VoteKind) {
        debug_assert!(!policies.is_shadow(policy), "shadow policies have no effect");
        match vote {
            VoteKind::None => {}
            VoteKind::Keep => {
                let first = self.first_keeper.map_or(policy, |first| first.min(policy));
                self.first_keeper = Some(first);
                self.keepers += 1;
            }
            VoteKind::Drop if policies.is_rule(policy) => {}
            VoteKind::Drop => {
                self.veto = policy;
                self.vetoes += 1;
            }
        }
    }

    /// The other decision, if this vote of a shadow policy would have led to it.
    pub fn changed_by(
        &self,
        policies: &PolicySet,
        shadow: PolicyIndex,
        vote: VoteKind,
    ) -> Option<VoteKind> {
        if self.vetoes > 0 {
            return None;
        }
        let changes = match (vote, self.first_keeper) {
            (VoteKind::Keep, None) => true,
            // A rule leaves alone what was kept before it was asked.
            (VoteKind::Drop, Some(keeper)) => !policies.is_rule(shadow) || keeper > shadow,
            _ => false,
        };
        changes.then_some(vote)
    }

    /// The policy without which the decision would have been the other one, as far as those that
    /// were asked can tell: the only one that keeps the trace, or the only veto against keeping it.
    pub fn alone(&self) -> Option<PolicyIndex> {
        match (self.vetoes, self.keepers) {
            (0, 1) => self.first_keeper,
            (1, 1..) => Some(self.veto),
            _ => None,
        }
    }
}
