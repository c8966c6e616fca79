//! The paths into what a condition can see, and their values
//! (`pkg/ottl/contexts/internal/ctx*`).

use std::borrow::Cow;

use super::error::EvalError;
use super::fields::{Fields, TraceFields};
use super::time::Time;
use super::value::Value;
use super::wire;
use crate::otlp::span::{AttributeRef, EventView, KeyIndex, Slice, SpanRef, SpanView, ValueRef};
use crate::otlp::tracestate;

/// A path that was resolved.
#[derive(Clone, Debug)]
pub(super) enum Path {
    Span(SpanField),
    Resource(Attribute),
    Scope(ScopeField),
    Event(EventField),
    Root(SpanField),
    Trace(TraceField),
}

/// A field of a span.
#[derive(Clone, Debug)]
pub(super) enum SpanField {
    Attribute(Attribute),
    Name,
    Kind,
    KindString,
    KindDeprecatedString,
    StatusCode,
    StatusMessage,
    TraceId,
    TraceIdString,
    SpanId,
    SpanIdString,
    ParentSpanId,
    ParentSpanIdString,
    /// In nanoseconds since 1970.
    StartTime,
    EndTime,
    /// As points in time.
    StartPoint,
    EndPoint,
    /// tailsieve's own: whole milliseconds, none if it ends before it starts.
    DurationMs,
    /// All attributes.
    Attributes,
    Events,
    Links,
    TraceState,
    TraceStateMember(String),
    Flags,
    DroppedAttributes,
    DroppedEvents,
    DroppedLinks,
}

/// A field of an instrumentation scope.
#[derive(Clone, Debug)]
pub(super) enum ScopeField {
    Attribute(Attribute),
    Name,
    Version,
}

/// A field of an event.
#[derive(Clone, Debug)]
pub(super) enum EventField {
    Attribute(Attribute),
    Name,
    Time,
    Point,
    DroppedAttributes,
}

/// A field of a trace.
#[derive(Clone, Copy, Debug)]
pub(super) enum TraceField {
    Duration,
    Spans,
    Errors,
    Services,
    Bytes,
}

/// An attribute, or something inside of it.
#[derive(Clone, Debug)]
pub(super) struct Attribute {
    pub(super) key: String,
    /// The key among those that the scan looks for, once that is known.
    pub(super) index: Option<KeyIndex>,
    /// What its value is indexed with, from the outside in.
    pub(super) inner: Vec<Inner>,
}

/// What a map or a list in an attribute is indexed with.
#[derive(Clone, Debug)]
pub(super) enum Inner {
    Key(String),
    Place(i64),
}

impl Path {
    /// The value of the path.
    pub(super) fn get<'v>(&self, fields: &Fields<'v>) -> Result<Value<'v>, EvalError> {
        match self {
            Path::Span(field) => fields.span().map_or(Ok(Value::Nil), |span| field.get(span)),
            Path::Root(field) => fields.root.map_or(Ok(Value::Nil), |span| field.get(span)),
            Path::Resource(attribute) => fields
                .span()
                .map_or(Ok(Value::Nil), |span| attribute.get(span.resource, span.record)),
            Path::Scope(field) => fields.span().map_or(Ok(Value::Nil), |span| field.get(span)),
            Path::Event(field) => fields.event.map_or(Ok(Value::Nil), |event| field.get(event)),
            Path::Trace(field) => Ok(fields.trace.map_or(Value::Nil, |trace| field.get(trace))),
        }
    }

    /// The attribute that the path leads to or through.
    pub(super) fn attribute(&mut self) -> Option<&mut Attribute> {
        match self {
            Path::Span(SpanField::Attribute(attribute))
            | Path::Root(SpanField::Attribute(attribute))
            | Path::Resource(attribute)
            | Path::Scope(ScopeField::Attribute(attribute))
            | Path::Event(EventField::Attribute(attribute)) => Some(attribute),
            _ => None,
        }
    }
}

impl Attribute {
    /// The first attribute with the key counts, as in the Collector's maps.
    fn get<'v>(
        &self,
        attributes: &[AttributeRef],
        record: &'v [u8],
    ) -> Result<Value<'v>, EvalError> {
        let is_it = |attribute: &&AttributeRef| Some(attribute.key) == self.index;
        let Some(found) = attributes.iter().find(is_it) else { return Ok(Value::Nil) };
        if self.inner.is_empty() {
            return Value::read(found.value, record);
        }
        // What a map does not have is nil, however much further the path goes.
        match found.value {
            ValueRef::Other(slice) => {
                wire::inner(slice.of(record), &self.inner)?.map_or(Ok(Value::Nil), wire::any_value)
            }
            plain => Err(EvalError::Index { found: Value::read(plain, record)?.type_name() }),
        }
    }
}

impl SpanField {
    fn get<'v>(&self, view: &SpanView<'v>) -> Result<Value<'v>, EvalError> {
        let (record, span, details) = (view.record, view.span, view.details);
        let string = |slice: Slice| Value::String(Cow::Borrowed(slice.of(record)));
        let name = |name: &'static str| Value::String(Cow::Borrowed(name.as_bytes()));
        Ok(match self {
            SpanField::Attribute(attribute) => return attribute.get(view.attributes, record),
            SpanField::Name => string(span.name),
            SpanField::Kind => Value::Int(span.kind.into()),
            SpanField::KindString => name(kind_names(span.kind).0),
            SpanField::KindDeprecatedString => name(kind_names(span.kind).1),
            SpanField::StatusCode => Value::Int(span.status.into()),
            SpanField::StatusMessage => string(details.status_message),
            SpanField::TraceId => Value::TraceId(*span.trace_id.as_bytes()),
            SpanField::TraceIdString => Value::string(span.trace_id.to_string()),
            SpanField::SpanId => Value::SpanId(*span.span_id.as_bytes()),
            SpanField::SpanIdString => Value::string(span.span_id.to_string()),
            SpanField::ParentSpanId => Value::SpanId(parent(details.parent_span_id.of(record))),
            SpanField::ParentSpanIdString => {
                let id = u64::from_be_bytes(parent(details.parent_span_id.of(record)));
                Value::string(format!("{id:016x}"))
            }
            SpanField::StartTime => Value::Int(span.start_unix_nano.cast_signed()),
            SpanField::EndTime => Value::Int(span.end_unix_nano.cast_signed()),
            SpanField::StartPoint => Value::Time(Time::of_span(span.start_unix_nano)),
            SpanField::EndPoint => Value::Time(Time::of_span(span.end_unix_nano)),
            SpanField::DurationMs => Value::Int(duration_ms(span)),
            SpanField::Attributes => return wire::span_attributes(span.framed.of(record)),
            SpanField::Events => Value::Count(view.events.len()),
            SpanField::Links => Value::Count(wire::span_links(span.framed.of(record))),
            SpanField::TraceState => string(span.trace_state),
            SpanField::TraceStateMember(key) => {
                tracestate::member(span.trace_state.of(record), key)
                    .map_or(Value::Nil, |value| Value::String(Cow::Borrowed(value.as_bytes())))
            }
            SpanField::Flags => Value::Int(span.flags.into()),
            SpanField::DroppedAttributes => Value::Int(details.dropped_attributes.into()),
            SpanField::DroppedEvents => Value::Int(details.dropped_events.into()),
            SpanField::DroppedLinks => Value::Int(details.dropped_links.into()),
        })
    }
}

/// How long a span took.
pub(super) fn duration_ms(span: &SpanRef) -> i64 {
    let nanos = span.end_unix_nano.saturating_sub(span.start_unix_nano);
    (nanos / 1_000_000).cast_signed()
}

/// A parent id; zeros where there is none.
fn parent(bytes: &[u8]) -> [u8; 8] {
    bytes.try_into().unwrap_or_default()
}

/// The names of a span kind; empty for one that came later.
fn kind_names(kind: i32) -> (&'static str, &'static str) {
    match kind {
        0 => ("Unspecified", "SPAN_KIND_UNSPECIFIED"),
        1 => ("Internal", "SPAN_KIND_INTERNAL"),
        2 => ("Server", "SPAN_KIND_SERVER"),
        3 => ("Client", "SPAN_KIND_CLIENT"),
        4 => ("Producer", "SPAN_KIND_PRODUCER"),
        5 => ("Consumer", "SPAN_KIND_CONSUMER"),
        _ => ("", ""),
    }
}

impl ScopeField {
    fn get<'v>(&self, view: &SpanView<'v>) -> Result<Value<'v>, EvalError> {
        let string = |slice: Slice| Ok(Value::String(Cow::Borrowed(slice.of(view.record))));
        match self {
            ScopeField::Attribute(attribute) => attribute.get(view.scope_attributes, view.record),
            ScopeField::Name => string(view.scope.name),
            ScopeField::Version => string(view.scope.version),
        }
    }
}

impl EventField {
    fn get<'v>(&self, view: &EventView<'v>) -> Result<Value<'v>, EvalError> {
        let (record, event) = (view.span.record, view.event);
        Ok(match self {
            EventField::Attribute(attribute) => return attribute.get(view.attributes, record),
            EventField::Name => Value::String(Cow::Borrowed(event.name.of(record))),
            EventField::Time => Value::Int(event.time_unix_nano.cast_signed()),
            EventField::Point => Value::Time(Time::of_span(event.time_unix_nano)),
            EventField::DroppedAttributes => Value::Int(event.dropped_attributes.into()),
        })
    }
}

impl TraceField {
    fn get(self, trace: TraceFields) -> Value<'static> {
        Value::Int(match self {
            TraceField::Duration => trace.duration_ms,
            TraceField::Spans => trace.span_count,
            TraceField::Errors => trace.error_count,
            TraceField::Services => trace.service_count,
            TraceField::Bytes => trace.bytes,
        })
    }
}
