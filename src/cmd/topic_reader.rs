//! What commands share that read a topic by hand, without a group: how they connect, a record, and what
//! is said of an error.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::Message as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;

use super::process::CommandError;
use crate::ids::{Offset, Partition, Timestamp};
use crate::kafka::access::{Acl, Denied, Operation};
use crate::kafka::cluster;

/// How long one question to the cluster may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a poll waits, before it is looked whether there is something else to do.
pub(super) const POLL: Duration = Duration::from_millis(100);

/// How long Kafka may say nothing, where there is something left to read, before a command gives up.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A record.
pub(super) struct Record {
    pub(super) partition: Partition,
    pub(super) offset: Offset,
    pub(super) timestamp: Timestamp,
    pub(super) value: Option<Vec<u8>>,
}

impl Record {
    pub(super) fn of(message: &BorrowedMessage<'_>) -> Self {
        Self {
            partition: Partition(message.partition()),
            offset: Offset(message.offset()),
            timestamp: Timestamp(message.timestamp().to_millis().unwrap_or(0)),
            value: message.payload().map(<[u8]>::to_vec),
        }
    }
}

/// The settings of a consumer that is told where a partition ends, and commits nothing.
pub(super) fn client_config(
    brokers: &str,
    properties: &[(String, String)],
    name: &str,
) -> ClientConfig {
    // The group is not joined: a consumer has to have one to be given partitions by hand.
    let mut config = cluster::client_config(brokers, properties, name, name);
    config
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest");
    config
}

/// True of an error after which reading goes on, perhaps a while later.
pub(super) fn may_pass(error: &KafkaError) -> bool {
    cluster::may_pass(error) || is_of_the_group(error)
}

/// True of an error that says nothing about the reading: the client looks for the coordinator of its group,
/// which it never joins, and takes no ACL for.
pub(super) fn is_of_the_group(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed)
}

pub(super) fn kafka(brokers: &str, topic: &str, error: &KafkaError) -> CommandError {
    let needed = [Acl::topic(Operation::Read, topic)];
    let error = Denied::explain(error, brokers, &needed);
    CommandError::failed(format_args!("Kafka at {brokers}: {error}"))
}

pub(super) fn no_topic(topic: &str) -> CommandError {
    CommandError::usage(format_args!(
        "the topic {topic} does not exist: name another one with --topic"
    ))
}
