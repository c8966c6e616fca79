//! Each policy type by itself, with every choice of its fields.

use serde_json::Value;

use crate::policies::{
    Matching, PolicySet, always, and, boolean, drop, latency, latency_upto, not, number, ottl,
    ottl_with, salted, span_count, status, string, trace_flags, trace_state,
};
use crate::traces::{PART_MS, SEQUENCE_MS};

/// The sets, by names such as `latency-3`.
pub fn sets() -> Vec<PolicySet> {
    let groups: [(&str, Vec<Value>); 12] = [
        ("always", vec![always()]),
        ("latency", latencies()),
        ("status", statuses()),
        ("string", strings()),
        ("regex", expressions()),
        ("number", numbers()),
        ("boolean", booleans()),
        (
            "spans",
            [(1, 1), (2, 0), (2, 3), (0, 3), (8, 0), (5, 5)].map(|(a, b)| span_count(a, b)).into(),
        ),
        ("context", contexts()),
        ("salted", percentages()),
        ("ottl", conditions()),
        ("combined", combined()),
    ];
    let mut sets = Vec::new();
    for (group, policies) in groups {
        for (number, policy) in policies.into_iter().enumerate() {
            sets.push(PolicySet::new(format!("{group}-{number}"), vec![policy]));
        }
    }
    // A `drop` policy alone keeps nothing; what it drops shows beside one that keeps everything.
    for (number, policy) in drops().into_iter().enumerate() {
        sets.push(PolicySet::new(format!("drop-{number}"), vec![always(), policy]));
    }
    sets.push(PolicySet::new("drop-alone", vec![drops().remove(0)]));
    sets
}

fn latencies() -> Vec<Value> {
    let mut policies: Vec<Value> =
        [0, 1, 19, 20, 99, 100, 101, 250, 300, 499, 500, 1000, 4999, 5000].map(latency).into();
    // No upper bound.
    policies.push(latency_upto(100, 0));
    for (above, upto) in
        [(PART_MS, SEQUENCE_MS), (100, SEQUENCE_MS), (100, 500), (500, 1000), (999, 1000)]
    {
        policies.push(latency_upto(above, upto));
    }
    policies
}

fn statuses() -> Vec<Value> {
    let sets: [&[&str]; 5] =
        [&["OK"], &["ERROR"], &["UNSET"], &["OK", "ERROR"], &["ERROR", "UNSET", "OK"]];
    sets.map(status).into()
}

fn strings() -> Vec<Value> {
    vec![
        string("http.route", &["/checkout"], Matching::EXACT),
        string("http.route", &["/checkout", "/login"], Matching::EXACT),
        string("http.route", &["/CHECKOUT", "/check", "checkout"], Matching::EXACT),
        string("http.route", &["/Größe"], Matching::EXACT),
        string("http.route", &["/health"], Matching::NOT_EXACT),
        string("service.name", &["payment"], Matching::EXACT),
        string("service.name", &["frontend", "checkout"], Matching::NOT_EXACT),
        string("tenant", &["acme"], Matching::EXACT),
        string("tenant", &["acme", "val"], Matching::NOT_EXACT),
        string("mixed", &["75"], Matching::EXACT),
        string("mixed", &["true", "75"], Matching::NOT_EXACT),
        string("exception.type", &["ValueError"], Matching::EXACT),
        string("nowhere", &["x"], Matching::EXACT),
        string("nowhere", &["x"], Matching::NOT_EXACT),
    ]
}

/// None of them matches the empty text: see deviations.rs.
fn expressions() -> Vec<Value> {
    vec![
        string("tenant", &["val"], Matching::REGEX),
        string("tenant", &["^val$"], Matching::REGEX),
        string("tenant", &["(?i)^ACME$"], Matching::REGEX),
        string("tenant", &["^a", "x$"], Matching::REGEX),
        string("tenant", &["val"], Matching::NOT_REGEX),
        string("http.route", &["^/api/v[0-9]+/"], Matching::REGEX),
        string("http.route", &["^/(cart|login)$", "orders/[[:digit:]]{2}"], Matching::REGEX),
        string("http.route", &["/."], Matching::NOT_REGEX),
        string("http.route", &["\\pL\\x{df}"], Matching::REGEX),
        string("http.route", &["^/[^a-z]"], Matching::REGEX),
        string("mixed", &["^7.$"], Matching::REGEX),
        string("mixed", &["^(t|7)"], Matching::NOT_REGEX),
    ]
}

/// No bound is 0, and no range of `mixed` has 0 in it: see deviations.rs.
fn numbers() -> Vec<Value> {
    vec![
        number("level", (Some(50), Some(100)), false),
        number("level", (Some(51), Some(99)), false),
        number("level", (Some(50), None), false),
        number("level", (None, Some(49)), false),
        number("level", (None, Some(-5)), false),
        number("level", (Some(-5), Some(-1)), false),
        number("level", (Some(-1), Some(1)), false),
        number("level", (Some(i64::MAX), None), false),
        number("level", (Some(50), Some(100)), true),
        number("level", (None, Some(75)), true),
        number("http.response.status_code", (Some(400), Some(599)), false),
        number("http.response.status_code", (Some(500), None), true),
        number("mixed", (Some(75), Some(75)), false),
        number("mixed", (Some(1), None), true),
        number("ratio", (Some(1), Some(9)), false),
    ]
}

/// `mixed` is not asked whether it is false: see deviations.rs.
fn booleans() -> Vec<Value> {
    vec![
        boolean("retry", true, false),
        boolean("retry", false, false),
        boolean("retry", true, true),
        boolean("retry", false, true),
        boolean("feature", true, false),
        boolean("feature", false, true),
        boolean("mixed", true, false),
        boolean("mixed", true, true),
        boolean("nowhere", false, false),
        boolean("nowhere", false, true),
    ]
}

fn contexts() -> Vec<Value> {
    vec![
        trace_state("tk", &["v1"]),
        trace_state("tk", &["v1", "v2"]),
        trace_state("tk", &["V1", "a b", " v1"]),
        trace_state("x", &["y"]),
        trace_state("acme@vendor", &["1"]),
        trace_state("0acme@vendor", &["1"]),
        trace_state("ot", &["th:8;rv:9abcdef0123456"]),
        trace_state("nowhere", &["v1"]),
        trace_flags(),
    ]
}

fn percentages() -> Vec<Value> {
    let mut policies: Vec<Value> =
        [0.0, 0.1, 1.0, 5.0, 10.0, 25.0, 33.3333, 50.0, 87.5, 99.9, 100.0, 150.0]
            .map(|percentage| salted(percentage, "a salt"))
            .into();
    policies.push(salted(10.0, "another"));
    policies.push(salted(10.0, "default-hash-seed"));
    policies.push(salted(10.0, ""));
    policies
}

fn conditions() -> Vec<Value> {
    let spans: [&[&str]; 24] = [
        &["span.attributes[\"http.route\"] == \"/checkout\""],
        &["attributes[\"http.route\"] != \"/checkout\""],
        &["span.attributes[\"http.response.status_code\"] >= 500"],
        &["span.attributes[\"ratio\"] > 5"],
        &["span.attributes[\"ratio\"] == 2.5"],
        &["span.attributes[\"level\"] < 0 and span.status.code == STATUS_CODE_ERROR"],
        &["span.attributes[\"retry\"] == true"],
        &["span.attributes[\"mixed\"] == 75"],
        &["span.attributes[\"mixed\"] != nil"],
        &["span.attributes[\"mixed\"] == \"75\" or span.attributes[\"mixed\"] == true"],
        &["span.attributes[\"deep\"][\"a\"][\"b\"] == \"acme\""],
        &["span.attributes[\"deep\"][\"n\"] > 50"],
        &[
            "resource.attributes[\"service.name\"] == \"payment\" and not (span.kind == SPAN_KIND_SERVER)",
        ],
        &["resource.attributes[\"feature\"] == true and span.attributes[\"level\"] != nil"],
        &["IsMatch(span.name, \"^GET \") and span.status.code == STATUS_CODE_ERROR"],
        &["span.name == \"db.query\"", "span.name == \"Größer 世界\""],
        &["span.kind == SPAN_KIND_CLIENT and span.status.message == \"timeout\""],
        &["IsRootSpan() and span.status.code == STATUS_CODE_ERROR"],
        &["not IsRootSpan()"],
        &["instrumentation_scope.name == \"lib.db\" and instrumentation_scope.version == \"1.2\""],
        &["IsString(span.attributes[\"mixed\"])"],
        &["IsMap(span.attributes[\"mixed\"]) or IsList(span.attributes[\"mixed\"])"],
        &["span.trace_state == \"tk=v1,x=y\""],
        &["Len(span.name) > 12"],
    ];
    let events: [&[&str]; 6] = [
        &["spanevent.name == \"exception\""],
        &[
            "spanevent.name == \"exception\" and spanevent.attributes[\"exception.type\"] == \"ValueError\"",
        ],
        &["attributes[\"level\"] == 75"],
        &["spanevent.attributes[\"mixed\"] != nil and span.kind == SPAN_KIND_SERVER"],
        &["resource.attributes[\"service.name\"] == \"checkout\""],
        &["span.attributes[\"retry\"] == false", "spanevent.name == \"\""],
    ];
    let mut policies: Vec<Value> = spans.iter().map(|span| ottl(span, &[])).collect();
    policies.extend(events.iter().map(|event| ottl(&[], event)));
    policies.push(ottl(&["span.name == \"render\""], &["spanevent.name == \"log\""]));
    // There is no length of a number.
    let length = "Len(span.attributes[\"mixed\"]) > 2";
    let other = "Len(span.attributes[\"nowhere\"]) == 1 or span.name == \"render\"";
    policies.push(ottl(&[length], &[]));
    policies.push(ottl(&[length, "span.name == \"render\""], &[]));
    policies.push(ottl(&[other, "span.name == \"db.query\""], &[]));
    policies.push(ottl_with("silent", &[&format!("not ({length})")], &[]));
    policies.push(ottl_with("propagate", &["span.name == \"render\""], &[]));
    policies
}

fn combined() -> Vec<Value> {
    let slow = || latency(100);
    let error = || status(&["ERROR"]);
    vec![
        and(&[error()]),
        and(&[error(), slow()]),
        and(&[slow(), string("http.route", &["/health"], Matching::NOT_EXACT)]),
        and(&[slow(), not(error())]),
        and(&[salted(50.0, "a"), salted(50.0, "b")]),
        and(&[always(), span_count(2, 4), trace_flags()]),
        not(error()),
        not(always()),
        not(string("tenant", &["acme"], Matching::NOT_EXACT)),
        not(salted(30.0, "a salt")),
        not(latency_upto(100, 500)),
        not(ottl(&["IsRootSpan()"], &[])),
    ]
}

fn drops() -> Vec<Value> {
    vec![
        drop(&[string("http.route", &["/health"], Matching::EXACT)]),
        drop(&[status(&["OK"]), span_count(2, 0)]),
        drop(&[not(status(&["ERROR"]))]),
        drop(&[string("tenant", &["acme"], Matching::NOT_EXACT), latency(250)]),
        drop(&[salted(50.0, "a salt")]),
    ]
}
