//! The dead-letter topic, from where the last replay stopped to the end that it had at the start.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, Offset as KafkaOffset, TopicPartitionList};
use tracing::warn;

use super::found::{Found, Place};
use crate::ids::{Offset, Partition, Position};
use crate::kafka::cluster;
use crate::kafka::source::SourceSettings;

/// How long one question to the cluster may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a poll waits for a record; between two polls the reader looks whether to stop.
const POLL: Duration = Duration::from_millis(500);

/// How large a batch may be.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) letters: usize,
    pub(super) bytes: usize,
}

/// Reads the topic once. A partition is left when its end is reached.
pub(super) struct Reader {
    consumer: BaseConsumer,
    topic: String,
    /// By partition that is not read to its end: the next position, and the end.
    open: BTreeMap<Partition, (Position, Position)>,
    /// By partition: the position behind the last record that was handed out.
    read: BTreeMap<Partition, Position>,
}

/// How many partitions a topic has; `None` if there is no such topic.
pub(super) fn partitions(source: &SourceSettings, name: &str) -> Result<Option<usize>, KafkaError> {
    cluster::partitions(&client_config(source).create()?, name)
}

impl Reader {
    /// Asks where to start and where the end is.
    pub(super) fn start(
        source: &SourceSettings,
        topic: &str,
        partitions: usize,
    ) -> Result<Self, KafkaError> {
        let consumer: BaseConsumer = client_config(source).create()?;
        let mut list = TopicPartitionList::new();
        for partition in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
            list.add_partition(topic, partition);
        }
        let committed = consumer.committed_offsets(list, TIMEOUT)?;
        let (mut open, mut assigned) = (BTreeMap::new(), TopicPartitionList::new());
        for element in committed.elements() {
            let partition = element.partition();
            let (low, end) =
                cluster::asked_again(|| consumer.fetch_watermarks(topic, partition, TIMEOUT))?;
            let start = match element.offset() {
                KafkaOffset::Offset(committed) => committed.max(low),
                _ => low,
            };
            if start < end {
                assigned.add_partition_offset(topic, partition, KafkaOffset::Offset(start))?;
                open.insert(Partition(partition), (Position(start), Position(end)));
            }
        }
        consumer.assign(&assigned)?;
        Ok(Self { consumer, topic: topic.to_owned(), open, read: BTreeMap::new() })
    }

    /// Offsets that are still to be read: as many letters at most.
    pub(super) fn left(&self) -> i64 {
        self.open.values().map(|(position, end)| end.0 - position.0).sum()
    }

    /// The next letters; none when all are read. Ends early once `stop` is set.
    pub(super) fn next_batch(
        &mut self,
        limits: Limits,
        stop: &AtomicBool,
    ) -> Result<Vec<(Place, Found)>, KafkaError> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < limits.letters && bytes < limits.bytes && !self.open.is_empty() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            match self.consumer.poll(POLL) {
                None => {}
                Some(Ok(message)) => {
                    let partition = Partition(message.partition());
                    let offset = Offset(message.offset());
                    // What was written since the start is not for this replay.
                    let Some((next, end)) = self.open.get_mut(&partition) else { continue };
                    if offset.0 < end.0 {
                        let found = Found::new(&message);
                        bytes += found.bytes();
                        batch.push((Place { partition, offset }, found));
                        self.read.insert(partition, offset.next());
                    }
                    *next = offset.next();
                    if *next >= *end {
                        self.open.remove(&partition);
                    }
                }
                // Offsets at the end may hold no records.
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    self.open.remove(&Partition(partition));
                }
                Some(Err(error)) if cluster::may_pass(&error) => {
                    warn!(%error, topic = self.topic, "replay.waiting_for_kafka");
                }
                Some(Err(error)) => return Err(error),
            }
        }
        Ok(batch)
    }

    /// Commits all that was handed out. Blocks.
    pub(super) fn commit(&self) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        for (partition, position) in &self.read {
            let offset = KafkaOffset::Offset(position.0);
            list.add_partition_offset(&self.topic, partition.0, offset)?;
        }
        if list.count() == 0 {
            return Ok(());
        }
        self.consumer.commit(&list, CommitMode::Sync)
    }
}

fn client_config(source: &SourceSettings) -> ClientConfig {
    let SourceSettings { brokers, properties, .. } = source;
    let group_id = group_id(source);
    let mut config = cluster::client_config(brokers, properties, "tailsieve-replay", &group_id);
    config
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest");
    config
}

/// The group whose committed offsets say how far replays came. It has no members.
pub(super) fn group_id(source: &SourceSettings) -> String {
    format!("{}-replay", source.group_id)
}
