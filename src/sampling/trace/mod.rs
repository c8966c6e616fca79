//! The open traces of one partition: their bytes, what is known of them, and when each is
//! complete.
//!
//! Owns the partition's clock and the completion rules. Promises that a trace leaves exactly
//! once, by [`OpenTraces::take_due`], [`OpenTraces::take`] or [`OpenTraces::take_heaviest`], and
//! that the same arrivals in the same order complete the same traces at the same point, whatever
//! the wall clock does. Leaves the decision, and what happens to the bytes, to others.

mod headers;
mod limits;
mod payload;
mod record_offsets;

use std::collections::VecDeque;

use hashbrown::HashMap;

use crate::ids::{Offset, Pin, Timestamp, TraceId};
use crate::otlp::span::Slice;
use crate::sampling::facts::Summary;

pub use headers::{HeaderId, Headers};
pub use limits::Limits;
pub use payload::{Payload, Segment};
pub use record_offsets::RecordOffsets;

/// Bytes that an open trace costs beside its spans: its slot, its index entry, its deadlines.
/// Counted against the memory bound, so that many small traces cannot pass under it.
pub const TRACE_OVERHEAD: u64 = 384;

/// Why a trace was held to be complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// Its root had come, and the quiet time after it was over.
    Root,
    /// The wait after its first span was over.
    Wait,
    /// It had grown to one of its caps.
    Size,
    /// The process had to make room.
    Memory,
    /// Kafka does not have its records any more: nobody could read them again.
    LogGone,
    /// A late span re-opened it: it had been dropped.
    Late,
    /// Somebody asked for it to be kept after all: it had been dropped.
    Restored,
}

impl Trigger {
    /// True if the decision takes back that the trace was dropped: what came before is read again and
    /// delivered with what it covers.
    pub fn takes_back(self) -> bool {
        matches!(self, Self::Late | Self::Restored)
    }
}

/// A trace that is not decided yet.
#[derive(Debug)]
pub struct OpenTrace {
    /// What the policies will judge by.
    pub summary: Summary,
    /// Its spans.
    pub payload: Payload,
    /// The pin on its first record.
    pub pin: Pin,
    /// The records with spans of it so far.
    pub records: RecordOffsets,
    /// Where the name of its root span is, or of its first one until a root comes.
    name: NamePlace,
    /// The partition's clock when its first span was read.
    pub opened_at: Timestamp,
    /// The partition's clock when its root span was read, the first if there are several.
    root_at: Option<Timestamp>,
    /// Bytes of memory, about.
    cost: u64,
    deadline: Timestamp,
    serial: u64,
}

/// Where a name is: in which block of the payload, and there.
#[derive(Clone, Copy, Debug, Default)]
struct NamePlace {
    block: u32,
    name: Slice,
}

impl OpenTrace {
    /// The partition's clock when its root span was read, the first if there are several.
    pub fn root_at(&self) -> Option<Timestamp> {
        self.root_at
    }

    /// The partition's clock at which it is decided at the latest.
    pub fn due_at(&self) -> Timestamp {
        self.deadline
    }

    /// The name of its root span, or of its first one if no root came, as it was sent, and which
    /// resource and scope that span belongs to; `None` while it has no spans.
    pub fn name(&self) -> Option<(Segment, &[u8])> {
        let NamePlace { block, name } = self.name;
        let (segment, spans) = self.payload.block(block as usize)?;
        Some((segment, name.of(spans)))
    }
}

/// Where an open trace is kept; void once the trace was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(u32);

#[derive(Clone, Copy, Debug)]
struct Deadline {
    at: Timestamp,
    slot: Slot,
    serial: u64,
}

/// The open traces of one partition, of one generation.
#[derive(Debug)]
pub struct OpenTraces {
    limits: Limits,
    clock: Timestamp,
    index: HashMap<TraceId, Slot, foldhash::fast::RandomState>,
    slots: Vec<Option<OpenTrace>>,
    free: Vec<Slot>,
    serial: u64,
    /// Deadlines from first spans. The clock never goes back and the wait is the same for all,
    /// so both queues are sorted by being appended to. Entries of traces that are gone stay
    /// until their time comes.
    waits: VecDeque<Deadline>,
    /// Deadlines from root spans.
    roots: VecDeque<Deadline>,
    bytes: u64,
}

impl OpenTraces {
    /// No traces; the clock stands at the beginning of time until a record moves it.
    pub fn new(limits: Limits) -> Self {
        Self::at(limits, Timestamp(i64::MIN))
    }

    /// No traces; the clock goes on from `clock`.
    pub fn at(limits: Limits, clock: Timestamp) -> Self {
        Self {
            limits,
            clock,
            index: HashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            serial: 0,
            waits: VecDeque::new(),
            roots: VecDeque::new(),
            bytes: 0,
        }
    }

    /// The partition's clock.
    pub fn clock(&self) -> Timestamp {
        self.clock
    }

    /// Moves the clock to `time`, unless it is there already; it never goes back. What falls due
    /// must be taken before anything else is added.
    pub fn advance_clock(&mut self, time: Timestamp) {
        self.clock = self.clock.max(time);
    }

    /// Where the open trace `id` is, if there is one.
    pub fn find(&self, id: TraceId) -> Option<Slot> {
        self.index.get(&id).copied()
    }

    /// The open trace `id`, if there is one.
    pub fn get(&self, id: TraceId) -> Option<&OpenTrace> {
        self.slots[self.find(id)?.0 as usize].as_ref()
    }

    /// The trace that was opened first.
    pub fn oldest(&mut self) -> Option<&OpenTrace> {
        Self::forget_gone(&mut self.waits, &self.slots);
        self.slots[self.waits.front()?.slot.0 as usize].as_ref()
    }

    /// Number of open traces.
    pub fn count(&self) -> usize {
        self.index.len()
    }

    /// Opens the trace `id`, which is not open, at the current clock. Its first record is at
    /// `offset`, which `pin` holds.
    pub fn open(&mut self, id: TraceId, offset: Offset, pin: Pin) -> Slot {
        self.serial += 1;
        let trace = OpenTrace {
            summary: Summary::new(id),
            payload: Payload::default(),
            pin,
            records: RecordOffsets::one(offset),
            name: NamePlace::default(),
            opened_at: self.clock,
            root_at: None,
            cost: TRACE_OVERHEAD,
            deadline: self.clock.after(self.limits.decision_wait),
            serial: self.serial,
        };
        let deadline = trace.deadline;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot.0 as usize] = Some(trace);
                slot
            }
            None => {
                self.slots.push(Some(trace));
                Slot(u32::try_from(self.slots.len() - 1).expect("memory bounds the open traces"))
            }
        };
        let before = self.index.insert(id, slot);
        debug_assert!(before.is_none(), "a trace is open at most once");
        self.waits.push_back(Deadline { at: deadline, slot, serial: self.serial });
        self.bytes += TRACE_OVERHEAD;
        slot
    }

    /// The open trace at `slot`, to add facts to.
    pub fn get_mut(&mut self, slot: Slot) -> &mut OpenTrace {
        self.slots[slot.0 as usize].as_mut().expect("a slot is used only while its trace is open")
    }

    /// Adds `spans` spans of the record at `offset`, back to back in `framed`, to the trace at
    /// `slot`. The headers are held by the payload from now on; whoever takes the trace releases
    /// them.
    pub fn append(
        &mut self,
        slot: Slot,
        offset: Offset,
        segment: Segment,
        framed: &[u8],
        spans: u32,
    ) {
        let trace = self.get_mut(slot);
        trace.records.add(offset);
        let cost = trace.payload.push(segment, framed);
        trace.cost += cost;
        trace.summary.spans += spans;
        trace.summary.bytes += framed.len() as u64;
        self.bytes += cost;
    }

    /// The trace at `slot` goes by the name of one of the spans that were just appended, if that is
    /// its root, or its first one. The name is at `name` of them.
    pub fn name_by(&mut self, slot: Slot, name: Slice, is_root: bool) {
        let trace = self.get_mut(slot);
        let block = trace.payload.blocks() - 1;
        if trace.root_at.is_none() && (is_root || block == 0) {
            trace.name = NamePlace { block: block as u32, name };
        }
    }

    /// Takes note that the root of the trace at `slot` came: it may now be complete earlier.
    pub fn root_received(&mut self, slot: Slot) {
        let clock = self.clock;
        let at = clock.after(self.limits.decision_wait_after_root_received);
        let trace = self.get_mut(slot);
        if trace.root_at.is_some() {
            return;
        }
        trace.root_at = Some(clock);
        if at >= trace.deadline {
            return;
        }
        trace.deadline = at;
        let serial = trace.serial;
        self.roots.push_back(Deadline { at, slot, serial });
    }

    /// True if the trace at `slot` is at one of its caps.
    pub fn is_at_cap(&mut self, slot: Slot) -> bool {
        let limits = self.limits;
        let summary = &self.get_mut(slot).summary;
        summary.spans >= limits.maximum_trace_spans || summary.bytes >= limits.maximum_trace_size
    }

    /// When the next trace falls due on the partition's clock.
    pub fn next_due(&mut self) -> Option<Timestamp> {
        self.earliest().map(|(deadline, _)| deadline.at)
    }

    /// Takes the trace that fell due first, if one did.
    pub fn take_due(&mut self) -> Option<(OpenTrace, Trigger)> {
        // Asked with each record: where nothing can be due it is not looked which traces are gone.
        let is_early =
            |queue: &VecDeque<Deadline>| queue.front().is_none_or(|it| it.at > self.clock);
        if is_early(&self.waits) && is_early(&self.roots) {
            return None;
        }
        let (deadline, trigger) = self.earliest()?;
        if deadline.at > self.clock {
            return None;
        }
        Some((self.take(deadline.slot), trigger))
    }

    /// Takes the trace at `slot`.
    pub fn take(&mut self, slot: Slot) -> OpenTrace {
        let trace = self.slots[slot.0 as usize].take().expect("a trace is taken once");
        self.index.remove(&trace.summary.trace_id);
        self.free.push(slot);
        self.bytes -= trace.cost;
        trace
    }

    /// Takes the traces with the largest bytes x age until at least `bytes` are freed, or none
    /// is left. Sorts all open traces: ask for a good part of them at a time.
    pub fn take_heaviest(&mut self, bytes: u64) -> Vec<OpenTrace> {
        let clock = self.clock;
        let mut by_weight: Vec<(u128, u64, Slot)> = Vec::with_capacity(self.index.len());
        for slot in self.index.values() {
            let trace = self.slots[slot.0 as usize].as_ref().expect("an indexed trace is open");
            let age = clock.since(trace.opened_at).as_millis() + 1;
            let weight = u128::from(trace.summary.bytes) * age;
            by_weight.push((weight, trace.serial, *slot));
        }
        // The serial makes the order independent of the hash table's.
        by_weight.sort_unstable_by_key(|(weight, serial, _)| (std::cmp::Reverse(*weight), *serial));
        let mut freed = 0;
        let mut taken = Vec::new();
        for (_, _, slot) in by_weight {
            if freed >= bytes {
                break;
            }
            let trace = self.take(slot);
            freed += trace.cost;
            taken.push(trace);
        }
        taken
    }

    /// Takes all traces, in no order: the partition is given up.
    pub fn take_all(&mut self) -> Vec<OpenTrace> {
        let slots: Vec<Slot> = self.index.values().copied().collect();
        slots.into_iter().map(|slot| self.take(slot)).collect()
    }

    /// What the open traces cost in memory, about: the wire bytes of their spans and what it takes
    /// to keep them.
    pub fn cost(&self) -> u64 {
        self.bytes
    }

    fn earliest(&mut self) -> Option<(Deadline, Trigger)> {
        Self::forget_gone(&mut self.waits, &self.slots);
        Self::forget_gone(&mut self.roots, &self.slots);
        match (self.waits.front(), self.roots.front()) {
            (None, None) => None,
            (Some(wait), None) => Some((*wait, Trigger::Wait)),
            (None, Some(root)) => Some((*root, Trigger::Root)),
            (Some(wait), Some(root)) if wait.at <= root.at => Some((*wait, Trigger::Wait)),
            (Some(_), Some(root)) => Some((*root, Trigger::Root)),
        }
    }

    /// Drops the entries at the front whose traces are gone.
    fn forget_gone(queue: &mut VecDeque<Deadline>, slots: &[Option<OpenTrace>]) {
        let is_open = |deadline: &Deadline| {
            let trace = slots[deadline.slot.0 as usize].as_ref();
            trace.is_some_and(|trace| trace.serial == deadline.serial)
        };
        while queue.front().is_some_and(|deadline| !is_open(deadline)) {
            queue.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
