//! The settings of the traffic.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::ids::Timestamp;

/// How spans are put into records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Layout {
    /// As the Collector's Kafka exporter with `partition_traces_by_id: true`: the key is the trace
    /// id as 32 hexadecimal digits, and a record holds one trace, one resource and one scope.
    #[default]
    Keyed,
    /// As a gateway that holds spans back for a second: the key is the trace id, and a record holds
    /// what one service did for one trace, in the resources of its instances.
    Service,
    /// As the same exporter without this option: no key, and a record holds a batch of a Collector,
    /// of several traces and resources; the spans of a trace are in many records.
    Batched,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keyed => "keyed",
            Self::Service => "service",
            Self::Batched => "batched",
        })
    }
}

/// The traffic of a [`super::Model`]. Equal settings make equal records, byte for byte.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSettings {
    /// The seed of everything random.
    pub seed: u64,
    /// When the first trace may start.
    pub start: Timestamp,
    /// Mean spans per second of the records' own time; above 0.
    pub rate: f64,
    /// How spans are put into records.
    pub layout: Layout,
    /// No trace starts later than this after `start`.
    pub duration: Option<Duration>,
    /// No further trace starts once there are this many spans.
    pub max_spans: Option<u64>,
    /// No further trace starts once there are this many traces.
    pub max_traces: Option<u64>,
    /// The most spans a trace may have.
    pub max_trace_spans: usize,
    /// Share of traces with a span of status ERROR.
    pub error_fraction: f64,
    /// Share of traces that last longer than a second.
    pub slow_fraction: f64,
    /// Share of traces whose root span is lost.
    pub lost_root_fraction: f64,
    /// Share of records that are produced twice.
    pub duplicate_fraction: f64,
    /// Share of spans without children that are held back by `late_by`, where that changes
    /// neither the duration of the trace nor its errors.
    pub late_fraction: f64,
    /// Share of traces without an error of which a span fails that is held back by `late_by`, as a job
    /// that outlives its trace.
    pub late_error_fraction: f64,
    /// How much later than usual a late span is produced.
    pub late_by: Duration,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            seed: 1,
            start: Timestamp(1_750_000_000_000),
            rate: 1000.0,
            layout: Layout::Keyed,
            duration: None,
            max_spans: None,
            max_traces: None,
            max_trace_spans: 2000,
            error_fraction: 0.02,
            slow_fraction: 0.02,
            lost_root_fraction: 0.005,
            duplicate_fraction: 0.002,
            late_fraction: 0.0,
            late_error_fraction: 0.0,
            late_by: Duration::from_secs(30),
        }
    }
}

/// Mean number of spans of a trace.
pub(super) const MEAN_TRACE_SPANS: f64 = 12.0;

impl ModelSettings {
    /// An upper estimate of the time from the first to the last record. Zero without a limit.
    pub fn expected_span(&self) -> Duration {
        let spans = self.max_spans.map(|spans| spans as f64);
        let by_traces = self.max_traces.map(|n| n as f64 * MEAN_TRACE_SPANS);
        let by_duration = self.duration.map(|d| d.as_secs_f64() * self.rate);
        let limits = [spans, by_traces, by_duration];
        let spans = limits.into_iter().flatten().reduce(f64::min).unwrap_or(0.0);
        let seconds = 1.2 * spans / self.rate;
        let has_late = self.late_fraction > 0.0 || self.late_error_fraction > 0.0;
        let late = if has_late { self.late_by } else { Duration::ZERO };
        let batches_and_slow_traces = Duration::from_secs(10);
        Duration::try_from_secs_f64(seconds).unwrap_or_default() + late + batches_and_slow_traces
    }

    /// The settings for the header of a ledger.
    pub fn describe(&self) -> BTreeMap<String, String> {
        let limit = |n: Option<u64>| n.map_or("none".into(), |n| n.to_string());
        let duration = |d: Duration| humantime::format_duration(d).to_string();
        let settings = [
            ("seed", self.seed.to_string()),
            ("start_unix_milli", self.start.0.to_string()),
            ("rate", self.rate.to_string()),
            ("layout", self.layout.to_string()),
            ("duration", self.duration.map_or("none".into(), duration)),
            ("max_spans", limit(self.max_spans)),
            ("max_traces", limit(self.max_traces)),
            ("max_trace_spans", self.max_trace_spans.to_string()),
            ("error_fraction", self.error_fraction.to_string()),
            ("slow_fraction", self.slow_fraction.to_string()),
            ("lost_root_fraction", self.lost_root_fraction.to_string()),
            ("duplicate_fraction", self.duplicate_fraction.to_string()),
            ("late_fraction", self.late_fraction.to_string()),
            ("late_error_fraction", self.late_error_fraction.to_string()),
            ("late_by", duration(self.late_by)),
        ];
        settings.map(|(key, value)| (key.into(), value)).into()
    }
}
