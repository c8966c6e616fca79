//! The bound on the memory of open traces, for the whole process.

use std::sync::atomic::{AtomicU64, Ordering};

use metrics::Gauge;

use super::metrics::table;

/// The share of the bound that is still used after room was made. To make room for one trace at a time
/// would cost a sort for each.
const AFTER_RELIEF: f64 = 0.9;

/// The bound on the bytes of open traces, and how many are in use.
#[derive(Debug)]
pub struct Memory {
    limit: u64,
    used: AtomicU64,
    gauge: Gauge,
}

impl Memory {
    /// A bound of `limit` bytes, of which none is in use.
    pub fn new(limit: u64) -> Self {
        table::BUFFER_LIMIT.handle().set(limit as f64);
        Self { limit, used: AtomicU64::new(0), gauge: table::BUFFER_BYTES.handle() }
    }

    /// Notes that the bytes of a worker changed from `before` to `now`.
    pub fn changed(&self, before: u64, now: u64) {
        let used = if now >= before {
            self.used.fetch_add(now - before, Ordering::Relaxed) + (now - before)
        } else {
            self.used.fetch_sub(before - now, Ordering::Relaxed) - (before - now)
        };
        self.gauge.set(used as f64);
    }

    /// The share of its bytes that each worker has to free now; `None` within the bound.
    pub fn excess(&self) -> Option<f64> {
        let used = self.used.load(Ordering::Relaxed);
        (used > self.limit).then(|| 1.0 - self.limit as f64 * AFTER_RELIEF / used as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_bound_a_share_of_it_must_go() {
        let memory = Memory::new(1000);
        memory.changed(0, 1000);
        assert_eq!(memory.excess(), None);
        memory.changed(0, 800);
        let excess = memory.excess().unwrap();
        assert!((excess - 0.5).abs() < 1e-9, "{excess}");
        memory.changed(1000, 100);
        assert_eq!(memory.excess(), None);
    }
}
