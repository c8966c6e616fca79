//! Other policies in mid-stream: the open traces stay, and are judged by the new ones.
//!
//! What was answered on arrival is asked again, of the bytes of the open traces; what was counted
//! and what no policy has a say in stays as it is.

use std::sync::Arc;

use super::{DecidedTrace, Policies, Sampler, ask_resource, summarize};
use crate::otlp::{Additions, Framer, Scan, SpanSegment, scan};
use crate::sampling::facts::Summary;
use crate::sampling::policy::Budgets;
use crate::sampling::trace::{Headers, OpenTrace};

/// Reads the bytes of traces again.
pub struct Rescan {
    framer: Framer,
    found: Scan,
}

impl Default for Rescan {
    fn default() -> Self {
        // A segment came in one record, and is one again.
        Self { framer: Framer::new(usize::MAX), found: Scan::default() }
    }
}

impl Rescan {
    /// Asks the spans of a trace what `policies` ask, in the order they came: their answers, in the
    /// summary of that trace.
    fn ask(&mut self, trace: &OpenTrace, headers: &Headers, policies: &Policies) -> Summary {
        let predicates = policies.set.predicates();
        let mut answers = Summary::new(trace.summary.trace_id);
        for (segment, spans) in trace.payload.segments() {
            let resource = headers.get(segment.resource);
            let scope = headers.get(segment.scope);
            let segment = std::iter::once(SpanSegment { resource, scope, spans });
            for record in self.framer.frame(segment, &Additions::default()).chunks {
                let scanned = scan(&record.bytes, &policies.keys, &mut self.found);
                debug_assert_eq!(scanned, Ok(()), "what was scanned once can be scanned again");
                let facts = ask_resource(predicates, &record.bytes, &self.found, 0);
                let all = 0..self.found.spans.len();
                summarize(predicates, &facts, &record.bytes, &self.found, all, &mut answers);
            }
        }
        let summary = &trace.summary;
        debug_assert_eq!(answers.explicit_randomness, summary.explicit_randomness);
        debug_assert_eq!(answers.end_unix_nano, summary.end_unix_nano);
        let Summary { facts, errors, services, .. } = answers;
        Summary { facts, errors, services, ..summary.clone() }
    }
}

impl DecidedTrace<'_> {
    /// What `policies`, which did not decide it, would have judged by.
    pub fn summary_for(&self, policies: &Policies, rescan: &mut Rescan) -> Summary {
        rescan.ask(self.trace, self.headers, policies)
    }
}

impl Sampler {
    /// From now on judges by `next`; what falls due by them is not decided yet. Budgets of policies
    /// that did not change keep their state.
    pub fn switch(&mut self, next: &Arc<Policies>, topic_size: u32, rescan: &mut Rescan) {
        for trace in self.traces.iter_mut() {
            trace.summary = rescan.ask(trace, &self.headers, next);
        }
        self.traces.change_limits(next.limits);
        self.budgets = self.budgets_of(next, topic_size);
        self.policies = Arc::clone(next);
    }

    /// The budgets that `next` would begin with, were it in force from now on.
    pub fn budgets_of(&self, next: &Policies, topic_size: u32) -> Budgets {
        next.set.budgets_after(&self.policies.set, &self.budgets, topic_size)
    }

    /// The topic has so many partitions: of each limit this one has its share from now on.
    pub fn share_out(&mut self, topic_size: u32) {
        let policies = &self.policies.set;
        self.budgets = policies.budgets_after(policies, &self.budgets, topic_size);
    }
}
