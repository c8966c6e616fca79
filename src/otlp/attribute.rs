//! Attributes: checked, all of them, and read, those that were asked for.

use super::plain;
use super::scan::{Scanner, bounds, int32, slice};
use super::schema::{self, delimited, nested};
use super::wire::{MAX_DEPTH, Reader, ScanError, Tag};
use crate::otlp::span::{AttributeRef, Slice, ValueRef};

impl Scanner<'_> {
    /// A field that is a `KeyValue`.
    pub(super) fn attribute(
        &mut self,
        reader: &mut Reader<'_>,
        tag: Tag,
        depth: u32,
    ) -> Result<(), ScanError> {
        let (start, end) = nested(reader, tag, depth)?;
        self.key_value(&self.record[start..end], start, depth)
    }

    /// Passes the attributes of a span that come next, as far as they have their usual form.
    /// Returns what comes behind them. `end` is where the span ends.
    // Not inlined: a loop that has the registers for itself is worth more than a call.
    #[inline(never)]
    pub(super) fn plain_attributes<'b>(&mut self, mut fields: &'b [u8], end: usize) -> &'b [u8] {
        while let Some(attribute) = plain::attribute(fields) {
            fields = attribute.rest;
            if self.keys.may_have(attribute.key) {
                self.keep_if_asked(attribute.key, attribute.value, end - fields.len());
            }
        }
        fields
    }

    /// A `KeyValue` that begins at `start`: checked, and kept if somebody asks for its key.
    #[inline]
    pub(super) fn key_value(
        &mut self,
        message: &[u8],
        start: usize,
        depth: u32,
    ) -> Result<(), ScanError> {
        debug_assert!(depth > plain::DEPTH, "attributes stand near the top of a record");
        let Some((key, value)) = plain::key_and_value(message) else {
            return self.unusual_key_value(start, start + message.len(), depth);
        };
        if self.keys.may_have(key) {
            self.keep_if_asked(key, value, start + message.len());
        }
        Ok(())
    }

    /// Keeps an attribute in its usual form, whose value ends at `end`, if somebody asks for it.
    #[inline(never)]
    fn keep_if_asked(&mut self, key: &[u8], value: &[u8], end: usize) {
        if let Some(key) = self.keys.lookup(key) {
            let value = plain::value(value, end - value.len());
            self.out.attributes.push(AttributeRef { key, value });
        }
    }

    #[cold]
    fn unusual_key_value(&mut self, start: usize, end: usize, depth: u32) -> Result<(), ScanError> {
        let mut key = Slice::default();
        let mut fields = Reader::new(&self.record[..end], start);
        while !fields.is_at_end() {
            let tag = fields.tag()?;
            match tag.field {
                1 => key = bounds(&mut fields, tag)?,
                2 => {
                    let (start, end) = nested(&mut fields, tag, depth - 1)?;
                    schema::ANY_VALUE.check(&self.record[..end], start, depth - 2)?;
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
}
