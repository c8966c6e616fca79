//! One partition's part in the decision log: its owner id there, the decisions that are not written
//! yet, and the position from which the log has to be read back.

use super::log_batches::{LetGo, LogBatches, NewEntry};
use super::log_positions::LogPositions;
use crate::ids::{Offset, Origin, Position, Timestamp};
use crate::kafka::decision_log::{GroupHash, LogBatch, LogTicket, OwnerId, OwnershipMarker};
use crate::member::worker::gathering::Urgency;
use crate::member::worker::outbound::Outbox;
use crate::sampling::decided::DecisionRecord;

/// What one ownership puts on record.
#[derive(Debug)]
pub(in crate::member::worker) struct Recording {
    origin: Origin,
    /// The ids in its records; `None` without a decision log.
    writer: Option<(GroupHash, OwnerId)>,
    /// Decisions that are not on the log yet, and what waits for that.
    pub(super) batches: LogBatches,
    /// That of the most urgent decision of the open batch.
    urgency: Urgency,
    positions: LogPositions,
}

impl Recording {
    /// Nothing is written yet. The log reaches back to `from` at least.
    pub(super) fn new(
        origin: Origin,
        writer: Option<(GroupHash, OwnerId)>,
        from: Position,
    ) -> Self {
        let positions = LogPositions::new(from);
        let batches = LogBatches::default();
        Self { origin, writer, batches, urgency: Urgency::Later, positions }
    }

    /// True if there is a decision log.
    pub(in crate::member::worker) fn is_on(&self) -> bool {
        self.writer.is_some()
    }

    /// Puts an entry on record. Returns the number of the record; `None` without a decision log.
    pub(super) fn record(
        &mut self,
        entry: &NewEntry<'_>,
        urgency: Urgency,
        out: &mut Outbox,
    ) -> Option<u64> {
        let (group, owner) = self.writer?;
        let mut is_new = false;
        let sequence = self.batches.push(entry, || {
            is_new = true;
            LogBatch::new(group, owner)
        });
        if self.batches.is_full() {
            self.close_batch(out);
        } else if is_new || urgency > self.urgency {
            self.urgency = urgency;
            out.open_batches.push((self.origin, urgency));
        }
        Some(sequence)
    }

    /// The decisions so far go to the log together.
    pub(in crate::member::worker) fn close_batch(&mut self, out: &mut Outbox) {
        if let Some((sequence, batch)) = self.batches.close() {
            out.batches.push_back((LogTicket { origin: self.origin, sequence }, batch));
        }
    }

    /// A record is on the log, at `offset`, and the clock at `clock`. Returns what waited for it,
    /// unless that is known already.
    pub(super) fn written(
        &mut self,
        sequence: u64,
        offset: Offset,
        clock: Timestamp,
    ) -> Option<LetGo> {
        self.positions.note(clock, offset.next());
        self.batches.written(sequence)
    }

    /// These decisions were on the log before this ownership began.
    pub(in crate::member::worker) fn learned(&mut self, decisions: &[DecisionRecord]) {
        decisions.iter().for_each(|recorded| self.positions.learn(recorded.at));
    }

    /// All of the log was learned: what there is begins at `from`, the markers behind it.
    pub(in crate::member::worker) fn read_back(
        &mut self,
        from: Position,
        markers: &[OwnershipMarker],
    ) {
        self.positions.learned_from(from, markers);
    }

    /// From where the log has to be read back for what was decided at `clock` or later.
    pub(in crate::member::worker) fn since(&mut self, clock: Timestamp) -> Position {
        self.positions.since(clock)
    }

    /// A position of the log that everything of `clock` or later is at or behind.
    pub(super) fn position_before(&self, clock: Timestamp) -> Position {
        self.positions.before(clock)
    }

    /// Bytes of kept traces that wait for the log.
    pub(super) fn waiting_bytes(&self) -> u64 {
        self.batches.bytes()
    }
}
