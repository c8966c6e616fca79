//! A stretch of one partition, record by record, as librdkafka holds them.

use std::ops::Range;
use std::time::Instant;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use crate::ids::Partition;
use crate::kafka::topic_reader::{PATIENCE, POLL, client_config, may_pass};
use crate::retrieval::{Origin, RetrievalError};

/// Answers are large as they are, since there is a backlog; the last one of a stretch need not wait for more.
const SETTINGS: [(&str, &str); 4] = [
    ("fetch.min.bytes", "1"),
    ("fetch.wait.max.ms", "100"),
    ("fetch.message.max.bytes", "4194304"),
    ("queued.max.messages.kbytes", "16384"),
];

/// What a look for the next record came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There was one.
    Record,
    /// There is none at the moment.
    Nothing,
    /// There are no more.
    Ended,
}

/// A consumer for streams, one after the other.
pub(super) fn consumer(origin: &Origin, topic: &str) -> Result<BaseConsumer, RetrievalError> {
    let mut config = client_config(&origin.brokers, &origin.properties, "tailsieve-whatif");
    for (key, value) in SETTINGS {
        config.set(key, value);
    }
    config.create().map_err(|error| failed(topic, error))
}

fn failed(topic: &str, error: KafkaError) -> RetrievalError {
    RetrievalError::Kafka { topic: topic.to_owned(), error }
}

/// A stretch of one partition.
pub(super) struct Stream<'c> {
    consumer: &'c BaseConsumer,
    topic: &'c str,
    partition: Partition,
    end: i64,
    is_over: bool,
    heard: Instant,
}

impl<'c> Stream<'c> {
    /// Begins to read.
    pub(super) fn open(
        consumer: &'c BaseConsumer,
        topic: &'c str,
        (partition, stretch): (Partition, Range<i64>),
    ) -> Result<Self, RetrievalError> {
        let is_over = stretch.is_empty();
        let mut list = TopicPartitionList::new();
        if !is_over {
            let start = KafkaOffset::Offset(stretch.start);
            let added = list.add_partition_offset(topic, partition.0, start);
            added.map_err(|error| failed(topic, error))?;
        }
        consumer.assign(&list).map_err(|error| failed(topic, error))?;
        let (end, heard) = (stretch.end, Instant::now());
        Ok(Self { consumer, topic, partition, end, is_over, heard })
    }

    /// Has `take` take the next record, if there is one.
    pub(super) fn next(
        &mut self,
        take: impl FnOnce(&BorrowedMessage<'_>),
    ) -> Result<Step, RetrievalError> {
        if self.is_over {
            return Ok(Step::Ended);
        }
        match self.consumer.poll(POLL) {
            Some(Ok(message)) if message.partition() != self.partition.0 => Ok(Step::Nothing),
            Some(Ok(message)) => {
                self.heard = Instant::now();
                let offset = message.offset();
                self.is_over = offset + 1 >= self.end;
                if offset >= self.end {
                    return Ok(Step::Ended);
                }
                take(&message);
                Ok(Step::Record)
            }
            // The last offsets may hold no records.
            Some(Err(KafkaError::PartitionEOF(partition))) if partition == self.partition.0 => {
                self.is_over = true;
                Ok(Step::Ended)
            }
            Some(Err(KafkaError::PartitionEOF(_))) => Ok(Step::Nothing),
            Some(Err(error)) if !may_pass(&error) => Err(failed(self.topic, error)),
            Some(Err(_)) | None if self.heard.elapsed() > PATIENCE => {
                Err(RetrievalError::Silent(PATIENCE.as_secs()))
            }
            Some(Err(_)) | None => Ok(Step::Nothing),
        }
    }
}
