//! What is counted.

use metrics::{Counter, counter, describe_counter};

/// What became of a record that was read.
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
        let text = "records read from the topic that is rekeyed, by what became of them";
        describe_counter!("tailsieve_rekey_read_records_total", text);
        describe_counter!("tailsieve_rekey_read_bytes_total", "bytes of the values of these");
        describe_counter!("tailsieve_rekey_written_records_total", "records written and on disk");
        describe_counter!("tailsieve_rekey_written_bytes_total", "bytes of the values of these");
        let text = "records that Kafka did not take and that are written again";
        describe_counter!("tailsieve_rekey_retried_records_total", text);
        let fates = ["keyed", "split", "without_spans", "null_value", "unreadable"];
        let read =
            |fate: &str| counter!("tailsieve_rekey_read_records_total", "fate" => fate.to_owned());
        Self {
            read: fates.into_iter().map(read).collect(),
            read_bytes: counter!("tailsieve_rekey_read_bytes_total"),
            written: counter!("tailsieve_rekey_written_records_total"),
            written_bytes: counter!("tailsieve_rekey_written_bytes_total"),
            retried: counter!("tailsieve_rekey_retried_records_total"),
        }
    }

    pub(super) fn read(&self, fate: Fate, bytes: usize) {
        self.read[fate as usize].increment(1);
        self.read_bytes.increment(bytes as u64);
    }
}
