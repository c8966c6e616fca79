//! Whether a worker still does something, for the watchdog.

use std::sync::atomic::{AtomicU64, Ordering};

/// The liveness of one worker.
#[derive(Debug, Default)]
pub struct Liveness {
    /// The number of what it is doing; even while it waits for something to do.
    number: AtomicU64,
}

impl Liveness {
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
impl Liveness {
    /// It is busy with `number`, which is odd.
    pub(crate) fn set_busy(&self, number: u64) {
        self.number.store(number, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_busy_with_one_thing_after_the_other() {
        let liveness = Liveness::default();
        assert_eq!(liveness.busy_with(), None);
        liveness.work();
        let first = liveness.busy_with().unwrap();
        assert_eq!(liveness.busy_with(), Some(first));
        liveness.rest();
        liveness.rest();
        assert_eq!(liveness.busy_with(), None);
        liveness.work();
        assert_ne!(liveness.busy_with().unwrap(), first);
    }
}
