//! The traces that were decided last, for those who look at a member: a few of each second.
//!
//! Promises that a decision costs a look at one number, and more only for [`EACH_SECOND`] of the kept
//! traces and as many of the dropped ones, as long as somebody calls [`Latest::renew`] each second.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use crate::ids::{Partition, Timestamp, TraceId};
use crate::sync::lock;

/// How many of the kept, and of the dropped traces of a second are looked at.
pub const EACH_SECOND: i32 = 5;

/// How many of each are remembered.
const REMEMBERED: usize = 50;

/// A trace that was decided not long ago.
#[derive(Clone, Debug, PartialEq)]
pub struct LatestTrace {
    /// The trace.
    pub trace_id: TraceId,
    /// Where its spans came from.
    pub partition: Partition,
    /// The partition's clock at the decision.
    pub at: Timestamp,
    /// The policy that kept or dropped it, if one did.
    pub policy: Option<Arc<str>>,
    /// The chance with which it was kept, as far as it is known.
    pub probability: Option<f64>,
    /// Why it was decided then.
    pub trigger: &'static str,
    /// Number of spans.
    pub spans: u32,
    /// Their wire bytes.
    pub bytes: u64,
    /// Those with an error.
    pub errors: u32,
    /// From its earliest start to its latest end.
    pub duration: Duration,
    /// `service.name` of its root span, or of its first one.
    pub service: Option<String>,
    /// The name of that span.
    pub name: Option<String>,
}

/// The traces that were decided last.
#[derive(Debug, Default)]
pub struct Latest {
    kept: Ring,
    dropped: Ring,
}

#[derive(Debug, Default)]
struct Ring {
    /// How many more are looked at in this second.
    room: AtomicI32,
    /// The last one comes last.
    traces: Mutex<VecDeque<LatestTrace>>,
}

impl Latest {
    /// Whether a trace that was decided now is to be remembered.
    pub fn wants(&self, is_kept: bool) -> bool {
        let room = &self.ring(is_kept).room;
        room.load(Ordering::Relaxed) > 0 && room.fetch_sub(1, Ordering::Relaxed) > 0
    }

    /// Remembers a trace, and forgets the oldest.
    pub fn push(&self, is_kept: bool, trace: LatestTrace) {
        let mut traces = lock(&self.ring(is_kept).traces);
        if traces.len() == REMEMBERED {
            traces.pop_front();
        }
        traces.push_back(trace);
    }

    /// A second is over.
    pub fn renew(&self) {
        let rings = [&self.kept, &self.dropped].into_iter();
        rings.for_each(|ring| ring.room.store(EACH_SECOND, Ordering::Relaxed));
    }

    /// Those of one kind, the last one first.
    pub fn traces(&self, is_kept: bool) -> Vec<LatestTrace> {
        lock(&self.ring(is_kept).traces).iter().rev().cloned().collect()
    }

    fn ring(&self, is_kept: bool) -> &Ring {
        if is_kept { &self.kept } else { &self.dropped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(number: u8) -> LatestTrace {
        LatestTrace {
            trace_id: TraceId::from_slice(&[number; 16]).unwrap(),
            partition: Partition(0),
            at: Timestamp(0),
            policy: None,
            probability: None,
            trigger: "root",
            spans: 1,
            bytes: 1,
            errors: 0,
            duration: Duration::ZERO,
            service: None,
            name: None,
        }
    }

    #[test]
    fn a_few_of_each_second_are_wanted_and_kept_ones_leave_dropped_ones_their_room() {
        let latest = Latest::default();
        assert!(!latest.wants(true), "nobody looks");
        latest.renew();
        let wanted = |is_kept| (0..100).filter(|_| latest.wants(is_kept)).count();
        assert_eq!((wanted(true), wanted(true), wanted(false)), (5, 0, 5));
        latest.renew();
        assert_eq!(wanted(true), 5);
    }

    #[test]
    fn the_last_ones_are_remembered_the_last_one_first() {
        let latest = Latest::default();
        (1..=60).for_each(|number| latest.push(true, trace(number)));
        let ids: Vec<TraceId> = latest.traces(true).iter().map(|trace| trace.trace_id).collect();
        let expected: Vec<TraceId> = (11..=60).rev().map(|number| trace(number).trace_id).collect();
        assert_eq!(ids, expected);
        assert!(latest.traces(false).is_empty());
    }
}
