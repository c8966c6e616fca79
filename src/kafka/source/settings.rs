//! The settings of the source, checked.

use std::fmt;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;

use crate::ids::Timestamp;
use crate::kafka::access::{Acl, Denied, Operation};

/// The session timeout of the classic protocol: how long the partitions of a killed member have no
/// owner. librdkafka's default is 45 s. Short enough that spans flow again within ten seconds, long
/// enough for a pause of a broker or a busy machine. Brokers accept 6 s or more.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(8);

/// How often heartbeats of the classic protocol are sent. Members learn of a rebalance from the
/// answers, and a partition that moves waits for the slowest member, twice.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(250);

/// How records are fetched.
pub const FETCH_SETTINGS: [(&str, &str); 7] = [
    // Few large answers cost less than many small ones, and traces wait for seconds anyway.
    ("fetch.wait.max.ms", "300"),
    ("fetch.min.bytes", "524288"),
    // For one partition in one answer, compressed. Not less than the minimum, which a partition that
    // alone has a backlog would never reach.
    ("fetch.message.max.bytes", "524288"),
    // For all partitions in one answer, which takes memory beside the queue, unpacked.
    ("fetch.max.bytes", "4194304"),
    ("fetch.queue.backoff.ms", "10"),
    ("queued.min.messages", "20000"),
    ("queued.max.messages.kbytes", "16384"),
];

/// Where reading starts in a partition that has no committed offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartFrom {
    /// At the oldest record.
    Earliest,
    /// After the newest record.
    Latest,
    /// At the first record that is not older than this.
    Timestamp(Timestamp),
}

/// Which headers of a record are forwarded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeptHeaders {
    /// None.
    #[default]
    None,
    /// Those with these names, whatever their case; they are forwarded under the names given here.
    Named(Vec<String>),
    /// All of them.
    All,
}

impl KeptHeaders {
    /// The name under which a header is forwarded, if it is.
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
    /// How long the lease runs after the group has confirmed the membership; shorter than the
    /// session timeout.
    pub lease_timeout: Duration,
    /// How long a revoke may wait for exports in flight.
    pub revoke_timeout: Duration,
    /// How far ahead of the wall clock a record's timestamp may be before it is clamped.
    pub future_tolerance: Duration,
    /// Which headers of records are forwarded with their spans.
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
    /// What is missing, if an error says that the user may not do what a consumer does.
    pub(super) fn denied(&self, code: Option<RDKafkaErrorCode>) -> Option<Denied> {
        let needed =
            [Acl::topic(Operation::Read, &self.topic), Acl::group(Operation::Read, &self.group_id)];
        Denied::of(code, &self.brokers, &needed)
    }

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
            .set("statistics.interval.ms", "1000");
        for (key, value) in FETCH_SETTINGS {
            config.set(key, value);
        }
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
            // librdkafka knows it under two names, and takes the one that it is told last.
            let key = if key == "max.partition.fetch.bytes" { MOST_OF_PARTITION } else { key };
            config.set(key, value);
        }
        bound_minimum(&mut config);
        config
    }
}

const MOST_OF_PARTITION: &str = "fetch.message.max.bytes";

/// Keeps `fetch.min.bytes` to what an answer may have. Brokers count what they may send, not what there
/// is: above that each fetch would wait for `fetch.wait.max.ms`, however large the backlog.
fn bound_minimum(config: &mut ClientConfig) {
    let number = |name: &str| config.get(name).and_then(|value| value.parse::<u64>().ok());
    let most = [MOST_OF_PARTITION, "fetch.max.bytes"].into_iter().filter_map(number).min();
    if let (Some(least), Some(most)) = (number("fetch.min.bytes"), most)
        && least > most
    {
        config.set("fetch.min.bytes", most.max(1).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: somebody bounds the answers to a fetch, for a member with little memory.
    /// Guarantees: a fetch waits for no more than its answer may have.
    #[test]
    fn the_least_of_a_fetch_is_not_above_its_most() {
        let least = |properties: &[(&str, &str)]| {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            let properties = properties.iter().map(owned).collect();
            let settings = SourceSettings { properties, ..super::super::tests::settings() };
            settings.client_config().get("fetch.min.bytes").unwrap().to_owned()
        };
        assert_eq!(least(&[]), "524288");
        assert_eq!(least(&[("fetch.message.max.bytes", "65536")]), "65536");
        assert_eq!(least(&[("max.partition.fetch.bytes", "65536")]), "65536");
        assert_eq!(least(&[("fetch.max.bytes", "100000")]), "100000");
        assert_eq!(least(&[("fetch.max.bytes", "0")]), "1");
        assert_eq!(least(&[("fetch.message.max.bytes", "9999999")]), "524288");
        assert_eq!(least(&[("fetch.min.bytes", "1")]), "1");
    }
}
