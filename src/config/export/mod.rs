//! Sections `export` and `exporters` of the static file, also as a Collector has them: the protocol
//! in the name, and its own options.

mod section;

use serde_json::json;

use super::kafka::Properties;
use crate::export::{ExportSettings, KafkaTarget, Protocol};
use crate::kafka::source::{KeptHeaders, SourceSettings};
use crate::options::{
    Choice, Context, Entry, Form, Node, Options, Schemas, Section, Value, or_variable, values,
};

use section::Exporter;

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
