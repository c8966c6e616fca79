//! When a member may not have heard that what it brought had arrived, and when it gave partitions
//! up.

use std::time::{Duration, SystemTime};

use crate::backend::EXPORT_TIMEOUT;

/// For so long before, answers may have been under way.
pub const BEFORE: Duration = EXPORT_TIMEOUT;

/// Until so long after it: what was held up arrives, and is waited for no more.
pub const AFTER: Duration = Duration::from_secs(3);

/// A time at which the answers of the backend may not have reached a member. Counted from the start
/// of the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Disturbance {
    pub slot: usize,
    pub from: Duration,
    pub to: Duration,
}

impl Disturbance {
    /// Whether `slot` may not know that what it brought at `at` has arrived.
    pub fn touches(&self, slot: usize, at: Duration) -> bool {
        self.slot == slot && at + BEFORE >= self.from && at <= self.to + AFTER
    }
}

/// The times at which a member gave partitions up, as it says itself.
pub fn gave_up(log: &str, started: SystemTime) -> Vec<Duration> {
    let gave_up = ["\"message\":\"kafka.revoked", "\"message\":\"kafka.fatal"];
    let lines = log.lines().filter(|line| gave_up.iter().any(|event| line.contains(event)));
    let times = lines.filter_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        let time = humantime::parse_rfc3339(line["timestamp"].as_str()?).ok()?;
        Some(time.duration_since(started).unwrap_or_default())
    });
    times.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disturbance_touches_what_its_member_brought_around_it() {
        let seconds = Duration::from_secs;
        let disturbance = Disturbance { slot: 1, from: seconds(100), to: seconds(110) };
        assert!(disturbance.touches(1, seconds(100) - BEFORE));
        assert!(disturbance.touches(1, seconds(110) + AFTER));
        assert!(!disturbance.touches(1, seconds(99) - BEFORE));
        assert!(!disturbance.touches(1, seconds(111) + AFTER));
        assert!(!disturbance.touches(0, seconds(105)));
    }

    #[test]
    fn members_tell_when_they_gave_partitions_up() {
        let log = "{\"timestamp\":\"1970-01-01T00:00:12.5Z\",\"message\":\"kafka.revoked\"}\n\
                   {\"timestamp\":\"1970-01-01T00:00:13.5Z\",\"message\":\"kafka.assigned\"}\n";
        let started = SystemTime::UNIX_EPOCH + Duration::from_secs(10);
        assert_eq!(gave_up(log, started), [Duration::from_millis(2500)]);
    }
}
