//! What the source has to know, checked.

use std::fmt;
use std::time::Duration;

use rdkafka::ClientConfig;

use crate::ids::Timestamp;

/// The session timeout of the classic protocol, which librdkafka would have at 45 s: for that long the
/// partitions of a member that was killed wait for another one. Short enough that traffic flows again
/// within ten seconds, long enough for a broker's pause and a busy machine; brokers take 6 s and more.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(8);

/// How often the classic protocol's heartbeats are sent. Members learn by their answers that the group
/// rebalances, and a partition that moves waits for the slowest of them, twice.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(250);

/// Where reading starts in a partition that has no committed offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartFrom {
    /// At the oldest record.
    Earliest,
    /// Behind the newest record.
    Latest,
    /// At the first record that is not older.
    Timestamp(Timestamp),
}

/// Which headers of a record go along with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeptHeaders {
    /// None.
    #[default]
    None,
    /// Those with these names, in upper or lower case, under the name that stands here.
    Named(Vec<String>),
    /// All of them.
    All,
}

impl KeptHeaders {
    /// The name under which a header goes along, if it does.
    pub fn name<'h>(&'h self, header: &'h str) -> Option<&'h str> {
        match self {
            Self::None => None,
            Self::Named(names) => {
                names.iter().map(String::as_str).find(|name| name.eq_ignore_ascii_case(header))
            }
            Self::All => Some(header),
        }
    }
}

/// Settings of the Kafka side.
#[derive(Clone)]
pub struct SourceSettings {
    /// `bootstrap.servers`.
    pub brokers: String,
    /// The topic with the spans.
    pub topic: String,
    /// `group.id`.
    pub group_id: String,
    /// `group.instance.id`: static membership (KIP-345).
    pub group_instance_id: Option<String>,
    /// True for `group.protocol=consumer` (KIP-848), false for the classic one.
    pub consumer_protocol: bool,
    /// Where to start without a committed offset.
    pub start_from: StartFrom,
    /// How often offsets are committed.
    pub commit_interval: Duration,
    /// For how long a membership is believed in that the group has not confirmed; shorter than
    /// the session timeout.
    pub lease_timeout: Duration,
    /// How long a revoke may wait for exports in flight.
    pub revoke_timeout: Duration,
    /// How far ahead of the wall clock a record's timestamp may be before it is clamped.
    pub future_tolerance: Duration,
    /// Which headers of records go along with their spans.
    pub headers: KeptHeaders,
    /// Further librdkafka settings, checked by whoever made them.
    pub properties: Vec<(String, String)>,
}

impl fmt::Debug for SourceSettings {
    /// Without the values of properties: passwords may be among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let properties: Vec<_> = self.properties.iter().map(|(name, _)| name).collect();
        f.debug_struct("SourceSettings")
            .field("brokers", &self.brokers)
            .field("topic", &self.topic)
            .field("group_id", &self.group_id)
            .field("group_instance_id", &self.group_instance_id)
            .field("consumer_protocol", &self.consumer_protocol)
            .field("start_from", &self.start_from)
            .field("properties", &properties)
            .finish_non_exhaustive()
    }
}

impl SourceSettings {
    /// The librdkafka configuration. The user's own properties come last, so that they win over
    /// the ones that are only recommended here.
    pub(super) fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", &self.group_id)
            .set("client.id", "tailsieve")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "false")
            .set("allow.auto.create.topics", "false")
            .set("isolation.level", "read_committed")
            .set("check.crcs", "true")
            .set("statistics.interval.ms", "1000")
            .set("fetch.wait.max.ms", "200")
            .set("fetch.min.bytes", "65536")
            .set("fetch.queue.backoff.ms", "10")
            .set("queued.min.messages", "20000")
            .set("queued.max.messages.kbytes", "32768")
            // Of one partition in one answer, compressed: more is no faster, and what an answer
            // unpacks to comes on top of the queue.
            .set("fetch.message.max.bytes", "262144");
        if let Some(instance) = &self.group_instance_id {
            config.set("group.instance.id", instance);
        }
        if self.consumer_protocol {
            config.set("group.protocol", "consumer");
        } else {
            config
                .set("partition.assignment.strategy", "cooperative-sticky")
                .set("session.timeout.ms", SESSION_TIMEOUT.as_millis().to_string())
                .set("heartbeat.interval.ms", HEARTBEAT_INTERVAL.as_millis().to_string());
        }
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        config
    }
}
