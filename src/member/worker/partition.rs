//! One partition under one ownership: its sampler, and what is not settled of it.

use std::collections::VecDeque;
use std::sync::Arc;

use tracing::Span;

use super::context::Context;
use super::decision_room::DecisionRoom;
use super::intake::Value;
use super::outcomes::Outcomes;
use super::settlement::Settlement;
use crate::ids::{Origin, Partition, Position, Timestamp};
use crate::kafka::decision_log::OwnerId;
use crate::kafka::source::{
    Acquisition, CaughtUp, CommitMetadata, Record, RecordBatch, Revocation,
};
use crate::sampling::sampler::Sampler;
use crate::sampling::trace::{OpenTrace, TRACE_OVERHEAD, Trigger};

/// What waits until it is known what was decided before.
#[derive(Debug)]
pub(super) struct ReadingBack {
    /// The records that came meanwhile.
    pub(super) parked: VecDeque<RecordBatch>,
    /// The records on the topic are gone, which is seen to then.
    pub(super) gone: Option<Revocation>,
    /// The span that ends when it is known.
    pub(super) takeover: Span,
}

impl ReadingBack {
    /// Nothing has come yet.
    pub(super) fn new(takeover: Span) -> Self {
        Self { parked: VecDeque::new(), gone: None, takeover }
    }
}

#[derive(Debug)]
pub(super) struct PartitionState {
    pub(super) origin: Origin,
    pub(super) acquisition: Arc<Acquisition>,
    /// Its owner id in the decision log.
    pub(super) owner: OwnerId,
    /// Until the decision log is read back: nothing of the partition is judged.
    pub(super) reading_back: Option<ReadingBack>,
    pub(super) sampler: Sampler,
    pub(super) settlement: Settlement,
    /// What it held when the worker was last told.
    held_told: Held,
}

/// What partitions hold in memory.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    /// Bytes that count against the memory bound.
    pub(super) cost: u64,
    /// Of these: those of kept traces that wait for the decision log.
    pub(super) unrecorded: u64,
    /// How many decisions are remembered, which have a bound of their own.
    pub(super) decisions: u64,
}

impl Held {
    /// A part of it is `now` what was `before`.
    fn change(&mut self, before: Self, now: Self) {
        self.cost = self.cost + now.cost - before.cost;
        self.unrecorded = self.unrecorded + now.unrecorded - before.unrecorded;
        self.decisions = self.decisions + now.decisions - before.decisions;
    }
}

impl PartitionState {
    /// A partition that `worker` keeps, of a topic with `topic_size` of them.
    pub(super) fn new(
        ctx: &Context,
        (worker, partition, acquisition): (usize, Partition, Arc<Acquisition>),
        (start, metadata): (Position, CommitMetadata),
        topic_size: u32,
    ) -> Self {
        let clock = metadata.clock.unwrap_or(Timestamp(i64::MIN));
        let origin = Origin { worker, partition, generation: acquisition.generation };
        let owner = OwnerId::draw();
        let writer = ctx.shared.log.as_ref().map(|log| (log.group(), owner));
        let log = metadata.log.unwrap_or(Position(0));
        Self {
            origin,
            acquisition,
            owner,
            reading_back: None,
            sampler: Sampler::new(&ctx.active.policies, clock, topic_size),
            settlement: Settlement::new(origin, writer, (start, clock), log),
            held_told: Held::default(),
        }
    }

    /// The sampler, and what takes what comes out of it.
    pub(super) fn sampling<'a>(
        &'a mut self,
        ctx: &'a mut Context,
    ) -> (&'a mut Sampler, Outcomes<'a>) {
        let Context { shared, active, counting, framer, outbox, trial, .. } = ctx;
        let (settlement, trial) = (&mut self.settlement, trial.as_deref_mut());
        let outcomes = Outcomes { shared, active, counting, framer, settlement, outbox, trial };
        (&mut self.sampler, outcomes)
    }

    /// Handles one record: what is due before it, then its spans.
    pub(super) fn take_in(&mut self, ctx: &mut Context, record: &Record<'_>) {
        if record.offset.next() <= self.settlement.watermark.next() {
            ctx.counting.counts.repeated_records += 1;
            return;
        }
        self.advance_clock(ctx, record.timestamp);
        self.settlement.watermark.read(record.offset, self.sampler.clock());
        ctx.counting.counts.records += 1;
        let mut reader = ctx.reader.take().unwrap_or_default();
        let keys = &self.sampler.policies().keys;
        match reader.read(record.value, keys, &mut ctx.counting.counts) {
            Ok(value) => self.take_in_spans(ctx, record, &value),
            Err(why) => self.refuse(ctx, record, &why),
        }
        ctx.reader = Some(reader);
        self.sampler.passed(self.settlement.watermark.next());
    }

    fn take_in_spans(&mut self, ctx: &mut Context, record: &Record<'_>, value: &Value<'_>) {
        self.refuse_spans(ctx, record, value);
        let scanned = value.of(record);
        if let Some(first) = scanned.found.spans.first() {
            let id = first.trace_id;
            let is_alone = scanned.found.spans.iter().all(|span| span.trace_id == id);
            let (partition, counts) = (self.origin.partition, &mut ctx.counting.counts);
            ctx.shared.routing.check(partition, record.key, id, is_alone, counts);
        }
        let (sampler, mut outcomes) = self.sampling(ctx);
        sampler.take_in(&scanned, &mut outcomes);
        if let Some(header) = record.keep {
            self.requested(ctx, record, header);
        }
        self.settlement.taken_in(&mut ctx.outbox);
    }

    /// Moves the clock, and decides what falls due.
    pub(super) fn advance_clock(&mut self, ctx: &mut Context, now: Timestamp) {
        let (sampler, mut outcomes) = self.sampling(ctx);
        sampler.advance_clock(now, &mut outcomes);
    }

    /// There is nothing to read: the wall clock carries the partition's on.
    pub(super) fn caught_up(&mut self, ctx: &mut Context, quiet: &CaughtUp) {
        if self.settlement.watermark.next() > quiet.position {
            return;
        }
        let now = self.sampler.clock().max(quiet.at.before(ctx.shared.idle_grace));
        self.settlement.watermark.skip_to(quiet.position, now);
        self.sampler.passed(quiet.position);
        self.advance_clock(ctx, now);
        self.publish(ctx);
    }

    /// Remembers no more decisions than there is room for.
    pub(super) fn make_room(&mut self, room: &DecisionRoom) {
        self.sampler.set_decision_room(room.of_partition(self.held_told.decisions));
    }

    /// Decides what fell due.
    pub(super) fn decide_due(&mut self, ctx: &mut Context) {
        let (sampler, mut outcomes) = self.sampling(ctx);
        sampler.decide_due(&mut outcomes);
        self.publish(ctx);
    }

    /// Decides the heaviest traces early, until `share` of this partition's bytes is free.
    pub(super) fn relieve(&mut self, ctx: &mut Context, share: f64) {
        let (sampler, mut outcomes) = self.sampling(ctx);
        sampler.relieve(share, &mut outcomes);
        self.publish(ctx);
    }

    /// Decides everything that is open, on what there is of it.
    pub(super) fn decide_all(&mut self, ctx: &mut Context, trigger: Trigger) {
        let (sampler, mut outcomes) = self.sampling(ctx);
        sampler.decide_all(trigger, &mut outcomes);
        self.publish(ctx);
    }

    /// Tells the consumer what may be committed, and what the next owner has to know; and the worker
    /// what this partition holds. Called after each change.
    pub(super) fn publish(&mut self, ctx: &mut Context) {
        let unrecorded = self.settlement.unrecorded_bytes();
        let cost = self.sampler.bytes() + unrecorded;
        let decisions = self.sampler.decision_memory().latest().len() as u64;
        self.tell_held(ctx, Held { cost, unrecorded, decisions });
        let committable = self.settlement.watermark.committable();
        let clock = (committable.clock.0 > i64::MIN).then_some(committable.clock);
        let ttl = self.sampler.policies().decision_cache_ttl;
        let log = self.settlement.recording.since(committable.clock.before(ttl));
        let metadata = CommitMetadata { clock, log: Some(log), topic: self.acquisition.topic() };
        self.acquisition.set_committable(committable.position, metadata);
    }

    /// Tells the worker what the partition holds now.
    fn tell_held(&mut self, ctx: &mut Context, now: Held) {
        ctx.held.change(self.held_told, now);
        self.held_told = now;
    }

    /// Counts open traces as revoked: the partition's next owner reads them again.
    pub(super) fn abandon(&mut self, ctx: &mut Context) {
        self.tell_held(ctx, Held::default());
        self.sampler.abandon().iter().for_each(|trace| ctx.counting.abandoned(trace));
    }
}

const _: () = assert!(
    size_of::<OpenTrace>() < TRACE_OVERHEAD as usize,
    "an open trace costs more than it is accounted for"
);
