//! At most one log line of a kind in an interval, with the number of those that were suppressed.

use crate::sync::lock;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The throttle of one kind of log line.
#[derive(Debug)]
pub struct LogThrottle {
    interval: Duration,
    state: Mutex<(Option<Instant>, u64)>,
}

impl LogThrottle {
    /// At most one line in `interval`.
    pub const fn new(interval: Duration) -> Self {
        Self { interval, state: Mutex::new((None, 0)) }
    }

    /// `Some` if a line may be written now: how many were suppressed since the last one.
    pub fn allow(&self) -> Option<u64> {
        self.allow_at(Instant::now())
    }

    /// As [`allow`](Self::allow), at a given instant.
    pub fn allow_at(&self, now: Instant) -> Option<u64> {
        let mut state = lock(&self.state);
        let (last, suppressed) = &mut *state;
        if last.is_some_and(|last| now - last < self.interval) {
            *suppressed += 1;
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_each_interval_and_the_rest_is_counted() {
        let throttle = LogThrottle::new(Duration::from_secs(10));
        let start = Instant::now();
        let after = |seconds| throttle.allow_at(start + Duration::from_secs(seconds));
        assert_eq!([0, 1, 9, 10, 20].map(after), [Some(0), None, None, Some(2), Some(0)]);
    }

    #[test]
    fn the_next_line_says_how_many_were_suppressed() {
        let throttle = LogThrottle::new(Duration::from_secs(3600));
        assert_eq!(throttle.allow(), Some(0));
        assert_eq!(throttle.allow(), None);
        let always = LogThrottle::new(Duration::ZERO);
        assert_eq!((always.allow(), always.allow()), (Some(0), Some(0)));
    }
}
