//! The examples of the policy language that need no completion and no other span than these.

use super::spec::{PolicyKind, PolicySpec, StatusCode};
use super::*;
use crate::facts::Summary;
use crate::ids::{SpanId, TraceId};
use crate::span::{AttributeRef, KeyIndex, Run, Slice, SpanRef, ValueRef};

/// One span, or the resource if `start_ms` is `None`, as a test writes it.
#[derive(Clone, Default)]
struct Item {
    millis: Option<(f64, f64)>,
    status: i32,
    flags: u32,
    trace_state: &'static str,
    attributes: Vec<(&'static str, Attribute)>,
}

#[derive(Clone, Copy)]
enum Attribute {
    Str(&'static str),
    Int(i64),
    Double(f64),
    Bool(bool),
}

fn span(start_ms: f64, end_ms: f64) -> Item {
    Item { millis: Some((start_ms, end_ms)), ..Item::default() }
}

fn status(status: i32) -> Item {
    Item { status, ..span(0.0, 1.0) }
}

fn with(key: &'static str, value: &'static str) -> Item {
    Item { attributes: vec![(key, Attribute::Str(value))], ..span(0.0, 1.0) }
}

fn resource(key: &'static str, value: &'static str) -> Item {
    Item { attributes: vec![(key, Attribute::Str(value))], ..Item::default() }
}

fn summary(policies: &PolicySet, id: TraceId, items: &[Item]) -> Summary {
    let mut summary = Summary::new(id);
    for item in items {
        let mut record = Vec::new();
        let mut attributes = Vec::new();
        for (key, value) in &item.attributes {
            let Some(index) = policies.predicates().keys().iter().position(|k| k == key) else {
                continue;
            };
            let value = match value {
                Attribute::Int(value) => ValueRef::Int(*value),
                Attribute::Double(value) => ValueRef::Double(*value),
                Attribute::Bool(value) => ValueRef::Bool(*value),
                Attribute::Str(text) => {
                    let start = record.len() as u32;
                    record.extend_from_slice(text.as_bytes());
                    ValueRef::String(Slice { start, end: record.len() as u32 })
                }
            };
            attributes.push(AttributeRef { key: KeyIndex(index as u16), value });
        }
        let Some((start, end)) = item.millis else {
            policies.predicates().ask_attributes(&attributes, &record, &mut summary.facts);
            continue;
        };
        let nanos = |ms: f64| (ms * 1e6) as u64;
        let start_of_state = record.len() as u32;
        record.extend_from_slice(item.trace_state.as_bytes());
        let span = SpanRef {
            trace_id: id,
            span_id: SpanId::from_slice(&[1; 8]).expect("not all zero"),
            is_root: false,
            start_unix_nano: nanos(start),
            end_unix_nano: nanos(end),
            status: item.status,
            kind: 0,
            flags: item.flags,
            name: Slice::default(),
            trace_state: Slice { start: start_of_state, end: record.len() as u32 },
            attributes: Run::default(),
            scope: 0,
            framed: Slice::default(),
        };
        policies.predicates().ask_span(&span, &attributes, &record, &mut summary.facts);
        summary.spans += 1;
        summary.start_unix_nano = summary.start_unix_nano.min(span.start_unix_nano);
        summary.end_unix_nano = summary.end_unix_nano.max(span.end_unix_nano);
    }
    summary
}

fn having(key: &'static str, value: Attribute) -> Item {
    Item { attributes: vec![(key, value)], ..span(0.0, 1.0) }
}

fn set(kinds: Vec<PolicyKind>) -> PolicySet {
    let named = |(n, kind)| PolicySpec { name: format!("p{n}"), kind };
    let specs: Vec<PolicySpec> = kinds.into_iter().enumerate().map(named).collect();
    compile(&specs).expect("the test's policies compile")
}

fn sub(kinds: Vec<PolicyKind>) -> Vec<PolicySpec> {
    kinds.into_iter().map(|kind| PolicySpec { name: "sub".into(), kind }).collect()
}

fn outcome(policies: &PolicySet, items: &[Item]) -> char {
    let id = TraceId::from_slice(&[9; 16]).expect("not all zero");
    match policies.decide(&summary(policies, id, items), |_| ()) {
        Decision::Keep { .. } => 'K',
        Decision::Drop { policy: None } => 'N',
        Decision::Drop { policy: Some(_) } => 'D',
    }
}

fn latency(threshold_ms: u64, upper_threshold_ms: Option<u64>) -> PolicyKind {
    PolicyKind::Latency { threshold_ms, upper_threshold_ms }
}

fn codes(status_codes: &[StatusCode]) -> PolicyKind {
    PolicyKind::StatusCode { status_codes: status_codes.to_vec() }
}

fn text(key: &str, values: &[&str], regex: bool, invert_match: bool) -> PolicyKind {
    PolicyKind::StringAttribute {
        key: key.into(),
        values: values.iter().map(|value| value.to_string()).collect(),
        enabled_regex_matching: regex,
        invert_match,
    }
}

fn percent(sampling_percentage: f64) -> PolicyKind {
    PolicyKind::Probabilistic { sampling_percentage, hash_salt: None }
}

#[test]
fn each_type_votes_as_the_examples_say() {
    use StatusCode::{Error, Unset};
    let error = || codes(&[Error]);
    let cases: Vec<(&str, PolicyKind, Vec<Item>, char)> = vec![
        ("latency equal", latency(100, None), vec![span(0., 100.)], 'N'),
        ("latency above", latency(100, None), vec![span(0., 101.)], 'K'),
        ("latency whole ms", latency(100, None), vec![span(0., 100.9)], 'N'),
        ("latency whole trace", latency(100, None), vec![span(0., 10.), span(500., 510.)], 'K'),
        ("upper equal", latency(100, Some(200)), vec![span(0., 200.)], 'K'),
        ("upper above", latency(100, Some(200)), vec![span(0., 201.)], 'N'),
        ("lower equal", latency(100, Some(200)), vec![span(0., 100.)], 'N'),
        ("child first", latency(0, Some(50)), vec![span(10., 40.), span(0., 200.)], 'N'),
        ("one error of three", error(), vec![status(0), status(2), status(1)], 'K'),
        ("no error", error(), vec![status(0), status(1)], 'N'),
        ("an unknown status", error(), vec![status(3), status(-1)], 'N'),
        ("error or unset", codes(&[Error, Unset]), vec![status(1), status(0)], 'K'),
        ("neither", codes(&[Error, Unset]), vec![status(1)], 'N'),
        ("string", text("k", &["a", "b"], false, false), vec![with("k", "b")], 'K'),
        ("case", text("k", &["a", "b"], false, false), vec![with("k", "B")], 'N'),
        ("whole", text("k", &["a", "b"], false, false), vec![with("k", "ab")], 'N'),
        ("resource", text("k", &["a"], false, false), vec![resource("k", "a"), status(0)], 'K'),
        ("other key", text("k", &["a"], false, false), vec![with("x", "a")], 'N'),
        ("regex", text("k", &["val"], true, false), vec![with("k", "interval")], 'K'),
        ("anchored", text("k", &["^val$"], true, false), vec![with("k", "interval")], 'N'),
        ("inverted", text("k", &["health"], false, true), vec![with("k", "health")], 'N'),
        ("inverted, no key", text("k", &["health"], false, true), vec![status(0)], 'K'),
        (
            "and",
            PolicyKind::And(sub(vec![error(), latency(100, None)])),
            vec![status(2), span(0., 500.)],
            'K',
        ),
        (
            "and, one false",
            PolicyKind::And(sub(vec![error(), latency(100, None)])),
            vec![status(2)],
            'N',
        ),
        ("never", percent(0.), vec![status(0)], 'N'),
        ("always", percent(100.), vec![status(0)], 'K'),
    ];
    for (name, kind, items, expected) in cases {
        assert_eq!(outcome(&set(vec![kind]), &items), expected, "{name}");
    }
    let int = having("k", Attribute::Int(1));
    assert_eq!(outcome(&set(vec![text("k", &["1"], false, false)]), &[int]), 'N');
}

#[test]
fn the_types_of_values_are_strict() {
    use Attribute::{Bool, Double, Int, Str};
    let number = |min_value, max_value, invert_match| PolicyKind::NumericAttribute {
        key: "k".into(),
        min_value,
        max_value,
        invert_match,
    };
    let within = || number(Some(50), Some(100), false);
    let outside = || number(Some(50), Some(100), true);
    let is =
        |value, invert_match| PolicyKind::BooleanAttribute { key: "k".into(), value, invert_match };
    let on_resource = |value| Item { millis: None, ..having("k", value) };
    let cases: Vec<(&str, PolicyKind, Vec<Item>, char)> = vec![
        ("least", within(), vec![having("k", Int(50))], 'K'),
        ("most", within(), vec![having("k", Int(100))], 'K'),
        ("below", within(), vec![having("k", Int(49))], 'N'),
        ("above", within(), vec![having("k", Int(101))], 'N'),
        ("absent", within(), vec![status(0)], 'N'),
        ("on the resource", within(), vec![on_resource(Int(75)), status(0)], 'K'),
        ("a double", within(), vec![having("k", Double(75.0))], 'N'),
        ("a text", within(), vec![having("k", Str("75"))], 'N'),
        ("inverted, anywhere", outside(), vec![status(0), having("k", Int(75))], 'N'),
        ("inverted, absent", outside(), vec![status(0)], 'K'),
        ("no upper bound", number(Some(0), None, false), vec![having("k", Int(i64::MAX))], 'K'),
        ("0 is a bound", number(Some(0), None, false), vec![having("k", Int(-1))], 'N'),
        ("no lower bound", number(None, Some(0), false), vec![having("k", Int(i64::MIN))], 'K'),
        ("true", is(true, false), vec![having("k", Bool(true))], 'K'),
        ("true on the resource", is(true, false), vec![on_resource(Bool(true)), status(0)], 'K'),
        ("not true", is(true, false), vec![having("k", Bool(false))], 'N'),
        ("no boolean", is(true, false), vec![status(0)], 'N'),
        ("absent is not false", is(false, false), vec![status(0)], 'N'),
        ("a text is not true", is(true, false), vec![having("k", Str("true"))], 'N'),
        ("inverted boolean", is(true, true), vec![having("k", Bool(true))], 'N'),
        ("inverted boolean, absent", is(true, true), vec![status(0)], 'K'),
    ];
    for (name, kind, items, expected) in cases {
        assert_eq!(outcome(&set(vec![kind]), &items), expected, "{name}");
    }
}

#[test]
fn counts_flags_and_tracestates_vote_as_the_examples_say() {
    let count = |min_spans, max_spans| PolicyKind::SpanCount { min_spans, max_spans };
    for (spans, expected) in [(1, 'N'), (2, 'K'), (3, 'K'), (4, 'N')] {
        let items = vec![status(0); spans];
        assert_eq!(outcome(&set(vec![count(2, Some(3))]), &items), expected, "{spans}");
        let unbounded = if spans < 2 { 'N' } else { 'K' };
        assert_eq!(outcome(&set(vec![count(2, None)]), &items), unbounded, "{spans}");
    }
    for (flags, expected) in [(0x01, 'K'), (0x301, 'K'), (0x300, 'N'), (0, 'N')] {
        let items = [status(0), Item { flags, ..status(0) }];
        assert_eq!(outcome(&set(vec![PolicyKind::TraceFlags]), &items), expected, "{flags:x}");
    }
    let tk = PolicyKind::TraceState { key: "tk".into(), values: vec!["v0".into(), "v1".into()] };
    let tk = set(vec![tk]);
    for (trace_state, expected) in
        [("tk=v1,x=y", 'K'), ("tk=v2", 'N'), ("tk=v1,=", 'N'), ("x=v1", 'N'), ("", 'N')]
    {
        let items = [Item { trace_state, ..status(0) }, status(0)];
        assert_eq!(outcome(&tk, &items), expected, "{trace_state}");
    }
}

fn not(kind: PolicyKind) -> PolicyKind {
    PolicyKind::Not(Box::new(PolicySpec { name: "negated".into(), kind }))
}

#[test]
fn not_is_the_contrary_of_whatever_it_holds() {
    let error = || codes(&[StatusCode::Error]);
    let cases = [
        (not(error()), 0, 'K'),
        (not(error()), 2, 'N'),
        (not(not(error())), 2, 'K'),
        (not(PolicyKind::And(sub(vec![error(), latency(100, None)]))), 2, 'K'),
        (PolicyKind::And(sub(vec![PolicyKind::AlwaysSample, not(error())])), 2, 'N'),
    ];
    for (kind, code, expected) in cases {
        let name = format!("{kind:?} of {code}");
        assert_eq!(outcome(&set(vec![kind]), &[status(code)]), expected, "{name}");
    }
}

#[test]
fn what_chance_left_out_says_nothing_by_its_threshold() {
    let low = 0;
    let policies = set(vec![not(percent(10.))]);
    let Decision::Keep { threshold, consistent, .. } = decide(&policies, low, 0) else {
        panic!("a low randomness does not pass the 10 %");
    };
    assert!(!consistent);
    assert!((threshold.probability() - 0.9).abs() < 1e-3, "{}", threshold.probability());
    assert_eq!(decide(&policies, (1 << 56) - 1, 0), Decision::Drop { policy: None });
    // Where an error is asked for in vain no chance is involved.
    let errors = PolicyKind::And(sub(vec![codes(&[StatusCode::Error]), percent(10.)]));
    assert_eq!(decide(&set(vec![not(errors)]), low, 0), keep(0, "0"));
    // The likelier of the two is the policy it is attributed to.
    let both = set(vec![percent(100.), not(percent(10.))]);
    assert_eq!(decide(&both, low, 0), keep(0, "0"));
}

#[test]
fn drop_comes_first_wherever_it_stands() {
    let path = |value| text("path", &[value], false, false);
    let one = set(vec![PolicyKind::AlwaysSample, PolicyKind::Drop(sub(vec![path("/health")]))]);
    assert_eq!(outcome(&one, &[with("path", "/health")]), 'D');
    assert_eq!(outcome(&one, &[with("path", "/x")]), 'K');
    let both = vec![path("/a"), text("b", &["b"], false, false)];
    let two = set(vec![PolicyKind::AlwaysSample, PolicyKind::Drop(sub(both))]);
    assert_eq!(outcome(&two, &[with("path", "/a")]), 'K');
    let only_drop = set(vec![PolicyKind::Drop(sub(vec![path("/health")]))]);
    assert_eq!(outcome(&only_drop, &[with("path", "/x")]), 'N');
}

fn decide(policies: &PolicySet, randomness: u64, status_code: i32) -> Decision {
    let id = TraceId::from_slice(&[9; 16]).expect("not all zero");
    let mut trace = summary(policies, id, &[status(status_code)]);
    trace.explicit_randomness = Some(randomness);
    policies.decide(&trace, |_| ())
}

fn keep(policy: u16, threshold: &str) -> Decision {
    let digits = format!("{threshold:0<14}");
    let value = u64::from_str_radix(&digits, 16).expect("hexadecimal");
    let threshold = Threshold::new(value).expect("in range");
    Decision::Keep { policy: PolicyIndex(policy), threshold, consistent: true }
}

#[test]
fn a_trace_is_attributed_to_its_likeliest_policy() {
    let errors = || codes(&[StatusCode::Error]);
    let high = (1 << 56) - 1;
    assert_eq!(decide(&set(vec![percent(10.), errors()]), high, 2), keep(1, "0"));
    assert_eq!(decide(&set(vec![percent(10.), errors()]), high, 0), keep(0, "e666"));
    assert_eq!(decide(&set(vec![percent(10.), percent(50.)]), high, 0), keep(1, "8"));
    assert_eq!(decide(&set(vec![percent(50.), percent(50.)]), high, 0), keep(0, "8"));
    assert_eq!(decide(&set(vec![errors(), PolicyKind::AlwaysSample]), high, 2), keep(0, "0"));
    let both = PolicyKind::And(sub(vec![percent(10.), percent(50.)]));
    assert_eq!(decide(&set(vec![both]), high, 0), keep(0, "e666"));
}

#[test]
fn the_threshold_is_closed_below() {
    let half = set(vec![percent(50.)]);
    assert_eq!(decide(&half, 0x80000000000000, 0), keep(0, "8"));
    assert_eq!(decide(&half, 0x7fffffffffffff, 0), Decision::Drop { policy: None });
}

#[test]
fn ten_percent_is_ten_percent_and_five_is_part_of_it() {
    let (ten, five) = (set(vec![percent(10.)]), set(vec![percent(5.)]));
    let salted =
        PolicyKind::Probabilistic { sampling_percentage: 10., hash_salt: Some("s".into()) };
    let salted = set(vec![salted]);
    let (mut kept, mut kept_salted) = (0, 0);
    let mut state = 1_u64;
    for _ in 0..100_000 {
        // The splitmix64 generator: ids with no pattern.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let mut id = [1; 16];
        id[8..].copy_from_slice(&(z ^ z >> 31).to_be_bytes());
        let trace = Summary::new(TraceId::from_slice(&id).expect("not all zero"));
        let keeps =
            |policies: &PolicySet| matches!(policies.decide(&trace, |_| ()), Decision::Keep { .. });
        kept += i32::from(keeps(&ten));
        kept_salted += i32::from(keeps(&salted));
        assert!(keeps(&ten) || !keeps(&five));
    }
    assert!((9_700..=10_300).contains(&kept), "{kept}");
    assert!((9_700..=10_300).contains(&kept_salted), "{kept_salted}");
}

#[test]
fn every_vote_is_told_and_none_changes_the_answer() {
    let policies = set(vec![
        codes(&[StatusCode::Error]),
        PolicyKind::AlwaysSample,
        PolicyKind::Drop(sub(vec![codes(&[StatusCode::Error])])),
    ]);
    let id = TraceId::from_slice(&[9; 16]).expect("not all zero");
    let trace = summary(&policies, id, &[status(2)]);
    let mut votes = Vec::new();
    let decision = policies.decide(&trace, |policy| votes.push(policy.0));
    assert_eq!(votes, [0, 1, 2]);
    assert_eq!(decision, Decision::Drop { policy: Some(PolicyIndex(2)) });
}
