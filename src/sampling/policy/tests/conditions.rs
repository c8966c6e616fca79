//! Conditions on whole traces, from bytes to votes: which span answers what, and what is put in
//! when the trace is decided.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};
use prost::Message;

use super::*;
use crate::otlp::{Scan, scan};
use crate::sampling::sampler::{ask_resource, keys_for, summarize};

const ID: [u8; 16] = [9; 16];

fn attribute(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.into(), value, ..KeyValue::default() }
}

/// A span of 100 ms; `root` has no parent. Its attribute `n` is a number.
fn one(name: &str, root: bool, n: i64, code: i32) -> Span {
    Span {
        trace_id: ID.to_vec(),
        span_id: vec![1; 8],
        parent_span_id: if root { vec![] } else { vec![2; 8] },
        name: name.into(),
        start_time_unix_nano: 1_000_000_000,
        end_time_unix_nano: 1_100_000_000,
        attributes: vec![attribute("n", Value::IntValue(n))],
        status: Some(Status { code, ..Status::default() }),
        ..Span::default()
    }
}

fn record(service: &str, spans: Vec<Span>) -> Vec<u8> {
    let attributes = vec![attribute("service.name", Value::StringValue(service.into()))];
    let resource = Some(Resource { attributes, ..Resource::default() });
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
    TracesData { resource_spans }.encode_to_vec()
}

/// What arrives of a trace in these records.
fn arrived(policies: &PolicySet, records: &[Vec<u8>]) -> Summary {
    let predicates = policies.predicates();
    let keys = keys_for(predicates);
    let mut trace = Summary::new(TraceId::from_slice(&ID).expect("not all zero"));
    let mut found = Scan::default();
    for record in records {
        scan(record, &keys, &mut found).expect("the record is valid");
        let resource = ask_resource(predicates, record, &found, 0);
        summarize(predicates, &resource, record, &found, 0..found.spans.len(), &mut trace);
        trace.spans += found.spans.len() as u32;
    }
    trace
}

/// A trace of two services: `shop` has the root, with an event, and an odd one; `bank` has an
/// error.
fn two_services() -> [Vec<u8>; 2] {
    let event = Event { name: "exception".into(), ..Event::default() };
    let root = Span { events: vec![event], ..one("root", true, 1, 0) };
    let shop = record("shop", vec![root, one("odd", false, 3, 0)]);
    [shop, record("bank", vec![one("pay", false, 2, 2)])]
}

fn rule(when: &str, scope: RuleScope, sample: Sample) -> PolicyKind {
    PolicyKind::Rule(Rule { when: when.into(), scope, sample })
}

fn condition(span: &[&str], span_event: &[&str], error_mode: ErrorMode) -> PolicyKind {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    PolicyKind::OttlCondition(OttlCondition {
        span: texts(span),
        spanevent: texts(span_event),
        error_mode,
    })
}

fn keeps(kind: PolicyKind, records: &[Vec<u8>]) -> bool {
    let policies = set(vec![kind]);
    matches!(decided(&policies, &arrived(&policies, records)), Decision::Keep { .. })
}

#[test]
fn a_rule_holds_for_the_spans_that_its_scope_names() {
    use RuleScope::{AnySpan, NoSpan, Root, SameSpan};
    let cases = [
        (AnySpan, r#"name == "odd" and status.code == STATUS_CODE_ERROR"#, true),
        (SameSpan, r#"name == "odd" and status.code == STATUS_CODE_ERROR"#, false),
        (SameSpan, r#"name == "pay" and status.code == STATUS_CODE_ERROR"#, true),
        (NoSpan, r#"name == "odd" and status.code == STATUS_CODE_ERROR"#, true),
        (NoSpan, r#"name == "pay""#, false),
        (NoSpan, r#"Len(attributes["n"]) == 5"#, false),
        (Root, r#"name == "root""#, true),
        (Root, r#"name == "odd""#, false),
        (Root, r#"name == "root" and resource.attributes["service.name"] == "shop""#, true),
        (AnySpan, r#"not (name == "root")"#, true),
        (AnySpan, r#"not (name == "root" or true)"#, false),
        (AnySpan, r#"name == "x" or trace.span_count == 3"#, true),
        (SameSpan, r#"name == "odd" and trace.span_count == 3"#, true),
        (
            SameSpan,
            r#"attributes["n"] == 1 and trace.span_count == 3 and attributes["n"] == 2"#,
            false,
        ),
        (
            AnySpan,
            r#"attributes["n"] == 1 and trace.span_count == 3 and attributes["n"] == 2"#,
            true,
        ),
        (SameSpan, r#"attributes["n"] == 2 and root.attributes["n"] == 1"#, true),
        (SameSpan, r#"attributes["n"] == 1 and root.attributes["n"] == 2"#, false),
        (NoSpan, r#"name == "odd" and trace.span_count == 4"#, true),
        (Root, r#"not (name == "root" and trace.span_count == 3)"#, false),
    ];
    for (scope, when, expected) in cases {
        let kept = keeps(rule(when, scope, Sample::Keep), &two_services());
        assert_eq!(kept, expected, "{scope:?}: {when}");
    }
}

#[test]
fn what_is_known_at_the_end_is_put_in_then() {
    let cases = [
        ("trace.duration_ms == 100", true),
        ("trace.duration_ms > 100", false),
        ("trace.span_count == 3", true),
        ("trace.error_count == 1", true),
        ("trace.service_count == 2", true),
        ("trace.service_count > 2", false),
        (r#"root.name == "root""#, true),
        (r#"root.attributes["n"] == 1 and name == "pay""#, true),
        (r#"root.attributes["n"] == 1 and name == "none""#, false),
        (r#"not (name == "pay" and trace.error_count == 1)"#, true),
    ];
    for (text, expected) in cases {
        let policy = || condition(&[text], &[], ErrorMode::Ignore);
        assert_eq!(keeps(policy(), &two_services()), expected, "{text}");
        // The order of records makes no difference.
        let [shop, bank] = two_services();
        assert_eq!(keeps(policy(), &[bank, shop]), expected, "{text}");
    }
}

#[test]
fn without_a_root_nothing_of_it_is_there() {
    let records = [record("bank", vec![one("pay", false, 2, 2)])];
    let cases = [
        (condition(&["root.name == nil"], &[], ErrorMode::Ignore), true),
        (condition(&[r#"root.name == "pay""#], &[], ErrorMode::Ignore), false),
        (rule(r#"name == "pay""#, RuleScope::Root, Sample::Keep), false),
        (rule(r#"name != "pay""#, RuleScope::Root, Sample::Keep), false),
        (rule("trace.span_count == 1", RuleScope::Root, Sample::Keep), true),
    ];
    for (kind, expected) in cases {
        let name = format!("{kind:?}");
        assert_eq!(keeps(kind, &records), expected, "{name}");
    }
}

#[test]
fn only_the_first_root_counts() {
    let records = [record("shop", vec![one("first", true, 1, 0), one("second", true, 2, 0)])];
    let kept = |text: &str| keeps(condition(&[text], &[], ErrorMode::Ignore), &records);
    assert!(kept(r#"root.name == "first""#) && !kept(r#"root.name == "second""#));
}

#[test]
fn events_are_asked_each_by_itself() {
    let kept = |text: &str| keeps(condition(&[], &[text], ErrorMode::Ignore), &two_services());
    assert!(kept(r#"name == "exception" and span.name == "root""#));
    assert!(!kept(r#"name == "exception" and span.name == "odd""#));
    assert!(kept(r#"name == "exception" and trace.span_count == 3"#));
    assert!(!kept(r#"name == "other""#));
    assert!(kept("true") && kept("trace.span_count == 3"));
    let without = [record("bank", vec![one("pay", false, 2, 2)])];
    for text in ["true", "trace.span_count == 1", "root.name == nil"] {
        assert!(!keeps(condition(&[], &[text], ErrorMode::Ignore), &without), "{text}");
    }
}

#[test]
fn the_first_answer_counts_where_failures_are_propagated() {
    let spans = |names: &[&str]| {
        let spans = names.iter().map(|name| {
            let mut span = one(name, false, 1, 0);
            span.attributes.push(attribute("name", Value::StringValue((*name).into())));
            if *name == "none" {
                span.attributes.clear();
            }
            span
        });
        [record("shop", spans.collect())]
    };
    let policy = || condition(&[r#"Len(attributes["name"]) > 2"#], &[], ErrorMode::Propagate);
    for (names, kept, not_kept) in [
        (["long", "none"], true, false),
        (["none", "long"], false, false),
        (["x", "none"], false, false),
        (["x", "y"], false, true),
    ] {
        assert_eq!(keeps(policy(), &spans(&names)), kept, "{names:?}");
        assert_eq!(keeps(not(policy()), &spans(&names)), not_kept, "not {names:?}");
    }
}

#[test]
fn what_cannot_be_evaluated_is_no_vote_or_silences_the_policy() {
    // A number has no length, and the root is asked first.
    let text = r#"Len(attributes["n"]) > 0"#;
    let other = r#"name == "root""#;
    for (error_mode, alone, with_other, counted) in [
        (ErrorMode::Ignore, false, true, true),
        (ErrorMode::Silent, false, true, false),
        (ErrorMode::Propagate, false, false, true),
    ] {
        assert_eq!(keeps(condition(&[text], &[], error_mode), &two_services()), alone);
        let both = condition(&[text, other], &[], error_mode);
        assert_eq!(keeps(both.clone(), &two_services()), with_other, "{error_mode:?}");
        let policies = set(vec![both]);
        let trace = arrived(&policies, &two_services());
        let explained = policies.explain(&trace, Timestamp(0), &mut policies.budgets(1));
        assert_eq!(explained.votes[0].failed, counted, "{error_mode:?}");
    }
}

#[test]
fn the_first_rule_that_matches_ends_the_asking() {
    let errors = || codes(&[StatusCode::Error]);
    let always = |sample| rule("true", RuleScope::AnySpan, sample);
    let asked = |kinds: Vec<PolicyKind>| {
        let policies = set(kinds);
        let trace = arrived(&policies, &two_services());
        let explained = policies.explain(&trace, Timestamp(0), &mut policies.budgets(1));
        (explained.decision, explained.votes.len())
    };
    let dropped_by = |policy| Decision::Drop { policy: Some(PolicyIndex(policy)) };
    assert_eq!(asked(vec![always(Sample::Drop), errors()]), (dropped_by(0), 1));
    assert_eq!(asked(vec![errors(), always(Sample::Drop)]), (keep(0, "0"), 2));
    assert_eq!(asked(vec![always(Sample::Keep), errors()]), (keep(0, "0"), 1));
    assert_eq!(asked(vec![always(Sample::Percent(0.)), errors()]), (dropped_by(0), 1));
    let no = rule("false", RuleScope::AnySpan, Sample::Drop);
    assert_eq!(asked(vec![no, errors()]), (keep(1, "0"), 2));
    // A `drop` policy comes first, wherever it stands.
    let all = PolicyKind::Drop(Drop {
        drop_sub_policy: sub(vec![PolicyKind::AlwaysSample(AlwaysSample {})]),
    });
    assert_eq!(asked(vec![always(Sample::Keep), all]), (dropped_by(1), 2));
}
