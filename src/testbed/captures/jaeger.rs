//! Converts answers of Jaeger's `/api/traces`, and files saved from its UI, to OTLP.
//!
//! The mapping is that of the Collector's Jaeger receiver, as far as it matters to policies: tags are
//! attributes, except those that become fields of OTLP; logs are events; the process is the resource.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};
use prost::Message;
use serde_json::Value;

use crate::otlp::json;

/// The encoded `TracesData` of `traces`, the items of `data` in an answer.
pub(super) fn to_protobuf(traces: &[Value]) -> Result<Vec<u8>, String> {
    let mut resource_spans = Vec::new();
    for (index, trace) in traces.iter().enumerate() {
        let at = |what: String| format!("data[{index}].{what}");
        let spans = trace["spans"].as_array().ok_or_else(|| at("spans: expected a list".into()))?;
        for (number, span) in spans.iter().enumerate() {
            let read = read_span(span).map_err(|what| at(format!("spans[{number}].{what}")))?;
            let (span, scope) = read;
            let process = span_process(&spans[number], trace);
            let scope_spans = vec![ScopeSpans { scope, spans: vec![span], ..Default::default() }];
            let resource = Some(resource(process));
            resource_spans.push(ResourceSpans { resource, scope_spans, ..Default::default() });
        }
    }
    Ok(TracesData { resource_spans }.encode_to_vec())
}

/// The process of a span: inside the span, or by its name in the trace.
fn span_process<'v>(span: &'v Value, trace: &'v Value) -> &'v Value {
    match &span["process"] {
        Value::Null => &trace["processes"][span["processID"].as_str().unwrap_or_default()],
        process => process,
    }
}

fn resource(process: &Value) -> Resource {
    let mut attributes = tags(&process["tags"]);
    if let Some(name) = process["serviceName"].as_str() {
        attributes.push(attribute("service.name", Any::StringValue(name.to_owned())));
    }
    Resource { attributes, ..Resource::default() }
}

fn read_span(value: &Value) -> Result<(Span, Option<InstrumentationScope>), String> {
    let start = micros(value, "startTime")?;
    let mut span = Span {
        trace_id: id(value, "traceID", 16)?,
        span_id: id(value, "spanID", 8)?,
        name: value["operationName"].as_str().unwrap_or_default().to_owned(),
        flags: value["flags"].as_u64().unwrap_or_default() as u32 & 0xff,
        start_time_unix_nano: start,
        end_time_unix_nano: start.saturating_add(micros(value, "duration")?),
        attributes: tags(&value["tags"]),
        events: list(&value["logs"]).map(event).collect(),
        ..Span::default()
    };
    if value.get("parentSpanID").is_some_and(Value::is_string) {
        span.parent_span_id = id(value, "parentSpanID", 8)?;
    }
    for reference in list(&value["references"]) {
        let (trace_id, span_id) = (id(reference, "traceID", 16)?, id(reference, "spanID", 8)?);
        let is_child = reference["refType"] == "CHILD_OF" && trace_id == span.trace_id;
        if is_child && span.parent_span_id.is_empty() {
            span.parent_span_id = span_id;
        } else {
            span.links.push(Link { trace_id, span_id, ..Link::default() });
        }
    }
    let scope = fields_of_tags(&mut span);
    Ok((span, scope))
}

/// Removes the tags that become fields of OTLP.
fn fields_of_tags(span: &mut Span) -> Option<InstrumentationScope> {
    let mut take = |key: &str| {
        let place = span.attributes.iter().position(|attribute| attribute.key == key)?;
        match span.attributes.remove(place).value?.value? {
            Any::StringValue(text) => Some(text),
            Any::BoolValue(value) => Some(value.to_string()),
            _ => None,
        }
    };
    let kind = take("span.kind").map_or(SpanKind::Unspecified, |kind| match kind.as_str() {
        "client" => SpanKind::Client,
        "server" => SpanKind::Server,
        "producer" => SpanKind::Producer,
        "consumer" => SpanKind::Consumer,
        "internal" => SpanKind::Internal,
        _ => SpanKind::Unspecified,
    });
    let code = match (take("otel.status_code").as_deref(), take("error").as_deref()) {
        (Some("OK"), _) => StatusCode::Ok,
        (Some("ERROR"), _) | (None, Some("true")) => StatusCode::Error,
        _ => StatusCode::Unset,
    };
    let message = take("otel.status_description").unwrap_or_default();
    let trace_state = take("w3c.tracestate").unwrap_or_default();
    let name = take("otel.scope.name").or_else(|| take("otel.library.name"));
    let version = take("otel.scope.version").or_else(|| take("otel.library.version"));
    span.kind = kind.into();
    span.status = Some(Status { code: code.into(), message });
    span.trace_state = trace_state;
    let version = version.unwrap_or_default();
    name.map(|name| InstrumentationScope { name, version, ..InstrumentationScope::default() })
}

fn event(log: &Value) -> Event {
    let mut attributes = tags(&log["fields"]);
    let place = attributes.iter().position(|attribute| attribute.key == "event");
    let name = place.map(|place| attributes.remove(place)).and_then(|attribute| {
        match attribute.value?.value? {
            Any::StringValue(name) => Some(name),
            _ => None,
        }
    });
    Event {
        time_unix_nano: micros(log, "timestamp").unwrap_or_default(),
        name: name.unwrap_or_default(),
        attributes,
        ..Event::default()
    }
}

fn tags(tags: &Value) -> Vec<KeyValue> {
    let tag = |tag: &Value| {
        let key = tag["key"].as_str()?;
        let value = match &tag["value"] {
            Value::Bool(value) => Any::BoolValue(*value),
            Value::String(text) => match tag["type"].as_str() {
                Some("binary") => Any::BytesValue(json::from_base64(text.as_bytes())?),
                Some("int64") => Any::IntValue(text.parse().ok()?),
                Some("float64") => Any::DoubleValue(text.parse().ok()?),
                Some("bool") => Any::BoolValue(text == "true"),
                _ => Any::StringValue(text.clone()),
            },
            Value::Number(number) => match number.as_i64() {
                Some(whole) if tag["type"] != "float64" => Any::IntValue(whole),
                _ => Any::DoubleValue(number.as_f64()?),
            },
            _ => return None,
        };
        Some(attribute(key, value))
    };
    list(tags).filter_map(tag).collect()
}

fn attribute(key: &str, value: Any) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Microseconds, in nanoseconds.
fn micros(value: &Value, name: &str) -> Result<u64, String> {
    let micros = value[name].as_u64().ok_or_else(|| format!("{name}: expected microseconds"))?;
    Ok(micros.saturating_mul(1000))
}

/// An id, from which Jaeger leaves out leading zeros.
fn id(value: &Value, name: &str, length: usize) -> Result<Vec<u8>, String> {
    let expected = || format!("{name}: expected up to {} hexadecimal digits", 2 * length);
    let digits = value[name].as_str().ok_or_else(expected)?;
    let number = u128::from_str_radix(digits, 16).map_err(|_| expected())?;
    let bytes = number.to_be_bytes();
    let (zeros, id) = bytes.split_at(bytes.len() - length);
    if zeros.iter().any(|byte| *byte != 0) { Err(expected()) } else { Ok(id.to_vec()) }
}
