//! What is counted.

use metrics::Counter;

use crate::telemetry::metrics::table;

/// What became of a record that was read, in the order of the label `fate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It held one trace: it went on as it was, with the trace's id as its key.
    Keyed,
    /// It was split.
    Split,
    /// It has no spans with ids: it went on as it was.
    WithoutSpans,
    /// It has no value: it went on as it was.
    NullValue,
    /// It is not OTLP: it went on as it was.
    Unreadable,
}

/// Handles of every series.
#[derive(Clone, Debug)]
pub(super) struct RekeyMetrics {
    read: Vec<Counter>,
    pub(super) read_bytes: Counter,
    pub(super) written: Counter,
    pub(super) written_bytes: Counter,
    pub(super) retried: Counter,
}

impl RekeyMetrics {
    /// Registers every series with the installed recorder.
    pub(super) fn new() -> Self {
        Self {
            read: table::REKEY_READ_RECORDS.each(&[]),
            read_bytes: table::REKEY_READ_BYTES.handle(),
            written: table::REKEY_WRITTEN_RECORDS.handle(),
            written_bytes: table::REKEY_WRITTEN_BYTES.handle(),
            retried: table::REKEY_RETRIED_RECORDS.handle(),
        }
    }

    pub(super) fn read(&self, fate: Fate, bytes: usize) {
        self.read[fate as usize].increment(1);
        self.read_bytes.increment(bytes as u64);
    }
}
