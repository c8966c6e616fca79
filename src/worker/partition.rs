//! The state of one partition under one ownership.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use tokio::time::Instant;

use super::{Desk, InForce, Shared};
use crate::books::Amount;
use crate::ids::{Generation, Partition, Pin, Position};
use crate::policy::{Budgets, ResourceFacts};
use crate::source::{CaughtUp, Owned, Record};
use crate::trace::{HeaderId, Headers, OpenTrace, OpenTraces, TRACE_OVERHEAD, Trigger};
use crate::watermark::Watermark;

/// A partition that is being given up: who waits for it, and how long.
#[derive(Debug)]
pub(super) struct Revocation {
    pub(super) deadline: Instant,
    pub(super) done: Sender<Partition>,
}

#[derive(Debug)]
pub(super) struct PartitionState {
    /// The worker that keeps this state: acks are sent there.
    pub(super) worker: usize,
    pub(super) partition: Partition,
    pub(super) owned: Arc<Owned>,
    /// The policies that the facts, the deadlines and the budgets below are for.
    pub(super) in_force: Arc<InForce>,
    pub(super) traces: OpenTraces,
    pub(super) headers: Headers,
    pub(super) budgets: Budgets,
    pub(super) watermark: Watermark,
    /// Chunks that are not acknowledged yet.
    pub(super) in_flight: usize,
    /// Letters that are not settled yet.
    pub(super) letters: usize,
    pub(super) revocation: Option<Revocation>,
    /// Per resource and per scope of the record in hand: used again from record to record.
    pub(super) resources: Vec<ResourceInHand>,
    pub(super) scopes: Vec<Option<HeaderId>>,
}

/// A resource of the record in hand, once something asked for it.
#[derive(Debug, Default)]
pub(super) struct ResourceInHand {
    pub(super) header: Option<HeaderId>,
    pub(super) facts: Option<ResourceFacts>,
}

impl PartitionState {
    pub(super) fn new(
        worker: usize,
        partition: Partition,
        owned: Arc<Owned>,
        start: Position,
        in_force: &Arc<InForce>,
        topic_size: u32,
    ) -> Self {
        Self {
            worker,
            partition,
            owned,
            in_force: Arc::clone(in_force),
            traces: OpenTraces::new(in_force.limits),
            headers: Headers::default(),
            budgets: in_force.policies.budgets(topic_size),
            watermark: Watermark::new(start),
            in_flight: 0,
            letters: 0,
            revocation: None,
            resources: Vec::new(),
            scopes: Vec::new(),
        }
    }

    pub(super) fn generation(&self) -> Generation {
        self.owned.generation
    }

    /// Bytes that count against the memory bound.
    pub(super) fn cost(&self) -> u64 {
        self.traces.cost() + self.headers.bytes()
    }

    /// Handles one record: what is due before it, then its spans.
    pub(super) fn take_in(&mut self, shared: &Shared, desk: &mut Desk, record: &Record<'_>) {
        if record.offset.next() <= self.watermark.next() {
            desk.tally.repeated_records += 1;
            return;
        }
        self.traces.advance_clock(record.timestamp);
        self.decide_due(shared, desk);
        self.watermark.read(record.offset);
        desk.tally.records += 1;
        self.read_value(shared, desk, record);
        self.publish();
    }

    /// There is nothing to read: the wall clock carries the partition's on.
    pub(super) fn caught_up(&mut self, shared: &Shared, desk: &mut Desk, quiet: &CaughtUp) {
        if self.watermark.next() > quiet.position {
            return;
        }
        self.watermark.skip_to(quiet.position);
        self.traces.advance_clock(quiet.at.before(shared.idle_grace));
        self.decide_due(shared, desk);
        self.publish();
    }

    /// Decides what fell due.
    pub(super) fn decide_due(&mut self, shared: &Shared, desk: &mut Desk) {
        while let Some((trace, trigger)) = self.traces.take_due() {
            self.decide(shared, desk, &trace, trigger);
        }
    }

    /// Decides the heaviest traces early, until `share` of this partition's bytes is free.
    pub(super) fn relieve(&mut self, shared: &Shared, desk: &mut Desk, share: f64) {
        let bytes = (self.traces.cost() as f64 * share).ceil() as u64;
        for trace in self.traces.take_heaviest(bytes) {
            self.decide(shared, desk, &trace, Trigger::Memory);
        }
        self.publish();
    }

    /// A chunk that held `pin` is done with.
    pub(super) fn acknowledged(&mut self, pin: Pin) {
        debug_assert!(self.in_flight > 0, "a chunk is acknowledged once");
        self.in_flight -= 1;
        self.watermark.release(pin);
        self.publish();
    }

    /// Tells the consumer what may be committed.
    pub(super) fn publish(&self) {
        self.owned.set_committable(self.watermark.committable());
    }

    /// Counts out what is still open: the partition's next owner reads it again.
    pub(super) fn abandon(&mut self, desk: &mut Desk) {
        for trace in self.traces.take_all() {
            let amount = amount_of(&trace);
            desk.tally.revoked.add(amount);
            desk.closed.add(amount);
        }
    }

    /// Releases what the payload of a trace that was taken holds.
    pub(super) fn release_headers(&mut self, trace: &OpenTrace) {
        for (segment, _) in trace.payload.segments() {
            self.headers.release(segment.resource);
            self.headers.release(segment.scope);
        }
    }
}

pub(super) fn amount_of(trace: &OpenTrace) -> Amount {
    let summary = &trace.summary;
    Amount { traces: 1, spans: u64::from(summary.spans), bytes: summary.bytes }
}

const _: () = assert!(
    size_of::<OpenTrace>() < TRACE_OVERHEAD as usize,
    "an open trace costs more than it is accounted for"
);
