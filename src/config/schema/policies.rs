//! The policy file, in all its forms.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::kinds;
use super::scalars::{Anything, CollectorDuration, Duration, Nothing, OneOrMore, Size, Text, Var};

/// A policy file: tailsieve's own, a `tail_sampling` block, or a whole Collector configuration.
pub(super) struct File;

/// Keys of a processor.
const PROCESSOR: &str = "^tail_sampling(/.*)?$";

/// Keys of the files that hold policies by themselves.
const KNOWN: &str = "^(policies|processors|tail_sampling(/.*)?|decision_.*|maximum_trace_.*)$";

impl JsonSchema for File {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "tailsieve policy file".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let policies = generator.subschema_for::<PolicyFile>();
        let processor = generator.subschema_for::<Processor>();
        json_schema!({
            "description": "Which traces are kept. The options and policies stand at the top level, \
                            in a block `tail_sampling`, or in a processor of a Collector \
                            configuration.",
            // Helm values, resources: the configuration stands somewhere in them.
            "if": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": { "not": { "pattern": KNOWN } },
                "anyOf": [
                    { "required": ["apiVersion", "kind"] },
                    { "additionalProperties": { "not": { "type": "array" } } },
                ],
            },
            "else": {
                "if": { "required": ["processors"], "not": { "required": ["policies"] } },
                "then": {
                    "type": "object",
                    "properties": {
                        "processors": {
                            "type": "object",
                            "patternProperties": { PROCESSOR: processor },
                            "not": { "propertyNames": { "not": { "pattern": PROCESSOR } } },
                        },
                    },
                },
                "else": {
                    "if": {
                        "type": "object",
                        "propertyNames": { "not": { "pattern": PROCESSOR } },
                    },
                    "then": policies,
                    "else": { "type": "object", "patternProperties": { PROCESSOR: processor } },
                },
            },
        })
    }
}

/// How decisions are remembered.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct DecisionCache {
    /// How long late spans find the decision on their trace; 10m by default.
    ttl: Option<Duration>,
    /// How many decisions are remembered; 1000000 by default.
    #[schemars(extend("minimum" = 1, "maximum" = 1_000_000_000))]
    max_entries: Option<Var<u64>>,
    /// Has no meaning here.
    sampled_cache_size: Option<Anything>,
    /// Has no meaning here.
    non_sampled_cache_size: Option<Anything>,
}

/// When decisions are taken.
#[derive(JsonSchema)]
enum Strategy {
    /// When a trace is complete.
    #[serde(rename = "trace-complete")]
    TraceComplete,
}

/// Defines a struct with the options and the policies; waits are read differently in the files of
/// the Collector.
macro_rules! file {
    ($(#[$meta:meta])* $name:ident, $wait:ty) => {
        $(#[$meta])*
        #[derive(JsonSchema)]
        #[serde(deny_unknown_fields)]
        struct $name {
            /// How long a trace is waited for after its first span was read; 20s by default.
            decision_wait: Option<$wait>,
            /// How long a trace is waited for after its root span was read; 3s by default. It can
            /// only shorten the wait.
            decision_wait_after_root_received: Option<$wait>,
            /// A trace of so many spans is decided at once; 50000 by default.
            #[schemars(extend("minimum" = 1))]
            maximum_trace_spans: Option<Var<u32>>,
            /// A trace of this size is decided at once; 16MiB by default.
            maximum_trace_size: Option<Size>,
            /// The Collector's name for maximum_trace_size, in bytes.
            #[schemars(extend("minimum" = 0))]
            maximum_trace_size_bytes: Option<Var<u64>>,
            /// How decisions are remembered.
            decision_cache: Option<DecisionCache>,
            /// The policies. A trace is kept if any of them votes for it.
            #[schemars(extend("minItems" = 1))]
            policies: Vec<Policy>,
            /// When decisions are taken.
            sampling_strategy: Option<Var<Strategy>>,
            /// Has no meaning here: memory is bounded in bytes.
            num_traces: Option<Anything>,
            /// Has no meaning here: memory is bounded in bytes.
            expected_new_traces_per_sec: Option<Anything>,
            /// Has no meaning here: memory is bounded in bytes.
            block_on_overflow: Option<Anything>,
            /// Has no meaning here: each partition is decided on its own.
            num_shards: Option<Anything>,
            /// Has no meaning here: Kafka holds the spans of open traces.
            tail_storage: Option<Anything>,
            /// Has no meaning here: the same traces are kept.
            sample_on_first_match: Option<Anything>,
            /// Has no meaning here: spans go on as they came.
            mutates_data: Option<Anything>,
            /// Has no meaning here: open traces are never dropped.
            drop_pending_traces_on_shutdown: Option<Anything>,
        }
    };
}

file!(
    /// A policy file of tailsieve.
    PolicyFile, Duration
);
file!(
    /// The block of a Collector's `tail_sampling` processor.
    Processor, CollectorDuration
);

/// Policies without options.
#[derive(JsonSchema)]
#[schemars(inline)]
#[serde(transparent)]
pub(super) struct PolicyList(#[schemars(extend("minItems" = 1))] Vec<Policy>);

/// Whether a policy's votes count.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// They do.
    Enforce,
    /// It is asked and counted, and has no effect.
    Shadow,
}

/// Keeps a trace if all of its policies do.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct And {
    /// The policies.
    #[schemars(extend("minItems" = 1))]
    and_sub_policy: Vec<Part>,
}

/// Drops a trace, whatever the others say, if all of its policies would keep it.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Drop {
    /// The policies.
    #[schemars(extend("minItems" = 1))]
    drop_sub_policy: Vec<Part>,
}

/// Keeps a trace if its policy does not.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Not {
    /// The policy.
    not_sub_policy: Box<Part>,
}

/// Keeps what the first of its policies keeps that has some of its share left.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Composite {
    /// For all of its policies together, and the whole consumer group.
    #[schemars(extend("minimum" = 0))]
    max_total_spans_per_second: Var<u64>,
    /// The names of the policies in the order in which they are asked; as they stand by default.
    policy_order: Option<OneOrMore<Text>>,
    /// The policies.
    #[schemars(extend("minItems" = 1))]
    composite_sub_policy: Vec<Child>,
    /// Their shares; even ones by default.
    rate_allocation: Option<Vec<Allocation>>,
}

/// A policy's share of the total.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Allocation {
    /// The name of the policy.
    policy: Text,
    /// Its share; 0 is an even one.
    #[schemars(extend("minimum" = 0, "maximum" = 100))]
    percent: Var<f64>,
}

/// Defines an enum of the policy types, each with the fields given, and more types if there are.
macro_rules! policy {
    (
        $(#[$meta:meta])* $name:ident,
        { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* },
        { $($more:tt)* }
    ) => {
        $(#[$meta])*
        #[derive(JsonSchema)]
        #[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
        enum $name {
            /// Keeps every trace.
            AlwaysSample { $($(#[$field_meta])* $field: $type,)* always_sample: Option<Nothing> },
            /// Keeps traces by the status codes of their spans.
            StatusCode { $($(#[$field_meta])* $field: $type,)* status_code: kinds::StatusCodes },
            /// Keeps traces by their duration.
            Latency { $($(#[$field_meta])* $field: $type,)* latency: kinds::Latency },
            /// Keeps a share of the traces.
            Probabilistic {
                $($(#[$field_meta])* $field: $type,)* probabilistic: kinds::Probabilistic
            },
            /// Keeps traces by a text attribute.
            StringAttribute {
                $($(#[$field_meta])* $field: $type,)* string_attribute: kinds::StringAttribute
            },
            /// Keeps traces by an attribute that is a whole number.
            NumericAttribute {
                $($(#[$field_meta])* $field: $type,)* numeric_attribute: kinds::NumericAttribute
            },
            /// Keeps traces by a boolean attribute.
            BooleanAttribute {
                $($(#[$field_meta])* $field: $type,)* boolean_attribute: kinds::BooleanAttribute
            },
            /// Keeps traces by their number of spans.
            SpanCount { $($(#[$field_meta])* $field: $type,)* span_count: kinds::SpanCount },
            /// Keeps traces by a member of the W3C tracestate.
            TraceState { $($(#[$field_meta])* $field: $type,)* trace_state: kinds::TraceState },
            /// Keeps traces with the sampled bit of the W3C trace flags.
            TraceFlags { $($(#[$field_meta])* $field: $type,)* trace_flags: Option<Nothing> },
            /// Keeps traces within a budget of spans.
            RateLimiting {
                $($(#[$field_meta])* $field: $type,)* rate_limiting: kinds::RateLimiting
            },
            /// Keeps traces within a budget of bytes.
            BytesLimiting {
                $($(#[$field_meta])* $field: $type,)* bytes_limiting: kinds::BytesLimiting
            },
            /// Keeps traces by OTTL conditions.
            OttlCondition {
                $($(#[$field_meta])* $field: $type,)* ottl_condition: kinds::OttlCondition
            },
            /// All of several policies.
            And { $($(#[$field_meta])* $field: $type,)* and: And },
            /// The opposite of a policy.
            Not { $($(#[$field_meta])* $field: $type,)* not: Not },
            /// Drops what all of several policies would keep.
            Drop { $($(#[$field_meta])* $field: $type,)* drop: Drop },
            /// Several policies that share a budget.
            Composite { $($(#[$field_meta])* $field: $type,)* composite: Composite },
            $($more)*
        }
    };
}

policy!(
    /// A policy.
    Policy,
    {
        /// Its name, unique in the file; its metrics are labelled with it.
        name: Text,
        /// Whether its votes count; enforce by default.
        mode: Option<Var<Mode>>,
        /// The exporters that get what it keeps; all by default.
        exporters: Option<OneOrMore<Text>>,
    },
    {
        /// Decides the traces that it matches, and ends the asking.
        Rule {
            /// Its name, unique in the file; its metrics are labelled with it.
            name: Text,
            /// Whether its votes count; enforce by default.
            mode: Option<Var<Mode>>,
            /// The exporters that get what it keeps; all by default.
            exporters: Option<OneOrMore<Text>>,
            rule: kinds::Rule,
        },
    }
);
policy!(
    /// A policy inside of another.
    Part,
    {
        /// Its name, for explanations.
        name: Option<Text>,
    },
    {}
);
policy!(
    /// A policy inside of a composite one.
    Child,
    {
        /// Its name, which policy_order and rate_allocation refer to.
        name: Text,
    },
    {}
);
