//! Whether a worker gets on, for those who watch it.

use std::sync::atomic::{AtomicU64, Ordering};

use metrics::Gauge;

use crate::telemetry::metrics::table;

/// The sign of life of one worker.
#[derive(Debug, Default)]
pub struct Pulse {
    /// The number of what it is doing; even while it waits for something to do.
    number: AtomicU64,
}

impl Pulse {
    /// It waits for something to do.
    pub(super) fn rest(&self) {
        let number = self.number.load(Ordering::Relaxed);
        self.number.store(number + number % 2, Ordering::Relaxed);
    }

    /// It has something to do.
    pub(super) fn work(&self) {
        self.number.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of what it is doing, if it is doing something: the same as long as that lasts.
    pub fn busy_with(&self) -> Option<u64> {
        let number = self.number.load(Ordering::Relaxed);
        (number % 2 == 1).then_some(number)
    }
}

#[cfg(test)]
impl Pulse {
    /// It is busy with `number`, which is odd.
    pub(crate) fn set_busy(&self, number: u64) {
        self.number.store(number, Ordering::Relaxed);
    }
}

/// Why no records are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stall {
    /// An exporter has no room.
    Export,
    /// The decision log is behind.
    DecisionLog,
    /// The producer of dead letters has no room.
    DeadLetter,
    /// It is not known whether the partitions still are this process's.
    Lease,
}

const STALLS: [(Stall, &str); 4] = [
    (Stall::Export, "export"),
    (Stall::DecisionLog, "decision_log"),
    (Stall::DeadLetter, "dead_letter"),
    (Stall::Lease, "lease"),
];

/// How many workers take no records, and why.
#[derive(Debug)]
pub struct Stalls([Gauge; 4]);

impl Default for Stalls {
    fn default() -> Self {
        Self(STALLS.map(|(_, reason)| table::STALLED_WORKERS.with(&[reason])))
    }
}

impl Stalls {
    /// A worker's reason was `before` and is `now`.
    pub(super) fn changed(&self, before: Option<Stall>, now: Option<Stall>) {
        if before == now {
            return;
        }
        if let Some(before) = before {
            self.0[before as usize].decrement(1.0);
        }
        if let Some(now) = now {
            self.0[now as usize].increment(1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_busy_with_one_thing_after_the_other() {
        let pulse = Pulse::default();
        assert_eq!(pulse.busy_with(), None);
        pulse.work();
        let first = pulse.busy_with().unwrap();
        assert_eq!(pulse.busy_with(), Some(first));
        pulse.rest();
        pulse.rest();
        assert_eq!(pulse.busy_with(), None);
        pulse.work();
        assert_ne!(pulse.busy_with().unwrap(), first);
    }

    #[test]
    fn stalls_stand_at_their_place() {
        for (place, (stall, _)) in STALLS.into_iter().enumerate() {
            assert_eq!(stall as usize, place);
        }
    }
}
