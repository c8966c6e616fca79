//! Dropped traces that late spans re-opened: all that came of each is read again and delivered.
//!
//! That is done when everything is on the log that tells where its spans are: the decision to drop it,
//! the late spans that followed, and the decision to keep it after all.

use std::collections::VecDeque;

use super::undelivered::{Part, Undelivered};
use super::{Delivery, LateSpans, NewEntry, Settlement, Shipment};
use crate::export::DeliveryId;
use crate::ids::{Offset, Origin, Position, Timestamp, TraceId};
use crate::member::worker::gathering::Urgency;
use crate::member::worker::outbound::Outbox;
use crate::sampling::decided::{DecisionRecord, TraceDetails};

/// A trace of which all spans up to a record are to be read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadAgain {
    /// The partition that its records are on, and under which ownership.
    pub origin: Origin,
    /// What they are delivered with.
    pub delivery: DeliveryId,
    /// The trace.
    pub trace_id: TraceId,
    /// The record that re-opened it: the last one that is wanted.
    pub record: Offset,
    /// The late spans in it by which it did so, and their bytes.
    pub late: (u64, u64),
    /// Everything that the decision log has on it is here or behind this.
    pub log: Position,
}

/// A trace that the record in hand re-opens.
#[derive(Debug)]
pub(super) struct Reopened {
    recorded: DecisionRecord,
    /// Its late spans in that record.
    details: TraceDetails<'static>,
    /// The decision is on the log already.
    is_recorded: bool,
    /// When it was dropped, or earlier, on the partition's clock.
    since: Timestamp,
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
    /// Late spans of the record in hand re-open their trace, which was dropped at `since` of the
    /// partition's clock.
    pub(in crate::member::worker) fn reopened(
        &mut self,
        recorded: DecisionRecord,
        late: &LateSpans,
        since: Timestamp,
    ) {
        let details = late.details();
        self.reopened.push(Reopened { recorded, details, is_recorded: false, since });
    }

    /// Further late spans of the record in hand are of a trace that it re-opens.
    pub(in crate::member::worker) fn late_of_reopened(
        &mut self,
        recorded: &DecisionRecord,
        late: &LateSpans,
    ) {
        let is_it = |it: &&mut Reopened| it.recorded.trace_id == recorded.trace_id;
        if let Some(reopened) = self.reopened.iter_mut().find(is_it) {
            late.join(&mut reopened.details);
        }
    }

    /// The record in hand re-opened a trace under an earlier owner, and it is not on record that it was
    /// delivered. It was dropped at `since` or later.
    pub(in crate::member::worker) fn reopened_before(
        &mut self,
        recorded: DecisionRecord,
        late: &LateSpans,
        since: Timestamp,
    ) {
        let is_it = |it: &&mut Reopened| it.recorded.trace_id == recorded.trace_id;
        match self.reopened.iter_mut().find(is_it) {
            Some(reopened) => late.join(&mut reopened.details),
            None => {
                let details = late.details();
                self.reopened.push(Reopened { recorded, details, is_recorded: true, since });
            }
        }
    }

    /// The record in hand was taken in: puts on record what it re-opened.
    pub(super) fn take_in_reopened(&mut self, out: &mut Outbox) {
        for reopened in std::mem::take(&mut self.reopened) {
            let Reopened { recorded, details, is_recorded, since } = reopened;
            let of = (recorded.trace_id, recorded.first);
            let entry = NewEntry { record: &recorded, details: Some(&details), pin: None };
            let sequence = match is_recorded {
                true => None,
                false => self.recording.record(&entry, Urgency::Soon, out),
            };
            let mut trace = match sequence {
                Some(sequence) => Undelivered::whole(recorded.clone(), sequence),
                None => Undelivered::whole_on_record(recorded.clone()),
            };
            trace.begins(Part::Covered);
            self.undelivered.insert(of, trace);
            let delivery = DeliveryId(self.next_delivery);
            self.next_delivery += 1;
            let pin = self.watermark.pin(recorded.first);
            // What is read again settles like a chunk, once its chunks are known.
            self.deliveries.insert(delivery, Delivery { pin, left: 1, of, part: Part::Covered });
            self.chunks_under_way += 1;
            let trace = ReadAgain {
                origin: self.origin,
                delivery,
                trace_id: of.0,
                record: recorded.first,
                late: (details.spans, details.bytes),
                log: self.recording.position_before(since),
            };
            let after = self.recording.batches.next();
            self.late_waiting.push_back(super::Late::Reopened { after, trace });
        }
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
