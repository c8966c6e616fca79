//! The parts of OTLP that are checked but not looked into: what fields they have.
//!
//! A record with a broken attribute or event would be refused by a backend together with every
//! other trace of its request, so it is refused here, alone. Text is not checked on the way in:
//! what is forwarded is looked at once more for text that is not UTF-8 ([`Schema::is_utf8`]).

use super::plain;
use super::wire::{MAX_DEPTH, Reader, ScanError, Tag, WireType};

/// What stands in a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    Unknown,
    Varint,
    Fixed32,
    Fixed64,
    Bytes,
    String,
    Message(&'static Schema),
}

/// The fields of a message, by number, from 1.
#[derive(Debug)]
pub(super) struct Schema(&'static [Field]);

use Field::{Bytes, Fixed32, Fixed64, Message, String, Unknown, Varint};

/// `opentelemetry.proto.common.v1.AnyValue`
pub(super) static ANY_VALUE: Schema = Schema(&[
    String,
    Varint,
    Varint,
    Fixed64,
    Message(&ARRAY_VALUE),
    Message(&KEY_VALUE_LIST),
    Bytes,
    Varint,
]);
static ARRAY_VALUE: Schema = Schema(&[Message(&ANY_VALUE)]);
static KEY_VALUE_LIST: Schema = Schema(&[Message(&KEY_VALUE)]);
/// `opentelemetry.proto.common.v1.KeyValue`
pub(super) static KEY_VALUE: Schema = Schema(&[String, Message(&ANY_VALUE), Varint]);
/// `opentelemetry.proto.common.v1.EntityRef`
pub(super) static ENTITY_REF: Schema = Schema(&[String, String, String, String]);
/// `opentelemetry.proto.common.v1.InstrumentationScope`
pub(super) static SCOPE: Schema = Schema(&[String, String, Message(&KEY_VALUE), Varint]);
/// `opentelemetry.proto.trace.v1.Span.Event`
pub(super) static EVENT: Schema = Schema(&[Fixed64, String, Message(&KEY_VALUE), Varint]);
/// `opentelemetry.proto.trace.v1.Span.Link`
pub(super) static LINK: Schema =
    Schema(&[Bytes, Bytes, String, Message(&KEY_VALUE), Varint, Fixed32]);
/// `opentelemetry.proto.trace.v1.Status`
pub(super) static STATUS: Schema = Schema(&[Unknown, String, Varint]);
/// `opentelemetry.proto.trace.v1.Span`
pub(super) static SPAN: Schema = Schema(&[
    Bytes,
    Bytes,
    String,
    Bytes,
    String,
    Varint,
    Fixed64,
    Fixed64,
    Message(&KEY_VALUE),
    Varint,
    Message(&EVENT),
    Varint,
    Message(&LINK),
    Varint,
    Message(&STATUS),
    Fixed32,
]);
/// `opentelemetry.proto.resource.v1.Resource`
static RESOURCE: Schema = Schema(&[Message(&KEY_VALUE), Varint, Message(&ENTITY_REF)]);
/// `opentelemetry.proto.trace.v1.ResourceSpans` without its `ScopeSpans`
pub(super) static RESOURCE_HEADER: Schema = Schema(&[Message(&RESOURCE), Unknown, String]);
/// `opentelemetry.proto.trace.v1.ScopeSpans` without its spans
pub(super) static SCOPE_HEADER: Schema = Schema(&[Message(&SCOPE), Unknown, String]);

impl Schema {
    /// Checks the message that `record`, cut where it ends, holds from `start` on. `depth` is how
    /// much deeper messages may nest.
    pub(super) fn check(&self, record: &[u8], start: usize, depth: u32) -> Result<(), ScanError> {
        let mut reader = Reader::new(record, start);
        while !reader.is_at_end() {
            let tag = reader.tag()?;
            match self.0.get(tag.field as usize - 1).copied().unwrap_or(Unknown) {
                Message(schema) => {
                    let (start, end) = nested(&mut reader, tag, depth)?;
                    let is_attribute = std::ptr::eq(schema, &raw const KEY_VALUE);
                    let is_plain = is_attribute && depth > plain::DEPTH;
                    if !is_plain || plain::key_and_value(&record[start..end]).is_none() {
                        schema.check(&record[..end], start, depth - 1)?;
                    }
                }
                field => scalar(&mut reader, tag, field, depth)?,
            }
        }
        Ok(())
    }

    /// True if all text of `message`, which was checked, is UTF-8.
    pub(super) fn is_utf8(&self, message: &[u8]) -> bool {
        // All text of an ASCII message is UTF-8; one look at the whole is cheaper than one at each.
        message.is_ascii() || self.fields_are_utf8(message).unwrap_or(true)
    }

    fn fields_are_utf8(&self, message: &[u8]) -> Result<bool, ScanError> {
        let mut reader = Reader::new(message, 0);
        while !reader.is_at_end() {
            let tag = reader.tag()?;
            let is_utf8 = match self.0.get(tag.field as usize - 1) {
                Some(String) => {
                    let (start, end) = delimited(&mut reader, tag)?;
                    std::str::from_utf8(&message[start..end]).is_ok()
                }
                Some(Message(schema)) => {
                    let (start, end) = delimited(&mut reader, tag)?;
                    schema.is_utf8(&message[start..end])
                }
                _ => {
                    reader.skip(tag, MAX_DEPTH)?;
                    true
                }
            };
            if !is_utf8 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[inline]
fn scalar(reader: &mut Reader<'_>, tag: Tag, field: Field, depth: u32) -> Result<(), ScanError> {
    match field {
        Varint => {
            expect(tag, WireType::Varint)?;
            reader.varint().map(drop)
        }
        Fixed32 => {
            expect(tag, WireType::Fixed32)?;
            reader.fixed32().map(drop)
        }
        Fixed64 => {
            expect(tag, WireType::Fixed64)?;
            reader.fixed64().map(drop)
        }
        Bytes | String | Message(_) => delimited(reader, tag).map(drop),
        Unknown => reader.skip(tag, depth),
    }
}

#[inline]
pub(super) fn expect(tag: Tag, wire_type: WireType) -> Result<(), ScanError> {
    if tag.wire_type == wire_type { Ok(()) } else { Err(ScanError::WireType) }
}

/// The bounds of a length-delimited field.
#[inline]
pub(super) fn delimited(reader: &mut Reader<'_>, tag: Tag) -> Result<(usize, usize), ScanError> {
    expect(tag, WireType::Bytes)?;
    reader.delimited()
}

/// The bounds of a message in a message that may nest `depth` deeper.
#[inline]
pub(super) fn nested(
    reader: &mut Reader<'_>,
    tag: Tag,
    depth: u32,
) -> Result<(usize, usize), ScanError> {
    expect(tag, WireType::Bytes)?;
    if depth == 0 {
        return Err(ScanError::Depth);
    }
    reader.delimited()
}
