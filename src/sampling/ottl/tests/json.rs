//! OTLP JSON to OTLP messages, as far as the traces of the tests go.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};
use serde_json::Value;

/// The messages of a JSON `TracesData`. Panics where it is not as expected.
pub fn traces(json: &str) -> TracesData {
    let json: Value = serde_json::from_str(json).unwrap();
    TracesData { resource_spans: list(&json["resourceSpans"], resource_spans) }
}

fn list<T>(json: &Value, item: impl Fn(&Value) -> T) -> Vec<T> {
    json.as_array().map(|items| items.iter().map(item).collect()).unwrap_or_default()
}

fn text(json: &Value) -> String {
    json.as_str().unwrap_or_default().to_owned()
}

/// 64-bit numbers are strings in OTLP JSON.
fn number<T: std::str::FromStr + Default>(json: &Value) -> T {
    let text = json.as_str().map_or_else(|| json.to_string(), str::to_owned);
    text.parse().unwrap_or_default()
}

fn hex(json: &Value) -> Vec<u8> {
    let digits = text(json);
    let digits = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn double(json: &Value) -> f64 {
    match json.as_str() {
        Some("NaN") => f64::NAN,
        Some("Infinity") => f64::INFINITY,
        Some("-Infinity") => f64::NEG_INFINITY,
        _ => number(json),
    }
}

fn any_value(json: &Value) -> AnyValue {
    let Some((kind, value)) = json.as_object().and_then(|object| object.iter().next()) else {
        return AnyValue::default();
    };
    let value = match kind.as_str() {
        "stringValue" => Any::StringValue(text(value)),
        "boolValue" => Any::BoolValue(value.as_bool().unwrap()),
        "intValue" => Any::IntValue(number(value)),
        "doubleValue" => Any::DoubleValue(double(value)),
        "bytesValue" => Any::BytesValue(STANDARD.decode(text(value)).unwrap()),
        "arrayValue" => Any::ArrayValue(ArrayValue { values: list(&value["values"], any_value) }),
        "kvlistValue" => Any::KvlistValue(KeyValueList { values: attributes(&value["values"]) }),
        other => panic!("{other} is no kind of value"),
    };
    AnyValue { value: Some(value) }
}

fn attributes(json: &Value) -> Vec<KeyValue> {
    list(json, |json| KeyValue {
        key: text(&json["key"]),
        value: Some(any_value(&json["value"])),
        ..KeyValue::default()
    })
}

fn resource_spans(json: &Value) -> ResourceSpans {
    let resource =
        Resource { attributes: attributes(&json["resource"]["attributes"]), ..Resource::default() };
    ResourceSpans {
        resource: Some(resource),
        scope_spans: list(&json["scopeSpans"], scope_spans),
        ..ResourceSpans::default()
    }
}

fn scope_spans(json: &Value) -> ScopeSpans {
    let scope = InstrumentationScope {
        name: text(&json["scope"]["name"]),
        version: text(&json["scope"]["version"]),
        attributes: attributes(&json["scope"]["attributes"]),
        ..InstrumentationScope::default()
    };
    ScopeSpans { scope: Some(scope), spans: list(&json["spans"], span), ..ScopeSpans::default() }
}

fn span(json: &Value) -> Span {
    Span {
        trace_id: hex(&json["traceId"]),
        span_id: hex(&json["spanId"]),
        parent_span_id: hex(&json["parentSpanId"]),
        trace_state: text(&json["traceState"]),
        flags: number(&json["flags"]),
        name: text(&json["name"]),
        kind: number(&json["kind"]),
        start_time_unix_nano: number(&json["startTimeUnixNano"]),
        end_time_unix_nano: number(&json["endTimeUnixNano"]),
        attributes: attributes(&json["attributes"]),
        dropped_attributes_count: number(&json["droppedAttributesCount"]),
        events: list(&json["events"], event),
        dropped_events_count: number(&json["droppedEventsCount"]),
        dropped_links_count: number(&json["droppedLinksCount"]),
        status: Some(Status {
            code: number(&json["status"]["code"]),
            message: text(&json["status"]["message"]),
        }),
        ..Span::default()
    }
}

fn event(json: &Value) -> Event {
    Event {
        time_unix_nano: number(&json["timeUnixNano"]),
        name: text(&json["name"]),
        attributes: attributes(&json["attributes"]),
        dropped_attributes_count: number(&json["droppedAttributesCount"]),
    }
}
