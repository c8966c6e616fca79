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

/// Bytes that a block costs beside its spans: its entry, and what allocations round up to.
const BLOCK_OVERHEAD: u64 = 48;

/// Spans in the order they came: one block for each run of a record, of its very size. Nothing is
/// copied again when a trace grows, and no room is held in reserve.
#[derive(Debug, Default)]
pub struct Payload {
    blocks: SmallVec<[(Segment, Box<[u8]>); 2]>,
}

impl Payload {
    /// Adds spans that are framed as in `ScopeSpans.spans`, back to back. Returns what that costs
    /// in memory.
    pub fn push(&mut self, segment: Segment, framed: &[u8]) -> u64 {
        self.blocks.push((segment, framed.into()));
        framed.len() as u64 + BLOCK_OVERHEAD
    }

    /// How many times something was added.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// What was added after `index` others.
    pub fn block(&self, index: usize) -> Option<(Segment, &[u8])> {
        self.blocks.get(index).map(|(segment, framed)| (*segment, &**framed))
    }

    /// What was added, in order.
    pub fn segments(&self) -> impl Iterator<Item = (Segment, &[u8])> + Clone {
        self.blocks.iter().map(|(segment, framed)| (*segment, &**framed))
    }
}
