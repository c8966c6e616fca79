//! Decisions that wait for others of their partition, to be put on record with them: a record of the
//! decision log costs about the same however many it has.
//!
//! Owns how long each kind of decision waits, and when the next batch is due. Leaves to the settlement
//! what is in a batch.

use std::time::Duration;

use hashbrown::HashMap;
use tokio::time::Instant;

use crate::ids::Origin;

/// How soon something has to be on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// A trace is dropped: all that waits for it is the offset that is committed.
    Later,
    /// A kept trace is delivered: after a kill it would be delivered again.
    Soon,
    /// A trace is kept: it leaves when that is on record.
    AtOnce,
}

impl Urgency {
    fn wait(self) -> Duration {
        match self {
            Self::Later => Duration::from_secs(1),
            Self::Soon => Duration::from_millis(100),
            Self::AtOnce => Duration::ZERO,
        }
    }
}

/// When the open batch of each ownership has to go to the log.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    due: HashMap<Origin, Instant, foldhash::fast::RandomState>,
    next: Option<Instant>,
}

impl Gathering {
    /// The open batch of an ownership has something as urgent as this.
    pub(super) fn add(&mut self, origin: Origin, urgency: Urgency, now: Instant) {
        let due = now + urgency.wait();
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
        let (mut gathering, start) = (Gathering::default(), Instant::now());
        assert_eq!(gathering.next(), None);
        gathering.add(origin(1), Urgency::Later, start);
        gathering.add(origin(2), Urgency::Later, start);
        gathering.add(origin(2), Urgency::Soon, start);
        gathering.add(origin(2), Urgency::Later, start);
        let soon = start + Urgency::Soon.wait();
        assert_eq!(gathering.next(), Some(soon));
        assert_eq!(gathering.take_due(start, false), []);
        assert_eq!(gathering.take_due(soon, false), [origin(2)]);
        assert_eq!(gathering.next(), Some(start + Urgency::Later.wait()));
        gathering.add(origin(3), Urgency::AtOnce, soon);
        assert_eq!(gathering.take_due(soon, false), [origin(3)]);
        assert_eq!(gathering.take_due(soon, true), [origin(1)]);
        assert_eq!(gathering.next(), None);
    }
}
