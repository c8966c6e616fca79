//! What is read only if some policy asks for it: details of spans, their events, and scopes.

use super::scan::{Scanner, bounds, fixed64, int32, run};
use super::usual::Found;
use super::wire::{MAX_DEPTH, Reader, ScanError};
use crate::otlp::span::{EventRef, Run, ScopeDetails, SpanDetails};

impl Scanner<'_> {
    /// The details of the span that was added last, and its events.
    pub(super) fn add_details(&mut self, found: &Found, depth: u32) -> Result<(), ScanError> {
        let first = self.out.events.len();
        for index in 0..self.out.event_bounds.len() {
            let event = self.out.event_bounds[index];
            let event = self.event(event.start as usize, event.end as usize, depth - 1)?;
            self.out.events.push(event);
        }
        self.out.details.push(SpanDetails {
            parent_span_id: found.parent_span_id,
            status_message: found.status_message,
            dropped_attributes: found.dropped_attributes,
            dropped_events: found.dropped_events,
            dropped_links: found.dropped_links,
            events: run(first, self.out.events.len()),
        });
        Ok(())
    }

    /// A `Span.Event` that was checked.
    fn event(&mut self, start: usize, end: usize, depth: u32) -> Result<EventRef, ScanError> {
        let first = self.out.attributes.len();
        let mut event = EventRef { attributes: Run::default(), ..EventRef::default() };
        let mut reader = Reader::new(&self.record[..end], start);
        while !reader.is_at_end() {
            let tag = reader.tag()?;
            match tag.field {
                1 => event.time_unix_nano = fixed64(&mut reader, tag)?,
                2 => event.name = bounds(&mut reader, tag)?,
                3 => self.attribute(&mut reader, tag, depth)?,
                4 => event.dropped_attributes = int32(&mut reader, tag)? as u32,
                _ => reader.skip(tag, MAX_DEPTH)?,
            }
        }
        event.attributes = run(first, self.out.attributes.len());
        Ok(event)
    }

    /// An `InstrumentationScope` that was checked. A repeated one is merged into `details`.
    pub(super) fn scope(
        &mut self,
        start: usize,
        end: usize,
        details: &mut ScopeDetails,
        depth: u32,
    ) -> Result<(), ScanError> {
        // Spans may stand between this one and the one before, with attributes of their own.
        let attributes = &mut self.out.attributes;
        let first = attributes.len();
        let Run { start: before, end: until } = details.attributes;
        attributes.extend_from_within(before as usize..until as usize);
        let mut reader = Reader::new(&self.record[..end], start);
        while !reader.is_at_end() {
            let tag = reader.tag()?;
            match tag.field {
                1 => details.name = bounds(&mut reader, tag)?,
                2 => details.version = bounds(&mut reader, tag)?,
                3 => self.attribute(&mut reader, tag, depth)?,
                _ => reader.skip(tag, MAX_DEPTH)?,
            }
        }
        details.attributes = run(first, self.out.attributes.len());
        Ok(())
    }
}
