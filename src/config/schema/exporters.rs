//! The exporters of the static file.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema};
use serde_json::json;

use super::config::Properties;
use super::scalars::{AnyText, Anything, Duration, OneOrMore, Size, Text, Var};

/// Where kept traces go.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = as_the_protocol_has_it)]
pub(super) struct Export {
    /// What is spoken; grpc by default.
    protocol: Option<Var<ExportProtocol>>,
    /// An OTLP receiver: host:port, or a URL; https:// is TLS.
    endpoint: Option<Text>,
    /// With protocol: kafka, where kept traces are written.
    topic: Option<Text>,
    /// With protocol: kafka, another cluster than spans are read from.
    brokers: Option<OneOrMore<Text>>,
    /// With protocol: kafka, settings of librdkafka; those of kafka by default.
    properties: Option<Properties>,
    /// Who the exporter says it is, in the header authorization.
    auth: Option<Auth>,
    /// How connections are encrypted.
    tls: Option<Tls>,
    /// Sent with every request.
    headers: Option<BTreeMap<String, AnyText>>,
    /// gzip by default.
    compression: Option<Var<Compression>>,
    /// How long one attempt may take; 5s by default, 30s with http and kafka.
    timeout: Option<Duration>,
    /// Connections; 2 by default.
    #[schemars(extend("minimum" = 1))]
    connections: Option<Var<u16>>,
    /// When a connection is replaced, and the name resolved again; 5m by default, 0 is never.
    connection_max_age: Option<Duration>,
    /// The largest request before compression; 4032KiB by default.
    max_request_bytes: Option<Size>,
    /// How long a request that is not full may wait; 200ms by default.
    flush_interval: Option<Duration>,
    /// Exponential backoff.
    retry_on_failure: Option<Retry>,
    /// Without meaning: RESOURCE_EXHAUSTED is always tried again.
    retry_on_resource_exhausted: Option<Var<bool>>,
    /// What may wait or be on its way.
    sending_queue: Option<Queue>,
    /// The Collector's, with protocol: http: an endpoint that ends in /v1/traces.
    traces_endpoint: Option<Text>,
    /// The Collector's, with protocol: kafka: where traces are written.
    traces: Option<KafkaTraces>,
    /// The Collector's: what is written is OTLP protobuf.
    encoding: Option<Var<Encoding>>,
    /// The Collector's; has no meaning here.
    metrics_endpoint: Option<Anything>,
    /// The Collector's; has no meaning here.
    logs_endpoint: Option<Anything>,
    /// The Collector's; has no meaning here.
    profiles_endpoint: Option<Anything>,
    /// The Collector's; has no meaning here.
    metrics: Option<Anything>,
    /// The Collector's; has no meaning here.
    logs: Option<Anything>,
    /// The Collector's; has no meaning here.
    profiles: Option<Anything>,
    /// The Collector's; has no meaning here.
    compression_params: Option<Anything>,
    /// The Collector's; has no meaning here.
    keepalive: Option<Anything>,
    /// The Collector's; has no meaning here.
    read_buffer_size: Option<Anything>,
    /// The Collector's; has no meaning here.
    write_buffer_size: Option<Anything>,
    /// The Collector's; has no meaning here.
    wait_for_ready: Option<Anything>,
    /// The Collector's; has no meaning here.
    balancer_name: Option<Anything>,
    /// The Collector's; has no meaning here.
    max_idle_conns: Option<Anything>,
    /// The Collector's; has no meaning here.
    max_idle_conns_per_host: Option<Anything>,
    /// The Collector's; has no meaning here.
    max_conns_per_host: Option<Anything>,
    /// The Collector's; has no meaning here.
    idle_conn_timeout: Option<Anything>,
    /// The Collector's; has no meaning here.
    disable_keep_alives: Option<Anything>,
    /// The Collector's; has no meaning here.
    force_attempt_http2: Option<Anything>,
    /// The Collector's; has no meaning here.
    http2_read_idle_timeout: Option<Anything>,
    /// The Collector's; has no meaning here.
    http2_ping_timeout: Option<Anything>,
    /// The Collector's; has no meaning here.
    batcher: Option<Anything>,
    /// The Collector's; has no meaning here.
    protocol_version: Option<Anything>,
    /// The Collector's; has no meaning here.
    resolve_canonical_bootstrap_servers_only: Option<Anything>,
    /// The Collector's; has no meaning here.
    client_id: Option<Anything>,
    /// The Collector's; has no meaning here.
    metadata: Option<Anything>,
    /// The Collector's; has no meaning here.
    producer: Option<Anything>,
    /// The Collector's; has no meaning here.
    partition_traces_by_id: Option<Anything>,
    /// The Collector's; has no meaning here.
    partition_metrics_by_resource_attributes: Option<Anything>,
    /// The Collector's; has no meaning here.
    partition_logs_by_resource_attributes: Option<Anything>,
}

/// Where the Collector's Kafka exporter writes traces.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct KafkaTraces {
    /// The topic.
    topic: Option<Text>,
    /// What is written is OTLP protobuf.
    encoding: Option<Var<Encoding>>,
}

/// OTLP protobuf.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Encoding {
    OtlpProto,
    Proto,
}

/// What one protocol needs and the others have not.
fn as_the_protocol_has_it(schema: &mut Schema) {
    let is_kafka = json!({
        "properties": { "protocol": { "const": "kafka" } },
        "required": ["protocol"],
    });
    schema.insert("if".to_owned(), is_kafka);
    let topic = json!({ "anyOf": [{ "required": ["topic"] }, { "required": ["traces"] }] });
    schema.insert("then".to_owned(), topic);
    let is_known = json!({ "properties": { "protocol": { "enum": ["grpc", "http"] } } });
    let one_of = |keys: &[&str]| {
        let each = keys.iter().map(|key| json!({ "required": [key] }));
        json!({ "anyOf": each.collect::<Vec<_>>() })
    };
    // Without a protocol, the exporter's name may say that it is kafka.
    let otlp = json!({ "if": is_known, "then": {
        "if": { "required": ["protocol"] },
        "then": one_of(&["endpoint", "traces_endpoint"]),
        "else": one_of(&["endpoint", "traces_endpoint", "topic", "traces"]),
    } });
    schema.insert("else".to_owned(), otlp);
}

/// What is spoken.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ExportProtocol {
    /// OTLP over gRPC.
    Grpc,
    /// OTLP over HTTP, protobuf.
    Http,
    /// Records of OTLP protobuf on a topic.
    Kafka,
}

/// Who the exporter says it is: one of the two.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
struct Auth {
    /// A name and a password.
    basic: Option<Basic>,
    /// A token.
    bearer: Option<Bearer>,
}

/// A name and a password.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Basic {
    /// The name.
    username: Text,
    /// The password.
    password: Text,
}

/// A token, or a file with one.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
struct Bearer {
    /// The token.
    token: Option<Text>,
    /// A file with the token; it is read again when it changes.
    token_file: Option<Text>,
}

/// How connections are encrypted.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Tls {
    /// They are not.
    insecure: Option<Var<bool>>,
    /// The certificate of the backend is not verified.
    insecure_skip_verify: Option<Var<bool>>,
    /// Whose certificates are trusted, PEM; by default those the system trusts.
    ca_file: Option<Text>,
    /// Those the system trusts, beside those of ca_file.
    include_system_ca_certs_pool: Option<Var<bool>>,
    /// The own certificate, PEM, for backends that ask for one.
    cert_file: Option<Text>,
    /// Its key, PEM.
    key_file: Option<Text>,
    /// The name that the certificate of the backend has to be of, if not that of the endpoint.
    server_name_override: Option<Text>,
    /// The oldest version that is spoken; 1.2 by default.
    min_version: Option<Var<TlsVersion>>,
    /// When the files are read again even if they look unchanged; 5m by default.
    reload_interval: Option<Duration>,
    /// The Collector's; has no meaning here.
    max_version: Option<Anything>,
    /// The Collector's; has no meaning here.
    cipher_suites: Option<Anything>,
    /// The Collector's; has no meaning here.
    curve_preferences: Option<Anything>,
}

/// A version of TLS, in quotes.
#[derive(JsonSchema)]
enum TlsVersion {
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

/// How requests are compressed.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Compression {
    Gzip,
    Zstd,
    None,
}

/// Exponential backoff.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Retry {
    /// The first wait; 5s by default.
    initial_interval: Option<Duration>,
    /// What each wait is multiplied with; 1.5 by default.
    multiplier: Option<Var<f64>>,
    /// How much waits differ, from 0 to 1; 0.5 by default.
    randomization_factor: Option<Var<f64>>,
    /// The longest wait; 30s by default.
    max_interval: Option<Duration>,
    /// When it is given up; 0 is never, the default.
    max_elapsed_time: Option<Duration>,
    /// A trace that fails alone is refused after so many attempts between which others were
    /// accepted; 8 by default, and ten times as many for codes that may pass.
    refuse_after_attempts: Option<Var<u32>>,
    /// And not before so long after the first of these; 1m by default.
    refuse_after_time: Option<Duration>,
    /// The Collector's: it is always so.
    enabled: Option<Var<bool>>,
}

/// What may wait or be on its way.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Queue {
    /// In bytes; 64MiB by default.
    queue_size_bytes: Option<Size>,
    /// Requests on their way at once; 4 by default.
    #[schemars(extend("minimum" = 1))]
    num_consumers: Option<Var<u32>>,
    /// The Collector's: it is always so.
    enabled: Option<Var<bool>>,
    /// The Collector's: what queue_size counts.
    sizer: Option<Var<Sizer>>,
    /// The Collector's; with sizer: bytes it is queue_size_bytes.
    queue_size: Option<Anything>,
    /// The Collector's; has no meaning here.
    block_on_overflow: Option<Anything>,
    /// The Collector's; has no meaning here.
    wait_for_result: Option<Anything>,
    /// The Collector's; has no meaning here.
    storage: Option<Anything>,
    /// The Collector's; has no meaning here.
    batch: Option<Anything>,
}

/// What the Collector's queues count.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Sizer {
    Requests,
    Items,
    Bytes,
}
