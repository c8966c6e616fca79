//! Decisions that wait for others of their partition, to be put on record with them: a record of the
//! decision log costs about the same however many it has, and a member that writes those of all its
//! partitions at the same moment is seldom woken.
//!
//! Owns how long each kind of decision waits, and when the next batches are due. Leaves to the
//! settlement what is in a batch.

use std::time::Duration;

use hashbrown::HashMap;
use tokio::time::Instant;

use crate::ids::Origin;

/// How soon something has to be on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// A trace is dropped: all that waits for it is the offset that is committed.
    Later,
    /// A trace is kept: it leaves when that is on record. Or it is delivered: after a kill it would
    /// be delivered again.
    Soon,
}

/// At these intervals batches are written, by all workers of a process in step.
const TICK: Duration = Duration::from_millis(100);

impl Urgency {
    /// Ticks until it is written at the latest.
    fn ticks(self) -> u32 {
        match self {
            Self::Later => 10,
            Self::Soon => 1,
        }
    }
}

/// When the open batch of each ownership has to go to the log.
#[derive(Debug)]
pub(super) struct Gathering {
    /// Ticks are counted from here.
    epoch: Instant,
    due: HashMap<Origin, Instant, foldhash::fast::RandomState>,
    next: Option<Instant>,
}

impl Gathering {
    /// Nothing waits. Workers with the same `epoch` are in step.
    pub(super) fn new(epoch: Instant) -> Self {
        Self { epoch, due: HashMap::default(), next: None }
    }

    /// The open batch of an ownership has something as urgent as this.
    pub(super) fn add(&mut self, origin: Origin, urgency: Urgency, now: Instant) {
        let ticks = now.saturating_duration_since(self.epoch).as_nanos() / TICK.as_nanos();
        let ticks = u32::try_from(ticks).unwrap_or(u32::MAX).saturating_add(urgency.ticks());
        let due = self.epoch + TICK * ticks;
        let known = self.due.entry(origin).or_insert(due);
        *known = due.min(*known);
        self.next = self.next.map_or(Some(due), |next| Some(next.min(due)));
    }

    /// When the next batch is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Takes out what is due; everything if there is a hurry.
    pub(super) fn take_due(&mut self, now: Instant, is_in_a_hurry: bool) -> Vec<Origin> {
        if self.next.is_none_or(|next| next > now && !is_in_a_hurry) {
            return Vec::new();
        }
        let is_due = |_: &Origin, due: &mut Instant| *due <= now || is_in_a_hurry;
        let taken = self.due.extract_if(is_due).map(|(origin, _)| origin).collect();
        self.next = self.due.values().min().copied();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Generation, Partition};

    fn origin(partition: i32) -> Origin {
        Origin { worker: 0, partition: Partition(partition), generation: Generation(1) }
    }

    #[test]
    fn a_batch_is_due_as_soon_as_what_is_most_urgent_in_it() {
        let start = Instant::now();
        let mut gathering = Gathering::new(start);
        assert_eq!(gathering.next(), None);
        gathering.add(origin(1), Urgency::Later, start);
        gathering.add(origin(2), Urgency::Later, start);
        gathering.add(origin(2), Urgency::Soon, start);
        gathering.add(origin(2), Urgency::Later, start);
        let soon = start + TICK;
        assert_eq!(gathering.next(), Some(soon));
        assert_eq!(gathering.take_due(start, false), []);
        assert_eq!(gathering.take_due(soon, false), [origin(2)]);
        assert_eq!(gathering.next(), Some(start + TICK * 10));
        gathering.add(origin(3), Urgency::Soon, soon);
        assert_eq!(gathering.take_due(soon, true).len(), 2);
        assert_eq!(gathering.next(), None);
    }

    #[test]
    fn workers_write_in_step() {
        let start = Instant::now();
        let moments = [1, 30, 99].map(|at| start + Duration::from_millis(400 + at));
        for moment in moments {
            let mut gathering = Gathering::new(start);
            gathering.add(origin(1), Urgency::Soon, moment);
            assert_eq!(gathering.next(), Some(start + TICK * 5));
        }
    }
}
