//! Spans of a record that can be taken in together.

use crate::ids::TraceId;
use crate::otlp::span::{Slice, SpanRef};

/// Spans of one trace that stand back to back in one scope of a record.
#[derive(Clone, Copy, Debug)]
pub struct SpanRun<'a> {
    /// Never empty.
    pub spans: &'a [SpanRef],
    /// The place of the first one among those of the record.
    pub first: usize,
    /// All of them, each with its tag and length.
    pub framed: Slice,
}

impl SpanRun<'_> {
    /// The trace of all of them.
    pub fn trace_id(&self) -> TraceId {
        self.spans[0].trace_id
    }

    /// Their number.
    pub fn count(&self) -> u32 {
        self.spans.len() as u32
    }

    /// Their wire bytes.
    pub fn bytes(&self) -> u64 {
        self.framed.len() as u64
    }
}

/// All spans of a record, in the longest runs that there are.
pub fn runs(spans: &[SpanRef]) -> impl Iterator<Item = SpanRun<'_>> {
    let mut first = 0;
    std::iter::from_fn(move || {
        let run = next_run(spans, first)?;
        first += run.spans.len();
        Some(run)
    })
}

/// The longest run from the span number `start` on; `None` if there is no such span.
#[inline]
fn next_run(spans: &[SpanRef], start: usize) -> Option<SpanRun<'_>> {
    let spans = &spans[start..];
    let first = spans.first()?;
    let mut framed = first.framed;
    let mut length = 1;
    for span in &spans[1..] {
        let joins = span.trace_id == first.trace_id
            && span.scope == first.scope
            && span.framed.start == framed.end;
        if !joins {
            break;
        }
        framed.end = span.framed.end;
        length += 1;
    }
    Some(SpanRun { spans: &spans[..length], first: start, framed })
}
