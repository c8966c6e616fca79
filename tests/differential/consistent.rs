//! Consistent probability: traces whose tracestate tells their randomness, their threshold, or
//! both, and the rule by which all samplers decide them.
//!
//! The Collector follows the rule where its gate `processor.tailsamplingprocessor.usetracestate`
//! is on. It writes thresholds in full, tailsieve with four significant digits, as most do.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::attributes::{attribute, text};
use crate::input::{Input, spans};
use crate::policies::Matching;
use crate::policies::{PolicySet, and, numbered, policy, span_count, status, string};
use crate::random::Random;

const TRACES: u64 = 1500;
const SEED: u64 = 0x6f74;
pub const GATE: &str = "processor.tailsamplingprocessor.usetracestate";

/// A trace as the rule sees it.
#[derive(Debug)]
pub struct Facts {
    pub randomness: u64,
    /// What came in; 0 where nothing did.
    pub threshold: u64,
    is_error: bool,
}

/// Policies, and the threshold that the rule makes of them.
struct Consistent {
    pub set: PolicySet,
    /// The one of 56 bits that a trace has to pass, by whether it has an error.
    threshold: (u64, u64),
}

impl Consistent {
    /// What the trace's threshold is, if it is kept.
    fn outcome(&self, facts: &Facts) -> Option<u64> {
        let (error, other) = self.threshold;
        let applied = if facts.is_error { error } else { other };
        (facts.randomness >= applied).then_some(applied)
    }
}

/// All of it, decided by the rule.
pub struct Ruled {
    pub sets: Vec<PolicySet>,
    pub input: Input,
    /// By trace.
    pub facts: Vec<Facts>,
    /// By set and trace: the threshold that was applied, if the trace is kept.
    pub expected: Vec<Vec<Option<u64>>>,
}

pub fn ruled() -> Ruled {
    let (input, facts) = generate();
    let sets = sets();
    let outcomes = |set: &Consistent| facts.iter().map(|facts| set.outcome(facts)).collect();
    let expected = sets.iter().map(outcomes).collect();
    Ruled {
        sets: sets.into_iter().map(|consistent| consistent.set).collect(),
        input,
        facts,
        expected,
    }
}

/// The threshold that `th` writes like this.
pub fn threshold(th: &str) -> u64 {
    u64::from_str_radix(&format!("{th:0<14}"), 16).unwrap()
}

/// By trace: the threshold that its spans have in OTLP JSON documents; 0 if they have none.
pub fn thresholds(documents: &str) -> HashMap<String, u64> {
    let mut by_id = HashMap::new();
    for document in documents.lines() {
        let document: Value = serde_json::from_str(document).unwrap();
        for span in spans(&document) {
            let trace_state = span["traceState"].as_str().unwrap_or_default();
            let entry = trace_state.split(',').find_map(|member| member.strip_prefix("ot="));
            let mut pairs = entry.into_iter().flat_map(|entry| entry.split(';'));
            let th = pairs.find_map(|pair| pair.strip_prefix("th:")).unwrap_or("0");
            by_id.insert(span["traceId"].as_str().unwrap().to_owned(), threshold(th));
        }
    }
    by_id
}

/// Whether two thresholds differ by no more than four significant digits allow.
pub fn is_close(one: u64, other: u64) -> bool {
    let chance = (1_u64 << 56) - one.max(other);
    one.abs_diff(other) <= chance >> 12
}

fn percent(percentage: f64) -> Value {
    policy("probabilistic", json!({"sampling_percentage": percentage}))
}

/// Sets whose thresholds are those of the specification's examples, or follow from them.
fn sets() -> Vec<Consistent> {
    let error = || status(&["ERROR"]);
    let cases = [
        (vec![percent(100.0)], "0", "0"),
        (vec![percent(50.0)], "8", "8"),
        (vec![percent(25.0)], "c", "c"),
        (vec![percent(10.0)], "e666", "e666"),
        (vec![percent(5.0)], "f3333", "f3333"),
        (vec![percent(1.0)], "fd70a", "fd70a"),
        (vec![percent(99.9)], "004189", "004189"),
        (vec![percent(10.0), error()], "0", "e666"),
        (vec![percent(10.0), percent(25.0), percent(1.0)], "c", "c"),
        (vec![and(&[percent(25.0), percent(10.0)])], "e666", "e666"),
        (vec![and(&[span_count(1, 0), percent(50.0)]), percent(10.0)], "8", "8"),
        (vec![and(&[error(), percent(50.0)]), percent(10.0)], "8", "e666"),
        (vec![percent(25.0), string("nowhere", &["x"], Matching::EXACT)], "c", "c"),
    ];
    let set = |(number, (policies, error, other)): (usize, (Vec<Value>, &str, &str))| Consistent {
        set: PolicySet::new(format!("consistent-{number}"), numbered(&policies)),
        threshold: (threshold(error), threshold(other)),
    };
    cases.into_iter().enumerate().map(set).collect()
}

/// Traces and what the rule knows of them.
fn generate() -> (Input, Vec<Facts>) {
    let mut documents = Vec::new();
    let mut facts = Vec::new();
    for number in 0..TRACES {
        let (document, of_trace) = trace(&mut Random::new(SEED + number), number);
        documents.push(document);
        facts.push(of_trace);
    }
    (Input::new(documents), facts)
}

fn trace(random: &mut Random, number: u64) -> (Value, Facts) {
    let id = random.id(32);
    let of_id = u64::from_str_radix(&id[18..], 16).unwrap();
    let own = random.next() >> 8;
    let has_own = random.percent(60);
    let randomness = if has_own { own } else { of_id };
    // Only a threshold that the trace has passed.
    let passed = ["8", "c", "4", "0", "e666"].map(|th| (th, threshold(th)));
    let th = passed.into_iter().find(|(_, value)| randomness >= *value && random.percent(40));
    let th = th.or((!has_own).then_some(("0", 0)));
    let mut entries = Vec::new();
    entries.extend(th.map(|(th, _)| format!("th:{th}")));
    entries.extend(has_own.then(|| format!("rv:{own:014x}")));
    let before = random.pick(&["", "acme=1,"]);
    let trace_state = format!("{before}ot={}", entries.join(";"));
    let is_error = random.percent(10);
    let span = json!({
        "traceId": id,
        "spanId": random.id(16),
        "name": "work",
        "startTimeUnixNano": "1760000000000000000",
        "endTimeUnixNano": "1760000000001000000",
        "traceState": trace_state,
        "status": {"code": if is_error { 2 } else { 0 }},
    });
    let resource = json!({"attributes": [attribute("service.name", text("shop"))]});
    let document = json!({
        "recordTimestampMs": 1_760_000_000_000 + number,
        "resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}],
    });
    (document, Facts { randomness, threshold: th.map_or(0, |(_, value)| value), is_error })
}
