//! The exporter's metrics: taken once, present at zero from the start.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Unit};
use tonic::Code;

const SPANS: &str = "tailsieve_export_spans_total";
const REQUESTS: &str = "tailsieve_export_requests_total";
const RETRIES: &str = "tailsieve_export_retries_total";
const DURATION: &str = "tailsieve_export_request_duration_seconds";
const SENT_BYTES: &str = "tailsieve_export_sent_bytes_total";
const IN_FLIGHT: &str = "tailsieve_export_in_flight_requests";
const QUEUE_BYTES: &str = "tailsieve_export_queue_bytes";
const QUEUE_CAPACITY: &str = "tailsieve_export_queue_capacity_bytes";
const UP: &str = "tailsieve_export_up";

/// The codes of gRPC with their names, in the order of their numbers.
const CODES: [(Code, &str); 17] = [
    (Code::Ok, "OK"),
    (Code::Cancelled, "CANCELLED"),
    (Code::Unknown, "UNKNOWN"),
    (Code::InvalidArgument, "INVALID_ARGUMENT"),
    (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
    (Code::NotFound, "NOT_FOUND"),
    (Code::AlreadyExists, "ALREADY_EXISTS"),
    (Code::PermissionDenied, "PERMISSION_DENIED"),
    (Code::ResourceExhausted, "RESOURCE_EXHAUSTED"),
    (Code::FailedPrecondition, "FAILED_PRECONDITION"),
    (Code::Aborted, "ABORTED"),
    (Code::OutOfRange, "OUT_OF_RANGE"),
    (Code::Unimplemented, "UNIMPLEMENTED"),
    (Code::Internal, "INTERNAL"),
    (Code::Unavailable, "UNAVAILABLE"),
    (Code::DataLoss, "DATA_LOSS"),
    (Code::Unauthenticated, "UNAUTHENTICATED"),
];

/// The name of a gRPC code as the specification writes it.
pub(super) fn code_name(code: Code) -> &'static str {
    CODES[code as usize].1
}

/// Handles of every series the exporter writes. Made after the recorder is installed.
pub struct ExportMetrics {
    pub(super) delivered_spans: Counter,
    pub(super) refused_spans: Counter,
    pub(super) rejected_spans: Counter,
    pub(super) abandoned_spans: Counter,
    pub(super) retries: Counter,
    pub(super) in_flight: Gauge,
    pub(super) queue_bytes: Gauge,
    pub(super) queue_capacity: Gauge,
    pub(super) up: Gauge,
    requests: [Counter; 17],
    duration: Histogram,
    sent_bytes: Counter,
}

impl ExportMetrics {
    /// Describes the series to the installed recorder and takes their handles.
    pub fn new() -> Self {
        describe();
        let spans = |outcome: &'static str| {
            let counter = metrics::counter!(SPANS, "outcome" => outcome);
            counter.increment(0);
            counter
        };
        let gauge = |gauge: Gauge| {
            gauge.set(0.0);
            gauge
        };
        let counter = |counter: Counter| {
            counter.increment(0);
            counter
        };
        Self {
            delivered_spans: spans("delivered"),
            refused_spans: spans("refused"),
            rejected_spans: spans("rejected"),
            abandoned_spans: spans("abandoned"),
            retries: counter(metrics::counter!(RETRIES)),
            in_flight: gauge(metrics::gauge!(IN_FLIGHT)),
            queue_bytes: gauge(metrics::gauge!(QUEUE_BYTES)),
            queue_capacity: gauge(metrics::gauge!(QUEUE_CAPACITY)),
            up: gauge(metrics::gauge!(UP)),
            requests: CODES.map(|(_, name)| counter(metrics::counter!(REQUESTS, "code" => name))),
            duration: metrics::histogram!(DURATION),
            sent_bytes: counter(metrics::counter!(SENT_BYTES)),
        }
    }

    /// Counts one attempt that ended with `code`.
    pub(super) fn attempt(&self, code: Code, bytes: usize, took: Duration) {
        self.requests[code as usize].increment(1);
        self.sent_bytes.increment(bytes as u64);
        self.duration.record(took.as_secs_f64());
    }
}

impl Default for ExportMetrics {
    fn default() -> Self {
        Self::new()
    }
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_counter!(
        SPANS,
        Unit::Count,
        "spans that left the exporter: delivered, refused by the backend for good, rejected by it \
         in a partial success, or abandoned because their partition has a new owner"
    );
    describe_counter!(
        REQUESTS,
        Unit::Count,
        "attempts to send a request, by the gRPC code they ended with; a broken connection is \
         UNAVAILABLE, a time-out DEADLINE_EXCEEDED"
    );
    describe_counter!(RETRIES, Unit::Count, "attempts that repeat a failed one");
    describe_histogram!(DURATION, Unit::Seconds, "how long one attempt took");
    describe_counter!(SENT_BYTES, Unit::Bytes, "bytes of all attempts, before compression");
    describe_gauge!(IN_FLIGHT, Unit::Count, "attempts that wait for an answer");
    describe_gauge!(
        QUEUE_BYTES,
        Unit::Bytes,
        "bytes of kept traces that wait, are on their way or wait for a retry"
    );
    describe_gauge!(QUEUE_CAPACITY, Unit::Bytes, "queue bytes at which Kafka is held back");
    describe_gauge!(
        UP,
        Unit::Count,
        "1 if the backend answered the last attempt or, before the first, took a connection"
    );
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn codes_stand_at_their_number() {
        for (number, (code, _)) in CODES.iter().enumerate() {
            assert_eq!(*code as usize, number);
        }
        assert_eq!(code_name(Code::Unauthenticated), "UNAUTHENTICATED");
    }

    #[test]
    fn every_series_is_there_at_zero() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _metrics = metrics::with_local_recorder(&recorder, ExportMetrics::new);
        let text = recorder.handle().render();
        for outcome in ["delivered", "refused", "rejected", "abandoned"] {
            let series = format!("{SPANS}{{outcome=\"{outcome}\"}} 0");
            assert!(text.contains(&series), "{series} is not in\n{text}");
        }
        for (_, name) in CODES {
            assert!(text.contains(&format!("{REQUESTS}{{code=\"{name}\"}} 0")));
        }
        for name in [RETRIES, SENT_BYTES, IN_FLIGHT, QUEUE_BYTES, UP] {
            assert!(text.contains(&format!("\n{name} 0")), "{name}\n{text}");
        }
    }
}
