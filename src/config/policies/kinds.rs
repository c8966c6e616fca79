//! Policies that are not made of others.

use super::super::document::{Node, Value};
use super::super::reader::Section;
use super::super::values;
use super::{Reader, texts};
use crate::sampling::ottl::{self, Context};
use crate::sampling::policy::spec::{ErrorMode, PolicyKind, RuleScope, Sample, StatusCode};

const STATUS_CODES: &[(&str, StatusCode, &str)] = &[
    ("OK", StatusCode::Ok, ""),
    ("ERROR", StatusCode::Error, ""),
    ("UNSET", StatusCode::Unset, ""),
];

const ERROR_MODES: &[(&str, ErrorMode, &str)] = &[
    ("ignore", ErrorMode::Ignore, ""),
    ("silent", ErrorMode::Silent, ""),
    ("propagate", ErrorMode::Propagate, ""),
];

const SCOPES: &[(&str, RuleScope, &str)] = &[
    ("any_span", RuleScope::AnySpan, ""),
    ("same_span", RuleScope::SameSpan, ""),
    ("no_span", RuleScope::NoSpan, ""),
    ("root", RuleScope::Root, ""),
];

/// Reads the block of a policy of this kind.
pub(super) fn kind<'d>(
    reader: &Reader<'d>,
    kind: &'static str,
    fields: &mut Section<'d>,
) -> Option<PolicyKind> {
    match kind {
        "always_sample" => Some(PolicyKind::AlwaysSample),
        "trace_flags" => Some(PolicyKind::TraceFlags),
        "status_code" => status_code(fields),
        "latency" => latency(fields),
        "probabilistic" => {
            let percentage = fields.required("sampling_percentage", "10", values::number);
            let hash_salt = fields.optional("hash_salt", values::text);
            Some(PolicyKind::Probabilistic { sampling_percentage: percentage?, hash_salt })
        }
        "string_attribute" => string_attribute(reader, fields),
        "numeric_attribute" => numeric_attribute(fields),
        "boolean_attribute" => boolean_attribute(fields),
        "span_count" => span_count(fields),
        "trace_state" => {
            let key = fields.required("key", "vendor", values::name);
            let values = fields.required_list("values", "[important]", values::text);
            Some(PolicyKind::TraceState { key: key?, values: values? })
        }
        "rate_limiting" => {
            let spans_per_second = fields.required("spans_per_second", "1000", tokens);
            let burst_capacity = burst_capacity(fields);
            let spans_per_second = spans_per_second?;
            Some(PolicyKind::RateLimiting { spans_per_second, burst_capacity })
        }
        "bytes_limiting" => {
            let bytes_per_second = fields.required("bytes_per_second", "1000000", tokens);
            let burst_capacity = burst_capacity(fields);
            let bytes_per_second = bytes_per_second?;
            Some(PolicyKind::BytesLimiting { bytes_per_second, burst_capacity })
        }
        "ottl_condition" => ottl_condition(reader, fields),
        "rule" => rule(reader, fields),
        _ => unreachable!("{kind} is among the types"),
    }
}

fn status_code(fields: &mut Section<'_>) -> Option<PolicyKind> {
    let codes = fields.required_list("status_codes", "[ERROR]", values::choice(STATUS_CODES));
    Some(PolicyKind::StatusCode { status_codes: codes? })
}

fn latency(fields: &mut Section<'_>) -> Option<PolicyKind> {
    let threshold_ms = fields.required("threshold_ms", "1000", values::whole(0..=u64::MAX));
    let upper = fields.optional("upper_threshold_ms", values::whole(0..=u64::MAX));
    // The Collector takes 0 for no bound.
    let upper_threshold_ms = upper.filter(|upper| *upper > 0);
    Some(PolicyKind::Latency { threshold_ms: threshold_ms?, upper_threshold_ms })
}

fn string_attribute<'d>(reader: &Reader<'d>, fields: &mut Section<'d>) -> Option<PolicyKind> {
    let key = fields.required("key", "http.route", values::name);
    let values = fields.required_list("values", "[/checkout]", values::text);
    let mut enabled_regex_matching = false;
    fields.read("enabled_regex_matching", &mut enabled_regex_matching, values::boolean);
    let mut invert_match = false;
    fields.read("invert_match", &mut invert_match, values::boolean);
    if let Some(node) = fields.node("cache_max_size") {
        reader.note(node, "cache_max_size has no meaning here: no answers are cached");
    }
    let nodes = fields.node("values");
    let values = values?;
    if let Some(node) = nodes.filter(|_| enabled_regex_matching) {
        let nodes = values::items(node);
        nodes.iter().zip(&values).for_each(|(node, text)| texts::regex(reader, node, text));
    }
    let key = key?;
    Some(PolicyKind::StringAttribute { key, values, enabled_regex_matching, invert_match })
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

fn boolean_attribute(fields: &mut Section<'_>) -> Option<PolicyKind> {
    let key = fields.required("key", "feature.new_checkout", values::name);
    let (mut value, mut invert_match) = (false, false);
    fields.read("value", &mut value, values::boolean);
    fields.read("invert_match", &mut invert_match, values::boolean);
    Some(PolicyKind::BooleanAttribute { key: key?, value, invert_match })
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

/// Tokens of a bucket: what the Collector's `int64` holds, and not below 0.
fn tokens(node: &Node) -> Result<u64, String> {
    values::whole(0..=u64::MAX >> 1)(node)
}

/// The Collector takes 0 for the default.
fn burst_capacity(fields: &mut Section<'_>) -> Option<u64> {
    fields.optional("burst_capacity", tokens).filter(|capacity| *capacity > 0)
}

fn ottl_condition<'d>(reader: &Reader<'d>, fields: &mut Section<'d>) -> Option<PolicyKind> {
    let mut error_mode = ErrorMode::Ignore;
    fields.read("error_mode", &mut error_mode, values::choice(ERROR_MODES));
    let (of_spans, of_events) = (fields.node("span"), fields.node("spanevent"));
    let read = |key, node, context| match node {
        Some(node) => texts::conditions(reader, key, node, context),
        None => Some(Vec::new()),
    };
    let span = read("span", of_spans, Context::Span);
    let span_event = read("spanevent", of_events, Context::SpanEvent);
    let (span, span_event) = (span?, span_event?);
    if span.is_empty() && span_event.is_empty() {
        let example = r#"span: ['attributes["http.route"] == "/checkout"']"#;
        fields.problem("there are no conditions, neither in `span` nor in `spanevent`", example);
        return None;
    }
    Some(PolicyKind::OttlCondition { span, span_event, error_mode })
}

fn rule<'d>(reader: &Reader<'d>, fields: &mut Section<'d>) -> Option<PolicyKind> {
    let example = r#"'attributes["http.route"] == "/checkout"'"#;
    let when = fields.required("when", example, Ok);
    let mut scope = RuleScope::AnySpan;
    fields.read("scope", &mut scope, values::choice(SCOPES));
    let sample = fields.required("sample", "keep", sample);
    let compile: texts::Compile = match scope {
        // Each part is asked for itself, so that any number of them can alternate.
        RuleScope::AnySpan => ottl::compile_apart,
        RuleScope::SameSpan | RuleScope::NoSpan | RuleScope::Root => ottl::compile,
    };
    let when = texts::condition(reader, "when", when?, Context::Span, compile);
    Some(PolicyKind::Rule { when: when?, scope, sample: sample? })
}

/// `keep`, `drop` or a percentage.
fn sample(node: &Node) -> Result<Sample, String> {
    const EXPECTED: &str = "expected `keep`, `drop` or a percentage such as `10%`";
    if let Value::Integer(_) | Value::Float(_) = node.value {
        return Err(format!("{EXPECTED}, found a number; percent are written with their sign"));
    }
    let text = values::text(node)?;
    match text.as_str() {
        "keep" => return Ok(Sample::Keep),
        "drop" => return Ok(Sample::Drop),
        _ => {}
    }
    let expected = || format!("{EXPECTED}, found {}", values::shown(node));
    let number = text.strip_suffix('%').ok_or_else(expected)?;
    let percent: f64 = number.trim().parse().map_err(|_| expected())?;
    if (0.0..=100.0).contains(&percent) {
        Ok(Sample::Percent(percent))
    } else {
        Err(format!("a percentage lies between 0% and 100%, found {}", values::shown(node)))
    }
}
