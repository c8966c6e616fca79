//! Deliveries under way: what they hold, and what is put on record when they are done.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::export::{Chunk, DeliveryId, Refusal, Ticket};
use crate::ids::{Offset, Pin, TraceId};
use crate::kafka::dead_letters::{self, Holds, Letter};
use crate::kafka::decision_log::{DecisionRecord, Kept, LogBatch, LogTicket};
use crate::otlp::{Additions, FramedChunk, SpanSegment};
use crate::sampling::trace::Segment;

use super::outbound::Outbound;
use super::partition::PartitionState;
use super::{Desk, Shared};

/// Some chunks of one trace that are on their way to the backend.
#[derive(Debug)]
pub(super) struct Delivery {
    pin: Pin,
    /// Chunks that are not settled yet.
    left: usize,
    of: DecisionKey,
    part: Part,
}

/// A decision: that of a trace, from this record on. A trace that was forgotten and comes again has
/// another one, while the first may still be under way.
pub(super) type DecisionKey = (TraceId, Offset);

/// A decision whose deliveries are not over while the record in hand is being taken in.
#[derive(Debug)]
pub(super) struct InHand {
    of: DecisionKey,
    part: Part,
    /// The decision covers no further record.
    is_last: bool,
}

/// Which spans of a trace are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Those that the decision covers.
    Covered,
    /// Late ones, of the record at this offset.
    Late(Offset),
}

/// A kept trace that is not on record as delivered.
#[derive(Debug)]
pub(super) struct Undelivered {
    recorded: DecisionRecord,
    /// The record of the decision, which nothing of the trace may overtake; `None` if it was on
    /// the log before this ownership began, or is no concern any more.
    sequence: Option<u64>,
    /// Deliveries of what the decision covers.
    covered: usize,
    /// All that the decision covers was handed over.
    is_whole: bool,
    /// It is on record that what the decision covers was delivered.
    is_recorded: bool,
    /// Deliveries of late spans, and the last record with such spans.
    late: usize,
    late_until: Option<Offset>,
}

impl Undelivered {
    /// A trace of which everything is about to be delivered, once `sequence` is written.
    pub(super) fn whole(recorded: DecisionRecord, sequence: u64) -> Self {
        Self { sequence: Some(sequence), is_whole: true, ..Self::in_parts(recorded) }
    }

    /// A trace whose decision is on record, and that is delivered as it is read.
    pub(super) fn in_parts(recorded: DecisionRecord) -> Self {
        Self {
            recorded,
            sequence: None,
            covered: 0,
            is_whole: false,
            is_recorded: false,
            late: 0,
            late_until: None,
        }
    }

    /// A trace that is delivered, besides spans that come late.
    pub(super) fn but_late(recorded: DecisionRecord) -> Self {
        Self { is_whole: true, is_recorded: true, ..Self::in_parts(recorded) }
    }

    /// All that the decision covers was handed over.
    pub(super) fn complete(&mut self) {
        self.is_whole = true;
    }

    fn begins(&mut self, part: Part) {
        match part {
            Part::Covered => self.covered += 1,
            Part::Late(offset) => {
                self.late += 1;
                self.late_until = self.late_until.max(Some(offset));
            }
        }
    }

    fn ends(&mut self, part: Part) {
        let left = if part == Part::Covered { &mut self.covered } else { &mut self.late };
        debug_assert!(*left > 0, "a delivery ends once");
        *left = left.saturating_sub(1);
    }

    /// What has to be put on record now.
    fn take_due_records(&mut self) -> Vec<DecisionRecord> {
        let mut records = Vec::new();
        if self.is_whole && self.covered == 0 && !self.is_recorded {
            self.is_recorded = true;
            records.push(DecisionRecord { delivered: true, ..self.recorded.clone() });
        }
        if self.is_recorded
            && self.late == 0
            && let Some(last) = self.late_until.take_if(|last| *last > self.recorded.last)
        {
            self.recorded.last = last;
            records.push(DecisionRecord { delivered: true, ..self.recorded.clone() });
        }
        records
    }

    fn is_done(&self) -> bool {
        self.is_recorded && self.covered == 0 && self.late == 0
    }
}

/// Spans of a trace that go to the backend together, and what goes along with them.
#[derive(Debug)]
pub(super) struct Framed {
    /// The headers of their records, see [`record_headers`](crate::kafka::record_headers).
    forwarded: Bytes,
    chunk: FramedChunk,
}

impl PartitionState {
    /// Frames spans into chunks. With those of one chunk goes the same along.
    pub(super) fn frame<'a>(
        &self,
        desk: &mut Desk,
        segments: impl Iterator<Item = (Segment, &'a [u8])> + Clone,
        additions: &Additions<'_>,
    ) -> Vec<Framed> {
        let headers = &self.headers;
        let mut forwarded_sets: SmallVec<[&[u8]; 1]> = SmallVec::new();
        for (segment, _) in segments.clone() {
            let forwarded = headers.forwarded(segment.resource);
            if !forwarded_sets.contains(&forwarded) {
                forwarded_sets.push(forwarded);
            }
        }
        let mut chunks = Vec::with_capacity(forwarded_sets.len());
        for forwarded in forwarded_sets {
            let of_it = segments.clone().filter_map(|(segment, spans)| {
                let is_of_it = headers.forwarded(segment.resource) == forwarded;
                is_of_it.then(|| SpanSegment {
                    resource: headers.get(segment.resource),
                    scope: headers.get(segment.scope),
                    spans,
                })
            });
            let framed = desk.framer.frame(of_it, additions);
            desk.counts.oversized_spans += u64::from(framed.oversized_spans);
            desk.counts.malformed_tracestate += u64::from(framed.malformed_tracestate);
            desk.counts.not_utf8_spans += u64::from(framed.not_utf8);
            let forwarded = Bytes::copy_from_slice(forwarded);
            let framed = framed.chunks.into_iter();
            chunks.extend(framed.map(|chunk| Framed { forwarded: forwarded.clone(), chunk }));
        }
        chunks
    }

    /// Has chunks of a trace delivered, as soon as its decision is on record. `pin`, which is held
    /// once, is released when they are.
    pub(super) fn deliver(
        &mut self,
        shared: &Shared,
        desk: &mut Desk,
        of: DecisionKey,
        part: Part,
        pin: Pin,
        kept: (&Kept, Vec<Framed>),
    ) {
        let (Kept { policy, .. }, chunks) = kept;
        let targets = self.in_force.targets(&shared.exporters, policy);
        let sequence = self.undelivered.get_mut(&of).and_then(|trace| {
            trace.begins(part);
            trace.sequence
        });
        let delivery = DeliveryId(self.next_delivery);
        self.next_delivery += 1;
        let left = chunks.len() * targets.count();
        self.deliveries.insert(delivery, Delivery { pin, left, of, part });
        if left == 0 {
            self.deliver_nothing(shared, desk, delivery, sequence);
            return;
        }
        self.chunks_in_flight += left;
        let ticket = Ticket {
            partition: self.partition,
            generation: self.generation(),
            delivery,
            worker: self.worker,
        };
        let chunk = |(number, Framed { forwarded, chunk }): (usize, Framed)| Chunk {
            bytes: chunk.bytes.into(),
            forwarded,
            trace_id: of.0,
            spans: chunk.spans,
            traces: u32::from(number == 0 && part == Part::Covered),
            ticket,
        };
        let outbound = |chunk| Outbound { targets, chunk };
        let chunks = chunks.into_iter().enumerate().map(chunk).map(outbound).collect();
        let free = match sequence {
            Some(sequence) => self.recording.wait(sequence, chunks),
            None => Some(chunks),
        };
        desk.kept.extend(free.into_iter().flatten());
    }

    /// All spans of a delivery are larger than a request may be. It is done as soon as the decision
    /// is on record.
    fn deliver_nothing(
        &mut self,
        shared: &Shared,
        desk: &mut Desk,
        delivery: DeliveryId,
        sequence: Option<u64>,
    ) {
        if !sequence.is_some_and(|sequence| self.recording.wait_empty(sequence, delivery)) {
            self.delivered(shared, desk, delivery);
        }
    }

    /// More spans of the record in hand may follow the decision `of`: what is delivered of it is
    /// not all before the record was taken in.
    pub(super) fn hold_in_hand(&mut self, of: DecisionKey, part: Part, is_last: bool) {
        if self.in_hand.iter().any(|it| it.of == of) {
            return;
        }
        if let Some(trace) = self.undelivered.get_mut(&of) {
            trace.begins(part);
            self.in_hand.push(InHand { of, part, is_last });
        }
    }

    /// The record in hand was taken in.
    pub(super) fn let_go_in_hand(&mut self, shared: &Shared, desk: &mut Desk) {
        while let Some(InHand { of, part, is_last }) = self.in_hand.pop() {
            if let Some(trace) = self.undelivered.get_mut(&of).filter(|_| is_last) {
                trace.complete();
            }
            self.ended(shared, desk, of, part);
        }
    }

    /// A chunk of a delivery is settled.
    pub(super) fn settled(&mut self, shared: &Shared, desk: &mut Desk, delivery: DeliveryId) {
        let Some(under_way) = self.deliveries.get_mut(&delivery) else {
            debug_assert!(false, "a chunk is settled once");
            return;
        };
        self.chunks_in_flight -= 1;
        under_way.left -= 1;
        if under_way.left == 0 {
            self.delivered(shared, desk, delivery);
        }
    }

    /// A backend will never take a chunk of a delivery: a letter takes its place, and the delivery
    /// is done when that is written. False without dead letters: it was counted and logged.
    pub(super) fn refused(
        &self,
        shared: &Shared,
        desk: &mut Desk,
        delivery: DeliveryId,
        exporter: usize,
        refusal: &Refusal,
    ) -> bool {
        if !shared.dead_letters.is_open() {
            return false;
        }
        let exporter = shared.exporters.get(exporter).map_or("", String::as_str);
        let Refusal { bytes, forwarded, reason, message } = refusal;
        let mut letter = Letter::refused(self.partition, bytes, exporter, reason, message);
        letter.forwarded = forwarded.to_vec();
        let ticket = dead_letters::LetterTicket {
            partition: self.partition,
            generation: self.generation(),
            holds: Holds::Delivery(delivery.0),
            worker: self.worker,
        };
        desk.unsent.push_back((letter, ticket));
        true
    }

    fn delivered(&mut self, shared: &Shared, desk: &mut Desk, delivery: DeliveryId) {
        let Some(Delivery { pin, of, part, .. }) = self.deliveries.remove(&delivery) else {
            return;
        };
        self.watermark.release(pin);
        self.ended(shared, desk, of, part);
    }

    /// Puts on record what is over with the end of a delivery.
    fn ended(&mut self, shared: &Shared, desk: &mut Desk, of: DecisionKey, part: Part) {
        let Some(trace) = self.undelivered.get_mut(&of) else { return };
        trace.ends(part);
        let records = trace.take_due_records();
        if trace.is_done() {
            self.undelivered.remove(&of);
        }
        for recorded in records {
            self.record(shared, desk, &recorded, None);
        }
    }

    /// Puts what is known of a decision on record, which holds `pin` until it is written. Returns
    /// the number of the record; `None` without a decision log.
    pub(super) fn record(
        &mut self,
        shared: &Shared,
        desk: &mut Desk,
        recorded: &DecisionRecord,
        pin: Option<Pin>,
    ) -> Option<u64> {
        let (group, owner) = (shared.log.as_ref()?.group(), self.owner);
        let mut is_new = false;
        let sequence = self.recording.push(recorded, pin, || {
            is_new = true;
            LogBatch::new(group, owner)
        });
        if self.recording.is_full() {
            self.close_line(desk);
        } else if is_new {
            desk.open_lines.push(self.partition);
        }
        Some(sequence)
    }

    /// The decisions so far go to the log together.
    pub(super) fn close_line(&mut self, desk: &mut Desk) {
        if let Some((sequence, line)) = self.recording.close() {
            desk.lines.push_back((self.ticket(sequence), line));
        }
    }

    /// Whom the log tells of the record `sequence`.
    pub(super) fn ticket(&self, sequence: u64) -> LogTicket {
        LogTicket {
            worker: self.worker,
            partition: self.partition,
            generation: self.generation(),
            sequence,
        }
    }

    /// A record is on the log: what waited for it goes on.
    pub(super) fn recorded(
        &mut self,
        shared: &Shared,
        desk: &mut Desk,
        sequence: u64,
        offset: Offset,
    ) {
        self.log_positions.note(self.traces.clock(), offset.next());
        let Some(let_go) = self.recording.written(sequence) else { return };
        for pin in let_go.pins {
            self.watermark.release(pin);
        }
        desk.kept.extend(let_go.chunks);
        for delivery in let_go.empty {
            self.delivered(shared, desk, delivery);
        }
    }
}
