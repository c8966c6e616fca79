//! The examples of the policy language, by their numbers.

use std::collections::HashMap;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::notation::{file, named, of, p, trace_id};
use crate::rig::{Decided, decide, decide_lines, refused};

/// One capture with many traces, and what becomes of each: K kept, N not kept, D dropped.
fn check(example: u32, policies: &[String], notation: &str, expected: &str) -> Decided {
    let decided = decide(&file(policies), notation);
    assert_eq!(decided.outcomes(), expected, "example {example}: {policies:?} on {notation}");
    decided
}

#[test]
fn single_policies() {
    let numeric = |more: &str| {
        p("numeric_attribute", &format!("key: n, min_value: 50, max_value: 100{more}"))
    };
    let boolean = |value| p("boolean_attribute", &format!("key: b, value: {value}"));
    let string = |fields: &str| p("string_attribute", &format!("key: s, {fields}"));
    let ottl = |fields: &str| p("ottl_condition", fields);
    let cases = [
        (
            1,
            p("latency", "threshold_ms: 100"),
            "0..100 / 0..101 / 0..100.9 / 0..10 ; 500..510",
            "NKNK",
        ),
        (
            2,
            p("latency", "threshold_ms: 100, upper_threshold_ms: 200"),
            "0..200 / 0..201 / 0..100",
            "KNN",
        ),
        (
            2,
            p("latency", "threshold_ms: 0, upper_threshold_ms: 50"),
            "10..40 child ; 0..200 / 0..50",
            "NK",
        ),
        (
            3,
            p("status_code", "status_codes: [ERROR]"),
            "0..1 ; 0..1 ! ; 0..1 ok / 0..1 ; 0..1 ok",
            "KN",
        ),
        (
            3,
            p("status_code", "status_codes: [ERROR, UNSET]"),
            "0..1 ok ; 0..1 / 0..1 ok / 0..1 !",
            "KNK",
        ),
        (
            4,
            p("span_count", "min_spans: 2, max_spans: 3"),
            "0..1 / 0..1 x2 / 0..1 x3 / 0..1 x4",
            "NKKN",
        ),
        (4, p("span_count", "min_spans: 2, max_spans: 3"), "0..1 child | #1 0..1 root", "K"),
        (5, numeric(""), "0..1 n=50 / 0..1 n=100 / 0..1 n=49 / 0..1 n=101 / 0..1", "KKNNN"),
        (
            5,
            numeric(""),
            "0..1 @n=75 / 0..1 event=e event:n=75 / 0..1 n=75.0 / 0..1 n=\"75\"",
            "KNNN",
        ),
        (5, numeric(", invert_match: true"), "0..1 n=1 ; 0..1 n=75 / 0..1 @n=75 / 0..1", "NNK"),
        (6, boolean("true"), "0..1 b=true / 0..1 @b=true / 0..1 b=false / 0..1", "KKNN"),
        (6, boolean("false"), "0..1 b=false / 0..1 b=true / 0..1", "KNN"),
        (7, string("values: [a, b]"), "0..1 s=b / 0..1 s=B / 0..1 s=ab / 0..1 @s=a", "KNNK"),
        (
            7,
            string("values: [val], enabled_regex_matching: true"),
            "0..1 s=interval / 0..1 s=vel",
            "KN",
        ),
        (
            7,
            string("values: [^val$], enabled_regex_matching: true"),
            "0..1 s=interval / 0..1 s=val",
            "NK",
        ),
        (7, string("values: ['1']"), "0..1 s=1 / 0..1 s=\"1\"", "NK"),
        (
            7,
            string("values: [health], invert_match: true"),
            "0..1 s=x ; 0..1 s=health / 0..1 / 0..1 s=x",
            "NKK",
        ),
        (
            8,
            p("trace_state", "key: tk, values: [v1]"),
            "0..1 ts:tk=v1,x=y / 0..1 ts:tk=v2 / 0..1 ts:tk=v1,=",
            "KNN",
        ),
        (
            8,
            p("trace_state", "key: tk, values: [v1]"),
            "0..1 ts:tk=v1,TK=v1 / 0..1 ts:= ; 0..1 ts:tk=v1",
            "NK",
        ),
        (
            9,
            "{name: f, type: trace_flags}".to_owned(),
            "0..1 flags:0x01 / 0..1 flags:0x301 / 0..1 flags:0x300",
            "KKN",
        ),
        (
            10,
            ottl("span: ['attributes[\"a\"] == 1', 'attributes[\"b\"] == \"x\"']"),
            "0..1 ; 0..1 ; 0..1 b=x / 0..1 b=y",
            "KN",
        ),
        (
            10,
            ottl("spanevent: ['name == \"exception\"']"),
            "0..1 ; 0..1 event=log event=exception / 0..1 event=log",
            "KN",
        ),
        // A span's own duration, and not that of the trace.
        (
            10,
            ottl("span: ['end_time_unix_nano - start_time_unix_nano > 50 * 1000000']"),
            "0..40 ; 30..90 / 0..51 / 0..50",
            "KKN",
        ),
        (
            10,
            ottl("span: ['end_time - start_time > Duration(\"50ms\") and attributes[\"a\"] == 1']"),
            "0..51 ; 0..10 a=1 / 0..51 a=1",
            "NK",
        ),
        (10, ottl("span: ['span.duration_ms >= 50']"), "0..49 ; 40..80 / 0..50", "NK"),
        (
            10,
            ottl("span: ['Split(attributes[\"s\"], \"-\")[1] == \"b\"']"),
            "0..1 s=a-b / 0..1 s=b",
            "KN",
        ),
        (
            10,
            ottl("span: ['ContainsValue([1, 2], attributes[\"a\"])']"),
            "0..1 a=2 / 0..1 a=3",
            "KN",
        ),
        (10, ottl("span: ['Len(events) > 1']"), "0..1 event=a event=b / 0..1 event=a", "KN"),
        (
            10,
            ottl("span: ['IsInCIDR(attributes[\"s\"], [\"10.0.0.0/8\"])']"),
            "0..1 s=10.1.2.3 / 0..1 s=11.1.2.3 / 0..1",
            "KNN",
        ),
    ];
    for (example, policy, notation, expected) in cases {
        check(example, &[policy], notation, expected);
    }
}

#[test]
fn combined_policies() {
    let error = || p("status_code", "status_codes: [ERROR]");
    let slow = || p("latency", "threshold_ms: 100");
    let path =
        |value: &str| named(value, "string_attribute", &format!("key: path, values: [/{value}]"));
    let (all, never) = (
        || "{name: all, type: always_sample}".to_owned(),
        || p("probabilistic", "sampling_percentage: 0"),
    );
    let dropped = |list: &[String]| of("drop", list);
    let cases: [(u32, Vec<String>, &str, &str); 9] = [
        (11, vec![of("and", &[error(), slow()])], "0..9 ! ; 0..200 / 0..9 ! / 0..200", "KNN"),
        (11, vec![of("not", &[error()])], "0..9 ; 0..9 ok / 0..9 ; 0..9 !", "KN"),
        (12, vec![all(), dropped(&[path("health")])], "0..9 path=/health / 0..9 path=/x", "DK"),
        (
            12,
            vec![all(), dropped(&[path("a"), error()])],
            "0..9 path=/a / 0..9 path=/a ; 0..9 !",
            "KD",
        ),
        (13, vec![slow(), never()], "0..200 / 0..9", "KN"),
        (13, vec![dropped(&[path("a")])], "0..9 path=/b", "N"),
        (13, vec![error(), slow(), path("a")], "0..9", "N"),
        (
            18,
            vec![error(), p("probabilistic", "sampling_percentage: 10")],
            "0..9 ! rand:ffffffffffffff",
            "K",
        ),
        (
            18,
            vec![error(), p("probabilistic", "sampling_percentage: 10")],
            "0..9 ! ts:ot=th:c",
            "K",
        ),
    ];
    for (example, policies, notation, expected) in cases {
        let decided = check(example, &policies, notation, expected);
        if example == 18 {
            let first = decided.of(1);
            assert_eq!(first["policy"], "status_code");
            assert_eq!((&first["probability"], &first["threshold"]), (&json!(1.0), &json!("0")));
        }
    }
    // The larger of two probabilities is the trace's.
    let half = [
        p("probabilistic", "sampling_percentage: 10"),
        named("half", "probabilistic", "sampling_percentage: 50"),
    ];
    let decided = check(18, &half, "0..9 rand:ffffffffffffff", "K");
    let first = decided.of(1);
    assert_eq!((&first["policy"], &first["threshold"]), (&json!("half"), &json!("8")));
    assert_eq!(decided.vote(1, "probabilistic")["vote"], "keep");
}

/// What is due is decided when the next record has moved the clock.
#[test]
fn budgets() {
    let spans = p("rate_limiting", "spans_per_second: 10");
    let bytes = p("bytes_limiting", "bytes_per_second: 1000, burst_capacity: 2000");
    let at_once = "at:0 0..1 x15 | at:0 0..1 x5 | at:0 0..1 | at:0 | at:1000 0..1 x10";
    let cases = [
        (14, &spans, at_once, "KKNK"),
        (14, &spans, "at:0 0..1 x21 | at:900000 0..1 x21 | at:900000 0..1 x20", "NNK"),
        (15, &bytes, "at:0 0..1 bytes:2000", "K"),
        (15, &bytes, "at:0 0..1 bytes:2001", "N"),
        (
            15,
            &bytes,
            "at:0 0..1 bytes:1500 | at:0 0..1 bytes:501 | at:0 | at:1 0..1 bytes:501",
            "KNK",
        ),
    ];
    for (example, policy, notation, expected) in cases {
        let decided = check(example, std::slice::from_ref(policy), notation, expected);
        let kept = decided.lines.iter().find(|line| line["decision"] == "keep");
        let kept = kept.unwrap_or(&Value::Null);
        assert!(kept["probability"].is_null() && kept["threshold"].is_null(), "{kept}");
    }
}

fn composite() -> String {
    let child = |name: &str| format!("{{name: {name}, type: always_sample}}");
    let share = |name: &str| format!("{{policy: {name}, percent: 50}}");
    let fields = format!(
        "max_total_spans_per_second: 100, policy_order: [A, B], \
         composite_sub_policy: [{}, {}], rate_allocation: [{}, {}]",
        child("A"),
        child("B"),
        share("A"),
        share("B"),
    );
    p("composite", &fields)
}

#[test]
fn composites_fall_through_and_never_keep_more_than_their_total() {
    let policies = [composite()];
    let notation = "at:0 0..1 x30 | at:0 0..1 x30 | at:0 0..1 x20 | at:0 0..1 x20 | at:0 0..1";
    let decided = check(16, &policies, notation, "KKKKN");
    // A child's reason is the last one where it kept the trace.
    let by = |number| {
        let reason = decided.vote(number, "composite")["reason"].as_str().unwrap();
        let last = reason.trim_start_matches("composite: ").rsplit("; ").next().unwrap();
        last.chars().next().unwrap()
    };
    assert_eq!([by(1), by(2), by(3), by(4)], ['A', 'B', 'A', 'B']);

    // Many traces in each of three seconds of the clock.
    let sizes = |second: usize| (0..60).map(move |n| (second, 1 + (n * 7 + second) % 13));
    let traces: Vec<(usize, usize)> = (0..3).flat_map(sizes).collect();
    // A trace is decided with the next record, which is of the same second.
    let record = |(second, size): &(usize, usize)| {
        format!("at:{0} 0..1 x{size} | at:{0}", second * 1000 + 10)
    };
    let notation: Vec<String> = traces.iter().map(record).collect();
    let decided = decide(&file(&policies), &notation.join(" | "));
    let mut kept = [0; 3];
    for (number, (second, size)) in traces.iter().enumerate() {
        if decided.of(number + 1)["decision"] == "keep" {
            kept[*second] += size;
        }
    }
    assert!(kept.iter().all(|spans| (90..=100).contains(spans)), "{kept:?}");
}

#[test]
fn probabilities_nest_and_are_what_they_say() {
    let percent = |percent| {
        named(&format!("p{percent}"), "probabilistic", &format!("sampling_percentage: {percent}"))
    };
    let policies = [percent(10), percent(5)];
    let mut lines = String::new();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for number in 1..=100_000 {
        // SplitMix64: all ids differ, and their randomness is as good as any.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let id = trace_id(number, (mixed ^ mixed >> 31) >> 8);
        let span = json!({ "traceId": id, "spanId": "0000000000000001" });
        let record = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [span] }] }] });
        writeln!(lines, "{record}").unwrap();
    }
    let (decisions, summary) = decide_lines(&file(&policies), &lines);
    assert_eq!(decisions.len(), 100_000);
    let mut votes: HashMap<&str, u32> = HashMap::new();
    for line in &decisions {
        let vote = |index: usize| line["votes"][index]["vote"] == "keep";
        assert!(vote(0) || !vote(1), "kept at 5 % and not at 10 %: {line}");
        *votes.entry("p10").or_default() += u32::from(vote(0));
        *votes.entry("p5").or_default() += u32::from(vote(1));
    }
    assert!(votes["p10"].abs_diff(10_000) <= 300, "{votes:?}");
    assert!(votes["p5"].abs_diff(5_000) <= 220, "{votes:?}");
    assert_eq!(summary["kept"]["traces"], votes["p10"]);
    assert_eq!(summary["policies"][0]["alone"]["traces"], votes["p10"] - votes["p5"]);

    check(
        17,
        &[percent(50)],
        "0..1 ts:ot=rv:80000000000000 rand:0 / 0..1 ts:ot=rv:7fffffffffffff rand:ffffffffffffff",
        "KN",
    );
    for (percentage, threshold) in [(10, "e666"), (1, "fd70a"), (50, "8")] {
        let decided = check(17, &[percent(percentage)], "0..1 rand:ffffffffffffff", "K");
        assert_eq!(decided.of(1)["threshold"], threshold);
    }
}

#[test]
fn late_spans_follow_the_decision() {
    let policies = [p("status_code", "status_codes: [ERROR]")];
    let notation = "at:0 0..1 ! | at:0 0..1 | at:10 #1 0..1 ; 0..1 | at:10 #2 0..1 ! ; 0..9 ; 0..9";
    let decided = check(19, &policies, notation, "KN");
    assert_eq!(decided.lines.len(), 2, "each trace is decided once");
    let late = &decided.summary["late"];
    assert_eq!((&late["kept"]["spans"], &late["dropped"]["spans"]), (&json!(2), &json!(3)));
    assert_eq!(decided.summary["spans"], 2);
}

#[test]
fn the_root_shortens_the_wait_on_the_clock_of_the_partition() {
    let waits = "decision_wait: 30s\ndecision_wait_after_root_received: 1s\npolicies:\n  - {name: all, type: always_sample}\n";
    // What comes a millisecond before the decision is in, what comes with it is late.
    let cases = [
        ("at:0 0..1 child | at:2000 #1 0..1 root | at:2999 #1 0..1 | at:3000 #1 0..1", "root"),
        ("at:0 0..1 child | at:29500 #1 0..1 root | at:29999 #1 0..1 | at:30000 #1 0..1", "wait"),
    ];
    for (notation, trigger) in cases {
        let decided = decide(waits, notation);
        let first = decided.of(1);
        assert_eq!(
            (&first["trigger"], &first["spans"]),
            (&json!(trigger), &json!(3)),
            "{notation}"
        );
        assert_eq!(decided.summary["late"]["kept"]["spans"], 1, "{notation}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused_at_load() {
    let string = "{name: s, type: string_attribute, string_attribute: {key: s, enabled_regex_matching: true, values: ['[']}}";
    let rule = "{name: r, type: rule, rule: {when: 'name == \"x\"', sample: 101%}}";
    let cases: [(u32, &str, &[&str]); 11] = [
        (
            3,
            "{name: e, type: status_code, status_code: {status_codes: []}}",
            &["policies.yaml:2:", "status_codes"],
        ),
        (
            3,
            "{name: e, type: status_code, status_code: {status_codes: [error]}}",
            &["policies.yaml:2:", "`error`", "did you mean ERROR?"],
        ),
        (
            5,
            "{name: n, type: numeric_attribute, numeric_attribute: {key: n}}",
            &["policies.yaml:2:", "min_value"],
        ),
        (7, string, &["policies.yaml:2:", "["]),
        (
            10,
            "{name: o, type: ottl_condition, ottl_condition: {span: [], spanevent: []}}",
            &["policies.yaml:2:", "condition"],
        ),
        (
            10,
            "{name: o, type: ottl_condition, ottl_condition: {error_mode: ignore}}",
            &["policies.yaml:2:", "condition"],
        ),
        (
            21,
            "{name: a, type: always_sample}\n  - {name: a, type: always_sample}",
            &["policies.yaml:3:12", "`a`"],
        ),
        (21, "{name: '', type: always_sample}", &["policies.yaml:2:12", "name: must not be empty"]),
        (
            21,
            "{name: a, type: latencie, latency: {threshold_ms: 1}}",
            &["policies.yaml:2:21", "`latencie`", "`latency`"],
        ),
        (
            21,
            "{name: a, type: latency, latency: {threshold_ms: 1, treshold: 2}}",
            &["policies.yaml:2:57", "`treshold`"],
        ),
        (21, rule, &["policies.yaml:2:", "101"]),
    ];
    for (example, policy, expected) in cases {
        let error = refused(&format!("policies:\n  - {policy}\n"));
        for part in expected {
            assert!(error.contains(part), "example {example}: {part:?} is not in:\n{error}");
        }
    }
}
