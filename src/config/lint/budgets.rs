//! Budgets that are smaller than a trace.

use super::{Lint, below};
use crate::config::document::Node;
use crate::config::values;
use crate::sampling::policy::Unit;
use crate::sampling::policy::spec::{PolicySpec, Spending};

/// Warns of budgets of this policy through which most traces never fit.
pub(super) fn lint(lint: &Lint<'_>, spec: &PolicySpec, node: &Node) {
    for Spending { share_of, option, capacity, unit } in spec.kind.limits() {
        // A trace that is not small: what is more than that never passes.
        let (unit, of_a_trace) = match unit {
            Unit::Spans => ("spans", 10.0),
            Unit::Bytes => ("bytes", 4096.0),
        };
        // That nothing ever passes is told in other words.
        if capacity <= 0.0 || capacity >= of_a_trace {
            continue;
        }
        let share = share_of.and_then(|name| share(spec, node, name));
        let place = share.or_else(|| below(spec, node, option)).unwrap_or(node).place;
        let name = share_of.unwrap_or(&spec.name);
        let message = format!(
            "the budget of `{name}` holds {capacity} {unit} at most: a trace of more never passes"
        );
        let help =
            format!("most traces have {of_a_trace} {unit} and more; raise it, or burst_capacity");
        lint.warn(place, message, &help);
        if share_of.is_none() {
            // Its shares are smaller still.
            return;
        }
    }
}

/// The `percent` of a part.
fn share<'d>(spec: &PolicySpec, node: &'d Node, name: &str) -> Option<&'d Node> {
    let shares = values::items(below(spec, node, "rate_allocation")?);
    let is_it = |share: &&Node| {
        share.get("policy").and_then(|node| values::text(node).ok()).as_deref() == Some(name)
    };
    shares.iter().find(is_it)?.get("percent")
}
