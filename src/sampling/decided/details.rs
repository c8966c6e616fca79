//! What is on record of a trace beside the decision: where it is found again, and what it was like.

use std::borrow::Cow;
use std::time::Duration;

use crate::sampling::trace::RecordOffsets;

/// The spans that an entry of the decision log is the first to tell of: those that were decided, or
/// late ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceDetails<'a> {
    /// The records that hold them.
    pub records: RecordOffsets,
    /// How many there are.
    pub spans: u64,
    /// Their wire bytes, without the resource and scope that they share.
    pub bytes: u64,
    /// From the earliest start to the latest end; of late spans it is not known.
    pub duration: Option<Duration>,
    /// How many have the status ERROR; of late spans it is not known.
    pub errors: Option<u32>,
    /// The `service.name` of the root span, or of the first one if no root came; empty if it has
    /// none, and of late spans.
    pub service: Cow<'a, str>,
    /// The name of the same span.
    pub name: Cow<'a, str>,
}

impl TraceDetails<'_> {
    /// Of late spans.
    pub fn late(records: RecordOffsets, spans: u64, bytes: u64) -> Self {
        let (service, name) = Default::default();
        Self { records, spans, bytes, duration: None, errors: None, service, name }
    }

    /// True of late spans.
    pub fn is_late(&self) -> bool {
        self.duration.is_none()
    }
}
