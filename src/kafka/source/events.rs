//! What a consumer tells a worker, beside records.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use tracing::Span;

use super::commit_metadata::CommitMetadata;
use super::ownership::Acquisition;
use crate::ids::{Generation, Partition, Position, Timestamp};

/// A change of the partitions of this process. It overtakes the records that wait in the inbox:
/// records of a partition that was taken away have an old generation then.
#[derive(Debug)]
pub enum Rebalance {
    /// The number of partitions of the topic. Sent before the first partition is acquired, and when
    /// the topic has grown.
    Resized {
        /// The number.
        partitions: u32,
    },
    /// A partition was acquired.
    Assigned {
        /// The partition.
        partition: Partition,
        /// The acquisition.
        acquisition: Arc<Acquisition>,
        /// Where reading starts.
        start: Position,
        /// What was committed with that position.
        metadata: CommitMetadata,
        /// The span that ends when the partition is worked on.
        takeover: Span,
    },
    /// A partition is about to be given up: decide nothing more, wait until what is in flight is
    /// delivered, call [`Acquisition::set_committable`], answer, and forget the partition.
    Revoked(Revocation),
    /// A partition belongs to somebody else already: forget it.
    Lost {
        /// The partition.
        partition: Partition,
        /// The acquisition that ended.
        generation: Generation,
    },
}

/// An acquisition that ends, and who waits until the worker is done with it.
#[derive(Debug)]
pub struct Revocation {
    /// The partition.
    pub partition: Partition,
    /// The acquisition that ends.
    pub generation: Generation,
    /// How long to wait for what is in flight.
    pub timeout: Duration,
    /// Gets the partition when the worker is done with it.
    pub done: Sender<Partition>,
}

/// A partition was read to its end, and stayed quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaughtUp {
    /// The partition.
    pub partition: Partition,
    /// The acquisition.
    pub generation: Generation,
    /// The end: there is nothing to read below.
    pub position: Position,
    /// A time of the wall clock at which that was true.
    pub at: Timestamp,
}
