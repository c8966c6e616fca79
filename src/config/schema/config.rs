//! The static file.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::json;

use super::super::kafka::REFUSED;
use super::exporters::Export;
use super::scalars::{Duration, OneOrMore, Size, Text, Var};

/// The static file: where spans come from, where kept traces go, how much memory they may take.
#[derive(JsonSchema)]
#[schemars(title = "tailsieve static file", transform = one_way_out)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// Where spans come from.
    kafka: Kafka,
    /// Where decisions are put on record.
    decision_log: Option<DecisionLog>,
    /// The bounds on what is in memory.
    buffer: Option<Buffer>,
    /// Where kept traces go.
    export: Option<Export>,
    /// Where kept traces go, if that is to several places: each has a name that policies may refer
    /// to.
    exporters: Option<Exporters>,
    /// Where goes what is refused; nowhere by default.
    dead_letter: Option<DeadLetter>,
    /// What is written on kept spans.
    annotate: Option<Annotate>,
    /// The pages for operation.
    admin: Option<Admin>,
    /// How the process logs.
    telemetry: Option<Telemetry>,
    /// How long an orderly stop may take; 30s by default.
    shutdown_timeout: Option<Duration>,
    /// The policy file, relative to this file.
    policies: Text,
    /// Which processor of the policy file is meant, if it is a Collector configuration with several.
    #[schemars(extend("pattern" = "^tail_sampling(/.*)?$|\\$\\{"))]
    policies_processor: Option<String>,
    /// How often the contents of the policy file are looked at; 1s by default.
    policies_poll_interval: Option<Duration>,
}

/// Either `export` or `exporters` is needed.
fn one_way_out(schema: &mut Schema) {
    let ways = json!([{ "required": ["export"] }, { "required": ["exporters"] }]);
    schema.insert("oneOf".to_owned(), ways);
}

/// Exporters by their names.
struct Exporters;

impl JsonSchema for Exporters {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Exporters".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z0-9_./-]{1,64}$" },
            // The Collector's, which are passed over.
            "patternProperties": { "^(debug|logging|nop)(/.*)?$": true },
            "additionalProperties": generator.subschema_for::<Export>(),
            "minProperties": 1,
            "maxProperties": 32,
        })
    }
}

/// Where spans come from.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Kafka {
    /// Where to find the cluster.
    brokers: OneOrMore<Text>,
    /// The topic with OTLP protobuf, keyed by trace id; otlp_spans by default.
    topic: Option<Text>,
    /// The consumer group; tailsieve by default.
    group_id: Option<Text>,
    /// A name of its own for a member with static membership.
    group_instance_id: Option<Text>,
    /// The protocol of the group; classic by default.
    group_protocol: Option<Var<Protocol>>,
    /// Headers of records that go along with their spans to the backend, under these names; none by
    /// default.
    forward_headers: Option<OneOrMore<Text>>,
    /// Where a group starts that has not committed anything: earliest, latest, or a time.
    start_from: Option<Text>,
    /// How often offsets are committed; 1s by default.
    commit_interval: Option<Duration>,
    /// For how long a membership is believed in that the group has not confirmed; two thirds of
    /// session.timeout.ms by default.
    lease_timeout: Option<Duration>,
    /// How long a partition that goes to another member may wait for deliveries; 2s by default.
    revoke_timeout: Option<Duration>,
    /// How much a record's time may be ahead of this machine's clock; 5s by default.
    future_tolerance: Option<Duration>,
    /// Consumers in this process; 1 by default.
    #[schemars(extend("minimum" = 1, "maximum" = 64))]
    consumers: Option<Var<u16>>,
    /// How far the clock of a quiet partition stays behind this machine's; 5s by default.
    idle_grace: Option<Duration>,
    /// Settings of librdkafka.
    properties: Option<Properties>,
}

/// Where decisions are put on record.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct DecisionLog {
    /// Whether they are; true by default. Without it traces may be judged twice after a crash.
    enabled: Option<Var<bool>>,
    /// A topic with as many partitions as kafka.topic; its name with `_decisions` behind it by
    /// default.
    topic: Option<Text>,
}

/// The protocol of a consumer group.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Protocol {
    /// Cooperative-sticky.
    Classic,
    /// That of KIP-848, for brokers since 4.0.
    Consumer,
}

/// Settings of librdkafka, besides those that would break a promise.
pub(super) struct Properties;

impl JsonSchema for Properties {
    fn schema_name() -> Cow<'static, str> {
        "Properties".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let refused: Vec<&str> = REFUSED.iter().map(|(name, _)| *name).collect();
        json_schema!({
            "type": "object",
            "propertyNames": { "not": { "enum": refused } },
            "additionalProperties": { "type": ["string", "number", "boolean"] },
        })
    }
}

/// The bounds on what is in memory.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Buffer {
    /// Open traces, for the whole process; 1GiB by default.
    max_bytes: Option<Size>,
    /// Records that wait for the workers; 8MiB by default.
    queue_bytes: Option<Size>,
    /// Worker threads; 0 is one for each core.
    #[schemars(extend("minimum" = 0, "maximum" = 256))]
    workers: Option<Var<u16>>,
}

/// Where goes what is refused.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeadLetter {
    /// The topic, in the same cluster.
    topic: Text,
    /// When a letter that Kafka does not take is given up, counted and logged; 30s by default.
    message_timeout: Option<Duration>,
}

/// What is written on kept spans.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Annotate {
    /// Attribute tailsieve.policy; true by default.
    policy: Option<Var<bool>>,
    /// ot=th, the sampling threshold; true by default.
    tracestate: Option<Var<bool>>,
    /// Attribute SampleRate; true by default.
    sample_rate: Option<Var<bool>>,
}

/// The pages for operation.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Admin {
    /// Where they are served; 0.0.0.0:9464 by default.
    listen: Option<Text>,
}

/// How the process logs.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Telemetry {
    /// A level, or filters; info by default.
    log: Option<Text>,
    /// How log lines look; auto by default.
    log_format: Option<Var<LogFormat>>,
}

/// How log lines look.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    Text,
    Json,
}
