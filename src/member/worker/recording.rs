//! What waits until its record is safe on the decision log, in the order it was written.

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::outbound::Outbound;
use crate::export::DeliveryId;
use crate::ids::{Pin, Position, Timestamp};
use crate::kafka::decision_log::{DecisionRecord, LogBatch, OwnershipMarker};

/// Positions of the log are noted at most this often, on the partition's clock.
const NOTE_INTERVAL_MILLIS: i64 = 1000;

/// The records of one partition that are not written yet, each of some decisions. They are numbered
/// one after the other.
#[derive(Debug, Default)]
pub(super) struct Recording {
    /// The number of the first entry.
    first: u64,
    entries: VecDeque<Entry>,
    /// The record of the last entry, while further decisions may join it.
    open: Option<LogBatch>,
    /// Bytes of the chunks that wait.
    bytes: u64,
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

impl Recording {
    /// Adds a decision to the open record, which `new` makes if there is none, and which holds
    /// `pin` from now on. Returns the record's number.
    pub(super) fn push(
        &mut self,
        recorded: &DecisionRecord,
        pin: Option<Pin>,
        new: impl FnOnce() -> LogBatch,
    ) -> u64 {
        if self.open.is_none() {
            self.entries.push_back(Entry::default());
        }
        self.open.get_or_insert_with(new).push(recorded);
        if let Some(entry) = self.entries.back_mut() {
            entry.pins.extend(pin);
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

/// From where the log has to be read back, by the partition's clock.
#[derive(Debug)]
pub(super) struct LogPositions {
    /// At this clock everything that is decided later comes at this position or behind it. In
    /// order; never empty.
    notes: VecDeque<(Timestamp, Position)>,
    /// The clock of the latest decision that was on the log when this ownership began. Until the
    /// partition's clock is there again, what is decided now comes behind decisions of later.
    learned: Timestamp,
}

impl LogPositions {
    /// All that is known is that `from` is early enough.
    pub(super) fn new(from: Position) -> Self {
        let learned = Timestamp(i64::MIN);
        Self { notes: VecDeque::from([(learned, from)]), learned }
    }

    /// A decision made at `clock` was on the log before.
    pub(super) fn learn(&mut self, clock: Timestamp) {
        self.learned = self.learned.max(clock);
    }

    /// All that was learned is at `from` or behind it, where `markers` begin. Without these a
    /// partition that changes hands more often than decisions are forgotten would have its whole log
    /// read back each time.
    pub(super) fn learned_from(&mut self, from: Position, markers: &[OwnershipMarker]) {
        let later = markers.iter().map(|it| (it.latest, it.position));
        self.notes = std::iter::once((Timestamp(i64::MIN), from)).chain(later).collect();
    }

    /// Everything below `position` is written, and it is `clock`.
    pub(super) fn note(&mut self, clock: Timestamp, position: Position) {
        let clock = clock.max(self.learned);
        let (last, _) = self.notes.back().copied().unwrap_or((Timestamp(i64::MIN), position));
        if clock.0.saturating_sub(last.0) >= NOTE_INTERVAL_MILLIS {
            self.notes.push_back((clock, position));
        }
    }

    /// A position at or behind which is everything that was decided at `clock` or later. Asked
    /// with a clock that never goes back.
    pub(super) fn since(&mut self, clock: Timestamp) -> Position {
        while self.notes.get(1).is_some_and(|(at, _)| *at < clock) {
            self.notes.pop_front();
        }
        self.notes.front().map_or(Position(0), |(_, position)| *position)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::export::{Chunk, DeliveryId, Ticket};
    use crate::ids::{Generation, Partition, TraceId};
    use crate::kafka::decision_log::testing::dropped;
    use crate::kafka::decision_log::{GroupHash, OwnerId};
    use crate::member::worker::outbound::Targets;

    fn chunk(bytes: usize) -> Outbound {
        let ticket = Ticket {
            partition: Partition(0),
            generation: Generation(0),
            delivery: DeliveryId(0),
            worker: 0,
        };
        let trace_id = TraceId::from_slice(&[1; 16]).unwrap();
        let bytes = Bytes::from(vec![0; bytes]);
        let chunk = Chunk { bytes, forwarded: Bytes::new(), trace_id, spans: 1, traces: 1, ticket };
        Outbound { targets: Targets::of(&[String::new()], &[]), chunk }
    }

    fn push(recording: &mut Recording, pin: Option<Pin>) -> u64 {
        let new = || LogBatch::new(GroupHash::of("shop"), OwnerId(1));
        recording.push(&dropped(1, 0, 1), pin, new)
    }

    #[test]
    fn decisions_share_a_record_until_it_is_closed() {
        let mut recording = Recording::default();
        assert!(recording.close().is_none());
        let sequence = push(&mut recording, Some(Pin(1)));
        assert_eq!(push(&mut recording, None), sequence);
        assert_eq!(push(&mut recording, Some(Pin(2))), sequence);
        assert!(recording.wait(sequence, vec![chunk(10)]).is_none(), "it is not written yet");
        let (closed, line) = recording.close().unwrap();
        let (_, decisions) = line.decisions(GroupHash::of("shop")).unwrap();
        assert_eq!((closed, decisions.len()), (sequence, 3));
        let next = push(&mut recording, None);
        assert_ne!(next, sequence);
        let let_go = recording.written(sequence).unwrap();
        assert_eq!((&let_go.pins[..], let_go.chunks.len()), (&[Pin(1), Pin(2)][..], 1));
        while !recording.is_full() {
            assert_eq!(push(&mut recording, None), next);
        }
    }

    #[test]
    fn chunks_leave_with_their_record_in_whatever_order_records_are_written() {
        let mut recording = Recording::default();
        let sequences: Vec<u64> = (0..3)
            .map(|pin| {
                let sequence = push(&mut recording, Some(Pin(pin)));
                assert_eq!(recording.close().unwrap().0, sequence);
                sequence
            })
            .collect();
        assert!(recording.wait(sequences[1], vec![chunk(10)]).is_none());
        assert!(recording.wait(sequences[1], vec![chunk(5)]).is_none());
        assert_eq!((recording.bytes(), recording.len()), (15, 3));
        let let_go = recording.written(sequences[1]).unwrap();
        assert_eq!((let_go.pins[..].to_vec(), let_go.chunks.len()), (vec![Pin(1)], 2));
        assert_eq!(recording.bytes(), 0);
        assert!(recording.written(sequences[1]).is_none(), "told twice, done once");
        assert!(recording.wait(sequences[1], vec![chunk(1)]).is_some(), "nothing to wait for");
        assert_eq!(recording.written(sequences[0]).unwrap().pins[..], [Pin(0)]);
        assert_eq!(recording.len(), 1);
        assert_eq!(recording.written(sequences[2]).unwrap().pins[..], [Pin(2)]);
        let next = push(&mut recording, None);
        assert_eq!((next, recording.len()), (3, 1));
        assert!(recording.wait(0, vec![chunk(1)]).is_some());
    }

    #[test]
    fn the_log_is_read_from_before_the_first_decision_that_counts() {
        let mut positions = LogPositions::new(Position(5));
        positions.note(Timestamp(1000), Position(10));
        positions.note(Timestamp(1500), Position(15));
        positions.note(Timestamp(2000), Position(20));
        positions.note(Timestamp(3000), Position(30));
        assert_eq!(positions.since(Timestamp(900)), Position(5));
        assert_eq!(positions.since(Timestamp(1000)), Position(5), "some at 1000 came before");
        assert_eq!(positions.since(Timestamp(1001)), Position(10));
        assert_eq!(positions.since(Timestamp(2001)), Position(20));
        assert_eq!(positions.since(Timestamp(9000)), Position(30));
    }

    #[test]
    fn what_is_read_again_does_not_hide_decisions_of_later() {
        let mut positions = LogPositions::new(Position(0));
        positions.learn(Timestamp(5000));
        positions.learned_from(Position(3), &[]);
        positions.note(Timestamp(1000), Position(10));
        positions.note(Timestamp(7000), Position(20));
        assert_eq!(positions.since(Timestamp(5000)), Position(3), "one at 5000 came before 10");
        assert_eq!(positions.since(Timestamp(5001)), Position(10));
        assert_eq!(positions.since(Timestamp(7001)), Position(20));
    }

    #[test]
    fn a_log_whose_owners_change_often_is_not_read_from_its_beginning() {
        let mut positions = LogPositions::new(Position(0));
        positions.learn(Timestamp(5000));
        let marker = |latest, position| OwnershipMarker {
            position: Position(position),
            latest: Timestamp(latest),
        };
        let markers = [marker(i64::MIN, 4), marker(2000, 8), marker(3000, 12)];
        positions.learned_from(Position(3), &markers);
        assert_eq!(positions.since(Timestamp(1000)), Position(4), "nothing is before");
        assert_eq!(positions.since(Timestamp(2000)), Position(4), "one at 2000 came before 8");
        assert_eq!(positions.since(Timestamp(2001)), Position(8));
        assert_eq!(positions.since(Timestamp(5000)), Position(12));
    }
}
