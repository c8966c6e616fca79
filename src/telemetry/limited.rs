//! Log lines that repeat: one per interval, with the number of those left out.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A limit for one kind of log line.
#[derive(Debug)]
pub struct Limited {
    interval: Duration,
    state: Mutex<(Option<Instant>, u64)>,
}

impl Limited {
    /// At most one line in `interval`.
    pub const fn new(interval: Duration) -> Self {
        Self { interval, state: Mutex::new((None, 0)) }
    }

    /// `Some` if a line may be written now, with how many were left out since the last one.
    pub fn allow(&self) -> Option<u64> {
        self.allow_at(Instant::now())
    }

    /// As [`allow`](Self::allow), at a given instant.
    pub fn allow_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, left_out) = &mut *state;
        if last.is_some_and(|last| now - last < self.interval) {
            *left_out += 1;
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_each_interval_and_the_rest_is_counted() {
        let limited = Limited::new(Duration::from_secs(10));
        let start = Instant::now();
        let after = |seconds| limited.allow_at(start + Duration::from_secs(seconds));
        assert_eq!([0, 1, 9, 10, 20].map(after), [Some(0), None, None, Some(2), Some(0)]);
    }

    #[test]
    fn what_is_left_out_is_told_with_the_next_line() {
        let limited = Limited::new(Duration::from_secs(3600));
        assert_eq!(limited.allow(), Some(0));
        assert_eq!(limited.allow(), None);
        let always = Limited::new(Duration::ZERO);
        assert_eq!((always.allow(), always.allow()), (Some(0), Some(0)));
    }
}
