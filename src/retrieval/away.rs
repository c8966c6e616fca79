//! Whether Kafka is away, as look-ups have found.
//!
//! Promises that while it is away one look-up a second finds out whether that is still so, and all others are told at
//! once: a look-up may wait for seconds before it knows, and who asks has little patience.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::sync::lock;

/// How often it is looked whether Kafka is back.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// When it was looked last, while Kafka is away.
#[derive(Debug, Default)]
pub(super) struct Away(Mutex<Option<Instant>>);

impl Away {
    /// Whether Kafka need not be asked at `now`. If it is to be asked, others are told not to meanwhile.
    pub(super) fn is_known(&self, now: Instant) -> bool {
        let mut looked = lock(&self.0);
        let is_due = looked.is_some_and(|at| now.saturating_duration_since(at) >= BETWEEN_LOOKS);
        if is_due {
            *looked = Some(now);
        }
        looked.is_some() && !is_due
    }

    /// Kafka did not answer.
    pub(super) fn silent(&self, now: Instant) {
        *lock(&self.0) = Some(now);
    }

    /// Kafka answered.
    pub(super) fn answered(&self) {
        *lock(&self.0) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_look_up_a_second_finds_out() {
        let (away, start) = (Away::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        assert!(!away.is_known(at(0)));
        away.silent(at(0));
        assert!(away.is_known(at(999)));
        assert!(!away.is_known(at(1000)), "this one asks");
        assert!(away.is_known(at(1001)), "the others do not wait for it");
        away.answered();
        assert!(!away.is_known(at(1002)));
    }
}
