//! A policy as it was written: checked, but not yet compiled.

/// One policy of the file, or one sub-policy.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicySpec {
    /// Its name, unique among the policies of the file.
    pub name: String,
    /// What it asks.
    pub kind: PolicyKind,
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
    /// Keeps a trace if this policy does not.
    Not(Box<PolicySpec>),
    /// Keeps a trace if all of these do.
    And(Vec<PolicySpec>),
    /// Drops a trace, whatever the others say, if all of these would keep it.
    Drop(Vec<PolicySpec>),
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
