//! The examples of `docs/policies.md`, each of them run on traces that it is for and on others.

use std::collections::BTreeSet;
use std::fs;

use crate::{tailsieve, told};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/policies.md");
const SCHEMA: &str = include_str!("../../config/schema/policies.schema.json");

/// A type, what is decided by its example, how its policies vote, and the trace: keys of a test.
const CASES: [(&str, &str, &str, &str); 38] = [
    ("always_sample", "keep", "everything: keep", "spans: {}"),
    ("status_code", "keep", "errors: keep", "spans: {status: error}"),
    ("status_code", "drop", "errors: none", "spans: {status: ok}"),
    ("latency", "keep", "slow: keep", "spans: {duration: 1001ms}"),
    ("latency", "drop", "slow: none", "spans: {duration: 1s}"),
    ("latency", "drop", "slow: none", "spans: {duration: 60001ms}"),
    (
        "string_attribute",
        "keep",
        "checkout: keep",
        "spans: {attributes: {http.route: /checkout/1}}",
    ),
    (
        "string_attribute",
        "drop",
        "checkout: none",
        "spans: {attributes: {http.route: /a/checkout}}",
    ),
    (
        "numeric_attribute",
        "keep",
        "server-errors: keep",
        "spans: {attributes: {http.response.status_code: 503}}",
    ),
    (
        "numeric_attribute",
        "drop",
        "server-errors: none",
        "spans: {attributes: {http.response.status_code: 404}}",
    ),
    (
        "boolean_attribute",
        "keep",
        "new-checkout: keep",
        "spans: {attributes: {feature.new_checkout: true}}",
    ),
    (
        "boolean_attribute",
        "drop",
        "new-checkout: none",
        "spans: {attributes: {feature.new_checkout: false}}",
    ),
    ("span_count", "keep", "large: keep", "spans: {count: 500}"),
    ("span_count", "drop", "large: none", "spans: {count: 499}"),
    ("trace_state", "keep", "marked-by-vendor: keep", "spans: {trace_state: 'vendor=important'}"),
    ("trace_state", "drop", "marked-by-vendor: none", "spans: {trace_state: 'vendor=other'}"),
    ("trace_flags", "keep", "sampled-upstream: keep", "spans: {flags: 1}"),
    ("trace_flags", "drop", "sampled-upstream: none", "spans: {flags: 0}"),
    ("probabilistic", "keep", "the-rest: keep", "randomness: 0.95, spans: {}"),
    ("probabilistic", "drop", "the-rest: none", "randomness: 0.85, spans: {}"),
    ("rate_limiting", "keep", "at-most: keep", "spans: {count: 2000}"),
    ("bytes_limiting", "keep", "at-most: none, at-most-bytes: keep", "spans: {count: 2001}"),
    ("bytes_limiting", "drop", "at-most: none, at-most-bytes: none", "spans: {count: 40000}"),
    (
        "ottl_condition",
        "keep",
        "interesting: keep",
        "spans: {service: checkout, attributes: {http.response.status_code: 500}}",
    ),
    (
        "ottl_condition",
        "drop",
        "interesting: none",
        "spans: {service: cart, attributes: {http.response.status_code: 500}}",
    ),
    ("ottl_condition", "keep", "interesting: keep", "spans: {events: [{name: exception}]}"),
    (
        "and",
        "keep",
        "slow-checkout: keep",
        "spans: {duration: 501ms, attributes: {http.route: /checkout}}",
    ),
    (
        "and",
        "drop",
        "slow-checkout: none",
        "spans: {duration: 501ms, attributes: {http.route: /cart}}",
    ),
    ("not", "keep", "not-from-staging: keep", "spans: {}"),
    (
        "not",
        "drop",
        "not-from-staging: none",
        "spans: {resource: {deployment.environment.name: staging}}",
    ),
    ("drop", "drop", "no-health-checks: drop", "spans: {attributes: {url.path: /healthz}}"),
    ("drop", "drop", "no-health-checks: none", "spans: {attributes: {url.path: /cart}}"),
    ("composite", "keep", "within-budget: keep", "spans: {status: error, count: 700}"),
    ("composite", "drop", "within-budget: none", "spans: {count: 1001}"),
    ("rule", "drop", "health-checks: drop", "spans: {attributes: {url.path: /healthz}}"),
    ("rule", "keep", "slow-payments: keep", "spans: {service: payments, duration: 301ms}"),
    ("rule", "keep", "the-rest: keep", "randomness: 0.96, spans: {}"),
    ("rule", "drop", "the-rest: drop", "randomness: 0.94, spans: {}"),
];

/// The examples below the heading of a type.
fn example(page: &str, kind: &str) -> String {
    let heading = format!("`{kind}`");
    let is_it = |section: &&str| section.lines().next().is_some_and(|it| it.contains(&heading));
    let section = page.split("\n### ").find(is_it).unwrap_or_else(|| panic!("no section {kind}"));
    // What follows is another chapter.
    let section = section.split("\n## ").next().expect("one at least");
    let blocks = section.split("```yaml\n").skip(1);
    blocks.map(|block| block.split("```").next().expect("one at least")).collect()
}

/// Guarantees: the example of each policy type can be used as it stands, without a warning, and keeps and
/// drops what the page says.
#[test]
fn examples_of_policies_do_what_the_page_says() {
    let page = fs::read_to_string(PAGE).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tests.yaml");
    for kind in CASES.iter().map(|(kind, ..)| *kind).collect::<BTreeSet<_>>() {
        let mut text = format!("policies:\n{}tests:\n", example(&page, kind));
        let cases = CASES.iter().filter(|(of, ..)| *of == kind);
        for (number, (_, decision, votes, trace)) in cases.enumerate() {
            let expect = format!("{{decision: {decision}, votes: {{{votes}}}}}");
            text += &format!("  - {{name: '{number}', {trace}, expect: {expect}}}\n");
        }
        fs::write(&file, &text).unwrap();
        let (code, out, err) = told(&tailsieve(&["test", file.to_str().unwrap()]));
        assert_eq!(code, 0, "{kind}:\n{text}\n{out}{err}");
        let policies = format!("policies:\n{}", example(&page, kind));
        fs::write(&file, &policies).unwrap();
        let (code, out, err) = told(&tailsieve(&["validate", file.to_str().unwrap()]));
        assert_eq!(code, 0, "{kind}:\n{policies}\n{out}{err}");
    }
}

#[test]
fn every_type_has_an_example() {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    let types = schema["definitions"]["Policy"]["oneOf"].as_array().unwrap();
    let types = types.iter().map(|it| it["properties"]["type"]["const"].as_str().unwrap());
    let tried: BTreeSet<&str> = CASES.iter().map(|(kind, ..)| *kind).collect();
    assert_eq!(tried, types.collect());
}
