//! What spans and scopes usually look like, read at a glance.
//!
//! Encoders write the fields of a message in the order of their numbers, with tags and lengths of a
//! byte. Each field that stands where it usually does is taken here; the first that does not, and all
//! behind it, is left to who reads on, so nothing is read twice and nothing is decided here.

use super::scan::slice;
use super::schema;
use super::wire::{Reader, ScanError};
use crate::otlp::span::Slice;

/// The fields of the span in hand: as many as `SpanRef` and `SpanDetails` are made of.
#[derive(Default)]
pub(super) struct Found {
    pub(super) trace_id: Slice,
    pub(super) span_id: Slice,
    pub(super) parent_span_id: Slice,
    pub(super) status_message: Slice,
    pub(super) dropped_attributes: u32,
    pub(super) dropped_events: u32,
    pub(super) dropped_links: u32,
    pub(super) trace_state: Slice,
    pub(super) name: Slice,
    pub(super) start_unix_nano: u64,
    pub(super) end_unix_nano: u64,
    pub(super) status: i32,
    pub(super) kind: i32,
    pub(super) flags: u32,
}

impl Found {
    /// Reads what nearly every span begins with, in the order in which encoders write it, as far as
    /// that goes. Fields in another order, repeated or long ones are left to who reads on.
    #[inline(always)]
    pub(super) fn begin(reader: &mut Reader<'_>) -> Self {
        let mut found = Self::default();
        // A copy whose address nobody has stays in registers.
        let mut fields = *reader;
        let bounds = |(bytes, start): (&[u8], usize)| slice(start, start + bytes.len());
        if let Some(id) = fields.sized(tags::TRACE_ID, 16) {
            found.trace_id = bounds(id);
        }
        if let Some(id) = fields.sized(tags::SPAN_ID, 8) {
            found.span_id = bounds(id);
        }
        if let Some(trace_state) = fields.short(tags::TRACE_STATE) {
            found.trace_state = bounds(trace_state);
        }
        if let Some(id) = fields.sized(tags::PARENT_SPAN_ID, 8) {
            found.parent_span_id = bounds(id);
        }
        if let Some(name) = fields.short(tags::NAME) {
            found.name = bounds(name);
        }
        if let Some(kind) = fields.small(tags::KIND) {
            found.kind = kind;
        }
        if let Some(nanos) = fields.eight(tags::START_TIME) {
            found.start_unix_nano = nanos;
        }
        if let Some(nanos) = fields.eight(tags::END_TIME) {
            found.end_unix_nano = nanos;
        }
        *reader = fields;
        found
    }

    /// The same for what it ends with: a status without a message, and flags.
    #[inline(always)]
    pub(super) fn end(&mut self, reader: &mut Reader<'_>) {
        let mut fields = *reader;
        match fields.short(tags::STATUS) {
            Some(([], _)) => *reader = fields,
            Some(([tags::STATUS_CODE, code @ ..0x80], _)) => {
                self.status = i32::from(*code);
                *reader = fields;
            }
            _ => (),
        }
        if let Some(flags) = reader.four(tags::FLAGS) {
            self.flags = flags;
        }
    }
}

/// Nearly every scope has a name and perhaps a version, and nothing else.
pub(super) fn check_scope(record: &[u8], start: usize, depth: u32) -> Result<(), ScanError> {
    let mut fields = Reader::new(record, start);
    fields.short(tags::SCOPE_NAME);
    fields.short(tags::SCOPE_VERSION);
    if fields.is_at_end() { Ok(()) } else { schema::SCOPE.check(record, fields.position(), depth) }
}

/// Tags of fields that are looked for in their usual place, as they stand on the wire.
mod tags {
    pub(super) const SCOPE_NAME: u8 = 1 << 3 | 2;
    pub(super) const SCOPE_VERSION: u8 = 2 << 3 | 2;
    pub(super) const TRACE_ID: u8 = 1 << 3 | 2;
    pub(super) const SPAN_ID: u8 = 2 << 3 | 2;
    pub(super) const TRACE_STATE: u8 = 3 << 3 | 2;
    pub(super) const PARENT_SPAN_ID: u8 = 4 << 3 | 2;
    pub(super) const NAME: u8 = 5 << 3 | 2;
    pub(super) const KIND: u8 = 6 << 3;
    pub(super) const START_TIME: u8 = 7 << 3 | 1;
    pub(super) const END_TIME: u8 = 8 << 3 | 1;
    pub(super) const STATUS: u8 = 15 << 3 | 2;
    pub(super) const STATUS_CODE: u8 = 3 << 3;
    pub(super) const FLAGS: [u8; 2] = [0x85, 0x01];
}
