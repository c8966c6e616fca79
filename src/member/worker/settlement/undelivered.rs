//! A kept trace that is not on record as delivered.

use crate::kafka::decision_log::LogEntry;
use crate::sampling::decided::{DecisionRecord, TraceDetails};

use super::LateSpans;

/// Which spans of a trace are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Those that the decision covers.
    Covered,
    /// Late ones.
    Late,
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
    /// Deliveries of late spans.
    late: usize,
    /// The late spans that are not on record as delivered.
    late_spans: Option<TraceDetails<'static>>,
}

impl Undelivered {
    /// A trace of which everything is about to be delivered, once `sequence` is written.
    pub(super) fn whole(recorded: DecisionRecord, sequence: u64) -> Self {
        Self { sequence: Some(sequence), is_whole: true, ..Self::in_parts(recorded) }
    }

    /// Its decision.
    pub(super) fn recorded(&self) -> &DecisionRecord {
        &self.recorded
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
            late_spans: None,
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

    /// Late spans came, whose delivery begins.
    pub(super) fn late_came(&mut self, late: &LateSpans) {
        match &mut self.late_spans {
            Some(before) => late.join(before),
            None => self.late_spans = Some(late.details()),
        }
    }

    /// A delivery begins. Returns the record that has to be written before.
    pub(super) fn begins(&mut self, part: Part) -> Option<u64> {
        match part {
            Part::Covered => self.covered += 1,
            Part::Late => self.late += 1,
        }
        self.sequence
    }

    /// A delivery ends. Returns what has to be put on record now.
    pub(super) fn ends(&mut self, part: Part) -> Vec<LogEntry> {
        let left = if part == Part::Covered { &mut self.covered } else { &mut self.late };
        debug_assert!(*left > 0, "a delivery ends once");
        *left = left.saturating_sub(1);
        let mut records = Vec::new();
        if self.is_whole && self.covered == 0 && !self.is_recorded {
            self.is_recorded = true;
            let record = DecisionRecord { delivered: true, ..self.recorded.clone() };
            records.push(LogEntry { record, details: None });
        }
        if self.is_recorded
            && self.late == 0
            && let Some(details) = self.late_spans.take()
            && details.records.last() > self.recorded.last
        {
            self.recorded.last = details.records.last();
            let record = DecisionRecord { delivered: true, ..self.recorded.clone() };
            records.push(LogEntry { record, details: Some(details) });
        }
        records
    }

    /// Nothing of it is under way, and all of it on record.
    pub(super) fn is_done(&self) -> bool {
        self.is_recorded && self.covered == 0 && self.late == 0
    }
}
