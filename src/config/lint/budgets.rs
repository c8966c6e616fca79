//! Budgets that are smaller than a trace.

use super::Lint;
use super::verdict::percent;
use crate::config::diagnostics::Place;
use crate::config::document::{Node, Value};
use crate::config::values;
use crate::sampling::policy::spec::{PolicyKind, PolicySpec};

/// A trace that is not small: what is more than that never passes.
const SPANS_OF_A_TRACE: f64 = 10.0;
const BYTES_OF_A_TRACE: f64 = 4096.0;

/// How many times the tokens of a second a bucket holds by default.
const DEFAULT_BURST: u64 = 2;

/// Warns of budgets of this policy through which most traces never fit.
pub(super) fn lint(lint: &Lint<'_>, spec: &PolicySpec, node: &Node) {
    let place = |key: &str| node.find(&format!("{}.{key}", spec.kind.type_name())).place;
    let bucket = |per_second: u64, burst: Option<u64>, per_second_key: &str| match burst {
        Some(burst) => (burst as f64, place("burst_capacity")),
        None => (per_second.saturating_mul(DEFAULT_BURST) as f64, place(per_second_key)),
    };
    match &spec.kind {
        PolicyKind::RateLimiting { spans_per_second, burst_capacity } => {
            let (capacity, place) = bucket(*spans_per_second, *burst_capacity, "spans_per_second");
            small(lint, place, &spec.name, capacity, "spans");
        }
        PolicyKind::BytesLimiting { bytes_per_second, burst_capacity } => {
            let (capacity, place) = bucket(*bytes_per_second, *burst_capacity, "bytes_per_second");
            small(lint, place, &spec.name, capacity, "bytes");
        }
        PolicyKind::Composite { max_total_spans_per_second: total, children } => {
            let total = *total as f64;
            if total < SPANS_OF_A_TRACE {
                small(lint, place("max_total_spans_per_second"), &spec.name, total, "spans");
                return;
            }
            for child in children {
                let share = total * percent(child, children.len()) / 100.0;
                let place = share_of(node, &child.policy.name)
                    .map_or_else(|| place("composite_sub_policy"), |node| node.place);
                small(lint, place, &child.policy.name, share, "spans");
            }
            zero_shares(lint, node);
        }
        _ => {}
    }
}

fn small(lint: &Lint<'_>, place: Place, name: &str, capacity: f64, unit: &str) {
    let of_a_trace = if unit == "bytes" { BYTES_OF_A_TRACE } else { SPANS_OF_A_TRACE };
    // That nothing ever passes is told in other words.
    if capacity > 0.0 && capacity < of_a_trace {
        let message = format!(
            "the budget of `{name}` holds {capacity} {unit} at most: a trace of more never passes"
        );
        let help =
            format!("most traces have {of_a_trace} {unit} and more; raise it, or burst_capacity");
        lint.warn(place, message, &help);
    }
}

/// The `percent` of a sub-policy.
fn share_of<'d>(composite: &'d Node, name: &str) -> Option<&'d Node> {
    allocations(composite)
        .iter()
        .find(|share| {
            share.get("policy").and_then(|node| values::text(node).ok()).as_deref() == Some(name)
        })
        .and_then(|share| share.get("percent"))
}

fn allocations(composite: &Node) -> &[Node] {
    let list = composite.get("composite").and_then(|block| block.get("rate_allocation"));
    list.map_or(&[], values::items)
}

fn zero_shares(lint: &Lint<'_>, node: &Node) {
    for share in allocations(node) {
        let Some(percent) = share.get("percent") else { continue };
        let is_zero = match percent.value {
            Value::Integer(number) => number == 0,
            Value::Float(number) => number == 0.0,
            _ => false,
        };
        if is_zero {
            let message =
                "rate_allocation: a share of 0 % is taken for an even one, as in the Collector";
            lint.warn(percent.place, message, "give it a share, or take the sub-policy out");
        }
    }
}
