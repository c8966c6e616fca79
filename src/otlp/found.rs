//! What a scan finds in a record.

use super::known::KnownResources;
use crate::otlp::span::{
    AttributeRef, EventRef, Run, ScopeDetails, Slice, SpanDetails, SpanRef, SpanView,
};

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
    /// Index of its scope in the scan.
    pub scope: u32,
    /// The span with its tag and length.
    pub framed: Slice,
}

/// What was found in a record. Made once and used for record after record, so that scanning
/// allocates nothing in the long run. It is a table: a list for each kind of thing that is found, so
/// its fields are many.
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
    /// By span: its details. Empty if neither details nor events are asked for.
    pub details: Vec<SpanDetails>,
    /// By scope: its details. Empty if they are not asked for.
    pub scope_details: Vec<ScopeDetails>,
    /// The events that were asked for; runs refer into this.
    pub events: Vec<EventRef>,
    /// The attributes that were asked for; runs refer into this.
    pub attributes: Vec<AttributeRef>,
    /// Pieces of headers; runs refer into this.
    pub pieces: Vec<Slice>,
    /// Bounds of the `ScopeSpans` of the resource in hand.
    pub(super) scope_spans: Vec<Slice>,
    /// Bounds of the events of the span in hand, if events are asked for.
    pub(super) event_bounds: Vec<Slice>,
    /// Resources of records before this one.
    pub(super) known_resources: KnownResources,
}

impl Scan {
    pub(super) fn clear(&mut self) {
        self.resources.clear();
        self.scopes.clear();
        self.spans.clear();
        self.invalid.clear();
        self.details.clear();
        self.scope_details.clear();
        self.events.clear();
        self.attributes.clear();
        self.pieces.clear();
    }
    /// The span number `index` with everything around it; `record` is what was scanned.
    pub fn view<'a>(&'a self, index: usize, record: &'a [u8]) -> SpanView<'a> {
        const NO_DETAILS: &SpanDetails = &SpanDetails::NONE;
        const NO_SCOPE: &ScopeDetails = &ScopeDetails::NONE;
        let span = &self.spans[index];
        let scope_index = span.scope as usize;
        let scope = self.scope_details.get(scope_index).unwrap_or(NO_SCOPE);
        let resource = &self.resources[self.scopes[scope_index].resource as usize];
        let details = self.details.get(index).unwrap_or(NO_DETAILS);
        SpanView {
            record,
            span,
            details,
            attributes: span.attributes.of(&self.attributes),
            resource: resource.attributes.of(&self.attributes),
            scope,
            scope_attributes: scope.attributes.of(&self.attributes),
            events: details.events.of(&self.events),
            all_attributes: &self.attributes,
        }
    }
}
