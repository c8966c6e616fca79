//! A Kafka cluster and its topics: how a client is set up to ask about them, what it asks, and how a
//! topic is created.
//!
//! Promises that every question ends within seconds, with an answer or an error. Leaves to others
//! which settings a topic needs, and what to say if it has others.

pub(crate) mod describe;
pub(crate) mod permissions;

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use rdkafka::types::RDKafkaRespErr;
use thiserror::Error;

use crate::kafka::access::{Acl, Denied, Operation};

/// How long one question may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long a client fetches no more when it has fetched enough ahead, in milliseconds. librdkafka's default is a
/// second: what waits for a few records would wait for that.
pub const QUEUE_BACKOFF: (&str, &str) = ("fetch.queue.backoff.ms", "5");

/// The default of a topic's `max.message.bytes`.
pub const DEFAULT_MAX_MESSAGE_BYTES: u64 = 1_048_588;

/// Why a question has no answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ClusterError {
    /// No broker answers.
    #[error("the cluster does not answer: {0}")]
    Unreachable(#[from] KafkaError),
    /// The cluster does not allow the question.
    #[error("{0}")]
    Hidden(RDKafkaErrorCode),
    /// The user lacks an ACL.
    #[error(transparent)]
    Denied(#[from] Box<Denied>),
    /// The cluster does not create the topic.
    #[error("the topic {topic} cannot be created: {reason}")]
    NotCreated {
        /// The topic.
        topic: String,
        /// Why.
        reason: String,
    },
}

impl ClusterError {
    /// Of a question for which the user needs these ACLs.
    pub(crate) fn of(error: KafkaError, brokers: &str, needed: &[Acl]) -> Self {
        match Denied::of(error.rdkafka_error_code(), brokers, needed) {
            Some(denied) => Self::Denied(Box::new(denied)),
            None => Self::Unreachable(error),
        }
    }
}

/// The configuration of a client that is not a member of the group. `properties` are the user's, for
/// example how to log in. librdkafka needs a `group_id` to assign partitions by hand; the group is not
/// joined.
pub fn client_config(
    brokers: &str,
    properties: &[(String, String)],
    client_id: &str,
    group_id: &str,
) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (key, value) in properties {
        config.set(key, value);
    }
    config
        .set("bootstrap.servers", brokers)
        .set("client.id", client_id)
        .set("group.id", group_id)
        .set("allow.auto.create.topics", "false");
    config
}

/// Number of partitions of a topic; `None` if there is no such topic.
///
/// # Errors
/// When no broker answers, or the user may not know of the topic.
pub fn partitions<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
) -> Result<Option<usize>, KafkaError> {
    partitions_within(consumer, topic, TIMEOUT)
}

/// As [`partitions`], with an answer within this time.
///
/// # Errors
/// As [`partitions`].
pub fn partitions_within<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    timeout: Duration,
) -> Result<Option<usize>, KafkaError> {
    partitions_of(&consumer.fetch_metadata(Some(topic), timeout)?, topic)
}

/// The same, of an answer that is there.
///
/// # Errors
/// When the user may not know of the topic.
pub(super) fn partitions_of(metadata: &Metadata, topic: &str) -> Result<Option<usize>, KafkaError> {
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    if found.and_then(|found| found.error()) == Some(denied) {
        return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::TopicAuthorizationFailed));
    }
    Ok(found.map(|found| found.partitions().len()).filter(|partitions| *partitions > 0))
}

/// Asks `question` again for some seconds while a partition has no leader: a new topic, and one whose
/// leader has gone, have none for a moment. Blocks.
///
/// # Errors
/// The last answer.
pub fn asked_again<T>(question: impl Fn() -> Result<T, KafkaError>) -> Result<T, KafkaError> {
    asked_again_for(TIMEOUT, question)
}

/// As [`asked_again`], for this long.
///
/// # Errors
/// The last answer.
pub fn asked_again_for<T>(
    patience: Duration,
    question: impl Fn() -> Result<T, KafkaError>,
) -> Result<T, KafkaError> {
    let deadline = Instant::now() + patience;
    loop {
        match question() {
            Err(error) if changes_leaders(&error) && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(100));
            }
            answer => return answer,
        }
    }
}

fn changes_leaders(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{LeaderNotAvailable, NotLeaderForPartition};
    let code = error.rdkafka_error_code();
    matches!(code, Some(LeaderNotAvailable | NotLeaderForPartition))
}

/// True of what librdkafka tries again by itself while a topic is read.
pub fn may_pass(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{
        AllBrokersDown, BrokerTransportFailure, NotLeaderForPartition, OperationTimedOut, Resolve,
        UnknownPartition,
    };
    let code = error.rdkafka_error_code();
    matches!(
        code,
        Some(
            AllBrokersDown
                | BrokerTransportFailure
                | NotLeaderForPartition
                | OperationTimedOut
                | Resolve
                | UnknownPartition
        )
    )
}

/// The settings of a topic. Blocks.
///
/// # Errors
/// When no broker answers, or the cluster does not allow the question.
pub fn topic_settings(
    config: &ClientConfig,
    topic: &str,
) -> Result<BTreeMap<String, String>, ClusterError> {
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    let resource = ResourceSpecifier::Topic(topic);
    let mut settings = BTreeMap::new();
    for described in block_on(admin.describe_configs([&resource], &options()))? {
        let entries = described.map_err(|code| hidden(config, topic, code))?.entries.into_iter();
        settings.extend(entries.filter_map(|entry| Some((entry.name, entry.value?))));
    }
    if settings.is_empty() {
        // Every topic has settings; the error of one that the user may not see does not come through.
        return Err(hidden(config, topic, RDKafkaErrorCode::TopicAuthorizationFailed));
    }
    Ok(settings)
}

fn hidden(config: &ClientConfig, topic: &str, code: RDKafkaErrorCode) -> ClusterError {
    let brokers = config.get("bootstrap.servers").unwrap_or_default();
    let needed = [Acl::topic(Operation::DescribeConfigs, topic)];
    let denied = Denied::of(Some(code), brokers, &needed);
    denied.map_or(ClusterError::Hidden(code), |denied| ClusterError::Denied(Box::new(denied)))
}

/// The largest batch that a topic takes, in bytes; `None` if its settings do not tell. Blocks.
///
/// # Errors
/// As [`topic_settings`].
pub fn max_message_bytes(config: &ClientConfig, topic: &str) -> Result<Option<u64>, ClusterError> {
    let settings = topic_settings(config, topic)?;
    Ok(settings.get("max.message.bytes").and_then(|value| value.parse().ok()))
}

/// Creates a topic with the cluster's default replication. Blocks.
///
/// # Errors
/// When it cannot be created. It is no error if it exists already.
pub fn create_topic(
    config: &ClientConfig,
    topic: &str,
    partitions: usize,
    settings: &[(&str, &str)],
) -> Result<(), ClusterError> {
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    let count = i32::try_from(partitions).unwrap_or(i32::MAX);
    let mut new = NewTopic::new(topic, count, TopicReplication::Fixed(-1));
    for (key, value) in settings {
        new = new.set(key, value);
    }
    for result in block_on(admin.create_topics([&new], &options()))? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(not_created(config, topic, code)),
        }
    }
    Ok(())
}

fn not_created(config: &ClientConfig, topic: &str, code: RDKafkaErrorCode) -> ClusterError {
    let brokers = config.get("bootstrap.servers").unwrap_or_default();
    let needed = [Acl::topic(Operation::Create, topic)];
    match Denied::of(Some(code), brokers, &needed) {
        Some(denied) => ClusterError::Denied(Box::new(denied)),
        None => ClusterError::NotCreated { topic: topic.to_owned(), reason: code.to_string() },
    }
}

/// The command that does what [`create_topic`] does.
pub fn create_command(
    brokers: &str,
    topic: &str,
    partitions: usize,
    settings: &[(&str, &str)],
) -> String {
    let settings: Vec<_> =
        settings.iter().map(|(key, value)| format!("--config {key}={value}")).collect();
    format!(
        "kafka-topics.sh --bootstrap-server {brokers} --create --topic {topic} --partitions \
         {partitions} {}",
        settings.join(" ")
    )
}

/// Waits for a question of the admin client, which has a thread of its own.
fn block_on<T>(question: impl Future<Output = Result<T, KafkaError>>) -> Result<T, KafkaError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
    runtime.block_on(question)
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn what_a_change_of_leaders_answers_is_asked_again_and_nothing_else() {
        let asked = Cell::new(0);
        let answers = |codes: &[Option<RDKafkaErrorCode>]| {
            asked.set(0);
            asked_again(|| {
                let code = codes[asked.replace(asked.get() + 1)];
                code.map_or(Ok(()), |code| Err(KafkaError::MetadataFetch(code)))
            })
        };
        use RDKafkaErrorCode::{LeaderNotAvailable, NotLeaderForPartition, OperationTimedOut};
        assert_eq!(answers(&[Some(NotLeaderForPartition), Some(LeaderNotAvailable), None]), Ok(()));
        assert_eq!(asked.get(), 3);
        assert!(answers(&[Some(OperationTimedOut), None]).is_err());
        assert_eq!(asked.get(), 1);
    }
}
