//! Spans in few words: everything has a default.

use std::time::Duration;

use super::super::document::{Node, Value};
use super::super::reader::{Problems, Section};
use super::super::values;

/// A span, or several that are alike.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanSpec {
    /// `service.name` of its resource; by default its parent's.
    pub service: Option<String>,
    /// More attributes of its resource; by default its parent's.
    pub resource: Option<Vec<(String, AttributeValue)>>,
    /// Name of the instrumentation scope.
    pub scope: String,
    /// Name of the span.
    pub name: String,
    /// Kind, as OTLP numbers it.
    pub kind: i32,
    /// From the start of its parent, or of the trace.
    pub start: Duration,
    /// By default as long as its children take, at least a millisecond.
    pub duration: Option<Duration>,
    /// Status code, as OTLP numbers it.
    pub status: i32,
    /// Message of the status.
    pub status_message: String,
    /// Attributes.
    pub attributes: Vec<(String, AttributeValue)>,
    /// Events, at the start of the span.
    pub events: Vec<EventSpec>,
    /// W3C tracestate.
    pub trace_state: String,
    /// Flags; the sampled bit by default.
    pub flags: u32,
    /// It has a parent that is not among these spans.
    pub has_parent: bool,
    /// How many such spans there are.
    pub count: u32,
    /// Spans with this one as their parent; with the last one, if there are several.
    pub children: Vec<SpanSpec>,
}

/// An event of a span.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventSpec {
    /// Its name.
    pub name: String,
    /// Its attributes.
    pub attributes: Vec<(String, AttributeValue)>,
}

/// The value of an attribute: what YAML takes it for.
#[derive(Clone, Debug, PartialEq)]
pub enum AttributeValue {
    /// No value.
    Empty,
    /// Text.
    Text(String),
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Double(f64),
    /// A list.
    List(Vec<AttributeValue>),
    /// A section.
    Map(Vec<(String, AttributeValue)>),
}

const KINDS: &[(&str, i32, &str)] = &[
    ("unspecified", 0, ""),
    ("internal", 1, ""),
    ("server", 2, ""),
    ("client", 3, ""),
    ("producer", 4, ""),
    ("consumer", 5, ""),
];

const STATUS_CODES: &[(&str, i32, &str)] = &[
    ("unset", 0, ""),
    ("ok", 1, ""),
    ("error", 2, ""),
    ("UNSET", 0, ""),
    ("OK", 1, ""),
    ("ERROR", 2, ""),
];

/// More spans than any test needs: a slip of the finger is not to fill the memory.
const MOST_ALIKE: u32 = 100_000;

/// Reads a list of spans, or a single one.
pub(super) fn spans<'d>(problems: &'d Problems, node: &'d Node) -> Vec<SpanSpec> {
    let items = values::items(node);
    if items.is_empty() {
        problems.add(node.place, "there are no spans", None);
    }
    items.iter().map(|node| span(problems, node)).collect()
}

fn span<'d>(problems: &'d Problems, node: &'d Node) -> SpanSpec {
    let mut section = Section::new(node, problems);
    let mut name = "span".to_owned();
    section.read("name", &mut name, values::text);
    let (mut kind, mut status, mut flags, mut count) = (1, 0, 1, 1);
    section.read("kind", &mut kind, values::choice(KINDS));
    section.read("status", &mut status, values::choice(STATUS_CODES));
    section.read("flags", &mut flags, values::whole(0..=u32::MAX));
    section.read("count", &mut count, values::whole(1..=MOST_ALIKE));
    let mut has_parent = false;
    section.read("has_parent", &mut has_parent, values::boolean);
    let text = |section: &mut Section<'d>, key| section.optional(key, values::text);
    let span = SpanSpec {
        service: text(&mut section, "service"),
        resource: section.optional("resource", attributes),
        scope: text(&mut section, "scope").unwrap_or_default(),
        name,
        kind,
        start: section.optional("start", values::duration).unwrap_or_default(),
        duration: section.optional("duration", values::duration),
        status,
        status_message: text(&mut section, "status_message").unwrap_or_default(),
        attributes: section.optional("attributes", attributes).unwrap_or_default(),
        events: section.node("events").map(|node| events(problems, node)).unwrap_or_default(),
        trace_state: text(&mut section, "trace_state").unwrap_or_default(),
        flags,
        has_parent,
        count,
        children: section.node("children").map(|list| spans(problems, list)).unwrap_or_default(),
    };
    section.finish();
    span
}

/// A list of events, or a single one; one that has only a name may be just that.
fn events<'d>(problems: &'d Problems, node: &'d Node) -> Vec<EventSpec> {
    let event = |node: &'d Node| {
        if let Value::Text(name) = &node.value {
            return EventSpec { name: name.clone(), ..EventSpec::default() };
        }
        let mut section = Section::new(node, problems);
        let name = section.required("name", "exception", values::text).unwrap_or_default();
        let attributes = section.optional("attributes", attributes).unwrap_or_default();
        section.finish();
        EventSpec { name, attributes }
    };
    values::items(node).iter().map(event).collect()
}

fn attributes(node: &Node) -> Result<Vec<(String, AttributeValue)>, String> {
    let Value::Map(entries) = &node.value else {
        return Err(format!("expected `key: value`, found {}", node.kind()));
    };
    entries.iter().map(|entry| Ok((entry.key.clone(), attribute(&entry.node)?))).collect()
}

fn attribute(node: &Node) -> Result<AttributeValue, String> {
    Ok(match &node.value {
        Value::Null => AttributeValue::Empty,
        Value::Bool(value) => AttributeValue::Bool(*value),
        Value::Integer(number) => {
            let number = i64::try_from(*number);
            AttributeValue::Int(number.map_err(|_| "a whole number has 64 bits".to_owned())?)
        }
        Value::Float(number) => AttributeValue::Double(*number),
        Value::Text(text) => AttributeValue::Text(text.clone()),
        Value::List(items) => {
            AttributeValue::List(items.iter().map(attribute).collect::<Result<_, _>>()?)
        }
        Value::Map(_) => AttributeValue::Map(attributes(node)?),
    })
}
