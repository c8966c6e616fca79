//! Sections `export` and `exporters` of the static file, also as a Collector has them: the protocol
//! in the name, and its own options.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::kafka::{Properties, brokers, properties};
use crate::export::{
    self, Compression, ExportSettings, KafkaTarget, Protocol, QueueSettings, RetrySettings, Secret,
    TlsSettings, collector,
};
use crate::kafka::source::{KeptHeaders, SourceSettings};
use crate::options::{
    Choice, Context, Entry, Form, Key, Node, Options, Schemas, Section, Value, boolean, choice,
    choices, duration, entries, name, options, or_variable, path, section, size, text, values,
    wait, whole,
};

options! {
    /// Where kept traces go.
    struct Exporter {
        /// What is spoken; grpc by default.
        protocol: Option<Protocol> = choice().optional(),
        /// An OTLP receiver: host:port, or a URL; https:// is TLS.
        endpoint: Option<String> = name().optional(),
        /// With protocol: kafka, where kept traces are written.
        topic: Option<String> = name().optional(),
        /// With protocol: kafka, another cluster than spans are read from.
        brokers: Option<String> = brokers().optional(),
        /// With protocol: kafka, settings of librdkafka; those of kafka by default.
        properties: Option<Properties> = properties().optional(),
        /// Who the exporter says it is, in the header authorization.
        auth: Option<export::Auth> = section::<Auth>().optional().map(|auth| auth?.settings()),
        /// How connections are encrypted.
        tls: Option<TlsSettings> = section().optional(),
        /// Sent with every request.
        headers: Vec<(String, Secret)> = headers(),
        /// How requests are compressed.
        compression: Compression = choice().or("gzip"),
        /// How long one attempt may take; 5s by default, 30s with http and kafka.
        timeout: Option<Duration> = wait().optional(),
        /// Connections that requests are spread over. One connection stays on one pod.
        connections: usize = whole(1..=64).or("2"),
        /// When a connection is replaced, and the name resolved again; 0 is never.
        connection_max_age: Duration = duration().or("5m"),
        /// The largest request before compression; 4032KiB by default, 960KiB with kafka.
        max_request_bytes: Option<usize> = size().try_map(request_size).optional(),
        /// How long a request that is not full may wait.
        flush_interval: Duration = duration().or("200ms"),
        /// When to try again after a failure that may pass.
        retry_on_failure: RetrySettings = section().or_defaults(),
        /// Without meaning: RESOURCE_EXHAUSTED is always tried again.
        retry_on_resource_exhausted: Option<bool> = boolean().optional(),
        /// What may wait or be on its way.
        sending_queue: QueueSettings = section().or_defaults(),
        /// The Collector's, with protocol: http: an endpoint that ends in /v1/traces.
        traces_endpoint: Option<String> = name().try_map(traces_endpoint).optional(),
        /// The Collector's, with protocol: kafka: where traces are written.
        traces: Option<KafkaTraces> = section().optional(),
        /// The Collector's: what is written is OTLP protobuf.
        encoding: Option<Encoding> = choice().optional(),
    }
    then |section| {
        section.take_without_meaning(collector::OF_EXPORTERS);
        needs_of_protocols(section);
    }
}

options! {
    /// Who the exporter says it is: one of the two.
    struct Auth {
        /// A name and a password.
        basic: Option<Basic> = section().optional(),
        /// A token.
        bearer: Option<Bearer> = section().optional(),
    }
    then |section| { only_one(section, ["basic", "bearer"]) }
}

options! {
    /// A name and a password.
    struct Basic {
        /// The name.
        username: String = name().required("tailsieve"),
        /// The password.
        password: Secret = name().map(Secret::new).required("${env:OTLP_PASSWORD}"),
    }
}

options! {
    /// A token, or a file with one.
    struct Bearer {
        /// The token.
        token: Option<Secret> = name().map(Secret::new).optional(),
        /// A file with the token; it is read again when it changes.
        token_file: Option<PathBuf> = path().optional(),
    }
    then |section| { only_one(section, ["token", "token_file"]) }
}

options! {
    /// Where the Collector's Kafka exporter writes traces.
    struct KafkaTraces {
        /// The topic.
        topic: Option<String> = name().optional(),
        /// What is written is OTLP protobuf.
        encoding: Option<Encoding> = choice().optional(),
    }
}

choices! {
    /// What records and requests are: OTLP protobuf.
    enum Encoding {
        /// OTLP protobuf.
        OtlpProto = "otlp_proto",
        /// The same.
        Proto = "proto",
    }
}

/// What only OTLP over a connection of its own has.
const OF_OTLP: &[&str] = &[
    "endpoint",
    "traces_endpoint",
    "headers",
    "auth",
    "tls",
    "compression",
    "connections",
    "connection_max_age",
    "retry_on_resource_exhausted",
];

/// What only a Kafka exporter has.
const OF_KAFKA: &[&str] = &["topic", "traces", "brokers", "properties"];

/// What stands in the place of `auth` and `tls` towards Kafka.
const IN_PROPERTIES: &str = "say it in librdkafka's words: `properties: {security.protocol: \
                             sasl_ssl, sasl.mechanism: ..., sasl.username: ..., ssl.ca.location: ...}`";

/// More are hardly meant, and each has a queue and connections of its own.
const MAX_EXPORTERS: usize = 32;

/// The Collector's exporters that write to standard output or nowhere.
const NO_WAY_OUT: &[&str] = &["debug", "logging", "nop"];

/// The exporters, in the order of the file; never empty.
pub(super) fn read(root: &mut Section<'_>, source: &SourceSettings) -> Vec<ExportSettings> {
    let context = root.context;
    let one = Form::new(|_, _| Some(()), |schemas| or_variable(schemas.section::<Exporter>()));
    root.take("export", "Where kept traces go.", one.optional());
    let doc = "Where kept traces go, if that is to several places: each has a name that policies \
               may refer to.";
    root.take("exporters", doc, Form::new(|_, _| Some(()), several_schema).optional());
    root.rule("oneOf", json!([{ "required": ["export"] }, { "required": ["exporters"] }]));
    let Some(several) = root.node("exporters") else {
        let nothing = Node::new(root.place, Value::Null);
        let node = root.node("export").unwrap_or(&nothing);
        return vec![exporter(context, node, "default", source)];
    };
    if root.has("export") {
        let help = "move what stands under `export` to a name under `exporters`";
        let message = "`export` and `exporters` are both given";
        context.problems.add(several.place, message, Some(help.to_owned()));
    }
    let exporters = named(context, several, source);
    if exporters.is_empty() { vec![ExportSettings::default()] } else { exporters }
}

fn several_schema(schemas: &mut Schemas) -> serde_json::Value {
    or_variable(json!({
        "type": "object",
        "propertyNames": { "pattern": "^[A-Za-z0-9_./-]{1,64}$" },
        // The Collector's, which are passed over.
        "patternProperties": { "^(debug|logging|nop)(/.*)?$": true },
        "additionalProperties": or_variable(schemas.section::<Exporter>()),
        "minProperties": 1,
        "maxProperties": MAX_EXPORTERS,
    }))
}

fn named<'a>(
    context: &'a Context<'a>,
    several: &'a Node,
    source: &SourceSettings,
) -> Vec<ExportSettings> {
    let problems = &context.problems;
    let help = || Some("for example `exporters: {tempo: {endpoint: tempo:4317}}`".to_owned());
    let entries = match &several.value {
        Value::Map(entries) if !entries.is_empty() => entries,
        _ => {
            problems.add(several.place, "expected exporters by their names", help());
            return Vec::new();
        }
    };
    if let Some(entry) = entries.get(MAX_EXPORTERS) {
        let message = format!("there are more than {MAX_EXPORTERS} exporters");
        problems.add(entry.place, message, None);
    }
    let one = |entry: &'a Entry| {
        if !is_name(&entry.key) {
            let message = format!("`{}` is no name of an exporter", entry.key);
            let help = "up to 64 letters, digits, `-`, `_`, `.` and `/`";
            problems.add(entry.place, message, Some(help.to_owned()));
        }
        exporter(context, &entry.node, &entry.key, source)
    };
    let ways_out = entries.iter().filter(|entry| !is_no_way_out(context, entry));
    let exporters: Vec<ExportSettings> = ways_out.map(one).collect();
    if exporters.is_empty() {
        problems.add(several.place, "there is no exporter that can be used", help());
    }
    exporters
}

/// Names are labels of metrics and parts of client ids.
fn is_name(name: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(is_fine)
}

/// The protocol that a name says, as the Collector's names do: `otlphttp/vendor`.
fn protocol_of(name: &str) -> Option<Protocol> {
    match kind(name) {
        "otlp" | "otlp_grpc" | "otlpgrpc" => Some(Protocol::Grpc),
        "otlphttp" | "otlp_http" => Some(Protocol::Http),
        "kafka" => Some(Protocol::Kafka),
        _ => None,
    }
}

fn kind(name: &str) -> &str {
    name.split_once('/').map_or(name, |(kind, _)| kind)
}

/// True if the exporter is one that tailsieve has nothing like; says so.
fn is_no_way_out(context: &Context<'_>, entry: &Entry) -> bool {
    let is_own = ["protocol", "endpoint", "topic"].iter().any(|key| entry.node.get(key).is_some());
    if is_own || !NO_WAY_OUT.contains(&kind(&entry.key)) {
        return false;
    }
    let message = format!("`{}` is not read: `tailsieve decide` shows what is kept", entry.key);
    context.notes.add(entry.place, message, None);
    true
}

/// Reads an exporter. What is wrong with its settings together is told if each could be read.
fn exporter<'a>(
    context: &'a Context<'a>,
    node: &'a Node,
    name: &str,
    source: &SourceSettings,
) -> ExportSettings {
    let mut section = Section::new(node, context);
    let said = section.node("protocol").and_then(|it| values::choice(Protocol::ALL)(it).ok());
    let protocol = said.or_else(|| protocol_of(name)).unwrap_or_default();
    match protocol {
        Protocol::Kafka => without(&mut section, OF_OTLP, "kafka"),
        Protocol::Grpc => {
            without(&mut section, &["traces_endpoint"], "grpc");
            without(&mut section, OF_KAFKA, "grpc or http");
        }
        Protocol::Http => without(&mut section, OF_KAFKA, "grpc or http"),
    }
    let exporter = Exporter::read(&mut section);
    let defaults = ExportSettings::of(protocol);
    let mut settings = ExportSettings {
        name: name.to_owned(),
        tls: exporter.tls.clone(),
        auth: exporter.auth.clone(),
        headers: exporter.headers.iter().cloned().collect(),
        compression: exporter.compression,
        timeout: exporter.timeout.unwrap_or(defaults.timeout),
        connections: exporter.connections,
        connection_max_age: exporter.connection_max_age,
        max_request_bytes: exporter.max_request_bytes.unwrap_or(defaults.max_request_bytes),
        flush_interval: exporter.flush_interval,
        retry_on_failure: exporter.retry_on_failure.clone(),
        sending_queue: exporter.sending_queue.clone(),
        ..defaults
    };
    if protocol == Protocol::Kafka {
        settings.kafka = Some(kafka_target(&section, exporter, source));
    } else if let Some(endpoint) = endpoint(&section, protocol, &exporter) {
        settings.endpoint = endpoint;
        unencrypted(&section, &settings);
    }
    settings.forwards_without_default = has_no_default(&settings, &source.headers);
    section.finish();
    problems(context, &settings, node);
    settings
}

/// These keys have no meaning with this protocol; that they stand there is a mistake.
fn without(section: &mut Section<'_>, keys: &'static [&'static str], protocol: &str) {
    for key in keys {
        if let Some(node) = section.node(key) {
            let message = format!("`{key}` has no meaning with protocol: {protocol}");
            let is_login = matches!(*key, "auth" | "tls");
            let help = if is_login { IN_PROPERTIES } else { "leave it out" };
            section.context.problems.add(node.place, message, Some(help.to_owned()));
        }
        section.pass_over(key);
    }
}

fn endpoint(section: &Section<'_>, protocol: Protocol, exporter: &Exporter) -> Option<String> {
    let (is_http, example) = match protocol {
        Protocol::Http => (true, "http://tempo:4318"),
        Protocol::Grpc | Protocol::Kafka => (false, "tempo:4317"),
    };
    if is_http && section.has("traces_endpoint") {
        return exporter.traces_endpoint.clone();
    }
    section.need("endpoint", example);
    exporter.endpoint.clone()
}

/// The topic, its own or that of its traces, and the cluster if it is another one than the spans
/// come from. How to log in there is told there, lest one cluster gets to see the passwords of
/// another.
fn kafka_target(section: &Section<'_>, exporter: Exporter, source: &SourceSettings) -> KafkaTarget {
    let Exporter { topic, brokers, properties, traces, .. } = exporter;
    let topic = topic.or_else(|| traces?.topic.filter(|_| !section.has("topic")));
    if topic.is_none() {
        section.need("topic", "otlp_spans_kept");
    }
    let topic = topic.unwrap_or_default();
    if topic == source.topic && brokers.as_ref().is_none_or(|brokers| *brokers == source.brokers) {
        let message = "`topic` is the one that spans are read from: they would go in circles";
        section.problem(message, "topic: otlp_spans_kept");
    }
    let properties = properties.map(|Properties(properties)| properties);
    match brokers {
        Some(brokers) => KafkaTarget { brokers, topic, properties: properties.unwrap_or_default() },
        None => KafkaTarget {
            brokers: source.brokers.clone(),
            topic,
            properties: properties.unwrap_or_else(|| source.properties.clone()),
        },
    }
}

/// Without a scheme and `tls`, the Collector encrypts what goes to an exporter of this name.
fn unencrypted(section: &Section<'_>, settings: &ExportSettings) {
    let is_grpc = protocol_of(&settings.name) == Some(Protocol::Grpc);
    let is_open = settings.tls.is_none() && !settings.endpoint.contains("://");
    if let Some(node) = section.node("endpoint").filter(|_| is_grpc && is_open) {
        let message = "`endpoint` without https:// and without `tls` is not encrypted here, where \
                       the Collector encrypts";
        section.context.notes.add(node.place, message, None);
    }
}

/// Whether headers of records go along that requests without records lack.
fn has_no_default(settings: &ExportSettings, forwarded: &KeptHeaders) -> bool {
    let is_there = |name: &String| settings.headers.keys().any(|it| it.eq_ignore_ascii_case(name));
    let is_otlp = settings.protocol != Protocol::Kafka;
    match forwarded {
        KeptHeaders::None => false,
        KeptHeaders::Named(names) => is_otlp && !names.iter().all(is_there),
        KeptHeaders::All => is_otlp,
    }
}

/// What is wrong with the settings together.
fn problems(context: &Context<'_>, settings: &ExportSettings, node: &Node) {
    for (mut key, message) in settings.problems() {
        // Where it was read from.
        let is_http = settings.protocol == Protocol::Http;
        if key == "endpoint" && is_http && node.get("traces_endpoint").is_some() {
            key = "traces_endpoint";
        }
        let node = node.find(key);
        let message = format!("{key}: {}", values::told(node, message));
        context.problems.add(node.place, message, None);
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
