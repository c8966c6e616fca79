//! The partitions of a topic side by side, by the times of their records.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::Origin;
use crate::cmd::process::CommandError;
use crate::cmd::topic_reader::{kafka, no_topic};
use crate::kafka::cluster;
use crate::kafka::topic_reader::{PATIENCE, POLL, Record, TIMEOUT, client_config, may_pass};

/// Reads each partition up to the end that it had at the start.
pub(super) struct Reader {
    brokers: String,
    topic: String,
    consumer: Arc<BaseConsumer>,
    lanes: Vec<Lane>,
}

/// A partition that is not read to its end.
struct Lane {
    partition: i32,
    queue: PartitionQueue<DefaultConsumerContext>,
    /// Records that were read and not handed out.
    waiting: VecDeque<Record>,
    /// Where it ends.
    end: i64,
    is_at_end: bool,
}

impl Reader {
    /// Asks where to begin and where the ends are.
    pub(super) fn start(origin: &Origin) -> Result<Self, CommandError> {
        let reader = cluster::asked_again(|| Self::assign(origin));
        let reader = reader.map_err(|error| kafka(&origin.brokers, &origin.topic, &error))?;
        reader.ok_or_else(|| no_topic(&origin.topic))
    }

    /// None if there is no such topic.
    fn assign(origin: &Origin) -> Result<Option<Self>, KafkaError> {
        let topic = &origin.topic;
        let mut config = client_config(&origin.brokers, &origin.properties, "tailsieve-capture");
        // What waits of partitions that are ahead of the others.
        config.set("queued.max.messages.kbytes", "65536");
        let consumer: Arc<BaseConsumer> = Arc::new(config.create()?);
        let Some(partitions) = cluster::partitions(&consumer, topic)? else { return Ok(None) };
        let mut starts = TopicPartitionList::new();
        for partition in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
            // To ask for a time, it stands where offsets do.
            let time = origin.from.map_or(KafkaOffset::Beginning, |it| KafkaOffset::Offset(it.0));
            starts.add_partition_offset(topic, partition, time)?;
        }
        if origin.from.is_some() {
            starts = consumer.offsets_for_times(starts, TIMEOUT)?;
        }
        let (mut assigned, mut ends) = (TopicPartitionList::new(), Vec::new());
        for element in starts.elements() {
            let partition = element.partition();
            let (low, end) = consumer.fetch_watermarks(topic, partition, TIMEOUT)?;
            let start = match element.offset() {
                KafkaOffset::Offset(offset) => offset.max(low),
                KafkaOffset::Beginning => low,
                // Nothing is that young.
                _ => end,
            };
            if start < end {
                assigned.add_partition_offset(topic, partition, KafkaOffset::Offset(start))?;
                ends.push((partition, end));
            }
        }
        consumer.assign(&assigned)?;
        let lane = |(partition, end)| {
            let queue = consumer.split_partition_queue(topic, partition)?;
            Some(Lane { partition, queue, waiting: VecDeque::new(), end, is_at_end: false })
        };
        let lanes = ends.into_iter().filter_map(lane).collect();
        let (brokers, topic) = (origin.brokers.clone(), topic.clone());
        Ok(Some(Self { brokers, topic, consumer, lanes }))
    }

    /// The record with the earliest time of those that come next; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Record>, CommandError> {
        let mut deadline = Instant::now() + PATIENCE;
        while self.lanes.iter().any(|lane| lane.waiting.is_empty() && !lane.is_at_end) {
            if self.read()? {
                deadline = Instant::now() + PATIENCE;
            } else if Instant::now() > deadline {
                return Err(CommandError::failed(format_args!(
                    "nothing came from Kafka at {} for {} s, and the end of the topic is not \
                     reached; what was read before is written",
                    self.brokers,
                    PATIENCE.as_secs(),
                )));
            }
        }
        let earliest = self.lanes.iter_mut().filter(|lane| !lane.waiting.is_empty());
        let earliest = earliest.min_by_key(|lane| lane.waiting.front().map(|it| it.timestamp));
        Ok(earliest.and_then(|lane| lane.waiting.pop_front()))
    }

    /// Looks for records where they are missing. True if something came.
    fn read(&mut self) -> Result<bool, CommandError> {
        let mut came = false;
        for lane in &mut self.lanes {
            if lane.waiting.is_empty() && !lane.is_at_end {
                let message =
                    lane.queue.poll(POLL).map(|message| message.map(|it| Record::of(&it)));
                came |= message.is_some();
                lane.take(message).map_err(|error| kafka(&self.brokers, &self.topic, &error))?;
            }
        }
        // What the client has to say, and records that came before their partition had a queue.
        if let Some(message) = self.consumer.poll(Duration::ZERO) {
            match message.map(|it| Record::of(&it)) {
                Ok(record) => {
                    let lane = |lane: &&mut Lane| lane.partition == record.partition.0;
                    if let Some(lane) = self.lanes.iter_mut().find(lane) {
                        lane.add(record);
                    }
                }
                Err(KafkaError::PartitionEOF(partition)) => {
                    let ended = self.lanes.iter_mut().filter(|lane| lane.partition == partition);
                    ended.for_each(|lane| lane.is_at_end = true);
                }
                Err(error) if may_pass(&error) => {}
                Err(error) => return Err(kafka(&self.brokers, &self.topic, &error)),
            }
        }
        Ok(came)
    }
}

impl Lane {
    fn take(&mut self, message: Option<Result<Record, KafkaError>>) -> Result<(), KafkaError> {
        match message {
            None => {}
            Some(Ok(record)) => self.add(record),
            // Offsets at the end may hold no records.
            Some(Err(KafkaError::PartitionEOF(_))) => self.is_at_end = true,
            Some(Err(error)) if may_pass(&error) => {}
            Some(Err(error)) => return Err(error),
        }
        Ok(())
    }

    /// Adds a record, unless it was written since the start.
    fn add(&mut self, record: Record) {
        self.is_at_end |= record.offset.0 + 1 >= self.end;
        if record.offset.0 < self.end {
            self.waiting.push_back(record);
        }
    }
}
