//! The topic of the index: whether it is there, and how to create it.
//!
//! Nothing keeps a member from running: without its index a look-up by trace id takes longer.

use std::collections::BTreeMap;

use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use thiserror::Error;

use super::{IndexSettings, MOST_SHARDS};
use crate::kafka::access::{Acl, Operation};
use crate::kafka::cluster::{self, ClusterError};
use crate::kafka::decision_log::DecisionLogSettings;
use crate::kafka::decision_log::topic::{COMPACTION, CONFIG, RETENTION_MS, is_compacted};

/// What is wrong with the topic, and the command that corrects it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum IndexTopicError {
    /// It does not exist.
    #[error(
        "the topic {topic} of the decision log's index does not exist, so that looking a trace up by its \
         id reads all of the decision log; create it:\n  {command}\nor start once with --create-topics; or \
         set `decision_log: {{index: {{enabled: false}}}}`"
    )]
    Missing {
        /// The topic.
        topic: String,
        /// The command that creates it.
        command: String,
    },
    /// It is compacted.
    #[error(
        "the topic {topic} of the decision log's index has cleanup.policy={found}, and Kafka takes no \
         records without keys there, which those of the index are; set it:\n  kafka-configs.sh \
         --bootstrap-server {brokers} --alter --entity-type topics --entity-name {topic} --add-config \
         'cleanup.policy=delete'"
    )]
    Compacted {
        /// The topic.
        topic: String,
        /// The cluster.
        brokers: String,
        /// The value that it has.
        found: String,
    },
    /// The cluster does not answer, or answers with an error.
    #[error("the topic of the decision log's index: {0}")]
    Cluster(#[from] ClusterError),
}

impl From<KafkaError> for IndexTopicError {
    fn from(error: KafkaError) -> Self {
        Self::Cluster(error.into())
    }
}

/// Checks the topic, if there is an index; with `create`, creates it if it is missing: with as many
/// partitions as the log, up to those that are of use, and its retention. Blocks.
///
/// # Errors
/// What is wrong.
pub fn check(settings: &DecisionLogSettings, create: bool) -> Result<(), IndexTopicError> {
    let Some(IndexSettings { topic, .. }) = &settings.index else { return Ok(()) };
    let client_id = format!("{}-admin", settings.client_id);
    let DecisionLogSettings { brokers, properties, group_id, .. } = settings;
    let config = cluster::client_config(brokers, properties, &client_id, group_id);
    let consumer: BaseConsumer = config.create()?;
    let partitions = |topic: &str| {
        let answer = cluster::partitions(&consumer, topic);
        let needed = [Acl::topic(Operation::Write, topic)];
        answer.map_err(|error| ClusterError::of(error, brokers, &needed))
    };
    // What the cluster does not tell is taken to be as it should be.
    let settings_of =
        |topic: &str| cluster::topic_settings(&config, topic).unwrap_or_else(|_| BTreeMap::new());
    if partitions(topic)?.is_some() {
        let found = settings_of(topic).remove(COMPACTION).unwrap_or_default();
        let (topic, brokers) = (topic.clone(), brokers.clone());
        return match is_compacted(&found) {
            true => Err(IndexTopicError::Compacted { topic, brokers, found }),
            false => Ok(()),
        };
    }
    let shards = partitions(&settings.topic)?.unwrap_or(1).min(MOST_SHARDS);
    let retention = settings_of(&settings.topic).remove(RETENTION_MS);
    let made_with = CONFIG.map(|(key, value)| match &retention {
        Some(retention) if key == RETENTION_MS => (key, retention.as_str()),
        _ => (key, value),
    });
    if create {
        return Ok(cluster::create_topic(&config, topic, shards, &made_with)?);
    }
    let command = cluster::create_command(brokers, topic, shards, &made_with);
    Err(IndexTopicError::Missing { topic: topic.clone(), command })
}
