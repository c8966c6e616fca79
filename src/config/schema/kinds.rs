//! The blocks of the policy types.

use schemars::JsonSchema;

use super::scalars::{AnyText, OneOrMore, Sample, Text, Var};

/// A span's status code.
#[derive(JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum StatusCode {
    /// The span was marked as a success.
    Ok,
    /// The span has failed.
    Error,
    /// Nothing was said.
    Unset,
}

/// Keeps a trace if any of its spans has one of the status codes.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StatusCodes {
    /// Of OK, ERROR, UNSET.
    status_codes: OneOrMore<Var<StatusCode>>,
}

/// Keeps a trace by its duration, from the earliest start to the latest end of its spans.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Latency {
    /// It lasts longer than this, in milliseconds.
    #[schemars(extend("minimum" = 0))]
    threshold_ms: Var<u64>,
    /// And not longer than this; 0 is no bound.
    #[schemars(extend("minimum" = 0))]
    upper_threshold_ms: Option<Var<u64>>,
}

/// Keeps a share of the traces, by their randomness.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Probabilistic {
    /// 0 keeps none, 100 keeps all.
    sampling_percentage: Var<f64>,
    /// Decides by the Collector's hash with this salt, so that a fleet that mixes both keeps the
    /// same traces.
    hash_salt: Option<AnyText>,
}

/// Keeps a trace if its resource or a span has the attribute with one of the values.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StringAttribute {
    /// The attribute.
    key: Text,
    /// The values, or regular expressions.
    values: OneOrMore<AnyText>,
    /// True if the values are regular expressions, in RE2 syntax, unanchored.
    enabled_regex_matching: Option<Var<bool>>,
    /// Has no meaning here.
    cache_max_size: Option<Var<i64>>,
    /// Negates the answer.
    invert_match: Option<Var<bool>>,
}

/// Keeps a trace if its resource or a span has the attribute with a whole number in a range. One
/// bound is enough.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("anyOf" = [{ "required": ["min_value"] }, { "required": ["max_value"] }]))]
pub(super) struct NumericAttribute {
    /// The attribute.
    key: Text,
    /// The least value that matches.
    min_value: Option<Var<i64>>,
    /// The greatest value that matches.
    max_value: Option<Var<i64>>,
    /// Negates the answer.
    invert_match: Option<Var<bool>>,
}

/// Keeps a trace if its resource or a span has the attribute with this boolean.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BooleanAttribute {
    /// The attribute.
    key: Text,
    /// What it has to be.
    value: Option<Var<bool>>,
    /// Negates the answer.
    invert_match: Option<Var<bool>>,
}

/// Keeps a trace by its number of spans. One bound is enough.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("anyOf" = [{ "required": ["min_spans"] }, { "required": ["max_spans"] }]))]
pub(super) struct SpanCount {
    /// The least number.
    #[schemars(extend("minimum" = 0))]
    min_spans: Option<Var<u32>>,
    /// The greatest number; 0 is no bound.
    #[schemars(extend("minimum" = 0))]
    max_spans: Option<Var<u32>>,
}

/// Keeps a trace if a span's tracestate has the member with one of the values.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TraceState {
    /// The member's key.
    key: Text,
    /// The values.
    values: OneOrMore<AnyText>,
}

/// Keeps traces within a budget of spans. A trace passes whole or not at all.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RateLimiting {
    /// For the whole consumer group.
    #[schemars(extend("minimum" = 0))]
    spans_per_second: Var<u64>,
    /// What the bucket holds; twice what comes in a second by default.
    #[schemars(extend("minimum" = 0))]
    burst_capacity: Option<Var<u64>>,
}

/// Keeps traces within a budget of bytes. A trace passes whole or not at all.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BytesLimiting {
    /// For the whole consumer group.
    #[schemars(extend("minimum" = 0))]
    bytes_per_second: Var<u64>,
    /// What the bucket holds; twice what comes in a second by default.
    #[schemars(extend("minimum" = 0))]
    burst_capacity: Option<Var<u64>>,
}

/// What becomes of a condition that cannot be evaluated for a span.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ErrorMode {
    /// It is false, and counted as an error of the policy.
    Ignore,
    /// It is false.
    Silent,
    /// The policy does not vote on this trace.
    Propagate,
}

/// Keeps a trace if one of the conditions is true for any span, or any event.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("anyOf" = [{ "required": ["span"] }, { "required": ["spanevent"] }]))]
pub(super) struct OttlCondition {
    /// What becomes of a condition that cannot be evaluated; ignore by default.
    error_mode: Option<Var<ErrorMode>>,
    /// OTTL conditions on spans.
    span: Option<Conditions>,
    /// OTTL conditions on span events.
    spanevent: Option<Conditions>,
}

/// One condition or several, perhaps none.
#[derive(JsonSchema)]
#[schemars(inline, untagged)]
pub(super) enum Conditions {
    /// A single one.
    One(Text),
    /// Several.
    List(Vec<Text>),
}

/// Which spans the condition of a rule has to hold for.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Scope {
    /// Each comparison for some span; not all need be the same span.
    AnySpan,
    /// The whole for one and the same span.
    SameSpan,
    /// The whole for no span at all.
    NoSpan,
    /// The whole for the root span.
    Root,
}

/// Decides the traces that it matches; the policies after it are not asked then.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    /// An OTTL condition.
    when: Text,
    /// Which spans it has to hold for; any_span by default.
    scope: Option<Var<Scope>>,
    /// What becomes of the traces that it matches.
    sample: Sample,
}
