//! Keeps a failure that repeats from flooding the log.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lets one event through in each interval and counts the others.
#[derive(Debug)]
pub(super) struct LogLimit {
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    suppressed: u64,
}

impl LogLimit {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            state: Mutex::default(),
        }
    }

    /// Whether to log now: if so, how many events went unlogged since the last one that was.
    pub(super) fn admit(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_too_soon = state
            .last
            .is_some_and(|last| now.duration_since(last) < self.interval);
        if is_too_soon {
            state.suppressed += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.suppressed))
    }
}

/// The beginning of a text that a backend made as long as it liked.
pub(super) fn shortened(text: &str) -> &str {
    const MOST: usize = 500;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_event_in_each_interval_and_the_rest_is_counted() {
        let limit = LogLimit::new(Duration::from_secs(10));
        let start = Instant::now();
        assert_eq!(limit.admit(start), Some(0));
        assert_eq!(limit.admit(start + Duration::from_secs(1)), None);
        assert_eq!(limit.admit(start + Duration::from_secs(9)), None);
        assert_eq!(limit.admit(start + Duration::from_secs(10)), Some(2));
        assert_eq!(limit.admit(start + Duration::from_secs(20)), Some(0));
    }
}
