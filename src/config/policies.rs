//! The policy file: the language of the Collector's `tail_sampling` processor.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::PolicyFile;
use super::diagnostics::Problem;
use super::document::{Document, Node, Value};
use super::reader::{Problems, Section, nearest};
use super::values;
use crate::policy;
use crate::policy::spec::{PolicyKind, PolicySpec, StatusCode};

const TYPES: &[&str] = &[
    "always_sample",
    "status_code",
    "latency",
    "probabilistic",
    "string_attribute",
    "numeric_attribute",
    "boolean_attribute",
    "span_count",
    "trace_state",
    "trace_flags",
    "and",
    "not",
    "drop",
];

/// Types of the Collector that tailsieve does not have yet.
const UNSUPPORTED_TYPES: &[&str] =
    &["rate_limiting", "bytes_limiting", "ottl_condition", "composite", "rule"];

/// Options of the Collector that mean nothing here, since memory is bounded in bytes.
const WITHOUT_MEANING: &[&str] =
    &["num_traces", "expected_new_traces_per_sec", "block_on_overflow", "num_shards"];
const CACHE_WITHOUT_MEANING: &[&str] = &["sampled_cache_size", "non_sampled_cache_size"];

const STATUS_CODES: &[(&str, StatusCode)] =
    &[("OK", StatusCode::Ok), ("ERROR", StatusCode::Error), ("UNSET", StatusCode::Unset)];

/// Reads a policy file.
pub(super) fn policy_file(document: &Document) -> Result<PolicyFile, Vec<Problem>> {
    let problems = Problems::default();
    let mut root = Section::new(&document.root, &problems);
    let mut file = PolicyFile {
        decision_wait: Duration::from_secs(20),
        decision_wait_after_root_received: Duration::from_secs(3),
        maximum_trace_spans: 50_000,
        maximum_trace_size: 16 << 20,
        decision_cache_ttl: Duration::from_secs(600),
        decision_cache_entries: 1_000_000,
        policies: Vec::new(),
        notes: Vec::new(),
        hash: hash(&document.text),
    };
    root.read("decision_wait", &mut file.decision_wait, values::wait);
    let after_root = &mut file.decision_wait_after_root_received;
    root.read("decision_wait_after_root_received", after_root, values::duration);
    root.read("maximum_trace_spans", &mut file.maximum_trace_spans, values::whole(1..=u32::MAX));
    root.read("maximum_trace_size", &mut file.maximum_trace_size, values::size);
    let mut cache = root.section("decision_cache");
    cache.read("ttl", &mut file.decision_cache_ttl, values::wait);
    let entries = &mut file.decision_cache_entries;
    cache.read("max_entries", entries, values::whole(1..=1_000_000_000));
    note(&mut cache, CACHE_WITHOUT_MEANING, &mut file.notes);
    cache.finish();
    note(&mut root, WITHOUT_MEANING, &mut file.notes);
    let list = root.required("policies", "[{name: everything, type: always_sample}]", Ok);
    root.finish();
    let nodes = list.map_or(&[][..], |node| list_of_policies(node, &problems));
    file.policies = policies(nodes, &problems, Nesting::Top);
    problems.into_result()?;
    Ok(file)
}

fn note(section: &mut Section<'_>, keys: &'static [&'static str], notes: &mut Vec<String>) {
    for key in keys {
        if section.node(key).is_some() {
            notes.push(format!("{key} has no meaning here: memory is bounded in bytes"));
        }
    }
}

/// Names the contents of a file; not made to withstand forgery.
fn hash(text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Where a policy stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nesting {
    Top,
    Inside,
}

fn list_of_policies<'d>(node: &'d Node, problems: &Problems) -> &'d [Node] {
    match &node.value {
        Value::List(nodes) if !nodes.is_empty() => nodes,
        Value::List(_) => {
            let help = "to keep everything: {name: everything, type: always_sample}".to_owned();
            problems.add(
                node.place,
                "there are no policies, so every trace would be dropped",
                Some(help),
            );
            &[]
        }
        _ => {
            let message = format!("expected a list of policies, found {}", node.kind());
            problems.add(node.place, message, None);
            &[]
        }
    }
}

fn policies(nodes: &[Node], problems: &Problems, nesting: Nesting) -> Vec<PolicySpec> {
    let mut specs: Vec<PolicySpec> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let Some((spec, name_node)) = policy(node, problems, nesting) else { continue };
        let is_twice = specs.iter().any(|other| other.name == spec.name);
        if is_twice && nesting == Nesting::Top {
            let message = format!("there are two policies named `{}`", spec.name);
            let help = "metrics and attributes tell policies apart by their names".to_owned();
            problems.add(name_node.place, message, Some(help));
        }
        specs.push(spec);
    }
    specs
}

/// One policy, and the node of its name.
fn policy<'d>(
    node: &'d Node,
    problems: &'d Problems,
    nesting: Nesting,
) -> Option<(PolicySpec, &'d Node)> {
    let mut section = Section::new(node, problems);
    let name = section.required("name", "errors", |node| Ok((values::name(node)?, node)));
    let kind = section.required("type", "status_code", |node| Ok((policy_type(node)?, node)));
    let kind = kind.and_then(|(kind, type_node)| {
        let kind = policy_kind(kind, &mut section, problems);
        if nesting == Nesting::Inside && matches!(kind, Some(PolicyKind::Drop(_))) {
            let help = "put it at the top level of the file; it comes first wherever it stands";
            let message = "`drop` inside another policy is not supported yet";
            problems.add(type_node.place, message, Some(help.to_owned()));
        }
        kind
    });
    section.finish();
    let ((name, name_node), kind) = (name?, kind?);
    let spec = PolicySpec::new(name, kind);
    // What cannot be compiled is told apart from the file's other errors, policy by policy.
    if nesting == Nesting::Top
        && let Err(error) = policy::compile(std::slice::from_ref(&spec))
    {
        problems.add(node.place, error.to_string(), None);
    }
    Some((spec, name_node))
}

fn policy_type(node: &Node) -> Result<&'static str, String> {
    let text = values::text(node)?;
    if let Some(known) = TYPES.iter().find(|name| **name == text) {
        return Ok(known);
    }
    if UNSUPPORTED_TYPES.contains(&text.as_str()) {
        return Err(format!("`{text}` is not supported yet; there are {}", TYPES.join(", ")));
    }
    let known = TYPES.join(", ");
    Err(match nearest(&text, TYPES) {
        Some(name) => format!("`{text}` is no policy type, did you mean `{name}`?"),
        None => format!("`{text}` is no policy type; there are {known}"),
    })
}

fn policy_kind(
    kind: &'static str,
    policy: &mut Section<'_>,
    problems: &Problems,
) -> Option<PolicyKind> {
    match kind {
        "always_sample" => {
            policy.section("always_sample").finish();
            Some(PolicyKind::AlwaysSample)
        }
        "status_code" => block(policy, "status_code", |fields| {
            let codes = fields.required("status_codes", "[ERROR]", |node| {
                let codes = values::list(values::choice(STATUS_CODES))(node)?;
                if codes.is_empty() { Err("must name a code".to_owned()) } else { Ok(codes) }
            });
            Some(PolicyKind::StatusCode { status_codes: codes? })
        }),
        "latency" => block(policy, "latency", latency),
        "probabilistic" => block(policy, "probabilistic", |fields| {
            let percentage = fields.required("sampling_percentage", "10", values::number);
            let hash_salt = fields.optional("hash_salt", values::text);
            Some(PolicyKind::Probabilistic { sampling_percentage: percentage?, hash_salt })
        }),
        "string_attribute" => block(policy, "string_attribute", string_attribute),
        "numeric_attribute" => block(policy, "numeric_attribute", numeric_attribute),
        "boolean_attribute" => block(policy, "boolean_attribute", |fields| {
            let key = fields.required("key", "feature.new_checkout", values::name);
            let (mut value, mut invert_match) = (false, false);
            fields.read("value", &mut value, values::boolean);
            fields.read("invert_match", &mut invert_match, values::boolean);
            Some(PolicyKind::BooleanAttribute { key: key?, value, invert_match })
        }),
        "span_count" => block(policy, "span_count", span_count),
        "trace_state" => block(policy, "trace_state", |fields| {
            let key = fields.required("key", "vendor", values::name);
            let values = fields.required("values", "[important]", some_texts);
            Some(PolicyKind::TraceState { key: key?, values: values? })
        }),
        "trace_flags" => {
            policy.section("trace_flags").finish();
            Some(PolicyKind::TraceFlags)
        }
        "not" => {
            let mut fields = policy.section("not");
            let example = "{name: errors, type: status_code, ...}";
            let negated = fields.required("not_sub_policy", example, Ok);
            fields.finish();
            let (negated, _) = self::policy(negated?, problems, Nesting::Inside)?;
            Some(PolicyKind::Not(Box::new(negated)))
        }
        "and" => sub_policies(policy, "and", "and_sub_policy", problems).map(PolicyKind::And),
        "drop" => sub_policies(policy, "drop", "drop_sub_policy", problems).map(PolicyKind::Drop),
        _ => unreachable!("{kind} is among the types"),
    }
}

/// Reads the block with a policy's fields, which has the name of its type.
fn block(
    policy: &mut Section<'_>,
    kind: &'static str,
    read: impl FnOnce(&mut Section<'_>) -> Option<PolicyKind>,
) -> Option<PolicyKind> {
    let mut fields = policy.section(kind);
    let kind = read(&mut fields);
    fields.finish();
    kind
}

fn latency(fields: &mut Section<'_>) -> Option<PolicyKind> {
    let threshold_ms = fields.required("threshold_ms", "1000", values::whole(0..=u64::MAX));
    let upper = fields.optional("upper_threshold_ms", values::whole(0..=u64::MAX));
    // The Collector takes 0 for no bound.
    let upper_threshold_ms = upper.filter(|upper| *upper > 0);
    Some(PolicyKind::Latency { threshold_ms: threshold_ms?, upper_threshold_ms })
}

fn string_attribute(fields: &mut Section<'_>) -> Option<PolicyKind> {
    let key = fields.required("key", "http.route", values::name);
    let values = fields.required("values", "[/checkout]", some_texts);
    let mut enabled_regex_matching = false;
    fields.read("enabled_regex_matching", &mut enabled_regex_matching, values::boolean);
    let mut invert_match = false;
    fields.read("invert_match", &mut invert_match, values::boolean);
    // The size of the Collector's cache of regular expressions' answers; there is none here.
    fields.node("cache_max_size");
    let (key, values) = (key?, values?);
    Some(PolicyKind::StringAttribute { key, values, enabled_regex_matching, invert_match })
}

fn some_texts(node: &Node) -> Result<Vec<String>, String> {
    let texts = values::list(values::text)(node)?;
    if texts.is_empty() { Err("must hold a value".to_owned()) } else { Ok(texts) }
}

fn numeric_attribute(fields: &mut Section<'_>) -> Option<PolicyKind> {
    let key = fields.required("key", "http.response.status_code", values::name);
    let min_value = fields.optional("min_value", values::whole(i64::MIN..=i64::MAX));
    let max_value = fields.optional("max_value", values::whole(i64::MIN..=i64::MAX));
    if fields.node("min_value").is_none() && fields.node("max_value").is_none() {
        fields.problem("there is neither `min_value` nor `max_value`", "min_value: 500");
    }
    let mut invert_match = false;
    fields.read("invert_match", &mut invert_match, values::boolean);
    Some(PolicyKind::NumericAttribute { key: key?, min_value, max_value, invert_match })
}

fn span_count(fields: &mut Section<'_>) -> Option<PolicyKind> {
    let min_spans = fields.optional("min_spans", values::whole(0..=u32::MAX));
    let max_spans = fields.optional("max_spans", values::whole(0..=u32::MAX));
    if fields.node("min_spans").is_none() && fields.node("max_spans").is_none() {
        fields.problem("there is neither `min_spans` nor `max_spans`", "min_spans: 2");
    }
    // The Collector takes 0 for no bound.
    let max_spans = max_spans.filter(|most| *most > 0);
    Some(PolicyKind::SpanCount { min_spans: min_spans.unwrap_or(0), max_spans })
}

fn sub_policies(
    policy: &mut Section<'_>,
    kind: &'static str,
    list: &'static str,
    problems: &Problems,
) -> Option<Vec<PolicySpec>> {
    let mut fields = policy.section(kind);
    let list = fields.required(list, "[{name: errors, type: status_code, ...}]", Ok);
    fields.finish();
    let nodes = list_of_policies(list?, problems);
    Some(policies(nodes, problems, Nesting::Inside))
}
