//! The generated traces: thousands, of every shape that a policy may tell apart.
//!
//! Every trace depends on its own number only. Promised, since the Collector's `latency` policy
//! with an upper bound looks at the first spans only (see deviations.rs): the duration of a part
//! of a trace is at most [`PART_MS`], or the whole duration, or both are at most [`SEQUENCE_MS`].

use serde_json::{Value, json};

use crate::attributes;
use crate::input::Input;
use crate::random::Random;

const TRACES: u64 = 3200;
const SEED: u64 = 0x7461_696c;

/// The longest that spans below the longest one take together.
pub const PART_MS: u64 = 20;
/// The longest that a trace of spans one after the other takes.
pub const SEQUENCE_MS: u64 = 300;

/// Durations at which, and next to which, policies have their bounds.
const BOUNDS_MS: [u64; 9] = [0, 1, 20, 100, 250, 300, 500, 1000, 5000];
const MILLISECOND: u64 = 1_000_000;
/// Unix time in nanoseconds.
const BEGIN: u64 = 1_760_000_000_000_000_000;

const SERVICES: [&str; 5] = ["frontend", "checkout", "inventory", "payment", ""];
const NAMES: [&str; 7] =
    ["GET /checkout", "GET /health", "db.query", "render", "Größer 世界", "", "publish orders"];
const FLAGS: [u64; 7] = [0, 0, 0x100, 0x101, 0x300, 0x301, 0x103];
const TRACE_STATES: [&str; 25] = [
    "",
    "",
    "",
    "",
    "tk=v1",
    "tk=v1,x=y",
    "x=y,tk=v1",
    "x=y , tk=v2\t",
    "tk=v2",
    "tk=v1,tk=v2",
    "tk=v1,x",
    "tk=v1,=y",
    "TK=v1",
    "tk=v1,X=y",
    "tk=V1",
    "tk=a b",
    ",,tk=v1,",
    "tk=v1, ,x=y",
    "acme@vendor=1,tk=v2",
    "0acme@vendor=1",
    "tk= v1",
    "tk =v1",
    "tk=v1,x=a=b",
    "ot=th:8;rv:9abcdef0123456,tk=v3",
    "ot=rv:00000000000001",
];

/// A span and where it stands.
struct Placed {
    resource: Value,
    scope: Value,
    span: Value,
}

/// A scope and its spans.
type Scoped = (Value, Vec<Value>);

/// From the earliest start of a trace, in nanoseconds.
#[derive(Clone, Copy)]
struct Times {
    start: u64,
    end: u64,
}

/// The generated traces; the same ones always.
pub fn generate() -> Input {
    let mut records: Vec<Vec<Placed>> = Vec::new();
    for number in 0..TRACES {
        let mut random = Random::new(SEED + number);
        for (part, spans) in parts(&mut random, number).into_iter().enumerate() {
            let record = (number / 3) as usize + 5 * part;
            records.resize_with(records.len().max(record + 1), Vec::new);
            records[record].extend(spans);
        }
    }
    Input::new(records.into_iter().enumerate().map(|(n, spans)| document(n, spans)).collect())
}

/// The spans of a trace, by the records that they are in.
fn parts(random: &mut Random, number: u64) -> Vec<Vec<Placed>> {
    let parts = random.pick(&[1, 1, 2, 3]);
    let mut by_part: Vec<Vec<Placed>> = (0..parts).map(|_| Vec::new()).collect();
    let spans = random.pick(&[1, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8]);
    let trace_id = random.id(32);
    let root_id = random.id(16);
    let begin = BEGIN + number * MILLISECOND + random.below(MILLISECOND);
    for (index, times) in times(random, spans).into_iter().enumerate() {
        let part = if index == 0 { 0 } else { random.below(parts) };
        let placed = Placed {
            resource: resource(random),
            scope: scope(random),
            span: span(random, (index, &trace_id, &root_id), begin, times),
        };
        by_part[part as usize].push(placed);
    }
    by_part.retain(|spans| !spans.is_empty());
    by_part
}

/// When the spans of a trace are, the root first.
fn times(random: &mut Random, spans: u64) -> Vec<Times> {
    if spans > 1 && random.percent(30) {
        return one_after_the_other(random, spans);
    }
    let root = Times { start: 0, end: duration(random, 6000) };
    let mut times = vec![root];
    for _ in 1..spans {
        let start = random.below(PART_MS / 2 * MILLISECOND);
        times.push(Times { start, end: start + random.below(PART_MS / 2 * MILLISECOND) });
    }
    // Clocks disagree: an end before its start.
    if random.percent(3) && spans == 1 {
        times[0] = Times { start: 5 * MILLISECOND, end: 0 };
    }
    times
}

/// Spans that do not overlap, so that none of them is as long as the trace.
fn one_after_the_other(random: &mut Random, spans: u64) -> Vec<Times> {
    let whole = duration(random, SEQUENCE_MS).min(SEQUENCE_MS * MILLISECOND);
    let step = whole / spans;
    let mut times: Vec<Times> =
        (0..spans).map(|n| Times { start: n * step, end: n * step + step / 2 }).collect();
    times[spans as usize - 1].end = whole;
    times
}

/// At, or next to, one of the bounds, or anything; not much above `most_ms`.
fn duration(random: &mut Random, most_ms: u64) -> u64 {
    let bound = random.pick(&BOUNDS_MS) * MILLISECOND;
    let bound = bound.min(most_ms * MILLISECOND);
    match random.below(9) {
        0 | 1 => bound,
        2 => bound + 1,
        3 => bound + MILLISECOND - 1,
        4 => bound + MILLISECOND,
        5 => bound.saturating_sub(1),
        6 => bound.saturating_sub(MILLISECOND),
        _ => random.below(most_ms * MILLISECOND),
    }
}

fn resource(random: &mut Random) -> Value {
    // Few different ones, so that spans of several traces share them.
    let mut random = Random::new(random.below(40));
    let service = random.pick(&SERVICES);
    json!({"attributes": attributes::of_resource(&mut random, service)})
}

fn scope(random: &mut Random) -> Value {
    let mut random = Random::new(1000 + random.below(6));
    let name = random.pick(&["lib.http", "lib.db", ""]);
    json!({"name": name, "version": "1.2", "attributes": attributes::of_scope(&mut random)})
}

fn span(
    random: &mut Random,
    (index, trace_id, root_id): (usize, &str, &str),
    begin: u64,
    times: Times,
) -> Value {
    let is_root = index == 0;
    let has_parent = !is_root || random.percent(15);
    let parent = if is_root { random.id(16) } else { root_id.to_owned() };
    json!({
        "traceId": trace_id,
        "spanId": if is_root { root_id.to_owned() } else { random.id(16) },
        "parentSpanId": if has_parent { parent } else { String::new() },
        "name": random.pick(&NAMES),
        "kind": random.below(6),
        "startTimeUnixNano": (begin + times.start).to_string(),
        "endTimeUnixNano": (begin + times.end).to_string(),
        "traceState": random.pick(&TRACE_STATES),
        "flags": random.pick(&FLAGS),
        "status": status(random),
        "attributes": attributes::of_span(random),
        "events": events(random, begin),
    })
}

fn status(random: &mut Random) -> Value {
    match random.below(10) {
        0 => json!({"code": 2, "message": "timeout"}),
        1 => json!({"code": 2}),
        2..=4 => json!({"code": 1}),
        5 => json!({"code": 0}),
        _ => json!({}),
    }
}

fn events(random: &mut Random, begin: u64) -> Vec<Value> {
    let count = random.pick(&[0, 0, 0, 1, 1, 2]);
    let event = |_| {
        json!({
            "timeUnixNano": begin.to_string(),
            "name": random.pick(&["exception", "retry", "log", ""]),
            "attributes": attributes::of_event(random),
        })
    };
    (0..count).map(event).collect()
}

/// One record. In every other one, spans of the same resource and scope stand together.
fn document(number: usize, spans: Vec<Placed>) -> Value {
    let merges = number.is_multiple_of(2);
    let mut resources: Vec<(Value, Vec<Scoped>)> = Vec::new();
    for Placed { resource, scope, span } in spans {
        let same = resources.iter_mut().find(|(other, _)| merges && *other == resource);
        let Some((_, scopes)) = same else {
            resources.push((resource, vec![(scope, vec![span])]));
            continue;
        };
        match scopes.iter_mut().find(|(other, _)| *other == scope) {
            Some((_, spans)) => spans.push(span),
            None => scopes.push((scope, vec![span])),
        }
    }
    let scope_spans = |(scope, spans)| json!({"scope": scope, "spans": spans});
    let resource_spans = |(resource, scopes): (Value, Vec<_>)| {
        let scopes: Vec<Value> = scopes.into_iter().map(scope_spans).collect();
        json!({"resource": resource, "scopeSpans": scopes})
    };
    let resources: Vec<Value> = resources.into_iter().map(resource_spans).collect();
    // The records are a millisecond apart, so that no trace is decided before its last span.
    let timestamp_ms = BEGIN / MILLISECOND + number as u64;
    json!({"recordTimestampMs": timestamp_ms, "resourceSpans": resources})
}
