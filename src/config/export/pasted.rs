//! What exporters of the Collector have and these do not, so that a block can be pasted: the
//! protocol in the name, options that mean the same under another name, and options that mean
//! nothing here, each of which is answered with a note.

use super::super::document::{Entry, Node, Value};
use super::super::reader::Section;
use super::super::values;
use super::Context;
use crate::export::{ExportSettings, Protocol};

/// The Collector's exporters that write to standard output or nowhere.
const NO_WAY_OUT: &[&str] = &["debug", "logging", "nop"];

const CONNECTIONS: &str = "`connections` and `connection_max_age` say how connections are used";

const ONLY_TRACES: &str = "only traces are sent";

const PRODUCER: &str = "the producer is idempotent and waits for all in-sync replicas; what is \
                        librdkafka's to know stands in `properties`";

const QUEUE: &str = "Kafka is held back when the queue is full, which `queue_size_bytes` says";

/// Options of exporters, and why they mean nothing.
pub(super) const WITHOUT_MEANING: &[(&str, &str)] = &[
    ("metrics_endpoint", ONLY_TRACES),
    ("logs_endpoint", ONLY_TRACES),
    ("profiles_endpoint", ONLY_TRACES),
    ("metrics", ONLY_TRACES),
    ("logs", ONLY_TRACES),
    ("profiles", ONLY_TRACES),
    ("compression_params", "the level is chosen for the rate of traces"),
    ("keepalive", CONNECTIONS),
    ("read_buffer_size", CONNECTIONS),
    ("write_buffer_size", CONNECTIONS),
    ("wait_for_ready", CONNECTIONS),
    ("balancer_name", CONNECTIONS),
    ("max_idle_conns", CONNECTIONS),
    ("max_idle_conns_per_host", CONNECTIONS),
    ("max_conns_per_host", CONNECTIONS),
    ("idle_conn_timeout", CONNECTIONS),
    ("disable_keep_alives", CONNECTIONS),
    ("force_attempt_http2", CONNECTIONS),
    ("http2_read_idle_timeout", CONNECTIONS),
    ("http2_ping_timeout", CONNECTIONS),
    ("batcher", "`max_request_bytes` and `flush_interval` say how requests are made up"),
    ("protocol_version", "librdkafka finds out what the brokers speak"),
    ("resolve_canonical_bootstrap_servers_only", PRODUCER),
    ("client_id", PRODUCER),
    ("metadata", PRODUCER),
    ("producer", PRODUCER),
    ("partition_traces_by_id", "records are always keyed by trace id"),
    ("partition_metrics_by_resource_attributes", ONLY_TRACES),
    ("partition_logs_by_resource_attributes", ONLY_TRACES),
];

const OF_QUEUE: &[(&str, &str)] = &[
    ("block_on_overflow", QUEUE),
    ("wait_for_result", QUEUE),
    ("storage", "what is not delivered yet is read from Kafka again"),
    ("batch", "`max_request_bytes` and `flush_interval` say how requests are made up"),
];

const OF_TLS: &[(&str, &str)] = &[
    ("max_version", "1.3 is the newest version"),
    ("cipher_suites", "the safe ones are offered, and no others"),
    ("curve_preferences", "the safe ones are offered, and no others"),
];

/// Records and requests are OTLP protobuf.
const ENCODINGS: &[(&str, ())] = &[("otlp_proto", ()), ("proto", ())];

const SIZERS: &[(&str, Sizer)] =
    &[("requests", Sizer::Requests), ("items", Sizer::Items), ("bytes", Sizer::Bytes)];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sizer {
    Requests,
    Items,
    Bytes,
}

/// The protocol that a name says, as the Collector's names do: `otlphttp/vendor`.
pub(super) fn protocol(name: &str) -> Option<Protocol> {
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
pub(super) fn is_no_way_out(entry: &Entry, context: Context<'_>) -> bool {
    let is_own = ["protocol", "endpoint", "topic"].iter().any(|key| entry.node.get(key).is_some());
    if is_own || !NO_WAY_OUT.contains(&kind(&entry.key)) {
        return false;
    }
    let message = format!("`{}` is not read: `tailsieve decide` shows what is kept", entry.key);
    context.notes.add(entry.place, message, None);
    true
}

/// Reads the options that only the Collector has.
pub(super) fn options(section: &mut Section<'_>, context: Context<'_>) {
    section.optional("encoding", encoding);
    without_meaning(section, WITHOUT_MEANING, context);
}

/// What is written: nothing but OTLP protobuf.
pub(super) fn encoding(node: &Node) -> Result<(), String> {
    values::choice(ENCODINGS)(node)
}

/// The endpoint of an HTTP exporter: `traces_endpoint`, if it is given.
pub(super) fn traces_endpoint(section: &mut Section<'_>) -> Option<String> {
    section.node("endpoint");
    section.optional("traces_endpoint", |node| {
        let endpoint = values::name(node)?;
        if endpoint.trim_end_matches('/').ends_with("/v1/traces") {
            return Ok(endpoint);
        }
        Err("expected a URL that ends in `/v1/traces`: no other path is asked".to_owned())
    })
}

/// Without a scheme and `tls`, the Collector encrypts what goes to an exporter of this name.
pub(super) fn unencrypted(
    section: &mut Section<'_>,
    settings: &ExportSettings,
    context: Context<'_>,
) {
    let is_grpc = protocol(&settings.name) == Some(Protocol::Grpc);
    let is_open = settings.tls.is_none() && !settings.endpoint.contains("://");
    if let Some(node) = section.node("endpoint").filter(|_| is_grpc && is_open) {
        let message = "`endpoint` without https:// and without `tls` is not encrypted here, where \
                       the Collector encrypts";
        context.notes.add(node.place, message, None);
    }
}

pub(super) fn tls(section: &mut Section<'_>, context: Context<'_>) {
    without_meaning(section, OF_TLS, context);
}

/// `enabled` of `retry_on_failure` and `sending_queue`.
pub(super) fn enabled(section: &mut Section<'_>, reason: &str, context: Context<'_>) {
    let is_off = section.optional("enabled", values::boolean) == Some(false);
    if let Some(node) = section.node("enabled").filter(|_| is_off) {
        let help = Some("leave it out".to_owned());
        context.warnings.add(
            node.place,
            format!("enabled: false has no meaning here: {reason}"),
            help,
        );
    }
}

/// What the Collector's queue has.
pub(super) fn queue(
    section: &mut Section<'_>,
    settings: &mut ExportSettings,
    context: Context<'_>,
) {
    enabled(
        section,
        "Kafka is the queue, and what is on its way to the backend waits here",
        context,
    );
    let sizer = section.optional("sizer", values::choice(SIZERS)).unwrap_or(Sizer::Requests);
    if sizer == Sizer::Bytes && !section.has("queue_size_bytes") {
        let size = &mut settings.sending_queue.queue_size_bytes;
        section.read("queue_size", size, values::size);
    } else if let Some(node) = section.node("queue_size") {
        note(node, "queue_size", "the queue is bounded in bytes, by `queue_size_bytes`", context);
    }
    without_meaning(section, OF_QUEUE, context);
}

fn without_meaning(
    section: &mut Section<'_>,
    keys: &'static [(&'static str, &'static str)],
    context: Context<'_>,
) {
    for (key, reason) in keys {
        if let Some(node) = section.node(key) {
            note(node, key, reason, context);
        }
    }
}

/// Once each.
fn note(node: &Node, key: &str, reason: &str, context: Context<'_>) {
    let message = format!("{key} has no meaning here: {reason}");
    if !context.notes.has(&message) {
        context.notes.add(node.place, message, None);
    }
}

/// The topic of the Kafka exporter: its own, or that of its traces.
pub(super) fn topic<'d>(section: &mut Section<'d>) -> Option<String> {
    let is_newer = section.node("traces").is_some_and(|it| matches!(it.value, Value::Map(_)));
    let mut traces = section.section("traces");
    traces.optional("encoding", encoding);
    let of_traces = traces.optional("topic", values::name);
    traces.finish();
    if is_newer && of_traces.is_some() && !section.has("topic") {
        section.node("topic");
        return of_traces;
    }
    section.required("topic", "otlp_spans_kept", values::name)
}
