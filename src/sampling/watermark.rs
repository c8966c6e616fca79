//! The offset below which every trace of a partition is decided and delivered.
//!
//! Owns the pins of one partition: each holds the offset of a record whose spans are not done
//! with yet. Promises that [`Watermark::committable`] never passes a held pin and never goes
//! back. Leaves to others when a pin is taken and when what it stands for is done.

use std::collections::VecDeque;

use crate::ids::{Offset, Pin, Position, Timestamp};

/// The pins of one partition, of one generation.
#[derive(Debug)]
pub struct Watermark {
    /// Where reading stands: all records below were handed to [`Watermark::read`].
    next: Position,
    /// The partition's clock there.
    clock: Timestamp,
    /// Pinned records in offset order, the oldest first; the first is always held.
    pinned: VecDeque<PinnedRecord>,
    /// The number of the first entry of `pinned`. A pin is such a number.
    first: u64,
}

#[derive(Debug)]
struct PinnedRecord {
    offset: Offset,
    /// The partition's clock when it was read.
    clock: Timestamp,
    holders: u32,
}

/// What may be committed, and the partition's clock there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committable {
    /// Everything below is decided and delivered.
    pub position: Position,
    /// The clock that reading on from there has to start with.
    pub clock: Timestamp,
}

impl Watermark {
    /// Nothing is pinned; reading starts at `start`, with this clock.
    pub fn new(start: Position, clock: Timestamp) -> Self {
        Self { next: start, clock, pinned: VecDeque::new(), first: 0 }
    }

    /// Takes note that the record at `offset` is being handled, with the clock at `clock`. Offsets
    /// only grow.
    pub fn read(&mut self, offset: Offset, clock: Timestamp) {
        debug_assert!(offset.next() > self.next, "records of a partition come in offset order");
        self.next = self.next.max(offset.next());
        self.clock = self.clock.max(clock);
    }

    /// Takes note that there is nothing to read below `position`: the log ends there, or what lay
    /// below is gone or holds no records (transaction markers, compacted ranges). The clock, which
    /// may have gone on meanwhile, is at `clock`.
    pub fn skip_to(&mut self, position: Position, clock: Timestamp) {
        self.next = self.next.max(position);
        self.clock = self.clock.max(clock);
    }

    /// Pins the record at `offset`, the one last given to [`Watermark::read`].
    pub fn pin(&mut self, offset: Offset) -> Pin {
        debug_assert_eq!(offset.next(), self.next, "only the record in hand can be pinned");
        match self.pinned.back_mut() {
            Some(last) if last.offset == offset && last.holders > 0 => last.holders += 1,
            _ => {
                let clock = self.clock;
                self.pinned.push_back(PinnedRecord { offset, clock, holders: 1 });
            }
        }
        Pin(self.first + self.pinned.len() as u64 - 1)
    }

    /// Releases a pin for one of its holders.
    pub fn release(&mut self, pin: Pin) {
        match self.record(pin) {
            Some(record) if record.holders > 0 => record.holders -= 1,
            _ => debug_assert!(false, "a pin is released once by each holder"),
        }
        while self.pinned.front().is_some_and(|record| record.holders == 0) {
            self.pinned.pop_front();
            self.first += 1;
        }
    }

    /// What may be committed.
    pub fn committable(&self) -> Committable {
        match self.pinned.front() {
            Some(oldest) => {
                Committable { position: Position(oldest.offset.0), clock: oldest.clock }
            }
            None => Committable { position: self.next, clock: self.clock },
        }
    }

    /// Where reading stands.
    pub fn next(&self) -> Position {
        self.next
    }

    fn record(&mut self, pin: Pin) -> Option<&mut PinnedRecord> {
        let index = pin.0.checked_sub(self.first)?;
        self.pinned.get_mut(usize::try_from(index).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const NONE: Timestamp = Timestamp(i64::MIN);

    #[test]
    fn nothing_pinned_commits_what_was_read() {
        let mut watermark = Watermark::new(Position(5), NONE);
        assert_eq!(watermark.committable().position, Position(5));
        watermark.read(Offset(5), NONE);
        watermark.read(Offset(9), NONE);
        assert_eq!(watermark.committable().position, Position(10));
        watermark.skip_to(Position(12), NONE);
        assert_eq!(watermark.committable().position, Position(12));
    }

    #[test]
    fn the_oldest_pin_holds_the_rest_back() {
        let mut watermark = Watermark::new(Position(0), NONE);
        watermark.read(Offset(0), NONE);
        let old = watermark.pin(Offset(0));
        watermark.read(Offset(1), NONE);
        let young = watermark.pin(Offset(1));
        watermark.release(young);
        assert_eq!(watermark.committable().position, Position(0));
        watermark.release(old);
        assert_eq!(watermark.committable().position, Position(2));
    }

    #[test]
    fn a_record_is_done_when_all_its_holders_are() {
        let mut watermark = Watermark::new(Position(0), NONE);
        watermark.read(Offset(0), NONE);
        let one = watermark.pin(Offset(0));
        let other = watermark.pin(Offset(0));
        watermark.release(one);
        assert_eq!(watermark.committable().position, Position(0));
        watermark.release(other);
        assert_eq!(watermark.committable().position, Position(1));
    }

    #[test]
    fn what_is_read_again_starts_with_the_clock_it_had() {
        let mut watermark = Watermark::new(Position(0), Timestamp(5));
        assert_eq!(watermark.committable().clock, Timestamp(5));
        watermark.read(Offset(0), Timestamp(10));
        let pin = watermark.pin(Offset(0));
        watermark.read(Offset(1), Timestamp(20));
        assert_eq!(watermark.committable().clock, Timestamp(10));
        watermark.release(pin);
        assert_eq!(watermark.committable().clock, Timestamp(20));
        watermark.skip_to(Position(2), Timestamp(30));
        assert_eq!(watermark.committable().clock, Timestamp(30));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Read { gap: i64, pins: usize },
        Release(usize),
        Skip(i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..3i64, 0..3usize).prop_map(|(gap, pins)| Step::Read { gap, pins }),
            5 => any::<usize>().prop_map(Step::Release),
            1 => (0..5i64).prop_map(Step::Skip),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        /// Against a model that keeps every holder by its offset and looks them all over.
        #[test]
        fn agrees_with_a_model(steps in prop::collection::vec(step(), 0..60)) {
            let mut watermark = Watermark::new(Position(0), NONE);
            let mut next = 0;
            let mut held: Vec<(Pin, i64)> = Vec::new();
            let mut last = Position(0);
            for step in steps {
                match step {
                    Step::Read { gap, pins } => {
                        let offset = Offset(next + gap);
                        next = offset.next().0;
                        watermark.read(offset, NONE);
                        for _ in 0..pins {
                            held.push((watermark.pin(offset), offset.0));
                        }
                    }
                    Step::Release(which) if !held.is_empty() => {
                        let (pin, _) = held.swap_remove(which % held.len());
                        watermark.release(pin);
                    }
                    Step::Skip(ahead) => {
                        next += ahead;
                        watermark.skip_to(Position(next), NONE);
                    }
                    Step::Release(_) => {}
                }
                let by_offset: BTreeMap<i64, ()> = held.iter().map(|(_, o)| (*o, ())).collect();
                let expected = by_offset.keys().next().copied().unwrap_or(next);
                prop_assert_eq!(watermark.committable().position, Position(expected));
                prop_assert!(watermark.committable().position >= last);
                last = watermark.committable().position;
            }
        }
    }
}
