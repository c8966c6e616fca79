//! How an entry of the decision log is printed.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::cmd::printable::printable;
use crate::ids::{Offset, Timestamp};
use crate::sampling::decided::{SamplingDecision, TraceDetails};
use crate::telemetry::metrics::TRIGGERS;

pub(in crate::cmd) use crate::retrieval::{Entry, Owners};

/// An entry as JSON has it. The names are those of `tailsieve decide --output json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    decided_at: String,
    trace_id: String,
    decision: &'static str,
    policy: Option<&'a str>,
    probability: Option<f64>,
    threshold: Option<String>,
    trigger: &'static str,
    delivered: bool,
    partition: i32,
    first_offset: Option<i64>,
    last_offset: i64,
    log_offset: i64,
    former_owner: bool,
    late: bool,
    #[serde(flatten)]
    details: Option<DetailsLine<'a>>,
}

/// The spans that an entry is the first to tell of.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DetailsLine<'a> {
    /// The records that hold them; null if any from the first to the last may.
    record_offsets: Option<Vec<i64>>,
    span_count: u64,
    span_bytes: u64,
    duration_nanos: Option<u64>,
    error_count: Option<u32>,
    service: Option<&'a str>,
    name: Option<&'a str>,
}

impl<'a> From<&'a TraceDetails<'static>> for DetailsLine<'a> {
    fn from(details: &'a TraceDetails<'static>) -> Self {
        let records = details.records.listed();
        let text = |text: &'a str| (!text.is_empty()).then_some(text);
        Self {
            record_offsets: records.map(|all| all.map(|offset| offset.0).collect()),
            span_count: details.spans,
            span_bytes: details.bytes,
            duration_nanos: details.duration.and_then(|it| u64::try_from(it.as_nanos()).ok()),
            error_count: details.errors,
            service: text(&details.service),
            name: text(&details.name),
        }
    }
}

impl Entry {
    fn line(&self) -> Line<'_> {
        let record = &self.record;
        let (decision, threshold) = match &record.decision {
            SamplingDecision::Kept(kept) => {
                ("keep", kept.consistent.then(|| kept.threshold.to_string()))
            }
            SamplingDecision::Dropped => ("drop", None),
        };
        Line {
            decided_at: time(record.at),
            trace_id: record.trace_id.to_string(),
            decision,
            policy: self.policy(),
            probability: record.probability(),
            threshold,
            trigger: TRIGGERS[record.trigger as usize],
            delivered: record.delivered,
            partition: self.partition.0,
            first_offset: (record.first > Offset::BEFORE_ALL).then_some(record.first.0),
            last_offset: record.last.0,
            log_offset: self.offset.0,
            former_owner: self.by_former_owner,
            late: self.is_late(),
            details: self.details.as_ref().map(DetailsLine::from),
        }
    }

    /// The object that [`json`](Self::json) writes.
    pub(in crate::cmd) fn value(&self) -> serde_json::Value {
        serde_json::to_value(self.line()).expect("texts and numbers can be written as JSON")
    }

    /// As an object.
    pub(in crate::cmd) fn json(&self) -> String {
        serde_json::to_string(&self.line()).expect("texts and numbers can be written as JSON")
    }

    /// For people.
    pub(in crate::cmd) fn text(&self) -> String {
        let line = self.line();
        let mut text = format!("{}  {}  {}", line.decided_at, line.trace_id, line.decision);
        match line.policy {
            // Whoever may write to the topic does not write to the terminal.
            Some(policy) => text.extend(["  by ", &printable(policy, usize::MAX)]),
            None => text.push_str("  by no policy"),
        }
        if let Some(probability) = line.probability.filter(|it| *it < 1.0) {
            let _ = write!(text, ", at {} %", percent(probability));
        }
        let _ = write!(text, "  ({}, partition {})", line.trigger, line.partition);
        if line.late {
            text.push_str("  late spans");
        }
        if line.delivered {
            text.push_str("  delivered");
        }
        if line.former_owner {
            text.push_str("  by a former owner");
        }
        text
    }
}

/// A probability in percent, with at most four significant digits.
fn percent(probability: f64) -> f64 {
    let percent = probability * 100.0;
    format!("{percent:.3e}").parse().unwrap_or(percent)
}

/// RFC 3339, in milliseconds; in numbers if it is beyond the calendar.
pub(in crate::cmd) fn time(at: Timestamp) -> String {
    // 9999-12-31T23:59:59.999Z
    const LAST: u64 = 253_402_300_799_999;
    match u64::try_from(at.0) {
        Ok(millis) if millis <= LAST => {
            let time = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
            humantime::format_rfc3339_millis(time).to_string()
        }
        _ => at.0.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::decisions::filter::{Filter, Kind};
    use crate::ids::{Partition, TraceId};
    use crate::otlp::probability::Threshold;
    use crate::sampling::decided::{DecisionRecord, Kept};
    use crate::sampling::trace::{RecordOffsets, Trigger};

    fn dropped(trace: u8) -> DecisionRecord {
        DecisionRecord {
            trace_id: TraceId::from_slice(&[trace; 16]).unwrap(),
            decision: SamplingDecision::Dropped,
            dropped_by: None,
            first: Offset(3),
            last: Offset(9),
            at: Timestamp(1_764_480_691_123),
            trigger: Trigger::Root,
            delivered: false,
        }
    }

    fn kept(trace: u8, policy: &str, probability: f64) -> DecisionRecord {
        let threshold = Threshold::from_probability(probability);
        let policy = policy.into();
        let decision = SamplingDecision::Kept(Kept { policy, threshold, consistent: true });
        DecisionRecord { decision, delivered: true, trigger: Trigger::Wait, ..dropped(trace) }
    }

    fn entry(record: DecisionRecord) -> Entry {
        let (partition, offset) = (Partition(7), Offset(42));
        Entry { partition, offset, marker: None, by_former_owner: false, record, details: None }
    }

    #[test]
    fn an_entry_is_a_line() {
        let text = entry(dropped(0xab)).text();
        let id = "ab".repeat(16);
        let expected =
            format!("2025-11-30T05:31:31.123Z  {id}  drop  by no policy  (root, partition 7)");
        assert_eq!(text, expected);
        let text = entry(kept(0xab, "the\u{1b}[2Jrest", 0.1)).text();
        let expected = format!(
            "2025-11-30T05:31:31.123Z  {id}  keep  by the\u{fffd}[2Jrest, at 10 %  (wait, \
             partition 7)  delivered"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn an_entry_is_an_object() {
        let json = entry(kept(0xab, "the-rest", 0.25)).json();
        let expected = format!(
            "{{\"decidedAt\":\"2025-11-30T05:31:31.123Z\",\"traceId\":\"{}\",\"decision\":\"keep\",\
             \"policy\":\"the-rest\",\"probability\":0.25,\"threshold\":\"c\",\"trigger\":\"wait\",\
             \"delivered\":true,\"partition\":7,\"firstOffset\":3,\"lastOffset\":9,\
             \"logOffset\":42,\"formerOwner\":false,\"late\":false}}",
            "ab".repeat(16)
        );
        assert_eq!(json, expected);
        let mut records = RecordOffsets::one(Offset(3));
        records.add(Offset(9));
        let details = TraceDetails {
            duration: Some(Duration::from_micros(3)),
            errors: Some(1),
            service: "shop".into(),
            ..TraceDetails::late(records, 4, 800)
        };
        let json = Entry { details: Some(details), ..entry(dropped(1)) }.json();
        let expected = ",\"recordOffsets\":[3,9],\"spanCount\":4,\"spanBytes\":800,\
                        \"durationNanos\":3000,\"errorCount\":1,\"service\":\"shop\",\"name\":null}";
        assert!(json.ends_with(expected), "{json}");
        let gone =
            DecisionRecord { first: Offset::BEFORE_ALL, at: Timestamp(i64::MAX), ..dropped(1) };
        let json = entry(gone).json();
        assert!(json.contains("\"firstOffset\":null"), "{json}");
        assert!(json.contains(&format!("\"decidedAt\":\"{}\"", i64::MAX)), "{json}");
    }

    #[test]
    fn a_filter_is_all_of_its_conditions() {
        let entries = [dropped(1), kept(2, "errors", 1.0), kept(3, "slow", 1.0)].map(entry);
        let wanted = |filter: Filter| {
            let wanted = entries.iter().filter(|entry| filter.wants(entry));
            wanted.map(|entry| entry.record.trace_id.as_bytes()[0]).collect::<Vec<_>>()
        };
        let all = Filter::default;
        assert_eq!(wanted(all()), [1, 2, 3]);
        assert_eq!(wanted(Filter { kept: Some(true), ..all() }), [2, 3]);
        assert_eq!(wanted(Filter { kept: Some(false), ..all() }), [1]);
        assert_eq!(wanted(Filter { policies: vec!["slow".into()], ..all() }), [3]);
        assert_eq!(wanted(Filter { triggers: vec![Trigger::Root], ..all() }), [1]);
        assert_eq!(wanted(Filter { kind: Some(Kind::Decided), ..all() }), [1]);
        assert_eq!(wanted(Filter { kind: Some(Kind::Delivered), ..all() }), [2, 3]);
        assert_eq!(wanted(Filter { kind: Some(Kind::Late), ..all() }), [0; 0]);
        let traces = vec![entries[1].record.trace_id];
        assert_eq!(wanted(Filter { traces: traces.clone(), ..all() }), [2]);
        assert_eq!(wanted(Filter { traces, kept: Some(false), ..all() }), [0; 0]);
    }
}
