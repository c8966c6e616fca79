use std::path::Path;

use super::*;
use crate::config::policy_tests::parse;

/// What is not as expected in the only test of `text`: number of the trace, what, expected, got.
fn differences(text: &str) -> Vec<(usize, String, String, String)> {
    let tests = parse("tests.yaml", text, Path::new("")).unwrap_or_else(|error| panic!("{error}"));
    let outcome = check(&tests.policies, &tests.tests[0]).unwrap();
    let mut found = Vec::new();
    for (number, trace) in (1..).zip(&outcome.traces) {
        for Difference { what, expected, got } in trace.differences.clone() {
            found.push((number, what, expected, got));
        }
    }
    assert_eq!(outcome.passed(), found.is_empty());
    found
}

fn one(policies: &str, test: &str) -> Vec<String> {
    let text = format!("policies: {policies}\ntests: [{{name: t, {test}}}]");
    let found = differences(&text).into_iter();
    found.map(|(_, what, expected, got)| format!("{what}: {expected} != {got}")).collect()
}

#[test]
fn spans_are_what_they_are_said_to_be() {
    let cases = [
        ("span: ['name == \"span\" and kind == SPAN_KIND_INTERNAL']", "{}"),
        (
            "span: ['resource.attributes[\"service.name\"] == \"a\" and IsRootSpan()']",
            "{service: a}",
        ),
        (
            "span: ['resource.attributes[\"r\"] == 1 and name == \"c\"']",
            "{resource: {r: 1}, children: {name: c}}",
        ),
        (
            "span: ['resource.attributes[\"service.name\"] == \"b\" and not IsRootSpan()']",
            "{service: a, children: {service: b}}",
        ),
        (
            "span: ['kind == SPAN_KIND_CONSUMER and status.code == STATUS_CODE_OK']",
            "{kind: consumer, status: ok}",
        ),
        (
            "span: ['status.message == \"no\" and scope.name == \"lib\"']",
            "{status_message: no, scope: lib}",
        ),
        (
            "span: ['attributes[\"b\"] == true and attributes[\"d\"] == 1.5 and attributes[\"t\"] == \"x\"']",
            "{attributes: {b: true, d: 1.5, t: x}}",
        ),
        (
            "span: ['attributes[\"m\"][\"k\"] == 7 and Len(attributes[\"l\"]) == 2']",
            "{attributes: {m: {k: 7}, l: [1, x]}}",
        ),
        ("spanevent: ['name == \"e\"']", "{events: [f, e]}"),
        ("spanevent: ['attributes[\"x\"] == 1']", "{events: {name: e, attributes: {x: 1}}}"),
        ("span: ['trace_state[\"k\"] == \"v\" and flags == 0']", "{trace_state: k=v, flags: 0}"),
        (
            "span: ['trace.span_count == 6 and trace.duration_ms == 30']",
            "{count: 5, duration: 10ms, children: {start: 20ms, duration: 10ms}}",
        ),
        ("span: ['trace.duration_ms == 30']", "{children: {start: 20ms, duration: 10ms}}"),
        ("span: ['not IsRootSpan()']", "{has_parent: true}"),
    ];
    for (condition, spans) in cases {
        let policies =
            format!("[{{name: o, type: ottl_condition, ottl_condition: {{{condition}}}}}]");
        let kept = one(&policies, &format!("spans: {spans}, expect: keep"));
        assert_eq!(kept, [""; 0], "{condition} of {spans}");
        let other = one(&policies, "spans: {name: other, flags: 3}, expect: drop");
        assert_eq!(other, [""; 0], "{condition} of another span");
    }
}

#[test]
fn what_differs_is_told() {
    let policies = "[{name: errors, type: status_code, status_code: {status_codes: [ERROR]}}, \
                    {name: half, type: probabilistic, probabilistic: {sampling_percentage: 50}}]";
    let cases: [(&str, &[&str]); 7] = [
        ("spans: {}, expect: keep", &["decision: keep != drop"]),
        ("spans: {status: error}, expect: drop", &["decision: drop != keep"]),
        (
            "spans: {status: error}, expect: {decision: keep, policy: half}",
            &["policy: half != errors"],
        ),
        ("spans: {}, expect: {decision: drop, policy: errors}", &["policy: errors != none"]),
        (
            "randomness: 0.5, spans: {}, expect: {decision: keep, policy: none, threshold: c}",
            &["policy: none != half", "threshold: c != 8"],
        ),
        (
            "randomness: 0.499, spans: {status: error}, \
             expect: {decision: keep, threshold: none, votes: {errors: none, half: keep}}",
            &["threshold: none != 0", "vote of errors: none != keep", "vote of half: keep != none"],
        ),
        (
            "trace_id: 000000000000000000ffffffffffffff, spans: {}, \
             expect: {decision: keep, policy: half, threshold: '80'}",
            &[],
        ),
    ];
    for (test, expected) in cases {
        assert_eq!(one(policies, test), expected, "{test}");
    }
}

#[test]
fn traces_come_one_after_the_other_and_time_passes_between_them() {
    let text = "
policies: [{name: r, type: rate_limiting, rate_limiting: {spans_per_second: 10}}]
tests:
  - name: a bucket of 20
    traces:
      - {at: 1s, spans: {count: 10}, expect: keep}
      - {at: 0s, spans: {count: 15}, expect: keep}
      - {at: 0s, spans: {count: 6}, expect: keep}
      - {at: 0s, spans: {count: 5}, expect: {decision: keep, threshold: none}}
";
    let expected = (3, "decision".to_owned(), "keep".to_owned(), "drop".to_owned());
    assert_eq!(differences(text), [expected]);
}

#[test]
fn one_trace_cannot_be_two() {
    // The id that the first trace gets if none is given.
    let text = "
policies: [{name: a, type: always_sample}]
tests:
  - name: t
    traces:
      - {spans: {}, expect: keep}
      - {trace_id: \"00000000000000010000000000000000\", spans: {}, expect: keep}
";
    let tests = parse("tests.yaml", text, Path::new("")).unwrap();
    let error = check(&tests.policies, &tests.tests[0]).unwrap_err().to_string();
    assert_eq!(error, "two of its traces have the id 00000000000000010000000000000000");
}
