//! What a shadow policy would have changed, were it in force.
//!
//! Owns the comparison of one shadow policy's vote with those of the policies in force on the same
//! trace. Whoever observes a decision collects their votes here, in any order.

use super::{PolicyIndex, PolicySet, VoteKind};

/// The votes of the policies in force on a trace, as far as they matter to shadow ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InEffect {
    /// A `drop` policy matched. A rule that votes to drop is no such veto: it only keeps nothing,
    /// and ends the asking.
    is_vetoed: bool,
    /// The first in the file of those that keep the trace.
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
            }
            VoteKind::Drop => self.is_vetoed |= !policies.is_rule(policy),
        }
    }

    /// The other decision, if this vote of a shadow policy would have led to it.
    pub fn changed_by(
        &self,
        policies: &PolicySet,
        shadow: PolicyIndex,
        vote: VoteKind,
    ) -> Option<VoteKind> {
        if self.is_vetoed {
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
}
