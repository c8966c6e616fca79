//! How long after it was due a kept trace arrives.
//!
//! A trace is due when the policies' own wait is over: `decision_wait` after the first record with a
//! span of it, or `decision_wait_after_root_received` after the one with its root span, if that is
//! sooner. What comes on top is what reading, deciding, recording and delivering take.

use std::collections::HashMap;
use std::time::Duration;

use tailsieve::testing::ids::{Timestamp, TraceId};
use tailsieve::testing::otlp::{AttributeKeys, Scan, scan};
use tailsieve::testing::sampling::trace::Limits;
use tailsieve::testing::testbed::generator::Acknowledged;

/// When the traces that were produced are due.
#[derive(Debug)]
pub struct Due {
    limits: Limits,
    traces: HashMap<TraceId, Timestamp>,
}

impl Due {
    pub fn new(limits: Limits) -> Self {
        Self { limits, traces: HashMap::new() }
    }

    /// Takes note of a record; those of a trace come in the order of time.
    pub fn produced(&mut self, record: &Acknowledged) {
        let after_first = record.at.after(self.limits.decision_wait);
        let after_root = record.at.after(self.limits.decision_wait_after_root_received);
        for span in &record.spans {
            let due = self.traces.entry(span.trace_id).or_insert(after_first);
            if span.root {
                *due = after_root.min(*due);
            }
        }
    }
}

/// When traces arrived first.
#[derive(Debug, Default)]
pub struct Arrivals {
    traces: HashMap<TraceId, Timestamp>,
    found: Scan,
}

impl Arrivals {
    /// Takes note of a request.
    pub fn observe(&mut self, request: &[u8], now: Timestamp) {
        scan(request, &AttributeKeys::default(), &mut self.found).expect("OTLP");
        for span in &self.found.spans {
            self.traces.entry(span.trace_id).or_insert(now);
        }
    }

    /// Median and 99th percentile of how long after they were due those arrived that were due up to
    /// `until`.
    pub fn delays(&self, due: &Due, until: Timestamp) -> (Duration, Duration) {
        let arrived = self.traces.iter().filter_map(|(id, at)| Some((*at, *due.traces.get(id)?)));
        let by_then = arrived.filter(|(_, due)| *due <= until);
        let mut delays: Vec<Duration> = by_then.map(|(at, due)| at.since(due)).collect();
        delays.sort_unstable();
        let percentile = |n: usize| delays.get(delays.len() * n / 100).copied().unwrap_or_default();
        (percentile(50), percentile(99))
    }
}
