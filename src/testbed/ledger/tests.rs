//! Tests of the ledger and the check, on traffic of the model.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;

use super::*;
use crate::testbed::generator::{GeneratedRecord, Model, ModelSettings};

fn traffic() -> (Vec<GeneratedRecord>, Ledger) {
    let records: Vec<_> = Model::new(ModelSettings {
        max_traces: Some(3000),
        late_fraction: 0.02,
        duplicate_fraction: 0.02,
        ..ModelSettings::default()
    })
    .collect();
    let mut ledger = Ledger::default();
    records.iter().for_each(|r| ledger.record(&r.spans));
    (records, ledger)
}

/// The policies, read once more and in another way than the check reads them.
fn policy(trace: &TraceEntry) -> Option<&'static str> {
    let ninety_percent = 0x00e6_6600_0000_0000;
    match () {
        () if trace.error => Some("errors"),
        () if trace.duration_ms() > 1000 => Some("slow"),
        () if trace.randomness >= ninety_percent => Some("the-rest"),
        () => None,
    }
}

type Delivery = (TraceId, SpanId, Option<&'static str>);

/// Everything that the policies keep, as often as it was produced.
fn perfect(records: &[GeneratedRecord], ledger: &Ledger) -> Vec<Delivery> {
    let facts = records.iter().flat_map(|record| &record.spans);
    let kept = facts.filter_map(|fact| {
        let policy = policy(&ledger.traces[&fact.trace_id])?;
        Some((fact.trace_id, fact.span_id, Some(policy)))
    });
    kept.collect()
}

fn verdict(deliveries: &[Delivery], ledger: &Ledger) -> Verdict {
    let mut check = Check::new(Expectation::default());
    for (trace_id, span_id, policy) in deliveries {
        check.observe_span(*trace_id, *span_id, *policy);
    }
    check.verdict(ledger)
}

/// The timely spans of one kept trace that has at least two of them, none produced twice.
fn victim(ledger: &Ledger) -> (TraceId, Vec<SpanId>) {
    let mut ids: Vec<_> = ledger.traces.keys().collect();
    ids.sort_unstable();
    let suits = |id: &&&TraceId| {
        let trace = &ledger.traces[**id];
        let plain = trace.spans.iter().all(|s| !s.late && s.copies == 1);
        policy(trace).is_some() && plain && trace.spans.len() >= 2
    };
    let id = **ids.iter().find(suits).unwrap();
    let spans = ledger.traces[&id].spans.iter();
    (id, spans.map(|span| span.span_id).collect())
}

#[test]
fn a_perfect_delivery_balances() {
    let (records, ledger) = traffic();
    let verdict = verdict(&perfect(&records, &ledger), &ledger);
    assert!(verdict.is_balanced(), "{verdict}");
    assert!(verdict.expected_traces > 300);
    assert_eq!(verdict.expected_traces, verdict.received_traces);
    assert_eq!(verdict.expected_by_policy, verdict.received_by_policy);
    assert_eq!(verdict.expected_by_policy.len(), 3);
    assert!(verdict.late_expected > 0 && verdict.copies_delivered > 0);
    assert_eq!((verdict.late_missing, verdict.duplicates), (0, 0));
    assert!(verdict.produced_again > verdict.copies_delivered);
}

#[test]
fn a_missing_span_makes_a_partial_trace() {
    let (records, ledger) = traffic();
    let (trace_id, spans) = victim(&ledger);
    let mut deliveries = perfect(&records, &ledger);
    deliveries.retain(|d| d.1 != spans[0]);
    let verdict = verdict(&deliveries, &ledger);
    assert!(!verdict.is_balanced());
    assert_eq!((verdict.missing_spans, verdict.partial_traces), (1, 1));
    assert_eq!((verdict.missing_traces, verdict.extra_traces), (0, 0));
    assert_eq!(verdict.examples, [trace_id]);
}

#[test]
fn a_missing_trace_is_missed_with_all_its_spans() {
    let (records, ledger) = traffic();
    let (trace_id, spans) = victim(&ledger);
    let mut deliveries = perfect(&records, &ledger);
    deliveries.retain(|d| d.0 != trace_id);
    let verdict = verdict(&deliveries, &ledger);
    assert!(!verdict.is_balanced());
    assert_eq!(verdict.missing_traces, 1);
    assert_eq!(verdict.missing_spans, spans.len() as u64);
    assert_eq!(verdict.partial_traces, 0);
}

#[test]
fn what_should_have_been_dropped_is_extra() {
    let (records, ledger) = traffic();
    let mut deliveries = perfect(&records, &ledger);
    let dropped = records.iter().map(|record| &record.spans[0]);
    let mut dropped = dropped.filter(|fact| policy(&ledger.traces[&fact.trace_id]).is_none());
    let dropped = dropped.next().unwrap();
    deliveries.push((dropped.trace_id, dropped.span_id, Some("the-rest")));
    let with_dropped = verdict(&deliveries, &ledger);
    assert!(!with_dropped.is_balanced());
    assert_eq!((with_dropped.extra_traces, with_dropped.unknown_spans), (1, 0));
    deliveries.pop();

    let stranger = TraceId::from_slice(&[7; 16]).unwrap();
    deliveries.push((stranger, dropped.span_id, Some("the-rest")));
    let with_stranger = verdict(&deliveries, &ledger);
    assert!(!with_stranger.is_balanced());
    assert_eq!((with_stranger.extra_traces, with_stranger.unknown_spans), (1, 1));
    deliveries.pop();

    let (trace_id, _) = victim(&ledger);
    let unknown_span = SpanId::from_slice(&[7; 8]).unwrap();
    deliveries.push((trace_id, unknown_span, Some("the-rest")));
    let with_unknown = verdict(&deliveries, &ledger);
    assert!(!with_unknown.is_balanced());
    assert_eq!(with_unknown.unknown_spans, 1);
}

#[test]
fn duplicates_are_counted_beyond_what_was_produced() {
    let (records, ledger) = traffic();
    let (_, spans) = victim(&ledger);
    let mut deliveries = perfect(&records, &ledger);
    let again = *deliveries.iter().find(|d| d.1 == spans[0]).unwrap();
    deliveries.extend([again, again]);
    let verdict = verdict(&deliveries, &ledger);
    assert!(verdict.is_balanced());
    assert_eq!(verdict.duplicates, 2);
}

#[test]
fn late_spans_are_counted_apart() {
    let (records, ledger) = traffic();
    let spans = ledger.traces.values().flat_map(|trace| &trace.spans);
    let late: Vec<_> = spans.filter(|s| s.late).map(|s| s.span_id).collect();
    let mut deliveries = perfect(&records, &ledger);
    deliveries.retain(|d| !late.contains(&d.1));
    let verdict = verdict(&deliveries, &ledger);
    assert!(verdict.is_balanced());
    assert!(verdict.late_missing > 0);
    assert_eq!(verdict.late_missing, verdict.late_expected);
}

#[test]
fn a_wrong_policy_is_a_mismatch_unless_none_is_written() {
    let (records, ledger) = traffic();
    let (_, spans) = victim(&ledger);
    let mut deliveries = perfect(&records, &ledger);
    for delivery in deliveries.iter_mut().filter(|d| d.1 == spans[0]) {
        delivery.2 = None;
    }
    let one_without = verdict(&deliveries, &ledger);
    assert!(!one_without.is_balanced());
    assert_eq!(one_without.policy_mismatches, 1);
    assert_eq!(one_without.received_by_policy["(several)"], 1);
    deliveries.iter_mut().for_each(|d| d.2 = None);
    assert!(verdict(&deliveries, &ledger).is_balanced());
}

#[test]
fn whole_only_asks_for_whole_traces_and_nothing_else() {
    let (records, ledger) = traffic();
    let (trace_id, spans) = victim(&ledger);
    let mut check = Check::new(Expectation::WholeOnly);
    for fact in records.iter().flat_map(|record| &record.spans) {
        if fact.trace_id == trace_id {
            check.observe_span(trace_id, fact.span_id, Some("mine"));
        }
    }
    assert!(check.verdict(&ledger).is_balanced());
    let mut check = Check::new(Expectation::WholeOnly);
    check.observe_span(trace_id, spans[0], Some("mine"));
    let verdict = check.verdict(&ledger);
    assert_eq!(verdict.partial_traces, 1);
    assert_eq!(verdict.missing_spans, spans.len() as u64 - 1);
}

#[test]
fn the_file_form_goes_both_ways() {
    let (_, mut ledger) = traffic();
    ledger.settings.insert("seed".into(), "1".into());
    let mut file = Vec::new();
    ledger.write(&mut file).unwrap();
    assert_eq!(Ledger::read(file.as_slice()), ledger);
    assert_eq!(file.iter().filter(|b| **b == b'\n').count(), 3001);
}

#[test]
fn requests_are_read() {
    let (records, ledger) = traffic();
    let mut request = TracesData::default();
    for record in &records {
        let data = TracesData::decode(record.payload.as_slice()).unwrap();
        request.resource_spans.extend(data.resource_spans);
    }
    for resource_spans in &mut request.resource_spans {
        let scopes = resource_spans.scope_spans.iter_mut();
        for span in scopes.flat_map(|scope| &mut scope.spans) {
            let trace_id = TraceId::from_slice(&span.trace_id).unwrap();
            let value = policy(&ledger.traces[&trace_id]).unwrap_or("none");
            span.attributes.push(KeyValue {
                key: "tailsieve.policy".into(),
                value: Some(AnyValue { value: Some(Value::StringValue(value.into())) }),
                ..KeyValue::default()
            });
        }
    }
    let mut check = Check::new(Expectation::default());
    check.observe_bytes(&request.encode_to_vec()).unwrap();
    let verdict = check.verdict(&ledger);
    assert_eq!(verdict.received_traces, 3000);
    assert_eq!(verdict.extra_traces + verdict.expected_traces, 3000);
    assert_eq!((verdict.missing_spans, verdict.duplicates), (0, 0));
    assert!(check.observe_bytes(b"\xff").is_err());
}

#[test]
fn thresholds_are_those_of_the_specification() {
    let digits = |percentage| {
        let threshold = sampling_threshold(percentage).unwrap();
        format!("{threshold:014x}").trim_end_matches('0').to_owned()
    };
    assert_eq!(digits(10.0), "e666");
    assert_eq!(digits(1.0), "fd70a");
    assert_eq!(digits(50.0), "8");
    assert_eq!(sampling_threshold(100.0), Some(0));
    assert_eq!(sampling_threshold(0.0), None);
}

/// Whether the default policies keep a trace of one plain span that ends at `end_unix_nano`.
fn is_kept(end_unix_nano: u64) -> bool {
    let fact = SpanFact {
        trace_id: TraceId::from_slice(&[1; 16]).unwrap(),
        span_id: SpanId::from_slice(&[1; 8]).unwrap(),
        start_unix_nano: 0,
        end_unix_nano,
        error: false,
        root: true,
        late: false,
        service: "a",
        randomness: 0,
    };
    let mut ledger = Ledger::default();
    ledger.record(&[fact]);
    verdict(&[], &ledger).expected_traces == 1
}

#[test]
fn latency_is_above_the_threshold_in_whole_milliseconds() {
    assert!(!is_kept(1_000_999_999));
    assert!(is_kept(1_001_000_000));
}
