//! One pass over a record: its spans, and what is asked of them.

use super::keys::AttributeKeys;
use super::known::KnownResources;
use super::plain;
use super::schema::{self, check_utf8, delimited, expect, nested};
use super::wire::{MAX_DEPTH, Reader, ScanError, Tag, WireType};
use crate::ids::{SpanId, TraceId};
use crate::span::{AttributeRef, Run, Slice, SpanRef, ValueRef};

/// A `ResourceSpans` of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceRef {
    /// All its fields other than `scope_spans`, in order, as pieces: resource, schema URL, what
    /// came later. Followed by framed `ScopeSpans` they are a `ResourceSpans` again.
    pub header: Run,
    /// Those of the resource's attributes that were asked for.
    pub attributes: Run,
}

/// A `ScopeSpans` of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeRef {
    /// Index of its resource.
    pub resource: u32,
    /// All its fields other than `spans`, in order, as pieces.
    pub header: Run,
}

/// Why a span cannot be taken, though its bytes are in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidReason {
    /// The trace id is not 16 bytes, or all zeros.
    TraceId,
    /// The span id is not 8 bytes, or all zeros.
    SpanId,
}

/// A span that cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSpan {
    /// Why.
    pub reason: InvalidReason,
    /// The span with its tag and length.
    pub framed: Slice,
}

/// What was found in a record. Made once and used for record after record, so that scanning
/// allocates nothing in the long run.
#[derive(Debug, Default)]
pub struct Scan {
    /// The `ResourceSpans`, in order.
    pub resources: Vec<ResourceRef>,
    /// The `ScopeSpans`, in order.
    pub scopes: Vec<ScopeRef>,
    /// The spans that can be taken, in order.
    pub spans: Vec<SpanRef>,
    /// Those that cannot.
    pub invalid: Vec<InvalidSpan>,
    /// The attributes that were asked for; runs refer into this.
    pub attributes: Vec<AttributeRef>,
    /// Pieces of headers; runs refer into this.
    pub pieces: Vec<Slice>,
    /// Bounds of the `ScopeSpans` of the resource in hand.
    scope_spans: Vec<Slice>,
    /// Bounds of the spans of the scope in hand: framed, and where the body starts.
    framed_spans: Vec<(Slice, u32)>,
    /// Resources of records before this one.
    known_resources: KnownResources,
}

impl Scan {
    fn clear(&mut self) {
        self.resources.clear();
        self.scopes.clear();
        self.spans.clear();
        self.invalid.clear();
        self.attributes.clear();
        self.pieces.clear();
    }
}

/// Finds the spans of `record`, a `TracesData` message, and those of their attributes, and their
/// resources', whose keys are among `keys`.
///
/// # Errors
///
/// If and only if the record cannot be decoded as `TracesData`; what was found until then is void.
/// Fields of `TracesData` other than `resource_spans` belong to no trace and are passed over.
pub fn scan(record: &[u8], keys: &AttributeKeys, out: &mut Scan) -> Result<(), ScanError> {
    out.clear();
    if u32::try_from(record.len()).is_err() {
        return Err(ScanError::TooLarge);
    }
    out.known_resources.ask_for(keys.fingerprint());
    let mut scanner = Scanner { record, keys, out };
    let mut reader = Reader::new(record, 0);
    while !reader.is_at_end() {
        let tag = reader.tag()?;
        if tag.field == 1 {
            let (start, end) = nested(&mut reader, tag, MAX_DEPTH)?;
            scanner.resource_spans(start, end, MAX_DEPTH - 1)?;
        } else {
            reader.skip(tag, MAX_DEPTH)?;
        }
    }
    Ok(())
}

struct Scanner<'a> {
    record: &'a [u8],
    keys: &'a AttributeKeys,
    out: &'a mut Scan,
}

impl Scanner<'_> {
    /// The header may stand before, behind or between the `ScopeSpans`: it is gathered first.
    fn resource_spans(&mut self, start: usize, end: usize, depth: u32) -> Result<(), ScanError> {
        let resource = self.out.resources.len() as u32;
        let (first_piece, first_attribute) = (self.out.pieces.len(), self.out.attributes.len());
        self.out.scope_spans.clear();
        let mut reader = Reader::new(&self.record[..end], start);
        while !reader.is_at_end() {
            let field_start = reader.position();
            let tag = reader.tag()?;
            match tag.field {
                2 => {
                    let (start, end) = nested(&mut reader, tag, depth)?;
                    self.out.scope_spans.push(slice(start, end));
                    continue;
                }
                1 => {
                    let (start, end) = nested(&mut reader, tag, depth)?;
                    self.resource(start, end, depth - 1)?;
                }
                3 => self.string(&mut reader, tag)?,
                _ => reader.skip(tag, depth)?,
            }
            self.add_piece(first_piece, field_start, reader.position());
        }
        let header = run(first_piece, self.out.pieces.len());
        let attributes = run(first_attribute, self.out.attributes.len());
        self.out.resources.push(ResourceRef { header, attributes });
        for index in 0..self.out.scope_spans.len() {
            let scope_spans = self.out.scope_spans[index];
            let (start, end) = (scope_spans.start as usize, scope_spans.end as usize);
            self.scope_spans(resource, start, end, depth - 1)?;
        }
        Ok(())
    }

    fn resource(&mut self, start: usize, end: usize, depth: u32) -> Result<(), ScanError> {
        let message = &self.record[start..end];
        let Scan { known_resources, attributes, .. } = &mut *self.out;
        if let Some(known) = known_resources.attributes(message, start) {
            attributes.extend(known);
            return Ok(());
        }
        let first = attributes.len();
        self.resource_fields(start, end, depth)?;
        let Scan { known_resources, attributes, .. } = &mut *self.out;
        known_resources.remember(message, start, &attributes[first..]);
        Ok(())
    }

    fn resource_fields(&mut self, start: usize, end: usize, depth: u32) -> Result<(), ScanError> {
        let mut reader = Reader::new(&self.record[..end], start);
        while !reader.is_at_end() {
            let tag = reader.tag()?;
            match tag.field {
                1 => self.attribute(&mut reader, tag, depth)?,
                2 => {
                    expect(tag, WireType::Varint)?;
                    reader.varint()?;
                }
                3 => self.message(&mut reader, tag, &schema::ENTITY_REF, depth)?,
                _ => reader.skip(tag, depth)?,
            }
        }
        Ok(())
    }

    fn scope_spans(
        &mut self,
        resource: u32,
        start: usize,
        end: usize,
        depth: u32,
    ) -> Result<(), ScanError> {
        let scope = self.out.scopes.len() as u32;
        let first_piece = self.out.pieces.len();
        self.out.framed_spans.clear();
        let mut reader = Reader::new(&self.record[..end], start);
        while !reader.is_at_end() {
            let field_start = reader.position();
            let tag = reader.tag()?;
            match tag.field {
                2 => {
                    let (start, end) = nested(&mut reader, tag, depth)?;
                    self.out.framed_spans.push((slice(field_start, end), start as u32));
                    continue;
                }
                1 => self.message(&mut reader, tag, &schema::SCOPE, depth)?,
                3 => self.string(&mut reader, tag)?,
                _ => reader.skip(tag, depth)?,
            }
            self.add_piece(first_piece, field_start, reader.position());
        }
        let header = run(first_piece, self.out.pieces.len());
        self.out.scopes.push(ScopeRef { resource, header });
        for index in 0..self.out.framed_spans.len() {
            let (framed, body) = self.out.framed_spans[index];
            self.span(scope, framed, body as usize, depth - 1)?;
        }
        Ok(())
    }

    fn span(
        &mut self,
        scope: u32,
        framed: Slice,
        body: usize,
        depth: u32,
    ) -> Result<(), ScanError> {
        let first_attribute = self.out.attributes.len();
        let mut found = Found::default();
        let mut reader = Reader::new(&self.record[..framed.end as usize], body);
        while !reader.is_at_end() {
            let tag = reader.tag()?;
            match tag.field {
                1 => found.trace_id = bounds(&mut reader, tag)?,
                2 => found.span_id = bounds(&mut reader, tag)?,
                3 => found.trace_state = self.text(&mut reader, tag)?,
                4 => found.parent_span_id = bounds(&mut reader, tag)?,
                5 => found.name = self.text(&mut reader, tag)?,
                6 => found.kind = int32(&mut reader, tag)?,
                7 => found.start_unix_nano = fixed64(&mut reader, tag)?,
                8 => found.end_unix_nano = fixed64(&mut reader, tag)?,
                9 => self.attribute(&mut reader, tag, depth)?,
                10 | 12 | 14 => {
                    int32(&mut reader, tag)?;
                }
                11 => self.message(&mut reader, tag, &schema::EVENT, depth)?,
                13 => self.message(&mut reader, tag, &schema::LINK, depth)?,
                15 => {
                    let (start, end) = nested(&mut reader, tag, depth)?;
                    schema::STATUS.check(&self.record[..end], start, depth - 1)?;
                    found.status = self.status_code(start, end)?.unwrap_or(found.status);
                }
                16 => {
                    expect(tag, WireType::Fixed32)?;
                    found.flags = reader.fixed32()?;
                }
                _ => reader.skip(tag, depth)?,
            }
        }
        self.add_span(scope, framed, first_attribute, &found);
        Ok(())
    }

    fn add_span(&mut self, scope: u32, framed: Slice, first_attribute: usize, found: &Found) {
        let trace_id = TraceId::from_slice(found.trace_id.of(self.record));
        let span_id = SpanId::from_slice(found.span_id.of(self.record));
        let (trace_id, span_id) = match (trace_id, span_id) {
            (Some(trace_id), Some(span_id)) => (trace_id, span_id),
            (trace_id, _) => {
                let reason = match trace_id {
                    None => InvalidReason::TraceId,
                    Some(_) => InvalidReason::SpanId,
                };
                self.out.attributes.truncate(first_attribute);
                self.out.invalid.push(InvalidSpan { reason, framed });
                return;
            }
        };
        self.out.spans.push(SpanRef {
            trace_id,
            span_id,
            // A parent id of a wrong length is no root's: the span has a parent, if an odd one.
            is_root: found.parent_span_id.of(self.record).iter().all(|byte| *byte == 0),
            start_unix_nano: found.start_unix_nano,
            end_unix_nano: found.end_unix_nano,
            status: found.status,
            kind: found.kind,
            flags: found.flags,
            name: found.name,
            trace_state: found.trace_state,
            attributes: run(first_attribute, self.out.attributes.len()),
            scope,
            framed,
        });
    }

    /// The code of a `Status` that was checked; `None` if it has none of its own.
    fn status_code(&self, start: usize, end: usize) -> Result<Option<i32>, ScanError> {
        let mut code = None;
        let mut reader = Reader::new(&self.record[..end], start);
        while !reader.is_at_end() {
            let tag = reader.tag()?;
            match tag.field {
                3 => code = Some(int32(&mut reader, tag)?),
                _ => reader.skip(tag, MAX_DEPTH)?,
            }
        }
        Ok(code)
    }

    /// A `KeyValue`: checked, and kept if somebody asks for its key.
    fn attribute(
        &mut self,
        reader: &mut Reader<'_>,
        tag: Tag,
        depth: u32,
    ) -> Result<(), ScanError> {
        let (start, end) = nested(reader, tag, depth)?;
        if depth > 1
            && let Some(key) = plain::key_of(&self.record[start..end])
        {
            if let Some(key) = self.keys.lookup(key) {
                let value = self.values(start, end)?;
                self.out.attributes.push(AttributeRef { key, value });
            }
            return Ok(());
        }
        let message = &self.record[..end];
        let is_ascii = message[start..].is_ascii();
        let mut key = Slice::default();
        let mut fields = Reader::new(message, start);
        while !fields.is_at_end() {
            let tag = fields.tag()?;
            match tag.field {
                1 => {
                    key = bounds(&mut fields, tag)?;
                    if !is_ascii {
                        check_utf8(key.of(self.record))?;
                    }
                }
                2 => {
                    let (start, end) = nested(&mut fields, tag, depth - 1)?;
                    schema::ANY_VALUE.check_in(&self.record[..end], start, depth - 2, is_ascii)?;
                }
                3 => {
                    int32(&mut fields, tag)?;
                }
                _ => fields.skip(tag, depth - 1)?,
            }
        }
        if let Some(key) = self.keys.lookup(key.of(self.record)) {
            let value = self.values(start, end)?;
            self.out.attributes.push(AttributeRef { key, value });
        }
        Ok(())
    }

    /// The value of a `KeyValue` that was checked. Values that are repeated are merged.
    fn values(&self, start: usize, end: usize) -> Result<ValueRef, ScanError> {
        let mut value = ValueRef::Empty;
        let mut fields = Reader::new(&self.record[..end], start);
        while !fields.is_at_end() {
            let tag = fields.tag()?;
            if tag.field == 2 {
                let (start, end) = delimited(&mut fields, tag)?;
                value = self.value(start, end)?.unwrap_or(value);
            } else {
                fields.skip(tag, MAX_DEPTH)?;
            }
        }
        Ok(value)
    }

    /// The value of an `AnyValue` that was checked; `None` if none is set. The last one counts.
    fn value(&self, start: usize, end: usize) -> Result<Option<ValueRef>, ScanError> {
        let mut value = None;
        let mut reader = Reader::new(&self.record[..end], start);
        while !reader.is_at_end() {
            let tag = reader.tag()?;
            value = Some(match tag.field {
                1 => ValueRef::String(bounds(&mut reader, tag)?),
                2 => ValueRef::Bool(reader.varint()? != 0),
                3 => ValueRef::Int(reader.varint()?.cast_signed()),
                4 => ValueRef::Double(f64::from_bits(reader.fixed64()?)),
                7 => ValueRef::Bytes(bounds(&mut reader, tag)?),
                5 | 6 | 8 => {
                    reader.skip(tag, MAX_DEPTH)?;
                    ValueRef::Other(slice(start, end))
                }
                _ => {
                    reader.skip(tag, MAX_DEPTH)?;
                    continue;
                }
            });
        }
        Ok(value)
    }

    fn message(
        &self,
        reader: &mut Reader<'_>,
        tag: Tag,
        schema: &schema::Schema,
        depth: u32,
    ) -> Result<(), ScanError> {
        let (start, end) = nested(reader, tag, depth)?;
        schema.check(&self.record[..end], start, depth - 1)
    }

    fn text(&self, reader: &mut Reader<'_>, tag: Tag) -> Result<Slice, ScanError> {
        let text = bounds(reader, tag)?;
        check_utf8(text.of(self.record))?;
        Ok(text)
    }

    fn string(&self, reader: &mut Reader<'_>, tag: Tag) -> Result<(), ScanError> {
        self.text(reader, tag).map(|_| ())
    }

    /// Adds bytes to the header that began with the piece `first`, joined to its last piece where
    /// they touch.
    fn add_piece(&mut self, first: usize, start: usize, end: usize) {
        let piece = slice(start, end);
        match self.out.pieces[first..].last_mut() {
            Some(last) if last.end == piece.start => last.end = piece.end,
            _ => self.out.pieces.push(piece),
        }
    }
}

/// The fields of the span in hand.
#[derive(Default)]
struct Found {
    trace_id: Slice,
    span_id: Slice,
    parent_span_id: Slice,
    trace_state: Slice,
    name: Slice,
    start_unix_nano: u64,
    end_unix_nano: u64,
    status: i32,
    kind: i32,
    flags: u32,
}

#[inline]
fn bounds(reader: &mut Reader<'_>, tag: Tag) -> Result<Slice, ScanError> {
    let (start, end) = delimited(reader, tag)?;
    Ok(slice(start, end))
}

#[inline]
fn fixed64(reader: &mut Reader<'_>, tag: Tag) -> Result<u64, ScanError> {
    expect(tag, WireType::Fixed64)?;
    reader.fixed64()
}

/// Protobuf truncates a varint that is too long for its field.
#[inline]
fn int32(reader: &mut Reader<'_>, tag: Tag) -> Result<i32, ScanError> {
    expect(tag, WireType::Varint)?;
    Ok(reader.varint()? as i32)
}

/// Positions fit: the record's length was checked.
#[inline]
fn slice(start: usize, end: usize) -> Slice {
    Slice { start: start as u32, end: end as u32 }
}

#[inline]
fn run(start: usize, end: usize) -> Run {
    Run { start: start as u32, end: end as u32 }
}
