//! What is known of a span without decoding it: the vocabulary between the scanner that reads
//! record bytes and the policies that judge what was read.
//!
//! Everything here refers into the bytes of one record by [`Slice`]; nothing is copied. The
//! meaning of each field is OTLP's (`opentelemetry/proto/trace/v1/trace.proto`).

use crate::ids::{SpanId, TraceId};

/// A byte range of a record. Records are far below 4 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Slice {
    /// The bytes that the range names in `record`, the record it was made for.
    pub fn of(self, record: &[u8]) -> &[u8] {
        &record[self.start as usize..self.end as usize]
    }

    /// The same bytes, counted from the start of `outer`, which holds them. Nothing is nowhere.
    pub fn within(self, outer: Self) -> Self {
        let from = |at: u32| at.saturating_sub(outer.start);
        Self { start: from(self.start), end: from(self.end) }
    }

    /// Number of bytes.
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// True if there are no bytes.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// A run of items in one of the vectors of a scan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Index of the first item.
    pub start: u32,
    /// One past the last item.
    pub end: u32,
}

impl Run {
    /// The items of the run in `items`, the vector it was made for.
    pub fn of<T>(self, items: &[T]) -> &[T] {
        &items[self.start as usize..self.end as usize]
    }
}

/// One valid span of a record. It has a field for each field of a span that is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpanRef {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its own id.
    pub span_id: SpanId,
    /// True if it has no parent: the parent id is empty or all zeros.
    pub is_root: bool,
    /// `start_time_unix_nano`.
    pub start_unix_nano: u64,
    /// `end_time_unix_nano`.
    pub end_unix_nano: u64,
    /// `status.code` as on the wire: 0 unset, 1 ok, 2 error; others are unknown.
    pub status: i32,
    /// `kind` as on the wire.
    pub kind: i32,
    /// `flags`: the low 8 bits are the W3C trace flags.
    pub flags: u32,
    /// `name`.
    pub name: Slice,
    /// `trace_state`, the W3C tracestate header.
    pub trace_state: Slice,
    /// Those of its attributes that the scan was asked to look at.
    pub attributes: Run,
    /// Index of its scope in the scan.
    pub scope: u32,
    /// The span with its tag and length, as it stands in `ScopeSpans.spans`: the span's wire bytes.
    pub framed: Slice,
}

/// What few policies ask of a span: read only if one does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpanDetails {
    /// `parent_span_id`; empty or zeros where there is none.
    pub parent_span_id: Slice,
    /// `status.message`.
    pub status_message: Slice,
    /// `dropped_attributes_count`.
    pub dropped_attributes: u32,
    /// `dropped_events_count`.
    pub dropped_events: u32,
    /// `dropped_links_count`.
    pub dropped_links: u32,
    /// Its events, if events are asked for.
    pub events: Run,
}

impl SpanDetails {
    /// Of a span of which nothing was asked.
    pub const NONE: Self = Self {
        parent_span_id: Slice { start: 0, end: 0 },
        status_message: Slice { start: 0, end: 0 },
        dropped_attributes: 0,
        dropped_events: 0,
        dropped_links: 0,
        events: Run { start: 0, end: 0 },
    };
}

/// An event of a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventRef {
    /// `time_unix_nano`.
    pub time_unix_nano: u64,
    /// `name`.
    pub name: Slice,
    /// Those of its attributes that the scan was asked to look at.
    pub attributes: Run,
    /// `dropped_attributes_count`.
    pub dropped_attributes: u32,
}

/// What is asked of an instrumentation scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScopeDetails {
    /// `name`.
    pub name: Slice,
    /// `version`.
    pub version: Slice,
    /// Those of its attributes that the scan was asked to look at.
    pub attributes: Run,
}

impl ScopeDetails {
    /// Of a scope of which nothing was asked.
    pub const NONE: Self = Self {
        name: Slice { start: 0, end: 0 },
        version: Slice { start: 0, end: 0 },
        attributes: Run { start: 0, end: 0 },
    };
}

/// A span with everything around it that can be asked for. What the scan was not asked to look
/// at is as if it were not there.
#[derive(Clone, Copy, Debug)]
pub struct SpanView<'a> {
    /// The record that all slices are of.
    pub record: &'a [u8],
    /// The span.
    pub span: &'a SpanRef,
    /// What is rarely asked of it.
    pub details: &'a SpanDetails,
    /// Its attributes.
    pub attributes: &'a [AttributeRef],
    /// The attributes of its resource.
    pub resource: &'a [AttributeRef],
    /// Its scope.
    pub scope: &'a ScopeDetails,
    /// The attributes of its scope.
    pub scope_attributes: &'a [AttributeRef],
    /// Its events.
    pub events: &'a [EventRef],
    /// What the runs of attributes in events are of.
    pub all_attributes: &'a [AttributeRef],
}

/// An event of a span, with everything around it.
#[derive(Clone, Copy, Debug)]
pub struct EventView<'a> {
    /// The span it stands in.
    pub span: SpanView<'a>,
    /// The event.
    pub event: &'a EventRef,
    /// The attributes of the event.
    pub attributes: &'a [AttributeRef],
}

/// A key that some policy names, as an index into the keys the scan was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyIndex(pub u16);

/// An attribute that the scan was asked to look at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttributeRef {
    /// Which of the keys.
    pub key: KeyIndex,
    /// Its value.
    pub value: ValueRef,
}

/// An attribute's value (OTLP `AnyValue`), as far as it can be told without allocating.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef {
    /// No value at all.
    Empty,
    /// `string_value`: the bytes that were sent, which need not be UTF-8.
    String(Slice),
    /// `bool_value`.
    Bool(bool),
    /// `int_value`.
    Int(i64),
    /// `double_value`.
    Double(f64),
    /// `bytes_value`.
    Bytes(Slice),
    /// An array or a map (or a kind that came later): the bytes of the `AnyValue`.
    Other(Slice),
}
