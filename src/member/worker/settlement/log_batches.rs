//! What waits until its record is safe on the decision log, in the order it was written.

use std::collections::VecDeque;

use smallvec::SmallVec;

use crate::export::DeliveryId;
use crate::ids::Pin;
use crate::kafka::decision_log::LogBatch;
use crate::member::worker::outbound::Outbound;
use crate::sampling::decided::{DecisionRecord, TraceDetails};

/// The records of one partition that are not written yet, each of some decisions. They are numbered
/// one after the other.
#[derive(Debug, Default)]
pub(super) struct LogBatches {
    /// The number of the first entry.
    first: u64,
    entries: VecDeque<Entry>,
    /// The record of the last entry, while further decisions may join it.
    open: Option<LogBatch>,
    /// Bytes of the chunks that wait.
    bytes: u64,
}

/// What is to be put on record.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewEntry<'a> {
    /// What is known of the decision.
    pub(super) record: &'a DecisionRecord,
    /// The spans that this is the first entry to tell of.
    pub(super) details: Option<&'a TraceDetails<'a>>,
    /// What is held until it is written.
    pub(super) pin: Option<Pin>,
}

#[derive(Debug, Default)]
struct Entry {
    is_written: bool,
    pins: SmallVec<[Pin; 8]>,
    chunks: Vec<Outbound>,
    /// Deliveries without chunks.
    empty: Vec<DeliveryId>,
}

/// What a record that was written lets go.
#[derive(Debug, Default)]
pub(super) struct LetGo {
    /// The pins that it held.
    pub(super) pins: SmallVec<[Pin; 8]>,
    /// What may be delivered now.
    pub(super) chunks: Vec<Outbound>,
    /// Deliveries that have nothing to deliver, and are done now.
    pub(super) empty: Vec<DeliveryId>,
}

impl LogBatches {
    /// Adds an entry to the open record, which `new` makes if there is none, and which holds its pin
    /// from now on. Returns the record's number.
    pub(super) fn push(&mut self, entry: &NewEntry<'_>, new: impl FnOnce() -> LogBatch) -> u64 {
        if self.open.is_none() {
            self.entries.push_back(Entry::default());
        }
        self.open.get_or_insert_with(new).push(entry.record, entry.details);
        if let Some(opened) = self.entries.back_mut() {
            opened.pins.extend(entry.pin);
        }
        self.last()
    }

    /// True if the open record is large enough to be written.
    pub(super) fn is_full(&self) -> bool {
        self.open.as_ref().is_some_and(LogBatch::is_full)
    }

    /// Takes the open record, with its number, to be written. Nothing joins it from now on.
    pub(super) fn close(&mut self) -> Option<(u64, LogBatch)> {
        self.open.take().map(|line| (self.last(), line))
    }

    /// The number of the first record that is not known to be written; all before are.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The number of the record after all that there are.
    pub(super) fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    fn last(&self) -> u64 {
        self.first + self.entries.len() as u64 - 1
    }

    /// Makes chunks wait for the record `sequence`; hands them back if it is written.
    pub(super) fn wait(&mut self, sequence: u64, chunks: Vec<Outbound>) -> Option<Vec<Outbound>> {
        let bytes: u64 = chunks.iter().map(|it| it.chunk.bytes.len() as u64).sum();
        let Some(entry) = self.entry(sequence).filter(|entry| !entry.is_written) else {
            return Some(chunks);
        };
        entry.chunks.extend(chunks);
        self.bytes += bytes;
        None
    }

    /// Makes a delivery that has nothing to deliver wait for the record `sequence`; false if there
    /// is nothing to wait for.
    pub(super) fn wait_empty(&mut self, sequence: u64, delivery: DeliveryId) -> bool {
        let Some(entry) = self.entry(sequence).filter(|entry| !entry.is_written) else {
            return false;
        };
        entry.empty.push(delivery);
        true
    }

    /// The record `sequence` is written; `None` if that is known already.
    pub(super) fn written(&mut self, sequence: u64) -> Option<LetGo> {
        let entry = self.entry(sequence).filter(|entry| !entry.is_written)?;
        entry.is_written = true;
        let let_go = LetGo {
            pins: std::mem::take(&mut entry.pins),
            chunks: std::mem::take(&mut entry.chunks),
            empty: std::mem::take(&mut entry.empty),
        };
        self.bytes -= let_go.chunks.iter().map(|it| it.chunk.bytes.len() as u64).sum::<u64>();
        while self.entries.front().is_some_and(|entry| entry.is_written) {
            self.entries.pop_front();
            self.first += 1;
        }
        Some(let_go)
    }

    /// Bytes of the chunks that wait.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many records are not known to be written, about.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn entry(&mut self, sequence: u64) -> Option<&mut Entry> {
        let index = sequence.checked_sub(self.first)?;
        self.entries.get_mut(usize::try_from(index).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use tokio::time::Instant;

    use super::*;
    use crate::export::{Chunk, DeliveryId, Ticket};
    use crate::ids::{Generation, Origin, Partition, TraceId};
    use crate::kafka::decision_log::testing::dropped;
    use crate::kafka::decision_log::{GroupHash, OwnerId};
    use crate::member::worker::outbound::Targets;

    fn chunk(bytes: usize) -> Outbound {
        let origin = Origin { worker: 0, partition: Partition(0), generation: Generation(0) };
        let ticket = Ticket { origin, delivery: DeliveryId(0) };
        let trace_id = TraceId::from_slice(&[1; 16]).unwrap();
        let bytes = Bytes::from(vec![0; bytes]);
        let (forwarded, since) = (Bytes::new(), Instant::now());
        let chunk = Chunk { bytes, forwarded, trace_id, spans: 1, traces: 1, since, ticket };
        Outbound { targets: Targets::of(&[String::new()], &[]), chunk }
    }

    fn push(batches: &mut LogBatches, pin: Option<Pin>) -> u64 {
        let new = || LogBatch::new(GroupHash::of("shop"), OwnerId(1));
        batches.push(&NewEntry { record: &dropped(1, 0, 1), details: None, pin }, new)
    }

    #[test]
    fn decisions_share_a_record_until_it_is_closed() {
        let mut batches = LogBatches::default();
        assert!(batches.close().is_none());
        let sequence = push(&mut batches, Some(Pin(1)));
        assert_eq!(push(&mut batches, None), sequence);
        assert_eq!(push(&mut batches, Some(Pin(2))), sequence);
        assert!(batches.wait(sequence, vec![chunk(10)]).is_none(), "it is not written yet");
        let (closed, line) = batches.close().unwrap();
        let (_, decisions) = line.decisions(GroupHash::of("shop")).unwrap();
        assert_eq!((closed, decisions.len()), (sequence, 3));
        let next = push(&mut batches, None);
        assert_ne!(next, sequence);
        let let_go = batches.written(sequence).unwrap();
        assert_eq!((&let_go.pins[..], let_go.chunks.len()), (&[Pin(1), Pin(2)][..], 1));
        while !batches.is_full() {
            assert_eq!(push(&mut batches, None), next);
        }
    }

    #[test]
    fn chunks_leave_with_their_record_in_whatever_order_records_are_written() {
        let mut batches = LogBatches::default();
        let sequences: Vec<u64> = (0..3)
            .map(|pin| {
                let sequence = push(&mut batches, Some(Pin(pin)));
                assert_eq!(batches.close().unwrap().0, sequence);
                sequence
            })
            .collect();
        assert!(batches.wait(sequences[1], vec![chunk(10)]).is_none());
        assert!(batches.wait(sequences[1], vec![chunk(5)]).is_none());
        assert_eq!((batches.bytes(), batches.len()), (15, 3));
        let let_go = batches.written(sequences[1]).unwrap();
        assert_eq!((let_go.pins[..].to_vec(), let_go.chunks.len()), (vec![Pin(1)], 2));
        assert_eq!(batches.bytes(), 0);
        assert!(batches.written(sequences[1]).is_none(), "told twice, done once");
        assert!(batches.wait(sequences[1], vec![chunk(1)]).is_some(), "nothing to wait for");
        assert_eq!(batches.written(sequences[0]).unwrap().pins[..], [Pin(0)]);
        assert_eq!(batches.len(), 1);
        assert_eq!(batches.written(sequences[2]).unwrap().pins[..], [Pin(2)]);
        let next = push(&mut batches, None);
        assert_eq!((next, batches.len()), (3, 1));
        assert!(batches.wait(0, vec![chunk(1)]).is_some());
    }
}
