//! Decisions in the order in which they were made, each in 28 bytes; in blocks, so that no room is held
//! in reserve and what was forgotten is given back.
//!
//! An entry says where and when as distances from what its block says, with as many bits as that takes
//! of what is usual. A decision that does not fit is kept as it is, beside.

use std::collections::VecDeque;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::DecisionRecord;
use super::verdicts::{Verdict, VerdictIndex, Verdicts};
use crate::ids::{Offset, Timestamp, TraceId};

/// Entries of a block.
const BLOCK: u32 = 512;

/// In place of a verdict: the decision is kept beside.
const BESIDE: u16 = u16::MAX;

#[derive(Clone, Copy, Debug)]
struct Entry {
    trace_id: TraceId,
    /// Of the first record, from that of the block.
    first: i32,
    /// See [`Rest`].
    rest: [u8; 8],
}

/// What an entry says beside its trace and its first record.
#[derive(Clone, Copy, Debug)]
struct Rest {
    /// From the first record to the last; 24 bits.
    covered: u32,
    /// From the earliest time of the block, in milliseconds; 24 bits.
    at: u32,
    verdict: u16,
}

impl Rest {
    fn pack(self) -> [u8; 8] {
        let Self { covered, at, verdict } = self;
        (u64::from(covered) << 40 | u64::from(at) << 16 | u64::from(verdict)).to_le_bytes()
    }

    fn unpack(packed: [u8; 8]) -> Self {
        let all = u64::from_le_bytes(packed);
        Self { covered: (all >> 40) as u32, at: (all >> 16) as u32 & MOST, verdict: all as u16 }
    }
}

/// The largest number of 24 bits.
const MOST: u32 = (1 << 24) - 1;

/// The distance from `from` to `to`, if it has no more than 24 bits.
fn distance(from: i64, to: i64) -> Option<u32> {
    u32::try_from(to.checked_sub(from)?).ok().filter(|distance| *distance <= MOST)
}

/// Entries whose decisions were made one after the other.
#[derive(Debug)]
struct Block {
    first: Offset,
    /// The earliest time that an entry can say.
    from: Timestamp,
    entries: Vec<Entry>,
}

impl Block {
    /// A block for decisions that are made at about the same time as this one, later or earlier.
    fn around(recorded: &DecisionRecord) -> Self {
        let from = Timestamp(recorded.at.0.saturating_sub(i64::from(MOST / 2)));
        Self { first: recorded.first, from, entries: Vec::new() }
    }

    /// `None` if the decision does not fit.
    fn entry(&self, recorded: &DecisionRecord, verdict: VerdictIndex) -> Option<Entry> {
        let DecisionRecord { trace_id, first, last, at, .. } = *recorded;
        let rest = Rest {
            covered: distance(first.0, last.0)?,
            at: distance(self.from.0, at.0)?,
            verdict: verdict.0,
        };
        let first = i32::try_from(first.0.checked_sub(self.first.0)?).ok()?;
        Some(Entry { trace_id, first, rest: rest.pack() })
    }
}

/// Decisions, the oldest first. They are numbered one after the other, modulo 2^32.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// Each begins with a number that is a multiple of its size.
    blocks: VecDeque<Block>,
    /// The number of the oldest.
    first: u32,
    len: usize,
    /// By number: those that do not fit.
    beside: HashMap<u32, DecisionRecord, RandomState>,
    verdicts: Verdicts,
}

impl Entries {
    /// Bytes of memory for each.
    pub(super) const ENTRY_BYTES: usize = size_of::<Entry>();

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The numbers of all of them, the oldest first.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        let first = self.first;
        (0..self.len as u32).map(move |place| first.wrapping_add(place))
    }

    /// Adds a decision; returns its number.
    pub(super) fn push(&mut self, recorded: &DecisionRecord) -> u32 {
        let number = self.first.wrapping_add(self.len as u32);
        if number.is_multiple_of(BLOCK) {
            self.blocks.push_back(Block::around(recorded));
        }
        let verdict = self.verdicts.index_of(recorded);
        let block = self.blocks.back_mut().expect("a block begins with a multiple of its size");
        let entry = verdict.and_then(|verdict| block.entry(recorded, verdict));
        block.entries.push(entry.unwrap_or_else(|| {
            self.beside.insert(number, DecisionRecord { delivered: false, ..recorded.clone() });
            let rest = Rest { covered: 0, at: 0, verdict: BESIDE };
            Entry { trace_id: recorded.trace_id, first: 0, rest: rest.pack() }
        }));
        self.len += 1;
        number
    }

    /// The trace of a decision.
    pub(super) fn trace_id(&self, number: u32) -> TraceId {
        self.find(number).1.trace_id
    }

    /// When a decision was made.
    pub(super) fn at(&self, number: u32) -> Timestamp {
        let (block, entry) = self.find(number);
        let rest = Rest::unpack(entry.rest);
        match rest.verdict {
            BESIDE => self.beside[&number].at,
            _ => Timestamp(block.from.0 + i64::from(rest.at)),
        }
    }

    /// A decision, as it was added.
    pub(super) fn get(&self, number: u32) -> DecisionRecord {
        let (block, entry) = self.find(number);
        let Rest { covered, at, verdict } = Rest::unpack(entry.rest);
        if verdict == BESIDE {
            return self.beside[&number].clone();
        }
        let Verdict { decision, dropped_by, trigger } = self.verdicts.get(VerdictIndex(verdict));
        let first = block.first.0 + i64::from(entry.first);
        DecisionRecord {
            trace_id: entry.trace_id,
            decision: decision.clone(),
            dropped_by: dropped_by.clone(),
            first: Offset(first),
            last: Offset(first + i64::from(covered)),
            at: Timestamp(block.from.0 + i64::from(at)),
            trigger: *trigger,
            delivered: false,
        }
    }

    /// Forgets the oldest; returns its number and its trace.
    pub(super) fn pop(&mut self) -> Option<(u32, TraceId)> {
        self.len = self.len.checked_sub(1)?;
        let (number, trace_id) = (self.first, self.trace_id(self.first));
        if !self.beside.is_empty() {
            self.beside.remove(&number);
        }
        self.first = number.wrapping_add(1);
        if self.len == 0 {
            self.blocks = VecDeque::new();
            self.first = self.first.wrapping_add(BLOCK - 1) / BLOCK * BLOCK;
        } else if self.first.is_multiple_of(BLOCK) {
            self.blocks.pop_front();
        }
        Some((number, trace_id))
    }

    fn find(&self, number: u32) -> (&Block, &Entry) {
        let place = number.wrapping_sub(self.first / BLOCK * BLOCK);
        let block = &self.blocks[(place / BLOCK) as usize];
        (block, &block.entries[(place % BLOCK) as usize])
    }

    /// Bytes of memory that they take.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let entries = self.blocks.iter().map(|block| block.entries.capacity() * size_of::<Entry>());
        entries.sum::<usize>() + self.blocks.capacity() * size_of::<Block>()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::otlp::probability::Threshold;
    use crate::sampling::decided::{Kept, SamplingDecision};
    use crate::sampling::trace::Trigger;

    fn decision(trace: u8, (first, last): (i64, i64), at: i64, threshold: u64) -> DecisionRecord {
        let policy = Arc::from(format!("p{}", trace % 3));
        let threshold = Threshold::new(threshold).unwrap();
        let kept =
            SamplingDecision::Kept(Kept { policy, threshold, consistent: trace.is_multiple_of(2) });
        DecisionRecord {
            trace_id: TraceId::from_slice(&[trace + 1; 16]).unwrap(),
            decision: if trace.is_multiple_of(5) { SamplingDecision::Dropped } else { kept },
            dropped_by: trace.is_multiple_of(10).then(|| "veto".into()),
            first: Offset(first),
            last: Offset(last),
            at: Timestamp(at),
            trigger: if trace.is_multiple_of(7) { Trigger::Wait } else { Trigger::Root },
            delivered: false,
        }
    }

    /// Far and near, to both sides, up to the ends.
    fn number() -> impl Strategy<Value = i64> {
        prop_oneof![
            8 => 0..1000_i64,
            2 => -20_000_000..20_000_000_i64,
            1 => (1 << 31) - 3..(1 << 31) + 3_i64,
            1 => (1 << 24) - 3..(1 << 24) + 3_i64,
            1 => Just(i64::MIN),
            1 => Just(i64::MAX),
            1 => any::<i64>(),
        ]
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push { trace: u8, covers: (i64, i64), at: i64 },
        Fill(usize),
        Pop(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let push = (0..40_u8, (number(), number()), number());
        prop_oneof![
            8 => push.prop_map(|(trace, covers, at)| Step::Push { trace, covers, at }),
            1 => (0..600_usize).prop_map(Step::Fill),
            2 => (0..700_usize).prop_map(Step::Pop),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        /// Against a list of what was added.
        #[test]
        fn what_was_added_is_found_as_it_was(
            steps in prop::collection::vec(step(), 0..20),
            first in prop_oneof![Just(0), Just(0_u32.wrapping_sub(BLOCK))],
        ) {
            let mut entries = Entries { first, ..Entries::default() };
            let mut list = VecDeque::new();
            for step in steps {
                let mut push = |recorded: DecisionRecord| {
                    list.push_back((entries.push(&recorded), recorded));
                };
                match step {
                    Step::Push { trace, covers, at } => push(decision(trace, covers, at, 0)),
                    Step::Fill(count) => {
                        (0..count as i64).for_each(|n| push(decision(3, (n, n + 5), n * 3, 7)));
                    }
                    Step::Pop(count) => for _ in 0..count {
                        let oldest = list.pop_front().map(|(number, it)| (number, it.trace_id));
                        prop_assert_eq!(entries.pop(), oldest);
                    }
                }
                prop_assert_eq!(entries.len(), list.len());
                prop_assert!(entries.numbers().eq(list.iter().map(|(number, _)| *number)));
                for (number, recorded) in &list {
                    prop_assert_eq!(entries.trace_id(*number), recorded.trace_id);
                    prop_assert_eq!(entries.at(*number), recorded.at);
                    prop_assert_eq!(&entries.get(*number), recorded);
                }
            }
        }
    }

    #[test]
    fn what_is_usual_fits() {
        let mut entries = Entries::default();
        let at = 1_700_000_000_000;
        for number in 0..1000 {
            entries.push(&decision(1, (number * 90, number * 90 + 100_000), at + number * 900, 0));
        }
        assert!(entries.beside.is_empty());
        assert_eq!(size_of::<Entry>(), 28);
        assert_eq!(entries.bytes() / entries.len(), 28);
    }

    #[test]
    fn verdicts_that_cannot_be_numbered_are_kept_beside() {
        let mut entries = Entries::default();
        let records: Vec<_> = (0..70_000).map(|it| decision(1, (0, 0), 0, it)).collect();
        for recorded in &records {
            entries.push(recorded);
        }
        assert_eq!(entries.beside.len(), 70_000 - usize::from(u16::MAX));
        assert!(entries.numbers().zip(&records).all(|(at, it)| entries.get(at) == *it));
    }
}
