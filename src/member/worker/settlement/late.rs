//! Late spans of dropped traces: what they lead to waits until the decisions that they follow are on the
//! log.

use super::reopened::Reopened;
use super::{NewEntry, Settlement};
use crate::ids::{Offset, Pin};
use crate::member::worker::gathering::Urgency;
use crate::member::worker::outbound::Outbox;
use crate::sampling::decided::{DecisionRecord, TraceDetails};
use crate::sampling::trace::RecordOffsets;

/// Bytes of an entry of late spans that waits, about.
pub(super) const LATE_ENTRY_BYTES: u64 = 256;

/// Spans of the record in hand that came after their trace was decided.
#[derive(Clone, Copy, Debug)]
pub(in crate::member::worker) struct LateSpans {
    /// The record in hand.
    pub(in crate::member::worker) offset: Offset,
    pub(in crate::member::worker) spans: u64,
    pub(in crate::member::worker) bytes: u64,
}

impl LateSpans {
    pub(super) fn details(&self) -> TraceDetails<'static> {
        TraceDetails::late(RecordOffsets::one(self.offset), self.spans, self.bytes)
    }

    /// Adds them to those that came before.
    pub(super) fn join(&self, before: &mut TraceDetails<'_>) {
        before.records.add(self.offset);
        before.spans += self.spans;
        before.bytes += self.bytes;
    }
}

/// What late spans of dropped traces lead to, when all records of the log before `after` are written.
#[derive(Debug)]
pub(super) enum Late {
    /// An entry that tells where they are: where their decision is not on the log, nobody would look
    /// for them. The pin holds their own record.
    Entry { after: u64, record: DecisionRecord, details: TraceDetails<'static>, pin: Pin },
    /// They re-open their trace. The pin holds their own record.
    Reopened { after: u64, reopened: Reopened, pin: Pin },
}

impl Late {
    pub(super) fn after(&self) -> u64 {
        match self {
            Self::Entry { after, .. } | Self::Reopened { after, .. } => *after,
        }
    }
}

impl Settlement {
    /// Late spans of the record in hand follow a decision to drop their trace: where they are goes on
    /// record when that was taken in, so that the trace is found whole.
    pub(in crate::member::worker) fn late_dropped(
        &mut self,
        decision: DecisionRecord,
        late: &LateSpans,
    ) {
        if !self.recording.is_on() {
            return;
        }
        // A record has the spans of a trace together, mostly; if not, there are several entries.
        match self.late_dropped.last_mut() {
            Some((record, details))
                if record.trace_id == decision.trace_id && record.first == decision.first =>
            {
                late.join(details);
            }
            _ => self.late_dropped.push((decision, late.details())),
        }
    }

    /// The record in hand was taken in: what its late spans lead to waits until the decisions that dropped
    /// their traces are on the log. Without those, who read the log would not look for the late spans, or take
    /// a trace that is re-opened for one that began here.
    pub(super) fn take_in_late(&mut self) {
        let after = self.recording.batches.next();
        for (record, details) in self.late_dropped.drain(..) {
            let pin = self.watermark.pin(details.records.last());
            self.late_waiting.push_back(Late::Entry { after, record, details, pin });
        }
        for reopened in self.reopened.drain(..) {
            let pin = self.watermark.pin(reopened.in_hand);
            self.late_waiting.push_back(Late::Reopened { after, reopened, pin });
        }
    }

    /// Puts late spans of dropped traces on record whose decisions are, and has those read again that
    /// were re-opened.
    pub(super) fn record_late(&mut self, out: &mut Outbox) {
        let first = self.recording.batches.first();
        while self.late_waiting.front().is_some_and(|late| late.after() <= first)
            && let Some(late) = self.late_waiting.pop_front()
        {
            match late {
                Late::Entry { record, details, pin, .. } => {
                    let entry =
                        NewEntry { record: &record, details: Some(&details), pin: Some(pin) };
                    self.recording.record(&entry, Urgency::Later, out);
                }
                Late::Reopened { reopened, pin, .. } => self.record_reopened(reopened, pin, out),
            }
        }
        self.read_again.written(first, out);
    }
}
