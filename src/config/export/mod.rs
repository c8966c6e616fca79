//! Sections `export` and `exporters` of the static file.

mod kafka;
mod pasted;
mod security;

use std::collections::BTreeMap;
use std::path::Path;

use garde::Validate;

use super::document::{Entry, Node, Value};
use super::reader::{Problems, Section};
use super::values;
use crate::export::{Compression, ExportSettings, Protocol, Secret};
use crate::kafka::source::{KeptHeaders, SourceSettings};

const PROTOCOLS: &[(&str, Protocol)] =
    &[("grpc", Protocol::Grpc), ("http", Protocol::Http), ("kafka", Protocol::Kafka)];

const COMPRESSIONS: &[(&str, Compression)] =
    &[("gzip", Compression::Gzip), ("zstd", Compression::Zstd), ("none", Compression::None)];

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

/// What the reader of an exporter knows beside its section.
#[derive(Clone, Copy)]
struct Context<'a> {
    /// Paths in the file are relative to it.
    folder: &'a Path,
    /// The settings that a Kafka exporter has unless it is told others.
    source: &'a SourceSettings,
    problems: &'a Problems,
    /// What was read well and is probably not meant.
    warnings: &'a Problems,
    /// What was read and has no meaning here.
    notes: &'a Problems,
}

/// What is said of the sections.
#[derive(Clone, Copy)]
pub(super) struct Told<'a> {
    pub(super) problems: &'a Problems,
    pub(super) warnings: &'a Problems,
    pub(super) notes: &'a Problems,
}

/// The exporters, in the order of the file; never empty.
pub(super) fn read(
    root: &mut Section<'_>,
    source: &SourceSettings,
    folder: &Path,
    told: Told<'_>,
) -> Vec<ExportSettings> {
    let Told { problems, warnings, notes } = told;
    let context = Context { folder, source, problems, warnings, notes };
    let Some(several) = root.node("exporters") else {
        let node = root.node("export");
        return vec![exporter(root.section("export"), node, "default", context)];
    };
    if root.has("export") {
        let help = "move what stands under `export` to a name under `exporters`";
        let message = "`export` and `exporters` are both given";
        problems.add(several.place, message, Some(help.to_owned()));
        root.node("export");
    }
    let exporters = named(several, context);
    if exporters.is_empty() { vec![ExportSettings::default()] } else { exporters }
}

fn named(several: &Node, context: Context<'_>) -> Vec<ExportSettings> {
    let help = || Some("for example `exporters: {tempo: {endpoint: tempo:4317}}`".to_owned());
    let entries = match &several.value {
        Value::Map(entries) if !entries.is_empty() => entries,
        _ => {
            let message = "expected exporters by their names";
            context.problems.add(several.place, message, help());
            return Vec::new();
        }
    };
    if let Some(entry) = entries.get(MAX_EXPORTERS) {
        let message = format!("there are more than {MAX_EXPORTERS} exporters");
        context.problems.add(entry.place, message, None);
    }
    let exporter = |entry: &Entry| {
        if !is_name(&entry.key) {
            let message = format!("`{}` is no name of an exporter", entry.key);
            let help = "up to 64 letters, digits, `-`, `_`, `.` and `/`";
            context.problems.add(entry.place, message, Some(help.to_owned()));
        }
        let section = Section::new(&entry.node, context.problems);
        exporter(section, Some(&entry.node), &entry.key, context)
    };
    let ways_out: Vec<&Entry> =
        entries.iter().filter(|entry| !pasted::is_no_way_out(entry, context)).collect();
    if ways_out.is_empty() {
        context.problems.add(several.place, "there is no exporter that can be used", help());
    }
    ways_out.into_iter().map(exporter).collect()
}

/// Names are labels of metrics and parts of client ids.
fn is_name(name: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(is_fine)
}

fn exporter(
    mut section: Section<'_>,
    node: Option<&Node>,
    name: &str,
    context: Context<'_>,
) -> ExportSettings {
    let protocol = section.optional("protocol", values::choice(PROTOCOLS));
    let protocol = protocol.or_else(|| pasted::protocol(name)).unwrap_or_default();
    let mut settings = ExportSettings { name: name.to_owned(), ..ExportSettings::of(protocol) };
    if protocol == Protocol::Kafka {
        settings.kafka = Some(kafka::target(&mut section, context));
        without(&mut section, OF_OTLP, "kafka", context.problems);
    } else {
        otlp(&mut section, &mut settings, context);
        settings.forwards_without_default = has_no_default(&settings, &context.source.headers);
        if protocol == Protocol::Grpc {
            without(&mut section, &["traces_endpoint"], "grpc", context.problems);
        }
        without(&mut section, OF_KAFKA, "grpc or http", context.problems);
    }
    section.read("timeout", &mut settings.timeout, values::duration);
    section.read("max_request_bytes", &mut settings.max_request_bytes, values::size);
    section.read("flush_interval", &mut settings.flush_interval, values::duration);
    retry(section.section("retry_on_failure"), &mut settings, context);
    let mut queue = section.section("sending_queue");
    pasted::queue(&mut queue, &mut settings, context);
    queue.read("queue_size_bytes", &mut settings.sending_queue.queue_size_bytes, values::size);
    let consumers = &mut settings.sending_queue.num_consumers;
    queue.read("num_consumers", consumers, values::whole(0..=usize::MAX));
    queue.finish();
    pasted::options(&mut section, context);
    section.finish();
    if let Some(node) = node {
        validate(&settings, node, context.problems);
    }
    settings
}

/// Whether headers of records go along that requests without records lack.
fn has_no_default(settings: &ExportSettings, forwarded: &KeptHeaders) -> bool {
    let is_there = |name: &String| settings.headers.keys().any(|it| it.eq_ignore_ascii_case(name));
    match forwarded {
        KeptHeaders::None => false,
        KeptHeaders::Named(names) => !names.iter().all(is_there),
        KeptHeaders::All => true,
    }
}

fn otlp(section: &mut Section<'_>, settings: &mut ExportSettings, context: Context<'_>) {
    let folder = context.folder;
    let example = match settings.protocol {
        Protocol::Http => "http://tempo:4318",
        _ => "tempo:4317",
    };
    let is_http = settings.protocol == Protocol::Http;
    let endpoint = if is_http && section.has("traces_endpoint") {
        pasted::traces_endpoint(section)
    } else {
        section.required("endpoint", example, values::name)
    };
    if let Some(endpoint) = endpoint {
        settings.endpoint = endpoint;
    }
    section.read("headers", &mut settings.headers, headers);
    settings.auth = security::auth(section, folder);
    settings.tls = security::tls(section, context);
    pasted::unencrypted(section, settings, context);
    section.read("compression", &mut settings.compression, values::choice(COMPRESSIONS));
    section.read("connections", &mut settings.connections, values::whole(0..=usize::MAX));
    section.read("connection_max_age", &mut settings.connection_max_age, values::duration);
    // Files that have it stay good; docs/export.md says why it has no meaning any more.
    section.read("retry_on_resource_exhausted", &mut false, values::boolean);
}

/// These keys have no meaning with this protocol; that they stand there is a mistake.
fn without(section: &mut Section<'_>, keys: &[&'static str], protocol: &str, problems: &Problems) {
    for key in keys {
        if let Some(node) = section.node(key) {
            let message = format!("`{key}` has no meaning with protocol: {protocol}");
            let is_login = matches!(*key, "auth" | "tls");
            let help = if is_login { IN_PROPERTIES } else { "leave it out" };
            problems.add(node.place, message, Some(help.to_owned()));
        }
    }
}

fn retry(mut section: Section<'_>, settings: &mut ExportSettings, context: Context<'_>) {
    pasted::enabled(&mut section, "a trace that is not taken would be lost", context);
    let retry = &mut settings.retry_on_failure;
    section.read("initial_interval", &mut retry.initial_interval, values::duration);
    section.read("multiplier", &mut retry.multiplier, values::number);
    section.read("randomization_factor", &mut retry.randomization_factor, values::number);
    section.read("max_interval", &mut retry.max_interval, values::duration);
    section.read("max_elapsed_time", &mut retry.max_elapsed_time, values::duration);
    let attempts = &mut retry.refuse_after_attempts;
    section.read("refuse_after_attempts", attempts, values::whole(0..=u32::MAX));
    section.read("refuse_after_time", &mut retry.refuse_after_time, values::duration);
    section.finish();
}

fn headers(node: &Node) -> Result<BTreeMap<String, Secret>, String> {
    let Value::Map(entries) = &node.value else {
        return Err(format!("expected names and values, found {}", node.kind()));
    };
    let header = |Entry { key, node, .. }: &Entry| {
        let value = values::text(node).map_err(|error| format!("{key}: {error}"))?;
        Ok((key.clone(), Secret::new(value)))
    };
    entries.iter().map(header).collect()
}

/// What the exporter itself asks of its settings.
fn validate(settings: &ExportSettings, node: &Node, problems: &Problems) {
    let Err(report) = settings.validate() else { return };
    for (path, error) in report.iter() {
        let mut path = path.to_string();
        // Where it was read from.
        let is_http = settings.protocol == Protocol::Http;
        if path == "endpoint" && is_http && node.get("traces_endpoint").is_some() {
            path = "traces_endpoint".to_owned();
        }
        let key = path.rsplit('.').next().unwrap_or_default();
        let node = node.find(&path);
        let message = values::told(node, error.to_string());
        problems.add(node.place, format!("{key}: {message}"), None);
    }
}
