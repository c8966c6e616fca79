//! The spans of a trace, out of the records that hold them.

use std::ops::RangeInclusive;
use std::time::Instant;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::{Asked, Places};
use crate::cmd::process::CommandError;
use crate::cmd::rekey;
use crate::cmd::topic_reader::{PATIENCE, POLL, Record, TIMEOUT, client_config, kafka, may_pass};
use crate::ids::{Offset, Partition, Timestamp, TraceId};
use crate::kafka::cluster;
use crate::otlp::encoding::Decoder;
use crate::otlp::{SplitRecord, Splitter};

/// So many records are passed over rather than asked for anew: they are here already, mostly.
const NEAR: i64 = 100;

/// What is left of a trace in its topic.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    /// What its records hold of it, in order.
    pub(super) parts: Vec<Part>,
    /// How many records that an entry lists Kafka does not have any more, or that cannot be read.
    pub(super) missing: u64,
}

/// The spans of the trace in one record.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) partition: Partition,
    pub(super) offset: Offset,
    pub(super) timestamp: Timestamp,
    /// A `TracesData` message.
    pub(super) bytes: Vec<u8>,
}

/// Reads the records.
pub(super) fn fetch(asked: &Asked, places: &Places) -> Result<Fetched, CommandError> {
    let log = &asked.log;
    let mut config = client_config(&log.brokers, &log.properties, "tailsieve-trace");
    // A trace has few records: what is read ahead is read in vain.
    config.set("queued.max.messages.kbytes", "1024").set("fetch.message.max.bytes", "65536");
    let failed = |error: KafkaError| kafka(&log.brokers, &asked.topic, &error);
    let consumer: BaseConsumer = config.create().map_err(failed)?;
    // Says what is missing if the user may not read it, where questions about offsets do not.
    cluster::partitions(&consumer, &asked.topic).map_err(failed)?;
    let mut fetched = Fetched::default();
    let mut extract = Extract::new(asked.id);
    for (partition, ranges) in places.all() {
        let bounds =
            cluster::asked_again(|| consumer.fetch_watermarks(&asked.topic, partition.0, TIMEOUT));
        let (low, high) = bounds.map_err(failed)?;
        let mut lane = Lane { consumer: &consumer, topic: &asked.topic, partition, position: None };
        for range in ranges {
            let there = (*range.start()).max(low)..=(*range.end()).min(high - 1);
            // Of a range that is looked through it is not known how many records it should have.
            let is_listed = range.start() == range.end();
            let gone = there.is_empty() || there.start() > range.start();
            fetched.missing += u64::from(gone);
            if there.is_empty() {
                continue;
            }
            let count =
                lane.read(there, &mut |record| extract.take(record, &mut fetched.parts, is_listed));
            fetched.missing += count.map_err(|error| error.of(&log.brokers, &asked.topic))?;
        }
    }
    Ok(fetched)
}

/// Why records cannot be read.
enum FetchError {
    Kafka(KafkaError),
    Silent,
}

impl FetchError {
    fn of(&self, brokers: &str, topic: &str) -> CommandError {
        match self {
            Self::Kafka(error) => kafka(brokers, topic, error),
            Self::Silent => CommandError::failed(format_args!(
                "nothing came from Kafka at {brokers} for {} s",
                PATIENCE.as_secs()
            )),
        }
    }
}

impl From<KafkaError> for FetchError {
    fn from(error: KafkaError) -> Self {
        Self::Kafka(error)
    }
}

/// A partition that is read.
struct Lane<'a> {
    consumer: &'a BaseConsumer,
    topic: &'a str,
    partition: Partition,
    /// The next record to come, if the partition is assigned.
    position: Option<i64>,
}

impl Lane<'_> {
    /// Reads the records of a range, which `take` takes. Returns the sum of what that says.
    fn read(
        &mut self,
        range: RangeInclusive<i64>,
        take: &mut impl FnMut(&Record) -> u64,
    ) -> Result<u64, FetchError> {
        let is_near = |position: i64| (position..=position + NEAR).contains(range.start());
        if !self.position.is_some_and(is_near) {
            self.go_to(*range.start())?;
        }
        let mut sum = 0;
        let mut heard = Instant::now();
        while heard.elapsed() < PATIENCE {
            match self.consumer.poll(POLL).map(|message| message.map(|it| Record::of(&it))) {
                None => continue,
                Some(Ok(record)) => {
                    let offset = record.offset.0;
                    self.position = Some(offset + 1);
                    if range.contains(&offset) {
                        sum += take(&record);
                    }
                    if offset >= *range.end() {
                        return Ok(sum);
                    }
                }
                // The last offsets of a partition may hold no records.
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(sum),
                Some(Err(error)) if may_pass(&error) => {
                    continue;
                }
                Some(Err(error)) => return Err(error.into()),
            }
            heard = Instant::now();
        }
        Err(FetchError::Silent)
    }

    fn go_to(&mut self, offset: i64) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(self.topic, self.partition.0, KafkaOffset::Offset(offset))?;
        self.consumer.assign(&list)?;
        self.position = Some(offset);
        Ok(())
    }
}

/// Takes the spans of one trace out of records.
struct Extract {
    id: TraceId,
    decoder: Decoder,
    splitter: Splitter,
}

impl Extract {
    fn new(id: TraceId) -> Self {
        Self { id, decoder: Decoder::default(), splitter: Splitter::new(usize::MAX) }
    }

    /// Returns 1 if the record `is_listed` and has no span of the trace: its offset has been given to
    /// another one since, or it cannot be read.
    fn take(&mut self, record: &Record, parts: &mut Vec<Part>, is_listed: bool) -> u64 {
        let value = record.value.as_deref().unwrap_or_default();
        let split = rekey::split(&mut self.decoder, &mut self.splitter, value);
        let before = parts.len();
        let mut part = |bytes: Vec<u8>| {
            let Record { partition, offset, timestamp, .. } = *record;
            parts.push(Part { partition, offset, timestamp, bytes });
        };
        match split {
            Ok((protobuf, SplitRecord::Whole(id))) if id == self.id => part(protobuf.into_owned()),
            Ok((_, SplitRecord::Parts(all))) => {
                let of_it = all.into_iter().filter(|it| it.trace == Some(self.id));
                of_it.for_each(|it| part(it.bytes));
            }
            _ => {}
        }
        u64::from(is_listed && parts.len() == before)
    }
}
