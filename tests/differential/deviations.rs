//! Where tailsieve decides otherwise than the Collector, on purpose: case by case, what each of
//! them keeps.

use serde_json::{Value, json};

use crate::attributes::{attribute, text, whole};
use crate::input::Input;
use crate::policies::{
    Matching, PolicySet, always, and, boolean, latency, latency_upto, not, number, ottl_with,
    policy, status, string, trace_state,
};

/// Names of traces.
type Names = &'static [&'static str];

/// A policy on which the two differ.
pub struct Deviation {
    pub set: PolicySet,
    pub collector: Says,
    /// What tailsieve keeps.
    pub tailsieve: Names,
}

/// What the Collector does with a policy.
pub enum Says {
    Keeps(Names),
    /// It does not start.
    Refuses,
}

/// Starts and ends of spans, in milliseconds.
type Times = &'static [(u64, u64)];

const BEGIN_MS: u64 = 1_760_000_000_000;
const SHORT: Times = &[(0, 10)];
/// A time that is not there.
const UNSET: u64 = u64::MAX;

/// The traces by name, in the order of [`input`].
pub const TRACES: [&str; 10] = [
    "part",
    "level -5",
    "level 75 as text",
    "empty note",
    "resource's note 1",
    "long member",
    "route größe",
    "two notes",
    "no times",
    "list, then none",
];

/// What both are given.
pub fn input() -> Input {
    let note = |value| vec![attribute("note", value)];
    let no = Vec::new;
    let long = long_value();
    let members = format!("tk={long}");
    let route = vec![attribute("route", text("größe"))];
    let two = vec![attribute("note", text("a")), attribute("note", text("b"))];
    // The child comes before the root, and is shorter.
    let documents = vec![
        trace(0, &[(10, 40), (0, 200)], "", no(), no()),
        trace(1, SHORT, "", no(), vec![attribute("level", whole(-5))]),
        trace(2, SHORT, "", no(), vec![attribute("level", text("75"))]),
        trace(3, SHORT, "", no(), note(text(""))),
        trace(4, SHORT, "", note(whole(1)), no()),
        trace(5, SHORT, &members, no(), no()),
        trace(6, SHORT, "ot=rv:ffffffffffffff", no(), route),
        trace(7, SHORT, "", no(), two),
        trace(8, &[(UNSET, UNSET), (0, 10)], "", no(), no()),
        list_then_none(9),
    ];
    Input::new(documents)
}

fn trace(
    number: usize,
    times: Times,
    trace_state: &str,
    resource: Vec<Value>,
    attributes: Vec<Value>,
) -> Value {
    let nanos = |ms| if ms == UNSET { "0".to_owned() } else { format!("{}000000", BEGIN_MS + ms) };
    let span = |(index, (start, end)): (usize, &(u64, u64))| {
        json!({
            "traceId": format!("{:032x}", number + 1),
            "spanId": format!("{:016x}", index + 1),
            "name": "work",
            "startTimeUnixNano": nanos(*start),
            "endTimeUnixNano": nanos(*end),
            "traceState": trace_state,
            "attributes": attributes,
        })
    };
    let spans: Vec<Value> = times.iter().enumerate().map(span).collect();
    let resource = json!({"attributes": resource});
    json!({
        "recordTimestampMs": BEGIN_MS,
        "resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}],
    })
}

/// A trace whose first span has an attribute with a length, and whose second one has not.
fn list_then_none(number: usize) -> Value {
    let list = vec![attribute("list", text("long enough"))];
    let mut trace = trace(number, &[(0, 10), (0, 10)], "", Vec::new(), list);
    let spans = &mut trace["resourceSpans"][0]["scopeSpans"][0]["spans"];
    spans[1]["attributes"] = json!([attribute("list", whole(1))]);
    trace
}

/// A value that a tracestate may have.
fn long_value() -> String {
    "v".repeat(254)
}

/// The Collector's says first.
fn deviation(name: &str, policy: Value, collector: Says, tailsieve: Names) -> Deviation {
    Deviation { set: PolicySet::new(name, vec![policy]), collector, tailsieve }
}

pub fn deviations() -> Vec<Deviation> {
    use Says::{Keeps, Refuses};
    let error = || status(&["ERROR"]);
    vec![
        // `latency` [d]: the Collector decides at the first spans that are between the bounds.
        deviation("latency-of-a-part", latency_upto(20, 50), Keeps(&["part"]), &[]),
        // ... and takes a start of 0 for none.
        deviation("no-times", latency(1000), Keeps(&[]), &["no times"]),
        // `numeric_attribute` [d]: to the Collector a bound of 0 is none. Its other types are 0.
        deviation(
            "bound-0",
            number("level", (Some(0), Some(10)), false),
            Keeps(&["level -5", "level 75 as text"]),
            &[],
        ),
        // Types are strict [d]: to the Collector any other type is 0 ...
        deviation(
            "number-of-text",
            number("level", (Some(-1), Some(1)), false),
            Keeps(&["level 75 as text"]),
            &[],
        ),
        // ... or false ...
        deviation(
            "boolean-of-text",
            boolean("level", false, false),
            Keeps(&["level -5", "level 75 as text"]),
            &[],
        ),
        // ... or, on a resource, "". On a span, "" is nothing to it.
        deviation(
            "text-of-number",
            string("note", &["^$"], Matching::REGEX),
            Keeps(&["resource's note 1"]),
            &["empty note"],
        ),
        deviation(
            "empty-text",
            string("note", &[""], Matching::EXACT),
            Keeps(&[]),
            &["empty note"],
        ),
        // Policies nest freely [d].
        deviation("nested-in-not", not(and(&[always(), error()])), Refuses, &TRACES),
        deviation(
            "nested-in-and",
            and(&[always(), and(&[latency(100)])]),
            Refuses,
            &["part", "no times"],
        ),
        // Randomness [d]: without `hash_salt` the Collector hashes with a salt of its own. Of the
        // trace ids here, which are low, tailsieve keeps what has a high `rv` instead.
        deviation(
            "randomness",
            policy("probabilistic", json!({"sampling_percentage": 50})),
            Keeps(&[]),
            &["route größe"],
        ),
    ]
}

/// Where the two might be expected to differ, and do not.
pub fn agreements() -> Vec<Deviation> {
    use Says::Keeps;
    let digits_and_letters = string("route", &["^\\w+$"], Matching::REGEX);
    let long = long_value();
    // Most traces have no such attribute, and nothing has no length.
    let fails = || ottl_with("propagate", &["Len(span.attributes[\"list\"]) > 1"], &[]);
    vec![
        // The Collector stops at the first span for which it is true or fails.
        deviation("true-then-failed", fails(), Keeps(&["list, then none"]), &["list, then none"]),
        // To the Collector, what is not known is not known to be false either.
        deviation("not-failed", not(fails()), Keeps(&[]), &[]),
        deviation("long-member", trace_state("tk", &[&long]), Keeps(&[]), &[]),
        deviation("unicode-classes", digits_and_letters, Keeps(&[]), &[]),
        deviation("key-twice", string("note", &["b"], Matching::EXACT), Keeps(&[]), &[]),
    ]
}
