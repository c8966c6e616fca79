//! Where the spans and the decisions on them are, as the command line says it.

use std::path::PathBuf;

use super::generate;
use super::process::CommandError;
use super::topic_reader::{kafka, no_topic};
use crate::config;
use crate::kafka::decision_log::{GroupHash, IndexSettings};
use crate::retrieval::{Origin, RetrievalError};

/// What the command line says of it.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct OriginArgs {
    /// The static file: brokers, how to log in, the topics and the group
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Brokers, if there is no static file
    #[arg(long, value_name = "HOST:PORT,...", requires = "topic")]
    pub(super) brokers: Option<String>,
    /// The topic with the spans; by default that of the static file (kafka.topic)
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// The decision log; by default that of the static file, or the topic's name and `_decisions`
    #[arg(long, value_name = "TOPIC")]
    decision_log: Option<String>,
    /// Any librdkafka property
    #[arg(short = 'X', value_name = "KEY=VALUE", value_parser = generate::property)]
    properties: Vec<(String, String)>,
}

impl OriginArgs {
    /// The topics, and whether decisions are put on record.
    ///
    /// # Errors
    /// When the static file is wrong.
    pub(super) fn origin(&self) -> Result<(Origin, bool), CommandError> {
        let (mut properties, mut brokers, mut topic, mut group, mut log) = Default::default();
        let mut index = None;
        if let Some(file) = &self.config {
            let settings = config::load(file)?;
            let source = settings.source;
            (properties, brokers, topic) = (source.properties, source.brokers, source.topic);
            group = Some(GroupHash::of(&source.group_id));
            index = settings.decision_log.as_ref().map(|log| log.index.clone().map(|it| it.topic));
            log = settings.decision_log.map(|log| log.topic);
        }
        properties.extend(self.properties.iter().cloned());
        let topic = self.topic.clone().unwrap_or(topic);
        let has_log = self.config.is_none() || log.is_some() || self.decision_log.is_some();
        let log = self.decision_log.clone().or(log);
        let decision_log = log.unwrap_or_else(|| format!("{topic}_decisions"));
        let its_name = || Some(IndexSettings::default_topic(&decision_log));
        let decision_index = index.filter(|_| self.decision_log.is_none()).unwrap_or_else(its_name);
        let brokers = self.brokers.clone().unwrap_or(brokers);
        let origin = Origin { brokers, properties, topic, decision_log, decision_index, group };
        Ok((origin, has_log))
    }
}

/// What is said when topics cannot be read.
pub(super) fn failed(origin: &Origin, error: RetrievalError) -> CommandError {
    let brokers = &origin.brokers;
    match error {
        RetrievalError::NoTopic(topic) if topic == origin.decision_log => {
            CommandError::usage(format_args!(
                "the decision log {topic} does not exist: name another one with --decision-log"
            ))
        }
        RetrievalError::NoTopic(topic) => no_topic(&topic),
        RetrievalError::Kafka { topic, error } => kafka(brokers, &topic, &error),
        error => CommandError::failed(format_args!("Kafka at {brokers}: {error}")),
    }
}
