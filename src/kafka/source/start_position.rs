//! Where reading starts in a partition that was assigned.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::Offset as KafkaOffset;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tracing::{info, warn};

use super::commit_metadata::CommitMetadata;
use super::context::Context;
use super::settings::StartFrom;
use crate::ids::{Partition, Position, TopicId};

/// How long one look-up of offsets may take, inside a rebalance.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Where to start in partitions of `topic` that are being assigned. Those for which it is not
/// known are missing.
pub(super) fn starts(
    consumer: &BaseConsumer<Context>,
    partitions: &[Partition],
    topic: Option<TopicId>,
) -> HashMap<Partition, (Position, CommitMetadata)> {
    let mut starts = HashMap::new();
    let list = consumer.context().list(partitions.iter().copied());
    let committed = match consumer.committed_offsets(list, LOOKUP_TIMEOUT) {
        Ok(committed) => committed,
        Err(error) => {
            warn!(%error, "kafka.committed_offsets_unknown");
            return starts;
        }
    };
    for element in committed.elements() {
        let partition = Partition(element.partition());
        let metadata = CommitMetadata::of_text(element.metadata());
        let start = match element.offset() {
            KafkaOffset::Offset(offset)
                if element.error().is_ok() && is_of(consumer, metadata, topic) =>
            {
                Some((Position(offset), metadata))
            }
            _ if element.error().is_ok() => without_commit(consumer, partition)
                .map(|start| (start, CommitMetadata { clock: None, ..metadata })),
            _ => None,
        };
        starts.extend(start.map(|start| (partition, start)));
    }
    starts
}

/// False if an offset was committed for another topic of this name than this one.
fn is_of(
    consumer: &BaseConsumer<Context>,
    metadata: CommitMetadata,
    topic: Option<TopicId>,
) -> bool {
    let known = metadata.topic.zip(topic);
    if let Some((committed, now)) = known
        && committed != now
    {
        let (topic, committed) = (&consumer.context().settings.topic, committed.to_string());
        let text = "the committed offset is of a topic that was deleted, so it means nothing";
        warn!(topic, committed, now = %now, "kafka.topic_recreated: {text}");
        return false;
    }
    true
}

/// Where `start_from` says to start in a partition that has no committed offset.
pub(super) fn without_commit(
    consumer: &BaseConsumer<Context>,
    partition: Partition,
) -> Option<Position> {
    let settings = &consumer.context().settings;
    let start = match settings.start_from {
        StartFrom::Earliest => log_range(consumer, partition).map(|(low, _)| low),
        StartFrom::Latest => log_range(consumer, partition).map(|(_, high)| high),
        StartFrom::Timestamp(time) => {
            let mut list = TopicPartitionList::new();
            let offset = KafkaOffset::Offset(time.0);
            let topic = &settings.topic;
            list.add_partition_offset(topic, partition.0, offset).ok()?;
            let found = consumer.offsets_for_times(list, LOOKUP_TIMEOUT).ok()?;
            let element = found.find_partition(topic, partition.0)?;
            match element.offset() {
                KafkaOffset::Offset(offset) => Some(Position(offset)),
                // No record is that new; the next one will be.
                _ => log_range(consumer, partition).map(|(_, high)| high),
            }
        }
    }?;
    info!(
        partition = partition.0,
        start = start.0,
        start_from = ?settings.start_from,
        "kafka.no_committed_offset"
    );
    Some(start)
}

/// The oldest offset and the end of a partition.
pub(super) fn log_range(
    consumer: &BaseConsumer<Context>,
    partition: Partition,
) -> Option<(Position, Position)> {
    let topic = &consumer.context().settings.topic;
    match consumer.fetch_watermarks(topic, partition.0, LOOKUP_TIMEOUT) {
        Ok((low, high)) => Some((Position(low), Position(high))),
        Err(error) => {
            warn!(%error, partition = partition.0, "kafka.watermarks_unknown");
            None
        }
    }
}
