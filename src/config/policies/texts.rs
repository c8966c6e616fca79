//! Texts in policies that have a language of their own: regular expressions and OTTL conditions.
//! What is wrong with one is told at the very place in the file.

use std::ops::Range;

use super::super::document::Node;
use super::super::scalar;
use super::super::values;
use super::Reader;
use crate::sampling::ottl::{self, Condition, Context, OttlError};

/// How a condition will be compiled, on which depends what can be.
pub(super) type Compile = fn(&str, Context) -> Result<Condition, OttlError>;

/// Reads a condition; `None` if it is none.
pub(super) fn condition(
    reader: &Reader<'_>,
    key: &str,
    node: &Node,
    context: Context,
    compile: Compile,
) -> Option<String> {
    let text = match values::name(node) {
        Ok(text) => text,
        Err(message) => {
            let message = format!("{key}: {}", values::told(node, message));
            reader.problems.add(node.place, message, None);
            return None;
        }
    };
    let Err(error) = compile(&text, context) else { return Some(text) };
    let end = error.offset.saturating_add(error.length);
    tell(reader, key, node, error.offset..end, error.message, error.help);
    None
}

/// Reads a list of conditions; a single one is a list of one.
pub(super) fn conditions(
    reader: &Reader<'_>,
    key: &str,
    node: &Node,
    context: Context,
) -> Option<Vec<String>> {
    let one = |node| condition(reader, key, node, context, ottl::compile);
    let read: Vec<Option<String>> = values::items(node).iter().map(one).collect();
    read.into_iter().collect()
}

/// Checks that `text`, which `node` holds, is a regular expression.
pub(super) fn regex(reader: &Reader<'_>, node: &Node, text: &str) {
    let Err(reason) = ottl::compile_patterns(&[text.to_owned()]) else { return };
    // Most of what is wrong there is wrong here, too, and has a place.
    let mut parser = regex_syntax::ParserBuilder::new().utf8(false).build();
    let (range, kind) = match parser.parse(text) {
        Ok(_) => (0..text.len(), reason),
        Err(regex_syntax::Error::Parse(error)) => (bytes(error.span()), error.kind().to_string()),
        Err(regex_syntax::Error::Translate(error)) => {
            (bytes(error.span()), error.kind().to_string())
        }
        Err(error) => (0..text.len(), error.to_string()),
    };
    let help = "the syntax is that of RE2, as in the Collector; a special character itself is \
                written after a backslash";
    let message = format!("not a regular expression: {kind}");
    tell(reader, "values", node, range, message, Some(help.to_owned()));
}

fn bytes(span: &regex_syntax::ast::Span) -> Range<usize> {
    span.start.offset..span.end.offset
}

fn tell(
    reader: &Reader<'_>,
    key: &str,
    node: &Node,
    range: Range<usize>,
    message: String,
    help: Option<String>,
) {
    let place = scalar::place_within(reader.document.text_at(node.place), node, range);
    let message = format!("{key}: {}", values::told(node, message));
    let help = help.and_then(|help| values::fit(node, help));
    reader.problems.add(place, message, help);
}
