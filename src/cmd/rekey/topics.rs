//! The two topics, before anything is read: whether they are there, and how large records may be.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use thiserror::Error;
use tracing::{info, warn};

use crate::cmd::access;
use crate::cmd::process::CommandError;
use crate::kafka::access::AllDenied;
use crate::kafka::cluster::{self, ClusterError};
use crate::kafka::source::SourceSettings;

/// For how long a cluster that does not answer is asked again.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a topic is looked for that does not seem to be there.
const LOOKS: u32 = 4;

/// How long to wait between two attempts.
const WAIT: Duration = Duration::from_secs(1);

/// What comes on top of a record's value in its batch: key, lengths, the batch's own fields.
const AROUND_VALUE: usize = 512;

/// What the topic to write is made with, unless it is made by hand.
const CONFIG: [(&str, &str); 1] = [("message.timestamp.type", "LogAppendTime")];

/// Why the topics cannot be used.
#[derive(Debug, Error)]
pub(super) enum TopicsError {
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
    NotCreated(#[from] ClusterError),
    /// The user lacks ACLs.
    #[error(transparent)]
    Denied(#[from] AllDenied),
    /// No broker answers.
    #[error("the cluster at {brokers} does not answer: {error}")]
    Unreachable {
        /// `kafka.brokers`.
        brokers: String,
        /// Why.
        error: KafkaError,
    },
}

impl From<TopicsError> for CommandError {
    fn from(error: TopicsError) -> Self {
        match error {
            TopicsError::Same(_) => Self::usage(error),
            _ => Self::failed(error),
        }
    }
}

/// Checks the topics; with `create`, creates `to` if it is missing. Returns how large the values
/// of records may be. Blocks, while the cluster does not answer for a minute at most.
pub(super) fn check(from: &SourceSettings, to: &str, create: bool) -> Result<usize, TopicsError> {
    if from.topic == to {
        return Err(TopicsError::Same(to.to_owned()));
    }
    let SourceSettings { brokers, properties, group_id, .. } = from;
    let config = cluster::client_config(brokers, properties, "tailsieve-rekey-admin", group_id);
    let needed = access::of_rekey(from, to);
    let no_answer = |error: KafkaError| match ClusterError::of(error.clone(), brokers, &needed) {
        ClusterError::Denied(denied) => {
            let all = access::check(from, &needed).err();
            all.unwrap_or_else(|| AllDenied(vec![*denied])).into()
        }
        _ => TopicsError::Unreachable { brokers: brokers.clone(), error },
    };
    let client: BaseConsumer = config.create().map_err(no_answer)?;
    let partitions = look_up(&client, &from.topic, LOOKS).map_err(no_answer)?;
    let partitions = partitions.ok_or_else(|| TopicsError::NoInput(from.topic.clone()))?;
    let looks = if create { 1 } else { LOOKS };
    let found = look_up(&client, to, looks).map_err(no_answer)?;
    if found.is_none() && create {
        cluster::create_topic(&config, to, partitions, &CONFIG)?;
        info!(topic = to, partitions, "rekey.topic_created");
        look_up(&client, to, LOOKS).map_err(no_answer)?;
    } else if found.is_none() {
        let broker = from.brokers.split(',').next().unwrap_or_default();
        let command = cluster::create_command(broker, to, partitions, &CONFIG);
        return Err(TopicsError::NoOutput { topic: to.to_owned(), command });
    }
    access::check(from, &needed)?;
    Ok(max_bytes(&config, to))
}

fn max_bytes(config: &ClientConfig, to: &str) -> usize {
    let max = cluster::max_message_bytes(config, to).unwrap_or_else(|error| {
        warn!(%error, topic = to, "rekey.topic_settings_unknown: records are kept below 1 MiB");
        None
    });
    let max = usize::try_from(max.unwrap_or(cluster::DEFAULT_MAX_MESSAGE_BYTES));
    max.unwrap_or(usize::MAX).saturating_sub(AROUND_VALUE).max(1)
}

/// Number of partitions of a topic. Brokers learn of a new one one after the other, so that it is
/// not there is believed after some `looks` only.
fn look_up(client: &BaseConsumer, name: &str, looks: u32) -> Result<Option<usize>, KafkaError> {
    for _ in 1..looks {
        if let Some(partitions) = patiently(|| cluster::partitions(client, name))? {
            return Ok(Some(partitions));
        }
        thread::sleep(WAIT);
    }
    patiently(|| cluster::partitions(client, name))
}

fn patiently<T>(mut ask: impl FnMut() -> Result<T, KafkaError>) -> Result<T, KafkaError> {
    let end = Instant::now() + PATIENCE;
    loop {
        match ask() {
            Err(error) if !access::is_denial(&error) && Instant::now() < end => {
                warn!(%error, "rekey.waiting_for_kafka");
                thread::sleep(WAIT);
            }
            answer => return answer,
        }
    }
}
