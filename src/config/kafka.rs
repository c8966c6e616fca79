//! Section `kafka` of the static file.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::export;
use crate::ids::Timestamp;
use crate::kafka::dead_letters::OWN_HEADERS;
use crate::kafka::source::{self, KeptHeaders, SourceSettings, StartFrom};
use crate::options::{
    At, Context, Entry, Form, Node, Place, Value, choice, choices, duration, list, name, options,
    or_variable, wait, whole,
};

choices! {
    /// The protocol of a consumer group.
    pub(super) enum GroupProtocol {
        /// Cooperative-sticky.
        Classic = "classic",
        /// That of KIP-848, for brokers since 4.0.
        Consumer = "consumer",
    }
}

options! {
    /// Where spans come from.
    pub(super) struct Kafka {
        /// Where to find the cluster: host:port, several as a list.
        brokers: String = brokers().required("localhost:9092"),
        /// The topic with the spans: OTLP protobuf or JSON, keyed by trace id.
        topic: String = name().or("otlp_spans"),
        /// The consumer group. All members with the same one share the partitions of the topic.
        group_id: String = name().or("tailsieve"),
        /// Static membership: a member that comes back under this name within the session timeout
        /// keeps its partitions. Each member needs a name of its own. Without it, membership is
        /// dynamic.
        group_instance_id: Option<String> = name().optional(),
        /// The protocol of the group.
        group_protocol: GroupProtocol = choice().or("classic"),
        /// Where a group starts that has not committed anything: earliest, latest, or a time such
        /// as 2026-01-31T12:00:00Z.
        start_from: StartFrom = name().try_map(start_from).or("earliest"),
        /// How often offsets are committed. One is committed when all traces below it are decided
        /// and delivered.
        commit_interval: Duration = wait().or("1s"),
        /// The group answers each commit, which proves that this process is a member. If there was
        /// no answer for this long, nothing is decided or delivered until there is one. By default
        /// two thirds of session.timeout.ms: 5.3 s; 30 s with group_protocol: consumer.
        lease_timeout: Option<Duration> = wait().optional(),
        /// How long a partition that goes to another member may wait for deliveries in flight.
        revoke_timeout: Duration = duration().or("2s"),
        /// How much a record's time may be ahead of this machine's clock; a later time is taken
        /// for this one, and counted.
        future_tolerance: Duration = duration().or("5s"),
        /// Headers of records that go along with their spans to the backend, as headers of requests
        /// or metadata of gRPC, such as a tenant's; none by default.
        forward_headers: Vec<String> = list(name().try_map(forwardable)).or_default(),
        /// Consumers in this process. One is enough below some 500 000 spans a second.
        consumers: usize = whole(1..=64).or("1"),
        /// When a partition was read to its end and nothing comes, this machine's clock moves its
        /// clock on, this much behind.
        idle_grace: Duration = duration().or("5s"),
        /// Any setting of librdkafka, such as security.protocol or session.timeout.ms (8000 here),
        /// except those that would break a
        /// promise. Passwords may be among them: only what is known to be harmless is shown.
        properties: Properties = properties().or_default(),
    }
    then |section| {
        let is_set_on_broker = |entry: &&Entry| BROKER_SIDE.contains(&entry.key.as_str());
        let entries = match section.node("properties").map(|node| &node.value) {
            Some(Value::Map(entries)) if group_protocol == GroupProtocol::Consumer => &entries[..],
            _ => &[],
        };
        for entry in entries.iter().filter(is_set_on_broker) {
            let reason = "with group_protocol: consumer it is set on the broker";
            refuse(section.context, entry.place, &entry.key, reason);
        }
    }
}

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
pub(super) const BROKER_SIDE: &[&str] =
    &["session.timeout.ms", "heartbeat.interval.ms", "group.protocol.type"];

/// The session timeout that brokers have for the group protocol `consumer` (KIP-848).
const BROKER_SESSION_TIMEOUT: Duration = Duration::from_secs(45);

impl Kafka {
    /// The settings of the source.
    pub(super) fn source(&self) -> SourceSettings {
        SourceSettings {
            brokers: self.brokers.clone(),
            topic: self.topic.clone(),
            group_id: self.group_id.clone(),
            group_instance_id: self.group_instance_id.clone(),
            consumer_protocol: self.group_protocol == GroupProtocol::Consumer,
            start_from: self.start_from,
            commit_interval: self.commit_interval,
            lease_timeout: self.lease_timeout.unwrap_or_else(|| self.default_lease()),
            revoke_timeout: self.revoke_timeout,
            future_tolerance: self.future_tolerance,
            headers: match self.forward_headers.as_slice() {
                [] => KeptHeaders::None,
                names => KeptHeaders::Named(names.to_vec()),
            },
            properties: self.properties.0.clone(),
        }
    }

    /// Two thirds of the session timeout: a member that the group has given up knows it before
    /// another one acts.
    fn default_lease(&self) -> Duration {
        let own = self.properties.0.iter().rev().find(|(key, _)| key == "session.timeout.ms");
        let own = own.and_then(|(_, value)| value.parse().ok()).map(Duration::from_millis);
        let default = match self.group_protocol {
            GroupProtocol::Classic => source::SESSION_TIMEOUT,
            GroupProtocol::Consumer => BROKER_SESSION_TIMEOUT,
        };
        own.unwrap_or(default) * 2 / 3
    }
}

/// `bootstrap.servers`, as a list or in one text.
pub(super) fn brokers() -> Form<String> {
    list(name()).map(|brokers| brokers.join(","))
}

/// The name of a header of records that may go along with requests.
fn forwardable(name: String) -> Result<String, String> {
    let is_own = name.starts_with(OWN_HEADERS);
    let refused = if is_own { Err("it is tailsieve's own") } else { export::forwardable(&name) };
    match refused {
        Ok(()) => Ok(name),
        Err(why) => Err(format!("the header `{name}` cannot be forwarded: {why}")),
    }
}

fn start_from(text: String) -> Result<StartFrom, String> {
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

/// What is handed through to librdkafka. Passwords may be among it.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Properties(pub(super) Vec<(String, String)>);

impl fmt::Debug for Properties {
    /// The names alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Settings that librdkafka checks itself when it starts, besides those that would break a promise.
pub(super) fn properties() -> Form<Properties> {
    Form::new(read_properties, |schemas| {
        let refused: Vec<&str> = REFUSED.iter().map(|(name, _)| *name).collect();
        or_variable(schemas.define("Properties", |_| {
            json!({
                "type": "object",
                "propertyNames": { "not": { "enum": refused } },
                "additionalProperties": { "type": ["string", "number", "boolean"] },
            })
        }))
    })
}

fn read_properties(node: &Node, at: At<'_>) -> Option<Properties> {
    let Value::Map(entries) = &node.value else {
        let message = format!("expected librdkafka settings, found {}", node.kind());
        at.refuse(node, message, Some("for example `socket.keepalive.enable: true`"));
        return None;
    };
    let mut properties = Vec::with_capacity(entries.len());
    for Entry { key, place, node } in entries {
        let refused = REFUSED.iter().find(|(name, _)| name == key);
        match (refused, scalar(node)) {
            (Some((_, reason)), _) => refuse(at.context, *place, key, reason),
            (None, Some(value)) => properties.push((key.clone(), value)),
            (None, None) => {
                At { key, ..at }.refuse(node, "expected a single value".to_owned(), None);
            }
        }
    }
    Some(Properties(properties))
}

fn refuse(context: &Context<'_>, place: Place, key: &str, reason: &str) {
    let message = format!("`{key}` may not be set: {reason}");
    context.problems.add(place, message, Some("leave it out".to_owned()));
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
