//! The spans of one open trace, as wire bytes.

use smallvec::SmallVec;

use super::HeaderId;

/// Which resource and scope a run of spans belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The header of their `ResourceSpans`.
    pub resource: HeaderId,
    /// The header of their `ScopeSpans`.
    pub scope: HeaderId,
}

/// Spans in the order they came, in runs that share resource and scope.
#[derive(Debug, Default)]
pub struct Payload {
    bytes: Vec<u8>,
    /// The segments, each with the end of its spans in `bytes`.
    segments: SmallVec<[(Segment, u32); 2]>,
}

impl Payload {
    /// Adds spans that are framed as in `ScopeSpans.spans`, back to back.
    pub fn push(&mut self, segment: Segment, framed: &[u8]) {
        self.reserve(framed.len());
        self.bytes.extend_from_slice(framed);
        let end = u32::try_from(self.bytes.len()).expect("a trace's size cap is below 4 GiB");
        match self.segments.last_mut() {
            Some((last, last_end)) if *last == segment => *last_end = end,
            _ => self.segments.push((segment, end)),
        }
    }

    /// The segment that the next spans of the same resource and scope would join.
    pub fn last_segment(&self) -> Option<Segment> {
        self.segments.last().map(|(segment, _)| *segment)
    }

    /// The runs: resource and scope, and the framed spans back to back.
    pub fn segments(&self) -> impl Iterator<Item = (Segment, &[u8])> {
        let mut start = 0;
        self.segments.iter().map(move |(segment, end)| {
            let spans = &self.bytes[start..*end as usize];
            start = *end as usize;
            (*segment, spans)
        })
    }

    /// Most traces come in a few records: growing by a quarter instead of doubling keeps memory
    /// near the wire size, and still amortises copying for those that come in thousands.
    fn reserve(&mut self, more: usize) {
        let needed = self.bytes.len() + more;
        if needed > self.bytes.capacity() {
            let room = more.max(self.bytes.capacity() / 2);
            self.bytes.reserve_exact(room);
        }
    }
}
