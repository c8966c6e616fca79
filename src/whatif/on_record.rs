//! The old side, as the decision log of one partition has it: its records in order, into the [`Join`].
//!
//! Goes by the owners' fence as a member does that takes the partition over: what a former owner writes counts
//! for traces of which its successor has written nothing.

use super::join::{Join, OldDecision};
use super::side::old;
use crate::ids::Timestamp;
use crate::kafka::decision_log::{GroupHash, LogEntry, OwnerId, read_whole};
use crate::sampling::trace::Trigger;

/// How far the log of a partition was read.
#[derive(Debug)]
pub struct OnRecord {
    /// Whose decisions count; that of the first record if it was not known.
    group: Option<GroupHash>,
    owner: Option<OwnerId>,
    latest: Timestamp,
    of_others: u64,
    not_understood: u64,
}

impl OnRecord {
    /// Nothing was read yet.
    pub fn new(group: Option<GroupHash>) -> Self {
        let (of_others, not_understood) = (0, 0);
        Self { group, owner: None, latest: Timestamp(i64::MIN), of_others, not_understood }
    }

    /// Reads the next record; `now` is the partition's clock, on the side of the spans.
    pub fn take_in(&mut self, value: Option<&[u8]>, now: Timestamp, join: &mut Join) {
        let Ok(read) = read_whole(value) else {
            self.not_understood += 1;
            return;
        };
        if *self.group.get_or_insert(read.group) != read.group {
            self.of_others += 1;
            return;
        }
        self.not_understood += read.not_understood;
        if read.is_marker {
            self.owner = Some(read.owner);
            join.new_owner();
        }
        let is_superseded = self.owner.is_some_and(|owner| owner != read.owner);
        for LogEntry { record, .. } in &read.entries {
            self.latest = self.latest.max(record.at);
            // What a person asked for says nothing of policies.
            if record.trigger == Trigger::Restored {
                continue;
            }
            join.old(now.max(record.at), &OldDecision { is_superseded, ..old(record) });
        }
    }

    /// The latest clock of a decision so far.
    pub fn latest(&self) -> Timestamp {
        self.latest
    }

    /// How many records other groups wrote.
    pub fn of_others(&self) -> u64 {
        self.of_others
    }

    /// How many records and entries are not understood.
    pub fn not_understood(&self) -> u64 {
        self.not_understood
    }
}
