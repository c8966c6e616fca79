//! What was found out, before it is judged. What is `None` was not answered in time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::sample::Sample;
use crate::cmd::access;
use crate::config::{PolicyFile, Settings};
use crate::export::BackendCheckError;
use crate::kafka::access::{Acl, Denied, Resource};
use crate::kafka::cluster::describe::GroupMember;
use crate::kafka::decision_log::index::topic::IndexTopicError;
use crate::kafka::decision_log::topic::TopicError;
use crate::otel::SignalCheck;

/// The settings that the checks are about.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `kafka.brokers`.
    pub brokers: String,
    /// `kafka.topic`.
    pub topic: String,
    /// `kafka.group_id`.
    pub group_id: String,
    /// `kafka.group_instance_id`.
    pub group_instance_id: Option<String>,
    /// `kafka.group_protocol: consumer`.
    pub consumer_protocol: bool,
    /// `kafka.consumers`.
    pub consumers: usize,
    /// `kafka.future_tolerance`.
    pub future_tolerance: Duration,
    /// `decision_wait`.
    pub decision_wait: Duration,
    /// The decision log's topic, if it is switched on.
    pub decision_log: Option<String>,
    /// That of its index, if it is switched on.
    pub decision_index: Option<String>,
    /// Where traces are served, if they are: as this machine reaches it, and whether with TLS.
    pub retrieval: Option<RetrievalServer>,
    /// The topic for dead letters, if there is one.
    pub dead_letter: Option<String>,
    /// The ACLs that are needed.
    pub needed: Vec<Acl>,
    /// `admin.listen`.
    pub admin_listen: SocketAddr,
}

impl Plan {
    /// The plan of a member with these files.
    pub fn new(settings: &Settings, policies: &PolicyFile) -> Self {
        let source = &settings.source;
        Self {
            brokers: source.brokers.clone(),
            topic: source.topic.clone(),
            group_id: source.group_id.clone(),
            group_instance_id: source.group_instance_id.clone(),
            consumer_protocol: source.consumer_protocol,
            consumers: settings.consumers,
            future_tolerance: source.future_tolerance,
            decision_wait: policies.decision_wait,
            decision_log: settings.decision_log.as_ref().map(|log| log.topic.clone()),
            decision_index: settings
                .decision_log
                .as_ref()
                .and_then(|log| log.index.as_ref())
                .map(|index| index.topic.clone()),
            retrieval: settings.retrieval.as_ref().map(|retrieval| RetrievalServer {
                listen: retrieval.listen,
                is_encrypted: retrieval.tls.is_some(),
            }),
            dead_letter: settings.dead_letter.as_ref().map(|letters| letters.topic.clone()),
            needed: access::of_doctor(settings),
            admin_listen: settings.admin.listen,
        }
    }
}

/// `retrieval.listen`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetrievalServer {
    /// The address.
    pub listen: SocketAddr,
    /// It speaks TLS.
    pub is_encrypted: bool,
}

/// What the server of traces says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerReach {
    /// That it has not a trace that nobody has.
    Answers,
    /// Somebody listens who could not be asked.
    Listens,
    /// Nothing, and why.
    Silent(String),
    /// Something else.
    Foreign(String),
}

/// Whether an address can be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Somebody listens.
    Connected,
    /// The name is not known.
    Unresolved(String),
    /// The connection is refused, by the host or the network.
    Refused(String),
    /// Nothing came back.
    TimedOut,
}

/// The cluster as its brokers describe it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// The brokers' addresses, as they advertise them, and whether they can be reached.
    pub brokers: Vec<(String, Reach)>,
    /// All topics, and how many partitions each has.
    pub topics: BTreeMap<String, usize>,
}

/// What there is to know about the brokers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brokers {
    /// The addresses of the file, and whether they can be reached.
    pub contacts: Vec<(String, Reach)>,
    /// The cluster, or why it could not be asked.
    pub cluster: Result<Cluster, String>,
    /// What librdkafka complained about meanwhile.
    pub complaints: Vec<String>,
}

/// The consumer group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// `Stable`, `Empty`, ...
    pub state: String,
    /// `cooperative-sticky`, ...; empty before there are members.
    pub protocol: String,
    /// `consumer` for groups of consumers.
    pub protocol_type: String,
    /// Its members.
    pub members: Vec<GroupMember>,
}

/// What a partition holds, and what the group has committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Which one.
    pub partition: i32,
    /// The oldest offset.
    pub low: i64,
    /// The offset that the next record will get.
    pub high: i64,
    /// The next offset that the group would read.
    pub committed: Option<i64>,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Facts {
    /// The brokers and the cluster.
    pub brokers: Option<Brokers>,
    /// The ACLs that are missing.
    pub denied: Option<Vec<Denied>>,
    /// The topic's settings, or why they cannot be seen.
    pub configs: Option<Result<BTreeMap<String, String>, String>>,
    /// The decision log's settings, or why they cannot be seen.
    pub log_configs: Option<Result<BTreeMap<String, String>, String>>,
    /// The decision log's topic.
    pub decision_log: Option<Result<Vec<TopicError>, TopicError>>,
    /// What is wrong with the topic of its index, if there is one.
    pub decision_index: Option<Result<(), IndexTopicError>>,
    /// The group.
    pub group: Option<Result<Group, String>>,
    /// The partitions that could be looked at in time.
    pub ranges: Option<Result<Vec<Range>, String>>,
    /// Recent records.
    pub sample: Option<Sample>,
    /// What each backend answers; `None` before all have answered.
    pub backends: Option<Vec<(String, Result<(), BackendCheckError>)>>,
    /// What the receiver of each signal of own telemetry answers, or what is wrong with the environment.
    pub own_telemetry: Option<Result<Vec<SignalCheck>, String>>,
    /// What the server of traces says, if one is configured.
    pub retrieval: Option<ServerReach>,
    /// Whether the admin address can be listened on.
    pub admin: Option<Result<(), String>>,
}

impl Facts {
    /// True if it is not known whether there is such a topic, because the user may not see it.
    pub fn is_hidden(&self, topic: &str) -> bool {
        let is_it = |denied: &Denied| matches!(&denied.acl.resource, Resource::Topic(name) if name == topic);
        self.denied.iter().flatten().any(is_it)
    }
}
