//! Texts with commas where the Collector has a list of texts: it takes them for a list.

use std::ops::Range;

use super::super::diagnostics::Problem;
use super::super::document::{Document, Node, Value};
use super::super::scalar;

/// Blocks of policies, and the lists in them.
const LISTS: &[(&str, &str)] = &[
    ("string_attribute", "values"),
    ("trace_state", "values"),
    ("status_code", "status_codes"),
    ("composite", "policy_order"),
];

/// Makes lists of such texts in the policies of `node`, and says where.
pub(super) fn split(document: &Document, node: &mut Node, warnings: &mut Vec<Problem>) {
    match &mut node.value {
        Value::List(items) => {
            for item in items {
                split(document, item, warnings);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                for (_, list) in LISTS.iter().filter(|(block, _)| *block == entry.key) {
                    in_block(document, &mut entry.node, list, warnings);
                }
                split(document, &mut entry.node, warnings);
            }
        }
        _ => {}
    }
}

fn in_block(document: &Document, block: &mut Node, list: &str, warnings: &mut Vec<Problem>) {
    let Value::Map(entries) = &mut block.value else { return };
    let Some(entry) = entries.iter_mut().find(|entry| entry.key == list) else { return };
    let node = &mut entry.node;
    let Value::Text(text) = &node.value else { return };
    if !text.contains(',') {
        return;
    }
    let file = document.text_at(node.place);
    let part = |range: Range<usize>| Node {
        place: scalar::place_within(file, node, range.clone()),
        value: Value::Text(text[range].to_owned()),
        ..node.clone()
    };
    let mut start = 0;
    let mut items = Vec::new();
    for length in text.split(',').map(str::len) {
        items.push(part(start..start + length));
        start += length + 1;
    }
    if !node.from_env {
        let message =
            format!("{list}: a text with commas is a list of {}, as in the Collector", items.len());
        let help = format!(
            "write a list: `{list}: [A, B]`; a text with a comma in it is an item, too: `[\"A,B\"]`"
        );
        warnings.push(Problem { place: node.place, message, help: Some(help) });
    }
    node.value = Value::List(items);
}
