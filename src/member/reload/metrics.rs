//! What the metrics say of reloads; the names are those of Prometheus's own reloads.

use std::time::{SystemTime, UNIX_EPOCH};

use metrics::{Counter, Gauge};

use crate::telemetry::metrics::table;

/// Handles of the metrics, taken once.
#[derive(Debug)]
pub(super) struct ReloadMetrics {
    successes: Counter,
    failures: Counter,
    last_successful: Gauge,
    last_success: Gauge,
}

impl ReloadMetrics {
    /// As they are after a start at `now`, when the file was good.
    pub(super) fn new(now: SystemTime) -> Self {
        let metrics = Self {
            successes: table::POLICY_RELOADS.with(&["success"]),
            failures: table::POLICY_RELOADS.with(&["failure"]),
            last_successful: table::LAST_RELOAD_SUCCESSFUL.handle(),
            last_success: table::LAST_RELOAD_SUCCESS.handle(),
        };
        metrics.in_force_since(now);
        metrics
    }

    /// A good file was read.
    pub(super) fn succeeded(&self, now: SystemTime) {
        self.successes.increment(1);
        self.in_force_since(now);
    }

    /// A bad one was.
    pub(super) fn failed(&self) {
        self.failures.increment(1);
        self.last_successful.set(0.0);
    }

    fn in_force_since(&self, now: SystemTime) {
        self.last_successful.set(1.0);
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        self.last_success.set(seconds);
    }
}

/// The hash of the policies in force, in the text format of Prometheus. Written by hand: a series
/// of the recorder never goes, and each reload brings a new hash.
pub(super) fn render_hash(hash: &str) -> String {
    table::POLICY_INFO.text(&[hash], 1.0)
}
