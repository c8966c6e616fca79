//! Telling encodings apart: by first bytes, by the fields of JSON, and, for protobuf that turned
//! out not to be OTLP traces, by what else it looks like.

use prost::encoding::{WireType, decode_key, decode_varint};
use serde_json::Value;

use super::{DecodeError, Encoding, is_plain};
use crate::otlp_json::{self, JsonError};

/// What an uncompressed value begins like. What begins like nothing known is taken for OTLP
/// protobuf, whose reader says what is wrong with it.
pub(super) fn by_first_bytes(value: &[u8]) -> Encoding {
    if is_jaeger(value) {
        return Encoding::JaegerProto;
    }
    // A line feed is also the first byte of nearly all OTLP protobuf: no blank line comes first.
    if is_plain(value) {
        return Encoding::OtlpProto;
    }
    match value {
        // Numbers of schemas begin with 1; zeros are just zeros.
        [0, schema @ ..] if schema.len() > 4 && schema[..4] != [0; 4] => Encoding::SchemaRegistry,
        [b'O', b'b', b'j', 1, ..] => Encoding::Avro,
        _ => match value.iter().find(|byte| !is_blank(**byte)) {
            Some(b'{') => Encoding::OtlpJson,
            // As a tag it would be a field 11 that begins a group.
            Some(b'[') => Encoding::ZipkinJson,
            _ => Encoding::OtlpProto,
        },
    }
}

/// What JSON takes for blank.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// The protobuf of a JSON object.
pub(super) fn from_json(value: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let json: Value = serde_json::from_slice(value).map_err(JsonError::from)?;
    if let Some(other) = json.as_object().and_then(other_kind) {
        return Err(DecodeError::Unsupported(other));
    }
    let protobuf = otlp_json::value_to_protobuf(&json).map_err(JsonError::from)?;
    if protobuf.len() > super::MAX_UNPACKED_BYTES {
        return Err(DecodeError::TooLarge);
    }
    Ok(protobuf)
}

/// What an object is that does not hold OTLP traces. An empty one does: none.
fn other_kind(object: &serde_json::Map<String, Value>) -> Option<Encoding> {
    let has = |names: &[&str]| names.iter().any(|name| object.contains_key(*name));
    if object.is_empty() || has(&["resourceSpans", "resource_spans"]) {
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

/// A span of Jaeger's `model.proto`: `trace_id` (16 bytes), then `span_id` (8 bytes).
pub(super) fn is_jaeger(value: &[u8]) -> bool {
    value.len() > 28 && value[..2] == [0x0a, 16] && value[18..20] == [0x12, 8]
}

/// What `protobuf`, which is not a `TracesData` message, or one without a single valid span, is
/// instead, if that can be told. For the rare record: it reads the beginning anew.
pub fn recognise(protobuf: &[u8]) -> Option<Encoding> {
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

/// The contents of the first length-delimited field with this number.
fn first_field(mut message: &[u8], wanted: u32) -> Option<&[u8]> {
    while !message.is_empty() {
        let field = next_field(&mut message)?;
        if field.number == wanted && field.wire_type == WireType::LengthDelimited {
            return Some(field.contents);
        }
    }
    None
}

struct Field<'a> {
    number: u32,
    wire_type: WireType,
    /// Of a length-delimited field.
    contents: &'a [u8],
}

fn fields(mut message: &[u8]) -> Option<Vec<Field<'_>>> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        fields.push(next_field(&mut message)?);
    }
    Some(fields)
}

fn next_field<'a>(message: &mut &'a [u8]) -> Option<Field<'a>> {
    let (number, wire_type) = decode_key(message).ok()?;
    let contents = pass(message, wire_type)?;
    Some(Field { number, wire_type, contents })
}

/// Passes the value of a field, and returns it if it is length-delimited.
fn pass<'a>(message: &mut &'a [u8], wire_type: WireType) -> Option<&'a [u8]> {
    let length = match wire_type {
        WireType::Varint => {
            decode_varint(message).ok()?;
            return Some(&[]);
        }
        WireType::SixtyFourBit => 8,
        WireType::ThirtyTwoBit => 4,
        WireType::LengthDelimited => usize::try_from(decode_varint(message).ok()?).ok()?,
        WireType::StartGroup | WireType::EndGroup => return None,
    };
    let (contents, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some(contents)
}
