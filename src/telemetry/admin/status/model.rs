//! What is shown of a member: as JSON by the API, as HTML by the page. `openapi.json` describes it.
//!
//! A value that is not known is `null`, and no field is ever left out.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

use super::trial::Trials;
use crate::ids::{Timestamp, TraceId};
use crate::telemetry::accounts::Amount;
use crate::telemetry::latest::LatestTrace;

/// Everything, except for the configuration.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The process.
    pub member: MemberStatus,
    /// What came in and what became of it.
    pub flow: Flow,
    /// The partitions that this member has.
    pub partitions: Vec<PartitionStatus>,
    /// The policies in force.
    pub policies: PoliciesStatus,
    /// The traces that were decided last.
    pub traces: LatestTraces,
    /// The warnings and errors that were logged last.
    pub logs: Vec<LogStatus>,
}

/// The process.
#[derive(Clone, Debug, Serialize)]
pub struct MemberStatus {
    /// Its version.
    pub version: &'static str,
    /// When this was looked at.
    pub at: Time,
    /// When it started.
    pub started_at: Time,
    /// Whether spans can flow.
    pub is_ready: bool,
    /// The conditions of that.
    pub checks: Vec<CheckStatus>,
    /// Problems that do not stop spans.
    pub notes: Vec<String>,
    /// Resident memory, where that is known.
    pub resident_bytes: Option<u64>,
    /// What open traces and traces on their way are accounted with.
    pub buffer_bytes: u64,
    /// Where traces are decided early.
    pub buffer_limit_bytes: u64,
    /// Workers that take no records at the moment, by what they wait for.
    pub stalled_workers: Vec<Stalled>,
    /// The exporters.
    pub exporters: Vec<ExporterStatus>,
}

/// A condition of being ready.
#[derive(Clone, Debug, Serialize)]
pub struct CheckStatus {
    /// What is checked.
    pub name: &'static str,
    /// What is missing; `None` if nothing is.
    pub missing: Option<String>,
}

/// Workers that wait.
#[derive(Clone, Debug, Serialize)]
pub struct Stalled {
    /// For what.
    pub reason: String,
    /// How many.
    pub workers: u64,
}

/// An exporter.
#[derive(Clone, Debug, Serialize)]
pub struct ExporterStatus {
    /// Its name.
    pub name: String,
    /// Whether its backend accepted what it was last sent.
    pub is_up: bool,
    /// Bytes that wait, are on their way, or wait for a retry.
    pub queue_bytes: u64,
    /// Where no more records are taken from Kafka.
    pub queue_capacity_bytes: u64,
    /// Spans that were delivered.
    pub delivered_spans: u64,
    /// Spans that were refused or rejected.
    pub refused_spans: u64,
    /// Attempts that repeat a failed one.
    pub retries: u64,
}

/// What came in and what became of it, since the start of the process.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Flow {
    /// Spans that were read.
    pub received: Amount,
    /// Those of traces that are not decided yet.
    pub open: Amount,
    /// Those of the traces kept.
    pub kept: Amount,
    /// Those of the traces dropped.
    pub dropped: Amount,
    /// Those that came after their trace was decided.
    pub late: Amount,
    /// Those that were refused.
    pub invalid: Amount,
    /// Those that were open when their partition was taken away.
    pub revoked: Amount,
    /// Those that were read again.
    pub replayed: Amount,
    /// Spans that backends have taken, of all exporters.
    pub delivered_spans: u64,
    /// Records that are not read yet.
    pub lag_records: u64,
    /// How old the last record is that was read, of the partition that is furthest behind.
    pub lag_seconds: f64,
    /// Records that a restart would read.
    pub committed_lag_records: u64,
    /// How fast that goes now.
    pub rates: Rates,
    /// How it went in the last minutes, the oldest first.
    pub history: Vec<Rates>,
}

/// How fast spans flow, over some seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Rates {
    /// The end of those seconds.
    pub at: Time,
    /// How many they are.
    pub seconds: f64,
    /// Spans read.
    pub received_spans_per_second: f64,
    /// Bytes of them.
    pub received_bytes_per_second: f64,
    /// Traces opened.
    pub received_traces_per_second: f64,
    /// Spans of traces kept.
    pub kept_spans_per_second: f64,
    /// Bytes of them.
    pub kept_bytes_per_second: f64,
    /// Traces kept.
    pub kept_traces_per_second: f64,
    /// Spans of traces dropped.
    pub dropped_spans_per_second: f64,
    /// Bytes of them.
    pub dropped_bytes_per_second: f64,
    /// Traces dropped.
    pub dropped_traces_per_second: f64,
    /// Spans that backends took.
    pub delivered_spans_per_second: f64,
    /// Traces that were open at the end.
    pub open_traces: u64,
    /// The lag at the end.
    pub lag_seconds: f64,
}

/// A partition.
#[derive(Clone, Debug, Serialize)]
pub struct PartitionStatus {
    /// Its number.
    pub partition: i32,
    /// Everything below was read from Kafka.
    pub position: Option<i64>,
    /// Where it ends.
    pub end: Option<i64>,
    /// Everything below is committed.
    pub committed: Option<i64>,
    /// Records that are not read yet.
    pub lag_records: Option<i64>,
    /// How old the last record is that was read, if some are not read yet.
    pub lag_seconds: f64,
    /// Records that a restart would read.
    pub committed_lag_records: Option<i64>,
    /// Since when what may be committed has not moved, although records behind it were read.
    pub held_back_seconds: f64,
    /// What its worker says; `None` if that did not answer in time.
    pub worker: Option<WorkerPart>,
}

/// What the worker of a partition says of it.
#[derive(Clone, Debug, Serialize)]
pub struct WorkerPart {
    /// Which worker it is.
    pub number: usize,
    /// Nothing is judged until the decision log is read back.
    pub is_reading_back: bool,
    /// The clock of the partition.
    pub clock: Option<Time>,
    /// Everything below is decided, on record and delivered.
    pub committable: i64,
    /// Number of open traces.
    pub open_traces: usize,
    /// Bytes of memory that they take, about.
    pub open_bytes: u64,
    /// The one that was opened first.
    pub oldest_open_trace: Option<OpenTraceStatus>,
    /// Decisions that are remembered for late spans.
    pub remembered_decisions: usize,
}

/// A trace that is open.
#[derive(Clone, Debug, Serialize)]
pub struct OpenTraceStatus {
    /// The trace.
    pub trace_id: String,
    /// Number of spans so far.
    pub spans: u32,
    /// Their wire bytes.
    pub bytes: u64,
    /// Those with an error.
    pub errors: u32,
    /// The partition's clock at its first span.
    pub opened_at: Time,
    /// The partition's clock at its root span.
    pub root_at: Option<Time>,
    /// The partition's clock at which it is decided at the latest.
    pub due_at: Time,
    /// Its first record.
    pub first_offset: i64,
    /// Its last record so far.
    pub last_offset: i64,
}

/// The policies in force.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PoliciesStatus {
    /// The policy file; `None` if they come from elsewhere.
    pub file: Option<String>,
    /// Names its contents.
    pub hash: String,
    /// Since when they are in force.
    pub since: Option<Time>,
    /// What is wrong with the file as it is now; `None` if it is what is in force.
    pub failure: Option<String>,
    /// In the order of the file.
    pub policies: Vec<PolicyStatus>,
    /// What no policy kept and none dropped.
    pub dropped_by_none: Amount,
}

/// A policy in force.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PolicyStatus {
    /// Its name.
    pub name: String,
    /// Its type, as files have it.
    #[serde(rename = "type")]
    pub kind: String,
    /// `enforce` or `shadow`.
    pub mode: &'static str,
    /// Its votes to keep.
    pub votes_to_keep: u64,
    /// Its votes to drop.
    pub votes_to_drop: u64,
    /// How often it was asked and said nothing.
    pub no_votes: u64,
    /// Traces of which it could not evaluate something.
    pub errors: u64,
    /// What was kept on its account.
    pub kept: Amount,
    /// The share of all decided traces that this is.
    pub kept_share: Option<f64>,
    /// What it dropped.
    pub dropped: Amount,
    /// What it alone decided.
    pub alone: Amount,
    /// Of a shadow policy: what it would have kept.
    pub would_keep: Amount,
    /// Of a shadow policy: what it would have dropped.
    pub would_drop: Amount,
}

/// The traces that were decided last: a few of each second.
#[derive(Clone, Debug, Serialize)]
pub struct LatestTraces {
    /// How many of each kind are looked at in a second.
    pub most_each_second: i32,
    /// Those that were kept, the last one first.
    pub kept: Vec<TraceStatus>,
    /// Those that were dropped, the last one first.
    pub dropped: Vec<TraceStatus>,
}

/// A trace that was decided not long ago.
#[derive(Clone, Debug, Serialize)]
pub struct TraceStatus {
    /// The trace.
    pub trace_id: String,
    /// Where it can be looked at, if that was configured.
    pub link: Option<String>,
    /// Where its spans came from.
    pub partition: i32,
    /// The partition's clock at the decision.
    pub decided_at: Time,
    /// The policy that kept or dropped it, if one did.
    pub policy: Option<String>,
    /// The chance with which it was kept, as far as it is known.
    pub probability: Option<f64>,
    /// Why it was decided then.
    pub trigger: &'static str,
    /// Number of spans.
    pub spans: u32,
    /// Their wire bytes.
    pub bytes: u64,
    /// Those with an error.
    pub errors: u32,
    /// From its earliest start to its latest end.
    pub duration_seconds: f64,
    /// `service.name` of its root span, or of its first one.
    pub service: Option<String>,
    /// The name of that span.
    pub name: Option<String>,
}

impl From<LatestTrace> for TraceStatus {
    /// Without a link.
    fn from(trace: LatestTrace) -> Self {
        Self {
            trace_id: trace.trace_id.to_string(),
            link: None,
            partition: trace.partition.0,
            decided_at: Time(trace.at),
            policy: trace.policy.map(|policy| policy.to_string()),
            probability: trace.probability,
            trigger: trace.trigger,
            spans: trace.spans,
            bytes: trace.bytes,
            errors: trace.errors,
            duration_seconds: trace.duration.as_secs_f64(),
            service: trace.service,
            name: trace.name,
        }
    }
}

/// What is known of a trace.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TraceSearch {
    /// The trace.
    pub trace_id: String,
    /// Where it can be looked at, if that was configured.
    pub link: Option<String>,
    /// What is known. More than one if it is spread over partitions, or was forgotten and came again.
    pub found: Vec<FoundTrace>,
    /// The partition that its key belongs to; `None` as long as the partitioner is not known.
    pub partition: Option<i32>,
    /// The partitions that this member has.
    pub owned_partitions: Vec<i32>,
    /// Whether all workers have answered in time.
    pub is_complete: bool,
}

/// What is known of a trace in one partition.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FoundTrace {
    /// The partition.
    pub partition: i32,
    /// `open`, `kept` or `dropped`.
    pub state: &'static str,
    /// Its first record.
    pub first_offset: i64,
    /// The last record that is known, or that the decision covers.
    pub last_offset: i64,
    /// Of an open one: number of spans so far.
    pub spans: Option<u32>,
    /// Of an open one: their wire bytes.
    pub bytes: Option<u64>,
    /// Of an open one: those with an error.
    pub errors: Option<u32>,
    /// Of an open one: the partition's clock at its first span.
    pub opened_at: Option<Time>,
    /// Of an open one: the partition's clock at its root span.
    pub root_at: Option<Time>,
    /// Of an open one: the partition's clock at which it is decided at the latest.
    pub due_at: Option<Time>,
    /// Of a decided one: the partition's clock at the decision.
    pub decided_at: Option<Time>,
    /// Of a decided one: the policy that kept or dropped it, if one did.
    pub policy: Option<String>,
    /// Of a kept one: the chance with which it was kept, as far as it is known.
    pub probability: Option<f64>,
    /// Of a decided one: why it was decided then.
    pub trigger: Option<&'static str>,
}

impl FoundTrace {
    /// Of which nothing else is known yet.
    pub fn new(partition: i32, state: &'static str, (first, last): (i64, i64)) -> Self {
        Self {
            partition,
            state,
            first_offset: first,
            last_offset: last,
            spans: None,
            bytes: None,
            errors: None,
            opened_at: None,
            root_at: None,
            due_at: None,
            decided_at: None,
            policy: None,
            probability: None,
            trigger: None,
        }
    }
}

/// A warning or an error that was logged.
#[derive(Clone, Debug, Serialize)]
pub struct LogStatus {
    /// When.
    pub at: Time,
    /// `WARN` or `ERROR`.
    pub level: &'static str,
    /// The module.
    pub target: &'static str,
    /// What happened.
    pub event: String,
    /// What else is said of it.
    pub fields: String,
}

/// A line of the static file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its place: keys, parted by dots.
    pub name: String,
    /// Its value as it was written; secrets are masked.
    pub value: String,
}

/// What a source answers in its time.
pub type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What the status is made of beside the metrics.
pub trait StatusSource: Send + Sync {
    /// A second is over.
    fn renew(&self);
    /// The partitions that this member has.
    fn partitions(&self) -> Later<Vec<PartitionStatus>>;
    /// What is known of a trace.
    fn search(&self, id: TraceId) -> Later<TraceSearch>;
    /// The traces that were decided last, the last one first.
    fn latest(&self, is_kept: bool) -> Vec<LatestTrace>;
    /// The policies in force, without what they did.
    fn policies(&self) -> PoliciesStatus;
    /// The static file; nothing if there is none.
    fn configuration(&self) -> Vec<Setting>;
    /// Tries policies on the traffic that passes.
    fn trials(&self) -> Arc<dyn Trials>;
}

/// A point in time, as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub Timestamp);

/// The last millisecond of the year 9999, which is the last one that can be written.
const LAST: i64 = 253_402_300_799_999;

impl Default for Time {
    fn default() -> Self {
        Self(Timestamp(0))
    }
}

impl From<SystemTime> for Time {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self(Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Time {
    /// Times come from records, which may hold any: those that cannot be written become the nearest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.0.clamp(0, LAST).unsigned_abs();
        let time = UNIX_EPOCH + Duration::from_millis(millis);
        humantime::format_rfc3339_millis(time).fmt(f)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_time_can_be_written() {
        let text = |millis| Time(Timestamp(millis)).to_string();
        assert_eq!(text(1), "1970-01-01T00:00:00.001Z");
        assert_eq!(text(i64::MIN), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(i64::MAX), "9999-12-31T23:59:59.999Z");
    }
}
