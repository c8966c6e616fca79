//! The topic without Kafka, for tests of those who write and read it.

use super::record::{self, Contents, GroupHash, OwnerId};
use super::supersession::{OwnershipMarker, Reading};
use super::{Log, LogBatch, LogEntry, LogTicket, Topics};
use crate::ids::{Offset, Origin, Position, Timestamp, TraceId};
use crate::sampling::decided::{DecisionRecord, SamplingDecision};
use crate::sampling::trace::Trigger;

/// The decision to drop a trace, whose id is this byte sixteen times, on the records from `first` to
/// `last`.
pub(crate) fn dropped(trace: u8, first: i64, last: i64) -> DecisionRecord {
    DecisionRecord {
        trace_id: TraceId::from_slice(&[trace; 16]).expect("it is not zero"),
        decision: SamplingDecision::Dropped,
        dropped_by: None,
        first: Offset(first),
        last: Offset(last),
        at: Timestamp(0),
        trigger: Trigger::Wait,
        delivered: false,
    }
}

/// A log that takes nothing: the test moves the batches itself.
#[derive(Debug)]
pub(crate) struct ByHand(pub(crate) GroupHash);

impl Log for ByHand {
    fn group(&self) -> GroupHash {
        self.0
    }

    fn append(&self, _: LogTicket, batch: LogBatch) -> Result<(), LogBatch> {
        Err(batch)
    }

    fn read_back(&self, _: Origin, _: OwnerId, _: Topics, _: Option<Position>) {}
}

impl LogBatch {
    /// An ownership marker.
    pub(crate) fn marker(group: GroupHash, owner: OwnerId) -> Self {
        Self::of(record::marker(owner, group, Timestamp(0), None))
    }

    /// A log batch of these decisions.
    pub(crate) fn with(group: GroupHash, owner: OwnerId, decisions: &[DecisionRecord]) -> Self {
        let mut batch = Self::new(group, owner);
        decisions.iter().for_each(|record| batch.push(record, None));
        batch
    }

    /// Its value.
    pub(crate) fn value(&self) -> &[u8] {
        &self.value
    }

    /// Its entries.
    pub(crate) fn entries(&self) -> Vec<LogEntry> {
        record::read_whole(Some(&self.value)).map_or(Vec::new(), |whole| whole.entries)
    }

    /// Its owner and its decisions, if it contains decisions.
    pub(crate) fn decisions(&self, group: GroupHash) -> Option<(OwnerId, Vec<DecisionRecord>)> {
        match record::read(group, Some(&self.value)) {
            Ok((owner, Contents::Decisions { decisions, .. })) => Some((owner, decisions)),
            _ => None,
        }
    }
}

/// What a new owner gets of these log batches, the first of which is at `from`.
pub(crate) fn read_back<'a>(
    group: GroupHash,
    from: Position,
    batches: impl IntoIterator<Item = &'a LogBatch>,
) -> (Vec<DecisionRecord>, Vec<OwnershipMarker>) {
    let mut reading = Reading::default();
    for (position, batch) in (from.0..).map(Position).zip(batches) {
        let _ = reading.read(group, position, Some(&batch.value));
    }
    reading.finish(None)
}
