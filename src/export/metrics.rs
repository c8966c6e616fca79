//! The exporter's metrics: taken once, present at zero from the start.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Unit};

use super::code::{self, Code};
use super::settings::ExportSettings;

const SPANS: &str = "tailsieve_export_spans_total";
const REQUESTS: &str = "tailsieve_export_requests_total";
const RETRIES: &str = "tailsieve_export_retries_total";
const DURATION: &str = "tailsieve_export_request_duration_seconds";
const SENT_BYTES: &str = "tailsieve_export_sent_bytes_total";
const IN_FLIGHT: &str = "tailsieve_export_in_flight_requests";
const QUEUE_BYTES: &str = "tailsieve_export_queue_bytes";
const QUEUE_CAPACITY: &str = "tailsieve_export_queue_capacity_bytes";
const UP: &str = "tailsieve_export_up";

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
    /// By the name of the code; the first is that of success.
    requests: Vec<(&'static str, Counter)>,
    duration: Histogram,
    sent_bytes: Counter,
}

impl ExportMetrics {
    /// Describes the series to the installed recorder and takes their handles, for an exporter
    /// with these settings.
    pub fn new(settings: &ExportSettings) -> Self {
        describe();
        let name = || settings.name.clone();
        let spans = |outcome: &'static str| {
            let counter = metrics::counter!(SPANS, "exporter" => name(), "outcome" => outcome);
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
        let requests = |code: &'static str| {
            let requests = metrics::counter!(REQUESTS, "exporter" => name(), "code" => code);
            (code, counter(requests))
        };
        Self {
            delivered_spans: spans("delivered"),
            refused_spans: spans("refused"),
            rejected_spans: spans("rejected"),
            abandoned_spans: spans("abandoned"),
            retries: counter(metrics::counter!(RETRIES, "exporter" => name())),
            in_flight: gauge(metrics::gauge!(IN_FLIGHT, "exporter" => name())),
            queue_bytes: gauge(metrics::gauge!(QUEUE_BYTES, "exporter" => name())),
            queue_capacity: gauge(metrics::gauge!(QUEUE_CAPACITY, "exporter" => name())),
            up: gauge(metrics::gauge!(UP, "exporter" => name())),
            requests: code::names(settings.protocol).into_iter().map(requests).collect(),
            duration: metrics::histogram!(DURATION, "exporter" => name()),
            sent_bytes: counter(metrics::counter!(SENT_BYTES, "exporter" => name())),
        }
    }

    /// Counts one attempt that ended with `code`; without one, it succeeded.
    pub(super) fn attempt(&self, code: Option<Code>, bytes: usize, took: Duration) {
        let name = code.map_or(self.requests[0].0, Code::name);
        let requests = self.requests.iter().find(|(known, _)| *known == name);
        debug_assert!(requests.is_some(), "{name} is a code of this protocol");
        if let Some((_, requests)) = requests {
            requests.increment(1);
        }
        self.sent_bytes.increment(bytes as u64);
        self.duration.record(took.as_secs_f64());
    }
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_counter!(
        SPANS,
        Unit::Count,
        "spans that left the exporter: delivered, refused by the backend while it took others, rejected by it \
         in a partial success, or abandoned because their partition has a new owner"
    );
    describe_counter!(
        REQUESTS,
        Unit::Count,
        "attempts to send a request, by the gRPC code or HTTP status they ended with; a broken \
         connection is UNAVAILABLE, a time-out DEADLINE_EXCEEDED"
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
        "1 if the backend accepted lately what it was sent, if only a request without spans; 0 if it \
         accepts nothing"
    );
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::super::settings::Protocol;
    use super::*;

    #[test]
    fn every_series_is_there_at_zero() {
        for protocol in [Protocol::Grpc, Protocol::Http, Protocol::Kafka] {
            let recorder = PrometheusBuilder::new().build_recorder();
            let settings = ExportSettings { name: "a".to_owned(), ..ExportSettings::of(protocol) };
            let _metrics =
                metrics::with_local_recorder(&recorder, || ExportMetrics::new(&settings));
            let text = recorder.handle().render();
            let has = |series: String| assert!(text.contains(&series), "{series} not in\n{text}");
            for outcome in ["delivered", "refused", "rejected", "abandoned"] {
                has(format!("{SPANS}{{exporter=\"a\",outcome=\"{outcome}\"}} 0"));
            }
            for name in code::names(protocol) {
                has(format!("{REQUESTS}{{exporter=\"a\",code=\"{name}\"}} 0"));
            }
            for name in [RETRIES, SENT_BYTES, IN_FLIGHT, QUEUE_BYTES, UP] {
                has(format!("\n{name}{{exporter=\"a\"}} 0"));
            }
        }
    }

    #[test]
    fn attempts_are_counted_by_their_end() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let settings = ExportSettings::of(Protocol::Http);
        let metrics = metrics::with_local_recorder(&recorder, || ExportMetrics::new(&settings));
        for code in [None, Some(Code::Http(429)), Some(Code::Http(418)), None] {
            metrics.attempt(code, 1, Duration::ZERO);
        }
        let text = recorder.handle().render();
        for (code, count) in [("200", 2), ("429", 1), ("4xx", 1), ("503", 0)] {
            let series = format!("{REQUESTS}{{exporter=\"default\",code=\"{code}\"}} {count}");
            assert!(text.contains(&series), "{series} not in\n{text}");
        }
    }
}
