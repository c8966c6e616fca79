//! The stretches that are being collected: for each partition, which records of the log are on it, and
//! the hashes of the trace ids in them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::IndexSettings;
use super::record::{Stretch, TraceHash};
use crate::ids::{Offset, Origin, Partition, TopicId};
use crate::kafka::decision_log::{GroupHash, OwnerId};

/// So many runs at most are told of a stretch. Each needs some bytes of each record of the index.
const MOST_RUNS: usize = 4096;

/// What an entry takes in memory.
const ENTRY: usize = size_of::<TraceHash>();

/// An ownership that writes to the log of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ownership {
    pub(super) origin: Origin,
    pub(super) owner: OwnerId,
    pub(super) group: GroupHash,
    /// Where its marker is.
    pub(super) marker: Offset,
}

/// What was collected.
#[derive(Debug)]
pub(super) struct Collected {
    ownership: Ownership,
    /// When its first record was written.
    since: Instant,
    /// The id of the log when that was known to be written.
    pub(super) log: Option<TopicId>,
    runs: Vec<Range<i64>>,
    hashes: Vec<TraceHash>,
}

impl Collected {
    /// The records, and the hashes: in order, each once.
    pub(super) fn finish(mut self) -> (Stretch, Vec<TraceHash>) {
        self.hashes.sort_unstable();
        self.hashes.dedup();
        let Ownership { origin, owner, group, marker } = self.ownership;
        let (log, partition, runs) = (self.log, origin.partition, self.runs);
        (Stretch { owner, group, log, partition, marker, runs }, self.hashes)
    }

    fn has(&self, offset: Offset) -> bool {
        self.runs.last().is_some_and(|run| offset.0 < run.end)
    }

    fn add(&mut self, offset: Offset, hashes: &[TraceHash]) {
        match self.runs.last_mut() {
            Some(run) if run.end == offset.0 => run.end += 1,
            _ => self.runs.push(offset.0..offset.0 + 1),
        }
        self.hashes.extend_from_slice(hashes);
    }
}

/// A partition.
#[derive(Debug)]
struct Lane {
    ownership: Ownership,
    /// What was written since the last stretch ended.
    open: Option<Collected>,
}

/// All partitions of a process.
#[derive(Debug)]
pub(super) struct Collecting {
    max_entries: usize,
    max_age: Duration,
    lanes: BTreeMap<Partition, Lane>,
    /// Stretches that have ended, to be written.
    ended: Vec<Collected>,
}

impl Collecting {
    pub(super) fn new(settings: &IndexSettings) -> Self {
        let IndexSettings { max_entries, max_age, .. } = *settings;
        Self { max_entries, max_age, lanes: BTreeMap::new(), ended: Vec::new() }
    }

    /// An ownership has begun: its marker is on the log, of this id. What a former one of the same
    /// process wrote is a stretch of its own.
    pub(super) fn begin(&mut self, ownership: Ownership, now: Instant, log: Option<TopicId>) {
        let partition = ownership.origin.partition;
        let mut open = Collected::new(ownership, now, log);
        open.add(ownership.marker, &[]);
        let former = self.lanes.insert(partition, Lane { ownership, open: Some(open) });
        self.ended.extend(former.and_then(|lane| lane.open));
    }

    /// A record is on the log. `log` tells the id of that; it is asked once for each stretch.
    pub(super) fn written(
        &mut self,
        (origin, offset): (Origin, Offset),
        hashes: &[TraceHash],
        now: Instant,
        log: impl FnOnce() -> Option<TopicId>,
    ) {
        let Some(lane) = self.lanes.get_mut(&origin.partition) else { return };
        if lane.ownership.origin != origin {
            return;
        }
        if lane.open.as_ref().is_some_and(|open| open.has(offset)) {
            // The topic was created anew: what was there before is gone.
            lane.open = None;
        }
        let ownership = lane.ownership;
        let open = lane.open.get_or_insert_with(|| Collected::new(ownership, now, log()));
        open.add(offset, hashes);
        if open.hashes.len() >= self.max_entries || open.runs.len() >= MOST_RUNS {
            self.ended.extend(lane.open.take());
        }
    }

    /// An ownership has ended.
    pub(super) fn end(&mut self, origin: Origin) {
        if self.lanes.get(&origin.partition).is_some_and(|lane| lane.ownership.origin == origin) {
            let lane = self.lanes.remove(&origin.partition);
            self.ended.extend(lane.and_then(|lane| lane.open));
        }
    }

    /// Everything that was collected ends.
    pub(super) fn end_all(&mut self) {
        self.ended.extend(self.lanes.values_mut().filter_map(|lane| lane.open.take()));
    }

    /// Takes the stretches that have ended, also those that are old enough.
    pub(super) fn take_ended(&mut self, now: Instant) -> Vec<Collected> {
        for lane in self.lanes.values_mut() {
            let is_old = |open: &Collected| now.duration_since(open.since) >= self.max_age;
            if lane.open.as_ref().is_some_and(is_old) {
                self.ended.extend(lane.open.take());
            }
        }
        std::mem::take(&mut self.ended)
    }

    /// When the next stretch is old enough.
    pub(super) fn next(&self) -> Option<Instant> {
        let open = self.lanes.values().filter_map(|lane| lane.open.as_ref());
        open.map(|open| open.since + self.max_age).min()
    }

    /// The memory that is taken, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let open = self.lanes.values().filter_map(|lane| lane.open.as_ref());
        open.map(|open| open.hashes.capacity() * ENTRY).sum()
    }
}

impl Collected {
    fn new(ownership: Ownership, since: Instant, log: Option<TopicId>) -> Self {
        Self { ownership, since, log, runs: Vec::new(), hashes: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Generation;

    const MAX_AGE: Duration = Duration::from_secs(300);

    fn ownership(partition: i32, generation: u64, marker: i64) -> Ownership {
        let partition = Partition(partition);
        Ownership {
            origin: Origin { worker: 0, partition, generation: Generation(generation) },
            owner: OwnerId(generation),
            group: GroupHash::of("shop"),
            marker: Offset(marker),
        }
    }

    struct Log {
        collecting: Collecting,
        now: Instant,
        id: Option<TopicId>,
    }

    impl Log {
        fn new(max_entries: usize) -> Self {
            let settings = IndexSettings { topic: "index".into(), max_entries, max_age: MAX_AGE };
            let id = TopicId::from_bits(7);
            Self { collecting: Collecting::new(&settings), now: Instant::now(), id }
        }

        fn begin(&mut self, ownership: Ownership) {
            self.collecting.begin(ownership, self.now, self.id);
        }

        fn write(&mut self, of: Ownership, offset: i64, hashes: &[u64]) {
            let hashes: Vec<_> = hashes.iter().map(|hash| TraceHash(*hash)).collect();
            let id = self.id;
            self.collecting.written((of.origin, Offset(offset)), &hashes, self.now, || id);
        }

        /// The runs and the hashes of each stretch that has ended.
        fn ended(&mut self) -> Vec<(Vec<Range<i64>>, Vec<u64>)> {
            let ended = self.collecting.take_ended(self.now).into_iter().map(Collected::finish);
            ended
                .map(|(stretch, hashes)| (stretch.runs, hashes.iter().map(|it| it.0).collect()))
                .collect()
        }
    }

    #[expect(clippy::single_range_in_vec_init, reason = "a stretch of one run")]
    #[test]
    fn a_stretch_ends_when_it_is_full_or_old() {
        let (mut log, owner) = (Log::new(4), ownership(1, 1, 9));
        log.begin(owner);
        log.write(owner, 10, &[5, 3]);
        log.write(owner, 11, &[3]);
        assert_eq!(log.ended(), []);
        log.write(owner, 12, &[1]);
        assert_eq!(log.ended(), [(vec![9..13], vec![1, 3, 5])], "each id once");
        assert_eq!(log.collecting.next(), None);
        log.write(owner, 13, &[2]);
        assert_eq!(log.collecting.next(), Some(log.now + MAX_AGE));
        assert!(log.collecting.bytes() <= 4 * ENTRY);
        log.now += MAX_AGE;
        assert_eq!(log.ended(), [(vec![13..14], vec![2])]);
    }

    /// Guarantees: what somebody else wrote in between is no part of a stretch.
    #[expect(clippy::single_range_in_vec_init, reason = "a stretch of one run")]
    #[test]
    fn records_of_others_are_not_covered() {
        let (mut log, owner) = (Log::new(100), ownership(1, 1, 4));
        log.begin(owner);
        log.write(owner, 6, &[1]);
        log.write(owner, 7, &[2]);
        log.write(owner, 11, &[3]);
        let stranger = ownership(1, 2, 0);
        log.write(stranger, 12, &[4]);
        log.write(ownership(2, 1, 0), 13, &[5]);
        log.collecting.end(stranger.origin);
        assert_eq!(log.ended(), []);
        // The next ownership of the partition takes it over.
        log.begin(stranger);
        assert_eq!(log.ended(), [(vec![4..5, 6..8, 11..12], vec![1, 2, 3])]);
        log.write(owner, 14, &[6]);
        log.collecting.end(stranger.origin);
        assert_eq!(log.ended(), [(vec![0..1], vec![])]);
        log.write(stranger, 15, &[7]);
        log.collecting.end_all();
        assert_eq!(log.ended(), [], "it has ended");
    }

    /// Scenario: the topic of the log is deleted and created again while members run.
    /// Guarantees: offsets of the old one are not taken for such of the new one.
    #[expect(clippy::single_range_in_vec_init, reason = "a stretch of one run")]
    #[test]
    fn a_log_that_begins_anew_begins_a_stretch() {
        let (mut log, owner) = (Log::new(100), ownership(1, 1, 50));
        log.begin(owner);
        log.write(owner, 51, &[1]);
        log.id = TopicId::from_bits(8);
        log.write(owner, 0, &[2]);
        log.collecting.end_all();
        let all = log.collecting.take_ended(log.now);
        assert_eq!(all[0].log, TopicId::from_bits(8));
        let ended: Vec<_> = all.into_iter().map(|it| it.finish().0.runs).collect();
        assert_eq!(ended, [[0..1]]);
    }

    #[test]
    fn the_number_of_runs_is_bounded() {
        let (mut log, owner) = (Log::new(usize::MAX), ownership(1, 1, 0));
        log.begin(owner);
        (1..=MOST_RUNS as i64).for_each(|number| log.write(owner, number * 2, &[1]));
        let ended = log.ended();
        assert_eq!((ended.len(), ended[0].0.len()), (1, MOST_RUNS));
    }
}
