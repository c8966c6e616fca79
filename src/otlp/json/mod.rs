//! OTLP JSON to OTLP protobuf, for traces.
//!
//! Owns the JSON encoding of the OTLP specification ("JSON Protobuf Encoding"): the mapping of
//! protobuf to JSON, but ids in hexadecimal. Promises to take what that mapping lets senders
//! write - names in lowerCamelCase or as in the proto file, 64-bit integers as text or numbers,
//! enums by number or by name, `null` for what is not there - and what they write besides: several
//! documents in one text, a list of `ResourceSpans` or one by itself, ids in base64, numbers out of
//! range. The value of an attribute costs at most itself. Fields it does not know are passed over,
//! and nothing makes it panic. Leaves to others whether the ids are those of a valid span.

mod passed_over;
mod scalar;
mod syntax;
mod value;

use std::fmt;

use opentelemetry_proto::tonic::common::v1::{EntityRef, InstrumentationScope};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};
use prost::Message;
use serde_json::{Map, Value};
use thiserror::Error;

use scalar::{bits, enumeration, id, text, uint32, uint64};
use value::attributes;

pub use scalar::from_base64;
pub use syntax::parse;

/// Why a JSON text is no `TracesData`.
#[derive(Debug, Error)]
pub enum JsonError {
    /// It is not even JSON.
    #[error("not valid JSON: {0}")]
    Syntax(#[from] serde_json::Error),
    /// Something in it is not what OTLP has there.
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// What is wrong with a field, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The steps that lead there, the last one first: `.name` or `[index]`.
    steps: Vec<String>,
    message: String,
}

impl FieldError {
    fn new(message: impl Into<String>) -> Self {
        Self { steps: Vec::new(), message: message.into() }
    }

    fn expected(what: &str, found: &Value) -> Self {
        Self::new(format!("expected {what}, found {}", scalar::shown(found)))
    }

    fn within(mut self, step: String) -> Self {
        self.steps.push(step);
        self
    }
}

impl std::error::Error for FieldError {}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path: String = self.steps.iter().rev().map(String::as_str).collect();
        match path.trim_start_matches('.') {
            "" => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

/// OTLP traces that were read from JSON.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Traces {
    /// An encoded `TracesData`.
    pub protobuf: Vec<u8>,
    /// How many spans are in it.
    pub spans: usize,
    /// A field that is not known and has something in it, if there is one where spans might be.
    pub passed_over: Option<String>,
}

/// The protobuf encoding of `json`, the JSON encoding of a `TracesData` (or, which is the same, of
/// an `ExportTraceServiceRequest`), or of several.
///
/// # Errors
/// If it is not JSON, or not that of a `TracesData`.
pub fn to_protobuf(json: &[u8]) -> Result<Vec<u8>, JsonError> {
    let mut protobuf = Vec::new();
    for document in parse(json)? {
        protobuf.extend(read(&document)?.protobuf);
    }
    Ok(protobuf)
}

/// The traces of JSON that is parsed already: a `TracesData`, a `ResourceSpans`, or a list of them.
///
/// # Errors
/// When the value is none of these.
pub fn read(value: &Value) -> Result<Traces, FieldError> {
    let data = match value {
        Value::Array(items) => {
            let parts = items.iter().enumerate().map(|(index, item)| {
                traces_data(item).map_err(|error| error.within(format!("[{index}]")))
            });
            let parts: Vec<TracesData> = parts.collect::<Result<_, _>>()?;
            let resource_spans = parts.into_iter().flat_map(|part| part.resource_spans);
            TracesData { resource_spans: resource_spans.collect() }
        }
        _ => traces_data(value)?,
    };
    let scopes = data.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    Ok(Traces {
        protobuf: data.encode_to_vec(),
        spans: scopes.map(|scope| scope.spans.len()).sum(),
        passed_over: passed_over::find(value),
    })
}

/// True if `value` is an object that holds spans, or may: a `TracesData` or a `ResourceSpans`.
pub fn is_traces(value: &Value) -> bool {
    let Value::Object(fields) = value else { return false };
    fields.contains_key("resourceSpans")
        || fields.contains_key("resource_spans")
        || is_resource_spans(fields)
}

/// True for a `ResourceSpans` by itself, also one with the names that OTLP had until 2022.
pub fn is_resource_spans(fields: &Map<String, Value>) -> bool {
    let has = |names: &[&str]| names.iter().any(|name| fields.contains_key(*name));
    let is_outer = has(&["resourceSpans", "resource_spans"]);
    !is_outer && (has(&["scopeSpans", "scope_spans"]) || has(&passed_over::OLD_NAMES))
}

fn traces_data(value: &Value) -> Result<TracesData, FieldError> {
    if value.as_object().is_some_and(is_resource_spans) {
        return Ok(TracesData { resource_spans: vec![resource_spans(value)?] });
    }
    let mut data = TracesData::default();
    fields(value, |key, value| {
        match key {
            "resourceSpans" | "resource_spans" => {
                data.resource_spans = list(value, resource_spans)?;
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(data)
}

fn resource_spans(value: &Value) -> Result<ResourceSpans, FieldError> {
    let mut spans = ResourceSpans::default();
    fields(value, |key, value| {
        match key {
            "resource" => spans.resource = Some(resource(value)?),
            "scopeSpans" | "scope_spans" => spans.scope_spans = list(value, scope_spans)?,
            "schemaUrl" | "schema_url" => spans.schema_url = text(value),
            _ => {}
        }
        Ok(())
    })?;
    Ok(spans)
}

fn resource(value: &Value) -> Result<Resource, FieldError> {
    let mut resource = Resource::default();
    fields(value, |key, value| {
        match key {
            "attributes" => resource.attributes = attributes(value)?,
            "droppedAttributesCount" | "dropped_attributes_count" => {
                resource.dropped_attributes_count = uint32(value)?;
            }
            "entityRefs" | "entity_refs" => resource.entity_refs = list(value, entity_ref)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(resource)
}

fn entity_ref(value: &Value) -> Result<EntityRef, FieldError> {
    let mut entity = EntityRef::default();
    fields(value, |key, value| {
        match key {
            "schemaUrl" | "schema_url" => entity.schema_url = text(value),
            "type" => entity.r#type = text(value),
            "idKeys" | "id_keys" => entity.id_keys = list(value, |item| Ok(text(item)))?,
            "descriptionKeys" | "description_keys" => {
                entity.description_keys = list(value, |item| Ok(text(item)))?
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(entity)
}

fn scope_spans(value: &Value) -> Result<ScopeSpans, FieldError> {
    let mut spans = ScopeSpans::default();
    fields(value, |key, value| {
        match key {
            "scope" => spans.scope = Some(scope(value)?),
            "spans" => spans.spans = list(value, span)?,
            "schemaUrl" | "schema_url" => spans.schema_url = text(value),
            _ => {}
        }
        Ok(())
    })?;
    Ok(spans)
}

fn scope(value: &Value) -> Result<InstrumentationScope, FieldError> {
    let mut scope = InstrumentationScope::default();
    fields(value, |key, value| {
        match key {
            "name" => scope.name = text(value),
            "version" => scope.version = text(value),
            "attributes" => scope.attributes = attributes(value)?,
            "droppedAttributesCount" | "dropped_attributes_count" => {
                scope.dropped_attributes_count = uint32(value)?;
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(scope)
}

fn span(value: &Value) -> Result<Span, FieldError> {
    let mut span = Span::default();
    fields(value, |key, value| {
        match key {
            "traceId" | "trace_id" => span.trace_id = id(value, 16)?,
            "spanId" | "span_id" => span.span_id = id(value, 8)?,
            "traceState" | "trace_state" => span.trace_state = text(value),
            "parentSpanId" | "parent_span_id" => span.parent_span_id = id(value, 8)?,
            "flags" => span.flags = bits(value)?,
            "name" => span.name = text(value),
            "kind" => span.kind = enumeration(value, SpanKind::from_str_name)?,
            "startTimeUnixNano" | "start_time_unix_nano" => {
                span.start_time_unix_nano = uint64(value)?;
            }
            "endTimeUnixNano" | "end_time_unix_nano" => span.end_time_unix_nano = uint64(value)?,
            "attributes" => span.attributes = attributes(value)?,
            "droppedAttributesCount" | "dropped_attributes_count" => {
                span.dropped_attributes_count = uint32(value)?;
            }
            "events" => span.events = list(value, event)?,
            "droppedEventsCount" | "dropped_events_count" => {
                span.dropped_events_count = uint32(value)?;
            }
            "links" => span.links = list(value, link)?,
            "droppedLinksCount" | "dropped_links_count" => {
                span.dropped_links_count = uint32(value)?;
            }
            "status" => span.status = Some(status(value)?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(span)
}

fn event(value: &Value) -> Result<Event, FieldError> {
    let mut event = Event::default();
    fields(value, |key, value| {
        match key {
            "timeUnixNano" | "time_unix_nano" => event.time_unix_nano = uint64(value)?,
            "name" => event.name = text(value),
            "attributes" => event.attributes = attributes(value)?,
            "droppedAttributesCount" | "dropped_attributes_count" => {
                event.dropped_attributes_count = uint32(value)?;
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(event)
}

fn link(value: &Value) -> Result<Link, FieldError> {
    let mut link = Link::default();
    fields(value, |key, value| {
        match key {
            "traceId" | "trace_id" => link.trace_id = id(value, 16)?,
            "spanId" | "span_id" => link.span_id = id(value, 8)?,
            "traceState" | "trace_state" => link.trace_state = text(value),
            "attributes" => link.attributes = attributes(value)?,
            "droppedAttributesCount" | "dropped_attributes_count" => {
                link.dropped_attributes_count = uint32(value)?;
            }
            "flags" => link.flags = bits(value)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(link)
}

fn status(value: &Value) -> Result<Status, FieldError> {
    let mut status = Status::default();
    fields(value, |key, value| {
        match key {
            "message" => status.message = text(value),
            "code" => status.code = enumeration(value, StatusCode::from_str_name)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(status)
}

/// Hands each field of an object that is there to `read`.
fn fields(
    object: &Value,
    mut read: impl FnMut(&str, &Value) -> Result<(), FieldError>,
) -> Result<(), FieldError> {
    let fields = match object {
        Value::Object(fields) => fields,
        Value::Null => return Ok(()),
        _ => return Err(FieldError::expected("an object", object)),
    };
    for (key, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        read(key, value).map_err(|error| error.within(format!(".{key}")))?;
    }
    Ok(())
}

/// Each item of a list, read by `read`.
fn list<T>(
    value: &Value,
    read: impl Fn(&Value) -> Result<T, FieldError>,
) -> Result<Vec<T>, FieldError> {
    let Value::Array(items) = value else { return Err(FieldError::expected("a list", value)) };
    let item =
        |(index, item)| read(item).map_err(|error: FieldError| error.within(format!("[{index}]")));
    items.iter().enumerate().map(item).collect()
}

#[cfg(test)]
mod tests;
