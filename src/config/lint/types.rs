//! Comparisons in OTTL conditions that no span can make true, whatever it holds: a text with a
//! number, a duration with a number.

use super::Lint;
use crate::config::document::Node;
use crate::config::{scalar, values};
use crate::sampling::ottl::{self, Context};
use crate::sampling::policy::spec::PolicySpec;

/// Warns of those of one policy, which stands in `node`.
pub(super) fn lint(lint: &Lint<'_>, spec: &PolicySpec, node: &Node) {
    let Some(block) = node.get(spec.kind.type_name()) else { return };
    match spec.kind.type_name() {
        "ottl_condition" => {
            for (key, context) in [("span", Context::Span), ("spanevent", Context::SpanEvent)] {
                let nodes = block.get(key).map_or(&[][..], values::items);
                nodes.iter().for_each(|node| condition(lint, node, context));
            }
        }
        "rule" => {
            block.get("when").into_iter().for_each(|node| condition(lint, node, Context::Span));
        }
        _ => {}
    }
}

fn condition(lint: &Lint<'_>, node: &Node, context: Context) {
    let Ok(text) = values::text(node) else { return };
    // Of a file that was taken, and apart there is no bound that only some scopes have.
    let Ok(condition) = ottl::compile_apart(&text, context) else { return };
    for found in condition.mistyped() {
        let range = found.offset..found.offset + found.length;
        let place = scalar::place_within(lint.document.text_at(node.place), node, range);
        let help = found.help.as_deref().unwrap_or("docs/policies.md has the types, section OTTL");
        lint.warn(place, found.message, help);
    }
}
