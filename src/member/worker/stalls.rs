//! Why workers take no records, as a metric.

use metrics::Gauge;

use crate::telemetry::metrics::table;

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
    fn stalls_stand_at_their_place() {
        for (place, (stall, _)) in STALLS.into_iter().enumerate() {
            assert_eq!(stall as usize, place);
        }
    }
}
