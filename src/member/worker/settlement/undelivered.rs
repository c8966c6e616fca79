//! A kept trace that is not on record as delivered.

use crate::ids::Offset;
use crate::sampling::decided::DecisionRecord;

/// Which spans of a trace are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Those that the decision covers.
    Covered,
    /// Late ones, of the record at this offset.
    Late(Offset),
}

/// A kept trace that is not on record as delivered.
#[derive(Debug)]
pub(super) struct Undelivered {
    recorded: DecisionRecord,
    /// The record of the decision, which nothing of the trace may overtake; `None` if it was on
    /// the log before this ownership began, or is no concern any more.
    sequence: Option<u64>,
    /// Deliveries of what the decision covers.
    covered: usize,
    /// All that the decision covers was handed over.
    is_whole: bool,
    /// It is on record that what the decision covers was delivered.
    is_recorded: bool,
    /// Deliveries of late spans, and the last record with such spans.
    late: usize,
    late_until: Option<Offset>,
}

impl Undelivered {
    /// A trace of which everything is about to be delivered, once `sequence` is written.
    pub(super) fn whole(recorded: DecisionRecord, sequence: u64) -> Self {
        Self { sequence: Some(sequence), is_whole: true, ..Self::in_parts(recorded) }
    }

    /// A trace whose decision is on record, and that is delivered as it is read.
    pub(super) fn in_parts(recorded: DecisionRecord) -> Self {
        Self {
            recorded,
            sequence: None,
            covered: 0,
            is_whole: false,
            is_recorded: false,
            late: 0,
            late_until: None,
        }
    }

    /// A trace that is delivered, besides spans that come late.
    pub(super) fn but_late(recorded: DecisionRecord) -> Self {
        Self { is_whole: true, is_recorded: true, ..Self::in_parts(recorded) }
    }

    /// All that the decision covers was handed over.
    pub(super) fn complete(&mut self) {
        self.is_whole = true;
    }

    /// A delivery begins. Returns the record that has to be written before.
    pub(super) fn begins(&mut self, part: Part) -> Option<u64> {
        match part {
            Part::Covered => self.covered += 1,
            Part::Late(offset) => {
                self.late += 1;
                self.late_until = self.late_until.max(Some(offset));
            }
        }
        self.sequence
    }

    /// A delivery ends. Returns what has to be put on record now.
    pub(super) fn ends(&mut self, part: Part) -> Vec<DecisionRecord> {
        let left = if part == Part::Covered { &mut self.covered } else { &mut self.late };
        debug_assert!(*left > 0, "a delivery ends once");
        *left = left.saturating_sub(1);
        let mut records = Vec::new();
        if self.is_whole && self.covered == 0 && !self.is_recorded {
            self.is_recorded = true;
            records.push(DecisionRecord { delivered: true, ..self.recorded.clone() });
        }
        if self.is_recorded
            && self.late == 0
            && let Some(last) = self.late_until.take_if(|last| *last > self.recorded.last)
        {
            self.recorded.last = last;
            records.push(DecisionRecord { delivered: true, ..self.recorded.clone() });
        }
        records
    }

    /// Nothing of it is under way, and all of it on record.
    pub(super) fn is_done(&self) -> bool {
        self.is_recorded && self.covered == 0 && self.late == 0
    }
}
