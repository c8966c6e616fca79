//! What a shadow policy would have changed, were it in force.
//!
//! Owns the comparison of one shadow policy's answer with what the policies in force said of the
//! same trace. Whoever observes a decision collects their answers here, in any order.

use super::{PolicyIndex, PolicySet, Said};

/// What the policies in force said of a trace, as far as it matters to shadow ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InEffect {
    /// A `drop` policy matched. A rule that says drop is no such veto: it only keeps nothing, and
    /// ends the asking.
    is_vetoed: bool,
    /// The first in the file of those that keep the trace.
    first_keeper: Option<PolicyIndex>,
}

impl InEffect {
    /// Enters what a policy in force said.
    pub fn enter(&mut self, policies: &PolicySet, policy: PolicyIndex, said: Said) {
        debug_assert!(!policies.is_shadow(policy), "shadow policies have no effect");
        match said {
            Said::None => {}
            Said::Keep => {
                let first = self.first_keeper.map_or(policy, |first| first.min(policy));
                self.first_keeper = Some(first);
            }
            Said::Drop => self.is_vetoed |= !policies.is_rule(policy),
        }
    }

    /// The other decision, if a shadow policy that said `said` would have led to it.
    pub fn changed_by(
        &self,
        policies: &PolicySet,
        shadow: PolicyIndex,
        said: Said,
    ) -> Option<Said> {
        if self.is_vetoed {
            return None;
        }
        let changes = match (said, self.first_keeper) {
            (Said::Keep, None) => true,
            // A rule leaves alone what was kept before it was asked.
            (Said::Drop, Some(keeper)) => !policies.is_rule(shadow) || keeper > shadow,
            _ => false,
        };
        changes.then_some(said)
    }
}
