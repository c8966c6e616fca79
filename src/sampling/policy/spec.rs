//! A policy as it was written: checked, but not yet compiled.

/// One policy of the file, or one sub-policy.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicySpec {
    /// Its name, unique among the policies of the file.
    pub name: String,
    /// What it asks.
    pub kind: PolicyKind,
    /// Whether its votes count.
    pub mode: Mode,
    /// The names of the exporters that get what it keeps; empty: all.
    pub exporters: Vec<String>,
}

impl PolicySpec {
    /// A policy whose votes count.
    pub fn new(name: impl Into<String>, kind: PolicyKind) -> Self {
        Self { name: name.into(), kind, mode: Mode::Enforce, exporters: Vec::new() }
    }
}

/// Whether a policy's votes count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// They do.
    #[default]
    Enforce,
    /// It is asked and counted, and has no effect.
    Shadow,
}

/// The policy types, with the fields of the Collector's `tail_sampling` processor.
#[derive(Clone, Debug, PartialEq)]
pub enum PolicyKind {
    /// Keeps every trace.
    AlwaysSample,
    /// Keeps a trace if a span has one of the codes.
    StatusCode {
        /// Never empty.
        status_codes: Vec<StatusCode>,
    },
    /// Keeps a trace whose whole milliseconds are above the one and not above the other bound.
    Latency {
        /// Exclusive.
        threshold_ms: u64,
        /// Inclusive.
        upper_threshold_ms: Option<u64>,
    },
    /// Keeps a share of the traces.
    Probabilistic {
        /// 0 to 100; what lies outside is never or always.
        sampling_percentage: f64,
        /// Instead of the trace's randomness: the Collector's hash with this salt.
        hash_salt: Option<String>,
    },
    /// Keeps a trace if the resource or a span has a matching string attribute.
    StringAttribute {
        /// The attribute.
        key: String,
        /// Exact values, or regular expressions.
        values: Vec<String>,
        /// True if the values are regular expressions; they are unanchored.
        enabled_regex_matching: bool,
        /// Negates the answer.
        invert_match: bool,
    },
    /// Keeps a trace if the resource or a span has the attribute with a whole number in a range.
    NumericAttribute {
        /// The attribute.
        key: String,
        /// Inclusive.
        min_value: Option<i64>,
        /// Inclusive.
        max_value: Option<i64>,
        /// Negates the answer.
        invert_match: bool,
    },
    /// Keeps a trace if the resource or a span has the attribute with this boolean.
    BooleanAttribute {
        /// The attribute.
        key: String,
        /// What it has to be.
        value: bool,
        /// Negates the answer.
        invert_match: bool,
    },
    /// Keeps a trace with so many spans.
    SpanCount {
        /// Inclusive.
        min_spans: u32,
        /// Inclusive.
        max_spans: Option<u32>,
    },
    /// Keeps a trace if a span's tracestate is well-formed and has the member with one of the
    /// values.
    TraceState {
        /// The member's key.
        key: String,
        /// Exact values.
        values: Vec<String>,
    },
    /// Keeps a trace if a span has the sampled bit of the W3C trace flags.
    TraceFlags,
    /// Keeps traces as long as there are tokens in a bucket, one for each span.
    RateLimiting {
        /// Tokens that come in a second, for the whole consumer group.
        spans_per_second: u64,
        /// How many the bucket holds; twice as many by default.
        burst_capacity: Option<u64>,
    },
    /// Keeps traces as long as there are tokens in a bucket, one for each byte.
    BytesLimiting {
        /// Tokens that come in a second, for the whole consumer group.
        bytes_per_second: u64,
        /// How many the bucket holds; twice as many by default.
        burst_capacity: Option<u64>,
    },
    /// Keeps a trace if one of the conditions is true for some span, or some event.
    OttlCondition {
        /// Conditions on spans.
        span: Vec<String>,
        /// Conditions on span events.
        span_event: Vec<String>,
        /// What becomes of a condition that cannot be evaluated.
        error_mode: ErrorMode,
    },
    /// Keeps a trace if this policy does not.
    Not(Box<PolicySpec>),
    /// Keeps a trace if all of these do.
    And(Vec<PolicySpec>),
    /// Drops a trace, whatever the others say, if all of these would keep it.
    Drop(Vec<PolicySpec>),
    /// Keeps what the first of its children keeps that has some of its share left.
    Composite {
        /// For the whole consumer group, and for all children together.
        max_total_spans_per_second: u64,
        /// In the order in which they are asked.
        children: Vec<CompositeChild>,
    },
    /// Decides the traces that it matches, and ends the asking.
    Rule {
        /// An OTTL condition on spans.
        when: String,
        /// Which spans it has to hold for.
        scope: RuleScope,
        /// What becomes of what it matches.
        sample: Sample,
    },
}

impl PolicyKind {
    /// The name of the type, as files have it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::AlwaysSample => "always_sample",
            Self::StatusCode { .. } => "status_code",
            Self::Latency { .. } => "latency",
            Self::Probabilistic { .. } => "probabilistic",
            Self::StringAttribute { .. } => "string_attribute",
            Self::NumericAttribute { .. } => "numeric_attribute",
            Self::BooleanAttribute { .. } => "boolean_attribute",
            Self::SpanCount { .. } => "span_count",
            Self::TraceState { .. } => "trace_state",
            Self::TraceFlags => "trace_flags",
            Self::RateLimiting { .. } => "rate_limiting",
            Self::BytesLimiting { .. } => "bytes_limiting",
            Self::OttlCondition { .. } => "ottl_condition",
            Self::Not(_) => "not",
            Self::And(_) => "and",
            Self::Drop(_) => "drop",
            Self::Composite { .. } => "composite",
            Self::Rule { .. } => "rule",
        }
    }
}

/// A sub-policy of a `composite` policy.
#[derive(Clone, Debug, PartialEq)]
pub struct CompositeChild {
    /// The policy.
    pub policy: PolicySpec,
    /// Its share of the total in percent; by default what all others of the kind have: the total
    /// by the number of children.
    pub percent: Option<f64>,
}

/// What becomes of a condition that cannot be evaluated for a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ErrorMode {
    /// It is false, and counted as an error of the policy.
    #[default]
    Ignore,
    /// It is false.
    Silent,
    /// The policy does not vote on this trace.
    Propagate,
}

/// Which spans of a trace a rule's condition has to hold for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RuleScope {
    /// Each comparison for some span; not all need be the same span.
    #[default]
    AnySpan,
    /// The whole for one and the same span.
    SameSpan,
    /// The whole for no span at all.
    NoSpan,
    /// The whole for the root span.
    Root,
}

/// What a rule does with the traces that it matches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sample {
    /// They are kept.
    Keep,
    /// They are dropped, unless a policy before keeps them.
    Drop,
    /// So many percent of them are kept, 0 to 100, by their randomness.
    Percent(f64),
}

/// A span's status code (OTLP `Status.StatusCode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatusCode {
    /// `STATUS_CODE_UNSET`, also where a span has no status.
    Unset = 0,
    /// `STATUS_CODE_OK`.
    Ok = 1,
    /// `STATUS_CODE_ERROR`.
    Error = 2,
}

impl StatusCode {
    /// Its name, as files have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unset => "UNSET",
            Self::Ok => "OK",
            Self::Error => "ERROR",
        }
    }
}
