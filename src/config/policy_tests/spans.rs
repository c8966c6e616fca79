//! Spans in few words: everything has a default.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::super::document::{Node, Value};
use crate::options::{
    At, Choice, Form, Schemas, boolean, choice, choices, duration, form, list, options,
    or_variable, section, text, whole,
};

options! {
    /// A span, or several that are alike.
    pub struct SpanSpec {
        /// Its name.
        name: String = text().or("span"),
        /// Its kind, as OTLP numbers it.
        kind: i32 = choice::<Kind>().map(|kind| kind as i32).or("internal"),
        /// Its status code, as OTLP numbers it.
        status: i32 = choice::<Status>().map(|Status(code)| code).or("unset"),
        /// W3C trace flags; 1, the sampled bit, by default.
        flags: u32 = whole(0..=u32::MAX).or("1"),
        /// How many such spans there are.
        count: u32 = whole(1..=MOST_ALIKE).or("1"),
        /// It has a parent that is not among these spans, so that it is no root.
        has_parent: bool = boolean().or("false"),
        /// `service.name` of its resource; its parent's by default.
        service: Option<String> = text().optional(),
        /// More attributes of its resource; its parent's by default.
        resource: Option<Vec<(String, AttributeValue)>> = attributes().optional(),
        /// The name of its instrumentation scope.
        scope: String = text().or_default(),
        /// When it starts, from the start of its parent, or of the trace.
        start: Duration = duration().or("0s"),
        /// How long it takes; by default as long as its children, at least 1ms.
        duration: Option<Duration> = duration().optional(),
        /// The message of its status.
        status_message: String = text().or_default(),
        /// Its attributes.
        attributes: Vec<(String, AttributeValue)> = attributes().or_default(),
        /// Its events, at its start.
        events: Vec<EventSpec> = events().or_default(),
        /// Its W3C tracestate.
        trace_state: String = text().or_default(),
        /// Spans with this one as their parent; with the last one, if it stands for several.
        children: Vec<SpanSpec> = spans().or_default(),
    }
}

options! {
    /// An event of a span.
    pub struct EventSpec {
        /// Its name.
        name: String = text().required("exception"),
        /// Its attributes.
        attributes: Vec<(String, AttributeValue)> = attributes().or_default(),
    }
}

choices! {
    /// The kind of a span.
    enum Kind {
        /// Nothing is said.
        Unspecified = "unspecified",
        /// It has no remote side.
        Internal = "internal",
        /// It serves a request.
        Server = "server",
        /// It makes a request.
        Client = "client",
        /// It writes a message.
        Producer = "producer",
        /// It works on a message.
        Consumer = "consumer",
    }
}

/// A status code, as OTLP numbers it.
#[derive(Clone, Copy)]
struct Status(i32);

impl Choice for Status {
    const NAME: &'static str = "Status";
    const ABOUT: &'static str = "The status code of a span.";
    const ALL: &'static [(&'static str, Self, &'static str)] = &[
        ("unset", Self(0), "Nothing was said."),
        ("ok", Self(1), "It was marked as a success."),
        ("error", Self(2), "It has failed."),
        ("UNSET", Self(0), "The same as unset."),
        ("OK", Self(1), "The same as ok."),
        ("ERROR", Self(2), "The same as error."),
    ];
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

/// More spans than any test needs: a slip of the finger is not to fill the memory.
const MOST_ALIKE: u32 = 100_000;

/// A list of spans, or a single one.
pub(super) fn spans() -> Form<Vec<SpanSpec>> {
    list(section()).not_empty("[{service: shop, name: GET /, duration: 120ms}]")
}

/// A list of events, or a single one; one that has only a name may be just that.
fn events() -> Form<Vec<EventSpec>> {
    let event = |node: &Node, at: At<'_>| match &node.value {
        Value::Text(name) => Some(EventSpec { name: name.clone(), attributes: Vec::new() }),
        _ => section().read(node, at),
    };
    let events = list(Form::new(event, |_| json!({})));
    let read = move |node: &Node, at: At<'_>| events.read(node, at);
    Form::new(read, |schemas| schemas.define("Events", describe_events))
}

fn describe_events(schemas: &mut Schemas) -> Json {
    let event = or_variable(schemas.section::<EventSpec>());
    let one = json!({ "if": { "type": "object" }, "then": event, "else": { "type": "string" } });
    json!({ "if": { "type": "array" }, "then": { "items": one }, "else": one })
}

/// Attributes; their values have the types that YAML gives them.
fn attributes() -> Form<Vec<(String, AttributeValue)>> {
    let schema = json!({ "type": "object", "additionalProperties": true });
    form(read_attributes, or_variable(schema))
}

fn read_attributes(node: &Node) -> Result<Vec<(String, AttributeValue)>, String> {
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
        Value::Map(_) => AttributeValue::Map(read_attributes(node)?),
    })
}
