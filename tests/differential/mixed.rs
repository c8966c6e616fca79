//! Policy sets that were put together at random; the same ones always.
//!
//! They keep to what means the same in both samplers: the Collector's nesting (`and` and `drop`
//! hold simple policies and `not`, `not` holds a simple one), and what deviations.rs does not list.

use serde_json::Value;

use crate::policies::{
    Matching, PolicySet, and, boolean, drop, latency, latency_upto, not, number, numbered, ottl,
    salted, span_count, status, string, trace_flags, trace_state,
};
use crate::random::Random;
use crate::traces::{PART_MS, SEQUENCE_MS};

const SETS: u64 = 80;
const SEED: u64 = 0x0073_6965_7665;

const SPAN_CONDITIONS: [&str; 14] = [
    "span.attributes[\"http.route\"] == \"/cart\"",
    "span.attributes[\"http.response.status_code\"] == 503",
    "span.attributes[\"level\"] > 90",
    "span.attributes[\"ratio\"] <= 0.5",
    "span.attributes[\"mixed\"] == true",
    "span.attributes[\"deep\"][\"n\"] < 0",
    "resource.attributes[\"tenant\"] == \"globex\"",
    "resource.attributes[\"mixed\"] == \"val\"",
    "span.kind == SPAN_KIND_PRODUCER",
    "span.status.message == \"timeout\"",
    "IsRootSpan()",
    "IsMatch(span.name, \"(?i)get\")",
    "instrumentation_scope.name == \"lib.http\"",
    "span.attributes[\"retry\"] != nil",
];
const EVENT_CONDITIONS: [&str; 4] = [
    "spanevent.name == \"exception\"",
    "spanevent.attributes[\"level\"] >= 75",
    "spanevent.attributes[\"exception.type\"] == \"ValueError\"",
    "spanevent.attributes[\"feature\"] == true",
];

pub fn sets() -> Vec<PolicySet> {
    let set = |number| {
        let mut random = Random::new(SEED + number);
        let count = 2 + random.below(5);
        let policies: Vec<Value> = (0..count).map(|_| policy(&mut random)).collect();
        PolicySet::new(format!("mixed-{number}"), numbered(&policies))
    };
    (0..SETS).map(set).collect()
}

/// A policy of the top level.
fn policy(random: &mut Random) -> Value {
    match random.below(10) {
        0..=3 => and(&several(random, 2)),
        4 => not(broad(random)),
        5 | 6 => drop(&several(random, 1)),
        _ => narrow(random),
    }
}

/// From `least` to three simple or negated policies.
fn several(random: &mut Random, least: u64) -> Vec<Value> {
    let count = least + random.below(4 - least);
    (0..count)
        .map(|_| match random.below(5) {
            0 => not(narrow(random)),
            1 | 2 => broad(random),
            _ => narrow(random),
        })
        .collect()
}

/// A simple policy that few traces are kept by.
fn narrow(random: &mut Random) -> Value {
    let (low, high) = (random.below(300) as i64, random.below(300) as i64);
    match random.below(11) {
        0 => latency(500 + random.below(5000)),
        1 => latency_upto(PART_MS + random.below(500), SEQUENCE_MS + random.below(900)),
        2 => string("tenant", &[random.pick(&["acme", "val", "globex"])], Matching::EXACT),
        3 => string("http.route", &[random.pick(&["^/ch", "[0-9]", "a.?t$"])], Matching::REGEX),
        4 => number("level", (Some(1 + low), Some(1 + low + high)), false),
        5 => boolean(random.pick(&["retry", "feature"]), random.percent(50), false),
        6 => trace_state("tk", &[random.pick(&["v1", "v2", "v3"])]),
        7 => salted(random.below(200) as f64 / 10.0, random.pick(&["", "a", "b"])),
        8 => condition(random),
        9 => span_count(5 + random.below(4) as u32, 0),
        _ => status(&["ERROR"]),
    }
}

/// A simple policy that many traces are kept by.
fn broad(random: &mut Random) -> Value {
    match random.below(8) {
        0 => latency(random.below(400)),
        1 => string("service.name", &[random.pick(&["frontend", "payment"])], Matching::NOT_EXACT),
        2 => string("mixed", &[random.pick(&["7", "^val$"])], Matching::NOT_REGEX),
        3 => number("http.response.status_code", (Some(300), Some(499)), true),
        4 => boolean(random.pick(&["mixed", "feature"]), true, true),
        5 => span_count(1 + random.below(3) as u32, 3 + random.below(6) as u32),
        6 => salted(50.0 + random.below(500) as f64 / 10.0, random.pick(&["", "a", "b"])),
        _ => trace_flags(),
    }
}

fn condition(random: &mut Random) -> Value {
    let condition = match random.below(4) {
        0 => {
            let events = [random.pick(&EVENT_CONDITIONS)];
            return ottl(&[], &events);
        }
        1 => format!("{} or {}", random.pick(&SPAN_CONDITIONS), random.pick(&SPAN_CONDITIONS)),
        2 => format!("{} and not {}", random.pick(&SPAN_CONDITIONS), random.pick(&SPAN_CONDITIONS)),
        _ => return ottl(&[random.pick(&SPAN_CONDITIONS)], &[]),
    };
    ottl(&[&condition], &[])
}
