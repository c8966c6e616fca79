//! One pass over a record: its spans, and what is asked of them.

use super::found::{InvalidReason, InvalidSpan, ResourceRef, Scan, ScopeRef};
use super::keys::AttributeKeys;
use super::schema::{self, delimited, expect, nested};
use super::usual::{Found, check_scope};
use super::wire::{MAX_DEPTH, Reader, ScanError, Tag, WireType};
use crate::ids::{SpanId, TraceId};
use crate::otlp::span::{Run, ScopeDetails, Slice, SpanRef};

/// Finds the spans of `record`, a `TracesData` message, and those of their attributes, and their
/// resources', whose keys are among `keys`.
///
/// # Errors
///
/// If and only if the record cannot be decoded as `TracesData`; what was found until then is void.
/// Text that is not UTF-8 is no error: SDKs send it, and it is passed on as it is.
/// Fields of `TracesData` other than `resource_spans` belong to no trace and are passed over.
pub fn scan(record: &[u8], keys: &AttributeKeys, out: &mut Scan) -> Result<(), ScanError> {
    out.clear();
    if u32::try_from(record.len()).is_err() {
        return Err(ScanError::TooLarge);
    }
    out.known_resources.ask_for(keys.fingerprint());
    fetch_lines(record);
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

/// Has the record's cache lines fetched side by side. The scan goes from length to length, so each
/// line that is not there yet would be waited for before the next is known to be needed.
#[inline]
fn fetch_lines(record: &[u8]) {
    const LINE: usize = 64;
    let (lines, rest) = record[..record.len().min(MOST_FETCHED)].as_chunks::<LINE>();
    let first = |line: &[u8; LINE]| line.first_chunk().map_or(0, |it| u64::from_le_bytes(*it));
    let last = rest.first().map_or(0, |byte| u64::from(*byte));
    std::hint::black_box(lines.iter().map(first).fold(last, |all, it| all ^ it));
}

/// Beyond, the processor has long seen where the reading goes.
const MOST_FETCHED: usize = 8192;

/// A scan under way.
pub(super) struct Scanner<'a> {
    pub(super) record: &'a [u8],
    pub(super) keys: &'a AttributeKeys,
    pub(super) out: &'a mut Scan,
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
                3 => {
                    bounds(&mut reader, tag)?;
                }
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
        let mut details = ScopeDetails::NONE;
        let mut reader = Reader::new(&self.record[..end], start);
        while !reader.is_at_end() {
            let field_start = reader.position();
            let tag = reader.tag()?;
            match tag.field {
                2 => {
                    let (start, end) = nested(&mut reader, tag, depth)?;
                    self.span(scope, slice(field_start, end), start, depth - 1)?;
                    continue;
                }
                1 => {
                    let (start, end) = nested(&mut reader, tag, depth)?;
                    check_scope(&self.record[..end], start, depth - 1)?;
                    if self.keys.extras.scopes {
                        self.scope(start, end, &mut details, depth - 1)?;
                    }
                }
                3 => {
                    bounds(&mut reader, tag)?;
                }
                _ => reader.skip(tag, depth)?,
            }
            self.add_piece(first_piece, field_start, reader.position());
        }
        let header = run(first_piece, self.out.pieces.len());
        self.out.scopes.push(ScopeRef { resource, header });
        if self.keys.extras.scopes {
            self.out.scope_details.push(details);
        }
        Ok(())
    }

    #[inline(never)]
    fn span(
        &mut self,
        scope: u32,
        framed: Slice,
        body: usize,
        depth: u32,
    ) -> Result<(), ScanError> {
        let first_attribute = self.out.attributes.len();
        self.out.event_bounds.clear();
        let mut reader = Reader::new(&self.record[..framed.end as usize], body);
        let mut found = Found::begin(&mut reader);
        loop {
            let rest = self.plain_attributes(reader.rest(), framed.end as usize);
            reader.go_on_with(rest);
            found.end(&mut reader);
            if reader.is_at_end() {
                break;
            }
            let tag = reader.tag()?;
            match tag.field {
                1 => found.trace_id = bounds(&mut reader, tag)?,
                2 => found.span_id = bounds(&mut reader, tag)?,
                3 => found.trace_state = bounds(&mut reader, tag)?,
                4 => found.parent_span_id = bounds(&mut reader, tag)?,
                5 => found.name = bounds(&mut reader, tag)?,
                6 => found.kind = int32(&mut reader, tag)?,
                7 => found.start_unix_nano = fixed64(&mut reader, tag)?,
                8 => found.end_unix_nano = fixed64(&mut reader, tag)?,
                9 => self.attribute(&mut reader, tag, depth)?,
                10 => found.dropped_attributes = int32(&mut reader, tag)? as u32,
                12 => found.dropped_events = int32(&mut reader, tag)? as u32,
                14 => found.dropped_links = int32(&mut reader, tag)? as u32,
                11 => {
                    let (start, end) = nested(&mut reader, tag, depth)?;
                    schema::EVENT.check(&self.record[..end], start, depth - 1)?;
                    if self.keys.extras.events {
                        self.out.event_bounds.push(slice(start, end));
                    }
                }
                13 => self.message(&mut reader, tag, &schema::LINK, depth)?,
                15 => {
                    let (start, end) = nested(&mut reader, tag, depth)?;
                    self.status(start, end, &mut found, depth - 1)?;
                }
                16 => {
                    expect(tag, WireType::Fixed32)?;
                    found.flags = reader.fixed32()?;
                }
                _ => reader.skip(tag, depth)?,
            }
        }
        let attributes = run(first_attribute, self.out.attributes.len());
        let is_taken = self.add_span(scope, framed, attributes, &found);
        let extras = self.keys.extras;
        if is_taken && (extras.details || extras.events) {
            self.add_details(&found, depth)?;
        }
        Ok(())
    }

    /// True if the span could be taken.
    fn add_span(&mut self, scope: u32, framed: Slice, attributes: Run, found: &Found) -> bool {
        let trace_id = TraceId::from_slice(found.trace_id.of(self.record));
        let span_id = SpanId::from_slice(found.span_id.of(self.record));
        let (trace_id, span_id) = match (trace_id, span_id) {
            (Some(trace_id), Some(span_id)) => (trace_id, span_id),
            (trace_id, _) => {
                let reason = match trace_id {
                    None => InvalidReason::TraceId,
                    Some(_) => InvalidReason::SpanId,
                };
                self.out.attributes.truncate(attributes.start as usize);
                self.out.event_bounds.clear();
                self.out.invalid.push(InvalidSpan { reason, scope, framed });
                return false;
            }
        };
        self.out.spans.push(SpanRef {
            trace_id,
            span_id,
            // A parent id of a wrong length is no root's: the span has a parent, if an odd one.
            is_root: is_zero(found.parent_span_id.of(self.record)),
            start_unix_nano: found.start_unix_nano,
            end_unix_nano: found.end_unix_nano,
            status: found.status,
            kind: found.kind,
            flags: found.flags,
            name: found.name,
            trace_state: found.trace_state,
            attributes,
            scope,
            framed,
        });
        true
    }

    /// Fields that a `Status` does not have keep their values.
    fn status(
        &self,
        start: usize,
        end: usize,
        found: &mut Found,
        depth: u32,
    ) -> Result<(), ScanError> {
        let mut reader = Reader::new(&self.record[..end], start);
        while !reader.is_at_end() {
            let tag = reader.tag()?;
            match tag.field {
                2 => found.status_message = bounds(&mut reader, tag)?,
                3 => found.status = int32(&mut reader, tag)?,
                _ => reader.skip(tag, depth)?,
            }
        }
        Ok(())
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

#[inline]
pub(super) fn bounds(reader: &mut Reader<'_>, tag: Tag) -> Result<Slice, ScanError> {
    let (start, end) = delimited(reader, tag)?;
    Ok(slice(start, end))
}

#[inline]
pub(super) fn fixed64(reader: &mut Reader<'_>, tag: Tag) -> Result<u64, ScanError> {
    expect(tag, WireType::Fixed64)?;
    reader.fixed64()
}

/// Protobuf truncates a varint that is too long for its field.
#[inline]
pub(super) fn int32(reader: &mut Reader<'_>, tag: Tag) -> Result<i32, ScanError> {
    expect(tag, WireType::Varint)?;
    Ok(reader.varint()? as i32)
}

#[inline]
fn is_zero(id: &[u8]) -> bool {
    match id.try_into() {
        Ok(id) => u64::from_ne_bytes(id) == 0,
        Err(_) => id.iter().all(|byte| *byte == 0),
    }
}

/// Positions fit: the record's length was checked.
#[inline]
pub(super) fn slice(start: usize, end: usize) -> Slice {
    Slice { start: start as u32, end: end as u32 }
}

#[inline]
pub(super) fn run(start: usize, end: usize) -> Run {
    Run { start: start as u32, end: end as u32 }
}
