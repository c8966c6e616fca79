//! What has to be done before a record may be committed: one partition's promises under way.
//!
//! A state machine without clock, metrics or threads: what happened in, what is to be handed on out,
//! into an [`Outbox`]. Owns the partition's pins, the decisions that are not on the log yet, and
//! deliveries and dead letters under way. Promises that nothing of a trace leaves before its decision
//! is on the log; that the pin of a trace is held until it is dropped on record, or kept, on record
//! and delivered; and that it is put on record when all of a kept trace is delivered, once. Leaves to
//! others what is decided, and the ways to the log, to the backends and to the dead letters.

mod late;
mod log_batches;
mod log_positions;
mod recording;
mod reopened;
mod undelivered;

use std::collections::VecDeque;

use bytes::Bytes;
use hashbrown::HashMap;
use tokio::time::Instant;

use crate::export::{Chunk, DeliveryId, Refusal, Ticket};
use crate::ids::{Offset, Origin, Pin, Position, Timestamp, TraceId};
use crate::kafka::dead_letters::{self, Letter, Waiter};
use crate::kafka::decision_log::{GroupHash, LogEntry, OwnerId};
use crate::otlp::FramedChunk;
use crate::sampling::decided::{DecisionRecord, TraceDetails};
use crate::sampling::watermark::Watermark;

use super::gathering::Urgency;
use super::outbound::{Outbound, Outbox, Targets};
pub(super) use late::LateSpans;
use late::{LATE_ENTRY_BYTES, Late};
use log_batches::NewEntry;
use recording::Recording;
pub use reopened::ReadAgain;
pub(super) use reopened::ToldFrom;
use reopened::{Reopened, Waiting};
use undelivered::{Part, Undelivered};

/// What is not settled of one partition, under one ownership.
#[derive(Debug)]
pub(super) struct Settlement {
    origin: Origin,
    /// Pins the records that something of is not done.
    pub(super) watermark: Watermark,
    pub(super) recording: Recording,
    deliveries: HashMap<DeliveryId, Delivery, foldhash::fast::RandomState>,
    next_delivery: u64,
    chunks_under_way: usize,
    /// Kept traces that are not on record as delivered. Empty without a decision log.
    undelivered: HashMap<DecisionKey, Undelivered, foldhash::fast::RandomState>,
    /// Those of them that the record in hand holds.
    in_hand: Vec<InHand>,
    /// Late spans of dropped traces that the record in hand holds. Empty without a decision log.
    late_dropped: Vec<(DecisionRecord, TraceDetails<'static>)>,
    /// Traces that the record in hand re-opens.
    reopened: Vec<Reopened>,
    /// What late spans of records before lead to, in their order.
    late_waiting: VecDeque<Late>,
    /// Re-opened traces that are read again when the log is written up to there.
    read_again: Waiting,
    /// Letters about records that are not settled yet.
    letters: usize,
}

/// A decision: that of a trace, from this record on. A trace that was forgotten and comes again has
/// another one, while the first may still be under way.
type DecisionKey = (TraceId, Offset);

/// Some chunks of one trace that are on their way to the backends.
#[derive(Debug)]
struct Delivery {
    pin: Pin,
    /// Chunks that are not settled yet.
    left: usize,
    of: DecisionKey,
    part: Part,
}

/// A decision whose deliveries are not over while the record in hand is being taken in.
#[derive(Debug)]
struct InHand {
    of: DecisionKey,
    part: Part,
    /// The decision covers no further record.
    is_last: bool,
}

/// A trace that was decided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decided<'a> {
    pub(super) record: &'a DecisionRecord,
    /// What goes on record beside the decision.
    pub(super) details: Option<&'a TraceDetails<'a>>,
    /// What holds its first record.
    pub(super) pin: Pin,
}

/// Spans of a kept trace, and which exporters get them.
#[derive(Debug)]
pub(super) struct Shipment {
    pub(super) targets: Targets,
    pub(super) chunks: Vec<Framed>,
    /// See [`Chunk::since`].
    pub(super) since: Instant,
}

/// Spans of a trace that go to the backend together, and the headers that go with them.
#[derive(Debug)]
pub(super) struct Framed {
    /// The headers of their records, see [`record_headers`](crate::kafka::record_headers).
    pub(super) forwarded: Bytes,
    pub(super) chunk: FramedChunk,
}

impl Settlement {
    /// Nothing is under way. Reading starts at `start`, the partition's clock is at `clock`.
    pub(super) fn new(
        origin: Origin,
        writer: Option<(GroupHash, OwnerId)>,
        (start, clock): (Position, Timestamp),
        log: Position,
    ) -> Self {
        Self {
            origin,
            watermark: Watermark::new(start, clock),
            recording: Recording::new(origin, writer, log),
            deliveries: HashMap::default(),
            next_delivery: 0,
            chunks_under_way: 0,
            undelivered: HashMap::default(),
            in_hand: Vec::new(),
            late_dropped: Vec::new(),
            reopened: Vec::new(),
            late_waiting: VecDeque::new(),
            read_again: Waiting::default(),
            letters: 0,
        }
    }

    /// The partition whose work it is, and under which ownership.
    pub(super) fn origin(&self) -> Origin {
        self.origin
    }

    /// How much was handed on and is not settled.
    pub(super) fn under_way(&self) -> usize {
        self.chunks_under_way
            + self.recording.batches.len()
            + self.late_waiting.len()
            + self.letters
    }

    /// Bytes that wait for the log, about: of kept traces, and of entries of late spans.
    pub(super) fn unrecorded_bytes(&self) -> u64 {
        self.recording.waiting_bytes() + self.late_waiting.len() as u64 * LATE_ENTRY_BYTES
    }

    /// True if all that was kept and delivered is known to be on record, or about to be.
    #[cfg(test)]
    pub(super) fn all_is_recorded(&self) -> bool {
        self.undelivered.is_empty()
    }

    /// A trace was dropped, whose first record `pin` holds: it is done when that is on record.
    pub(super) fn dropped(&mut self, decided: Decided<'_>, out: &mut Outbox) {
        let Decided { record, details, pin } = decided;
        let entry = NewEntry { record, details, pin: Some(pin) };
        if self.recording.record(&entry, Urgency::Later, out).is_none() {
            self.watermark.release(pin);
        }
    }

    /// A trace was kept, whose first record `pin` holds: it leaves when that is on record, and is
    /// done when it is delivered.
    pub(super) fn kept(&mut self, decided: Decided<'_>, shipment: Shipment, out: &mut Outbox) {
        let Decided { record, details, pin } = decided;
        let of = (record.trace_id, record.first);
        let entry = NewEntry { record, details, pin: None };
        if let Some(sequence) = self.recording.record(&entry, Urgency::Soon, out) {
            self.undelivered.insert(of, Undelivered::whole(record.clone(), sequence));
        }
        self.deliver((of, Part::Covered, pin), shipment, out);
    }

    /// Late spans of the record in hand follow a decision to keep their trace.
    pub(super) fn late(
        &mut self,
        decision: DecisionRecord,
        late: &LateSpans,
        shipment: Shipment,
        out: &mut Outbox,
    ) {
        let (of, part) = ((decision.trace_id, decision.first), Part::Late);
        if self.recording.is_on() {
            let trace = self.undelivered.entry(of);
            trace.or_insert_with(|| Undelivered::but_late(decision)).late_came(late);
            self.hold_in_hand(of, part, false);
        }
        let pin = self.watermark.pin(late.offset);
        self.deliver((of, part, pin), shipment, out);
    }

    /// Spans of the record in hand, at `offset`, are delivered again: an earlier owner decided to
    /// keep their trace, and it is not on record that they were.
    pub(super) fn read_again(
        &mut self,
        decision: DecisionRecord,
        offset: Offset,
        shipment: Shipment,
        out: &mut Outbox,
    ) {
        let (of, part) = ((decision.trace_id, decision.first), Part::Covered);
        let is_last = offset >= decision.last;
        self.undelivered.entry(of).or_insert_with(|| Undelivered::in_parts(decision));
        self.hold_in_hand(of, part, is_last);
        let pin = self.watermark.pin(offset);
        self.deliver((of, part, pin), shipment, out);
    }

    /// More spans of the record in hand may follow the decision `of`: what is delivered of it is
    /// not all before the record was taken in.
    fn hold_in_hand(&mut self, of: DecisionKey, part: Part, is_last: bool) {
        if self.in_hand.iter().any(|it| it.of == of) {
            return;
        }
        if let Some(trace) = self.undelivered.get_mut(&of) {
            trace.begins(part);
            self.in_hand.push(InHand { of, part, is_last });
        }
    }

    /// The record in hand was taken in.
    pub(super) fn taken_in(&mut self, out: &mut Outbox) {
        while let Some(InHand { of, part, is_last }) = self.in_hand.pop() {
            if let Some(trace) = self.undelivered.get_mut(&of).filter(|_| is_last) {
                trace.complete();
            }
            self.ended(of, part, out);
        }
        self.take_in_late();
        self.record_late(out);
    }

    /// Has chunks of a trace delivered, as soon as its decision is on record. The pin is released
    /// when they are.
    fn deliver(
        &mut self,
        (of, part, pin): (DecisionKey, Part, Pin),
        shipment: Shipment,
        out: &mut Outbox,
    ) {
        let sequence = self.undelivered.get_mut(&of).and_then(|trace| trace.begins(part));
        let left = shipment.chunks.len() * shipment.targets.count();
        let delivery = self.begin(Delivery { pin, left, of, part });
        if left == 0 {
            self.deliver_nothing(delivery, sequence, out);
            return;
        }
        let chunks = self.outbound(shipment, (of.0, part), delivery).collect();
        let free = match sequence {
            Some(sequence) => self.recording.batches.wait(sequence, chunks),
            None => Some(chunks),
        };
        out.chunks.extend(free.into_iter().flatten());
    }

    /// A delivery begins; returns its number.
    fn begin(&mut self, delivery: Delivery) -> DeliveryId {
        let number = DeliveryId(self.next_delivery);
        self.next_delivery += 1;
        self.chunks_under_way += delivery.left;
        self.deliveries.insert(number, delivery);
        number
    }

    /// The chunks of a delivery.
    fn outbound(
        &self,
        Shipment { targets, chunks, since }: Shipment,
        (trace_id, part): (TraceId, Part),
        delivery: DeliveryId,
    ) -> impl Iterator<Item = Outbound> + use<> {
        let ticket = Ticket { origin: self.origin, delivery };
        let chunk = move |(number, Framed { forwarded, chunk }): (usize, Framed)| Chunk {
            bytes: chunk.bytes.into(),
            forwarded,
            trace_id,
            spans: chunk.spans,
            traces: u32::from(number == 0 && part == Part::Covered),
            since,
            ticket,
        };
        chunks.into_iter().enumerate().map(chunk).map(move |chunk| Outbound { targets, chunk })
    }

    /// All spans of a delivery are larger than a request may be. It is done as soon as the decision
    /// is on record.
    fn deliver_nothing(&mut self, delivery: DeliveryId, sequence: Option<u64>, out: &mut Outbox) {
        let waits = |sequence| self.recording.batches.wait_empty(sequence, delivery);
        if !sequence.is_some_and(waits) {
            self.delivered(delivery, out);
        }
    }

    /// A chunk of a delivery is settled.
    pub(super) fn chunk_settled(&mut self, delivery: DeliveryId, out: &mut Outbox) {
        let Some(under_way) = self.deliveries.get_mut(&delivery) else {
            debug_assert!(false, "a chunk is settled once");
            return;
        };
        self.chunks_under_way -= 1;
        under_way.left -= 1;
        if under_way.left == 0 {
            self.delivered(delivery, out);
        }
    }

    /// The backend of `exporter` will never take a chunk of a delivery: a letter takes its place,
    /// and the chunk is settled when that is.
    pub(super) fn chunk_refused(
        &self,
        delivery: DeliveryId,
        exporter: &str,
        refusal: &Refusal,
        out: &mut Outbox,
    ) {
        let Refusal { bytes, forwarded, reason, message } = refusal;
        let mut letter = Letter::refused(self.origin.partition, bytes, exporter, reason, message);
        letter.forwarded = forwarded.to_vec();
        out.letters.push_back((letter, self.letter_ticket(Waiter::Delivery(delivery.0))));
    }

    fn delivered(&mut self, delivery: DeliveryId, out: &mut Outbox) {
        let Some(Delivery { pin, of, part, .. }) = self.deliveries.remove(&delivery) else {
            return;
        };
        self.watermark.release(pin);
        self.ended(of, part, out);
    }

    /// Puts on record what is over with the end of a delivery.
    fn ended(&mut self, of: DecisionKey, part: Part, out: &mut Outbox) {
        let Some(trace) = self.undelivered.get_mut(&of) else { return };
        let records = trace.ends(part);
        if trace.is_done() {
            self.undelivered.remove(&of);
        }
        for LogEntry { record, details } in records {
            let entry = NewEntry { record: &record, details: details.as_ref(), pin: None };
            self.recording.record(&entry, Urgency::Soon, out);
        }
    }

    /// A record is on the log, at `offset`, and the clock at `clock`: what waited for it goes on.
    pub(super) fn logged(
        &mut self,
        sequence: u64,
        offset: Offset,
        clock: Timestamp,
        out: &mut Outbox,
    ) {
        let Some(let_go) = self.recording.written(sequence, offset, clock) else { return };
        for pin in let_go.pins {
            self.watermark.release(pin);
        }
        out.chunks.extend(let_go.chunks);
        for delivery in let_go.empty {
            self.delivered(delivery, out);
        }
        self.record_late(out);
    }

    /// Sends a letter about the record in hand, which is held back until it is settled.
    pub(super) fn refused(&mut self, offset: Offset, letter: Letter, out: &mut Outbox) {
        let waiter = Waiter::Record(self.watermark.pin(offset));
        self.letters += 1;
        out.letters.push_back((letter, self.letter_ticket(waiter)));
    }

    fn letter_ticket(&self, waiter: Waiter) -> dead_letters::LetterTicket {
        dead_letters::LetterTicket { origin: self.origin, waiter }
    }

    /// A letter is written or given up.
    pub(super) fn letter_settled(&mut self, waiter: Waiter, out: &mut Outbox) {
        match waiter {
            Waiter::Record(pin) => {
                debug_assert!(self.letters > 0, "a letter is settled once");
                self.letters -= 1;
                self.watermark.release(pin);
            }
            Waiter::Delivery(number) => self.chunk_settled(DeliveryId(number), out),
        }
    }
}

#[cfg(test)]
mod tests;
