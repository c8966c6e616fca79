//! What exporters of the Collector have and these do not, so that a block can be pasted: options
//! that mean the same under another name, and options that mean nothing here, each of which is
//! answered with a note.

use serde_json::json;

use crate::options::{Form, Section, boolean, choice, choices, size};

const CONNECTIONS: &str = "`connections` and `connection_max_age` say how connections are used";

const ONLY_TRACES: &str = "only traces are sent";

const PRODUCER: &str = "the producer is idempotent and waits for all in-sync replicas; what is \
                        librdkafka's to know stands in `properties`";

const QUEUE: &str = "Kafka is held back when the queue is full, which `queue_size_bytes` says";

/// Options of exporters, and why they mean nothing.
pub(crate) const OF_EXPORTERS: &[(&str, &str)] = &[
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

pub(super) const OF_TLS: &[(&str, &str)] = &[
    ("max_version", "1.3 is the newest version"),
    ("cipher_suites", "the safe ones are offered, and no others"),
    ("curve_preferences", "the safe ones are offered, and no others"),
];

choices! {
    /// What the Collector's queues count.
    enum Sizer {
        /// Requests.
        Requests = "requests",
        /// Spans.
        Items = "items",
        /// Bytes.
        Bytes = "bytes",
    }
}

/// `enabled` of `retry_on_failure` and `sending_queue`.
pub(super) fn always_enabled(section: &mut Section<'_>, reason: &str) {
    let enabled =
        section.take("enabled", "The Collector's: it is always so.", boolean().optional());
    if let Some(node) = section.node("enabled").filter(|_| enabled == Some(false)) {
        let message = format!("enabled: false has no meaning here: {reason}");
        section.context.warnings.add(node.place, message, Some("leave it out".to_owned()));
    }
}

/// What the Collector's queue has; returns its size, if that is given in bytes.
pub(super) fn queue(section: &mut Section<'_>) -> Option<usize> {
    always_enabled(section, "Kafka is the queue, and what is on its way to the backend waits here");
    let doc = "The Collector's: what queue_size counts.";
    let sizer = section.take("sizer", doc, choice::<Sizer>().or("requests"));
    let anything = Form::new(|_, _| Some(()), |_| json!({}));
    let doc = "The Collector's; with sizer: bytes it is queue_size_bytes.";
    section.take("queue_size", doc, anything.optional());
    section.take_without_meaning(OF_QUEUE);
    let node = section.node("queue_size")?;
    if sizer == Sizer::Bytes && !section.has("queue_size_bytes") {
        return size().read(node, section.at("queue_size"));
    }
    let message =
        "queue_size has no meaning here: the queue is bounded in bytes, by `queue_size_bytes`";
    section.context.notes.add_once(node.place, message.to_owned());
    None
}
