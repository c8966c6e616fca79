//! OTTL conditions: the subset of the OpenTelemetry Transformation Language that is used for
//! sampling, and tailsieve's additions to it (`trace.` and `root.` paths).
//!
//! Owns the language: text in, answers about spans, events and traces out. Promises the
//! Collector's answers (`pkg/ottl` v1.4, that of v0.165), errors included, for everything that
//! compiles; a text outside of the subset does not compile. A condition is compiled once, with all
//! in it that is the same for every span computed, names the attribute keys that it looks at, and
//! is evaluated on what a scan found, without decoding it and usually without allocating. Leaves to
//! others which spans it is asked about, and what an answer means.
//!
//! In reading order: `lexer` and `parser` make a tree (`syntax`) of the text; `resolve` looks up
//! its `names` and `functions`, checks their `arguments`, and makes an `expression` of it, whose
//! `operand`s read `paths`, `compute`, and yield `value`s that are compared; `skeleton` cuts that into
//! leaves that are about one thing each. `convert`, `pattern` and `time` are what Go and its
//! libraries do differently, `wire` reads what nests in a record, `hints` say what was meant.

mod arguments;
mod compute;
mod convert;
mod error;
mod expression;
mod fields;
mod functions;
mod hints;
mod lexer;
mod mistyped;
mod names;
mod operand;
mod parser;
mod paths;
mod pattern;
mod quick;
mod resolve;
mod skeleton;
mod syntax;
mod time;
mod value;
mod wire;

#[cfg(test)]
mod tests;

use crate::otlp::span::KeyIndex;

pub use convert::readable;
pub use error::{EvalError, OttlError};
pub use expression::Level;
pub use fields::{Fields, TraceFields};
pub use pattern::compile_set as compile_patterns;
pub use skeleton::{Leaf, Skeleton};

use paths::{Path, SpanField, TraceField};

/// The most leaves about spans or the root in a condition that is also about something else.
pub const MAX_MIXED_LEAVES: usize = 5;

/// What a condition is asked about, and what its paths without a prefix belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Context {
    /// Spans.
    Span,
    /// The events of spans.
    SpanEvent,
}

/// What a condition looks at beside spans and their attributes: a scan has to be asked for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Parent ids, status messages, dropped counts.
    pub details: bool,
    /// Events.
    pub events: bool,
    /// Names, versions and attributes of scopes.
    pub scopes: bool,
    /// The number of services of a trace.
    pub services: bool,
}

impl Needs {
    /// Adds what `path` needs.
    fn add(&mut self, path: &Path) {
        match path {
            Path::Span(field) | Path::Root(field) => {
                self.details |= is_detail(field);
                self.events |= matches!(field, SpanField::Events);
            }
            Path::Scope(_) => self.scopes = true,
            Path::Event(_) => self.events = true,
            Path::Trace(field) => self.services |= matches!(field, TraceField::Services),
            Path::Resource(_) => {}
        }
    }
}

/// A condition that was compiled.
#[derive(Clone, Debug)]
pub struct Condition {
    text: String,
    context: Context,
    skeleton: Skeleton,
    leaves: Vec<Leaf>,
    /// The keys of all attributes that it looks at, each once.
    keys: Vec<String>,
    needs: Needs,
}

/// Compiles a condition into the largest parts that are about one thing each.
///
/// # Errors
///
/// If the text is no condition, or no condition of the subset; or if it has more than
/// [`MAX_MIXED_LEAVES`] parts about spans and the root and is about a second thing, too.
pub fn compile(text: &str, context: Context) -> Result<Condition, OttlError> {
    let condition = compile_unbounded(text, context)?;
    let is_span_or_root = |leaf: &&Leaf| matches!(leaf.level(), Level::Span | Level::Root);
    let parts = condition.leaves.iter().filter(is_span_or_root).count();
    if condition.leaves.len() > 1 && parts > MAX_MIXED_LEAVES {
        let message = format!(
            "{parts} parts about spans alternate with parts about the root or the trace: at most \
             {MAX_MIXED_LEAVES} can"
        );
        let help = "bring the parts about the same thing together in brackets";
        return Err(OttlError::new(0..text.len(), message).with_help(help));
    }
    Ok(condition)
}

/// Compiles a condition whose leaves are its single comparisons and calls: see
/// [`Condition::apart`].
///
/// # Errors
///
/// If the text is no condition, or no condition of the subset.
pub fn compile_apart(text: &str, context: Context) -> Result<Condition, OttlError> {
    Ok(compile_unbounded(text, context)?.apart())
}

fn compile_unbounded(text: &str, context: Context) -> Result<Condition, OttlError> {
    let mut expression = resolve::condition(parser::parse(text)?, context)?;
    let events = context == Context::SpanEvent;
    let (mut keys, mut needs) = (Vec::new(), Needs { events, ..Needs::default() });
    expression.each_path(&mut |path| {
        needs.add(path);
        if let Some(attribute) = path.attribute()
            && !keys.contains(&attribute.key)
        {
            keys.push(attribute.key.clone());
        }
    });
    let mut leaves = Vec::new();
    let skeleton = skeleton::split(expression, &mut leaves);
    Ok(Condition { text: text.to_owned(), context, skeleton, leaves, keys, needs })
}

impl Condition {
    /// Its source text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it is asked about.
    pub fn context(&self) -> Context {
        self.context
    }

    /// How its leaves are joined.
    pub fn skeleton(&self) -> &Skeleton {
        &self.skeleton
    }

    /// Its parts, each about one thing only.
    pub fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// The keys of all attributes that it looks at, wherever they stand, each once.
    pub fn attribute_keys(&self) -> &[String] {
        &self.keys
    }

    /// Tells it by which index the scan knows each of its keys. Before, every attribute is
    /// missing.
    pub fn bind(&mut self, mut index_of: impl FnMut(&str) -> KeyIndex) {
        let mut bind = |path: &mut Path| {
            if let Some(attribute) = path.attribute() {
                attribute.index = Some(index_of(&attribute.key));
            }
        };
        for leaf in &mut self.leaves {
            leaf.expression.each_path(&mut bind);
        }
    }

    /// What a scan has to look at beside spans and their attributes.
    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// The same condition, with each comparison and call as a leaf of its own and negations
    /// pushed into them, for rules whose comparisons may hold on different spans.
    pub fn apart(self) -> Self {
        let mut leaves = Vec::new();
        let skeleton = skeleton::apart(&self.skeleton, &self.leaves, false, &mut leaves);
        Self { skeleton, leaves, ..self }
    }

    /// Comparisons in it that have the same answer for every span, as their sides are of different
    /// types.
    pub fn mistyped(&self) -> Vec<OttlError> {
        let mut found = Vec::new();
        self.leaves.iter().for_each(|leaf| mistyped::find(&leaf.expression, &mut found));
        found
    }
}

fn is_detail(field: &SpanField) -> bool {
    matches!(
        field,
        SpanField::ParentSpanId
            | SpanField::ParentSpanIdString
            | SpanField::StatusMessage
            | SpanField::DroppedAttributes
            | SpanField::DroppedEvents
            | SpanField::DroppedLinks
    )
}
