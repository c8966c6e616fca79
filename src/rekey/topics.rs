//! The two topics, before anything is read: whether they are there, and how large records may be.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use thiserror::Error;
use tracing::{info, warn};

use crate::decision_log::topic::{self, TopicError};
use crate::doctor;
use crate::source::SourceSettings;

/// For how long a cluster that does not answer is asked again.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a topic is looked for that does not seem to be there.
const LOOKS: u32 = 4;

/// How long is waited in between.
const WAIT: Duration = Duration::from_secs(1);

/// What a topic takes unless it is told otherwise.
const DEFAULT_MAX_BYTES: usize = 1_048_588;

/// What comes on top of a record's value in its batch: key, lengths, the batch's own fields.
const AROUND_VALUE: usize = 512;

/// What the topic to write is made with, unless it is made by hand.
const CONFIG: [(&str, &str); 1] = [("message.timestamp.type", "LogAppendTime")];

/// Why the topics cannot be used.
#[derive(Debug, Error)]
pub enum TopicsError {
    /// It would read what it writes.
    #[error(
        "the topic to read and the topic to write are the same ({0}): give --from or --to another one"
    )]
    Same(String),
    /// There is nothing to read.
    #[error("the topic to read does not exist: {0} (--from)")]
    NoInput(String),
    /// There is nowhere to write to.
    #[error(
        "the topic to write does not exist: {topic} (--to); create it:\n  {command}\nor start with --create-topics"
    )]
    NoOutput {
        /// The topic.
        topic: String,
        /// The command that creates it.
        command: String,
    },
    /// It cannot be created.
    #[error(transparent)]
    NotCreated(Box<TopicError>),
    /// Nobody answers.
    #[error("the cluster at {brokers} does not answer: {error}")]
    Unreachable {
        /// `kafka.brokers`.
        brokers: String,
        /// Why.
        error: KafkaError,
    },
}

/// Checks the topics; with `create`, creates `to` if it is missing. Returns how large the values
/// of records may be. Blocks, while the cluster does not answer for a minute at most.
pub(super) fn check(from: &SourceSettings, to: &str, create: bool) -> Result<usize, TopicsError> {
    if from.topic == to {
        return Err(TopicsError::Same(to.to_owned()));
    }
    let config = client_config(from);
    let unreachable = |error| TopicsError::Unreachable { brokers: from.brokers.clone(), error };
    let client: BaseConsumer = config.create().map_err(unreachable)?;
    let partitions = look_up(&client, &from.topic, LOOKS).map_err(unreachable)?;
    let partitions = partitions.ok_or_else(|| TopicsError::NoInput(from.topic.clone()))?;
    let looks = if create { 1 } else { LOOKS };
    let found = look_up(&client, to, looks).map_err(unreachable)?;
    if found.is_none() && create {
        topic::create_topic(&config, to, partitions, &CONFIG)
            .map_err(|error| TopicsError::NotCreated(Box::new(error)))?;
        info!(topic = to, partitions, "rekey.topic_created");
        look_up(&client, to, LOOKS).map_err(unreachable)?;
    } else if found.is_none() {
        let broker = from.brokers.split(',').next().unwrap_or_default();
        let command = format!(
            "kafka-topics.sh --bootstrap-server {broker} --create --topic {to} --partitions \
             {partitions} --config message.timestamp.type=LogAppendTime"
        );
        return Err(TopicsError::NoOutput { topic: to.to_owned(), command });
    }
    Ok(max_bytes(&config, to))
}

fn max_bytes(config: &ClientConfig, to: &str) -> usize {
    let configs = doctor::topic_configs(config, to).unwrap_or_else(|error| {
        warn!(error, topic = to, "rekey.topic_settings_unknown: records are kept below 1 MiB");
        Default::default()
    });
    let max = configs.get("max.message.bytes").and_then(|value| value.parse().ok());
    max.unwrap_or(DEFAULT_MAX_BYTES).saturating_sub(AROUND_VALUE).max(1)
}

/// Number of partitions of a topic. Brokers learn of a new one one after the other, so that it is
/// not there is believed after some `looks` only.
fn look_up(client: &BaseConsumer, name: &str, looks: u32) -> Result<Option<usize>, KafkaError> {
    for _ in 1..looks {
        if let Some(partitions) = patiently(|| topic::partitions(client, name))? {
            return Ok(Some(partitions));
        }
        thread::sleep(WAIT);
    }
    patiently(|| topic::partitions(client, name))
}

fn patiently<T>(mut ask: impl FnMut() -> Result<T, KafkaError>) -> Result<T, KafkaError> {
    let end = Instant::now() + PATIENCE;
    loop {
        match ask() {
            Err(error) if Instant::now() < end => {
                warn!(%error, "rekey.waiting_for_kafka");
                thread::sleep(WAIT);
            }
            answer => return answer,
        }
    }
}

fn client_config(from: &SourceSettings) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (key, value) in &from.properties {
        config.set(key, value);
    }
    config
        .set("bootstrap.servers", &from.brokers)
        .set("client.id", "tailsieve-rekey-admin")
        .set("group.id", &from.group_id)
        .set("allow.auto.create.topics", "false");
    config
}
