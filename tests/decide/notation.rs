//! Spans and policies in few words.
//!
//! A capture is written as records, parted by ` | `, of traces, parted by ` / `, of spans, parted by
//! ` ; `. A span is its bounds in milliseconds and what else is to be said of it:
//!
//! - `0..100` from start to end; `!` status ERROR, `ok` status OK; `child` has a parent that is
//!   elsewhere (the first span of a new trace is its root, the others are its children); `root` is
//!   the root;
//! - `key=value` an attribute, `@key=value` one of its resource; whole numbers, numbers with a
//!   point, `true` and `false` are what they look like, in quotes everything is text;
//! - `event=name` an event, `event:key=value` an attribute of the last one;
//! - `ts:k=v` the tracestate, `flags:0x01` the flags, `rand:hex` the low 56 bits of the trace id;
//! - `x15` that many of them; `bytes:2000` padded to so many bytes on the wire;
//! - `#2` belongs to the second trace of the capture, not to a new one; `at:900` the record's time;
//!   a record that is nothing else has no spans, and moves the clock.

use std::fmt::Write;

use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;
use serde_json::{Map, Value, json};

/// Zero of all times, in milliseconds.
const ORIGIN: i64 = 1_700_000_000_000;

/// The trace with the number `number`, from 1.
pub fn trace_id(number: usize, randomness: u64) -> String {
    format!("{number:018x}{randomness:014x}")
}

/// A policy whose name is its type.
pub fn p(kind: &str, fields: &str) -> String {
    named(kind, kind, fields)
}

/// A policy.
pub fn named(name: &str, kind: &str, fields: &str) -> String {
    format!("{{name: {name}, type: {kind}, {kind}: {{{fields}}}}}")
}

/// A policy with sub-policies.
pub fn of(kind: &str, list: &[String]) -> String {
    let list = list.join(", ");
    match kind {
        "not" => p("not", &format!("not_sub_policy: {list}")),
        _ => p(kind, &format!("{kind}_sub_policy: [{list}]")),
    }
}

/// A policy file. Traces are decided right after their roots, or 20 seconds after they began.
pub fn file(policies: &[String]) -> String {
    let mut text =
        "decision_wait: 20s\ndecision_wait_after_root_received: 0s\npolicies:\n".to_owned();
    for policy in policies {
        writeln!(text, "  - {policy}").unwrap();
    }
    text
}

/// A capture as OTLP JSON lines, and the ids of its traces, by number.
pub fn capture(notation: &str) -> (String, Vec<String>) {
    let mut traces = Vec::new();
    let mut spans = 0;
    let mut lines = String::new();
    for record in notation.split(" | ") {
        let (mut resource_spans, mut time) = (Vec::new(), None);
        let only_time = record.strip_prefix("at:").and_then(|time| time.parse().ok());
        time = time.or(only_time);
        for trace in record.split(" / ").filter(|_| only_time.is_none()) {
            let written: Vec<Written> = trace.split(" ; ").map(Written::new).collect();
            time = time.or(written.iter().find_map(|span| span.at));
            let number = match written.iter().find_map(|span| span.trace) {
                Some(number) => number - 1,
                None => {
                    let randomness = written.iter().find_map(|span| span.randomness).unwrap_or(1);
                    traces.push(trace_id(traces.len() + 1, randomness));
                    traces.len() - 1
                }
            };
            for (place, span) in written.iter().enumerate() {
                for copy in 0..span.copies {
                    spans += 1;
                    let is_first = place == 0 && copy == 0 && span.trace.is_none();
                    let is_root = is_first && !span.is_child || span.is_root;
                    resource_spans.push(span.json(&traces[number], spans, is_root));
                }
            }
        }
        let mut record = json!({ "resourceSpans": resource_spans });
        if let Some(time) = time {
            record["recordTimestampMs"] = json!(ORIGIN + time);
        }
        writeln!(lines, "{record}").unwrap();
    }
    (lines, traces)
}

/// A span as it is written.
#[derive(Default)]
struct Written {
    start: f64,
    end: f64,
    status: Option<i32>,
    is_child: bool,
    is_root: bool,
    attributes: Vec<Value>,
    resource: Vec<Value>,
    events: Vec<Map<String, Value>>,
    trace_state: Option<String>,
    flags: Option<u32>,
    randomness: Option<u64>,
    copies: usize,
    bytes: Option<usize>,
    trace: Option<usize>,
    at: Option<i64>,
}

impl Written {
    fn new(text: &str) -> Self {
        let mut span = Self { copies: 1, ..Self::default() };
        for word in text.split_whitespace() {
            span.read(word);
        }
        span
    }

    fn read(&mut self, word: &str) {
        let (key, value) = word.split_once(':').unwrap_or((word, ""));
        match key {
            "!" => self.status = Some(2),
            "ok" => self.status = Some(1),
            "child" => self.is_child = true,
            "root" => self.is_root = true,
            "ts" => self.trace_state = Some(value.to_owned()),
            "flags" => {
                self.flags = Some(u32::from_str_radix(&value["0x".len()..], 16).unwrap());
            }
            "rand" => self.randomness = Some(u64::from_str_radix(value, 16).unwrap()),
            "bytes" => self.bytes = Some(value.parse().unwrap()),
            "at" => self.at = Some(value.parse().unwrap()),
            "event" if !value.is_empty() => {
                let event = self.events.last_mut().unwrap();
                event["attributes"].as_array_mut().unwrap().push(attribute(value));
            }
            _ if word.starts_with("event=") => {
                let event = json!({ "name": word["event=".len()..], "attributes": [] });
                self.events.push(event.as_object().unwrap().clone());
            }
            _ => self.read_short(word),
        }
    }

    fn read_short(&mut self, word: &str) {
        if let Some((start, end)) = word.split_once("..") {
            (self.start, self.end) = (start.parse().unwrap(), end.parse().unwrap());
        } else if let Some(copies) = word.strip_prefix('x').and_then(|it| it.parse().ok()) {
            self.copies = copies;
        } else if let Some(trace) = word.strip_prefix('#') {
            self.trace = Some(trace.parse().unwrap());
        } else if let Some(word) = word.strip_prefix('@') {
            self.resource.push(attribute(word));
        } else {
            self.attributes.push(attribute(word));
        }
    }

    /// The `ResourceSpans` with the span.
    fn json(&self, trace_id: &str, number: usize, is_root: bool) -> Value {
        let nanos = |millis: f64| format!("{}", ORIGIN * 1_000_000 + (millis * 1e6) as i64);
        let mut span = json!({
            "traceId": trace_id,
            "spanId": format!("{number:016x}"),
            "startTimeUnixNano": nanos(self.start),
            "endTimeUnixNano": nanos(self.end),
            "attributes": self.attributes,
            "events": self.events,
            "status": self.status.map(|code| json!({ "code": code })),
            "traceState": self.trace_state,
            "flags": self.flags,
            "parentSpanId": if is_root { "" } else { "ffffffffffffffff" },
        });
        for padding in 0.. {
            let Some(bytes) = self.bytes else { break };
            span["name"] = "x".repeat(padding).into();
            if wire_bytes(&span) == bytes {
                break;
            }
            assert!(padding < bytes, "no name makes a span of {bytes} bytes");
        }
        json!({
            "resource": { "attributes": self.resource },
            "scopeSpans": [{ "spans": [span] }],
        })
    }
}

/// Bytes of a span with its tag and length.
fn wire_bytes(span: &Value) -> usize {
    let record = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [span] }] }] });
    let payload = tailsieve::testing::otlp::json::read(&record).unwrap().protobuf;
    let data = TracesData::decode(&payload[..]).unwrap();
    data.resource_spans[0].scope_spans[0].encoded_len()
}

fn attribute(word: &str) -> Value {
    let (key, value) = word.split_once('=').unwrap_or_else(|| panic!("what is {word}?"));
    let value = if let Some(text) = value.strip_prefix('"') {
        json!({ "stringValue": text.trim_end_matches('"') })
    } else if let Ok(value) = value.parse::<bool>() {
        json!({ "boolValue": value })
    } else if let Ok(value) = value.parse::<i64>() {
        json!({ "intValue": value.to_string() })
    } else if let Ok(value) = value.parse::<f64>() {
        json!({ "doubleValue": value })
    } else {
        json!({ "stringValue": value })
    };
    json!({ "key": key, "value": value })
}
