//! The topics beside the input topic, before anything is read: that of the decision log and that of
//! the dead letters.
//!
//! Promises that a member does not start without a topic that it would write to, if the cluster
//! answers; if it does not, the member starts, and they are checked, and created if that is asked
//! for, once it does. Leaves to
//! `kafka::decision_log::topic` how that of the decision log has to be.

use std::thread;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use thiserror::Error;
use tracing::{error, info, warn};

use crate::cmd::access;
use crate::cmd::process::CommandError;
use crate::config::Settings;
use crate::kafka::access::{Acl, AllDenied, Operation};
use crate::kafka::cluster::{self, ClusterError};
use crate::kafka::decision_log::index;
use crate::kafka::decision_log::topic::{self, TopicError};
use crate::kafka::source::SourceSettings;

/// How soon a cluster that did not answer, or whose topics were wrong, is asked again.
const RECHECK_WAIT: Duration = Duration::from_secs(5);

/// How often a topic is looked for that does not seem to be there: brokers learn of a new one one
/// after the other.
const LOOKS: u32 = 4;

/// How long to wait between two attempts.
const WAIT: Duration = Duration::from_secs(1);

/// For how long letters stay on their topic: two weeks.
const RETENTION_MS: &str = "1209600000";

/// What a letter has more than the record that it holds: its headers.
const HEADERS: u64 = 64 << 10;

/// What is wrong with a topic.
#[derive(Debug, Error)]
pub(super) enum TopicsError {
    /// That of the decision log, or the input topic.
    #[error(transparent)]
    DecisionLog(#[from] TopicError),
    /// The user lacks ACLs.
    #[error(transparent)]
    Denied(#[from] AllDenied),
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
            Self::Denied(_) => false,
            Self::NoDeadLetters { .. } => true,
        }
    }
}

impl From<TopicsError> for CommandError {
    /// An ACL is granted elsewhere, so that another start may help; a topic has to be mended first.
    fn from(error: TopicsError) -> Self {
        match error {
            TopicsError::Denied(_) => Self::failed(error),
            _ => Self::usage(error),
        }
    }
}

impl From<ClusterError> for TopicsError {
    fn from(error: ClusterError) -> Self {
        Self::DecisionLog(error.into())
    }
}

/// Whether the topics are known to be as they have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checked {
    /// They are.
    Well,
    /// The cluster does not answer.
    Unknown,
}

/// Holds the topics against what they have to be; with `create`, creates those that are missing.
/// Blocks.
///
/// # Errors
/// What is wrong with one. That the cluster does not answer is not an error.
pub(super) fn check(settings: &Settings, create: bool) -> Result<Checked, TopicsError> {
    let checks = [check_decision_log, check_dead_letters, check_access];
    for check in checks {
        if let Err(error) = believed(|| check(settings, create)) {
            if !error.may_pass() {
                return Err(all_denied(error, settings));
            }
            let brokers = &settings.source.brokers;
            warn!(%error, brokers, "topics.unknown: they are checked when the cluster answers");
            return Ok(Checked::Unknown);
        }
    }
    Ok(Checked::Well)
}

/// Checks the topics of a member that runs already, on a thread that ends with the process or when
/// they are well: the cluster did not answer when the member started.
///
/// # Errors
/// When no thread can be had.
pub(super) fn check_when_reachable(settings: Settings, create: bool) -> std::io::Result<()> {
    let check = move || {
        loop {
            match check(&settings, create) {
                Ok(Checked::Well) => return info!("topics.checked"),
                Ok(Checked::Unknown) => {}
                Err(error) => error!(%error, "topics.wrong"),
            }
            thread::sleep(RECHECK_WAIT);
        }
    };
    thread::Builder::new().name("topics".to_owned()).spawn(check)?;
    Ok(())
}

/// Looks again for a topic that does not seem to be there.
fn believed(look: impl Fn() -> Result<(), TopicsError>) -> Result<(), TopicsError> {
    for _ in 1..LOOKS {
        match look() {
            Err(error) if error.may_be_news() => thread::sleep(WAIT),
            result => return result,
        }
    }
    look()
}

fn check_decision_log(settings: &Settings, create: bool) -> Result<(), TopicsError> {
    let Some(log) = &settings.decision_log else { return Ok(()) };
    for warning in topic::check(log, &settings.source.topic, create)? {
        warn!(%warning, "decision_log.topic");
    }
    // Nothing waits for the index.
    if let Err(warning) = index::topic::check(log, create) {
        warn!(%warning, "decision_index.topic");
    }
    Ok(())
}

/// What was not needed so far, and will be: the group, and to read and write.
fn check_access(settings: &Settings, _: bool) -> Result<(), TopicsError> {
    Ok(access::check(&settings.source, &access::of_member(settings))?)
}

/// If an ACL is missing, others may be, too: they are named together.
fn all_denied(error: TopicsError, settings: &Settings) -> TopicsError {
    match error {
        TopicsError::DecisionLog(TopicError::Cluster(error)) => {
            let all = access::all_of(error, &settings.source, &access::of_member(settings));
            all.map_or_else(TopicsError::from, TopicsError::from)
        }
        error => error,
    }
}

fn check_dead_letters(settings: &Settings, create: bool) -> Result<(), TopicsError> {
    let Some(dead_letter) = &settings.dead_letter else { return Ok(()) };
    let (source, topic) = (&settings.source, &dead_letter.topic);
    let SourceSettings { brokers, properties, group_id, .. } = source;
    let config = cluster::client_config(brokers, properties, "tailsieve-admin", group_id);
    let client: BaseConsumer = config.create().map_err(ClusterError::from)?;
    let partitions = |topic: &str, operation| {
        let answer = cluster::partitions(&client, topic);
        answer.map_err(|error| ClusterError::of(error, brokers, &[Acl::topic(operation, topic)]))
    };
    if partitions(topic, Operation::Write)?.is_some() {
        return Ok(());
    }
    let partitions = partitions(&source.topic, Operation::Read)?;
    let partitions = partitions.ok_or_else(|| TopicError::NoInput(source.topic.clone()))?;
    let max_bytes = letter_bytes(max_bytes(&config, &source.topic)).to_string();
    let made_with = made_with(&max_bytes);
    if !create {
        let command = cluster::create_command(&source.brokers, topic, partitions, &made_with);
        return Err(TopicsError::NoDeadLetters { topic: topic.clone(), command });
    }
    cluster::create_topic(&config, topic, partitions, &made_with)?;
    info!(topic, partitions, max_bytes, "dead_letter.topic_created");
    Ok(())
}

/// How the topic is made.
fn made_with(max_bytes: &str) -> [(&str, &str); 3] {
    [("cleanup.policy", "delete"), ("retention.ms", RETENTION_MS), ("max.message.bytes", max_bytes)]
}

/// How large a letter may have to be, if a record is this large.
fn letter_bytes(record: u64) -> u64 {
    // Brokers hold it in 32 bits.
    record.saturating_add(HEADERS).min(i32::MAX as u64)
}

/// `max.message.bytes` of the input topic.
fn max_bytes(config: &ClientConfig, input: &str) -> u64 {
    let max = cluster::max_message_bytes(config, input).unwrap_or_else(|error| {
        warn!(
            %error,
            topic = input,
            "topics.settings_unknown: records are taken to be below 1 MiB"
        );
        None
    });
    max.unwrap_or(cluster::DEFAULT_MAX_MESSAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_creates_a_topic_that_takes_every_record_and_its_headers() {
        let max_bytes = letter_bytes(1_048_588).to_string();
        let command = cluster::create_command("kafka:9092", "dead", 12, &made_with(&max_bytes));
        assert_eq!(
            command,
            "kafka-topics.sh --bootstrap-server kafka:9092 --create --topic dead --partitions 12 \
             --config cleanup.policy=delete --config retention.ms=1209600000 --config \
             max.message.bytes=1114124"
        );
        assert_eq!(letter_bytes(i32::MAX as u64), i32::MAX as u64);
    }
}
