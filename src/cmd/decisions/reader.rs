//! The partitions of the decision log, from where they are asked for on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::{From, Origin};
use crate::clock;
use crate::cmd::process::CommandError;
use crate::cmd::topic_reader::{kafka, no_topic};
use crate::ids::{Partition, Timestamp};
use crate::kafka::cluster;
use crate::kafka::topic_reader::{PATIENCE, POLL, Record, TIMEOUT, client_config, is_of_the_group};

/// How long after the time where it ends what was written until then may still come.
const UNTIL_GRACE: Duration = Duration::from_secs(1);

/// What comes next.
pub(in crate::cmd) enum Step {
    Record(Record),
    /// Nothing at the moment.
    Nothing,
    /// Nothing more will be shown.
    Ended,
}

/// Reads partitions until each has come to its end, if there is one.
pub(in crate::cmd) struct Reader {
    brokers: String,
    topic: String,
    consumer: BaseConsumer,
    until: Option<Timestamp>,
    /// The partitions that are not over, each with the offset where it will be, if that is known.
    open: BTreeMap<i32, Option<i64>>,
    /// Those of them of which everything that there is was read.
    read: BTreeSet<i32>,
    /// When something was heard from Kafka last.
    heard: Instant,
    is_waiting: bool,
}

impl Reader {
    /// Asks where to begin, and where to end.
    pub(in crate::cmd) fn start(origin: &Origin) -> Result<Self, CommandError> {
        let reader = cluster::asked_again(|| Self::assign(origin));
        let reader = reader.map_err(|error| kafka(&origin.brokers, &origin.topic, &error))?;
        reader.ok_or_else(|| no_topic(&origin.topic))
    }

    /// None if there is no such topic.
    fn assign(origin: &Origin) -> Result<Option<Self>, KafkaError> {
        let topic = &origin.topic;
        let config = client_config(&origin.brokers, &origin.properties, "tailsieve-decisions");
        let consumer: BaseConsumer = config.create()?;
        let Some(partitions) = cluster::partitions(&consumer, topic)? else { return Ok(None) };
        let (mut assigned, mut open) = (TopicPartitionList::new(), BTreeMap::new());
        let partitions = (0..i32::try_from(partitions).unwrap_or(i32::MAX)).map(Partition);
        let is_wanted =
            |it: &Partition| origin.partitions.as_ref().is_none_or(|some| some.contains(it));
        let partitions = partitions.filter(is_wanted).collect();
        for (partition, found) in starts(&consumer, origin, partitions)? {
            let (low, high) = consumer.fetch_watermarks(topic, partition, TIMEOUT)?;
            let start = match (origin.from, found) {
                (From::Beginning, _) => low,
                (From::Time(_), Some(offset)) => offset,
                // Nothing is younger than a time that is not found.
                (From::End, _) | (From::Time(_), None) => high,
            };
            let end = (!origin.follows).then_some(high);
            if end.is_none_or(|end| start < end) {
                assigned.add_partition_offset(topic, partition, KafkaOffset::Offset(start))?;
                open.insert(partition, end);
            }
        }
        consumer.assign(&assigned)?;
        Ok(Some(Self {
            brokers: origin.brokers.clone(),
            topic: origin.topic.clone(),
            consumer,
            until: origin.until,
            open,
            read: BTreeSet::new(),
            heard: Instant::now(),
            is_waiting: false,
        }))
    }

    /// The next record that is asked for. With `hurry` it does not wait for one.
    pub(in crate::cmd) fn next(&mut self, hurry: bool) -> Result<Step, CommandError> {
        if self.is_over(clock::now()) {
            return Ok(Step::Ended);
        }
        let message = self.consumer.poll(if hurry { Duration::ZERO } else { POLL });
        match message.map(|message| message.map(|it| Record::of(&it))) {
            None => self.patience(),
            Some(Ok(record)) => {
                self.hear();
                Ok(self.take(record).map_or(Step::Nothing, Step::Record))
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                self.hear();
                self.read.insert(partition);
                // Offsets at the end may hold no records.
                if self.open.get(&partition).is_some_and(Option::is_some) {
                    self.open.remove(&partition);
                }
                Ok(Step::Nothing)
            }
            Some(Err(error)) if is_of_the_group(&error) => Ok(Step::Nothing),
            Some(Err(error)) if cluster::may_pass(&error) => {
                if !self.is_waiting {
                    eprintln!("warning: Kafka at {} is waited for: {error}", self.brokers);
                    self.is_waiting = true;
                }
                Ok(Step::Nothing)
            }
            Some(Err(error)) => Err(kafka(&self.brokers, &self.topic, &error)),
        }
    }

    fn hear(&mut self) {
        (self.heard, self.is_waiting) = (Instant::now(), false);
    }

    /// The record, unless it is behind the end of its partition.
    fn take(&mut self, record: Record) -> Option<Record> {
        let partition = record.partition.0;
        self.read.remove(&partition);
        let end = *self.open.get(&partition)?;
        let is_late = self.until.is_some_and(|until| record.timestamp > until);
        if is_late || end.is_some_and(|end| record.offset.0 + 1 >= end) {
            self.open.remove(&partition);
        }
        (!is_late && end.is_none_or(|end| record.offset.0 < end)).then_some(record)
    }

    /// True if nothing more is to come.
    fn is_over(&self, now: Timestamp) -> bool {
        let last = self.until.map(|until| until.0.saturating_add(UNTIL_GRACE.as_millis() as i64));
        let is_late = last.is_some_and(|last| now.0 > last);
        self.open.is_empty() || is_late && self.open.keys().all(|it| self.read.contains(it))
    }

    /// Nothing came. That is as it should be where everything was read.
    fn patience(&self) -> Result<Step, CommandError> {
        let is_ending = self.open.values().any(Option::is_some);
        if is_ending && self.heard.elapsed() > PATIENCE {
            return Err(CommandError::failed(format_args!(
                "nothing came from Kafka at {} for {} s, and the end of the topic is not reached",
                self.brokers,
                PATIENCE.as_secs(),
            )));
        }
        Ok(Step::Nothing)
    }
}

/// The partitions, each with the offset that the time which is asked for has there.
fn starts(
    consumer: &BaseConsumer,
    origin: &Origin,
    partitions: Vec<Partition>,
) -> Result<Vec<(i32, Option<i64>)>, KafkaError> {
    let partitions = partitions.into_iter().map(|it| it.0);
    let From::Time(time) = origin.from else {
        return Ok(partitions.map(|partition| (partition, None)).collect());
    };
    let mut times = TopicPartitionList::new();
    for partition in partitions {
        // To ask for a time, it stands where offsets do.
        times.add_partition_offset(&origin.topic, partition, KafkaOffset::Offset(time.0))?;
    }
    let found = consumer.offsets_for_times(times, TIMEOUT)?;
    let offset = |offset| match offset {
        KafkaOffset::Offset(offset) => Some(offset),
        _ => None,
    };
    Ok(found.elements().iter().map(|it| (it.partition(), offset(it.offset()))).collect())
}
