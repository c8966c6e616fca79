//! The exporter's metrics: their handles are taken once, and they are 0 from the start.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};

use crate::telemetry::metrics::table;

use super::code::{self, Code};
use super::settings::ExportSettings;

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
    delay: Histogram,
    sent_bytes: Counter,
}

impl ExportMetrics {
    /// Takes the handles from the installed recorder, for an exporter with these settings.
    pub fn new(settings: &ExportSettings) -> Self {
        let name = settings.name.as_str();
        let spans = |outcome| table::EXPORT_SPANS.with(&[name, outcome]);
        let requests = |code| (code, table::EXPORT_REQUESTS.with(&[name, code]));
        Self {
            delivered_spans: spans("delivered"),
            refused_spans: spans("refused"),
            rejected_spans: spans("rejected"),
            abandoned_spans: spans("abandoned"),
            retries: table::EXPORT_RETRIES.with(&[name]),
            in_flight: table::EXPORT_IN_FLIGHT.with(&[name]),
            queue_bytes: table::EXPORT_QUEUE.with(&[name]),
            queue_capacity: table::EXPORT_QUEUE_CAPACITY.with(&[name]),
            up: table::EXPORT_UP.with(&[name]),
            requests: code::names(settings.protocol).into_iter().map(requests).collect(),
            duration: table::EXPORT_DURATION.with(&[name]),
            delay: table::EXPORT_DELAY.with(&[name]),
            sent_bytes: table::EXPORT_SENT_BYTES.with(&[name]),
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

    /// A chunk was accepted, so long after the decision on it.
    pub(super) fn accepted(&self, delay: Duration) {
        self.delay.record(delay.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::super::settings::Protocol;
    use super::*;
    use crate::telemetry::metrics::Metric;

    fn name<H>(metric: &Metric<H>) -> &'static str {
        metric.family().name
    }

    #[test]
    fn every_series_is_there_at_zero() {
        for protocol in [Protocol::Grpc, Protocol::Http, Protocol::Kafka] {
            let recorder = PrometheusBuilder::new().build_recorder();
            let settings = ExportSettings { name: "a".to_owned(), ..ExportSettings::of(protocol) };
            let _metrics =
                metrics::with_local_recorder(&recorder, || ExportMetrics::new(&settings));
            let text = recorder.handle().render();
            let has = |series: String| assert!(text.contains(&series), "{series} not in\n{text}");
            let [spans, requests] = [&table::EXPORT_SPANS, &table::EXPORT_REQUESTS].map(name);
            for outcome in ["delivered", "refused", "rejected", "abandoned"] {
                has(format!("{spans}{{exporter=\"a\",outcome=\"{outcome}\"}} 0"));
            }
            for name in code::names(protocol) {
                has(format!("{requests}{{exporter=\"a\",code=\"{name}\"}} 0"));
            }
            let gauges = [&table::EXPORT_IN_FLIGHT, &table::EXPORT_QUEUE, &table::EXPORT_UP];
            let counters = [&table::EXPORT_RETRIES, &table::EXPORT_SENT_BYTES];
            for name in counters.map(name).into_iter().chain(gauges.map(name)) {
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
            let requests = name(&table::EXPORT_REQUESTS);
            let series = format!("{requests}{{exporter=\"default\",code=\"{code}\"}} {count}");
            assert!(text.contains(&series), "{series} not in\n{text}");
        }
    }
}
