//! Metrics of a scrape, as they are sent.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, HistogramDataPoint, Metric, NumberDataPoint,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;

use super::super::encode::tests::shown;
use super::super::metrics::Metrics;
use super::super::settings::Temporality;
use crate::telemetry::metrics::table;

fn at(second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(second)
}

/// The metrics of a request.
fn sent(metrics: &mut Metrics, text: &str, second: u64) -> Vec<Metric> {
    let (request, points) = metrics.request(text, at(second));
    let request = ExportMetricsServiceRequest::decode(&*request).unwrap();
    let metrics = request.resource_metrics[0].scope_metrics[0].metrics.clone();
    let count = |metric: &Metric| match metric.data.as_ref().unwrap() {
        Data::Sum(sum) => sum.data_points.len(),
        Data::Gauge(gauge) => gauge.data_points.len(),
        Data::Histogram(histogram) => histogram.data_points.len(),
        _ => 0,
    };
    assert_eq!(metrics.iter().map(count).sum::<usize>() as u64, points);
    metrics
}

fn named<'a>(metrics: &'a [Metric], name: &str) -> &'a Metric {
    metrics.iter().find(|metric| metric.name == name).unwrap()
}

/// The points of a counter, and its temporality.
fn sum(metric: &Metric) -> (&[NumberDataPoint], AggregationTemporality) {
    let Some(Data::Sum(sum)) = &metric.data else { panic!("{} is a counter", metric.name) };
    assert!(sum.is_monotonic);
    (&sum.data_points, sum.aggregation_temporality())
}

fn histogram(metric: &Metric) -> &HistogramDataPoint {
    let Some(Data::Histogram(histogram)) = &metric.data else { panic!("{}", metric.name) };
    &histogram.data_points[0]
}

/// A recorder with some of the table's metrics in it.
fn scrape(count: u64) -> String {
    let buckets = Matcher::Full(table::DECISION_DELAY.family().name.to_owned());
    let builder =
        PrometheusBuilder::new().set_buckets_for_metric(buckets, &[0.5, 1.0, 5.0]).unwrap();
    let recorder = builder.build_recorder();
    metrics::with_local_recorder(&recorder, || {
        table::KEPT_SPANS.with(&["a \"b\""]).increment(count);
        table::OPEN_TRACES.handle().set(3.0);
        table::LAG_SECONDS.with(&["tailsieve-kafka-0"]).set(1.5);
        let delay = table::DECISION_DELAY.handle();
        (0..count).for_each(|_| delay.record(0.7));
        delay.record(9.0);
    });
    recorder.handle().run_upkeep();
    recorder.handle().render()
        + "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 2.5\n"
}

#[test]
fn names_labels_and_values_are_those_of_the_scrape() {
    let mut metrics = Metrics::new(Resource::default(), Temporality::Cumulative, at(10));
    let sent = sent(&mut metrics, &scrape(4), 20);
    let names: Vec<&str> = sent.iter().map(|metric| &*metric.name).collect();
    let expected = [
        "tailsieve_kept_spans_total",
        "tailsieve_open_traces",
        "tailsieve_decision_delay_seconds",
        "tailsieve_kafka_lag_seconds",
        "process_cpu_seconds_total",
    ];
    assert_eq!(names, expected, "those of the scrape, in the order of the table");
    let kept = named(&sent, "tailsieve_kept_spans_total");
    assert_eq!((&*kept.unit, &*kept.description), ("{span}", table::KEPT_SPANS.family().help));
    let (points, temporality) = sum(kept);
    assert_eq!(temporality, AggregationTemporality::Cumulative);
    assert_eq!(points[0].value, Some(Value::AsInt(4)));
    assert_eq!(points[0].attributes.iter().map(shown).collect::<Vec<_>>(), ["policy=a \"b\""]);
    assert_eq!(points[0].start_time_unix_nano, 10_000_000_000);
    assert_eq!(points[0].time_unix_nano, 20_000_000_000);
    let lag = named(&sent, "tailsieve_kafka_lag_seconds");
    let Some(Data::Gauge(gauge)) = &lag.data else { panic!("a gauge") };
    assert_eq!((gauge.data_points[0].value, &*lag.unit), (Some(Value::AsDouble(1.5)), "s"));
    let cpu = named(&sent, "process_cpu_seconds_total");
    assert_eq!(sum(cpu).0[0].value, Some(Value::AsDouble(2.5)), "time is not whole");
}

#[test]
fn a_histogram_has_its_bounds_and_what_is_between_them() {
    let mut metrics = Metrics::new(Resource::default(), Temporality::Cumulative, at(10));
    let sent = sent(&mut metrics, &scrape(4), 20);
    let delay = histogram(named(&sent, "tailsieve_decision_delay_seconds"));
    assert_eq!(delay.explicit_bounds, [0.5, 1.0, 5.0]);
    assert_eq!(delay.bucket_counts, [0, 4, 0, 1]);
    assert_eq!(delay.count, 5);
    assert!((delay.sum.unwrap() - 11.8).abs() < 1e-9);
    assert_eq!(delay.attributes, [], "le is no attribute");
}

#[test]
fn a_delta_goes_out_from_what_was_accepted_last() {
    let mut metrics = Metrics::new(Resource::default(), Temporality::Delta, at(10));
    let value = |sent: &[Metric]| {
        let (points, temporality) = sum(named(sent, "tailsieve_kept_spans_total"));
        assert_eq!(temporality, AggregationTemporality::Delta);
        let delay =
            histogram(named(sent, "tailsieve_decision_delay_seconds")).bucket_counts.clone();
        (points[0].value.unwrap(), points[0].start_time_unix_nano / 1_000_000_000, delay)
    };
    assert_eq!(value(&sent(&mut metrics, &scrape(4), 20)), (Value::AsInt(4), 10, vec![0, 4, 0, 1]));
    metrics.accepted();
    assert_eq!(value(&sent(&mut metrics, &scrape(6), 30)), (Value::AsInt(2), 20, vec![0, 2, 0, 0]));
    // That one was lost.
    assert_eq!(value(&sent(&mut metrics, &scrape(9), 40)), (Value::AsInt(5), 20, vec![0, 5, 0, 0]));
    metrics.accepted();
    assert_eq!(value(&sent(&mut metrics, &scrape(9), 50)), (Value::AsInt(0), 40, vec![0, 0, 0, 0]));
}

#[test]
fn with_low_memory_only_what_is_counted_here_is_a_delta() {
    let mut metrics = Metrics::new(Resource::default(), Temporality::LowMemory, at(10));
    let sent = sent(&mut metrics, &scrape(1), 20);
    assert_eq!(sum(named(&sent, "tailsieve_kept_spans_total")).1, AggregationTemporality::Delta);
    assert_eq!(
        sum(named(&sent, "process_cpu_seconds_total")).1,
        AggregationTemporality::Cumulative
    );
}

#[test]
fn units_change_no_name_where_names_get_units() {
    let families = table::GROUPS.iter().flat_map(|group| group.families);
    let units: std::collections::BTreeSet<&str> = families.map(|family| family.unit).collect();
    for unit in units {
        let sent = super::super::metrics::unit(unit);
        let is_fine = match unit {
            "seconds" => sent == "s",
            "bytes" => sent == "By",
            "0 or 1" | "info" => sent.is_empty(),
            _ => sent.starts_with('{') && sent.ends_with('}') && !sent.ends_with("s}"),
        };
        assert!(is_fine, "{unit} is {sent}");
    }
}
