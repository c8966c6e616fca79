//! The way from the consumers to a worker.
//!
//! Two lanes: rebalances are few and overtake; records are bounded in bytes over all workers.
//! When the bound is reached the consumer stops taking records from librdkafka, which then stops
//! fetching: the backlog stays in Kafka.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::batch::RecordBatch;
use super::events::{CaughtUp, Rebalance, Revocation};

/// The bytes that one permit of the record lane stands for, so that any bound fits a semaphore.
const PERMIT_BYTES: usize = 1024;

/// What is sent on the record lane.
#[derive(Debug)]
pub enum Event {
    /// Records to handle.
    Records(RecordBatch),
    /// Partitions that have nothing to read.
    CaughtUp(Vec<CaughtUp>),
    /// The log that a partition was read from is gone: the topic was deleted and created again, or
    /// the log was cut. The worker has the only copy of what was read, so it decides it at once and
    /// delivers it. Unlike a [`Rebalance`] this comes after the records that were read before it.
    LogGone(Revocation),
}

/// A worker's end.
#[derive(Debug)]
pub struct Inbox {
    /// Changes of ownership.
    pub rebalances: mpsc::UnboundedReceiver<Rebalance>,
    /// Records, and events that come in order with them.
    pub events: mpsc::UnboundedReceiver<Event>,
}

/// The consumers' end.
#[derive(Clone, Debug)]
pub struct InboxSender {
    rebalances: mpsc::UnboundedSender<Rebalance>,
    events: mpsc::UnboundedSender<Event>,
    room: Arc<Semaphore>,
    permits: u32,
}

/// The inboxes of `workers` workers, which together hold about `bytes` bytes of records.
#[expect(clippy::disallowed_methods, reason = "records take room; rebalances are few")]
pub fn inboxes(workers: usize, bytes: usize) -> (Vec<InboxSender>, Vec<Inbox>) {
    let permits = (bytes / PERMIT_BYTES).clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
    let room = Arc::new(Semaphore::new(permits));
    (0..workers)
        .map(|_| {
            let (rebalances, rebalances_in) = mpsc::unbounded_channel();
            let (events, events_in) = mpsc::unbounded_channel();
            let permits = permits as u32;
            let sender = InboxSender { rebalances, events, room: Arc::clone(&room), permits };
            (sender, Inbox { rebalances: rebalances_in, events: events_in })
        })
        .unzip()
}

/// The worker is gone, which happens only while the process stops.
#[derive(Debug, PartialEq, Eq)]
pub struct WorkerGone;

impl InboxSender {
    /// Sends a change of the assignment, which overtakes the records that wait.
    pub(crate) fn rebalance(&self, event: Rebalance) -> Result<(), WorkerGone> {
        self.rebalances.send(event).map_err(|_| WorkerGone)
    }

    /// Sends which partitions are read to their end.
    pub(crate) fn caught_up(&self, partitions: Vec<CaughtUp>) -> Result<(), WorkerGone> {
        self.events.send(Event::CaughtUp(partitions)).map_err(|_| WorkerGone)
    }

    /// Sends that the log that records were read from is gone.
    pub(crate) fn log_gone(&self, revocation: Revocation) -> Result<(), WorkerGone> {
        self.events.send(Event::LogGone(revocation)).map_err(|_| WorkerGone)
    }

    /// Room for `bytes` bytes, if there is any: at most the whole lane, which one batch may fill.
    pub(crate) fn try_room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let permits = u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX);
        let permits = permits.min(self.permits);
        Arc::clone(&self.room).try_acquire_many_owned(permits).ok()
    }

    /// Sends a batch that has its room.
    pub(crate) fn records(&self, batch: RecordBatch) -> Result<(), WorkerGone> {
        debug_assert!(batch.room.is_some(), "the record lane is bounded by the room it gives");
        self.events.send(Event::Records(batch)).map_err(|_| WorkerGone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Generation, Partition};
    use crate::kafka::source::batch::SpareBuffers;

    #[test]
    fn room_is_bounded_and_comes_back_with_the_batch() {
        let (senders, mut inboxes) = inboxes(2, 10 * PERMIT_BYTES);
        let mut batch = RecordBatch::new(Partition(0), Generation(1), &SpareBuffers::default());
        batch.room = senders[0].try_room(9 * PERMIT_BYTES);
        assert!(batch.room.is_some());
        senders[0].records(batch).unwrap();
        assert!(senders[1].try_room(2 * PERMIT_BYTES).is_none(), "the bound is over all workers");
        drop(inboxes[0].events.try_recv().unwrap());
        assert!(senders[1].try_room(usize::MAX).is_some(), "one batch may take all");
    }
}
