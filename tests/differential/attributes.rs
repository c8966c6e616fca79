//! Attributes of resources, scopes, spans and events, of every type.
//!
//! A key either has one type wherever it occurs, or is `mixed`, which has all of them.

use serde_json::{Value, json};

use crate::random::Random;

const ROUTES: [&str; 8] = [
    "/checkout",
    "/health",
    "/cart",
    "/login",
    "/api/v1/orders/17",
    "/api/v2/interval",
    "",
    "/Größe",
];
const TENANTS: [&str; 5] = ["acme", "Acme", "globex", "val", "interval"];
const CODES: [i64; 9] = [200, 201, 301, 399, 400, 404, 499, 500, 503];
const LEVELS: [i64; 14] =
    [-100, -6, -5, -1, 0, 1, 49, 50, 51, 75, 99, 100, 101, 9_223_372_036_854_775_807];

/// An attribute.
pub fn attribute(key: &str, value: Value) -> Value {
    json!({"key": key, "value": value})
}

pub fn text(value: &str) -> Value {
    json!({"stringValue": value})
}

/// In OTLP JSON whole numbers of 64 bits are strings.
pub fn whole(value: i64) -> Value {
    json!({"intValue": value.to_string()})
}

pub fn boolean(value: bool) -> Value {
    json!({"boolValue": value})
}

/// A value of any type; several mean 75, or true, or nothing, each in its type's own way.
fn mixed(random: &mut Random) -> Value {
    match random.below(12) {
        0 => text("75"),
        1 => text("true"),
        2 => text("val"),
        3 => text(""),
        4 => whole(75),
        5 => whole(random.pick(&LEVELS)),
        6 => json!({"doubleValue": 75.0}),
        7 => json!({"doubleValue": 0.5}),
        8 => boolean(random.percent(50)),
        9 => json!({"bytesValue": "dmFs"}),
        10 => json!({"arrayValue": {"values": [text("val"), whole(75)]}}),
        _ => json!({"kvlistValue": {"values": [attribute("val", text("75"))]}}),
    }
}

fn deep(random: &mut Random) -> Value {
    let inner = attribute("b", text(random.pick(&TENANTS)));
    json!({"kvlistValue": {"values": [
        attribute("a", json!({"kvlistValue": {"values": [inner]}})),
        attribute("n", whole(random.pick(&LEVELS))),
    ]}})
}

/// Attributes that a span, a resource, a scope or an event may have; `percent` is how likely it
/// has each of them.
fn shared(random: &mut Random, percent: u64) -> Vec<Value> {
    let mut attributes = Vec::new();
    let mut add = |random: &mut Random, key, make: fn(&mut Random) -> Value| {
        if random.percent(percent) {
            attributes.push(attribute(key, make(random)));
        }
    };
    add(random, "tenant", |random| text(random.pick(&TENANTS)));
    add(random, "level", |random| whole(random.pick(&LEVELS)));
    add(random, "feature", |random| boolean(random.percent(40)));
    add(random, "mixed", mixed);
    attributes
}

pub fn of_span(random: &mut Random) -> Vec<Value> {
    let mut attributes = shared(random, 12);
    if random.percent(50) {
        attributes.push(attribute("http.route", text(random.pick(&ROUTES))));
    }
    if random.percent(40) {
        attributes.push(attribute("http.response.status_code", whole(random.pick(&CODES))));
    }
    if random.percent(20) {
        attributes.push(attribute("retry", boolean(random.percent(50))));
    }
    if random.percent(10) {
        attributes.push(attribute("ratio", json!({"doubleValue": random.below(40) as f64 / 4.0})));
    }
    if random.percent(10) {
        attributes.push(attribute("deep", deep(random)));
    }
    attributes
}

pub fn of_resource(random: &mut Random, service: &str) -> Vec<Value> {
    let mut attributes = vec![attribute("service.name", text(service))];
    attributes.extend(shared(random, 25));
    attributes
}

pub fn of_scope(random: &mut Random) -> Vec<Value> {
    shared(random, 20)
}

pub fn of_event(random: &mut Random) -> Vec<Value> {
    let mut attributes = shared(random, 20);
    if random.percent(50) {
        let kind = random.pick(&["io.TimeoutError", "ValueError"]);
        attributes.push(attribute("exception.type", text(kind)));
    }
    attributes
}
