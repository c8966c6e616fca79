//! From where the decision log has to be read back.

use std::collections::VecDeque;

use crate::ids::{Position, Timestamp};
use crate::kafka::decision_log::OwnershipMarker;

/// Positions of the log are noted at most this often, on the partition's clock.
const NOTE_INTERVAL_MILLIS: i64 = 1000;

/// From where the log has to be read back, by the partition's clock.
#[derive(Debug)]
pub(super) struct LogPositions {
    /// At this clock everything that is decided later comes at this position or behind it. In
    /// order; never empty.
    notes: VecDeque<(Timestamp, Position)>,
    /// The clock of the latest decision that was on the log when this ownership began. Until the
    /// partition's clock is there again, what is decided now comes behind decisions of later.
    learned: Timestamp,
}

impl LogPositions {
    /// All that is known is that `from` is early enough.
    pub(super) fn new(from: Position) -> Self {
        let learned = Timestamp(i64::MIN);
        Self { notes: VecDeque::from([(learned, from)]), learned }
    }

    /// A decision made at `clock` was on the log before.
    pub(super) fn learn(&mut self, clock: Timestamp) {
        self.learned = self.learned.max(clock);
    }

    /// All that was learned is at `from` or behind it, with `markers` of ownerships in it. Without these a
    /// partition that changes hands more often than decisions are forgotten would have its whole log
    /// read back each time.
    pub(super) fn learned_from(&mut self, from: Position, markers: &[OwnershipMarker]) {
        let later = markers.iter().map(|it| (it.latest, it.position));
        self.notes = std::iter::once((Timestamp(i64::MIN), from)).chain(later).collect();
    }

    /// Everything below `position` is written, and it is `clock`.
    pub(super) fn note(&mut self, clock: Timestamp, position: Position) {
        let clock = clock.max(self.learned);
        let (last, _) = self.notes.back().copied().unwrap_or((Timestamp(i64::MIN), position));
        if clock.0.saturating_sub(last.0) >= NOTE_INTERVAL_MILLIS {
            self.notes.push_back((clock, position));
        }
    }

    /// The same as [`LogPositions::since`], of a time that may be asked for again.
    pub(super) fn before(&self, clock: Timestamp) -> Position {
        let later = self.notes.iter().take_while(|(at, _)| *at < clock);
        later.last().or(self.notes.front()).map_or(Position(0), |(_, position)| *position)
    }

    /// A position at or behind which is everything that was decided at `clock` or later. Asked
    /// with a clock that never goes back.
    pub(super) fn since(&mut self, clock: Timestamp) -> Position {
        while self.notes.get(1).is_some_and(|(at, _)| *at < clock) {
            self.notes.pop_front();
        }
        self.notes.front().map_or(Position(0), |(_, position)| *position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_read_from_before_the_first_decision_that_counts() {
        let mut positions = LogPositions::new(Position(5));
        positions.note(Timestamp(1000), Position(10));
        positions.note(Timestamp(1500), Position(15));
        positions.note(Timestamp(2000), Position(20));
        positions.note(Timestamp(3000), Position(30));
        assert_eq!(positions.since(Timestamp(900)), Position(5));
        assert_eq!(positions.since(Timestamp(1000)), Position(5), "some at 1000 came before");
        assert_eq!(positions.since(Timestamp(1001)), Position(10));
        assert_eq!(positions.since(Timestamp(2001)), Position(20));
        assert_eq!(positions.since(Timestamp(9000)), Position(30));
    }

    #[test]
    fn what_is_read_again_does_not_hide_decisions_of_later() {
        let mut positions = LogPositions::new(Position(0));
        positions.learn(Timestamp(5000));
        positions.learned_from(Position(3), &[]);
        positions.note(Timestamp(1000), Position(10));
        positions.note(Timestamp(7000), Position(20));
        assert_eq!(positions.since(Timestamp(5000)), Position(3), "one at 5000 came before 10");
        assert_eq!(positions.since(Timestamp(5001)), Position(10));
        assert_eq!(positions.since(Timestamp(7001)), Position(20));
    }

    #[test]
    fn a_log_whose_owners_change_often_is_not_read_from_its_beginning() {
        let mut positions = LogPositions::new(Position(0));
        positions.learn(Timestamp(5000));
        let ownership = |latest, position| OwnershipMarker {
            position: Position(position),
            latest: Timestamp(latest),
        };
        let markers = [ownership(i64::MIN, 4), ownership(2000, 8), ownership(3000, 12)];
        positions.learned_from(Position(3), &markers);
        assert_eq!(positions.since(Timestamp(1000)), Position(4), "nothing is before");
        assert_eq!(positions.since(Timestamp(2000)), Position(4), "one at 2000 came before 8");
        assert_eq!(positions.since(Timestamp(2001)), Position(8));
        assert_eq!(positions.since(Timestamp(5000)), Position(12));
    }
}
