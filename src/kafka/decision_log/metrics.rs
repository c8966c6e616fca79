//! The metrics of the decision log.

use std::time::Duration;

use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};
use tracing::warn;

use crate::kafka::publish::Failed;
use crate::telemetry::log_throttle::LogThrottle;

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
        describe();
        let read =
            |outcome| counter!("tailsieve_decision_log_read_records_total", "outcome" => outcome);
        Self {
            written: counter!("tailsieve_decision_log_written_records_total"),
            written_decisions: counter!("tailsieve_decision_log_written_decisions_total"),
            failures: counter!("tailsieve_decision_log_failures_total"),
            read: read("read"),
            void: read("superseded"),
            unread: read("not_understood"),
            read_back: histogram!("tailsieve_decision_log_read_back_seconds"),
            trouble: LogThrottle::new(Duration::from_secs(10)),
        }
    }

    /// A record did not make it onto the topic.
    pub(super) fn failed(&self, failed: &Failed<'_>) {
        self.failures.increment(1);
        if let Some(suppressed) = self.trouble.allow() {
            let (error, partition) = (failed.error, failed.partition.0);
            let text =
                "decisions wait until they are on record; nothing is lost, and nothing leaves";
            warn!(%error, partition, suppressed, "decision_log.write_failed: {text}");
        }
    }
}

fn describe() {
    let text = "records that are safe on the decision log; each holds some decisions";
    describe_counter!("tailsieve_decision_log_written_records_total", text);
    let text = "decisions that are safe on the decision log; those of kept traces come once more \
                when they are delivered";
    describe_counter!("tailsieve_decision_log_written_decisions_total", text);
    let text = "records that could not be written, and are written again";
    describe_counter!("tailsieve_decision_log_failures_total", text);
    let text = "what was read back from the decision log when partitions came in: records that \
                were read, decisions that are superseded by a later owner's, and what is \
                not_understood";
    describe_counter!("tailsieve_decision_log_read_records_total", text);
    let text = "from when a partition came in to when its decision log was read back";
    describe_histogram!("tailsieve_decision_log_read_back_seconds", Unit::Seconds, text);
}
