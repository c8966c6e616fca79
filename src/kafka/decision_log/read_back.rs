//! How far reading back the log of one partition has come.

use std::time::Instant;

use rdkafka::message::{BorrowedMessage, Message as _};
use tracing::debug;

use super::Topics;
use super::metrics::LogMetrics;
use super::record::{GroupHash, OwnerId};
use super::supersession::Reading;
use crate::ids::{Offset, Origin, Position};

/// A partition whose log is being read back.
pub(super) struct ReadBack {
    pub(super) origin: Origin,
    pub(super) owner: OwnerId,
    pub(super) topics: Topics,
    pub(super) from: Option<Position>,
    pub(super) since: Instant,
    pub(super) step: Step,
    pub(super) reading: Reading,
    pub(super) read: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The ownership marker has to be written, not before this time.
    Mark(Instant),
    /// The marker is being written.
    Marking,
    /// The marker is at `end`; reading has to be started, not before this time.
    Seek { end: Offset, at: Instant },
    /// The marker is at `end`, and the log is being read from `from` on.
    Read { end: Offset, from: Position },
}

impl ReadBack {
    /// Reads a record; true if it is the last one.
    pub(super) fn take_in(
        &mut self,
        group: GroupHash,
        metrics: &LogMetrics,
        message: &BorrowedMessage<'_>,
    ) -> bool {
        let Step::Read { end, .. } = self.step else { return false };
        let offset = Offset(message.offset());
        if offset >= end {
            return true;
        }
        self.read += 1;
        metrics.read.increment(1);
        let read = self.reading.read(group, Position(offset.0), message.payload());
        if let Err(reason) = &read {
            let partition = message.partition();
            debug!(partition, offset = offset.0, %reason, "decision_log.unread");
        }
        metrics.unread.increment(read.unwrap_or(1));
        false
    }
}
