//! Traces that were decided, read again: which entries of the decision log tell of one, and the records
//! of the input topic that hold its spans.
//!
//! Joins no group and commits nothing, so it disturbs no member. Promises that a span comes back as it
//! was sent, that what Kafka does not have any more is told, and that a look-up ends within its
//! [`Budget`]. Leaves to others who may ask, and what is made of the answer.

mod away;
mod budget;
mod dropped;
mod entry;
mod fetch;
mod find;
mod index;
mod keep;
mod lookups;
mod metrics;
mod pieces;
mod places;
mod reader;
pub mod server;
mod settings;

use std::collections::BTreeSet;
use std::fmt;

use rdkafka::error::KafkaError;
use thiserror::Error;

use crate::ids::{Partition, Position, Timestamp, TraceId};
use crate::kafka::decision_log::GroupHash;

pub use budget::{Budget, Rate, ReadBytes};
pub use dropped::dropped;
pub use entry::{Entry, Owners};
pub use fetch::{Fetched, Part};
pub use keep::{Asker, Verdict, are_delivered, verdict};
pub use places::Places;
pub use reader::Reader;
pub use settings::{Keep, RetrievalSettings, TlsFiles};

/// Where traces are.
#[derive(Clone, PartialEq)]
pub struct Origin {
    /// The brokers.
    pub brokers: String,
    /// The user's properties of the client: how to log in, in which rack it is.
    pub properties: Vec<(String, String)>,
    /// The topic with the spans.
    pub topic: String,
    /// That with the decisions on their traces.
    pub decision_log: String,
    /// That with its index, if there is one. It need not exist.
    pub decision_index: Option<String>,
    /// Whose decisions count; those of all groups if it is not known.
    pub group: Option<GroupHash>,
}

impl fmt::Debug for Origin {
    /// Without the properties: passwords may be among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { brokers, topic, decision_log, .. } = self;
        write!(f, "{topic} and {decision_log} at {brokers}")
    }
}

/// When a trace was decided, by the times of the records of the decision log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// Not before.
    pub from: Option<Timestamp>,
    /// Not after.
    pub to: Option<Timestamp>,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum RetrievalError {
    /// No entry in that range is on the trace.
    #[error("no decision on it is on record in that range")]
    NotFound,
    /// So far nothing was decided in that range.
    #[error("nothing is decided yet in that range")]
    StillOpen,
    /// Kafka has nothing of that range, or of the trace, any more.
    #[error("it is older than what Kafka has")]
    BeyondRetention,
    /// The cluster answers, and has no such topic.
    #[error("the topic {0} does not exist")]
    NoTopic(String),
    /// Kafka does not answer, or does not let us.
    #[error("the topic {topic} cannot be read: {error}")]
    Kafka {
        /// The topic that was asked for.
        topic: String,
        /// What librdkafka says.
        error: KafkaError,
    },
    /// Kafka has more to say, and does not.
    #[error("nothing came from Kafka for {0} s")]
    Silent(u64),
    /// It took as long as it may.
    #[error("the look-up took as long as it may")]
    OverBudget,
}

/// Looks traces up, one at a time, over connections that stay open. Everything blocks.
pub struct Retrieval {
    origin: Origin,
    log: Reader,
    index: Option<Reader>,
    spans: Reader,
}

impl Retrieval {
    /// Of these topics. Connects when it is asked first.
    ///
    /// # Errors
    /// When a property is wrong.
    pub fn new(origin: Origin) -> Result<Self, RetrievalError> {
        let log = Reader::new(&origin, &origin.decision_log, &reader::OF_THE_LOG)?;
        let index = origin.decision_index.as_ref();
        let index = index.map(|topic| Reader::new(&origin, topic, &reader::OF_THE_INDEX));
        let index = index.transpose()?;
        let spans = Reader::new(&origin, &origin.topic, &reader::OF_SPANS)?;
        Ok(Self { origin, log, index, spans })
    }

    /// All entries on a trace that count, at least one: those of a former owner only on decisions that
    /// no owner made, too.
    ///
    /// # Errors
    /// When there are none, and why.
    pub fn find(
        &mut self,
        id: TraceId,
        range: TimeRange,
        budget: &mut Budget,
    ) -> Result<Vec<Entry>, RetrievalError> {
        let wanted = (id, self.origin.group);
        let coverage = match &self.index {
            Some(index) => index::ask((index, &self.log), wanted, range, budget)?,
            None => None,
        };
        find::find((&self.log, coverage), wanted, range, budget)
    }

    /// Where a partition of the log ends now.
    ///
    /// # Errors
    /// When Kafka does not answer, or the budget is spent.
    pub fn end(&self, partition: Partition, budget: &Budget) -> Result<Position, RetrievalError> {
        let whole = self.log.whole(&BTreeSet::from([partition]), budget)?;
        Ok(Position(whole.get(&partition).map_or(0, |stretch| stretch.end)))
    }

    /// All entries on a trace that count and that one partition of the log has at or behind a position.
    /// There may be none.
    ///
    /// # Errors
    /// When Kafka does not answer, or the budget is spent.
    pub fn find_behind(
        &mut self,
        id: TraceId,
        place: (Partition, Position),
        budget: &mut Budget,
    ) -> Result<Vec<Entry>, RetrievalError> {
        find::find_behind((&self.log, None), (id, self.origin.group), place, budget)
    }

    /// The same, with the help of the index: for a position that may be far back.
    ///
    /// # Errors
    /// When Kafka does not answer, or the budget is spent.
    pub fn find_since(
        &mut self,
        id: TraceId,
        place: (Partition, Position),
        budget: &mut Budget,
    ) -> Result<Vec<Entry>, RetrievalError> {
        let (wanted, all) = ((id, self.origin.group), TimeRange::default());
        let coverage = match &self.index {
            Some(index) => index::ask((index, &self.log), wanted, all, budget)?,
            None => None,
        };
        find::find_behind((&self.log, coverage), wanted, place, budget)
    }

    /// What else a partition of the decision log says of a trace in a range; perhaps nothing.
    ///
    /// # Errors
    /// When Kafka does not answer, or the budget is spent.
    fn find_more(
        &mut self,
        id: TraceId,
        place: (Partition, TimeRange),
        budget: &mut Budget,
    ) -> Result<Vec<Entry>, RetrievalError> {
        find::more(&self.log, (id, self.origin.group), place, budget)
    }

    /// The spans of a trace in the records at these places, as far as Kafka has them.
    ///
    /// # Errors
    /// When Kafka does not answer, or the budget is spent.
    pub fn fetch(
        &mut self,
        id: TraceId,
        places: &Places,
        budget: &mut Budget,
    ) -> Result<Fetched, RetrievalError> {
        fetch::fetch(&self.spans, id, places, budget)
    }
}
