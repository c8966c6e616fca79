//! What was decided before this ownership began, of records that are read again.
//!
//! A record below the old owner's position holds spans of traces that it had decided already. They
//! follow that decision: what was dropped, or delivered, is passed over; what was kept and perhaps
//! not delivered is delivered, span for span as it is read.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::DecisionRecord;
use crate::ids::{Offset, Position, TraceId};

/// The decisions that cover records which are read again.
#[derive(Debug, Default)]
pub struct PriorDecisions {
    /// More than one for a trace whose earlier decision had been forgotten when it came again.
    by_trace: HashMap<TraceId, SmallVec<[DecisionRecord; 1]>, RandomState>,
    /// Decisions that were forgotten before their traces were decided again: what is read again of
    /// before then came late to these.
    earlier: HashMap<TraceId, SmallVec<[DecisionRecord; 1]>, RandomState>,
    /// Behind this there is nothing that any of them covers.
    until: Option<Offset>,
}

impl PriorDecisions {
    /// Takes note of a decision if it covers anything from `start` on.
    pub fn learn(&mut self, start: Position, recorded: &DecisionRecord) {
        if recorded.last.0 < start.0 {
            return;
        }
        self.until = self.until.max(Some(recorded.last));
        self.by_trace.entry(recorded.trace_id).or_default().push(recorded.clone());
    }

    /// The decision that covers the spans of a trace in the record at `offset`.
    pub fn covering(&self, id: TraceId, offset: Offset) -> Option<&DecisionRecord> {
        if self.until.is_none_or(|until| until < offset) {
            return None;
        }
        let covers =
            |recorded: &&DecisionRecord| recorded.first <= offset && offset <= recorded.last;
        // Where spans were decided in time, nothing was re-opened by them: a former owner, whose clock was
        // ahead, had taken them for late ones.
        let order = |recorded: &&DecisionRecord| (recorded.trigger.takes_back(), recorded.last);
        self.by_trace.get(&id)?.iter().filter(covers).min_by_key(order)
    }

    /// All of a trace, in no order.
    pub fn of(&self, id: TraceId) -> impl Iterator<Item = &DecisionRecord> {
        let of = [&self.by_trace, &self.earlier].into_iter().filter_map(move |it| it.get(&id));
        of.flatten()
    }

    /// True as long as records may come that a decision covers already.
    pub fn are_read_again(&self) -> bool {
        self.until.is_some()
    }

    /// Takes note of a decision that another one of its trace begins after.
    pub(super) fn learn_earlier(&mut self, recorded: DecisionRecord) {
        self.earlier.entry(recorded.trace_id).or_default().push(recorded);
    }

    /// The latest of those decisions that began before `offset`.
    pub(super) fn earlier(&self, id: TraceId, offset: Offset) -> Option<&DecisionRecord> {
        let began = |recorded: &&DecisionRecord| recorded.first <= offset;
        self.earlier.get(&id)?.iter().filter(began).max_by_key(|recorded| recorded.first)
    }

    /// Everything below `next` was read: what covers nothing further is forgotten.
    pub(super) fn passed(&mut self, next: Position) {
        if self.until.is_some_and(|until| until.0 < next.0) {
            *self = Self::default();
        }
    }

    /// How many traces it knows.
    pub fn len(&self) -> usize {
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
        let mut prior = PriorDecisions::default();
        prior.learn(Position(100), &dropped(1, 90, 110));
        prior.learn(Position(100), &dropped(1, 120, 130));
        prior.learn(Position(100), &dropped(2, 50, 99));
        let found = |trace, offset| prior.covering(id(trace), Offset(offset)).map(|it| it.last.0);
        assert_eq!(found(1, 100), Some(110));
        assert_eq!(found(1, 110), Some(110));
        assert_eq!(found(1, 115), None, "between two decisions it is late");
        assert_eq!(found(1, 120), Some(130));
        assert_eq!(found(1, 131), None);
        assert_eq!(found(2, 100), None);
        assert_eq!(prior.len(), 1, "what covers nothing that is read again is not kept");
    }

    #[test]
    fn it_is_forgotten_when_it_was_passed() {
        let mut prior = PriorDecisions::default();
        prior.learn(Position(0), &dropped(1, 0, 10));
        prior.passed(Position(10));
        assert_eq!(prior.len(), 1);
        prior.passed(Position(11));
        assert_eq!(prior.len(), 0);
    }
}
