//! What commands say of an error when they read a topic by hand, without a group.

use rdkafka::error::KafkaError;

use super::process::CommandError;
use crate::kafka::access::{Acl, Denied, Operation};

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
