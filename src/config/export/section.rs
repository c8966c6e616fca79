//! What stands in the section of an exporter, also as a Collector has it.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::config::kafka::{Properties, brokers, properties};
use crate::export::{
    self, Compression, Protocol, QueueSettings, RetrySettings, TlsSettings, collector,
};
use crate::options::{
    Key, Section, boolean, choice, choices, duration, entries, name, options, path, section, size,
    text, wait, whole,
};
use crate::secret::Secret;

options! {
    /// Where kept traces go.
    pub(super) struct Exporter {
        /// What is spoken; grpc by default, or what a name of the Collector says (otlphttp/vendor).
        protocol: Option<Protocol> = choice().optional(),
        /// An OTLP receiver: host:port, or a URL. https:// is TLS; with http, /v1/traces is added.
        /// Needed with grpc and http.
        endpoint: Option<String> = name().optional(),
        /// With protocol: kafka, where kept traces are written. Needed there.
        topic: Option<String> = name().optional(),
        /// With protocol: kafka, another cluster than the one that spans are read from.
        brokers: Option<String> = brokers().optional(),
        /// With protocol: kafka, settings of librdkafka; kafka.properties by default, unless
        /// brokers names another cluster.
        properties: Option<Properties> = properties().optional(),
        /// Who the exporter says it is, in the header authorization.
        auth: Option<export::Auth> = section::<Auth>().optional().map(|auth| auth?.settings()),
        /// How connections are encrypted.
        tls: Option<TlsSettings> = section().optional(),
        /// Sent with every request, such as X-Scope-OrgID.
        headers: Vec<(String, Secret)> = headers(),
        /// How requests are compressed.
        compression: Compression = choice().or("gzip"),
        /// How long one attempt may take; 5s by default, 30s with http and kafka.
        timeout: Option<Duration> = wait().optional(),
        /// Connections that requests are spread over. One connection stays on one pod of the
        /// backend. With HTTP/1.1 there are more if more requests are in flight.
        connections: usize = whole(1..=64).or("2"),
        /// The age at which a connection is replaced, and the name resolved again, so that new
        /// pods get their share; 0 is never.
        connection_max_age: Duration = duration().or("5m"),
        /// The largest request (kafka: record) before compression; 4032KiB by default, 984000 bytes
        /// with kafka. OTLP receivers over gRPC accept 4 MiB by default, over HTTP 20 MiB, brokers
        /// 1 MB.
        max_request_bytes: Option<usize> = size().try_map(request_size).optional(),
        /// A request that is not full is sent when its oldest trace has waited this long.
        flush_interval: Duration = duration().or("100ms"),
        /// When to try again after a failure that may pass.
        retry_on_failure: RetrySettings = section().or_defaults(),
        /// The Collector's; has no meaning here: after RESOURCE_EXHAUSTED a request is always sent
        /// again, in smaller parts.
        retry_on_resource_exhausted: Option<bool> = boolean().optional(),
        /// What may wait or be on its way.
        sending_queue: QueueSettings = section().or_defaults(),
        /// The Collector's, with protocol: http: an endpoint that ends in /v1/traces.
        traces_endpoint: Option<String> = name().try_map(traces_endpoint).optional(),
        /// The Collector's, with protocol: kafka: where traces are written.
        traces: Option<KafkaTraces> = section().optional(),
        /// The Collector's: what is sent is OTLP protobuf.
        encoding: Option<Encoding> = choice().optional(),
    }
    then |section| {
        section.take_without_meaning(collector::OF_EXPORTERS);
        needs_of_protocols(section);
    }
}

options! {
    /// Who the exporter says it is: one of the two.
    pub(super) struct Auth {
        /// A name and a password.
        basic: Option<Basic> = section().optional(),
        /// A token.
        bearer: Option<Bearer> = section().optional(),
    }
    then |section| { only_one(section, ["basic", "bearer"]) }
}

options! {
    /// A name and a password.
    pub(super) struct Basic {
        /// The name.
        username: String = name().required("tailsieve"),
        /// The password.
        password: Secret = name().map(Secret::new).required("${env:OTLP_PASSWORD}"),
    }
}

options! {
    /// A token, or a file with one.
    pub(super) struct Bearer {
        /// The token.
        token: Option<Secret> = name().map(Secret::new).optional(),
        /// A file with the token; it is read again when it changes.
        token_file: Option<PathBuf> = path().optional(),
    }
    then |section| { only_one(section, ["token", "token_file"]) }
}

options! {
    /// Where the Collector's Kafka exporter writes traces.
    pub(super) struct KafkaTraces {
        /// The topic.
        topic: Option<String> = name().optional(),
        /// What is written is OTLP protobuf.
        encoding: Option<Encoding> = choice().optional(),
    }
}

choices! {
    /// What records and requests are: OTLP protobuf.
    pub(super) enum Encoding {
        /// OTLP protobuf.
        OtlpProto = "otlp_proto",
        /// The same.
        Proto = "proto",
    }
}

impl Auth {
    fn settings(self) -> Option<export::Auth> {
        match (self.basic, self.bearer) {
            (Some(Basic { username, password }), None) => {
                Some(export::Auth::Basic { username, password })
            }
            (None, Some(Bearer { token: Some(token), .. })) => Some(export::Auth::Bearer(token)),
            (None, Some(bearer)) => bearer.token_file.map(export::Auth::BearerFile),
            _ => None,
        }
    }
}

fn only_one(section: &mut Section<'_>, [one, other]: [&str; 2]) {
    section.rule("minProperties", json!(1));
    section.rule("maxProperties", json!(1));
    if section.has(one) == section.has(other) {
        let message = format!("expected one of `{one}` and `{other}`");
        let example = match other {
            "bearer" => "bearer: {token_file: /var/run/secrets/token}",
            _ => "token_file: /var/run/secrets/token",
        };
        section.problem(&message, example);
    }
}

fn headers() -> Key<Vec<(String, Secret)>> {
    entries("names and values", text().map(Secret::new)).or_default()
}

fn request_size(bytes: usize) -> Result<usize, String> {
    let is_fine = (1024..=1 << 30).contains(&bytes);
    if is_fine { Ok(bytes) } else { Err("expected a size from 1KiB to 1GiB".to_owned()) }
}

/// The endpoint of an HTTP exporter in the Collector's words.
fn traces_endpoint(endpoint: String) -> Result<String, String> {
    if endpoint.trim_end_matches('/').ends_with("/v1/traces") {
        return Ok(endpoint);
    }
    Err("expected a URL that ends in `/v1/traces`: no other path is asked".to_owned())
}

/// What one protocol needs and the others have not.
fn needs_of_protocols(section: &mut Section<'_>) {
    let one_of = |keys: &[&str]| {
        let each: Vec<_> = keys.iter().map(|key| json!({ "required": [key] })).collect();
        json!({ "anyOf": each })
    };
    let is_kafka = json!({
        "properties": { "protocol": { "const": "kafka" } },
        "required": ["protocol"],
    });
    section.rule("if", is_kafka);
    section.rule("then", one_of(&["topic", "traces"]));
    let is_known = json!({ "properties": { "protocol": { "enum": ["grpc", "http"] } } });
    // Without a protocol, the exporter's name may say that it is kafka.
    let otlp = json!({ "if": is_known, "then": {
        "if": { "required": ["protocol"] },
        "then": one_of(&["endpoint", "traces_endpoint"]),
        "else": one_of(&["endpoint", "traces_endpoint", "topic", "traces"]),
    } });
    section.rule("else", otlp);
}
