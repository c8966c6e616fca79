//! The entries of one trace in the decision log.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;

use memchr::memmem::Finder;

use super::entry::{Entry, Owners};
use super::reader::{Reader, Stretches};
use super::{Budget, RetrievalError, TimeRange};
use crate::ids::{Partition, Position, Timestamp, TraceId};
use crate::kafka::decision_log::{Coverage, GroupHash};
use crate::kafka::partitioner::Family;
use crate::kafka::topic_reader::Record;

/// So many records are read along rather than asked for anew what is behind them.
const NEAR: i64 = 8;

/// An ownership marker is no longer than this, and has to be read: it says who the owner is.
const LONGEST_MARKER: usize = 64;

/// Whose entries are looked for, and whose decisions count.
type Wanted = (TraceId, Option<GroupHash>);

/// All entries that count, at least one.
pub(super) fn find(
    (log, mut coverage): (&Reader, Option<Coverage>),
    wanted: Wanted,
    range: TimeRange,
    budget: &mut Budget,
) -> Result<Vec<Entry>, RetrievalError> {
    let partitions = log.partitions(budget)?;
    // The decision is on the partition of the spans, which is that of the trace id as their key.
    let likely = likely(wanted.0, partitions);
    let others = (0..partitions.cast_signed()).map(Partition);
    let others = others.filter(|partition| !likely.contains(partition)).collect();
    let mut why_none = WhyNone::default();
    for partitions in [likely, others] {
        let about = (&mut coverage, &mut why_none);
        let stretches = stretches(log, &partitions, range, (budget, about))?;
        let entries = of_owners(read((log, coverage.as_ref()), wanted, &stretches, budget)?);
        if !entries.is_empty() {
            return Ok(entries);
        }
    }
    Err(why_none.error())
}

/// All entries that count, at or behind a position.
pub(super) fn find_behind(
    (log, mut coverage): (&Reader, Option<Coverage>),
    wanted: Wanted,
    (partition, from): (Partition, Position),
    budget: &mut Budget,
) -> Result<Vec<Entry>, RetrievalError> {
    let mut stretches = log.whole(&BTreeSet::from([partition]), budget)?;
    for stretch in stretches.values_mut() {
        if let Some(coverage) = &mut coverage {
            coverage.bound(partition, stretch.end);
        }
        stretch.start = stretch.start.max(from.0);
    }
    Ok(of_owners(read((log, coverage.as_ref()), wanted, &stretches, budget)?))
}

/// Without those of former owners on decisions that an owner has made, too. That late spans followed one,
/// or that it was delivered, an owner also says of what a former one decided.
fn of_owners(mut entries: Vec<Entry>) -> Vec<Entry> {
    let decision = |entry: &Entry| (entry.partition, entry.record.first);
    let is_made = |entry: &&Entry| {
        let details = entry.details.as_ref();
        !entry.by_former_owner && details.is_some_and(|details| !details.is_late())
    };
    let made: HashSet<_> = entries.iter().filter(is_made).map(decision).collect();
    entries.retain(|entry| !entry.by_former_owner || !made.contains(&decision(entry)));
    entries
}

/// What else a partition says of the trace in a range; perhaps nothing.
pub(super) fn more(
    log: &Reader,
    wanted: Wanted,
    (partition, range): (Partition, TimeRange),
    budget: &mut Budget,
) -> Result<Vec<Entry>, RetrievalError> {
    let here = BTreeSet::from([partition]);
    let about = (&mut None, &mut WhyNone::default());
    let stretches = stretches(log, &here, range, (budget, about))?;
    let mut entries = read((log, None), wanted, &stretches, budget)?;
    entries.retain(|entry| !entry.by_former_owner);
    Ok(entries)
}

/// What is known if there are no entries.
#[derive(Debug, Default)]
struct WhyNone {
    /// A partition has something in the range, or behind it.
    is_decided: bool,
    /// A partition has something in the range, or before it.
    is_kept_back: bool,
    /// A partition has lost records.
    is_deleted: bool,
}

impl WhyNone {
    fn error(&self) -> RetrievalError {
        match self {
            Self { is_decided: false, .. } => RetrievalError::StillOpen,
            Self { is_kept_back: false, is_deleted: true, .. } => RetrievalError::BeyondRetention,
            _ => RetrievalError::NotFound,
        }
    }
}

/// What of these partitions was written in the range.
fn stretches(
    log: &Reader,
    partitions: &BTreeSet<Partition>,
    range: TimeRange,
    (budget, (coverage, why_none)): (&Budget, (&mut Option<Coverage>, &mut WhyNone)),
) -> Result<Stretches, RetrievalError> {
    if partitions.is_empty() {
        return Ok(Stretches::new());
    }
    let mut stretches = log.whole(partitions, budget)?;
    if let Some(coverage) = coverage {
        stretches.iter().for_each(|(partition, all)| coverage.bound(*partition, all.end));
    }
    why_none.is_deleted |= stretches.values().any(|all| all.start > 0);
    let firsts = range.from.map(|from| log.at(partitions, from, budget)).transpose()?;
    let after = |time: Timestamp| Timestamp(time.0.saturating_add(1));
    let ends = range.to.map(|to| log.at(partitions, after(to), budget)).transpose()?;
    for (partition, stretch) in &mut stretches {
        let low = stretch.start;
        let of = |offsets: &Option<BTreeMap<Partition, Option<i64>>>| {
            offsets.as_ref().and_then(|offsets| offsets.get(partition).copied().flatten())
        };
        if firsts.is_some() {
            stretch.start = of(&firsts).unwrap_or(stretch.end);
        }
        why_none.is_decided |= stretch.start < stretch.end;
        stretch.end = of(&ends).unwrap_or(stretch.end);
        why_none.is_kept_back |= stretch.end > low;
    }
    Ok(stretches)
}

fn read(
    (log, coverage): (&Reader, Option<&Coverage>),
    (id, group): Wanted,
    stretches: &Stretches,
    budget: &mut Budget,
) -> Result<Vec<Entry>, RetrievalError> {
    let finder = Finder::new(id.as_bytes());
    let known = coverage.map(|coverage| coverage.owners().clone());
    let mut owners = Owners::knowing(known.unwrap_or_default());
    let (mut entries, mut bytes) = (Vec::new(), 0);
    let mut take = |record: &Record| {
        let value = record.value.as_deref().unwrap_or_default();
        bytes += value.len() as u64;
        let may_matter = value.len() <= LONGEST_MARKER || finder.find(value).is_some();
        // What others wrote there is not looked for.
        if may_matter && let Ok((all, _)) = owners.read(group, record) {
            entries.extend(all.into_iter().filter(|entry| entry.record.trace_id == id));
        }
    };
    for round in rounds(stretches, coverage) {
        log.read(&round, budget, &mut take)?;
    }
    budget.read.log += bytes;
    Ok(entries)
}

/// What is read of each partition, side by side: the first stretch of each, the second one, and so on.
fn rounds(stretches: &Stretches, coverage: Option<&Coverage>) -> Vec<Stretches> {
    let mut rounds: Vec<Stretches> = Vec::new();
    for (partition, stretch) in stretches {
        let to_read = match coverage {
            Some(coverage) => coverage.to_read(*partition, stretch),
            None => vec![stretch.clone()],
        };
        for (round, range) in together(to_read).into_iter().enumerate() {
            if rounds.len() <= round {
                rounds.push(Stretches::new());
            }
            rounds[round].insert(*partition, range);
        }
    }
    rounds
}

/// Joins those that are near each other.
fn together(ranges: Vec<Range<i64>>) -> Vec<Range<i64>> {
    let mut joined: Vec<Range<i64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start - last.end <= NEAR => last.end = range.end,
            _ => joined.push(range),
        }
    }
    joined
}

/// Where producers put the key of a trace: its id in hexadecimal digits, or its bytes.
fn likely(id: TraceId, partitions: u32) -> BTreeSet<Partition> {
    let digits = id.to_string();
    let keys = [digits.as_bytes(), id.as_bytes().as_slice()];
    let of = |key| Family::ALL.map(|family| family.partition(key, partitions));
    keys.into_iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::ids::Offset;
    use crate::kafka::decision_log::testing::dropped;
    use crate::sampling::decided::TraceDetails;
    use crate::sampling::trace::RecordOffsets;

    #[test]
    fn what_a_former_owner_decided_counts_unless_an_owner_did_too() {
        let late = TraceDetails::late(RecordOffsets::one(Offset(9)), 1, 1);
        let made = TraceDetails { duration: Some(Duration::ZERO), ..late.clone() };
        let entry = |first, by_former_owner, details: Option<&TraceDetails<'static>>| Entry {
            partition: Partition(3),
            offset: Offset(0),
            marker: None,
            by_former_owner,
            record: dropped(1, first, first + 5),
            details: details.cloned(),
        };
        let counts = |entries: &[Entry]| -> Vec<(i64, bool)> {
            let all = of_owners(entries.to_vec());
            all.iter().map(|entry| (entry.record.first.0, entry.by_former_owner)).collect()
        };
        let former = entry(7, true, Some(&made));
        let another = [former.clone(), entry(9, false, Some(&made))];
        assert_eq!(counts(&another), [(7, true), (9, false)]);
        let both = [former.clone(), entry(7, false, Some(&made)), former.clone()];
        assert_eq!(counts(&both), [(7, false)]);
        let followed = [former, entry(7, false, Some(&late)), entry(7, false, None)];
        assert_eq!(counts(&followed), [(7, true), (7, false), (7, false)]);
    }

    #[test]
    fn a_trace_is_looked_for_where_producers_put_it() {
        let id = TraceId::from_hex(b"0af7651916cd43dd8448eb211c80319c").unwrap();
        let likely = likely(id, 1000);
        let collectors = Family::Fnv1a.partition(b"0af7651916cd43dd8448eb211c80319c", 1000);
        assert!(likely.contains(&collectors) && likely.len() <= 6);
        assert_eq!(super::likely(id, 1).len(), 1);
    }
}
