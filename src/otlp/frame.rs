//! Kept spans into chunks of requests: re-framed, not re-encoded.

use super::schema;
use super::splice::{Additions, Outcome, Spliced, splice};
use super::wire::{Reader, delimited_len, write_delimited_head};

pub(super) const RESOURCE_SPANS_FIELD: u32 = 1;
pub(super) const SCOPE_SPANS_FIELD: u32 = 2;

/// Spans that share resource and scope.
#[derive(Clone, Copy, Debug)]
pub struct SpanSegment<'a> {
    /// The fields of their `ResourceSpans` other than `scope_spans`.
    pub resource: &'a [u8],
    /// The fields of their `ScopeSpans` other than `spans`.
    pub scope: &'a [u8],
    /// The spans, framed as in `ScopeSpans.spans`, back to back.
    pub spans: &'a [u8],
}

/// Whether the headers of the segment in hand are UTF-8: found out once for each, as a large one may
/// stand before very many small ones.
#[derive(Clone, Copy, Debug)]
struct HeaderText {
    resource_is_utf8: bool,
    scope_is_utf8: bool,
}

impl HeaderText {
    fn next(self, last: Option<SpanSegment<'_>>, segment: &SpanSegment<'_>) -> Self {
        let same_resource = last.is_some_and(|it| std::ptr::eq(it.resource, segment.resource));
        let same_scope = last.is_some_and(|it| std::ptr::eq(it.scope, segment.scope));
        let resource = || schema::RESOURCE_HEADER.is_utf8(segment.resource);
        let scope = || schema::SCOPE_HEADER.is_utf8(segment.scope);
        Self {
            resource_is_utf8: if same_resource { self.resource_is_utf8 } else { resource() },
            scope_is_utf8: if same_scope { self.scope_is_utf8 } else { scope() },
        }
    }

    fn is_utf8(self) -> bool {
        self.resource_is_utf8 && self.scope_is_utf8
    }
}

/// A valid `ExportTraceServiceRequest`, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FramedChunk {
    /// `ResourceSpans` fields, back to back.
    pub bytes: Vec<u8>,
    /// Number of spans in it.
    pub spans: u32,
}

/// What became of a trace's spans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Framed {
    /// Chunks, none larger than the bound.
    pub chunks: Vec<FramedChunk>,
    /// Spans that are larger than a chunk may be, and were left out.
    pub oversized_spans: u32,
    /// Spans whose tracestate could not take the threshold.
    pub malformed_tracestate: u32,
    /// Spans with text that is not UTF-8, their own or that of their resource or scope.
    pub not_utf8: u32,
}

/// Frames traces. Its buffers are used again from trace to trace.
#[derive(Debug)]
pub struct Framer {
    max_chunk_bytes: usize,
    /// Of the tracestate of the span before.
    tracestate: Option<Outcome>,
    /// The spliced spans of the scope in hand.
    spans: Vec<u8>,
    /// The finished `ScopeSpans` of the resource in hand.
    scopes: Vec<u8>,
    /// The finished `ResourceSpans` of the chunk in hand.
    resources: Vec<u8>,
    /// Number of spans in the chunk in hand, finished or not.
    chunk_spans: u32,
}

impl Framer {
    /// Makes chunks of at most `max_chunk_bytes` bytes.
    pub fn new(max_chunk_bytes: usize) -> Self {
        let (spans, scopes, resources) = (Vec::new(), Vec::new(), Vec::new());
        Self { max_chunk_bytes, tracestate: None, spans, scopes, resources, chunk_spans: 0 }
    }

    /// Frames the spans of a trace with what is added to them. Neighbours that share a resource
    /// or a scope share its header; where a trace is too large for one chunk, each next chunk has
    /// the headers again.
    pub fn frame<'a>(
        &mut self,
        segments: impl Iterator<Item = SpanSegment<'a>>,
        additions: &Additions<'_>,
    ) -> Framed {
        let mut framed = Framed::default();
        let mut open: Option<SpanSegment<'a>> = None;
        let mut headers = HeaderText { resource_is_utf8: true, scope_is_utf8: true };
        for segment in segments {
            headers = headers.next(open, &segment);
            if let Some(last) = open {
                let same_resource = std::ptr::eq(last.resource, segment.resource);
                if !same_resource || !std::ptr::eq(last.scope, segment.scope) {
                    self.close_scope(last.scope);
                }
                if !same_resource {
                    self.close_resource(last.resource);
                }
            }
            open = Some(segment);
            let mut reader = Reader::new(segment.spans, 0);
            while let Some(span) = next_span(&mut reader, segment.spans) {
                framed.not_utf8 += u32::from(!headers.is_utf8() || !is_utf8(span));
                self.add_span(span, &segment, additions, &mut framed);
            }
        }
        if let Some(last) = open {
            self.close_chunk(&last, &mut framed);
        }
        framed
    }

    fn add_span(
        &mut self,
        span: &[u8],
        segment: &SpanSegment<'_>,
        additions: &Additions<'_>,
        framed: &mut Framed,
    ) {
        let before = self.spans.len();
        // A span that was scanned cannot fail to be read again.
        let spliced = splice(span, additions, &mut self.tracestate, &mut self.spans);
        debug_assert!(spliced.is_ok(), "only scanned spans are framed");
        if spliced == Ok(Spliced::MalformedTracestate) {
            framed.malformed_tracestate += 1;
        }
        if !self.fits(segment) && self.chunk_spans > 0 {
            let span = self.spans.split_off(before);
            self.close_chunk(segment, framed);
            self.spans = span;
        }
        if self.fits(segment) {
            self.chunk_spans += 1;
        } else {
            // Alone in a chunk: there is nothing else.
            self.spans.clear();
            framed.oversized_spans += 1;
        }
    }

    /// True if the chunk, with all that is open, is not too large.
    fn fits(&self, segment: &SpanSegment<'_>) -> bool {
        let scope = segment.scope.len() + self.spans.len();
        let resource = segment.resource.len() + self.scopes.len();
        let resource = resource + delimited_len(SCOPE_SPANS_FIELD, scope);
        let chunk = self.resources.len() + delimited_len(RESOURCE_SPANS_FIELD, resource);
        chunk <= self.max_chunk_bytes
    }

    /// Finishes the chunk, in which `segment` came last.
    fn close_chunk(&mut self, segment: &SpanSegment<'_>, framed: &mut Framed) {
        self.close_scope(segment.scope);
        self.close_resource(segment.resource);
        if self.chunk_spans > 0 {
            // Of its very size: it may wait for long.
            let bytes = self.resources.as_slice().into();
            framed.chunks.push(FramedChunk { bytes, spans: self.chunk_spans });
        }
        self.resources.clear();
        self.chunk_spans = 0;
    }

    fn close_scope(&mut self, header: &[u8]) {
        if self.spans.is_empty() {
            return;
        }
        let length = header.len() + self.spans.len();
        write_delimited_head(SCOPE_SPANS_FIELD, length, &mut self.scopes);
        self.scopes.extend_from_slice(header);
        self.scopes.append(&mut self.spans);
    }

    fn close_resource(&mut self, header: &[u8]) {
        if self.scopes.is_empty() {
            return;
        }
        let length = header.len() + self.scopes.len();
        write_delimited_head(RESOURCE_SPANS_FIELD, length, &mut self.resources);
        self.resources.extend_from_slice(header);
        self.resources.append(&mut self.scopes);
    }
}

/// The next of spans that stand back to back.
fn next_span<'a>(reader: &mut Reader<'_>, spans: &'a [u8]) -> Option<&'a [u8]> {
    let start = reader.position();
    reader.tag().ok()?;
    let (_, end) = reader.delimited().ok()?;
    Some(&spans[start..end])
}

/// True if all text of a span, which has its tag and length, is UTF-8.
fn is_utf8(span: &[u8]) -> bool {
    let mut reader = Reader::new(span, 0);
    match reader.tag().and_then(|_| reader.delimited()) {
        Ok((start, end)) => schema::SPAN.is_utf8(&span[start..end]),
        Err(_) => true,
    }
}
