//! Texts in policies that have a language of their own: regular expressions and OTTL conditions.
//! What is wrong with one is told at the very place in the file.

use std::ops::Range;

use crate::options::{Fault, Form, Section, items, name, values};
use crate::sampling::ottl::{self, Context, Fields, Level, OttlError};

/// An OTTL condition on spans or events.
pub(super) fn condition(context: Context) -> Form<String> {
    name().checked(move |text| ottl::compile(text, context).map(drop).map_err(fault))
}

/// Where in a condition its error is, and what it is.
pub(super) fn fault(error: OttlError) -> Fault {
    let end = error.offset.saturating_add(error.length);
    Fault { range: error.offset..end, message: error.message, help: error.help }
}

/// Tells what is wrong with the regular expressions in the list `key`.
pub(super) fn check_patterns<'a>(section: &Section<'a>, key: &'a str) {
    let Some(node) = section.node(key) else { return };
    for node in items(node, section.context).iter() {
        if let Ok(text) = values::text(node)
            && let Some(fault) = fault_of_pattern(&text)
        {
            section.at(key).fault(node, fault);
        }
    }
}

fn fault_of_pattern(text: &str) -> Option<Fault> {
    let reason = ottl::compile_patterns(&[text.to_owned()]).err()?;
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
    Some(Fault { range, message, help: Some(help.to_owned()) })
}

fn bytes(span: &regex_syntax::ast::Span) -> Range<usize> {
    span.start.offset..span.end.offset
}

/// The answer of a condition that does not depend on the trace.
pub(super) fn constant(text: &str, context: Context) -> Option<bool> {
    let condition = ottl::compile(text, context).ok()?;
    let leaves = condition.leaves();
    if leaves.iter().any(|leaf| leaf.level() != Level::Constant) {
        return None;
    }
    let mut answer = |leaf: usize| leaves[leaf].evaluate(&Fields::default());
    condition.skeleton().evaluate(&mut answer).ok()
}
