//! What a look-up has to read of the log, by what the index says.

use std::collections::BTreeMap;
use std::ops::Range;

use super::record::{self, TraceHash, Unusable};
use crate::ids::{Offset, Partition, TopicId, TraceId};
use crate::kafka::decision_log::{GroupHash, OwnerId};

/// Who owned a partition of the log at which offset, as far as it is known: an ownership begins at its
/// marker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners(BTreeMap<(Partition, GroupHash), BTreeMap<Offset, OwnerId>>);

impl Owners {
    /// A marker is at this offset.
    pub fn add(&mut self, at: (Partition, Offset), group: GroupHash, owner: OwnerId) {
        self.0.entry((at.0, group)).or_default().insert(at.1, owner);
    }

    /// True if another one than `owner` had the partition when the record at this offset was written.
    pub fn is_former(&self, at: (Partition, Offset), group: GroupHash, owner: OwnerId) -> bool {
        self.last(at, group).is_some_and(|(_, current)| *current != owner)
    }

    /// Where the ownership began in which the record at this offset was written.
    pub fn marker(&self, at: (Partition, Offset), group: GroupHash) -> Option<Offset> {
        self.last(at, group).map(|(marker, _)| *marker)
    }

    fn last(&self, at: (Partition, Offset), group: GroupHash) -> Option<(&Offset, &OwnerId)> {
        self.0.get(&(at.0, group))?.range(..=at.1).next_back()
    }
}

/// What the index says of one trace.
#[derive(Debug)]
pub struct Coverage {
    hash: TraceHash,
    shard: (u32, u32),
    group: Option<GroupHash>,
    log: Option<TopicId>,
    /// By partition of the log: where no entry of the trace is.
    without: BTreeMap<Partition, Vec<Range<i64>>>,
    owners: Owners,
}

impl Coverage {
    /// Nothing is known yet. Members of `group` are asked for, or of any; the log's topic has this id,
    /// and the index so many partitions.
    pub fn new(
        id: TraceId,
        group: Option<GroupHash>,
        log: Option<TopicId>,
        partitions: usize,
    ) -> Self {
        let hash = TraceHash::of(id);
        let shards = partitions.clamp(1, super::MOST_SHARDS) as u32;
        let shard = (hash.shard(shards), shards);
        Self { hash, shard, group, log, without: BTreeMap::new(), owners: Owners::default() }
    }

    /// The partition of the index that has what is said of the trace.
    pub fn partition(&self) -> Partition {
        Partition(self.shard.0.cast_signed())
    }

    /// Takes in a record of that partition.
    ///
    /// # Errors
    /// When it is of no use.
    pub fn take_in(&mut self, value: Option<&[u8]>) -> Result<(), Unusable> {
        let record = record::read(value.ok_or(Unusable::Malformed)?)?;
        // The index had another number of partitions, or the log was another one.
        if record.shard != self.shard || record.stretch.log != self.log {
            return Ok(());
        }
        let stretch = &record.stretch;
        self.owners.add((stretch.partition, stretch.marker), stretch.group, stretch.owner);
        let is_of_others = self.group.is_some_and(|group| group != stretch.group);
        if is_of_others || !record.may_have(self.hash) {
            let without = self.without.entry(stretch.partition).or_default();
            without.extend_from_slice(&stretch.runs);
        }
        Ok(())
    }

    /// A partition of the log ends here. If more is said of it, it was another log.
    pub fn bound(&mut self, partition: Partition, end: i64) {
        let without = self.without.get(&partition);
        if without.is_some_and(|all| all.iter().any(|range| range.end > end)) {
            self.without.remove(&partition);
        }
    }

    /// Which of these records of a partition of the log have to be read.
    pub fn to_read(&self, partition: Partition, wanted: &Range<i64>) -> Vec<Range<i64>> {
        let mut without = self.without.get(&partition).cloned().unwrap_or_default();
        without.sort_unstable_by_key(|range| range.start);
        let (mut at, mut ranges) = (wanted.start, Vec::new());
        for range in without {
            if at < range.start.min(wanted.end) {
                ranges.push(at..range.start.min(wanted.end));
            }
            at = at.max(range.end);
        }
        if at < wanted.end {
            ranges.push(at..wanted.end);
        }
        ranges
    }

    /// The owners that the index tells of.
    pub fn owners(&self) -> &Owners {
        &self.owners
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::{Stretch, write};
    use super::*;

    const SHARDS: u32 = 3;

    fn id(number: u8) -> TraceId {
        TraceId::from_slice(&[number; 16]).unwrap()
    }

    /// A record for the shard of trace 1, of a stretch with these traces.
    fn record(runs: &[Range<i64>], traces: &[u8], log: u128) -> Vec<u8> {
        let stretch = Stretch {
            owner: OwnerId(5),
            group: GroupHash::of("shop"),
            log: TopicId::from_bits(log),
            partition: Partition(4),
            marker: Offset(10),
            runs: runs.to_vec(),
        };
        let shard = TraceHash::of(id(1)).shard(SHARDS);
        let hashes = traces.iter().map(|trace| TraceHash::of(id(*trace)));
        let hashes: Vec<_> = hashes.filter(|hash| hash.shard(SHARDS) == shard).collect();
        write(&stretch, (shard, SHARDS), &hashes).unwrap()
    }

    fn coverage(group: &str) -> Coverage {
        let group = Some(GroupHash::of(group));
        Coverage::new(id(1), group, TopicId::from_bits(7), SHARDS as usize)
    }

    fn to_read(coverage: &Coverage, low: i64, high: i64) -> Vec<Range<i64>> {
        coverage.to_read(Partition(4), &(low..high))
    }

    #[expect(clippy::single_range_in_vec_init, reason = "one range")]
    #[test]
    fn only_what_surely_has_no_entry_is_not_read() {
        let mut coverage = coverage("shop");
        assert_eq!(to_read(&coverage, 3, 40), [3..40]);
        coverage.take_in(Some(&record(&[10..14, 16..20], &[2, 3], 7))).unwrap();
        coverage.take_in(Some(&record(&[20..25], &[1, 3], 7))).unwrap();
        coverage.take_in(Some(&record(&[25..30], &[], 7))).unwrap();
        assert_eq!(to_read(&coverage, 3, 40), [3..10, 14..16, 20..25, 30..40]);
        assert_eq!(to_read(&coverage, 12, 27), [14..16, 20..25]);
        assert_eq!(to_read(&coverage, 26, 27), []);
        assert_eq!(coverage.to_read(Partition(5), &(0..9)), [0..9]);
        // Again, by an owner that did not know: it does no harm.
        coverage.take_in(Some(&record(&[8..12, 13..31], &[4], 7))).unwrap();
        assert_eq!(to_read(&coverage, 3, 40), [3..8, 31..40]);
        coverage.bound(Partition(4), 31);
        assert_eq!(to_read(&coverage, 3, 31), [3..8]);
        coverage.bound(Partition(4), 30);
        assert_eq!(to_read(&coverage, 3, 30), [3..30], "the log is another one");
    }

    #[expect(clippy::single_range_in_vec_init, reason = "one range")]
    #[test]
    fn what_is_said_of_another_log_or_in_other_shards_counts_nothing() {
        let mut coverage = coverage("shop");
        coverage.take_in(Some(&record(&[0..9], &[], 8))).unwrap();
        assert_eq!(to_read(&coverage, 0, 9), [0..9]);
        let mut other = Coverage::new(id(1), None, TopicId::from_bits(7), 5);
        other.take_in(Some(&record(&[0..9], &[], 7))).unwrap();
        assert_eq!(to_read(&other, 0, 9), [0..9]);
        assert_eq!(coverage.take_in(Some(b"no record")), Err(Unusable::Version));
        assert_eq!(coverage.take_in(None), Err(Unusable::Malformed));
    }

    #[expect(clippy::single_range_in_vec_init, reason = "one range")]
    #[test]
    fn what_another_group_wrote_is_not_read() {
        let mut coverage = coverage("bank");
        coverage.take_in(Some(&record(&[0..9], &[1], 7))).unwrap();
        assert_eq!(to_read(&coverage, 0, 9), []);
    }

    #[test]
    fn an_owner_is_former_behind_the_marker_of_another_one() {
        let (shop, mut owners) = (GroupHash::of("shop"), Owners::default());
        let at = |offset| (Partition(1), Offset(offset));
        assert!(!owners.is_former(at(5), shop, OwnerId(1)), "nobody is known");
        owners.add(at(7), shop, OwnerId(2));
        owners.add(at(3), shop, OwnerId(1));
        assert!(!owners.is_former(at(6), shop, OwnerId(1)));
        assert!(owners.is_former(at(8), shop, OwnerId(1)));
        assert!(!owners.is_former(at(8), shop, OwnerId(2)));
        assert!(!owners.is_former((Partition(2), Offset(8)), shop, OwnerId(1)));
        assert!(!owners.is_former(at(8), GroupHash::of("bank"), OwnerId(1)));
    }
}
