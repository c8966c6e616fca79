//! Whether the topic keeps each trace in one partition: what the keys say, and where traces are, of which one in
//! [`SAMPLED`] is looked for.
//!
//! A trace whose spans are on several partitions is decided there in parts, by members and here. Pure.

use std::collections::HashSet;
use std::collections::hash_map::{Entry, HashMap};

use serde::{Deserialize, Serialize};

use crate::ids::{Partition, TraceId};

/// Of this many traces, one is looked for.
const SAMPLED: u64 = 64;

/// How many of these are remembered of a partition, and sixteen times as many of all.
const REMEMBERED: usize = 4096;

/// What was seen of that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoutingCounts {
    /// Records without a key.
    pub without_key: u64,
    /// Records with a key that is not the id of the one trace in them.
    #[serde(default)]
    pub foreign_key: u64,
    /// Traces that were looked for.
    #[serde(default)]
    pub looked_for: u64,
    /// Those of them that have spans on several of the partitions that were read.
    #[serde(default)]
    pub scattered: u64,
}

impl RoutingCounts {
    /// Adds what was seen elsewhere.
    pub fn add(&mut self, more: &Self) {
        self.without_key += more.without_key;
        self.foreign_key += more.foreign_key;
        self.looked_for += more.looked_for;
        self.scattered += more.scattered;
    }
}

/// What was seen in one partition.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub(super) counts: RoutingCounts,
    traces: HashSet<TraceId>,
}

impl Seen {
    /// A record with spans of these traces.
    pub fn take_in(&mut self, key: Option<&[u8]>, mut traces: impl Iterator<Item = TraceId>) {
        self.counts.without_key += u64::from(key.is_none());
        let Some(first) = traces.next() else { return };
        let is_foreign =
            key.is_some_and(|key| !first.is_key(key) || traces.any(|other| other != first));
        self.counts.foreign_key += u64::from(is_foreign);
        if first.is_one_of(SAMPLED) && self.traces.len() < REMEMBERED {
            self.traces.insert(first);
        }
    }
}

/// Where the traces are that are looked for: all partitions together.
#[derive(Clone, Debug, Default)]
pub struct Places {
    traces: HashMap<TraceId, Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    In(Partition),
    Several,
}

impl Places {
    /// Adds what was seen in another partition; what that tells of is counted.
    pub fn add(&mut self, partition: Partition, seen: &Seen, counts: &mut RoutingCounts) {
        for trace in &seen.traces {
            let has_room = self.traces.len() < 16 * REMEMBERED;
            match self.traces.entry(*trace) {
                Entry::Vacant(place) if has_room => {
                    place.insert(Place::In(partition));
                    counts.looked_for += 1;
                }
                Entry::Vacant(_) => {}
                Entry::Occupied(mut place) => {
                    let is_new = matches!(place.get(), Place::In(other) if *other != partition);
                    if is_new {
                        place.insert(Place::Several);
                        counts.scattered += 1;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> TraceId {
        TraceId::from_slice(&number.to_be_bytes()).unwrap()
    }

    #[test]
    fn keys_are_held_against_the_traces_of_their_record() {
        let mut seen = Seen::default();
        let hex = id(7).to_string();
        let mut record = |key: Option<&[u8]>, traces: &[u128]| {
            seen.take_in(key, traces.iter().map(|it| id(*it)));
        };
        record(Some(hex.as_bytes()), &[7, 7]);
        record(Some(id(7).as_bytes()), &[7]);
        record(Some(b"shop"), &[7]);
        record(Some(hex.as_bytes()), &[7, 8]);
        record(None, &[7]);
        record(Some(b"nothing is in it"), &[]);
        let expected = RoutingCounts { without_key: 1, foreign_key: 2, ..Default::default() };
        assert_eq!(seen.counts, expected);
    }

    #[test]
    fn a_trace_on_several_partitions_is_counted_once() {
        let sampled: Vec<TraceId> =
            (1..).map(id).filter(|it| it.is_one_of(SAMPLED)).take(3).collect();
        let (mut places, mut counts) = (Places::default(), RoutingCounts::default());
        for (partition, of_it) in [(0, 0..2), (1, 1..3), (2, 1..2), (2, 1..2)] {
            let mut seen = Seen::default();
            sampled[of_it].iter().for_each(|it| seen.take_in(None, [*it].into_iter()));
            places.add(Partition(partition), &seen, &mut counts);
        }
        assert_eq!((counts.looked_for, counts.scattered), (3, 1));
    }
}
