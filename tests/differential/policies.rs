//! Policies as both samplers read them, and sets of them.
//!
//! They are JSON, which is YAML too.

use serde_json::{Value, json};

use crate::input::hash_of;

/// Policies that decide together.
pub struct PolicySet {
    pub name: String,
    /// A list of policies.
    pub policies: Value,
}

impl PolicySet {
    pub fn new(name: impl Into<String>, policies: Vec<Value>) -> Self {
        Self { name: name.into(), policies: Value::Array(policies) }
    }

    /// Names the contents.
    pub fn hash(&self) -> u64 {
        hash_of(0, &self.policies)
    }
}

/// A policy of a type that has fields.
pub fn policy(kind: &str, fields: Value) -> Value {
    json!({"name": kind, "type": kind, kind: fields})
}

/// The policy under another name: names are unique in a set.
pub fn named(name: &str, mut policy: Value) -> Value {
    policy["name"] = name.into();
    policy
}

pub fn always() -> Value {
    json!({"name": "always", "type": "always_sample"})
}

pub fn trace_flags() -> Value {
    json!({"name": "flags", "type": "trace_flags"})
}

pub fn latency(threshold_ms: u64) -> Value {
    policy("latency", json!({"threshold_ms": threshold_ms}))
}

pub fn latency_upto(threshold_ms: u64, upper_threshold_ms: u64) -> Value {
    let fields = json!({"threshold_ms": threshold_ms, "upper_threshold_ms": upper_threshold_ms});
    policy("latency", fields)
}

pub fn status(codes: &[&str]) -> Value {
    policy("status_code", json!({"status_codes": codes}))
}

/// How a string attribute is matched.
#[derive(Clone, Copy)]
pub struct Matching {
    pub regex: bool,
    pub invert: bool,
}

impl Matching {
    pub const EXACT: Self = Self { regex: false, invert: false };
    pub const NOT_EXACT: Self = Self { regex: false, invert: true };
    pub const REGEX: Self = Self { regex: true, invert: false };
    pub const NOT_REGEX: Self = Self { regex: true, invert: true };
}

pub fn string(key: &str, values: &[&str], matching: Matching) -> Value {
    let Matching { regex, invert } = matching;
    let mut fields = json!({"key": key, "values": values, "invert_match": invert});
    if regex {
        fields["enabled_regex_matching"] = true.into();
        fields["cache_max_size"] = 3.into();
    }
    policy("string_attribute", fields)
}

/// A bound that is not given is none.
pub fn number(key: &str, (min, max): (Option<i64>, Option<i64>), invert: bool) -> Value {
    let mut fields = json!({"key": key, "invert_match": invert});
    for (name, bound) in [("min_value", min), ("max_value", max)] {
        if let Some(bound) = bound {
            fields[name] = bound.into();
        }
    }
    policy("numeric_attribute", fields)
}

pub fn boolean(key: &str, value: bool, invert: bool) -> Value {
    policy("boolean_attribute", json!({"key": key, "value": value, "invert_match": invert}))
}

/// 0 spans at most are no bound, in the Collector and here.
pub fn span_count(min_spans: u32, max_spans: u32) -> Value {
    policy("span_count", json!({"min_spans": min_spans, "max_spans": max_spans}))
}

pub fn trace_state(key: &str, values: &[&str]) -> Value {
    policy("trace_state", json!({"key": key, "values": values}))
}

pub fn salted(percentage: f64, salt: &str) -> Value {
    policy("probabilistic", json!({"sampling_percentage": percentage, "hash_salt": salt}))
}

pub fn ottl(span: &[&str], spanevent: &[&str]) -> Value {
    ottl_with("ignore", span, spanevent)
}

/// With what is done about conditions that cannot be evaluated.
pub fn ottl_with(error_mode: &str, span: &[&str], spanevent: &[&str]) -> Value {
    let mut fields = json!({"error_mode": error_mode});
    for (context, conditions) in [("span", span), ("spanevent", spanevent)] {
        if !conditions.is_empty() {
            fields[context] = conditions.into();
        }
    }
    policy("ottl_condition", fields)
}

pub fn not(negated: Value) -> Value {
    policy("not", json!({"not_sub_policy": negated}))
}

pub fn and(all: &[Value]) -> Value {
    policy("and", json!({"and_sub_policy": numbered(all)}))
}

pub fn drop(all: &[Value]) -> Value {
    policy("drop", json!({"drop_sub_policy": numbered(all)}))
}

/// The policies under names that are unique among them.
pub fn numbered(policies: &[Value]) -> Vec<Value> {
    let rename = |(number, policy): (usize, &Value)| {
        let name = format!("{}-{number}", policy["name"].as_str().unwrap());
        named(&name, policy.clone())
    };
    policies.iter().enumerate().map(rename).collect()
}
