//! What became of the records of the index.

use std::sync::atomic::{AtomicBool, Ordering};

use metrics::{Counter, Gauge};
use tracing::{info, warn};

use crate::ids::{Offset, Partition};
use crate::kafka::publish::{DeliveryReports, Failed};
use crate::telemetry::metrics::table;

/// Counts the records. Logs the first one that is not written, and the first that is after it.
pub(super) struct IndexReports {
    topic: String,
    written: Counter,
    bytes: Counter,
    failures: Counter,
    buffer: Gauge,
    is_failing: AtomicBool,
}

impl IndexReports {
    pub(super) fn new(topic: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            written: table::INDEX_WRITTEN.handle(),
            bytes: table::INDEX_BYTES.handle(),
            failures: table::INDEX_FAILURES.handle(),
            buffer: table::INDEX_BUFFER.handle(),
            is_failing: AtomicBool::new(false),
        }
    }

    /// So many records are not written.
    pub(super) fn failed(&self, records: u64, error: &str) {
        self.failures.increment(records);
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            let topic = &self.topic;
            let text = "look-ups of traces by id read the decision log there, which takes longer";
            warn!(topic, error, "decision_index.write_failed: {text}");
        }
    }

    /// What is collected takes so much memory.
    pub(super) fn collected(&self, bytes: usize) {
        self.buffer.set(bytes as f64);
    }
}

impl DeliveryReports for IndexReports {
    /// The size of the record.
    type Ticket = u64;

    fn settled(&self, bytes: u64, result: Result<(Partition, Offset), Failed<'_>>) {
        match result {
            Ok(_) => {
                self.written.increment(1);
                self.bytes.increment(bytes);
                if self.is_failing.swap(false, Ordering::Relaxed) {
                    info!(topic = self.topic, "decision_index.write_succeeded");
                }
            }
            Err(failed) => self.failed(1, &failed.reason()),
        }
    }
}
