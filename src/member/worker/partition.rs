//! The state of one partition under one ownership.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use hashbrown::HashMap;
use tokio::time::Instant;

use super::deliver::{DecisionKey, Delivery, InHand, Undelivered};
use super::recording::{LogPositions, Recording};
use super::remembered::RememberedTraces;
use super::replay::Replay;
use super::{Desk, InForce, Shared};
use crate::export::DeliveryId;
use crate::ids::{Generation, Partition, Position, Timestamp};
use crate::kafka::decision_log::OwnerId;
use crate::kafka::source::{Acquisition, CaughtUp, CommitMetadata, LogGone, Record, RecordBatch};
use crate::sampling::policy::{Budgets, ResourceFacts};
use crate::sampling::trace::{
    HeaderId, Headers, OpenTrace, OpenTraces, Slot, TRACE_OVERHEAD, Trigger,
};
use crate::sampling::watermark::Watermark;
use crate::telemetry::accounts::Amount;

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
    pub(super) acquisition: Arc<Acquisition>,
    /// The policies that the facts, the deadlines and the budgets below are for.
    pub(super) in_force: Arc<InForce>,
    pub(super) traces: OpenTraces,
    pub(super) headers: Headers,
    pub(super) budgets: Budgets,
    pub(super) watermark: Watermark,
    /// As whom it writes to the decision log.
    pub(super) owner: OwnerId,
    /// Until the decision log is read back: the records that came meanwhile.
    pub(super) recovering: Option<VecDeque<RecordBatch>>,
    /// Its records are gone, which is seen to once it is recovered.
    pub(super) gone: Option<LogGone>,
    /// What was decided, before this ownership, of records that are read again.
    pub(super) replay: Replay,
    /// What it has in the decision cache.
    pub(super) remembered: RememberedTraces,
    /// What waits for the decision log.
    pub(super) recording: Recording,
    pub(super) log_positions: LogPositions,
    /// What is on its way to the backend.
    pub(super) deliveries: HashMap<DeliveryId, Delivery, foldhash::fast::RandomState>,
    pub(super) next_delivery: u64,
    pub(super) chunks_in_flight: usize,
    /// Kept traces that are not on record as delivered. Empty without a decision log.
    pub(super) undelivered: HashMap<DecisionKey, Undelivered, foldhash::fast::RandomState>,
    /// Of those: which the record in hand holds.
    pub(super) in_hand: Vec<InHand>,
    /// Letters that are not settled yet.
    pub(super) letters: usize,
    pub(super) revocation: Option<Revocation>,
    /// Traces that the record in hand brought to a cap.
    pub(super) at_cap: Vec<Slot>,
    /// Per resource and per scope of the record in hand: used again from record to record.
    pub(super) resources: Vec<ResourceInHand>,
    pub(super) scopes: Vec<Option<HeaderId>>,
    /// What it held when that was last told.
    held_told: Held,
}

/// What partitions hold in memory, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    /// All that counts against the memory bound.
    pub(super) cost: u64,
    /// Of that: kept traces that wait for the decision log.
    pub(super) unrecorded: u64,
}

impl Held {
    /// A part of it is `now` what was `before`.
    fn change(&mut self, before: Self, now: Self) {
        self.cost = self.cost + now.cost - before.cost;
        self.unrecorded = self.unrecorded + now.unrecorded - before.unrecorded;
    }
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
        acquisition: Arc<Acquisition>,
        start: Position,
        metadata: CommitMetadata,
        in_force: &Arc<InForce>,
        topic_size: u32,
    ) -> Self {
        let clock = metadata.clock.unwrap_or(Timestamp(i64::MIN));
        let generation = acquisition.generation;
        Self {
            worker,
            partition,
            acquisition,
            in_force: Arc::clone(in_force),
            traces: OpenTraces::at(in_force.limits, clock),
            headers: Headers::default(),
            budgets: in_force.policies.budgets(topic_size),
            watermark: Watermark::new(start, clock),
            owner: OwnerId::draw(),
            recovering: None,
            gone: None,
            replay: Replay::default(),
            remembered: RememberedTraces::new(partition, generation),
            recording: Recording::default(),
            log_positions: LogPositions::new(metadata.log.unwrap_or(Position(0))),
            deliveries: HashMap::default(),
            next_delivery: 0,
            chunks_in_flight: 0,
            undelivered: HashMap::default(),
            in_hand: Vec::new(),
            letters: 0,
            revocation: None,
            at_cap: Vec::new(),
            resources: Vec::new(),
            scopes: Vec::new(),
            held_told: Held::default(),
        }
    }

    pub(super) fn generation(&self) -> Generation {
        self.acquisition.generation
    }

    fn held(&self) -> Held {
        let unrecorded = self.recording.bytes();
        Held { cost: self.traces.cost() + self.headers.bytes() + unrecorded, unrecorded }
    }

    /// Tells the desk that the partition holds so much now.
    fn tell_held(&mut self, desk: &mut Desk, now: Held) {
        desk.held.change(self.held_told, now);
        self.held_told = now;
    }

    /// How much was handed to the backend and the decision log and is not settled.
    pub(super) fn in_flight(&self) -> usize {
        self.chunks_in_flight + self.recording.len() + self.letters
    }

    /// Handles one record: what is due before it, then its spans.
    pub(super) fn take_in(&mut self, shared: &Shared, desk: &mut Desk, record: &Record<'_>) {
        if record.offset.next() <= self.watermark.next() {
            desk.counts.repeated_records += 1;
            return;
        }
        self.traces.advance_clock(record.timestamp);
        self.decide_due(shared, desk);
        self.watermark.read(record.offset, self.traces.clock());
        desk.counts.records += 1;
        self.read_value(shared, desk, record);
        self.replay.passed(self.watermark.next());
    }

    /// There is nothing to read: the wall clock carries the partition's on.
    pub(super) fn caught_up(&mut self, shared: &Shared, desk: &mut Desk, quiet: &CaughtUp) {
        if self.watermark.next() > quiet.position {
            return;
        }
        self.traces.advance_clock(quiet.at.before(shared.idle_grace));
        self.watermark.skip_to(quiet.position, self.traces.clock());
        self.replay.passed(self.watermark.next());
        self.decide_due(shared, desk);
        self.publish(desk);
    }

    /// Takes decisions that no span would follow any more out of the cache. Those that are rebuilt
    /// while records are read again may have to be told from others, however old.
    pub(super) fn forget_old(&mut self, shared: &Shared) {
        if !self.replay.is_under_way() {
            let (now, ttl) = (self.traces.clock(), self.in_force.decision_cache_ttl);
            self.remembered.forget_old(shared, now, ttl);
        }
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
        self.publish(desk);
    }

    /// Decides everything that is open, on what there is of it.
    pub(super) fn decide_all(&mut self, shared: &Shared, desk: &mut Desk, trigger: Trigger) {
        for trace in self.traces.take_heaviest(u64::MAX) {
            self.decide(shared, desk, &trace, trigger);
        }
        self.publish(desk);
    }

    /// Tells the consumer what may be committed, and what the next owner has to know; and the desk
    /// what this partition holds. Said after whatever was done for it.
    pub(super) fn publish(&mut self, desk: &mut Desk) {
        self.tell_held(desk, self.held());
        let committable = self.watermark.committable();
        let clock = (committable.clock.0 > i64::MIN).then_some(committable.clock);
        let remembered = committable.clock.before(self.in_force.decision_cache_ttl);
        let log = self.log_positions.since(remembered);
        let metadata = CommitMetadata { clock, log: Some(log), topic: self.acquisition.topic() };
        self.acquisition.set_committable(committable.position, metadata);
    }

    /// Counts out what is still open: the partition's next owner reads it again.
    pub(super) fn abandon(&mut self, desk: &mut Desk) {
        self.tell_held(desk, Held::default());
        for trace in self.traces.take_all() {
            let amount = amount_of(&trace);
            desk.counts.revoked.add(amount);
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
