//! What a member says of itself: its `/api/v1/status`, as far as this version knows it.
//!
//! Promises to read what members of other versions say: a field that is missing, or is another than
//! expected, is unknown, and no more than that. Names and texts are [`printable`] from here on.

use serde_json::Value;

use super::stop::{Amount, SPANS, Stop, Stops};
use crate::cmd::printable::printable;
use crate::ids::Timestamp;

/// Characters of a name that are shown at most.
const LONGEST_NAME: usize = 120;

/// Characters of what is said of an error.
const LONGEST_TEXT: usize = 2000;

/// Entries of a list that are looked at; a member has fewer.
const MOST: usize = 10_000;

/// What a member says.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    pub(super) version: Option<String>,
    /// When it looked at itself, by its own clock.
    pub(super) at: Option<Timestamp>,
    pub(super) started_at: Option<Timestamp>,
    pub(super) is_ready: Option<bool>,
    /// What is missing to be ready, or wrong beside that.
    pub(super) problems: Vec<String>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) buffer_bytes: Option<u64>,
    pub(super) buffer_limit_bytes: Option<u64>,
    pub(super) exporters: Vec<Exporter>,
    pub(super) totals: Stops<Amount<u64>>,
    /// By its own account, over the last seconds.
    pub(super) rates: Stops<Amount<f64>>,
    pub(super) history: Vec<Past>,
    pub(super) lag_records: Option<u64>,
    pub(super) lag_seconds: Option<f64>,
    pub(super) committed_lag_records: Option<u64>,
    pub(super) partitions: Vec<Partition>,
    pub(super) policies_hash: Option<String>,
    pub(super) policies: Vec<Policy>,
    /// Traces that no policy kept and none dropped.
    pub(super) dropped_by_none: Option<u64>,
    pub(super) traces: Vec<Trace>,
    pub(super) logs: Vec<Log>,
}

#[derive(Clone, Debug)]
pub(super) struct Exporter {
    pub(super) name: String,
    pub(super) is_up: Option<bool>,
    pub(super) queue_bytes: Option<u64>,
    pub(super) queue_capacity_bytes: Option<u64>,
    pub(super) refused_spans: Option<u64>,
    pub(super) retries: Option<u64>,
}

/// How it went some time ago.
#[derive(Clone, Debug)]
pub(super) struct Past {
    pub(super) at: Timestamp,
    pub(super) seconds: f64,
    /// Spans in a second; of those that are open, traces.
    pub(super) values: Stops<Option<f64>>,
}

#[derive(Clone, Debug)]
pub(super) struct Partition {
    pub(super) number: i64,
    pub(super) position: Option<i64>,
    pub(super) end: Option<i64>,
    pub(super) committed: Option<i64>,
    pub(super) lag_records: Option<u64>,
    pub(super) lag_seconds: Option<f64>,
    pub(super) committed_lag_records: Option<u64>,
    pub(super) held_back_seconds: Option<f64>,
    pub(super) is_reading_back: bool,
    pub(super) open_traces: Option<u64>,
    pub(super) open_bytes: Option<u64>,
    /// How long the oldest open trace has been open, on the partition's clock.
    pub(super) oldest_seconds: Option<f64>,
    pub(super) oldest_trace: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) is_shadow: bool,
    pub(super) figures: PolicyFigures,
}

/// What is added up over members: votes, and traces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PolicyFigures {
    pub(super) votes_to_keep: Option<u64>,
    pub(super) votes_to_drop: Option<u64>,
    pub(super) no_votes: Option<u64>,
    pub(super) errors: Option<u64>,
    /// Of a shadow policy: what it would have kept.
    pub(super) kept: Option<u64>,
    /// Of a shadow policy: what it would have dropped.
    pub(super) dropped: Option<u64>,
    pub(super) alone: Option<u64>,
}

#[derive(Clone, Debug)]
pub(super) struct Trace {
    pub(super) id: String,
    pub(super) is_kept: bool,
    pub(super) decided_at: Timestamp,
    pub(super) policy: Option<String>,
    pub(super) probability: Option<f64>,
    pub(super) trigger: String,
    pub(super) spans: Option<u64>,
    pub(super) errors: Option<u64>,
    pub(super) seconds: Option<f64>,
    pub(super) service: String,
    pub(super) name: String,
}

#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) at: Timestamp,
    pub(super) level: String,
    pub(super) event: String,
    pub(super) fields: String,
}

impl Report {
    /// Reads the answer of a member.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let expected =
            "expected the status of a member, as admin.listen of `tailsieve run` serves it";
        let json: Value = serde_json::from_str(text)
            .map_err(|error| format!("its answer is not JSON ({error}); {expected}"))?;
        if !json["member"].is_object() || !json["flow"].is_object() {
            return Err(format!("its answer has no member and no flow; {expected}"));
        }
        Ok(Self::of(&json))
    }

    fn of(json: &Value) -> Self {
        let (member, flow, policies) = (&json["member"], &json["flow"], &json["policies"]);
        let exporters: Vec<Exporter> = list(&member["exporters"]).map(exporter).collect();
        let traces = |kind: &str| list(&json["traces"][kind]);
        let kept = traces("kept").filter_map(|it| trace(it, true));
        let dropped = traces("dropped").filter_map(|it| trace(it, false));
        Self {
            version: member["version"].as_str().map(name),
            at: time(&member["at"]),
            started_at: time(&member["started_at"]),
            is_ready: member["is_ready"].as_bool(),
            problems: problems(member, policies, &exporters),
            resident_bytes: number(&member["resident_bytes"]),
            buffer_bytes: number(&member["buffer_bytes"]),
            buffer_limit_bytes: number(&member["buffer_limit_bytes"]),
            totals: totals(flow, &exporters),
            rates: rates(&flow["rates"]),
            history: list(&flow["history"]).filter_map(past).collect(),
            lag_records: number(&flow["lag_records"]),
            lag_seconds: float(&flow["lag_seconds"]),
            committed_lag_records: number(&flow["committed_lag_records"]),
            partitions: list(&json["partitions"]).filter_map(partition).collect(),
            policies_hash: policies["hash"].as_str().map(name),
            policies: list(&policies["policies"]).map(policy).collect(),
            dropped_by_none: number(&policies["dropped_by_none"]["traces"]),
            traces: kept.chain(dropped).collect(),
            logs: list(&json["logs"]).filter_map(log).collect(),
            exporters,
        }
    }
}

fn problems(member: &Value, policies: &Value, exporters: &[Exporter]) -> Vec<String> {
    let missing = list(&member["checks"]).filter_map(|check| {
        let missing = check["missing"].as_str()?;
        Some(format!("not ready: {}: {}", text_of(&check["name"]), long(missing)))
    });
    let down = exporters.iter().filter(|it| it.is_up == Some(false));
    let down = down.map(|it| format!("exporter {}: its backend does not accept", it.name));
    let stalled = list(&member["stalled_workers"]).map(|it| {
        let workers = number(&it["workers"]).unwrap_or(0);
        format!("workers that take no records: {workers}, waiting for {}", text_of(&it["reason"]))
    });
    let failure = policies["failure"].as_str();
    let failure = failure.map(|it| format!("the policy file is not in force: {}", long(it)));
    let notes = list(&member["notes"]).filter_map(Value::as_str).map(long);
    missing.chain(down).chain(stalled).chain(failure).chain(notes).collect()
}

fn totals(flow: &Value, exporters: &[Exporter]) -> Stops<Amount<u64>> {
    Stop::ALL.map(|stop| match (stop, stop.field()) {
        (Stop::Delivered, _) => [None, number(&flow["delivered_spans"]), None],
        (Stop::Refused, _) => [None, sum(exporters.iter().map(|it| it.refused_spans)), None],
        (_, Some((field, is_of_traces))) => {
            let amount = &flow[field];
            let traces = number(&amount["traces"]).filter(|_| is_of_traces);
            [traces, number(&amount["spans"]), number(&amount["bytes"])]
        }
        (_, None) => [None; 3],
    })
}

fn rates(rates: &Value) -> Stops<Amount<f64>> {
    Stop::ALL.map(|stop| match (stop, stop.field()) {
        (Stop::Delivered, _) => [None, float(&rates["delivered_spans_per_second"]), None],
        (Stop::In | Stop::Kept | Stop::Dropped, Some((field, _))) => ["traces", "spans", "bytes"]
            .map(|unit| float(&rates[format!("{field}_{unit}_per_second")])),
        _ => [None; 3],
    })
}

fn past(json: &Value) -> Option<Past> {
    let rates = rates(json);
    let values = Stop::ALL.map(|stop| match stop {
        Stop::Open => float(&json["open_traces"]),
        _ => rates[stop as usize][SPANS],
    });
    let seconds = float(&json["seconds"]).filter(|seconds| *seconds > 0.0)?;
    Some(Past { at: time(&json["at"])?, seconds, values })
}

fn exporter(json: &Value) -> Exporter {
    Exporter {
        name: text_of(&json["name"]),
        is_up: json["is_up"].as_bool(),
        queue_bytes: number(&json["queue_bytes"]),
        queue_capacity_bytes: number(&json["queue_capacity_bytes"]),
        refused_spans: number(&json["refused_spans"]),
        retries: number(&json["retries"]),
    }
}

fn partition(json: &Value) -> Option<Partition> {
    let worker = &json["worker"];
    let oldest = &worker["oldest_open_trace"];
    let opened = time(&worker["clock"]).zip(time(&oldest["opened_at"]));
    Some(Partition {
        number: json["partition"].as_i64()?,
        position: json["position"].as_i64(),
        end: json["end"].as_i64(),
        committed: json["committed"].as_i64(),
        lag_records: number(&json["lag_records"]),
        lag_seconds: float(&json["lag_seconds"]),
        committed_lag_records: number(&json["committed_lag_records"]),
        held_back_seconds: float(&json["held_back_seconds"]),
        is_reading_back: worker["is_reading_back"].as_bool().unwrap_or(false),
        open_traces: number(&worker["open_traces"]),
        open_bytes: number(&worker["open_bytes"]),
        oldest_seconds: opened.map(|(clock, opened)| seconds_between(opened, clock)),
        oldest_trace: oldest["trace_id"].as_str().map(name),
    })
}

fn policy(json: &Value) -> Policy {
    let is_shadow = json["mode"].as_str() == Some("shadow");
    let (kept, dropped) =
        if is_shadow { ("would_keep", "would_drop") } else { ("kept", "dropped") };
    Policy {
        name: text_of(&json["name"]),
        kind: text_of(&json["type"]),
        is_shadow,
        figures: PolicyFigures {
            votes_to_keep: number(&json["votes_to_keep"]),
            votes_to_drop: number(&json["votes_to_drop"]),
            no_votes: number(&json["no_votes"]),
            errors: number(&json["errors"]),
            kept: number(&json[kept]["traces"]),
            dropped: number(&json[dropped]["traces"]),
            alone: number(&json["alone"]["traces"]).filter(|_| !is_shadow),
        },
    }
}

fn trace(json: &Value, is_kept: bool) -> Option<Trace> {
    Some(Trace {
        id: json["trace_id"].as_str().map(name)?,
        is_kept,
        decided_at: time(&json["decided_at"])?,
        policy: json["policy"].as_str().map(name),
        probability: float(&json["probability"]),
        trigger: text_of(&json["trigger"]),
        spans: number(&json["spans"]),
        errors: number(&json["errors"]),
        seconds: float(&json["duration_seconds"]),
        service: text_of(&json["service"]),
        name: text_of(&json["name"]),
    })
}

fn log(json: &Value) -> Option<Log> {
    Some(Log {
        at: time(&json["at"])?,
        level: text_of(&json["level"]),
        event: long(json["event"].as_str()?),
        fields: long(json["fields"].as_str().unwrap_or_default()),
    })
}

/// What is known of numbers, added up; nothing if none is known.
pub(super) fn sum(numbers: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    numbers.flatten().reduce(u64::saturating_add)
}

/// Seconds from one time to another; none if that is not behind it.
pub(super) fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    to.0.saturating_sub(from.0).max(0) as f64 / 1000.0
}

fn list(json: &Value) -> impl Iterator<Item = &Value> {
    json.as_array().into_iter().flatten().take(MOST)
}

fn float(json: &Value) -> Option<f64> {
    json.as_f64().filter(|number| number.is_finite())
}

fn number(json: &Value) -> Option<u64> {
    json.as_u64().or_else(|| float(json).filter(|it| *it >= 0.0).map(|it| it as u64))
}

fn time(json: &Value) -> Option<Timestamp> {
    let time = humantime::parse_rfc3339(json.as_str()?).ok()?;
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(Timestamp)
}

fn name(text: &str) -> String {
    printable(text, LONGEST_NAME)
}

/// A text in one line.
fn long(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    printable(&words.join(" "), LONGEST_TEXT)
}

/// A name that may be missing.
fn text_of(json: &Value) -> String {
    json.as_str().map(name).unwrap_or_default()
}
