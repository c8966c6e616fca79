//! The traces that were decided not long ago: an entry for each decision, in the order in which they
//! were made, and an index by trace.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;

use super::DecisionRecord;
use super::entries::Entries;
use crate::ids::{Timestamp, TraceId};

/// How many are forgotten at a time: the clock of a partition may jump, and others must not wait.
const AT_A_TIME: usize = 500;

/// The index is never made for fewer.
const SMALLEST_INDEX: usize = 64;

/// The decisions of one partition, of each trace the one that was inserted last.
///
/// Bounded by [`DecidedTraces::set_room`]; beyond that the oldest are forgotten.
#[derive(Debug)]
pub struct DecidedTraces {
    /// One whose place in the index another one took stays until its time comes.
    entries: Entries,
    /// Numbers of entries, by trace.
    index: HashTable<u32>,
    hasher: RandomState,
    room: usize,
}

impl Default for DecidedTraces {
    fn default() -> Self {
        Self {
            entries: Entries::default(),
            index: HashTable::new(),
            hasher: RandomState::default(),
            room: usize::MAX,
        }
    }
}

impl DecidedTraces {
    /// Bytes of memory for each decision, about: its entry, and its place of five bytes in an index
    /// that is filled to between three and seven eighths.
    pub const ENTRY_BYTES: usize = Entries::ENTRY_BYTES + 8;

    /// From now on the oldest are forgotten when there are more than `room`: a few with each
    /// decision that is made, and with each [`DecidedTraces::forget`].
    pub fn set_room(&mut self, room: usize) {
        self.room = room;
    }

    /// Remembers a decision, in place of another one on its trace.
    pub fn insert(&mut self, recorded: &DecisionRecord) {
        if self.index.len() == self.index.capacity() {
            // Room for one in thirty-two more is enough: where it was forgotten entries that filled
            // the index, a new one of the same size has that.
            self.make_index(self.index.len() + self.index.len() / 32 + 1);
        }
        let number = self.entries.push(recorded);
        self.enter(number, recorded.trace_id);
        // Two, so that a room that became smaller is kept to in the end.
        for _ in 0..2 {
            if self.entries.len() > self.room {
                self.forget_oldest();
            }
        }
    }

    /// The decision on a trace that was inserted last.
    pub fn get(&self, id: TraceId) -> Option<DecisionRecord> {
        let is_it = |number: &u32| self.entries.trace_id(*number) == id;
        let number = self.index.find(self.hasher.hash_one(id), is_it)?;
        Some(self.entries.get(*number))
    }

    /// Forgets some of the oldest, as long as they are beyond the room or `is_old` says so of the
    /// time when they were made.
    pub fn forget(&mut self, is_old: impl Fn(Timestamp) -> bool) {
        for _ in 0..AT_A_TIME {
            let Some(oldest) = self.entries.numbers().next() else { break };
            if self.entries.len() <= self.room && !is_old(self.entries.at(oldest)) {
                break;
            }
            self.forget_oldest();
        }
        // By its places: what it calls its capacity is less where removed entries left marks, and how
        // many do is chance.
        if self.index.len().max(SMALLEST_INDEX) < self.index.num_buckets() * 7 / 24 {
            self.make_index(self.index.len() + self.index.len() / 8);
        }
    }

    fn forget_oldest(&mut self) {
        let Some((number, trace_id)) = self.entries.pop() else { return };
        let hash = self.hasher.hash_one(trace_id);
        if let Ok(place) = self.index.find_entry(hash, |other| *other == number) {
            place.remove();
        }
    }

    /// Makes an index with room for `room` traces. Left to itself the table would double also where
    /// only what was removed fills it, and look up each entry wherever that is, not in their order.
    fn make_index(&mut self, room: usize) {
        self.index = HashTable::with_capacity(room.max(SMALLEST_INDEX));
        for number in self.entries.numbers() {
            self.enter(number, self.entries.trace_id(number));
        }
    }

    /// From now on a trace is found under this number.
    fn enter(&mut self, number: u32, id: TraceId) {
        let Self { entries, index, hasher, .. } = self;
        let is_it = |other: &u32| entries.trace_id(*other) == id;
        let hash_of = |other: &u32| hasher.hash_one(entries.trace_id(*other));
        match index.entry(hasher.hash_one(id), is_it, hash_of) {
            Place::Occupied(mut place) => *place.get_mut() = number,
            Place::Vacant(place) => drop(place.insert(number)),
        }
    }

    /// Number of decisions that are remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::Offset;
    use crate::otlp::probability::Threshold;
    use crate::sampling::decided::{Kept, SamplingDecision};
    use crate::sampling::trace::Trigger;

    fn id(trace: u8) -> TraceId {
        TraceId::from_slice(&[trace + 1; 16]).unwrap()
    }

    fn decision(trace: u8, at: i64) -> DecisionRecord {
        let (decision, dropped_by) = match trace % 3 {
            0 => (SamplingDecision::Dropped, None),
            1 => (SamplingDecision::Dropped, Some("veto".into())),
            _ => {
                let (policy, threshold) = (format!("p{trace}").into(), Threshold::ALWAYS);
                (SamplingDecision::Kept(Kept { policy, threshold, consistent: at % 2 == 0 }), None)
            }
        };
        DecisionRecord {
            trace_id: id(trace),
            decision,
            dropped_by,
            first: Offset(at),
            last: Offset(at + 3),
            at: Timestamp(at),
            trigger: if at % 2 == 0 { Trigger::Root } else { Trigger::Size },
            delivered: false,
        }
    }

    #[test]
    fn the_oldest_are_forgotten_at_the_bound() {
        let mut decided = DecidedTraces::default();
        decided.set_room(10);
        (0..100).for_each(|trace| decided.insert(&decision(trace, i64::from(trace))));
        let known: Vec<u8> = (0..100).filter(|trace| decided.get(id(*trace)).is_some()).collect();
        assert_eq!(known, Vec::from_iter(90..100));
    }

    #[test]
    fn a_room_that_becomes_smaller_is_kept_to_step_by_step() {
        let mut decided = DecidedTraces::default();
        let make = |decided: &mut DecidedTraces| {
            (0..10).for_each(|_| decided.insert(&decision(1, 0)));
        };
        (0..200).for_each(|_| make(&mut decided));
        decided.set_room(100);
        decided.insert(&decision(1, 0));
        assert_eq!(decided.len(), 1999, "a decision does not pay for all the others");
        decided.forget(|_| false);
        assert_eq!(decided.len(), 1499);
        (0..140).for_each(|_| make(&mut decided));
        assert_eq!(decided.len(), 100);
        decided.set_room(0);
        make(&mut decided);
        (0..20).for_each(|_| make(&mut decided));
        assert!(decided.is_empty());
    }

    fn numbered(number: u32) -> DecisionRecord {
        let at = i64::from(number) * 20;
        let trace_id = TraceId::from_slice(&(u128::from(number) + 1).to_be_bytes()).unwrap();
        let (first, last) = (Offset(at), Offset(at + 5000));
        DecisionRecord { trace_id, first, last, at: Timestamp(at), ..decision(2, 0) }
    }

    fn bytes(decided: &DecidedTraces) -> usize {
        decided.entries.bytes() + decided.index.allocation_size()
    }

    /// Two blocks that are not full may stand at the ends.
    const ENDS: usize = 2 * 512 * 28;

    #[test]
    fn a_decision_takes_forty_bytes_at_most() {
        let mut decided = DecidedTraces::default();
        for number in 0..60_000 {
            decided.insert(&numbered(number));
            assert!(bytes(&decided) <= 40 * decided.len() + ENDS, "{number}");
        }
        // Where as many are forgotten as come, and the index is emptied and filled everywhere.
        for room in [60_000, 57_344, 43_000, 28_673, 28_000] {
            let mut decided = DecidedTraces::default();
            decided.set_room(room);
            for number in 0..200_000 {
                decided.insert(&numbered(number));
                assert!(bytes(&decided) <= 40 * decided.len() + ENDS, "{room} {number}");
            }
        }
    }

    /// Each time with other hashes, so that removed entries leave their marks elsewhere.
    #[test]
    fn what_is_forgotten_gives_its_memory_back() {
        for filled in (57_000..=57_344).step_by(15) {
            let mut decided = DecidedTraces::default();
            (0..filled).for_each(|number| decided.insert(&numbered(number)));
            while !decided.is_empty() {
                decided.forget(|_| true);
                assert!(bytes(&decided) <= 46 * decided.len() + ENDS, "{}", decided.len());
            }
            assert!(bytes(&decided) < 2000);
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert { trace: u8, at: i64 },
        Forget { before: i64 },
        Room(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0..12_u8, 0..50_i64).prop_map(|(trace, at)| Step::Insert { trace, at }),
            2 => (0..50_i64).prop_map(|before| Step::Forget { before }),
            1 => (0..10_usize).prop_map(Step::Room),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Against a list that is looked through from its end.
        #[test]
        fn agrees_with_a_list(steps in prop::collection::vec(step(), 0..80)) {
            let mut decided = DecidedTraces::default();
            let (mut list, mut room): (Vec<DecisionRecord>, usize) = (Vec::new(), usize::MAX);
            for step in steps {
                match step {
                    Step::Insert { trace, at } => {
                        decided.insert(&decision(trace, at));
                        list.push(decision(trace, at));
                        let beyond = list.len().saturating_sub(room).min(2);
                        list.drain(..beyond);
                    }
                    Step::Forget { before } => {
                        decided.forget(|at| at.0 < before);
                        while list.first().is_some_and(|it| list.len() > room || it.at.0 < before) {
                            list.remove(0);
                        }
                    }
                    Step::Room(to) => {
                        decided.set_room(to);
                        room = to;
                    }
                }
                prop_assert_eq!(decided.len(), list.len());
                for trace in 0..12 {
                    let last = list.iter().rev().find(|it| it.trace_id == id(trace)).cloned();
                    prop_assert_eq!(decided.get(id(trace)), last);
                }
            }
        }
    }
}
