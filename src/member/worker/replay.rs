//! What was decided before this ownership began, of records that are read again.
//!
//! A record below the old owner's position holds spans of traces that it had decided already. They
//! follow that decision: what was dropped, or delivered, is passed over; what was kept and perhaps
//! not delivered is delivered, span for span as it is read.

use smallvec::SmallVec;

use super::decide::Remembered;
use crate::ids::{Offset, Position, TraceId};
use crate::kafka::decision_log::DecisionRecord;
use crate::sampling::trace::Decided;

/// A decision that late spans follow.
pub(super) type Late = Decided<Remembered>;

/// The decisions that cover records which are read again.
#[derive(Debug, Default)]
pub(super) struct Replay {
    /// More than one for a trace whose earlier decision had been forgotten when it came again.
    by_trace:
        hashbrown::HashMap<TraceId, SmallVec<[DecisionRecord; 1]>, foldhash::fast::RandomState>,
    /// Decisions that were forgotten before their traces were decided again: what is read again of
    /// before then came late to these.
    earlier: hashbrown::HashMap<TraceId, SmallVec<[Late; 1]>, foldhash::fast::RandomState>,
    /// Behind this there is nothing that any of them covers.
    until: Option<Offset>,
}

impl Replay {
    /// Takes note of a decision if it covers anything from `start` on.
    pub(super) fn learn(&mut self, start: Position, recorded: &DecisionRecord) {
        if recorded.last.0 < start.0 {
            return;
        }
        self.until = self.until.max(Some(recorded.last));
        self.by_trace.entry(recorded.trace_id).or_default().push(recorded.clone());
    }

    /// The decision that covers the spans of a trace in the record at `offset`.
    pub(super) fn find(&self, id: TraceId, offset: Offset) -> Option<&DecisionRecord> {
        if self.until.is_none_or(|until| until < offset) {
            return None;
        }
        let covers =
            |recorded: &&DecisionRecord| recorded.first <= offset && offset <= recorded.last;
        self.by_trace.get(&id)?.iter().filter(covers).min_by_key(|recorded| recorded.last)
    }

    /// True as long as records may come that a decision covers already.
    pub(super) fn is_under_way(&self) -> bool {
        self.until.is_some()
    }

    /// Takes note of a decision that another one of its trace begins after.
    pub(super) fn learn_earlier(&mut self, id: TraceId, decided: Late) {
        self.earlier.entry(id).or_default().push(decided);
    }

    /// The latest of those decisions that began before `offset`.
    pub(super) fn find_earlier(&self, id: TraceId, offset: Offset) -> Option<&Late> {
        let began = |decided: &&Late| decided.decision.covers.0 <= offset;
        self.earlier.get(&id)?.iter().filter(began).max_by_key(|it| it.decision.covers.0)
    }

    /// Everything below `next` was read: what covers nothing further is forgotten.
    pub(super) fn passed(&mut self, next: Position) {
        if self.until.is_some_and(|until| until.0 < next.0) {
            *self = Self::default();
        }
    }

    /// How many traces it knows.
    pub(super) fn len(&self) -> usize {
        self.by_trace.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::decision_log::testing::dropped;

    fn id(trace: u8) -> TraceId {
        TraceId::from_slice(&[trace; 16]).unwrap()
    }

    #[test]
    fn a_decision_covers_from_its_first_to_its_last_record() {
        let mut replay = Replay::default();
        replay.learn(Position(100), &dropped(1, 90, 110));
        replay.learn(Position(100), &dropped(1, 120, 130));
        replay.learn(Position(100), &dropped(2, 50, 99));
        let found = |trace, offset| replay.find(id(trace), Offset(offset)).map(|it| it.last.0);
        assert_eq!(found(1, 100), Some(110));
        assert_eq!(found(1, 110), Some(110));
        assert_eq!(found(1, 115), None, "between two decisions it is late");
        assert_eq!(found(1, 120), Some(130));
        assert_eq!(found(1, 131), None);
        assert_eq!(found(2, 100), None);
        assert_eq!(replay.len(), 1, "what covers nothing that is read again is not kept");
    }

    #[test]
    fn it_is_forgotten_when_it_was_passed() {
        let mut replay = Replay::default();
        replay.learn(Position(0), &dropped(1, 0, 10));
        replay.passed(Position(10));
        assert_eq!(replay.len(), 1);
        replay.passed(Position(11));
        assert_eq!(replay.len(), 0);
    }
}
