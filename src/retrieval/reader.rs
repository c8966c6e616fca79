//! Stretches of the partitions of one topic, read by a consumer that is told where.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};
use tracing::debug;

use super::{Budget, Origin, RetrievalError};
use crate::ids::{Partition, Timestamp, TopicId};
use crate::kafka::cluster::{self, describe};
use crate::kafka::topic_reader::{POLL, Record, client_config, is_of_the_group};

/// How the decision log is read: whole stretches. What is asked for is there already, so Kafka need not wait
/// for more: the next look-up would wait with it.
pub(super) const OF_THE_LOG: [(&str, &str); 3] = [
    ("queued.max.messages.kbytes", "4096"),
    ("fetch.message.max.bytes", "1048576"),
    ("fetch.wait.max.ms", "1"),
];

/// How its index is read: all that there is of a partition, mostly.
pub(super) const OF_THE_INDEX: [(&str, &str); 3] = [
    ("queued.max.messages.kbytes", "32768"),
    ("fetch.message.max.bytes", "8388608"),
    ("fetch.wait.max.ms", "50"),
];

/// How spans are read: a trace has few records, and what is read ahead is read in vain.
pub(super) const OF_SPANS: [(&str, &str); 3] = [
    ("queued.max.messages.kbytes", "1024"),
    ("fetch.message.max.bytes", "65536"),
    ("fetch.wait.max.ms", "1"),
];

/// How long a topic is taken to have as many partitions as it had.
const PARTITIONS_STAND: Duration = Duration::from_secs(30);

/// Offsets of each partition, the end exclusive.
pub type Stretches = BTreeMap<Partition, Range<i64>>;

/// A topic.
pub struct Reader {
    consumer: BaseConsumer,
    topic: String,
    partitions: Cell<Option<(u32, Instant)>>,
}

impl Reader {
    /// Connects when it is asked first.
    ///
    /// # Errors
    /// When a property is wrong.
    pub fn new(
        origin: &Origin,
        topic: &str,
        settings: &[(&str, &str)],
    ) -> Result<Self, RetrievalError> {
        let mut config = client_config(&origin.brokers, &origin.properties, "tailsieve-trace");
        for (key, value) in settings {
            config.set(*key, *value);
        }
        let consumer = config.create().map_err(|error| failed(topic, error))?;
        Ok(Self { consumer, topic: topic.to_owned(), partitions: Cell::new(None) })
    }

    /// How many partitions it has. Says what is missing if the user may not read it, where questions
    /// about offsets do not.
    ///
    /// # Errors
    /// When it does not exist, or Kafka does not answer.
    pub fn partitions(&self, budget: &Budget) -> Result<u32, RetrievalError> {
        let known = self.partitions.get().filter(|(_, since)| since.elapsed() < PARTITIONS_STAND);
        if let Some((partitions, _)) = known {
            return Ok(partitions);
        }
        budget.go_on()?;
        let question =
            || cluster::partitions_within(&self.consumer, &self.topic, budget.for_a_question());
        let found = self.ask(budget, question)?;
        let partitions = found.ok_or_else(|| RetrievalError::NoTopic(self.topic.clone()))?;
        let partitions = u32::try_from(partitions).unwrap_or(u32::MAX);
        self.partitions.set(Some((partitions, Instant::now())));
        Ok(partitions)
    }

    /// The id of the topic; `None` if brokers know none.
    pub(super) fn topic_id(&self, budget: &Budget) -> Result<Option<TopicId>, RetrievalError> {
        budget.go_on()?;
        let asked = describe::topic_id(self.consumer.client(), &self.topic);
        match asked.answer(budget.for_a_question()) {
            Some(Ok(id)) => Ok(id),
            Some(Err(error)) => {
                debug!(%error, "retrieval.no_topic_id");
                Err(RetrievalError::NoTopic(self.topic.clone()))
            }
            None => Err(RetrievalError::Silent(budget.for_a_question().as_secs())),
        }
    }

    /// From the first to behind the last record that there is.
    ///
    /// # Errors
    /// When Kafka does not answer.
    pub fn whole(
        &self,
        partitions: &BTreeSet<Partition>,
        budget: &Budget,
    ) -> Result<Stretches, RetrievalError> {
        let lows = self.offsets(partitions, KafkaOffset::Beginning, budget)?;
        let highs = self.offsets(partitions, KafkaOffset::End, budget)?;
        let bounds = lows.into_iter().zip(highs);
        let stretch = |((partition, low), (_, high)): ((_, Option<i64>), (_, Option<i64>))| {
            (partition, low.unwrap_or(0)..high.unwrap_or(0))
        };
        Ok(bounds.map(stretch).collect())
    }

    /// The first record of each partition that is not older; `None` where all are.
    ///
    /// # Errors
    /// When Kafka does not answer.
    pub fn at(
        &self,
        partitions: &BTreeSet<Partition>,
        time: Timestamp,
        budget: &Budget,
    ) -> Result<BTreeMap<Partition, Option<i64>>, RetrievalError> {
        self.offsets(partitions, KafkaOffset::Offset(time.0.max(0)), budget)
    }

    /// To ask for a time, it stands where offsets do; so do the words for the beginning and the end,
    /// which Kafka knows as times.
    fn offsets(
        &self,
        partitions: &BTreeSet<Partition>,
        time: KafkaOffset,
        budget: &Budget,
    ) -> Result<BTreeMap<Partition, Option<i64>>, RetrievalError> {
        budget.go_on()?;
        let found = self.ask(budget, || {
            let mut times = TopicPartitionList::new();
            for partition in partitions {
                times.add_partition_offset(&self.topic, partition.0, time)?;
            }
            let found = self.consumer.offsets_for_times(times, budget.for_a_question())?;
            found.elements().iter().try_for_each(|it| it.error())?;
            Ok(found)
        })?;
        let offset = |offset| match offset {
            KafkaOffset::Offset(offset) => Some(offset),
            _ => None,
        };
        let found = found.elements();
        Ok(found.iter().map(|it| (Partition(it.partition()), offset(it.offset()))).collect())
    }

    /// Reads stretches side by side; `take` takes their records, those of a partition in order.
    pub(super) fn read(
        &self,
        stretches: &Stretches,
        budget: &mut Budget,
        take: &mut dyn FnMut(&Record),
    ) -> Result<(), RetrievalError> {
        let open: Stretches = stretches
            .iter()
            .filter(|(_, stretch)| !stretch.is_empty())
            .map(|(partition, stretch)| (*partition, stretch.clone()))
            .collect();
        if open.is_empty() {
            return Ok(());
        }
        self.assign(&open).map_err(|error| self.failed(error))?;
        let read = self.read_assigned(open, budget, take);
        // What it would read on in vain.
        let left = self.consumer.unassign().map_err(|error| self.failed(error));
        read.and(left)
    }

    fn read_assigned(
        &self,
        mut open: Stretches,
        budget: &mut Budget,
        take: &mut dyn FnMut(&Record),
    ) -> Result<(), RetrievalError> {
        let mut heard = Instant::now();
        while !open.is_empty() {
            let message = self.consumer.poll(POLL).map(|message| message.map(|it| Record::of(&it)));
            let ended = match message {
                None => {
                    budget.bear(heard)?;
                    continue;
                }
                Some(Ok(record)) => {
                    budget.spend(record.value.as_ref().map_or(0, Vec::len))?;
                    let Some(stretch) = open.get(&record.partition) else { continue };
                    if stretch.contains(&record.offset.0) {
                        take(&record);
                    }
                    (record.offset.0 + 1 >= stretch.end).then_some(record.partition)
                }
                // The last offsets of a partition may hold no records.
                Some(Err(KafkaError::PartitionEOF(partition))) => Some(Partition(partition)),
                Some(Err(error)) if is_of_the_group(&error) => continue,
                Some(Err(error)) if cluster::may_pass(&error) => {
                    budget.wait(&error);
                    budget.bear(heard)?;
                    continue;
                }
                Some(Err(error)) => return Err(self.failed(error)),
            };
            heard = Instant::now();
            if let Some(partition) = ended
                && open.remove(&partition).is_some()
                && !open.is_empty()
            {
                self.leave(partition).map_err(|error| self.failed(error))?;
            }
        }
        Ok(())
    }

    fn assign(&self, stretches: &Stretches) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        for (partition, stretch) in stretches {
            let start = KafkaOffset::Offset(stretch.start);
            list.add_partition_offset(&self.topic, partition.0, start)?;
        }
        self.consumer.assign(&list)
    }

    fn leave(&self, partition: Partition) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, partition.0);
        self.consumer.incremental_unassign(&list)
    }

    fn ask<T>(
        &self,
        budget: &Budget,
        question: impl Fn() -> Result<T, KafkaError>,
    ) -> Result<T, RetrievalError> {
        let answer = cluster::asked_again_for(budget.for_a_question(), question);
        answer.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: KafkaError) -> RetrievalError {
        failed(&self.topic, error)
    }
}

fn failed(topic: &str, error: KafkaError) -> RetrievalError {
    RetrievalError::Kafka { topic: topic.to_owned(), error }
}
