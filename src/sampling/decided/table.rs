//! The traces that were decided not long ago: one entry of a fixed size for each decision, in the
//! order in which they were made, and an index by trace.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::num::NonZeroU32;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::hash_table::Entry as Place;
use hashbrown::{HashMap, HashTable};

use super::{DecisionRecord, Kept, SamplingDecision};
use crate::ids::{Offset, Timestamp, TraceId};
use crate::otlp::probability::Threshold;
use crate::sampling::trace::Trigger;

/// How many are forgotten at a time: the clock of a partition may jump, and others must not wait.
const AT_A_TIME: usize = 500;

/// A decision, in little room.
#[derive(Clone, Copy, Debug)]
struct Entry {
    trace_id: TraceId,
    first: Offset,
    last: Offset,
    at: Timestamp,
    threshold: Threshold,
    /// Which name is that of the policy on whose account it was kept or dropped.
    policy: Option<NameIndex>,
    is_kept: bool,
    consistent: bool,
    trigger: Trigger,
}

/// A place in [`Names`], from 1.
#[derive(Clone, Copy, Debug)]
struct NameIndex(NonZeroU32);

/// The names of policies, each kept once. There are a few for each version of the policy file.
#[derive(Debug, Default)]
struct Names {
    names: Vec<Arc<str>>,
    index: HashMap<Arc<str>, NameIndex, RandomState>,
}

impl Names {
    fn index_of(&mut self, name: &Arc<str>) -> NameIndex {
        if let Some(index) = self.index.get(name) {
            return *index;
        }
        self.names.push(Arc::clone(name));
        let count = u32::try_from(self.names.len()).expect("memory bounds the names");
        let index = NameIndex(NonZeroU32::new(count).expect("there is one now"));
        self.index.insert(Arc::clone(name), index);
        index
    }

    fn get(&self, index: NameIndex) -> Arc<str> {
        Arc::clone(&self.names[index.0.get() as usize - 1])
    }
}

/// The decisions of one partition, of each trace the one that was inserted last.
///
/// Bounded by [`DecidedTraces::set_room`]; beyond that the oldest are forgotten.
#[derive(Debug)]
pub struct DecidedTraces {
    /// The oldest first. One whose place in the index another one took stays until its time comes.
    entries: VecDeque<Entry>,
    /// The number of the first entry; the others follow, modulo 2^32.
    first: u32,
    /// Numbers of entries, by trace.
    index: HashTable<u32>,
    hasher: RandomState,
    names: Names,
    room: usize,
}

impl Default for DecidedTraces {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            first: 0,
            index: HashTable::new(),
            hasher: RandomState::default(),
            names: Names::default(),
            room: usize::MAX,
        }
    }
}

impl DecidedTraces {
    /// Bytes of memory for each decision, about: its entry in a queue that may be half empty, and
    /// its place in the index, which is as empty.
    pub const ENTRY_BYTES: usize = size_of::<Entry>() * 3 / 2 + 8;

    /// From now on the oldest are forgotten when there are more than `room`: a few with each
    /// decision that is made, and with each [`DecidedTraces::forget`].
    pub fn set_room(&mut self, room: usize) {
        self.room = room;
    }

    /// Remembers a decision, in place of another one on its trace.
    pub fn insert(&mut self, recorded: &DecisionRecord) {
        let entry = self.entry(recorded);
        let number = self.first.wrapping_add(self.entries.len() as u32);
        self.entries.push_back(entry);
        let Self { entries, first, index, hasher, .. } = self;
        let trace_of = |number: u32| entries[number.wrapping_sub(*first) as usize].trace_id;
        let hash_of = |number: &u32| hasher.hash_one(trace_of(*number));
        let is_same = |number: &u32| trace_of(*number) == entry.trace_id;
        match index.entry(hasher.hash_one(entry.trace_id), is_same, hash_of) {
            Place::Occupied(mut place) => *place.get_mut() = number,
            Place::Vacant(place) => drop(place.insert(number)),
        }
        // Two, so that a room that became smaller is kept to in the end.
        for _ in 0..2 {
            if self.entries.len() > self.room {
                self.forget_oldest();
            }
        }
    }

    /// The decision on a trace that was inserted last.
    pub fn get(&self, id: TraceId) -> Option<DecisionRecord> {
        let at = |number: &u32| &self.entries[number.wrapping_sub(self.first) as usize];
        let hash = self.hasher.hash_one(id);
        let number = self.index.find(hash, |number| at(number).trace_id == id)?;
        Some(self.recorded(at(number)))
    }

    /// Forgets some of the oldest, as long as they are beyond the room or `is_old` says so of the
    /// time when they were made.
    pub fn forget(&mut self, is_old: impl Fn(Timestamp) -> bool) {
        for _ in 0..AT_A_TIME {
            let Some(oldest) = self.entries.front() else { return };
            if self.entries.len() <= self.room && !is_old(oldest.at) {
                return;
            }
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.entries.pop_front() else { return };
        let number = self.first;
        self.first = number.wrapping_add(1);
        let hash = self.hasher.hash_one(oldest.trace_id);
        if let Ok(place) = self.index.find_entry(hash, |other| *other == number) {
            place.remove();
        }
    }

    /// Number of decisions that are remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn entry(&mut self, recorded: &DecisionRecord) -> Entry {
        let (policy, threshold, consistent) = match &recorded.decision {
            SamplingDecision::Dropped => (recorded.dropped_by.as_ref(), Threshold::NEVER, false),
            SamplingDecision::Kept(Kept { policy, threshold, consistent }) => {
                (Some(policy), *threshold, *consistent)
            }
        };
        Entry {
            trace_id: recorded.trace_id,
            first: recorded.first,
            last: recorded.last,
            at: recorded.at,
            threshold,
            policy: policy.map(|name| self.names.index_of(name)),
            is_kept: matches!(recorded.decision, SamplingDecision::Kept(_)),
            consistent,
            trigger: recorded.trigger,
        }
    }

    fn recorded(&self, entry: &Entry) -> DecisionRecord {
        let policy = entry.policy.map(|name| self.names.get(name));
        let Entry { threshold, consistent, .. } = *entry;
        let (decision, dropped_by) = match policy {
            Some(policy) if entry.is_kept => {
                (SamplingDecision::Kept(Kept { policy, threshold, consistent }), None)
            }
            policy => (SamplingDecision::Dropped, policy),
        };
        DecisionRecord {
            trace_id: entry.trace_id,
            decision,
            dropped_by,
            first: entry.first,
            last: entry.last,
            at: entry.at,
            trigger: entry.trigger,
            delivered: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
    fn an_entry_is_small() {
        assert_eq!(size_of::<Entry>(), 56);
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

    #[test]
    fn numbers_may_run_over() {
        let mut decided = DecidedTraces { first: u32::MAX - 3, ..DecidedTraces::default() };
        (0..8).for_each(|trace| decided.insert(&decision(trace, 0)));
        assert!((0..8).all(|trace| decided.get(id(trace)) == Some(decision(trace, 0))));
        decided.set_room(2);
        decided.forget(|_| false);
        let known: Vec<u8> = (0..8).filter(|trace| decided.get(id(*trace)).is_some()).collect();
        assert_eq!(known, [6, 7]);
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
