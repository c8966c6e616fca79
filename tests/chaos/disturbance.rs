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

/// When a member gave partitions up, and when it got some, as it says itself.
#[derive(Debug, Default, PartialEq)]
pub struct Assignments {
    pub revoked: Vec<Duration>,
    pub assigned: Vec<Duration>,
}

impl Assignments {
    /// Those that a log tells of, counted from `started`.
    pub fn read(log: &str, started: SystemTime) -> Self {
        let mut all = Self::default();
        // It tells of much else.
        for line in log.lines().filter(|line| line.contains("\"message\":\"kafka.")) {
            let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else { continue };
            let time = line["timestamp"].as_str().map(humantime::parse_rfc3339);
            let Some(Ok(time)) = time else { continue };
            let at = time.duration_since(started).unwrap_or_default();
            let message = line["message"].as_str().unwrap_or_default();
            if message.starts_with("kafka.revoked") || message.starts_with("kafka.fatal") {
                all.revoked.push(at);
            } else if message == "kafka.assigned" && line["assigned"] != 0 {
                all.assigned.push(at);
            }
        }
        all
    }
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
    fn members_tell_when_they_gave_partitions_up_and_got_some() {
        let log = "{\"timestamp\":\"1970-01-01T00:00:12.5Z\",\"message\":\"kafka.revoked\"}\n\
                   {\"timestamp\":\"1970-01-01T00:00:13.5Z\",\"message\":\"kafka.assigned\",\"assigned\":0}\n\
                   {\"timestamp\":\"1970-01-01T00:00:14.5Z\",\"message\":\"kafka.assigned\",\"assigned\":2}\n";
        let started = SystemTime::UNIX_EPOCH + Duration::from_secs(10);
        let [revoked, assigned] = [2500, 4500].map(|at| vec![Duration::from_millis(at)]);
        assert_eq!(Assignments::read(log, started), Assignments { revoked, assigned });
    }
}
