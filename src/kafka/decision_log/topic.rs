//! The topic of the decision log: whether its settings are right, and how to correct them.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use thiserror::Error;

use super::settings::DecisionLogSettings;
use crate::kafka::access::{Acl, Operation};
use crate::kafka::cluster::{self, ClusterError};

/// How long decisions stay on the topic: the longest outage after which nothing is decided again.
const RETENTION: Duration = Duration::from_secs(24 * 3600);

/// The setting that makes a topic compacted.
pub(super) const COMPACTION: &str = "cleanup.policy";

/// How long records stay on a topic.
pub(super) const RETENTION_MS: &str = "retention.ms";

/// The settings with which the topic is created.
pub(super) const CONFIG: [(&str, &str); 3] =
    [(COMPACTION, "delete"), (RETENTION_MS, "86400000"), ("segment.ms", "3600000")];

/// What is wrong with a topic, and the command that corrects it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TopicError {
    /// The topic does not exist.
    #[error(
        "the decision log's topic {topic} does not exist; create it:\n  {command}\nor start once \
         with --create-topics; or set `decision_log: {{enabled: false}}` and read what is lost \
         without it in docs/guarantees.md"
    )]
    Missing {
        /// The topic.
        topic: String,
        /// The command that creates it.
        command: String,
    },
    /// It has another number of partitions than the input topic.
    #[error(
        "the decision log's topic {topic} has {found} partitions and the input topic {input} has \
         {wanted}: they must be as many, since a decision is written to the partition that its \
         trace came from; {command}"
    )]
    Partitions {
        /// The topic.
        topic: String,
        /// The input topic.
        input: String,
        /// How many partitions it has.
        found: usize,
        /// How many partitions the input topic has.
        wanted: usize,
        /// What to do.
        command: String,
    },
    /// The input topic does not exist.
    #[error("the input topic {0} does not exist (kafka.topic)")]
    NoInput(String),
    /// A setting of the topic is wrong.
    #[error(transparent)]
    Setting(Box<WrongSetting>),
    /// The cluster does not answer, or answers with an error.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

impl From<KafkaError> for TopicError {
    fn from(error: KafkaError) -> Self {
        Self::Cluster(error.into())
    }
}

/// A setting of the topic that loses decisions, and the command that corrects it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "the decision log's topic {topic} has {key}={found}, and {why}; set it:\n  kafka-configs.sh \
     --bootstrap-server {brokers} --alter --entity-type topics --entity-name {topic} --add-config \
     '{key}={wanted}'"
)]
pub struct WrongSetting {
    /// The topic.
    pub topic: String,
    /// The cluster.
    pub brokers: String,
    /// The name of the setting.
    pub key: String,
    /// Its value.
    pub found: String,
    /// The value that it should have.
    pub wanted: String,
    /// Why.
    pub why: &'static str,
}

impl TopicError {
    /// True if waiting may help.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Cluster(ClusterError::Unreachable(_)))
    }

    /// True if the member can run in spite of it.
    fn is_warning(&self) -> bool {
        matches!(self, Self::Setting(wrong) if wrong.key != COMPACTION)
    }
}

/// The command that creates the topic.
pub fn create_command(settings: &DecisionLogSettings, partitions: usize) -> String {
    cluster::create_command(&settings.brokers, &settings.topic, partitions, &CONFIG)
}

/// Checks the topic against the input topic; with `create`, creates it if it is missing. Returns
/// settings that should be changed and do not keep a member from running. Blocks.
///
/// # Errors
/// What is wrong.
pub fn check(
    settings: &DecisionLogSettings,
    input: &str,
    create: bool,
) -> Result<Vec<TopicError>, TopicError> {
    let client_id = format!("{}-admin", settings.client_id);
    let DecisionLogSettings { brokers, properties, group_id, .. } = settings;
    let config = cluster::client_config(brokers, properties, &client_id, group_id);
    let consumer: BaseConsumer = config.create()?;
    let partitions = |topic: &str, operation| {
        let answer = cluster::partitions(&consumer, topic);
        answer.map_err(|error| ClusterError::of(error, brokers, &[Acl::topic(operation, topic)]))
    };
    let wanted = partitions(input, Operation::Read)?;
    let wanted = wanted.ok_or_else(|| TopicError::NoInput(input.into()))?;
    let topic = settings.topic.clone();
    match partitions(&topic, Operation::Write)? {
        Some(found) if found == wanted => {}
        Some(found) => {
            let command = more_partitions(settings, found, wanted);
            let input = input.to_owned();
            return Err(TopicError::Partitions { topic, input, found, wanted, command });
        }
        None if create => {
            cluster::create_topic(&config, &topic, wanted, &CONFIG)?;
            return Ok(Vec::new());
        }
        None => {
            return Err(TopicError::Missing { topic, command: create_command(settings, wanted) });
        }
    }
    let found = match cluster::topic_settings(&config, &topic) {
        // If the cluster does not allow the question, no setting is known to be wrong.
        Err(ClusterError::Hidden(_) | ClusterError::Denied(_)) => BTreeMap::new(),
        found => found?,
    };
    let mut wrong = wrong_settings(settings, &found);
    match wrong.iter().position(|it| !it.is_warning()) {
        Some(place) => Err(wrong.swap_remove(place)),
        None => Ok(wrong),
    }
}

/// What a `cleanup.policy` says.
pub(super) fn is_compacted(policy: &str) -> bool {
    policy.split(',').any(|it| it.trim() == "compact")
}

fn more_partitions(settings: &DecisionLogSettings, found: usize, wanted: usize) -> String {
    let DecisionLogSettings { brokers, topic, .. } = settings;
    if found < wanted {
        return format!(
            "add the missing ones:\n  kafka-topics.sh --bootstrap-server {brokers} --alter --topic \
             {topic} --partitions {wanted}"
        );
    }
    "name another topic (decision_log.topic), or delete this one and create it again".to_owned()
}

fn wrong_settings(
    settings: &DecisionLogSettings,
    found: &BTreeMap<String, String>,
) -> Vec<TopicError> {
    let get = |key: &str| found.get(key);
    let wrong = |key: &str, value: &str, wanted: &str, why| {
        TopicError::Setting(Box::new(WrongSetting {
            topic: settings.topic.clone(),
            brokers: settings.brokers.clone(),
            key: key.to_owned(),
            found: value.to_owned(),
            wanted: wanted.to_owned(),
            why,
        }))
    };
    let mut all = Vec::new();
    if let Some(policy) = get(COMPACTION)
        && is_compacted(policy)
    {
        let why = "Kafka takes no records without keys there, which those of the log are";
        all.push(wrong(COMPACTION, policy, "delete", why));
    }
    let hour = Duration::from_secs(3600).as_millis();
    if let Some(retention) = get(RETENTION_MS)
        && retention.parse::<i128>().is_ok_and(|it| it >= 0 && it.unsigned_abs() < hour)
    {
        let why = "decisions that are still needed would be deleted during an outage";
        let wanted = RETENTION.as_millis().to_string();
        all.push(wrong(RETENTION_MS, retention, &wanted, why));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> DecisionLogSettings {
        DecisionLogSettings {
            topic: "spans_decisions".into(),
            brokers: "kafka:9092".into(),
            group_id: "tailsieve".into(),
            client_id: "tailsieve".into(),
            properties: Vec::new(),
            index: None,
        }
    }

    fn found(pairs: &[(&str, &str)]) -> Vec<TopicError> {
        let pairs = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        wrong_settings(&settings(), &pairs.collect())
    }

    #[test]
    fn settings_that_lose_decisions_are_named_with_the_command() {
        let good = [("cleanup.policy", "delete"), ("retention.ms", "86400000")];
        assert_eq!(found(&good), []);
        assert_eq!(found(&[("cleanup.policy", "delete"), ("retention.ms", "-1")]), []);
        let wrong = found(&[("cleanup.policy", "compact,delete"), ("retention.ms", "60000")]);
        let texts: Vec<_> = wrong.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 2);
        assert_eq!(wrong.iter().map(TopicError::is_warning).collect::<Vec<_>>(), [false, true]);
        assert!(texts[0].contains("--add-config 'cleanup.policy=delete'"), "{}", texts[0]);
        assert!(texts[1].contains("retention.ms=60000"), "{}", texts[1]);
    }

    #[test]
    fn the_command_creates_what_is_asked_for() {
        let command = create_command(&settings(), 12);
        assert!(command.starts_with(
            "kafka-topics.sh --bootstrap-server kafka:9092 --create --topic spans_decisions \
             --partitions 12 --config cleanup.policy=delete"
        ));
    }
}
