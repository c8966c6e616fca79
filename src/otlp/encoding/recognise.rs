//! Telling encodings apart: by first bytes, by the fields of JSON, and, for protobuf that turned
//! out not to be OTLP traces, by what else it looks like.

use prost::encoding::WireType;
use serde_json::Value;

use super::fields::{Field, fields, first_field};
use super::{DecodeError, Encoding, foreign, is_plain};
use crate::otlp::json::{self, JsonError};

/// What an uncompressed value begins like. What begins like nothing known is taken for OTLP
/// protobuf, whose reader says what is wrong with it.
pub(super) fn by_first_bytes(value: &[u8]) -> Encoding {
    if is_jaeger(value) {
        let is_otlp = foreign::is_span(value);
        return if is_otlp { Encoding::OtlpSpan } else { Encoding::JaegerProto };
    }
    // A line feed is also the first byte of nearly all OTLP protobuf: what begins so is looked at
    // again if it turns out to be none.
    if is_plain(value) {
        return Encoding::OtlpProto;
    }
    // No field has the number 0.
    if matches!(value, [0x00..=0x07, ..])
        && let Some(framed) = foreign::framed(value)
    {
        return framed;
    }
    match value {
        [b'O', b'b', b'j', 1, ..] => Encoding::Avro,
        _ => match text_of(value).first() {
            // As a tag a bracket would be a field 11 that begins a group.
            Some(b'{' | b'[') => Encoding::OtlpJson,
            _ => Encoding::OtlpProto,
        },
    }
}

/// Without a byte order mark and what JSON takes for blank.
fn text_of(value: &[u8]) -> &[u8] {
    let text = value.strip_prefix(b"\xef\xbb\xbf").unwrap_or(value);
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let blank = text.iter().take_while(|byte| is_blank(byte)).count();
    &text[blank..]
}

/// The protobuf of JSON documents.
pub(super) fn from_json(value: &[u8]) -> Result<Vec<u8>, DecodeError> {
    if value.len() > super::MAX_JSON_BYTES {
        return Err(DecodeError::TooLarge);
    }
    let mut protobuf = Vec::new();
    let (mut spans, mut passed_over) = (0, None);
    for document in json::parse(value).map_err(JsonError::from)? {
        if let Some(other) = other_kind(&document) {
            return Err(DecodeError::Unsupported(other));
        }
        let traces = json::read(&document).map_err(JsonError::from)?;
        protobuf.extend(traces.protobuf);
        spans += traces.spans;
        passed_over = passed_over.or(traces.passed_over);
        if protobuf.len() > super::MAX_UNPACKED_BYTES {
            return Err(DecodeError::TooLarge);
        }
    }
    match passed_over {
        Some(field) if spans == 0 => Err(DecodeError::NotUnderstood(field)),
        _ => Ok(protobuf),
    }
}

/// What a document is that does not hold OTLP traces. An empty one does: none.
fn other_kind(document: &Value) -> Option<Encoding> {
    match document {
        Value::Array(items) => {
            let other = items.iter().find(|item| !json::is_traces(item))?;
            Some(match other.get("traceId") {
                Some(_) => Encoding::ZipkinJson,
                None => Encoding::OtherJson,
            })
        }
        Value::Object(object) => other_object(object),
        _ => Some(Encoding::OtherJson),
    }
}

fn other_object(object: &serde_json::Map<String, Value>) -> Option<Encoding> {
    let has = |names: &[&str]| names.iter().any(|name| object.contains_key(*name));
    if object.is_empty()
        || has(&["resourceSpans", "resource_spans"])
        || json::is_resource_spans(object)
    {
        None
    } else if has(&["resourceLogs", "resource_logs"]) {
        Some(Encoding::OtlpLogs)
    } else if has(&["resourceMetrics", "resource_metrics"]) {
        Some(Encoding::OtlpMetrics)
    } else if has(&["operationName", "operation_name"]) {
        Some(Encoding::JaegerJson)
    } else {
        Some(Encoding::OtherJson)
    }
}

/// JSON behind a line feed, which begins as OTLP protobuf does: a brace or a bracket, and then what
/// may follow it.
pub(super) fn is_json_behind_blanks(value: &[u8]) -> bool {
    let (first, rest) = match text_of(value).split_first() {
        Some((first @ (b'{' | b'['), rest)) => (*first, text_of(rest)),
        _ => return false,
    };
    match rest.first() {
        Some(b'"') if first == b'{' => rest.get(1).is_some_and(u8::is_ascii_graphic),
        Some(b'}') => first == b'{',
        Some(b'{' | b']') => first == b'[',
        _ => false,
    }
}

/// A span of Jaeger's `model.proto`: `trace_id` (16 bytes), then `span_id` (8 bytes).
pub(super) fn is_jaeger(value: &[u8]) -> bool {
    value.len() > 28 && value[..2] == [0x0a, 16] && value[18..20] == [0x12, 8]
}

/// What `protobuf`, which is not a `TracesData` message, or one without a single valid span, is
/// instead, if that can be told. It reads the beginning a second time, which only rare records need.
pub(super) fn recognise(protobuf: &[u8]) -> Option<Encoding> {
    other_signal(protobuf).or_else(|| foreign::recognise(protobuf))
}

fn other_signal(protobuf: &[u8]) -> Option<Encoding> {
    let outer = first_field(protobuf, 1)?;
    if is_zipkin(outer) {
        return Some(Encoding::ZipkinProto);
    }
    let fields = fields(first_field(first_field(outer, 2)?, 2)?)?;
    if fields.iter().any(is_of_log) {
        Some(Encoding::OtlpLogs)
    } else if fields.iter().any(is_of_metric) {
        Some(Encoding::OtlpMetrics)
    } else {
        None
    }
}

/// A field that a `LogRecord` has and a span has not: `time_unix_nano`, `severity_number`,
/// `observed_time_unix_nano`.
fn is_of_log(field: &Field<'_>) -> bool {
    let kind = (field.number, field.wire_type);
    let (fixed, varint) = (WireType::SixtyFourBit, WireType::Varint);
    [(1, fixed), (2, varint), (11, fixed)].contains(&kind)
}

/// The data of a `Metric`: in its list of points, the first of which has a `time_unix_nano`.
fn is_of_metric(field: &Field<'_>) -> bool {
    let is_data = matches!(field.number, 5 | 7 | 9..=11);
    let point = || fields(first_field(field.contents, 1)?);
    let has_time = |point: Vec<Field<'_>>| {
        point.iter().any(|field| field.number == 3 && field.wire_type == WireType::SixtyFourBit)
    };
    is_data && point().is_some_and(has_time)
}

/// A span of Zipkin's `zipkin.proto`: `trace_id` (8 or 16 bytes), then `parent_id` (field 2) or
/// `id` (field 3), of 8 bytes.
fn is_zipkin(span: &[u8]) -> bool {
    let [0x0a, length @ (8 | 16), ..] = span else { return false };
    matches!(span.get(2 + usize::from(*length)..), Some([0x12 | 0x1a, 8, ..]))
}
