//! The settings of a producer.

use std::time::Duration;

use rdkafka::ClientConfig;

use super::held::Patience;

/// Settings of a producer.
#[derive(Clone)]
pub struct PublisherSettings {
    /// `client.id`; names the thread too.
    pub name: String,
    /// `bootstrap.servers`.
    pub brokers: String,
    /// Further librdkafka settings: those of the consumer, which say how to log in. They may hold
    /// passwords.
    pub properties: Vec<(String, String)>,
    /// `linger.ms`: how long a record may wait for others.
    pub linger: Duration,
    /// `compression.type`.
    pub compression: &'static str,
    /// `message.timeout.ms`: how long to try to write a record; `None`: for ever.
    pub message_timeout: Option<Duration>,
    /// Whether a record that the user may not write waits for the ACL, for as long as that; else it fails
    /// at once, for those who try again themselves.
    pub waits_for_acls: bool,
    /// `message.max.bytes`: the largest record, before compression.
    pub max_message_bytes: usize,
    /// Bytes of records that may wait.
    pub queue_bytes: usize,
}

impl std::fmt::Debug for PublisherSettings {
    /// Without the values of properties: passwords may be among them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PublisherSettings")
            .field("name", &self.name)
            .field("brokers", &self.brokers)
            .finish_non_exhaustive()
    }
}

impl PublisherSettings {
    /// The usual settings: records may be large, and are never given up.
    pub fn new(name: &str, brokers: &str, properties: &[(String, String)]) -> Self {
        Self {
            name: name.to_owned(),
            brokers: brokers.to_owned(),
            properties: properties.to_vec(),
            linger: Duration::from_millis(5),
            compression: "zstd",
            message_timeout: None,
            waits_for_acls: true,
            max_message_bytes: 64 << 20,
            queue_bytes: 64 << 20,
        }
    }

    /// How long a record that was denied is held.
    pub(super) fn patience(&self) -> Patience {
        match (self.waits_for_acls, self.message_timeout) {
            (false, _) => Patience::For(Duration::ZERO),
            (true, Some(timeout)) => Patience::For(timeout),
            (true, None) => Patience::Forever,
        }
    }

    /// The librdkafka configuration.
    pub(super) fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        let timeout = self.message_timeout.unwrap_or_default();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", &self.name)
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("partitioner", "fnv1a_random")
            .set("compression.type", self.compression)
            .set("linger.ms", self.linger.as_millis().to_string())
            .set("message.timeout.ms", timeout.as_millis().to_string())
            .set("message.max.bytes", self.max_message_bytes.to_string())
            .set("queue.buffering.max.messages", "1000000")
            .set("queue.buffering.max.kbytes", (self.queue_bytes / 1024).max(1).to_string());
        config
    }
}
