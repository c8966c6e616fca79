//! What all share that read a topic by hand, without a group: how they connect, a record, and which errors
//! pass.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::Message as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Header, Headers as _};

use crate::ids::{Offset, Partition, Timestamp};
use crate::kafka::cluster;

/// How long one question to the cluster may take.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a poll waits, before it is looked whether there is something else to do.
pub const POLL: Duration = Duration::from_millis(100);

/// How long Kafka may say nothing, where there is something left to read, before a reader gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A record.
#[derive(Clone, Debug)]
pub struct Record {
    /// Where it is.
    pub partition: Partition,
    /// The place in it.
    pub offset: Offset,
    /// Its record time.
    pub timestamp: Timestamp,
    /// Its headers that have a value.
    pub headers: Vec<(String, Vec<u8>)>,
    /// What it holds.
    pub value: Option<Vec<u8>>,
}

impl Record {
    /// A copy of a message.
    pub fn of(message: &BorrowedMessage<'_>) -> Self {
        Self {
            partition: Partition(message.partition()),
            offset: Offset(message.offset()),
            timestamp: Timestamp(message.timestamp().to_millis().unwrap_or(0)),
            headers: message.headers().map(copied).unwrap_or_default(),
            value: message.payload().map(<[u8]>::to_vec),
        }
    }
}

fn copied(headers: &BorrowedHeaders) -> Vec<(String, Vec<u8>)> {
    let copy = |header: Header<'_, &[u8]>| Some((header.key.to_owned(), header.value?.to_vec()));
    headers.iter().filter_map(copy).collect()
}

/// The settings of a consumer that is told where a partition ends, and commits nothing.
pub fn client_config(brokers: &str, properties: &[(String, String)], name: &str) -> ClientConfig {
    // The group is not joined: a consumer has to have one to be given partitions by hand.
    let mut config = cluster::client_config(brokers, properties, name, name);
    config
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set(cluster::QUEUE_BACKOFF.0, cluster::QUEUE_BACKOFF.1)
        .set("auto.offset.reset", "earliest");
    config
}

/// True of an error after which reading goes on, perhaps a while later.
pub fn may_pass(error: &KafkaError) -> bool {
    cluster::may_pass(error) || is_of_the_group(error)
}

/// True of an error that says nothing about the reading: the client looks for the coordinator of its group,
/// which it never joins, and takes no ACL for.
pub fn is_of_the_group(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed)
}
