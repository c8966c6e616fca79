//! What a condition can see.

use crate::otlp::span::{EventView, SpanView};

/// What a condition is asked about. Paths into a part that is missing are nil.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields<'a> {
    /// The span, with its resource and scope; that of the event if there is only one.
    pub span: Option<&'a SpanView<'a>>,
    /// The event, for conditions on events.
    pub event: Option<&'a EventView<'a>>,
    /// The root span of the trace, for `root.` paths.
    pub root: Option<&'a SpanView<'a>>,
    /// The trace, for `trace.` paths.
    pub trace: Option<TraceFields>,
}

impl<'a> Fields<'a> {
    /// A span, with its resource and scope.
    pub fn of_span(span: &'a SpanView<'a>) -> Self {
        Self { span: Some(span), ..Self::default() }
    }

    /// An event and the span it stands in.
    pub fn of_event(event: &'a EventView<'a>) -> Self {
        Self { event: Some(event), ..Self::default() }
    }

    pub(super) fn span(&self) -> Option<&'a SpanView<'a>> {
        self.span.or(self.event.map(|event| &event.span))
    }
}

/// A trace as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceFields {
    /// `trace.duration_ms`: from the earliest start to the latest end, in whole milliseconds.
    pub duration_ms: i64,
    /// `trace.span_count`.
    pub span_count: i64,
    /// `trace.error_count`: spans with status ERROR.
    pub error_count: i64,
    /// `trace.service_count`: different services.
    pub service_count: i64,
    /// `trace.bytes`: wire bytes of its spans.
    pub bytes: i64,
}
