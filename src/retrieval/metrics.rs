//! What look-ups count, and requests to keep traces.

use std::time::Duration;

use metrics::{Counter, Histogram};

use crate::telemetry::metrics::table;
use crate::telemetry::metrics::{KeepAnswer, Retrieved};

/// The metrics of all look-ups; all series exist, at 0, from the start.
pub(super) struct LookupMetrics {
    lookups: Vec<Counter>,
    pub(super) cached: Counter,
    duration: Histogram,
    read_bytes: Counter,
    pub(super) cut: Counter,
    keeps: Vec<Counter>,
}

impl LookupMetrics {
    pub(super) fn new() -> Self {
        Self {
            lookups: table::RETRIEVAL_LOOKUPS.each(&[]),
            cached: table::RETRIEVAL_CACHED.with(&[]),
            duration: table::RETRIEVAL_DURATION.with(&[]),
            read_bytes: table::RETRIEVAL_READ_BYTES.with(&[]),
            cut: table::RETRIEVAL_CUT.with(&[]),
            keeps: table::RETRIEVAL_KEEPS.each(&[]),
        }
    }

    pub(super) fn answered(&self, outcome: Retrieved, took: Duration, bytes: u64) {
        self.lookups[outcome as usize].increment(1);
        self.duration.record(took.as_secs_f64());
        self.read_bytes.increment(bytes);
    }

    /// Somebody asked for a trace to be kept.
    pub(super) fn asked(&self, outcome: KeepAnswer) {
        self.keeps[outcome as usize].increment(1);
    }
}
