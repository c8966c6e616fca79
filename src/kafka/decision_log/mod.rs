//! The decision log: a topic with the decision on every decided trace, so that the next owner of a
//! partition goes by it.
//!
//! Owns the topic's records, the producer that writes them and the thread that reads them back.
//! Promises that
//! - a worker is told once of every log batch that is on the topic ([`LogEvent::Written`]), and gets
//!   back each one that is not ([`LogEvent::Unwritten`]);
//! - after [`DecisionLog::read_back`] the worker gets every decision on record from the position that
//!   it asked for, in order, including everything that was written before the call by whoever owned
//!   the partition then; [`LogEvent::ReadBack`] ends them;
//! - what a former owner writes does not win over what its successor has written.
//!
//! Leaves to others what a decision means, what waits for it, and the decision memory.

mod details;
pub mod index;
mod metrics;
mod read_back;
mod reader;
mod record;
mod settings;
mod supersession;
pub mod topic;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use rdkafka::error::KafkaError;
use thiserror::Error;

use crate::ids::{Offset, Origin, Partition, Position, TopicId};
use crate::kafka::publish::{
    DeliveryReports, Failed, NoticeSink, Outgoing, Publisher, PublisherSettings,
};
use crate::sampling::decided::DecisionRecord;
use crate::sync::lock;

use index::Index;
use metrics::LogMetrics;
use reader::{Command, Reader};

pub use index::{Coverage, IndexSettings, Owners, TraceHash};
pub use record::{GroupHash, LogBatch, LogEntry, OwnerId, read_whole};
pub use settings::DecisionLogSettings;
pub use supersession::OwnershipMarker;

/// How long a record may wait for others: those of other partitions, which workers append at the same
/// moment, so that one wake-up of librdkafka sends them all.
const LINGER: Duration = Duration::from_millis(5);

/// A large part of a decision is its trace id, which cannot be compressed. Stronger algorithms only
/// cost more.
const COMPRESSION: &str = "lz4";

/// What a worker is told.
#[derive(Debug)]
pub enum LogEvent {
    /// Log batches are on the topic.
    Written(Vec<Written>),
    /// A log batch is not on the topic: it has to be appended again.
    Unwritten {
        /// The ticket that it was appended with.
        ticket: LogTicket,
        /// The log batch.
        batch: LogBatch,
    },
    /// Decision records of a partition whose log is being read back, in the order they were made.
    Decisions {
        /// The acquisition.
        origin: Origin,
        /// The decisions.
        decisions: Vec<DecisionRecord>,
    },
    /// The log of a partition was read back.
    ReadBack {
        /// The acquisition.
        origin: Origin,
        /// Where the log was read from.
        from: Position,
        /// The ownership markers behind it, in order.
        markers: Vec<OwnershipMarker>,
    },
}

/// A log batch is on the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The ticket that it was appended with.
    pub ticket: LogTicket,
    /// Its offset there.
    pub offset: Offset,
}

/// Comes back when a log batch is written or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogTicket {
    /// Where the decisions were made.
    pub origin: Origin,
    /// The worker's number of the log batch.
    pub sequence: u64,
}

/// Takes the events for one worker.
pub type LogSink = NoticeSink<LogEvent>;

/// Why the log cannot be started.
#[derive(Debug, Error)]
pub enum LogError {
    /// librdkafka refuses the settings.
    #[error("the decision log's Kafka client refuses its settings: {0}")]
    Settings(#[from] KafkaError),
    /// The thread does not start.
    #[error("the decision log's thread cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// What a worker asks of the decision log.
pub trait Log: fmt::Debug + Send + Sync {
    /// The consumer group whose decisions these are.
    fn group(&self) -> GroupHash;

    /// Appends a log batch to the log of the partition that it comes from. Never blocks.
    ///
    /// # Errors
    /// The log batch, when the queue is full: to be appended again a little later.
    fn append(&self, ticket: LogTicket, batch: LogBatch) -> Result<(), LogBatch>;

    /// Writes the ownership marker of `owner` to the log of a partition, and reads the log back from
    /// `from`, or from its beginning if `from` is not known.
    fn read_back(&self, origin: Origin, owner: OwnerId, topics: Topics, from: Option<Position>);

    /// Nothing more is appended by an ownership.
    fn end(&self, _origin: Origin) {}
}

/// The input topic that a log is about, if its id is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Topics {
    /// At the position where reading back begins.
    pub then: Option<TopicId>,
    /// Now: another one, if the topic was deleted and created again.
    pub now: Option<TopicId>,
}

/// A running decision log.
#[derive(Debug)]
pub struct DecisionLog {
    topic: String,
    group: GroupHash,
    publisher: Arc<Publisher<LogReports>>,
    reader: Reader,
    index: Arc<Index>,
}

impl DecisionLog {
    /// Starts the log. `sinks` holds one sink for each worker. It is not an error if a broker or the
    /// topic cannot be reached: the log waits for them.
    ///
    /// # Errors
    /// When librdkafka refuses the settings, or the thread does not start.
    pub fn start(settings: &DecisionLogSettings, sinks: Vec<LogSink>) -> Result<Self, LogError> {
        let group = GroupHash::of(&settings.group_id);
        let metrics = Arc::new(LogMetrics::new());
        let sinks = Arc::new(sinks);
        let (commands, inbox) = mpsc::channel();
        let index = Arc::new(Index::start(settings)?);
        let reports = LogReports {
            sinks: Arc::clone(&sinks),
            written: Mutex::default(),
            markers: Mutex::new(commands.clone()),
            metrics: Arc::clone(&metrics),
            index: Arc::clone(&index),
        };
        let name = format!("{}-decisions", settings.client_id);
        let mut publisher = PublisherSettings::new(&name, &settings.brokers, &settings.properties);
        (publisher.linger, publisher.compression) = (LINGER, COMPRESSION);
        let publisher = Arc::new(Publisher::start(publisher, reports)?);
        let reader = Reader::start(
            settings,
            group,
            Arc::clone(&publisher),
            Arc::clone(&index),
            sinks,
            metrics,
            (commands, inbox),
        )?;
        Ok(Self { topic: settings.topic.clone(), group, publisher, reader, index })
    }

    /// `Ok` if the log can be written and read; else what is wrong.
    pub fn ready(&self) -> Result<(), String> {
        self.reader.ready()
    }

    /// Ends in good order: the index of what was written is written, too, as far as `timeout` allows.
    pub fn finish(&self, timeout: Duration) {
        self.index.finish(timeout);
    }

    /// Ends as a crash would: what is not on the topic yet is never written.
    pub fn crash(&self) {
        self.index.crash();
        self.publisher.crash();
    }
}

impl Log for DecisionLog {
    fn group(&self) -> GroupHash {
        self.group
    }

    fn append(&self, ticket: LogTicket, batch: LogBatch) -> Result<(), LogBatch> {
        let outgoing = Outgoing {
            topic: &self.topic,
            partition: Some(ticket.origin.partition),
            key: None,
            value: Some(&batch.value),
            headers: &[],
        };
        match self.publisher.publish(&outgoing, Appended::Batch { ticket, traces: batch.traces }) {
            Err((_, Appended::Batch { traces, .. })) => Err(LogBatch { traces, ..batch }),
            _ => Ok(()),
        }
    }

    fn read_back(&self, origin: Origin, owner: OwnerId, topics: Topics, from: Option<Position>) {
        self.reader.command(Command::ReadBack { origin, owner, topics, from });
    }

    fn end(&self, origin: Origin) {
        self.index.end(origin);
    }
}

/// What was appended. Comes back with the delivery report.
#[derive(Debug)]
enum Appended {
    Batch {
        ticket: LogTicket,
        /// That of each decision in it.
        traces: Vec<TraceHash>,
    },
    /// An ownership marker.
    Marker(Origin),
}

struct LogReports {
    sinks: Arc<Vec<LogSink>>,
    /// By worker: what was written since workers were told last.
    written: Mutex<HashMap<usize, Vec<Written>>>,
    markers: Mutex<mpsc::Sender<Command>>,
    metrics: Arc<LogMetrics>,
    index: Arc<Index>,
}

impl DeliveryReports for LogReports {
    type Ticket = Appended;

    fn settled(&self, appended: Appended, result: Result<(Partition, Offset), Failed<'_>>) {
        match (appended, result) {
            (Appended::Batch { ticket, traces }, Ok((_, offset))) => {
                self.metrics.written.increment(1);
                self.metrics.written_decisions.increment(traces.len() as u64);
                self.index.written(ticket.origin, offset, traces);
                let mut written = lock(&self.written);
                written.entry(ticket.origin.worker).or_default().push(Written { ticket, offset });
            }
            (Appended::Batch { ticket, traces }, Err(failed)) => {
                self.metrics.failed(&failed);
                let value = failed.value.unwrap_or_default().to_vec();
                let batch = LogBatch { traces, ..LogBatch::of(value) };
                (self.sinks[ticket.origin.worker])(LogEvent::Unwritten { ticket, batch });
            }
            (Appended::Marker(origin), result) => {
                let result = result.map(|(_, offset)| offset).map_err(|failed| {
                    self.metrics.failed(&failed);
                    failed.reason()
                });
                let markers = lock(&self.markers);
                // A reader that is gone needs no markers.
                let _ = markers.send(Command::Marked { origin, result });
            }
        }
    }

    fn batch_done(&self) {
        let written = std::mem::take(&mut *lock(&self.written));
        for (worker, written) in written {
            (self.sinks[worker])(LogEvent::Written(written));
        }
    }
}

#[cfg(test)]
pub(crate) use record::marker;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
