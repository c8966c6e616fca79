//! The examples of the policy language that need no completion and no other span than these.

use super::spec::*;
use super::*;
use crate::ids::{SpanId, Timestamp, TraceId};
use crate::otlp::span::{AttributeRef, KeyIndex, Run, Slice, SpanRef, ValueRef};
use crate::sampling::facts::Summary;

mod conditions;
mod reference;

/// One span, or the resource if `start_ms` is `None`, as a test writes it.
#[derive(Clone, Debug, Default)]
struct Item {
    millis: Option<(f64, f64)>,
    status: i32,
    flags: u32,
    trace_state: &'static str,
    attributes: Vec<(&'static str, Attribute)>,
}

#[derive(Clone, Copy, Debug)]
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
            policies.predicates().ask_resource(&attributes, &record).enter(&mut summary);
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
        policies.predicates().ask_span(&span, &attributes, &record, &mut summary);
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
    let named = |(n, kind)| PolicySpec::new(format!("p{n}"), kind);
    let specs: Vec<PolicySpec> = kinds.into_iter().enumerate().map(named).collect();
    compile(&specs).expect("the test's policies compile")
}

fn sub(kinds: Vec<PolicyKind>) -> Vec<PolicySpec> {
    kinds.into_iter().map(|kind| PolicySpec::new("sub", kind)).collect()
}

/// Decides with full budgets.
fn decided(policies: &PolicySet, trace: &Summary) -> Decision {
    policies.decide(trace, Timestamp(0), &mut policies.budgets(1), &mut ())
}

fn outcome(policies: &PolicySet, items: &[Item]) -> char {
    let id = TraceId::from_slice(&[9; 16]).expect("not all zero");
    match decided(policies, &summary(policies, id, items)) {
        Decision::Keep { .. } => 'K',
        Decision::Drop { policy: None } => 'N',
        Decision::Drop { policy: Some(_) } => 'D',
    }
}

fn latency(threshold_ms: u64, upper_threshold_ms: Option<u64>) -> PolicyKind {
    PolicyKind::Latency(Latency { threshold_ms, upper_threshold_ms })
}

fn codes(status_codes: &[StatusCode]) -> PolicyKind {
    PolicyKind::StatusCode(StatusCodes { status_codes: status_codes.to_vec() })
}

fn text(key: &str, values: &[&str], regex: bool, invert_match: bool) -> PolicyKind {
    PolicyKind::StringAttribute(StringAttribute {
        key: key.into(),
        values: values.iter().map(|value| value.to_string()).collect(),
        enabled_regex_matching: regex,
        invert_match,
    })
}

fn percent(sampling_percentage: f64) -> PolicyKind {
    PolicyKind::Probabilistic(Probabilistic { sampling_percentage, hash_salt: None })
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
            PolicyKind::And(And { and_sub_policy: sub(vec![error(), latency(100, None)]) }),
            vec![status(2), span(0., 500.)],
            'K',
        ),
        (
            "and, one false",
            PolicyKind::And(And { and_sub_policy: sub(vec![error(), latency(100, None)]) }),
            vec![status(2)],
            'N',
        ),
        ("never", percent(0.), vec![status(0)], 'N'),
        ("always", percent(100.), vec![status(0)], 'K'),
    ];
    for (name, kind, items, expected) in cases {
        assert_eq!(outcome(&set(vec![kind]), &items), expected, "{name}");
    }
    let twice = Item {
        attributes: vec![("k", Attribute::Str("a")), ("k", Attribute::Str("b"))],
        ..status(0)
    };
    assert_eq!(
        outcome(&set(vec![text("k", &["a"], false, false)]), std::slice::from_ref(&twice)),
        'K'
    );
    assert_eq!(outcome(&set(vec![text("k", &["b"], false, false)]), &[twice]), 'N');
    let unicode = set(vec![text("k", &["^\\w+$"], true, false)]);
    assert_eq!(outcome(&unicode, &[with("k", "größe")]), 'N');
    let int = having("k", Attribute::Int(1));
    assert_eq!(outcome(&set(vec![text("k", &["1"], false, false)]), &[int]), 'N');
}

#[test]
fn the_types_of_values_are_strict() {
    use Attribute::{Bool, Double, Int, Str};
    let number = |min_value, max_value, invert_match| {
        PolicyKind::NumericAttribute(NumericAttribute {
            key: "k".into(),
            min_value,
            max_value,
            invert_match,
        })
    };
    let within = || number(Some(50), Some(100), false);
    let outside = || number(Some(50), Some(100), true);
    let is = |value, invert_match| {
        PolicyKind::BooleanAttribute(BooleanAttribute { key: "k".into(), value, invert_match })
    };
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
    let count = |min_spans, max_spans| PolicyKind::SpanCount(SpanCount { min_spans, max_spans });
    for (spans, expected) in [(1, 'N'), (2, 'K'), (3, 'K'), (4, 'N')] {
        let items = vec![status(0); spans];
        assert_eq!(outcome(&set(vec![count(2, Some(3))]), &items), expected, "{spans}");
        let unbounded = if spans < 2 { 'N' } else { 'K' };
        assert_eq!(outcome(&set(vec![count(2, None)]), &items), unbounded, "{spans}");
    }
    for (flags, expected) in [(0x01, 'K'), (0x301, 'K'), (0x300, 'N'), (0, 'N')] {
        let items = [status(0), Item { flags, ..status(0) }];
        assert_eq!(
            outcome(&set(vec![PolicyKind::TraceFlags(TraceFlags {})]), &items),
            expected,
            "{flags:x}"
        );
    }
    let tk = PolicyKind::TraceState(TraceState {
        key: "tk".into(),
        values: vec!["v0".into(), "v1".into()],
    });
    let tk = set(vec![tk]);
    for (trace_state, expected) in
        [("tk=v1,x=y", 'K'), ("tk=v2", 'N'), ("tk=v1,=", 'N'), ("x=v1", 'N'), ("", 'N')]
    {
        let items = [Item { trace_state, ..status(0) }, status(0)];
        assert_eq!(outcome(&tk, &items), expected, "{trace_state}");
    }
}

fn not(kind: PolicyKind) -> PolicyKind {
    PolicyKind::Not(Not { not_sub_policy: Box::new(PolicySpec::new("negated", kind)) })
}

#[test]
fn not_is_the_contrary_of_whatever_it_holds() {
    let error = || codes(&[StatusCode::Error]);
    let cases = [
        (not(error()), 0, 'K'),
        (not(error()), 2, 'N'),
        (not(not(error())), 2, 'K'),
        (
            not(PolicyKind::And(And { and_sub_policy: sub(vec![error(), latency(100, None)]) })),
            2,
            'K',
        ),
        (
            PolicyKind::And(And {
                and_sub_policy: sub(vec![PolicyKind::AlwaysSample(AlwaysSample {}), not(error())]),
            }),
            2,
            'N',
        ),
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
    let errors = PolicyKind::And(And {
        and_sub_policy: sub(vec![codes(&[StatusCode::Error]), percent(10.)]),
    });
    assert_eq!(decide(&set(vec![not(errors)]), low, 0), keep(0, "0"));
    // The likelier of the two is the policy it is attributed to.
    let both = set(vec![percent(100.), not(percent(10.))]);
    assert_eq!(decide(&both, low, 0), keep(0, "0"));
}

#[test]
fn drop_comes_first_wherever_it_stands() {
    let path = |value| text("path", &[value], false, false);
    let one = set(vec![
        PolicyKind::AlwaysSample(AlwaysSample {}),
        PolicyKind::Drop(Drop { drop_sub_policy: sub(vec![path("/health")]) }),
    ]);
    assert_eq!(outcome(&one, &[with("path", "/health")]), 'D');
    assert_eq!(outcome(&one, &[with("path", "/x")]), 'K');
    let both = vec![path("/a"), text("b", &["b"], false, false)];
    let two = set(vec![
        PolicyKind::AlwaysSample(AlwaysSample {}),
        PolicyKind::Drop(Drop { drop_sub_policy: sub(both) }),
    ]);
    assert_eq!(outcome(&two, &[with("path", "/a")]), 'K');
    let only_drop =
        set(vec![PolicyKind::Drop(Drop { drop_sub_policy: sub(vec![path("/health")]) })]);
    assert_eq!(outcome(&only_drop, &[with("path", "/x")]), 'N');
}

/// A budget in a `drop` policy is spent on what it drops, so it is no budget of what is kept.
#[test]
fn drop_comes_first_though_it_spends_a_budget() {
    let some = PolicyKind::Drop(Drop {
        drop_sub_policy: sub(vec![codes(&[StatusCode::Error]), bucket(1, Some(1))]),
    });
    for before in [
        PolicyKind::AlwaysSample(AlwaysSample {}),
        PolicyKind::Rule(Rule {
            when: "true".to_owned(),
            scope: RuleScope::AnySpan,
            sample: Sample::Keep,
        }),
    ] {
        let policies = set(vec![before, some.clone()]);
        let id = TraceId::from_slice(&[9; 16]).expect("not all zero");
        let mut budgets = policies.budgets(1);
        let mut decide = |code| {
            let mut trace = summary(&policies, id, &[status(code)]);
            trace.spans = 1;
            policies.decide(&trace, Timestamp(0), &mut budgets, &mut ())
        };
        assert_eq!(decide(0), keep(0, "0"));
        assert_eq!(decide(2), Decision::Drop { policy: Some(PolicyIndex(1)) });
        assert_eq!(decide(2), keep(0, "0"));
    }
}

fn decide(policies: &PolicySet, randomness: u64, status_code: i32) -> Decision {
    let id = TraceId::from_slice(&[9; 16]).expect("not all zero");
    let mut trace = summary(policies, id, &[status(status_code)]);
    trace.explicit_randomness = Some(randomness);
    decided(policies, &trace)
}

fn keep(policy: u16, threshold: &str) -> Decision {
    let digits = format!("{threshold:0<14}");
    let value = u64::from_str_radix(&digits, 16).expect("hexadecimal");
    let threshold = Threshold::new(value).expect("in range");
    Decision::Keep { policy: PolicyIndex(policy), threshold, consistent: true, leaf: None }
}

#[test]
fn a_trace_is_attributed_to_its_likeliest_policy() {
    let errors = || codes(&[StatusCode::Error]);
    let high = (1 << 56) - 1;
    assert_eq!(decide(&set(vec![percent(10.), errors()]), high, 2), keep(1, "0"));
    assert_eq!(decide(&set(vec![percent(10.), errors()]), high, 0), keep(0, "e666"));
    assert_eq!(decide(&set(vec![percent(10.), percent(50.)]), high, 0), keep(1, "8"));
    assert_eq!(decide(&set(vec![percent(50.), percent(50.)]), high, 0), keep(0, "8"));
    assert_eq!(
        decide(&set(vec![errors(), PolicyKind::AlwaysSample(AlwaysSample {})]), high, 2),
        keep(0, "0")
    );
    let both = PolicyKind::And(And { and_sub_policy: sub(vec![percent(10.), percent(50.)]) });
    assert_eq!(decide(&set(vec![both]), high, 0), keep(0, "e666"));
    // The hash of a salt and the randomness have nothing to do with each other.
    let salted = PolicyKind::Probabilistic(Probabilistic {
        sampling_percentage: 99.99,
        hash_salt: Some("s".into()),
    });
    let both = PolicyKind::And(And { and_sub_policy: sub(vec![percent(50.), salted]) });
    let Decision::Keep { threshold, consistent, .. } = decide(&set(vec![both]), high, 0) else {
        panic!("all but one in ten thousand are kept");
    };
    assert!(!consistent && (0.4998..0.5).contains(&threshold.probability()));
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
    let salted = PolicyKind::Probabilistic(Probabilistic {
        sampling_percentage: 10.,
        hash_salt: Some("s".into()),
    });
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
            |policies: &PolicySet| matches!(decided(policies, &trace), Decision::Keep { .. });
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
        PolicyKind::AlwaysSample(AlwaysSample {}),
        PolicyKind::Drop(Drop { drop_sub_policy: sub(vec![codes(&[StatusCode::Error])]) }),
    ]);
    let id = TraceId::from_slice(&[9; 16]).expect("not all zero");
    let trace = summary(&policies, id, &[status(2)]);
    let explained = policies.explain(&trace, Timestamp(0), &mut policies.budgets(1));
    let votes: Vec<_> = explained.votes.iter().map(|it| (it.policy.0, it.vote)).collect();
    assert_eq!(votes, [(0, VoteKind::Keep), (1, VoteKind::Keep), (2, VoteKind::Drop)]);
    assert_eq!(explained.decision, Decision::Drop { policy: Some(PolicyIndex(2)) });
}

fn bucket(spans_per_second: u64, burst_capacity: Option<u64>) -> PolicyKind {
    PolicyKind::RateLimiting(RateLimiting { spans_per_second, burst_capacity })
}

/// A trace with nothing but a size.
fn of_size(spans: u32, bytes: u64) -> Summary {
    let mut trace = Summary::new(TraceId::from_slice(&[9; 16]).expect("not all zero"));
    (trace.spans, trace.bytes) = (spans, bytes);
    trace
}

/// What is decided of traces with so many spans, at these times, one after the other: the index
/// of the policy that keeps it, if one does.
fn decisions(policies: &PolicySet, traces: &[(i64, Summary)]) -> Vec<Option<u16>> {
    let mut budgets = policies.budgets(1);
    let decision = |(now, trace): &(i64, Summary)| match policies.decide(
        trace,
        Timestamp(*now),
        &mut budgets,
        &mut (),
    ) {
        Decision::Keep { policy, .. } => Some(policy.0),
        Decision::Drop { .. } => None,
    };
    traces.iter().map(decision).collect()
}

fn sizes(traces: &[(i64, u32)]) -> Vec<(i64, Summary)> {
    traces.iter().map(|(now, spans)| (*now, of_size(*spans, 1))).collect()
}

#[test]
fn a_rate_is_limited_whole_trace_by_whole_trace() {
    let traces = sizes(&[(0, 15), (0, 5), (0, 1), (1000, 10), (100_000, 21)]);
    let limited = decisions(&set(vec![bucket(10, None)]), &traces);
    assert_eq!(limited, [Some(0), Some(0), None, Some(0), None]);
    let bytes = PolicyKind::BytesLimiting(BytesLimiting {
        bytes_per_second: 1000,
        burst_capacity: Some(2000),
    });
    let bytes = set(vec![bytes]);
    assert_eq!(decisions(&bytes, &[(0, of_size(1, 2001)), (0, of_size(1, 2000))]), [None, Some(0)]);
}

#[test]
fn a_budget_is_spent_only_where_no_policy_before_keeps() {
    let large = || PolicyKind::SpanCount(SpanCount { min_spans: 8, max_spans: None });
    let traces = sizes(&[(0, 20), (0, 5), (0, 20), (0, 5), (0, 5), (0, 5), (0, 5)]);
    let before = decisions(&set(vec![large(), bucket(10, None)]), &traces);
    assert_eq!(before, [Some(0), Some(1), Some(0), Some(1), Some(1), Some(1), None]);
    // Asked first, it spends; but what another keeps with certainty is that one's.
    let behind = decisions(&set(vec![bucket(10, None), large()]), &traces);
    assert_eq!(behind, [Some(1), None, Some(1), None, None, None, None]);
    // What a drop policy drops costs nothing either.
    let small = PolicyKind::Drop(Drop {
        drop_sub_policy: sub(vec![PolicyKind::SpanCount(SpanCount {
            min_spans: 0,
            max_spans: Some(5),
        })]),
    });
    let dropped = decisions(&set(vec![bucket(10, None), small]), &traces);
    assert_eq!(dropped, [Some(0), None, None, None, None, None, None]);
}

#[test]
fn what_a_budget_kept_has_no_known_probability() {
    let policies = set(vec![bucket(10, None)]);
    let Decision::Keep { threshold, consistent, .. } = decided(&policies, &of_size(1, 1)) else {
        panic!("the bucket is full");
    };
    assert_eq!((threshold, consistent), (Threshold::NEVER, false));
}

#[test]
fn of_conditions_that_must_all_hold_budgets_are_asked_last() {
    let limited = || {
        PolicyKind::And(And {
            and_sub_policy: sub(vec![bucket(10, Some(10)), codes(&[StatusCode::Error])]),
        })
    };
    let policies = set(vec![limited()]);
    let mut budgets = policies.budgets(1);
    let id = TraceId::from_slice(&[9; 16]).expect("not all zero");
    let mut decide = |status_code| {
        let mut trace = summary(&policies, id, &[status(status_code)]);
        trace.spans = 6;
        matches!(
            policies.decide(&trace, Timestamp(0), &mut budgets, &mut ()),
            Decision::Keep { .. }
        )
    };
    assert_eq!([decide(0), decide(0), decide(2), decide(2)], [false, false, true, false]);
}

fn child(name: &str, kind: PolicyKind, percent: Option<f64>) -> CompositeChild {
    CompositeChild { policy: PolicySpec::new(name, kind), percent }
}

#[test]
fn children_of_a_composite_have_their_shares_of_a_total() {
    let always = || PolicyKind::AlwaysSample(AlwaysSample {});
    let half = || vec![child("a", always(), Some(50.)), child("b", always(), Some(50.))];
    let composite =
        PolicyKind::Composite(Composite { max_total_spans_per_second: 100, children: half() });
    let policies = set(vec![composite]);
    let mut budgets = policies.budgets(1);
    let mut leaf = |now, spans| match policies.decide(
        &of_size(spans, 1),
        Timestamp(now),
        &mut budgets,
        &mut (),
    ) {
        Decision::Keep { leaf, .. } => {
            leaf.map(|leaf| &*policies.leaves()[usize::from(leaf.0)].name)
        }
        Decision::Drop { .. } => None,
    };
    let first = [leaf(0, 30), leaf(100, 30), leaf(200, 20), leaf(900, 20), leaf(999, 1)];
    assert_eq!(first, [Some("a"), Some("b"), Some("a"), Some("b"), None]);
    assert_eq!([leaf(1000, 50), leaf(1999, 51), leaf(1999, 50)], [Some("a"), None, Some("b")]);
    // The total is a ceiling over all.
    let both = || vec![child("a", always(), Some(80.)), child("b", always(), Some(80.))];
    let composite =
        PolicyKind::Composite(Composite { max_total_spans_per_second: 100, children: both() });
    let kept = decisions(&set(vec![composite]), &sizes(&[(0, 80), (0, 21), (0, 20), (0, 1)]));
    assert_eq!(kept, [Some(0), None, Some(0), None]);
}

/// Counts the votes of the children of composites.
#[derive(Default)]
struct Leaves(Vec<u16>);

impl Observer for Leaves {
    fn voted(&mut self, _: PolicyIndex, _: VoteKind) {}
    fn failed(&mut self, _: PolicyIndex) {}
    fn leaf_voted(&mut self, leaf: LeafIndex) {
        self.0.push(leaf.0);
    }
}

#[test]
fn a_child_of_a_composite_that_kept_in_vain_did_not_vote() {
    let inner = || {
        PolicyKind::Composite(Composite {
            max_total_spans_per_second: 100,
            children: vec![child("inner", PolicyKind::AlwaysSample(AlwaysSample {}), None)],
        })
    };
    let none_left =
        PolicyKind::RateLimiting(RateLimiting { spans_per_second: 1, burst_capacity: Some(1) });
    let outer = PolicyKind::Composite(Composite {
        max_total_spans_per_second: 1,
        children: vec![child("outer", inner(), None)],
    });
    let policies = set(vec![
        PolicyKind::And(And { and_sub_policy: sub(vec![inner(), none_left]) }),
        not(inner()),
        outer,
        inner(),
    ]);
    let mut leaves = Leaves::default();
    let trace = of_size(2, 1);
    let decision = policies.decide(&trace, Timestamp(0), &mut policies.budgets(1), &mut leaves);
    assert!(matches!(decision, Decision::Keep { policy: PolicyIndex(3), .. }), "{decision:?}");
    let last = u16::try_from(policies.leaves().len() - 1).expect("there are few");
    assert_eq!(leaves.0, [last]);
}

#[test]
fn combinations_nest_freely() {
    let error = || codes(&[StatusCode::Error]);
    let drop = |kinds| PolicyKind::Drop(Drop { drop_sub_policy: sub(kinds) });
    let both = PolicyKind::And(And {
        and_sub_policy: sub(vec![error(), drop(vec![PolicyKind::AlwaysSample(AlwaysSample {})])]),
    });
    let policies = set(vec![PolicyKind::AlwaysSample(AlwaysSample {}), both]);
    assert_eq!(outcome(&policies, &[status(2)]), 'D');
    assert_eq!(outcome(&policies, &[status(0)]), 'K');
    let neither = set(vec![not(drop(vec![error()]))]);
    assert_eq!(outcome(&neither, &[status(2)]), 'N');
    assert_eq!(outcome(&neither, &[status(0)]), 'K');
    let children = vec![
        child("no", drop(vec![error()]), None),
        child(
            "rest",
            not(PolicyKind::And(And { and_sub_policy: sub(vec![bucket(1, None)]) })),
            None,
        ),
        child("all", PolicyKind::AlwaysSample(AlwaysSample {}), None),
    ];
    let nested =
        set(vec![PolicyKind::Composite(Composite { max_total_spans_per_second: 90, children })]);
    assert_eq!(outcome(&nested, &[status(2)]), 'D');
    assert_eq!(outcome(&nested, &[status(0)]), 'K');
}

#[test]
fn a_shadow_is_asked_and_has_no_effect() {
    let shadow =
        |name: &str, kind| PolicySpec { mode: Mode::Shadow, ..PolicySpec::new(name, kind) };
    let policies = compile(&[
        shadow("all", PolicyKind::AlwaysSample(AlwaysSample {})),
        shadow(
            "none",
            PolicyKind::Drop(Drop {
                drop_sub_policy: sub(vec![PolicyKind::AlwaysSample(AlwaysSample {})]),
            }),
        ),
        PolicySpec::new("errors", codes(&[StatusCode::Error])),
    ])
    .expect("the test's policies compile");
    let id = TraceId::from_slice(&[9; 16]).expect("not all zero");
    for (code, vote, decision) in
        [(2, VoteKind::Keep, keep(2, "0")), (0, VoteKind::None, Decision::Drop { policy: None })]
    {
        let trace = summary(&policies, id, &[status(code)]);
        let explained = policies.explain(&trace, Timestamp(0), &mut policies.budgets(1));
        let votes: Vec<VoteKind> = explained.votes.iter().map(|it| it.vote).collect();
        assert_eq!(votes, [VoteKind::Keep, VoteKind::Drop, vote]);
        assert_eq!(explained.decision, decision);
    }
}

#[test]
fn policies_that_did_not_change_keep_their_budgets() {
    let specs = |rate| {
        vec![PolicySpec::new("new", bucket(rate, None)), PolicySpec::new("old", bucket(10, None))]
    };
    let old = compile(&specs(1)[1..]).expect("compiles");
    let new = compile(&specs(5)).expect("compiles");
    let mut state = old.budgets(1);
    old.decide(&of_size(20, 1), Timestamp(0), &mut state, &mut ());
    let mut state = new.budgets_after(&old, &state, 1);
    let keeps = |spans: u32, state: &mut Budgets| {
        new.decide(&of_size(spans, 1), Timestamp(0), state, &mut ())
    };
    assert!(matches!(keeps(10, &mut state), Decision::Keep { policy: PolicyIndex(0), .. }));
    assert_eq!(keeps(1, &mut state), Decision::Drop { policy: None });
    let changes = new.changes(&old);
    assert_eq!((changes.added, changes.unchanged), (vec!["new"], 1));
}

#[test]
fn reasons_are_told_in_a_few_words() {
    let cases = [
        (latency(1000, None), "latency: 340 ms <= 1000 ms"),
        (latency(100, None), "latency: 340 ms > 100 ms"),
        (latency(100, Some(200)), "latency: 340 ms > 200 ms"),
        (codes(&[StatusCode::Error]), "status_code: no span is ERROR"),
        (codes(&[StatusCode::Ok, StatusCode::Unset]), "status_code: a span is OK or UNSET"),
        (text("k", &["a"], false, true), "string_attribute: there is no k of a"),
        (bucket(1, None), "rate_limiting: 1 spans <= 2 left"),
        (not(latency(1000, None)), "not: latency: 340 ms <= 1000 ms"),
        (
            PolicyKind::And(And {
                and_sub_policy: sub(vec![codes(&[StatusCode::Unset]), latency(1000, None)]),
            }),
            "and: sub: latency: 340 ms <= 1000 ms",
        ),
        (percent(50.), "probabilistic: 50 %: randomness 09090909090909 < 80000000000000"),
        (PolicyKind::AlwaysSample(AlwaysSample {}), "always_sample"),
    ];
    let id = TraceId::from_slice(&[9; 16]).expect("not all zero");
    for (kind, expected) in cases {
        let policies = set(vec![kind]);
        let trace = summary(&policies, id, &[span(0., 340.)]);
        let explained = policies.explain(&trace, Timestamp(0), &mut policies.budgets(1));
        assert_eq!(explained.votes[0].reason, expected);
    }
}
