//! What was dropped of a trace, and is not delivered since.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use super::entry::Entry;
use crate::ids::{Offset, Partition};
use crate::sampling::decided::{DecisionRecord, SamplingDecision, take_back};

/// What was dropped of a trace in one partition.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Dropped<'a> {
    /// The entries that tell of it; none if all of the trace was kept, or is delivered since.
    pub entries: Vec<&'a Entry>,
    /// The policy that dropped some of it whatever others say, if one did.
    pub vetoed_by: Option<Arc<str>>,
}

/// What was dropped of a trace in a partition by decisions that began before `end`, and is not delivered by
/// others that did. It may have been dropped several times, if decisions were forgotten. One that somebody
/// asked for delivers all that was dropped before; one that late spans re-opened, what was dropped last.
pub fn dropped(entries: &[Entry], partition: Partition, end: Offset) -> Dropped<'_> {
    let here = || entries.iter().filter(move |it| it.partition == partition);
    // What counts of each of the decisions.
    let mut counting: BTreeMap<Offset, &Entry> = BTreeMap::new();
    for entry in here().filter(|entry| entry.record.first < end) {
        let first = entry.record.first;
        if counting.get(&first).is_none_or(|before| entry.outdoes(before)) {
            counting.insert(first, entry);
        }
    }
    let decisions: BTreeMap<Offset, &DecisionRecord> =
        counting.into_iter().map(|(first, entry)| (first, &entry.record)).collect();
    let is_taken_back = |first: Offset| {
        let later = decisions.range((Bound::Excluded(first), Bound::Unbounded));
        take_back(later.map(|(_, decision)| *decision))
    };
    let stands = decisions.iter().filter(|(first, decision)| {
        decision.decision == SamplingDecision::Dropped && !is_taken_back(**first)
    });
    let stands: Vec<&DecisionRecord> = stands.map(|(_, decision)| *decision).collect();
    let vetoed_by = stands.iter().find_map(|decision| decision.dropped_by.clone());
    let firsts: BTreeSet<Offset> = stands.iter().map(|decision| decision.first).collect();
    let entries = here().filter(|entry| firsts.contains(&entry.record.first)).collect();
    Dropped { entries, vetoed_by }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::decision_log::testing;
    use crate::sampling::decided::Kept;
    use crate::sampling::trace::Trigger;

    const HERE: Partition = Partition(3);

    fn entry(first: i64, trigger: Option<Trigger>) -> Entry {
        let dropped = testing::dropped(1, first, first + 1);
        let record = match trigger {
            None => dropped,
            Some(trigger) => {
                let decision = SamplingDecision::Kept(Kept::on_request());
                DecisionRecord { decision, trigger, ..dropped }
            }
        };
        let (partition, offset) = (HERE, Offset(first));
        Entry { partition, offset, marker: None, by_former_owner: false, record, details: None }
    }

    /// Where the decisions begin that dropped something.
    fn firsts(entries: &[Entry], end: i64) -> Vec<i64> {
        let dropped = dropped(entries, HERE, Offset(end));
        dropped.entries.iter().map(|entry| entry.record.first.0).collect()
    }

    #[test]
    fn what_was_dropped_is_not_delivered_twice() {
        let (late, restored) = (Some(Trigger::Late), Some(Trigger::Restored));
        let all = [entry(1, None), entry(5, None), entry(9, late), entry(12, Some(Trigger::Root))];
        assert_eq!(firsts(&all, 9), [1, 5]);
        assert_eq!(firsts(&all, 10), [1], "late spans re-opened what was dropped last");
        let all = [all.to_vec(), vec![entry(14, None), entry(20, restored)]].concat();
        assert_eq!(firsts(&all, 20), [1, 14]);
        assert_eq!(firsts(&all, 21), [0_i64; 0]);
        let again = [all, vec![entry(30, None)]].concat();
        assert_eq!(firsts(&again, 99), [30]);
        let elsewhere = Entry { partition: Partition(4), ..entry(1, None) };
        assert_eq!(firsts(&[elsewhere], 99), [0_i64; 0]);
    }

    /// Scenario: two members that lost the partition still write different decisions on one trace.
    /// Guarantees: what the owner in between goes by counts, as when the log is read back.
    #[test]
    fn of_former_owners_that_counts_which_the_next_owner_found() {
        let by_former = |marker, entry: Entry| {
            let marker = Some(Offset(marker));
            Entry { by_former_owner: true, marker, ..entry }
        };
        let dropped = |marker| by_former(marker, entry(1, None));
        let kept = |marker| by_former(marker, entry(1, Some(Trigger::Wait)));
        let is_dropped = |entries: &[Entry]| !firsts(entries, 99).is_empty();
        assert!(is_dropped(&[dropped(5), kept(7)]), "who began at 7 goes by the first");
        assert!(!is_dropped(&[dropped(5), kept(5)]), "nobody did in between");
        assert!(!is_dropped(&[kept(5), dropped(7)]));
        assert!(!is_dropped(&[dropped(5), entry(1, Some(Trigger::Wait))]));
        assert!(is_dropped(&[entry(1, None), kept(5)]), "an owner has the last word");
    }

    #[test]
    fn a_veto_is_told_unless_it_is_past() {
        let veto = |first| {
            let mut entry = entry(first, None);
            entry.record.dropped_by = Some("veto".into());
            entry
        };
        let by = |entries: &[Entry]| dropped(entries, HERE, Offset(99)).vetoed_by;
        assert_eq!(by(&[veto(1), entry(5, None)]).as_deref(), Some("veto"));
        assert_eq!(by(&[veto(1), entry(5, Some(Trigger::Restored)), entry(8, None)]), None);
    }
}
