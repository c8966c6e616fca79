//! Dropped traces that late spans re-opened, or that somebody asked for: all that came of each is read again
//! and delivered.
//!
//! That is done when everything is on the log that tells where its spans are: the decision to drop it,
//! the late spans that followed, and the decision to keep it after all.

use std::collections::VecDeque;

use super::late::{Late, LateSpans};
use super::undelivered::{Part, Undelivered};
use super::{Delivery, NewEntry, Settlement, Shipment};
use crate::export::DeliveryId;
use crate::ids::{Offset, Origin, Pin, Position, Timestamp, TraceId};
use crate::member::worker::gathering::Urgency;
use crate::member::worker::outbound::Outbox;
use crate::sampling::decided::{DecisionRecord, TraceDetails};
use crate::sampling::trace::Trigger;

/// A trace of which all spans up to a record are to be read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadAgain {
    /// The partition that its records are on, and under which ownership.
    pub origin: Origin,
    /// What they are delivered with.
    pub delivery: DeliveryId,
    /// The trace.
    pub trace_id: TraceId,
    /// The record that re-opened it, or with the request for it, which has no spans.
    pub first: Offset,
    /// The last record that is wanted: that one, or one that came before the decision was on record.
    pub last: Offset,
    /// The late spans from the first to the last of these, and their bytes.
    pub late: (u64, u64),
    /// Somebody asked for it.
    pub is_requested: bool,
    /// Everything that the decision log has on it is here or behind this.
    pub log: Position,
}

/// From where on the log tells of a trace.
#[derive(Clone, Copy, Debug)]
pub(in crate::member::worker) enum ToldFrom {
    /// It was dropped then, on the partition's clock, or later.
    Clock(Timestamp),
    /// Who asked for it says so.
    Log(Position),
}

/// A trace that is re-opened.
#[derive(Debug)]
pub(super) struct Reopened {
    recorded: DecisionRecord,
    /// Its late spans that this decision covers; there are none of one that somebody asks for, at first.
    details: Option<TraceDetails<'static>>,
    /// The decision is on the log already.
    is_recorded: bool,
    told_from: ToldFrom,
    /// The record by which it comes to be here.
    pub(super) in_hand: Offset,
}

impl Reopened {
    fn of(recorded: DecisionRecord, late: &LateSpans, told_from: ToldFrom) -> Self {
        let (details, in_hand) = ((late.spans > 0).then(|| late.details()), late.offset);
        Self { recorded, details, is_recorded: false, told_from, in_hand }
    }

    fn is_of(&self, recorded: &DecisionRecord) -> bool {
        self.recorded.trace_id == recorded.trace_id && self.recorded.first == recorded.first
    }
}

/// Those that wait until all is on the log that tells where their spans are.
#[derive(Debug, Default)]
pub(super) struct Waiting(VecDeque<(u64, ReadAgain)>);

impl Waiting {
    /// It waits for all records of the log before `sequence`.
    pub(super) fn push(&mut self, sequence: u64, trace: ReadAgain) {
        self.0.push_back((sequence, trace));
    }

    /// All records before `first` are on the log.
    pub(super) fn written(&mut self, first: u64, out: &mut Outbox) {
        while self.0.front().is_some_and(|(sequence, _)| *sequence <= first)
            && let Some((_, trace)) = self.0.pop_front()
        {
            out.read_again.push_back(trace);
        }
    }
}

impl Settlement {
    /// The record in hand re-opens a trace, by `late` spans of it or by a request, of which there are none.
    pub(in crate::member::worker) fn reopened(
        &mut self,
        recorded: DecisionRecord,
        late: &LateSpans,
        told_from: ToldFrom,
    ) {
        self.reopened.push(Reopened::of(recorded, late, told_from));
    }

    /// Takes late spans of the record in hand that follow a decision to re-open their trace which is not
    /// on record yet: they are read with the others. False if it is.
    pub(in crate::member::worker) fn joins_reopened(
        &mut self,
        recorded: &DecisionRecord,
        late: &LateSpans,
    ) -> bool {
        let waiting = self.late_waiting.iter_mut().filter_map(|late| match late {
            Late::Reopened { reopened, .. } => Some(reopened),
            Late::Entry { .. } => None,
        });
        let Some(reopened) = self.reopened.iter_mut().chain(waiting).find(|it| it.is_of(recorded))
        else {
            return false;
        };
        if reopened.is_recorded && late.offset > reopened.recorded.last {
            return false;
        }
        reopened.recorded.last = reopened.recorded.last.max(late.offset);
        match &mut reopened.details {
            Some(details) if late.spans > 0 => late.join(details),
            Some(_) => {}
            None => reopened.details = (late.spans > 0).then(|| late.details()),
        }
        true
    }

    /// The record in hand is covered by a decision of an earlier owner to re-open its trace, and it is
    /// not on record that this was delivered.
    pub(in crate::member::worker) fn reopened_before(
        &mut self,
        recorded: DecisionRecord,
        late: &LateSpans,
        told_from: ToldFrom,
    ) {
        let (of, is_last) = ((recorded.trace_id, recorded.first), late.offset >= recorded.last);
        if !self.joins_reopened(&recorded, late) && !self.undelivered.contains_key(&of) {
            self.deliver_anew(Undelivered::in_parts(recorded.clone()));
            let reopened = Reopened::of(recorded, late, told_from);
            self.reopened.push(Reopened { is_recorded: true, ..reopened });
        }
        // It is not over before all records that the decision covers were read.
        self.hold_in_hand(of, Part::Covered, is_last);
    }

    /// Puts on record that a trace is re-opened, and has it read again.
    pub(super) fn record_reopened(&mut self, reopened: Reopened, pin: Pin, out: &mut Outbox) {
        let Reopened { recorded, details, is_recorded, told_from, .. } = reopened;
        let of = (recorded.trace_id, recorded.first);
        let entry = NewEntry { record: &recorded, details: details.as_ref(), pin: None };
        if !is_recorded && let Some(sequence) = self.recording.record(&entry, Urgency::Soon, out) {
            self.deliver_anew(Undelivered::whole(recorded.clone(), sequence));
        }
        // What is read again settles like a chunk, once its chunks are known.
        let delivery = self.begin(Delivery { pin, left: 1, of, part: Part::Covered });
        let trace = ReadAgain {
            origin: self.origin,
            delivery,
            trace_id: of.0,
            first: recorded.first,
            last: recorded.last,
            late: details.map_or((0, 0), |details| (details.spans, details.bytes)),
            is_requested: recorded.trigger == Trigger::Restored,
            log: match told_from {
                ToldFrom::Clock(since) => self.recording.position_before(since),
                ToldFrom::Log(position) => position,
            },
        };
        // Entries of its late spans came before, and may be on their way only now.
        self.read_again.push(self.recording.batches.next(), trace);
    }

    /// A delivery begins of what a decision covers; late spans may follow it from now on.
    fn deliver_anew(&mut self, mut trace: Undelivered) {
        trace.begins(Part::Covered);
        let DecisionRecord { trace_id, first, .. } = *trace.recorded();
        self.undelivered.insert((trace_id, first), trace);
    }

    /// The decision by which a trace that was read again is delivered; none if that is over.
    pub(in crate::member::worker) fn decision_of(
        &self,
        delivery: DeliveryId,
    ) -> Option<&DecisionRecord> {
        let Delivery { of, .. } = self.deliveries.get(&delivery)?;
        self.undelivered.get(of).map(Undelivered::recorded)
    }

    /// A trace was read again, and leaves.
    pub(in crate::member::worker) fn read_anew(
        &mut self,
        delivery: DeliveryId,
        shipment: Shipment,
        out: &mut Outbox,
    ) {
        let Some(under_way) = self.deliveries.get_mut(&delivery) else { return };
        let left = shipment.chunks.len() * shipment.targets.count();
        under_way.left += left;
        let of = under_way.of.0;
        self.chunks_under_way += left;
        out.chunks.extend(self.outbound(shipment, (of, Part::Covered), delivery));
        self.chunk_settled(delivery, out);
    }
}
