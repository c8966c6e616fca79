//! Values that hold OTLP, but not as members read it: behind a frame, in text, in part.
//!
//! Asked only after reading came to nothing. A name is given where what is inside was recognised,
//! too, or where a length fits exactly: random bytes have none.

use prost::encoding::{WireType, decode_varint};

use super::Encoding;
use super::fields::{fields, first_field};
use crate::otlp::json;

/// What a value is whose first byte no protobuf message has: a frame of some kind.
pub(super) fn framed(value: &[u8]) -> Option<Encoding> {
    let (head, message) = value.split_first_chunk::<5>()?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    // A byte that says whether it is compressed, and the length of what follows.
    if head[0] <= 1 && length > 0 && length == message.len() {
        return Some(Encoding::GrpcFramed);
    }
    if is_behind_length(value) {
        return Some(Encoding::LengthDelimited);
    }
    // Numbers of schemas begin with 1, and are small; zeros are just zeros.
    let is_number = (1..1 << 24).contains(&length) && !message.is_empty();
    (head[0] == 0 && is_number).then_some(Encoding::SchemaRegistry)
}

/// True if a message stands behind its length: four bytes, as the Collector's file exporter has
/// it, or a varint, as protobuf's libraries write delimited messages.
fn is_behind_length(value: &[u8]) -> bool {
    if let Some((length, rest)) = value.split_first_chunk::<4>()
        && rest.get(..u32::from_be_bytes(*length) as usize).is_some_and(has_span)
    {
        return true;
    }
    let mut rest = value;
    let length = decode_varint(&mut rest).ok().and_then(|length| usize::try_from(length).ok());
    length.and_then(|length| rest.get(..length)).is_some_and(has_span)
}

/// What else a value is that holds OTLP traces.
pub(super) fn recognise(value: &[u8]) -> Option<Encoding> {
    if is_otap(value) {
        Some(Encoding::Otap)
    } else if is_span(value) {
        Some(Encoding::OtlpSpan)
    } else if first_field(value, 2).and_then(|scope| first_field(scope, 2)).is_some_and(is_span) {
        Some(Encoding::OtlpResourceSpans)
    } else if is_behind_length(value) {
        Some(Encoding::LengthDelimited)
    } else {
        in_text(value)
    }
}

/// A `BatchArrowRecords`: its first payload (field 2) holds a stream of Arrow IPC (field 3), which
/// begins with four bytes of ones.
fn is_otap(value: &[u8]) -> bool {
    let record = first_field(value, 2).and_then(|payload| first_field(payload, 3));
    record.is_some_and(|record| record.starts_with(&[0xff; 4]))
}

/// True for a `TracesData` whose first span is one.
fn has_span(value: &[u8]) -> bool {
    let scope = first_field(value, 1).and_then(|resource| first_field(resource, 2));
    scope.and_then(|scope| first_field(scope, 2)).is_some_and(is_span)
}

/// An OTLP span: both ids are there, and a name or a time where only it has them. (Jaeger's span
/// begins like it, with flags in field 5 and a message in field 7.)
pub(super) fn is_span(message: &[u8]) -> bool {
    let Some(fields) = fields(message) else { return false };
    let has_id = |number: u32, length: usize| {
        fields.iter().any(|field| field.number == number && field.contents.len() == length)
    };
    let has = |number: u32, wire_type: WireType| {
        fields.iter().any(|field| field.number == number && field.wire_type == wire_type)
    };
    let has_time = has(7, WireType::SixtyFourBit) || has(8, WireType::SixtyFourBit);
    has_id(1, 16) && has_id(2, 8) && (has_time || has(5, WireType::LengthDelimited))
}

/// What a value is that is all text.
fn in_text(value: &[u8]) -> Option<Encoding> {
    let text = value.trim_ascii();
    if text.starts_with(b"\"") {
        let inner: String = serde_json::from_slice(text).ok()?;
        return inner.trim_start().starts_with(['{', '[']).then_some(Encoding::JsonInText);
    }
    if !text.is_empty() && text.len().is_multiple_of(2) && text.iter().all(u8::is_ascii_hexdigit) {
        let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or_default() as u8;
        let bytes = text.chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1]));
        if is_ours(&bytes.collect::<Vec<u8>>()) {
            return Some(Encoding::Hex);
        }
    }
    if json::from_base64(text).is_some_and(|bytes| is_ours(&bytes)) {
        return Some(Encoding::Base64);
    }
    // All of it is UTF-8, as protobuf with ids in it hardly ever is, and bytes are missing.
    let is_mangled = text.first() != Some(&b'{')
        && value.first() == Some(&0x0a)
        && std::str::from_utf8(value).is_ok_and(|text| text.contains(char::REPLACEMENT_CHARACTER));
    is_mangled.then_some(Encoding::MangledText)
}

/// True for what members would read.
fn is_ours(value: &[u8]) -> bool {
    let is_json = value.trim_ascii_start().starts_with(b"{\"");
    is_json || super::Compression::of(value).is_some() || has_span(value)
}
