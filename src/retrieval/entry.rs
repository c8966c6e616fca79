//! An entry of the decision log, with where it stands there and whether its writer owned the partition.

use crate::ids::{Offset, Partition};
use crate::kafka::decision_log::{self, GroupHash, LogEntry, read_whole};
use crate::kafka::topic_reader::Record;
use crate::sampling::decided::{DecisionRecord, SamplingDecision, TraceDetails};

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub partition: Partition,
    /// That of the log's record, which holds many entries.
    pub offset: Offset,
    /// The ownership in which this was written begins here, as far as that is known.
    pub marker: Option<Offset>,
    /// Somebody else had taken the partition over before this was written.
    pub by_former_owner: bool,
    pub record: DecisionRecord,
    /// The spans that this entry is the first to tell of.
    pub details: Option<TraceDetails<'static>>,
}

/// Who owns the partitions, as far as markers were read, or are known otherwise.
#[derive(Debug, Default)]
pub struct Owners(decision_log::Owners);

impl Owners {
    /// These are known otherwise.
    pub(super) fn knowing(known: decision_log::Owners) -> Self {
        Self(known)
    }

    /// The entries of a record, if `group` wrote it, and how many others are not understood. Ownership
    /// markers are none.
    ///
    /// # Errors
    /// When it is no record of a decision log.
    pub fn read(
        &mut self,
        group: Option<GroupHash>,
        record: &Record,
    ) -> Result<(Vec<Entry>, u64), ()> {
        let read = read_whole(record.value.as_deref()).map_err(drop)?;
        if group.is_some_and(|group| group != read.group) {
            return Ok((Vec::new(), 0));
        }
        let partition = record.partition;
        let at = (partition, record.offset);
        if read.is_marker {
            self.0.add(at, read.group, read.owner);
        }
        let by_former_owner = self.0.is_former(at, read.group, read.owner);
        let marker = self.0.marker(at, read.group);
        let entry = |LogEntry { record: decision, details }| Entry {
            partition,
            offset: record.offset,
            marker,
            by_former_owner,
            record: decision,
            details,
        };
        Ok((read.entries.into_iter().map(entry).collect(), read.not_understood))
    }
}

impl Entry {
    /// True if this counts and no longer `before`, which stands before it on the log and is on the same decision.
    /// An owner has the last word. What a former one writes counts against another former one, until somebody
    /// takes the partition over: who does that goes by what is there.
    pub fn outdoes(&self, before: &Self) -> bool {
        !self.by_former_owner || (before.by_former_owner && before.marker == self.marker)
    }

    /// The policy by which it was decided, if there is one.
    pub fn policy(&self) -> Option<&str> {
        self.record.policy().map(|policy| &**policy)
    }

    /// True if it says that the trace is kept.
    pub fn is_kept(&self) -> bool {
        matches!(self.record.decision, SamplingDecision::Kept(_))
    }

    /// True if it tells of late spans.
    pub fn is_late(&self) -> bool {
        self.details.as_ref().is_some_and(TraceDetails::is_late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Timestamp;
    use crate::kafka::decision_log::testing::dropped;
    use crate::kafka::decision_log::{LogBatch, OwnerId, marker};

    #[test]
    fn what_a_former_owner_writes_is_marked() {
        let (shop, bank) = (GroupHash::of("shop"), GroupHash::of("bank"));
        let record = |value| Record {
            partition: Partition(7),
            offset: Offset(42),
            timestamp: Timestamp(0),
            headers: Vec::new(),
            value: Some(value),
        };
        let batch = |group, owner| {
            let mut batch = LogBatch::new(group, OwnerId(owner));
            batch.push(&dropped(1, 3, 9), None);
            record(batch.value().to_vec())
        };
        let marker = |group, owner| record(marker(OwnerId(owner), group, Timestamp(0), None));
        let mut owners = Owners::default();
        let mut former = |group, record| {
            let (entries, _) = owners.read(group, &record).unwrap();
            entries.iter().map(|entry| entry.by_former_owner).collect::<Vec<_>>()
        };
        assert_eq!(former(None, batch(shop, 1)), [false], "it is not known who owns it");
        assert_eq!(former(None, marker(shop, 2)), [false; 0]);
        assert_eq!(former(None, batch(shop, 1)), [true]);
        assert_eq!(former(None, batch(shop, 2)), [false]);
        assert_eq!(former(None, batch(bank, 1)), [false], "another group has other owners");
        assert_eq!(former(Some(shop), batch(bank, 1)), [false; 0]);
        let mut owners = Owners::default();
        assert_eq!(owners.read(None, &record(b"nonsense".to_vec())), Err(()));
    }
}
