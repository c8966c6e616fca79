//! What a scan finds in a record.

use super::known::KnownResources;
use crate::span::{AttributeRef, Run, Slice, SpanRef};

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
    pub(super) scope_spans: Vec<Slice>,
    /// Bounds of the spans of the scope in hand: framed, and where the body starts.
    pub(super) framed_spans: Vec<(Slice, u32)>,
    /// Resources of records before this one.
    pub(super) known_resources: KnownResources,
}

impl Scan {
    pub(super) fn clear(&mut self) {
        self.resources.clear();
        self.scopes.clear();
        self.spans.clear();
        self.invalid.clear();
        self.attributes.clear();
        self.pieces.clear();
    }
}
