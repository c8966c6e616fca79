//! Section `kafka` of the static file.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::diagnostics::Place;
use super::document::{Entry, Node, Value};
use super::reader::{Problems, Section};
use super::values;
use crate::export;
use crate::ids::Timestamp;
use crate::kafka::dead_letters::OWN_HEADERS;
use crate::kafka::source::{self, KeptHeaders, SourceSettings, StartFrom};

/// The section, checked.
pub(super) struct Kafka {
    pub(super) source: SourceSettings,
    pub(super) consumers: usize,
    pub(super) idle_grace: Duration,
}

const PROTOCOLS: &[(&str, bool)] = &[("classic", false), ("consumer", true)];

/// librdkafka settings that are refused, and why.
pub(super) const REFUSED: &[(&str, &str)] = &[
    ("bootstrap.servers", "it is set by kafka.brokers"),
    ("metadata.broker.list", "it is set by kafka.brokers"),
    ("group.id", "it is set by kafka.group_id"),
    ("group.instance.id", "it is set by kafka.group_instance_id"),
    ("group.protocol", "it is set by kafka.group_protocol"),
    ("enable.auto.commit", "offsets are committed once their traces are decided and delivered"),
    (
        "enable.auto.offset.store",
        "offsets are committed once their traces are decided and delivered",
    ),
    (
        "auto.offset.reset",
        "a lost range is counted and logged instead of skipped; see kafka.start_from",
    ),
    ("enable.partition.eof", "the end of a partition is found out in another way"),
    ("allow.auto.create.topics", "a topic that a typo made would be read for ever"),
    ("statistics.interval.ms", "the statistics tell when a partition was read to its end"),
    ("check.crcs", "damaged records would be taken for good ones"),
    ("partition.assignment.strategy", "only cooperative-sticky hands partitions over one by one"),
    ("plugin.library.paths", "code from outside could change any of the promises"),
];

/// What the group protocol `consumer` (KIP-848) leaves to the broker.
const BROKER_SIDE: &[&str] =
    &["session.timeout.ms", "heartbeat.interval.ms", "group.protocol.type"];

/// The session timeout that brokers have for the group protocol `consumer` (KIP-848).
const BROKER_SESSION_TIMEOUT: Duration = Duration::from_secs(45);

pub(super) fn read(mut section: Section<'_>, problems: &Problems) -> Kafka {
    let brokers = section.required("brokers", "localhost:9092", |node| {
        let brokers = values::list(values::name)(node)?;
        Ok(brokers.join(","))
    });
    let mut source = SourceSettings {
        brokers: brokers.unwrap_or_default(),
        topic: "otlp_spans".to_owned(),
        group_id: "tailsieve".to_owned(),
        group_instance_id: None,
        consumer_protocol: false,
        start_from: StartFrom::Earliest,
        commit_interval: Duration::from_secs(1),
        lease_timeout: Duration::ZERO,
        revoke_timeout: Duration::from_secs(2),
        future_tolerance: Duration::from_secs(5),
        headers: KeptHeaders::None,
        properties: Vec::new(),
    };
    section.read("topic", &mut source.topic, values::name);
    section.read("group_id", &mut source.group_id, values::name);
    source.group_instance_id = section.optional("group_instance_id", values::name);
    section.read("group_protocol", &mut source.consumer_protocol, values::choice(PROTOCOLS));
    section.read("start_from", &mut source.start_from, start_from);
    section.read("commit_interval", &mut source.commit_interval, values::wait);
    let lease_timeout = section.optional("lease_timeout", values::wait);
    section.read("revoke_timeout", &mut source.revoke_timeout, values::duration);
    section.read("future_tolerance", &mut source.future_tolerance, values::duration);
    let mut forwarded = Vec::new();
    section.read("forward_headers", &mut forwarded, values::list(forwardable));
    if !forwarded.is_empty() {
        source.headers = KeptHeaders::Named(forwarded);
    }
    let mut consumers = 1;
    section.read("consumers", &mut consumers, values::whole(1..=64));
    let mut idle_grace = Duration::from_secs(5);
    section.read("idle_grace", &mut idle_grace, values::duration);
    if let Some(node) = section.node("properties") {
        source.properties = properties(node, source.consumer_protocol, problems);
    }
    source.lease_timeout = lease_timeout.unwrap_or_else(|| lease_of(&source));
    section.finish();
    Kafka { source, consumers, idle_grace }
}

/// The name of a header of records that may go along with requests.
fn forwardable(node: &Node) -> Result<String, String> {
    let name = values::name(node)?;
    let is_own = name.starts_with(OWN_HEADERS);
    let refused = if is_own { Err("it is tailsieve's own") } else { export::forwardable(&name) };
    match refused {
        Ok(()) => Ok(name),
        Err(why) => Err(format!("the header `{name}` cannot be forwarded: {why}")),
    }
}

/// Two thirds of the session timeout: a member that the group has given up knows it before
/// another one acts.
fn lease_of(source: &SourceSettings) -> Duration {
    let own = source.properties.iter().rev().find(|(key, _)| key == "session.timeout.ms");
    let own = own.and_then(|(_, value)| value.parse().ok()).map(Duration::from_millis);
    let default =
        if source.consumer_protocol { BROKER_SESSION_TIMEOUT } else { source::SESSION_TIMEOUT };
    own.unwrap_or(default) * 2 / 3
}

fn start_from(node: &Node) -> Result<StartFrom, String> {
    let text = values::text(node)?;
    match text.as_str() {
        "earliest" => return Ok(StartFrom::Earliest),
        "latest" => return Ok(StartFrom::Latest),
        _ => {}
    }
    let expected = || {
        format!("expected earliest, latest or a time such as 2026-01-31T12:00:00Z, found `{text}`")
    };
    let time: SystemTime = humantime::parse_rfc3339_weak(&text).map_err(|_| expected())?;
    let since_epoch = time.duration_since(UNIX_EPOCH).map_err(|_| expected())?;
    let millis = i64::try_from(since_epoch.as_millis()).map_err(|_| expected())?;
    Ok(StartFrom::Timestamp(Timestamp(millis)))
}

/// What is handed through to librdkafka, which checks names and values itself when it starts.
pub(super) fn properties(
    node: &Node,
    consumer_protocol: bool,
    problems: &Problems,
) -> Vec<(String, String)> {
    let Value::Map(entries) = &node.value else {
        let message = format!("properties: expected librdkafka settings, found {}", node.kind());
        problems.add(
            node.place,
            message,
            Some("for example `socket.keepalive.enable: true`".into()),
        );
        return Vec::new();
    };
    let mut properties = Vec::with_capacity(entries.len());
    for Entry { key, place, node } in entries {
        if let Some(reason) = refusal(key, consumer_protocol) {
            refuse(problems, *place, key, reason);
            continue;
        }
        match scalar(node) {
            Some(value) => properties.push((key.clone(), value)),
            None => problems.add(node.place, format!("{key}: expected a single value"), None),
        }
    }
    properties
}

fn refusal(key: &str, consumer_protocol: bool) -> Option<&'static str> {
    if consumer_protocol && BROKER_SIDE.contains(&key) {
        return Some("with group_protocol: consumer it is set on the broker");
    }
    REFUSED.iter().find(|(name, _)| *name == key).map(|(_, reason)| *reason)
}

fn refuse(problems: &Problems, place: Place, key: &str, reason: &str) {
    problems.add(place, format!("`{key}` may not be set: {reason}"), Some("leave it out".into()));
}

fn scalar(node: &Node) -> Option<String> {
    if let Some(written) = &node.written {
        return Some(written.to_string());
    }
    match &node.value {
        Value::Text(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Null | Value::List(_) | Value::Map(_) => None,
    }
}
