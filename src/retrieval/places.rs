//! Which records hold the spans of a trace, as its entries say.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::entry::Entry;
use crate::ids::{Offset, Partition};
use crate::sampling::trace::Trigger;

/// The records to read, by partition.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Places {
    by_partition: BTreeMap<Partition, Wanted>,
    is_gone: bool,
}

/// The records of one partition.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// All to read, in order.
    pub(super) ranges: Vec<RangeInclusive<i64>>,
    /// Those that an entry lists: each has spans of the trace. Of the others it is not known which have.
    pub(super) listed: BTreeSet<i64>,
}

impl Places {
    /// What these entries, which are all of one trace, say.
    pub fn of(entries: &[Entry]) -> Self {
        // What the entry of a decision says in detail is in others in short.
        let detailed: BTreeSet<(Partition, Offset)> = entries
            .iter()
            .filter(|entry| entry.details.is_some() && !entry.is_late())
            .map(|entry| (entry.partition, entry.record.first))
            .collect();
        let mut places = Self::default();
        for entry in entries {
            let (first, last) = (entry.record.first, entry.record.last);
            let listed = entry.details.as_ref().map(|details| {
                let (first, last) = (details.records.first(), details.records.last());
                (details.records.listed(), first, last)
            });
            match listed {
                Some((Some(all), ..)) => {
                    all.for_each(|offset| places.add_listed(entry.partition, offset));
                }
                Some((None, first, last)) => places.add(entry.partition, first, last),
                None if detailed.contains(&(entry.partition, first)) => {}
                // The record asks for the trace, and has no spans of it.
                None if entry.record.trigger == Trigger::Restored => {}
                None if first == Offset::BEFORE_ALL => places.is_gone = true,
                None => places.add(entry.partition, first, last),
            }
        }
        places.by_partition.values_mut().for_each(|wanted| merge(&mut wanted.ranges));
        places
    }

    fn add(&mut self, partition: Partition, first: Offset, last: Offset) {
        self.by_partition.entry(partition).or_default().ranges.push(first.0..=last.0);
    }

    fn add_listed(&mut self, partition: Partition, offset: Offset) {
        self.add(partition, offset, offset);
        self.by_partition.entry(partition).or_default().listed.insert(offset.0);
    }

    /// The records to read.
    pub(super) fn all(&self) -> impl Iterator<Item = (Partition, &Wanted)> {
        self.by_partition.iter().map(|(partition, wanted)| (*partition, wanted))
    }

    /// This record, too.
    pub fn and(mut self, partition: Partition, offset: Offset) -> Self {
        self.add_listed(partition, offset);
        self
    }

    /// No record behind `last`.
    pub fn until(mut self, last: Offset) -> Self {
        for Wanted { ranges, listed } in self.by_partition.values_mut() {
            listed.retain(|offset| *offset <= last.0);
            let cut = |range: &RangeInclusive<i64>| *range.start()..=last.0.min(*range.end());
            *ranges = ranges.iter().map(cut).filter(|range| !range.is_empty()).collect();
            merge(ranges);
        }
        self
    }

    /// The topic that had its records is gone.
    pub fn is_gone(&self) -> bool {
        self.is_gone
    }
}

/// Sorts ranges, and joins those that overlap or touch.
fn merge(ranges: &mut Vec<RangeInclusive<i64>>) {
    ranges.sort_by_key(|range| *range.start());
    let mut merged: Vec<RangeInclusive<i64>> = Vec::with_capacity(ranges.len());
    for range in ranges.drain(..) {
        match merged.last_mut() {
            Some(last) if *range.start() <= last.end().saturating_add(1) => {
                *last = *last.start()..=*last.end().max(range.end());
            }
            _ => merged.push(range),
        }
    }
    *ranges = merged;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::decision_log::testing::dropped;
    use crate::sampling::decided::TraceDetails;
    use crate::sampling::trace::RecordOffsets;

    fn records(offsets: &[i64]) -> RecordOffsets {
        let mut records = RecordOffsets::one(Offset(offsets[0]));
        offsets.iter().for_each(|offset| records.add(Offset(*offset)));
        records
    }

    fn entry(first: i64, last: i64, details: Option<TraceDetails<'static>>) -> Entry {
        Entry {
            partition: Partition(3),
            offset: Offset(0),
            marker: None,
            by_former_owner: false,
            record: dropped(1, first, last),
            details,
        }
    }

    fn read(entries: &[Entry]) -> Vec<RangeInclusive<i64>> {
        Places::of(entries).all().flat_map(|(_, wanted)| wanted.ranges.clone()).collect()
    }

    #[test]
    fn the_records_that_are_listed_are_read_and_no_others() {
        let late = |at| Some(TraceDetails::late(records(&[at]), 1, 1));
        let duration = Some(std::time::Duration::ZERO);
        let details = TraceDetails { duration, ..TraceDetails::late(records(&[5, 6, 9]), 3, 3) };
        let decision = entry(5, 9, Some(details));
        let entries = [decision.clone(), entry(5, 9, None), entry(5, 9, late(20)), decision];
        assert_eq!(read(&entries), [5..=6, 9..=9, 20..=20]);
        let listed = |places: &Places| -> Vec<i64> {
            places.all().flat_map(|(_, wanted)| wanted.listed.clone()).collect()
        };
        assert_eq!(listed(&Places::of(&entries)), [5, 6, 9, 20]);
        assert_eq!(
            listed(&Places::of(&entries).and(Partition(3), Offset(12)).until(Offset(12))),
            [5, 6, 9, 12]
        );
    }

    #[test]
    fn what_is_not_listed_is_looked_for() {
        assert_eq!(read(&[entry(5, 9, None), entry(7, 12, None)]), [5..=12]);
        let many = TraceDetails::late(RecordOffsets::unlisted(Offset(2), Offset(900)), 1, 1);
        assert_eq!(read(&[entry(2, 900, Some(many))]), [2..=900]);
        assert!(Places::of(&[entry(-1, -1, None)]).is_gone());
    }

    #[test]
    fn a_request_for_the_trace_has_none_of_its_spans() {
        let late = TraceDetails::late(records(&[41]), 1, 1);
        let request = |last, details| {
            let mut entry = entry(40, last, details);
            entry.record.trigger = Trigger::Restored;
            entry
        };
        assert_eq!(read(&[entry(5, 9, None), request(40, None), request(41, None)]), [5..=9]);
        assert_eq!(read(&[request(41, Some(late)), request(41, None)]), [41..=41]);
    }

    #[test]
    fn what_comes_behind_a_record_can_be_left_out() {
        let places = |entries: &[Entry], last| -> Vec<RangeInclusive<i64>> {
            let places = Places::of(entries).and(Partition(3), Offset(last)).until(Offset(last));
            places.all().flat_map(|(_, wanted)| wanted.ranges.clone()).collect()
        };
        let entries = [entry(5, 9, None), entry(20, 30, None), entry(40, 41, None)];
        assert_eq!(places(&entries, 25), [5..=9, 20..=25]);
        assert_eq!(places(&entries[..1], 10), [5..=10]);
        assert_eq!(places(&[], 7), [7..=7]);
    }
}
