//! When a trace is complete, and what happens to the open traces when that changes.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Deadline, OpenTrace, OpenTraces};
use crate::ids::Timestamp;

/// When a trace is complete, beside memory pressure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the first span.
    pub decision_wait: Duration,
    /// From the root span; only ever shortens the wait.
    pub decision_wait_after_root_received: Duration,
    /// Number of spans at which a trace is decided at once.
    pub maximum_trace_spans: u32,
    /// Wire bytes at which a trace is decided at once.
    pub maximum_trace_size: u64,
}

impl Limits {
    fn wait_deadline(&self, trace: &OpenTrace) -> Timestamp {
        trace.opened_at.after(self.decision_wait)
    }

    /// When the quiet time after the root is over, if that is sooner than the wait.
    fn root_deadline(&self, trace: &OpenTrace) -> Option<Timestamp> {
        let at = trace.root_at?.after(self.decision_wait_after_root_received);
        (at < self.wait_deadline(trace)).then_some(at)
    }
}

impl OpenTraces {
    /// Other limits from now on, also for the traces that are open: they fall due as if these had
    /// always been the limits, at once if that time is over. A cap takes effect with the trace's
    /// next span.
    pub fn change_limits(&mut self, limits: Limits) {
        if self.limits == limits {
            return;
        }
        self.limits = limits;
        let mut waits = Vec::with_capacity(self.index.len());
        let mut roots = Vec::new();
        for slot in self.index.values().copied() {
            let trace = self.slots[slot.0 as usize].as_mut().expect("an indexed trace is open");
            let deadline = |at: Timestamp| Deadline { at, slot, serial: trace.serial };
            let wait = limits.wait_deadline(trace);
            waits.push(deadline(wait));
            let root = limits.root_deadline(trace);
            roots.extend(root.map(deadline));
            trace.deadline = root.unwrap_or(wait);
        }
        self.waits = sorted(waits);
        self.roots = sorted(roots);
    }

    /// The open traces, in no order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut OpenTrace> {
        self.slots.iter_mut().flatten()
    }
}

/// In the order in which they would have been appended: the serial makes it independent of the
/// hash table's.
fn sorted(mut deadlines: Vec<Deadline>) -> VecDeque<Deadline> {
    deadlines.sort_unstable_by_key(|deadline| (deadline.at, deadline.serial));
    deadlines.into()
}
