//! The decision log: a topic that says of every decided trace what was decided, so that whoever
//! takes a partition over honours it.
//!
//! Owns the topic's records, the producer that writes them and the thread that reads them back.
//! Promises that
//! - a worker is told of every record that is safe on the topic, once ([`LogEvent::Written`]), and
//!   gets back what is not ([`LogEvent::Unwritten`]);
//! - after [`DecisionLog::read_back`] the worker is told every decision on record from the position
//!   it asked for, in order, up to and with everything that was written before the call by
//!   whoever owned the partition then ([`LogEvent::ReadBack`]);
//! - what an owner writes that has been superseded does not win over what its successor wrote.
//!
//! Leaves to others what a decision means, what waits for it, and what is remembered.

mod metrics;
mod read_back;
mod reader;
mod record;
mod settings;
mod supersession;
pub mod topic;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use rdkafka::error::KafkaError;
use thiserror::Error;

use crate::ids::{Offset, Origin, Partition, Position, TopicId};
use crate::kafka::publish::{
    DeliveryReports, Failed, NoticeSink, Outgoing, Publisher, PublisherSettings, Refusal,
};
use crate::sampling::decided::DecisionRecord;

use metrics::LogMetrics;
use reader::{Command, Reader};

pub use record::{GroupHash, LogBatch, OwnerId};
pub use settings::DecisionLogSettings;
pub use supersession::OwnershipMarker;

/// How long a record may wait for others: next to what a trace waits it is nothing, and most of
/// what a batch costs the client and the broker does not depend on how much is in it.
const LINGER: Duration = Duration::from_millis(20);

/// A good part of a decision is its trace id, which nothing compresses: what packs tighter costs more.
const COMPRESSION: &str = "lz4";

/// What a worker is told.
#[derive(Debug)]
pub enum LogEvent {
    /// Records are on the topic.
    Written(Vec<Written>),
    /// A record is not on the topic: it has to be appended again.
    Unwritten {
        /// What it was appended with.
        ticket: LogTicket,
        /// The record.
        batch: LogBatch,
    },
    /// Decisions of a partition whose log is being read back, in the order they were written.
    Decisions {
        /// The acquisition.
        origin: Origin,
        /// The decisions.
        decisions: Vec<DecisionRecord>,
    },
    /// Everything was told.
    ReadBack {
        /// The acquisition.
        origin: Origin,
        /// Where the log was read from.
        from: Position,
        /// The ownership markers behind it, in order.
        markers: Vec<OwnershipMarker>,
    },
}

/// A record is on the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// What it was appended with.
    pub ticket: LogTicket,
    /// Where it is.
    pub offset: Offset,
}

/// What comes back when a record's fate is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogTicket {
    /// Where it was decided.
    pub origin: Origin,
    /// The worker's number for it.
    pub sequence: u64,
}

/// Where the events of one worker go.
pub type LogSink = NoticeSink<LogEvent>;

/// Why the log cannot be started.
#[derive(Debug, Error)]
pub enum LogError {
    /// librdkafka refuses the settings.
    #[error("the decision log's Kafka client refuses its settings: {0}")]
    Settings(#[from] KafkaError),
    /// No thread could be had.
    #[error("the decision log's thread cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// What a worker asks of the decision log.
pub trait Log: fmt::Debug + Send + Sync {
    /// The group whose records they are.
    fn group(&self) -> GroupHash;

    /// Appends a record to the log of the partition that it comes from. Never blocks.
    ///
    /// # Errors
    /// The record, when the queue is full: to be appended again a little later.
    fn append(&self, ticket: LogTicket, batch: LogBatch) -> Result<(), LogBatch>;

    /// Takes the log of a partition over for `owner`, and reads it back from `from`, or as far as it
    /// reaches if that is not known.
    fn read_back(&self, origin: Origin, owner: OwnerId, topics: Topics, from: Option<Position>);
}

/// Which input topic a log is about, as far as its id is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Topics {
    /// Where reading back begins.
    pub then: Option<TopicId>,
    /// Now: another one, if the topic was made anew.
    pub now: Option<TopicId>,
}

/// A running decision log.
#[derive(Debug)]
pub struct DecisionLog {
    topic: String,
    group: GroupHash,
    publisher: Arc<Publisher<LogReports>>,
    reader: Reader,
}

impl DecisionLog {
    /// Starts the log. `sinks` holds one sink for each worker. A broker or a topic that cannot be
    /// reached is not an error: it is waited for.
    ///
    /// # Errors
    /// When librdkafka refuses the settings, or no thread can be had.
    pub fn start(settings: &DecisionLogSettings, sinks: Vec<LogSink>) -> Result<Self, LogError> {
        let group = GroupHash::of(&settings.group_id);
        let metrics = Arc::new(LogMetrics::new());
        let sinks = Arc::new(sinks);
        let (commands, inbox) = mpsc::channel();
        let reports = LogReports {
            sinks: Arc::clone(&sinks),
            written: Mutex::default(),
            markers: Mutex::new(commands.clone()),
            metrics: Arc::clone(&metrics),
        };
        let name = format!("{}-decisions", settings.client_id);
        let mut publisher = PublisherSettings::new(&name, &settings.brokers, &settings.properties);
        (publisher.linger, publisher.compression) = (LINGER, COMPRESSION);
        let publisher = Arc::new(Publisher::start(publisher, reports)?);
        let reader = Reader::start(
            settings,
            group,
            Arc::clone(&publisher),
            sinks,
            metrics,
            commands,
            inbox,
        )?;
        Ok(Self { topic: settings.topic.clone(), group, publisher, reader })
    }

    /// `Ok` if what was asked for is being written and read; else what is wrong.
    pub fn ready(&self) -> Result<(), String> {
        self.reader.ready()
    }

    /// Ends as a crash would: what is not on the topic yet never will be.
    pub fn crash(&self) {
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
        match self
            .publisher
            .publish(&outgoing, Appended::Batch { ticket, decisions: batch.decisions })
        {
            Ok(()) => Ok(()),
            Err((Refusal::QueueFull | Refusal::Kafka(_), _)) => Err(batch),
        }
    }

    fn read_back(&self, origin: Origin, owner: OwnerId, topics: Topics, from: Option<Position>) {
        self.reader.command(Command::ReadBack { origin, owner, topics, from });
    }
}

/// What comes back with a record.
#[derive(Debug)]
enum Appended {
    Batch {
        ticket: LogTicket,
        decisions: u32,
    },
    /// The first record of an ownership.
    Marker(Origin),
}

struct LogReports {
    sinks: Arc<Vec<LogSink>>,
    /// By worker: what was told since the last time it was passed on.
    written: Mutex<HashMap<usize, Vec<Written>>>,
    markers: Mutex<mpsc::Sender<Command>>,
    metrics: Arc<LogMetrics>,
}

impl DeliveryReports for LogReports {
    type Ticket = Appended;

    fn settled(&self, appended: Appended, result: Result<(Partition, Offset), Failed<'_>>) {
        match (appended, result) {
            (Appended::Batch { ticket, decisions }, Ok((_, offset))) => {
                self.metrics.written.increment(1);
                self.metrics.written_decisions.increment(decisions.into());
                let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
                written.entry(ticket.origin.worker).or_default().push(Written { ticket, offset });
            }
            (Appended::Batch { ticket, decisions }, Err(failed)) => {
                self.metrics.failed(&failed);
                let batch =
                    LogBatch { value: failed.value.unwrap_or_default().to_vec(), decisions };
                (self.sinks[ticket.origin.worker])(LogEvent::Unwritten { ticket, batch });
            }
            (Appended::Marker(origin), result) => {
                let result = result.map(|(_, offset)| offset).map_err(|failed| {
                    self.metrics.failed(&failed);
                    failed.error.to_string()
                });
                let markers = self.markers.lock().unwrap_or_else(PoisonError::into_inner);
                // A reader that is gone needs no markers.
                let _ = markers.send(Command::Marked { origin, result });
            }
        }
    }

    fn batch_done(&self) {
        let written =
            std::mem::take(&mut *self.written.lock().unwrap_or_else(PoisonError::into_inner));
        for (worker, written) in written {
            (self.sinks[worker])(LogEvent::Written(written));
        }
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
