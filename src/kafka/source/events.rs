//! What a consumer tells a worker beside records.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::commit_metadata::CommitMetadata;
use super::ownership::Acquisition;
use crate::ids::{Generation, Partition, Position, Timestamp};

/// A change of what this process owns. It overtakes the records that wait in the inbox: those of
/// a partition that went away carry an old generation by then.
#[derive(Debug)]
pub enum Rebalance {
    /// The topic has so many partitions. Said before the first partition is acquired, and when the
    /// topic has grown.
    Resized {
        /// How many.
        partitions: u32,
    },
    /// A partition was acquired.
    Assigned {
        /// Which one.
        partition: Partition,
        /// The acquisition.
        acquisition: Arc<Acquisition>,
        /// Where reading starts.
        start: Position,
        /// What the one who committed that position left behind.
        metadata: CommitMetadata,
    },
    /// A partition is about to be given up: decide nothing more, see what is in flight
    /// delivered, bring [`Acquisition::set_committable`] up to date, say so, and forget the partition.
    Revoked {
        /// Which one.
        partition: Partition,
        /// The acquisition that ends.
        generation: Generation,
        /// For how long to wait for what is in flight.
        timeout: Duration,
        /// Told once the worker is done with the partition.
        done: Sender<Partition>,
    },
    /// A partition is gone already: forget it.
    Lost {
        /// Which one.
        partition: Partition,
        /// The acquisition that ended.
        generation: Generation,
    },
}

/// The log that a partition was read from is gone: the topic was made anew, or the log was cut.
/// What was read of it exists nowhere else any more, so it is to be decided at once, on what there
/// is, and delivered. Unlike a [`Rebalance`] it comes behind the records that were read before it.
#[derive(Debug)]
pub struct LogGone {
    /// Which one.
    pub partition: Partition,
    /// The acquisition that ends.
    pub generation: Generation,
    /// For how long to wait for what is in flight.
    pub timeout: Duration,
    /// Told once the worker is done with the partition.
    pub done: Sender<Partition>,
}

/// A partition was read to its end, and stayed quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaughtUp {
    /// Which one.
    pub partition: Partition,
    /// The acquisition.
    pub generation: Generation,
    /// The end: there is nothing to read below.
    pub position: Position,
    /// The wall clock when that was true at the latest.
    pub at: Timestamp,
}
