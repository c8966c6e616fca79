//! The topics beside the input topic, before anything is read: that of the decision log and that of
//! the dead letters.
//!
//! Promises that a member does not run without a topic that it would write to, if the cluster
//! answers; if it does not, the member waits for it, and that is said. Leaves to
//! [`topic`](crate::decision_log::topic) how that of the decision log has to be.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use thiserror::Error;
use tracing::{info, warn};

use crate::config::Settings;
use crate::decision_log::topic::{self, TopicError};
use crate::doctor;
use crate::source::SourceSettings;

/// For how long a cluster is waited for in which topics are to be created.
const CREATE_PATIENCE: Duration = Duration::from_secs(60);

/// How often a topic is looked for that does not seem to be there: brokers learn of a new one one
/// after the other.
const LOOKS: u32 = 4;

/// How long is waited in between.
const WAIT: Duration = Duration::from_secs(1);

/// For how long letters stay on their topic: two weeks.
const RETENTION_MS: &str = "1209600000";

/// What a topic takes unless it is told otherwise.
const DEFAULT_MAX_BYTES: u64 = 1_048_588;

/// What a letter has more than the record that it holds: its headers.
const HEADERS: u64 = 64 << 10;

/// What is wrong with a topic.
#[derive(Debug, Error)]
pub enum TopicsError {
    /// That of the decision log, or the input topic.
    #[error(transparent)]
    DecisionLog(#[from] TopicError),
    /// There is no topic for dead letters.
    #[error(
        "the dead-letter topic {topic} does not exist (dead_letter.topic); create it:\n  {command}\n\
         or start once with --create-topics"
    )]
    NoDeadLetters {
        /// The topic.
        topic: String,
        /// The command that creates it.
        command: String,
    },
}

impl TopicsError {
    fn may_pass(&self) -> bool {
        matches!(self, Self::DecisionLog(error) if error.may_pass())
    }

    /// True if it may be the cluster that does not know yet of a topic that was just created.
    fn may_be_news(&self) -> bool {
        match self {
            Self::DecisionLog(error) => {
                matches!(error, TopicError::NoInput(_) | TopicError::Missing { .. })
            }
            Self::NoDeadLetters { .. } => true,
        }
    }
}

impl From<KafkaError> for TopicsError {
    fn from(error: KafkaError) -> Self {
        Self::DecisionLog(error.into())
    }
}

/// Holds the topics against what they have to be; with `create`, creates those that are missing.
/// Blocks.
///
/// # Errors
/// What is wrong with one. That the cluster does not answer is not an error.
pub(super) fn check(settings: &Settings, create: bool) -> Result<(), TopicsError> {
    let started = Instant::now();
    patiently(settings, create, started, || check_decision_log(settings, create))?;
    patiently(settings, create, started, || check_dead_letters(settings, create))
}

fn patiently(
    settings: &Settings,
    create: bool,
    started: Instant,
    look: impl Fn() -> Result<(), TopicsError>,
) -> Result<(), TopicsError> {
    let mut looks = 0;
    loop {
        looks += 1;
        match look() {
            Err(error) if error.may_pass() => {
                let brokers = &settings.source.brokers;
                warn!(%error, brokers, "topics.unknown: they were not checked");
                // To create one somebody has to be there.
                if !create || started.elapsed() > CREATE_PATIENCE {
                    return Ok(());
                }
            }
            Err(error) if error.may_be_news() && looks < LOOKS => thread::sleep(WAIT),
            result => return result,
        }
    }
}

fn check_decision_log(settings: &Settings, create: bool) -> Result<(), TopicsError> {
    let Some(log) = &settings.decision_log else { return Ok(()) };
    for warning in topic::check(log, &settings.source.topic, create)? {
        warn!(%warning, "decision_log.topic");
    }
    Ok(())
}

fn check_dead_letters(settings: &Settings, create: bool) -> Result<(), TopicsError> {
    let Some(dead_letter) = &settings.dead_letter else { return Ok(()) };
    let (source, topic) = (&settings.source, &dead_letter.topic);
    let config = client_config(source);
    let client: BaseConsumer = config.create()?;
    if topic::partitions(&client, topic)?.is_some() {
        return Ok(());
    }
    let partitions = topic::partitions(&client, &source.topic)?;
    let partitions = partitions.ok_or_else(|| TopicError::NoInput(source.topic.clone()))?;
    let max_bytes = letter_bytes(max_bytes(&config, &source.topic)).to_string();
    let made_with = made_with(&max_bytes);
    if !create {
        let command = create_command(&source.brokers, topic, partitions, &made_with);
        return Err(TopicsError::NoDeadLetters { topic: topic.clone(), command });
    }
    topic::create_topic(&config, topic, partitions, &made_with)?;
    info!(topic, partitions, max_bytes, "dead_letter.topic_created");
    Ok(())
}

/// How the topic is made.
fn made_with(max_bytes: &str) -> [(&str, &str); 3] {
    [("cleanup.policy", "delete"), ("retention.ms", RETENTION_MS), ("max.message.bytes", max_bytes)]
}

fn create_command(
    brokers: &str,
    topic: &str,
    partitions: usize,
    made_with: &[(&str, &str)],
) -> String {
    let configs: Vec<_> =
        made_with.iter().map(|(key, value)| format!("--config {key}={value}")).collect();
    format!(
        "kafka-topics.sh --bootstrap-server {brokers} --create --topic {topic} --partitions \
         {partitions} {}",
        configs.join(" ")
    )
}

/// How large a letter may have to be, if a record is this large.
fn letter_bytes(record: u64) -> u64 {
    // Brokers hold it in 32 bits.
    record.saturating_add(HEADERS).min(i32::MAX as u64)
}

/// `max.message.bytes` of the input topic.
fn max_bytes(config: &ClientConfig, input: &str) -> u64 {
    let configs = doctor::topic_configs(config, input).unwrap_or_else(|error| {
        warn!(error, topic = input, "topics.settings_unknown: records are taken to be below 1 MiB");
        Default::default()
    });
    let max = configs.get("max.message.bytes").and_then(|value| value.parse().ok());
    max.unwrap_or(DEFAULT_MAX_BYTES)
}

fn client_config(source: &SourceSettings) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (key, value) in &source.properties {
        config.set(key, value);
    }
    config
        .set("bootstrap.servers", &source.brokers)
        .set("client.id", "tailsieve-admin")
        .set("group.id", &source.group_id)
        .set("allow.auto.create.topics", "false");
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_creates_a_topic_that_takes_every_record_and_its_headers() {
        let max_bytes = letter_bytes(1_048_588).to_string();
        let command = create_command("kafka:9092", "dead", 12, &made_with(&max_bytes));
        assert_eq!(
            command,
            "kafka-topics.sh --bootstrap-server kafka:9092 --create --topic dead --partitions 12 \
             --config cleanup.policy=delete --config retention.ms=1209600000 --config \
             max.message.bytes=1114124"
        );
        assert_eq!(letter_bytes(i32::MAX as u64), i32::MAX as u64);
    }
}
