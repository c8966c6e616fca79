//! Whose word counts: the decisions of one partition's log, as they are read in order.
//!
//! An ownership begins with a record of its own. A process that was stopped for a while may still
//! write after its partition went to somebody else; what it says then is *superseded*: it stands
//! only for traces of which the owner has said nothing.

use std::collections::HashMap;

use super::record::{OwnerId, Recorded, Said};
use crate::ids::{Offset, TraceId};

/// What one reading of a log amounts to.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The owner at this point of the log; `None` before the first ownership record, which may
    /// have been compacted away.
    owner: Option<OwnerId>,
    order: Vec<Entry>,
    /// Where in `order` the latest record of a decision is: that of a trace from its first record.
    index: HashMap<(TraceId, Offset), usize, foldhash::fast::RandomState>,
    pub(super) superseded: u64,
}

#[derive(Debug)]
struct Entry {
    recorded: Recorded,
    is_superseded: bool,
}

impl Reading {
    /// Takes in the next record.
    pub(super) fn take_in(&mut self, owner: OwnerId, said: Said) {
        let recorded = match said {
            Said::Owned => {
                self.owner = Some(owner);
                return;
            }
            Said::Decided(recorded) => recorded,
        };
        let is_superseded = self.owner.is_some_and(|current| current != owner);
        self.superseded += u64::from(is_superseded);
        let key = (recorded.trace_id, recorded.first);
        if let Some(place) = self.index.get(&key).copied() {
            if is_superseded && !self.order[place].is_superseded {
                return;
            }
            // Decisions come in the order in which they were made; what is said of one again
            // takes its place.
            self.order[place] = Entry { recorded, is_superseded };
            return;
        }
        self.index.insert(key, self.order.len());
        self.order.push(Entry { recorded, is_superseded });
    }

    /// The decisions that stand, in the order in which they were made.
    pub(super) fn into_decisions(self) -> Vec<Recorded> {
        self.order.into_iter().map(|entry| entry.recorded).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision_log::record::Verdict;
    use crate::ids::Timestamp;
    use crate::trace::Trigger;

    fn recorded(trace: u8, first: i64, delivered: bool) -> Recorded {
        Recorded {
            trace_id: TraceId::from_slice(&[trace; 16]).unwrap(),
            verdict: Verdict::Dropped,
            dropped_by: None,
            first: Offset(first),
            last: Offset(first + 5),
            at: Timestamp(0),
            trigger: Trigger::Wait,
            delivered,
        }
    }

    fn read(records: &[(u64, Option<Recorded>)]) -> (Vec<Recorded>, u64) {
        let mut reading = Reading::default();
        for (owner, recorded) in records {
            let said = recorded.clone().map_or(Said::Owned, Said::Decided);
            reading.take_in(OwnerId(*owner), said);
        }
        let superseded = reading.superseded;
        (reading.into_decisions(), superseded)
    }

    #[test]
    fn the_latest_word_on_a_decision_stands() {
        let (one, other) = (recorded(1, 0, false), recorded(2, 1, false));
        let again = recorded(1, 0, true);
        let (stands, superseded) =
            read(&[(1, None), (1, Some(one)), (1, Some(other.clone())), (1, Some(again.clone()))]);
        assert_eq!((stands, superseded), (vec![again, other], 0));
    }

    #[test]
    fn a_trace_may_be_decided_twice_when_its_first_decision_was_forgotten() {
        let (one, other) = (recorded(1, 0, false), recorded(1, 100, false));
        let (stands, _) = read(&[(1, Some(one.clone())), (1, Some(other.clone()))]);
        assert_eq!(stands, [one, other]);
    }

    #[test]
    fn a_zombie_does_not_win_over_its_successor_in_either_order() {
        let (by_owner, by_zombie) = (recorded(1, 0, true), recorded(1, 0, false));
        for records in [
            [(2, None), (2, Some(by_owner.clone())), (1, Some(by_zombie.clone()))],
            [(2, None), (1, Some(by_zombie.clone())), (2, Some(by_owner.clone()))],
        ] {
            let (stands, superseded) = read(&records);
            assert_eq!((stands, superseded), (vec![by_owner.clone()], 1));
        }
    }

    #[test]
    fn what_only_a_zombie_said_stands() {
        let by_zombie = recorded(1, 0, false);
        let (stands, superseded) = read(&[(2, None), (1, Some(by_zombie.clone()))]);
        assert_eq!((stands, superseded), (vec![by_zombie], 1));
    }

    #[test]
    fn before_the_first_ownership_everybody_is_believed() {
        let (one, other) = (recorded(1, 0, false), recorded(2, 1, true));
        let (stands, superseded) = read(&[(1, Some(one.clone())), (2, Some(other.clone()))]);
        assert_eq!((stands, superseded), (vec![one, other], 0));
    }
}
