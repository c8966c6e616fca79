//! The settings of the decision log, checked.

use std::fmt;

use super::index::IndexSettings;

/// Settings of the decision log.
#[derive(Clone)]
pub struct DecisionLogSettings {
    /// The topic, with as many partitions as the input topic.
    pub topic: String,
    /// `bootstrap.servers`.
    pub brokers: String,
    /// The consumer group whose decisions these are.
    pub group_id: String,
    /// `client.id`.
    pub client_id: String,
    /// Further librdkafka settings: how to log in.
    pub properties: Vec<(String, String)>,
    /// Its index, unless that is switched off.
    pub index: Option<IndexSettings>,
}

impl fmt::Debug for DecisionLogSettings {
    /// Without the values of properties: passwords may be among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecisionLogSettings")
            .field("topic", &self.topic)
            .field("brokers", &self.brokers)
            .field("group_id", &self.group_id)
            .finish_non_exhaustive()
    }
}
