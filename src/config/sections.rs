//! The static file.

use std::net::{SocketAddr, ToSocketAddrs};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Duration;

use super::diagnostics::Problem;
use super::document::{Document, Node, Value};
use super::reader::{Problems, Section};
use super::{Annotate, Settings, TelemetrySettings, export, kafka, lint, policies, values};
use crate::kafka::dead_letters::DeadLetterSettings;
use crate::kafka::decision_log::DecisionLogSettings;
use crate::kafka::source::SourceSettings;
use crate::telemetry::logs::{self, LogFormat};

/// Where the pages are served unless the file says otherwise: the port that OpenTelemetry's
/// Prometheus exporters use.
const ADMIN_LISTEN: &str = "0.0.0.0:9464";

const LOG_FORMATS: &[(&str, LogFormat)] =
    &[("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];

/// Where the policy file is and which processor in it is meant, if the static file says so,
/// whatever else is wrong with it; paths in it are relative to `folder`.
pub(super) fn policies_path(
    document: &Document,
    folder: &Path,
) -> Option<(PathBuf, Option<String>)> {
    let ignored = Problems::default();
    let mut root = Section::new(&document.root, &ignored);
    let processor = root.optional("policies_processor", processor);
    root.optional("policies", policies_file).map(|path| (folder.join(path), processor))
}

/// What reading the static file came to.
pub(super) struct Reading {
    /// Of use only if there are no errors.
    pub(super) settings: Settings,
    pub(super) errors: Vec<Problem>,
    /// What was read well and is probably not meant.
    pub(super) warnings: Vec<Problem>,
    /// What was read and has no meaning here.
    pub(super) notes: Vec<Problem>,
}

/// Reads the static file; paths in it are relative to `folder`.
pub(super) fn settings(document: &Document, folder: &Path) -> Reading {
    let (problems, warnings, notes) =
        (Problems::default(), Problems::default(), Problems::default());
    let told = export::Told { problems: &problems, warnings: &warnings, notes: &notes };
    let mut root = Section::new(&document.root, &problems);
    let kafka = kafka::read(root.section("kafka"), &problems);
    let decision_log = decision_log(root.section("decision_log"), &kafka.source);
    let buffer = buffer(root.section("buffer"));
    let exports = export::read(&mut root, &kafka.source, folder, told);
    let dead_letter = dead_letter(&mut root, &kafka.source.topic);
    let annotate = annotate(root.section("annotate"));
    let mut admin = root.section("admin");
    let admin_listen = admin.optional("listen", address);
    admin.finish();
    let telemetry = telemetry_settings(root.section("telemetry"));
    let mut shutdown_timeout = Duration::from_secs(30);
    root.read("shutdown_timeout", &mut shutdown_timeout, values::wait);
    let policies = root.required("policies", "policies.yaml", policies_file).unwrap_or_default();
    let policies_processor = root.optional("policies_processor", processor);
    let mut policies_poll_interval = Duration::from_secs(1);
    root.read("policies_poll_interval", &mut policies_poll_interval, values::wait);
    root.finish();
    let default_listen = || ADMIN_LISTEN.parse().expect("the default is an address");
    let settings = Settings {
        decision_log,
        source: kafka.source,
        consumers: kafka.consumers,
        idle_grace: kafka.idle_grace,
        workers: buffer.workers,
        max_bytes: buffer.max_bytes,
        queue_bytes: buffer.queue_bytes,
        exports,
        dead_letter,
        annotate,
        admin_listen: admin_listen.unwrap_or_else(default_listen),
        telemetry,
        shutdown_timeout,
        policies: folder.join(policies),
        policies_processor,
        policies_poll_interval,
        notes: Vec::new(),
        warnings: Vec::new(),
    };
    let mut warnings = warnings.into_inner();
    warnings.extend(lint::scalars(&document.root));
    let (errors, notes) = (problems.into_inner(), notes.into_inner());
    Reading { settings, errors, warnings, notes }
}

fn policies_file(node: &Node) -> Result<String, String> {
    match node.value {
        Value::List(_) | Value::Map(_) => {
            Err(format!("expected the path of a policy file, found {}", node.kind()))
        }
        _ => values::name(node),
    }
}

/// The name of a `tail_sampling` processor.
fn processor(node: &Node) -> Result<String, String> {
    let text = values::name(node)?;
    if policies::is_processor_name(&text) {
        return Ok(text);
    }
    Err(format!("expected `tail_sampling` or `tail_sampling/NAME`, found {}", values::shown(node)))
}

/// What the decision log of a topic is called unless it is said.
const DECISIONS: &str = "_decisions";

fn decision_log(mut section: Section<'_>, source: &SourceSettings) -> Option<DecisionLogSettings> {
    let mut enabled = true;
    section.read("enabled", &mut enabled, values::boolean);
    let topic = section.optional("topic", values::name);
    section.finish();
    enabled.then(|| DecisionLogSettings {
        topic: topic.unwrap_or_else(|| format!("{}{DECISIONS}", source.topic)),
        brokers: source.brokers.clone(),
        group_id: source.group_id.clone(),
        client_id: "tailsieve".to_owned(),
        properties: source.properties.clone(),
    })
}

struct Buffer {
    workers: usize,
    max_bytes: u64,
    queue_bytes: usize,
}

fn buffer(mut section: Section<'_>) -> Buffer {
    let mut buffer = Buffer { workers: 0, max_bytes: 1 << 30, queue_bytes: 8 << 20 };
    section.read("max_bytes", &mut buffer.max_bytes, values::size);
    section.read("queue_bytes", &mut buffer.queue_bytes, values::size);
    section.read("workers", &mut buffer.workers, values::whole(0..=256));
    section.finish();
    if buffer.workers == 0 {
        buffer.workers = available_parallelism().map_or(1, NonZeroUsize::get);
    }
    buffer
}

fn dead_letter(root: &mut Section<'_>, input_topic: &str) -> Option<DeadLetterSettings> {
    root.node("dead_letter")?;
    let mut section = root.section("dead_letter");
    let topic = section.required("topic", "otlp_spans_dead", |node| {
        let topic = values::name(node)?;
        let is_loop = topic == input_topic;
        if is_loop { Err(format!("`{topic}` is the topic that is read")) } else { Ok(topic) }
    });
    let mut message_timeout = Duration::from_secs(30);
    section.read("message_timeout", &mut message_timeout, values::wait);
    section.finish();
    Some(DeadLetterSettings { topic: topic.unwrap_or_default(), message_timeout })
}

fn annotate(mut section: Section<'_>) -> Annotate {
    let mut annotate = Annotate { policy: true, tracestate: true, sample_rate: true };
    section.read("policy", &mut annotate.policy, values::boolean);
    section.read("tracestate", &mut annotate.tracestate, values::boolean);
    section.read("sample_rate", &mut annotate.sample_rate, values::boolean);
    section.finish();
    annotate
}

fn telemetry_settings(mut section: Section<'_>) -> TelemetrySettings {
    let log = section.optional("log", |node| {
        let filter = values::name(node)?;
        logs::parse_filter(&filter).map_err(|error| error.to_string())?;
        Ok(filter)
    });
    let log_format = section.optional("log_format", values::choice(LOG_FORMATS));
    section.finish();
    TelemetrySettings { log, log_format: log_format.unwrap_or_default() }
}

/// An address to listen on: `host:port`; a name is looked up.
fn address(node: &Node) -> Result<SocketAddr, String> {
    let text = values::text(node)?;
    let expected = || format!("expected an address such as `{ADMIN_LISTEN}`, found `{text}`");
    let mut found = text.to_socket_addrs().map_err(|_| expected())?;
    found.next().ok_or_else(expected)
}
