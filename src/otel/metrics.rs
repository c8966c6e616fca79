//! The metrics as messages of OTLP: what `/metrics` serves, with the same names, labels and values.
//!
//! So a Collector that receives them has what its Prometheus receiver would have scraped, and a Prometheus
//! that gets them in the end has the series that alerts and dashboards name. Counters are monotonic
//! sums, gauges gauges, and histograms histograms with the same bounds. Units are those of UCUM.
//!
//! Owns what was accepted last, which deltas go out from: what was not accepted is part of the next one.

use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;

use super::encode;
use super::settings::Temporality;
use crate::telemetry::metrics::text::{Labels, Series, series};
use crate::telemetry::metrics::{Family, Kind, table};

/// All series of a scrape, by name.
type Scrape<'a> = HashMap<&'a str, Vec<Series>>;

/// The values of a counter, or the counts and the sum of a histogram.
#[derive(Clone, Debug, Default, PartialEq)]
struct Total {
    sum: f64,
    buckets: Vec<u64>,
}

type Totals = HashMap<(&'static str, Labels), Total>;

/// Makes requests out of scrapes; see the module.
pub(super) struct Metrics {
    resource: Resource,
    temporality: Temporality,
    /// When counters were 0.
    since: SystemTime,
    /// What was accepted last, and of when it was.
    accepted: (Option<SystemTime>, Totals),
    /// What the last request said.
    sent: (Option<SystemTime>, Totals),
}

impl Metrics {
    pub(super) fn new(resource: Resource, temporality: Temporality, since: SystemTime) -> Self {
        let (accepted, sent) = Default::default();
        Self { resource, temporality, since, accepted, sent }
    }

    /// An encoded `ExportMetricsServiceRequest`, and how many data points it has.
    pub(super) fn request(&mut self, text: &str, now: SystemTime) -> (Vec<u8>, u64) {
        let mut scrape: Scrape<'_> = HashMap::new();
        series(text).for_each(|(name, series)| scrape.entry(name).or_default().push(series));
        self.sent = (Some(now), Totals::new());
        let families = table::GROUPS.iter().flat_map(|group| group.families);
        let metrics: Vec<Metric> =
            families.filter_map(|family| self.metric(family, &scrape, now)).collect();
        let points = metrics.iter().map(points).sum();
        let scope = Some(encode::scope(env!("CARGO_PKG_NAME")));
        let scope_metrics = vec![ScopeMetrics { scope, metrics, ..ScopeMetrics::default() }];
        let resource = Some(self.resource.clone());
        let resource_metrics =
            vec![ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }];
        (ExportMetricsServiceRequest { resource_metrics }.encode_to_vec(), points)
    }

    /// The receiver accepted the last request.
    pub(super) fn accepted(&mut self) {
        self.accepted = std::mem::take(&mut self.sent);
    }

    fn metric(&mut self, family: &Family, scrape: &Scrape<'_>, now: SystemTime) -> Option<Metric> {
        let data = match family.kind {
            Kind::Counter => self.sum(family, scrape.get(family.name)?, now),
            Kind::Gauge => gauge(scrape.get(family.name)?, now),
            Kind::Histogram => self.histogram(family, scrape, now)?,
        };
        Some(Metric {
            name: family.name.to_owned(),
            description: family.help.to_owned(),
            unit: unit(family.unit),
            data: Some(data),
            ..Metric::default()
        })
    }

    fn sum(&mut self, family: &Family, series: &[Series], now: SystemTime) -> Data {
        let is_delta = self.is_delta(family);
        let is_whole = is_whole(family);
        let data_points = series.iter().map(|Series { labels, value }| {
            let total = Total { sum: *value, buckets: Vec::new() };
            let said = self.said(family, labels, total, is_delta);
            NumberDataPoint {
                attributes: attributes(labels),
                start_time_unix_nano: encode::nanos(self.start(is_delta)),
                time_unix_nano: encode::nanos(now),
                value: Some(if is_whole {
                    Value::AsInt(said.sum as i64)
                } else {
                    Value::AsDouble(said.sum)
                }),
                ..NumberDataPoint::default()
            }
        });
        let data_points = data_points.collect();
        let aggregation_temporality = temporality(is_delta);
        Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic: true })
    }

    fn histogram(&mut self, family: &Family, scrape: &Scrape<'_>, now: SystemTime) -> Option<Data> {
        let part = |suffix: &str| scrape.get(format!("{}{suffix}", family.name).as_str());
        let sums: HashMap<&Labels, f64> =
            part("_sum")?.iter().map(|series| (&series.labels, series.value)).collect();
        let is_delta = self.is_delta(family);
        let data_points = buckets(part("_bucket")?).into_iter().map(|(labels, cumulative)| {
            let bounds: Vec<f64> = cumulative
                .iter()
                .map(|(bound, _)| *bound)
                .filter(|bound| bound.is_finite())
                .collect();
            let mut below = 0;
            let counts =
                cumulative.iter().map(|(_, count)| count - std::mem::replace(&mut below, *count));
            let total =
                Total { sum: sums.get(&labels).copied().unwrap_or(0.0), buckets: counts.collect() };
            let said = self.said(family, &labels, total, is_delta);
            HistogramDataPoint {
                attributes: attributes(&labels),
                start_time_unix_nano: encode::nanos(self.start(is_delta)),
                time_unix_nano: encode::nanos(now),
                count: said.buckets.iter().sum(),
                sum: Some(said.sum),
                bucket_counts: said.buckets,
                explicit_bounds: bounds,
                ..HistogramDataPoint::default()
            }
        });
        let data_points = data_points.collect();
        let aggregation_temporality = temporality(is_delta);
        Some(Data::Histogram(Histogram { data_points, aggregation_temporality }))
    }

    /// Whether a metric says what is new since the last request that was accepted.
    fn is_delta(&self, family: &Family) -> bool {
        match self.temporality {
            Temporality::Cumulative => false,
            Temporality::Delta => true,
            // What the system counts is observed, not counted.
            Temporality::LowMemory => !family.name.starts_with("process_"),
        }
    }

    /// When what a data point says began.
    fn start(&self, is_delta: bool) -> SystemTime {
        let accepted = self.accepted.0.filter(|_| is_delta);
        accepted.unwrap_or(self.since)
    }

    /// What a data point says of a total.
    fn said(&mut self, family: &Family, labels: &Labels, total: Total, is_delta: bool) -> Total {
        if !is_delta {
            return total;
        }
        let key = (family.name, labels.clone());
        let said = match self.accepted.1.get(&key) {
            Some(before) => {
                let mut old = before.buckets.iter().copied().chain(std::iter::repeat(0));
                let buckets =
                    total.buckets.iter().map(|new| new.saturating_sub(old.next().unwrap_or(0)));
                Total { sum: total.sum - before.sum, buckets: buckets.collect() }
            }
            None => total.clone(),
        };
        self.sent.1.insert(key, total);
        said
    }
}

/// Whether a counter counts whole things.
fn is_whole(family: &Family) -> bool {
    family.unit != "seconds"
}

fn gauge(series: &[Series], now: SystemTime) -> Data {
    let point = |Series { labels, value }: &Series| NumberDataPoint {
        attributes: attributes(labels),
        time_unix_nano: encode::nanos(now),
        value: Some(Value::AsDouble(*value)),
        ..NumberDataPoint::default()
    };
    Data::Gauge(Gauge { data_points: series.iter().map(point).collect() })
}

/// The buckets of each series of a histogram, by their upper bounds, each with those below it.
fn buckets(series: &[Series]) -> BTreeMap<Labels, Vec<(f64, u64)>> {
    let mut buckets: BTreeMap<Labels, Vec<(f64, u64)>> = BTreeMap::new();
    for Series { labels, value } in series {
        let (bound, labels): (Labels, Labels) =
            labels.iter().cloned().partition(|(name, _)| name == "le");
        if let Some(bound) = bound.first().and_then(|(_, bound)| bound.parse().ok()) {
            buckets.entry(labels).or_default().push((bound, *value as u64));
        }
    }
    buckets
        .values_mut()
        .for_each(|buckets| buckets.sort_by(|one, other| one.0.total_cmp(&other.0)));
    buckets
}

fn temporality(is_delta: bool) -> i32 {
    let temporality = match is_delta {
        true => AggregationTemporality::Delta,
        false => AggregationTemporality::Cumulative,
    };
    temporality.into()
}

fn attributes(labels: &Labels) -> Vec<KeyValue> {
    labels.iter().map(|(name, value)| encode::text(name, value)).collect()
}

/// The unit in UCUM. What is counted is an annotation, which changes no name where names get units; what
/// is only 0 or 1 has no unit, as `1` would make a ratio of it there.
pub(super) fn unit(unit: &str) -> String {
    match unit {
        "seconds" => "s".to_owned(),
        "bytes" => "By".to_owned(),
        "0 or 1" | "info" => String::new(),
        counted => format!("{{{}}}", counted.strip_suffix('s').unwrap_or(counted)),
    }
}

fn points(metric: &Metric) -> u64 {
    let points = match &metric.data {
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        _ => 0,
    };
    points as u64
}
