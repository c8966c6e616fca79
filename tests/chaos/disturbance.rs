//! When a member's word on what it has delivered may have been lost: the only times around which
//! something may be delivered twice.

use std::time::{Duration, SystemTime};

use crate::options::DECISION_LOG;

/// What was delivered so long before a disturbance may not be noted yet. With a decision log, that
/// is the way of an acknowledgement to the log and back; without one, whatever is not committed,
/// which the oldest open trace holds back.
pub const BEFORE: Duration = Duration::from_secs(if DECISION_LOG { 5 } else { 60 });

/// Until so long after it: what was on its way arrives, connections are made anew.
pub const AFTER: Duration = Duration::from_secs(3);

/// A time at which a member could not note what it had delivered. Counted from the start of the
/// run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Disturbance {
    /// Whose; none for all of them.
    pub slot: Option<usize>,
    pub from: Duration,
    pub to: Duration,
}

impl Disturbance {
    /// Whether what `slot` delivered at `at` may come again because of it.
    pub fn touches(&self, slot: usize, at: Duration) -> bool {
        let is_its = self.slot.is_none_or(|own| own == slot);
        is_its && at + BEFORE >= self.from && at <= self.to + AFTER
    }
}

/// The times at which a member gave partitions up, as it says itself.
pub fn from_log(slot: usize, log: &str, started: SystemTime) -> Vec<Disturbance> {
    let gave_up = ["\"message\":\"kafka.revoked", "\"message\":\"kafka.fatal"];
    let lines = log.lines().filter(|line| gave_up.iter().any(|event| line.contains(event)));
    let times = lines.filter_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        let time = humantime::parse_rfc3339(line["timestamp"].as_str()?).ok()?;
        let at = time.duration_since(started).unwrap_or_default();
        Some(Disturbance { slot: Some(slot), from: at, to: at })
    });
    times.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disturbance_touches_what_its_member_delivered_around_it() {
        let seconds = Duration::from_secs;
        let disturbance = Disturbance { slot: Some(1), from: seconds(100), to: seconds(110) };
        assert!(disturbance.touches(1, seconds(100) - BEFORE));
        assert!(disturbance.touches(1, seconds(110) + AFTER));
        assert!(!disturbance.touches(1, seconds(99) - BEFORE));
        assert!(!disturbance.touches(1, seconds(111) + AFTER));
        assert!(!disturbance.touches(0, seconds(105)));
        assert!(Disturbance { slot: None, ..disturbance }.touches(0, seconds(105)));
    }

    #[test]
    fn members_tell_when_they_gave_partitions_up() {
        let log = "{\"timestamp\":\"1970-01-01T00:00:12.5Z\",\"message\":\"kafka.revoked\"}\n\
                   {\"timestamp\":\"1970-01-01T00:00:13.5Z\",\"message\":\"kafka.assigned\"}\n";
        let at = Duration::from_millis(2500);
        let started = SystemTime::UNIX_EPOCH + Duration::from_secs(10);
        let found = from_log(2, log, started);
        assert_eq!(found, [Disturbance { slot: Some(2), from: at, to: at }]);
    }
}
