//! Which records hold the spans of a trace.

use smallvec::SmallVec;

use crate::ids::Offset;

/// The offsets of the records that hold spans of a trace: the first, the last, and those between
/// while there are few.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordOffsets {
    first: Offset,
    last: Offset,
    /// The distance of each record from the one before; empty from one record too many on.
    steps: SmallVec<[u32; 4]>,
}

impl RecordOffsets {
    /// As many records are listed. A trace of more is found by its first and its last one.
    pub const MOST: usize = 64;

    /// One record.
    pub fn one(offset: Offset) -> Self {
        Self { first: offset, last: offset, steps: SmallVec::new() }
    }

    /// What is known of a trace whose records are not listed.
    pub fn unlisted(first: Offset, last: Offset) -> Self {
        Self { first, last, steps: SmallVec::new() }
    }

    /// Adds a record, unless it is the last one already.
    pub fn add(&mut self, offset: Offset) {
        if offset <= self.last {
            return;
        }
        let step = u32::try_from(offset.0 - self.last.0).ok();
        let is_listed = self.is_listed() && self.steps.len() + 1 < Self::MOST;
        self.last = offset;
        match step {
            Some(step) if is_listed => self.steps.push(step),
            _ => self.steps = SmallVec::new(),
        }
    }

    /// The first record.
    pub fn first(&self) -> Offset {
        self.first
    }

    /// The last record.
    pub fn last(&self) -> Offset {
        self.last
    }

    /// All of them, in order; `None` if only the first and the last are known.
    pub fn listed(&self) -> Option<impl Iterator<Item = Offset> + Clone> {
        let next = |at: &mut i64, step: &u32| {
            *at += i64::from(*step);
            Some(Offset(*at))
        };
        let behind = self.steps.iter().scan(self.first.0, next);
        self.is_listed().then(|| std::iter::once(self.first).chain(behind))
    }

    fn is_listed(&self) -> bool {
        !self.steps.is_empty() || self.first == self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(offsets: impl IntoIterator<Item = i64>) -> RecordOffsets {
        let mut offsets = offsets.into_iter().map(Offset);
        let mut records = RecordOffsets::one(offsets.next().unwrap());
        offsets.for_each(|offset| records.add(offset));
        records
    }

    fn listed(records: &RecordOffsets) -> Option<Vec<i64>> {
        records.listed().map(|all| all.map(|offset| offset.0).collect())
    }

    #[test]
    fn records_are_listed_once_each() {
        assert_eq!(listed(&of([7])), Some(vec![7]));
        let some = of([7, 7, 9, 9, 9, 1_000_000]);
        assert_eq!(listed(&some), Some(vec![7, 9, 1_000_000]));
        assert_eq!((some.first(), some.last()), (Offset(7), Offset(1_000_000)));
    }

    #[test]
    fn of_too_many_or_too_far_apart_the_ends_are_known() {
        let most = RecordOffsets::MOST as i64;
        assert_eq!(listed(&of(0..most)), Some((0..most).collect()));
        let far = 1 << 33;
        for many in [of(0..most + 1), of(0..most * 3), of([0, far]), of([0, far, far + 1])] {
            assert_eq!(listed(&many), None);
            assert_eq!(many.first(), Offset(0));
        }
        assert_eq!(of(0..most * 3).last(), Offset(most * 3 - 1));
    }
}
