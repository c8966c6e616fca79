//! The metrics of the decision log.

use std::time::Duration;

use metrics::{Counter, Histogram};
use tracing::warn;

use crate::kafka::publish::Failed;
use crate::telemetry::log_throttle::LogThrottle;
use crate::telemetry::metrics::table;

/// Handles, taken once.
pub(super) struct LogMetrics {
    pub(super) written: Counter,
    pub(super) written_decisions: Counter,
    failures: Counter,
    pub(super) read: Counter,
    pub(super) void: Counter,
    pub(super) unread: Counter,
    pub(super) read_back: Histogram,
    trouble: LogThrottle,
}

impl LogMetrics {
    pub(super) fn new() -> Self {
        let read = |outcome| table::LOG_READ_RECORDS.with(&[outcome]);
        Self {
            written: table::LOG_WRITTEN_RECORDS.handle(),
            written_decisions: table::LOG_WRITTEN_DECISIONS.handle(),
            failures: table::LOG_FAILURES.handle(),
            read: read("read"),
            void: read("superseded"),
            unread: read("not_understood"),
            read_back: table::LOG_READ_BACK.handle(),
            trouble: LogThrottle::new(Duration::from_secs(10)),
        }
    }

    /// A record did not make it onto the topic.
    pub(super) fn failed(&self, failed: &Failed<'_>) {
        self.failures.increment(1);
        if let Some(suppressed) = self.trouble.allow() {
            let (error, partition) = (failed.reason(), failed.partition.0);
            let text =
                "decisions wait until they are on record; nothing is lost, and nothing leaves";
            warn!(%error, partition, suppressed, "decision_log.write_failed: {text}");
        }
    }
}
