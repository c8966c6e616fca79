//! Other policies in mid-stream: the open traces stay, and are judged by the new ones.
//!
//! What was answered on arrival is asked again, of the bytes of the open traces; what was counted
//! and what no policy has a say in stays as it is.

use std::sync::Arc;
use std::time::Instant;

use tracing::info;

use super::gather::{ask_resource, gather};
use super::in_force::InForce;
use super::partition::PartitionState;
use super::{Worker, shares};
use crate::otlp::{Additions, Framer, Scan, SpanSegment, scan};
use crate::sampling::facts::Summary;
use crate::sampling::trace::{Headers, OpenTrace};

/// Reads the bytes of open traces again.
pub(super) struct Rescan {
    framer: Framer,
    found: Scan,
}

impl Rescan {
    pub(super) fn new() -> Self {
        // A segment came in one record, and is one again.
        Self { framer: Framer::new(usize::MAX), found: Scan::default() }
    }

    /// Asks the spans of a trace what the policies of `in_force` ask, in the order they came.
    fn ask(&mut self, trace: &mut OpenTrace, headers: &Headers, in_force: &InForce) {
        let predicates = in_force.policies.predicates();
        let mut answers = Summary::new(trace.summary.trace_id);
        for (segment, spans) in trace.payload.segments() {
            let resource = headers.get(segment.resource);
            let scope = headers.get(segment.scope);
            let segment = std::iter::once(SpanSegment { resource, scope, spans });
            for record in self.framer.frame(segment, &Additions::default()).chunks {
                let scanned = scan(&record.bytes, &in_force.keys, &mut self.found);
                debug_assert_eq!(scanned, Ok(()), "what was scanned once can be scanned again");
                let facts = ask_resource(predicates, &record.bytes, &self.found, 0);
                let all = 0..self.found.spans.len();
                gather(predicates, &facts, &record.bytes, &self.found, all, &mut answers);
            }
        }
        let summary = &mut trace.summary;
        debug_assert_eq!(answers.explicit_randomness, summary.explicit_randomness);
        debug_assert_eq!(answers.end_unix_nano, summary.end_unix_nano);
        summary.facts = answers.facts;
        summary.errors = answers.errors;
        summary.services = answers.services;
    }
}

impl PartitionState {
    /// From now on judges by `next`. Budgets of policies that did not change keep their state.
    pub(super) fn switch(&mut self, next: &Arc<InForce>, topic_size: u32, rescan: &mut Rescan) {
        for trace in self.traces.iter_mut() {
            rescan.ask(trace, &self.headers, next);
        }
        self.traces.change_limits(next.limits);
        let old = &self.in_force.policies;
        self.budgets = next.policies.budgets_after(old, &self.budgets, topic_size);
        self.in_force = Arc::clone(next);
    }

    /// Of each limit the partition has this share from now on.
    pub(super) fn share_out(&mut self, topic_size: u32) {
        let policies = &self.in_force.policies;
        self.budgets = policies.budgets_after(policies, &self.budgets, topic_size);
    }
}

impl Worker {
    /// Makes sure that what comes next is judged by the policies in force.
    pub(super) fn keep_up(&mut self) {
        if self.policies.has_changed().unwrap_or(false) {
            self.switch();
        }
    }

    /// Judges by the policies that came into force, from the next record on. What falls due by
    /// them is decided now, for there may be no next record for long.
    pub(super) fn switch(&mut self) {
        self.post();
        self.in_force = Arc::clone(&self.policies.borrow_and_update());
        self.desk.count_for(&self.in_force);
        let since = Instant::now();
        let mut rescan = Rescan::new();
        for state in self.partitions.values_mut() {
            state.switch(&self.in_force, self.topic_size, &mut rescan);
        }
        let millis = since.elapsed().as_millis();
        info!(worker = self.index, hash = self.in_force.hash, millis, "worker.policies_switched");
        for state in self.partitions.values_mut().filter(|state| state.revocation.is_none()) {
            state.decide_due(&self.shared, &mut self.desk);
            state.publish(&mut self.desk);
        }
        self.feed();
        self.post();
        self.mention_small_shares();
    }

    /// The topic has so many partitions: each has its share of the limits. Topics do not shrink;
    /// what says so is a guess of a consumer that could not look.
    pub(super) fn share_out(&mut self, topic_size: u32) {
        if topic_size <= self.topic_size {
            return;
        }
        self.topic_size = topic_size;
        self.partitions.values_mut().for_each(|state| state.share_out(topic_size));
        self.mention_small_shares();
    }

    /// The workers have the same shares, so one of them speaks.
    fn mention_small_shares(&self) {
        if self.index == 0 {
            shares::mention_small(&self.in_force.policies, self.topic_size);
        }
    }
}
