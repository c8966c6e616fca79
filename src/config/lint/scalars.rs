//! Single values that say something else to the Collector's YAML than to people.

use crate::config::diagnostics::Problem;
use crate::config::document::{Node, Value};
use crate::options::numbers::octal_lookalike;

/// Warns of values in `node` and below.
pub(in super::super) fn lint(node: &Node) -> Vec<Problem> {
    let mut found = Vec::new();
    node.walk(&mut |node| {
        found.extend(octal(node));
        if let Some(place) = &node.plain_dollar {
            let message = "a `$` with a name behind it is plain text, as in the Collector";
            let help = "a variable is written ${env:NAME}; a dollar sign itself is $$";
            let (message, help) = (message.to_owned(), Some(help.to_owned()));
            found.push(Problem { place: **place, message, help });
        }
    });
    found
}

fn octal(node: &Node) -> Option<Problem> {
    let (Value::Integer(_), Some(written)) = (&node.value, &node.written) else { return None };
    let value = octal_lookalike(written)?;
    let (message, help) = if node.from_env {
        let message = "the variable holds an octal number: it begins with 0";
        (message.to_owned(), "write it without the 0 in front".to_owned())
    } else {
        let message = format!("`{written}` is octal, as in the Collector: {value}");
        let decimal = written.trim_start_matches(['+', '-', '0', '_']);
        let help =
            format!("write `{value}` or `{decimal}`, whichever is meant; text stands in quotes");
        (message, help)
    };
    Some(Problem { place: node.place, message, help: Some(help) })
}
