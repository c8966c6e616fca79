//! `tailsieve test`: users' tests of their policies.

use serde_json::{Value, json};

use crate::rig::tailsieve;

const POLICIES: &str = "policies:
  - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
  - {name: slow, type: latency, latency: {threshold_ms: 1000}}
";

const TESTS: &str = "policies: policies.yaml
tests:
  - name: errors are kept
    spans: {status: error}
    expect: keep
  - name: slow ones are, too
    spans: {duration: 1s}
    expect: {decision: keep, policy: slow}
";

#[test]
fn the_example_passes() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/config/policy-tests.yaml");
    let answer = tailsieve(&["test", example], &[], b"");
    assert_eq!(answer.code, 0, "{}{}", answer.out, answer.err);
    assert!(answer.out.ends_with("\n8 passed, 0 failed\n"), "{}", answer.out);
}

#[test]
fn a_failure_shows_what_was_expected_and_what_every_policy_said() {
    let files = [("policies.yaml", POLICIES.as_bytes()), ("t.yaml", TESTS.as_bytes())];
    let answer = tailsieve(&["test", "t.yaml"], &files, b"");
    let expected = "t.yaml
  ok    errors are kept
  FAIL  slow ones are, too (t.yaml:6)
          decision: expected keep, got drop
          policy: expected slow, got none
          drop, no policy keeps it
            none  errors  status_code: no span is ERROR
            none  slow    latency: 1000 ms <= 1000 ms

1 passed, 1 failed
";
    assert_eq!((answer.code, answer.out.as_str()), (1, expected), "{}", answer.err);
}

#[test]
fn json_has_a_line_for_each_test() {
    let files = [("policies.yaml", POLICIES.as_bytes()), ("t.yaml", TESTS.as_bytes())];
    let answer = tailsieve(&["test", "--output", "json", "t.yaml"], &files, b"");
    let lines: Vec<Value> =
        answer.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((answer.code, lines.len()), (1, 3), "{}", answer.err);
    assert_eq!((&lines[0]["passed"], &lines[1]["passed"]), (&json!(true), &json!(false)));
    assert_eq!((&lines[1]["test"], &lines[1]["line"]), (&json!("slow ones are, too"), &json!(6)));
    let trace = &lines[1]["traces"][0];
    assert_eq!(
        trace["differences"][1],
        json!({ "what": "policy", "expected": "slow", "got": "none" })
    );
    assert_eq!(trace["votes"][1]["reason"], "latency: 1000 ms <= 1000 ms");
    assert_eq!(lines[2], json!({ "summary": { "passed": 1, "failed": 1 } }));
}

#[test]
fn files_that_are_wrong_end_it_before_any_test_is_run() {
    let bad = TESTS.replace("expect: keep", "expect: kept");
    let files = [
        ("policies.yaml", POLICIES.as_bytes()),
        ("t.yaml", TESTS.as_bytes()),
        ("bad.yaml", bad.as_bytes()),
    ];
    let answer = tailsieve(&["test", "t.yaml", "bad.yaml", "nowhere.yaml"], &files, b"");
    assert_eq!((answer.code, answer.out.as_str()), (2, ""), "{}", answer.err);
    for part in ["bad.yaml:5:13: expect", "nowhere.yaml: cannot be read"] {
        assert!(answer.err.contains(part), "{part} is not in:\n{}", answer.err);
    }
}
