//! A worker: all state of some partitions, on one thread.
//!
//! Owns the order of things: due deadlines before the record that passes them, spans into traces,
//! complete traces to a decision, kept ones to the exporter, acks back to the watermark. Promises
//! that nothing of an ownership that ended has an effect; that nothing leaves before the decision
//! is on record; that when the exporter or the decision log is full, or it is not known whether
//! the partitions are still this process's, no more records are taken, while acks and rebalances
//! still are; and that policies change between two batches of records, for all its partitions at
//! once. Leaves what each step means to the modules it calls.

mod active_policies;
mod context;
mod counting;
mod decision_room;
mod gathering;
mod inquiry;
mod intake;
mod keeping;
mod latest;
mod liveness;
mod log;
mod outbound;
mod outcomes;
mod ownership;
mod partition;
mod reload;
mod reopening;
mod settlement;
mod shares;
mod stalls;
mod trial;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::clock;
use crate::export::{Ack, Exporter};
use crate::ids::Origin;
use crate::kafka::dead_letters::{DeadLetters, LetterTicket};
use crate::kafka::decision_log::{Log, LogEvent};
use crate::kafka::source::{
    Acquisition, CaughtUp, Event, Inbox, Partitions, Rebalance, RecordBatch,
};
use crate::member::routing::Routing;
use crate::telemetry::accounts::Accounts;
use crate::telemetry::latest::Latest;
use crate::telemetry::memory::Memory;

pub use active_policies::{ActivePolicies, PolicyWatch};
use context::Context;
pub use decision_room::DecisionRoom;
use gathering::Gathering;
pub use inquiry::{Inquiry, OpenFacts, PartitionFacts, TraceFacts};
pub use intake::Refusals;
pub use liveness::Liveness;
use outbound::Lanes;
pub use outcomes::Annotations;
use partition::PartitionState;
pub use reopening::{PartAnew, ReadAnew, Reread};
pub use settlement::ReadAgain;
use stalls::Stall;
pub use stalls::Stalls;
pub use trial::{Trial, TrialExample, TrialNotice, TriedPolicy};

/// How soon it is tried again to write to the decision log, or looked whether the membership is
/// confirmed.
const RETRY_WAIT: Duration = Duration::from_millis(50);

/// What all workers of the process share: many things, which have nothing else in common.
#[derive(Debug)]
pub struct Shared {
    /// When the process began its work: workers put decisions on record in step.
    pub epoch: Instant,
    /// The policies in force.
    pub policies: Arc<PolicyWatch>,
    /// The names of the exporters, in their order; never empty.
    pub exporters: Vec<String>,
    /// What is written on kept spans.
    pub annotations: Annotations,
    /// How far behind the wall clock the clock of a quiet partition stays.
    pub idle_grace: Duration,
    /// The largest chunk that every exporter takes.
    pub max_chunk_bytes: usize,
    /// Where decisions are put on record, unless that is switched off.
    pub log: Option<Arc<dyn Log>>,
    /// Who reads dropped traces again that late spans re-opened; nobody without a decision log.
    pub reread: Option<Arc<dyn Reread>>,
    /// Bytes of kept traces that may wait for the decision log in one worker.
    pub max_unrecorded_bytes: u64,
    /// The bound on decisions that are remembered.
    pub decision_room: DecisionRoom,
    /// How many workers take no records.
    pub stalls: Stalls,
    /// The bound on open traces.
    pub memory: Arc<Memory>,
    /// The accounts.
    pub accounts: Arc<Accounts>,
    /// Whether the topic keeps each trace in one partition.
    pub routing: Arc<Routing>,
    /// Logs records that are refused.
    pub refusals: Refusals,
    /// The traces that were decided last.
    pub latest: Arc<Latest>,
    /// Where refused records go.
    pub dead_letters: DeadLetters,
}

/// Tells a worker what became of something that it handed on, or asks it something.
#[derive(Debug)]
pub enum Notice {
    /// By the exporter with this number: what became of chunks.
    Acks(usize, Vec<Ack>),
    /// By the decision log: what is written, and what is read back.
    Log(LogEvent),
    /// By the producer of dead letters: one is written or given up.
    Letter(LetterTicket),
    /// By those who look at the member.
    Inquiry(Inquiry),
    /// By who reads re-opened traces again: one was.
    Reread(ReadAnew),
    /// By those who try policies on what passes.
    Trial(TrialNotice),
}

/// What a worker does next.
enum Next {
    Rebalance(Rebalance),
    Notice(Notice),
    /// Something that had no room may have some now, or has waited long enough for more to go with it.
    Feed,
    RevokeDeadline,
    Policies,
    Event(Event),
    Stop,
}

/// One worker. Its methods are many: one for each message that it may get, in the file of what that
/// is about.
#[derive(Debug)]
pub struct Worker {
    index: usize,
    ctx: Context,
    lanes: Lanes,
    gathering: Gathering,
    liveness: Arc<Liveness>,
    stalled_by: Option<Stall>,
    inbox: Inbox,
    /// No more comes than is under way, which the queues of the others bound.
    notices: mpsc::UnboundedReceiver<Notice>,
    /// Tells of policies that came into force.
    policies: watch::Receiver<Arc<ActivePolicies>>,
    /// Partitions of the topic, over which limits are shared out.
    topic_size: u32,
    partitions: Partitions<PartitionState>,
    /// One acquisition for each lease that the partitions are held under.
    leases: Vec<Arc<Acquisition>>,
}

impl Worker {
    /// A worker that owns nothing yet. `index` is how acks find it.
    pub fn new(
        index: usize,
        shared: Arc<Shared>,
        exporters: Vec<Exporter>,
        inbox: Inbox,
        notices: mpsc::UnboundedReceiver<Notice>,
    ) -> Self {
        let mut policies = shared.policies.follow();
        let gathering = Gathering::new(shared.epoch);
        let active = Arc::clone(&policies.borrow_and_update());
        Self {
            index,
            ctx: Context::new(shared, active),
            lanes: Lanes::new(exporters),
            gathering,
            liveness: Arc::default(),
            stalled_by: None,
            inbox,
            notices,
            policies,
            topic_size: 1,
            partitions: Partitions::default(),
            leases: Vec::new(),
        }
    }

    /// Its liveness.
    pub fn liveness(&self) -> Arc<Liveness> {
        Arc::clone(&self.liveness)
    }

    /// Runs until `stop` is cancelled, or its inbox is closed.
    pub async fn run(mut self, stop: CancellationToken) {
        let dead_letters = self.ctx.shared.dead_letters.clone();
        loop {
            let full = self.lanes.full();
            let is_full = full.is_some();
            let stall = self.stall(is_full);
            self.ctx.shared.stalls.changed(self.stalled_by, stall);
            self.stalled_by = stall;
            let is_free = stall.is_none();
            let has_unsent = !self.ctx.outbox.letters.is_empty();
            let has_to_retry = !is_free || self.ctx.outbox.has_to_retry();
            let log_due = self.gathering.next();
            let revoke_deadline = self.partitions.deadline();
            self.liveness.rest();
            let next = tokio::select! {
                biased;
                Some(rebalance) = self.inbox.rebalances.recv() => Next::Rebalance(rebalance),
                () = stop.cancelled() => Next::Stop,
                Some(notice) = self.notices.recv() => Next::Notice(notice),
                () = room(full), if is_full => Next::Feed,
                () = dead_letters.room(), if has_unsent => Next::Feed,
                () = tokio::time::sleep(RETRY_WAIT), if has_to_retry => Next::Feed,
                () = clock::until(log_due) => Next::Feed,
                () = clock::until(revoke_deadline) => Next::RevokeDeadline,
                Ok(()) = self.policies.changed(), if is_free => Next::Policies,
                Some(event) = self.inbox.events.recv(), if is_free => Next::Event(event),
                else => Next::Stop,
            };
            self.liveness.work();
            match next {
                Next::Rebalance(rebalance) => self.rebalance(rebalance),
                Next::Notice(Notice::Acks(exporter, acks)) => self.acknowledge(exporter, acks),
                Next::Notice(Notice::Log(event)) => self.told_by_log(event),
                Next::Notice(Notice::Letter(ticket)) => self.letter_settled(ticket),
                Next::Notice(Notice::Inquiry(inquiry)) => self.answer(inquiry),
                Next::Notice(Notice::Reread(anew)) => self.told_of_reread(&anew),
                Next::Notice(Notice::Trial(notice)) => self.told_of_trial(notice),
                Next::Feed => self.feed(),
                Next::RevokeDeadline => self.finish_revocations(),
                Next::Policies => self.switch(),
                Next::Event(Event::Records(batch)) => self.take_in(batch),
                Next::Event(Event::CaughtUp(partitions)) => self.run_clocks_on(&partitions),
                Next::Event(Event::LogGone(gone)) => self.log_gone(gone),
                Next::Stop => break,
            }
        }
        self.liveness.rest();
        self.ctx.shared.stalls.changed(self.stalled_by, None);
        // After an orderly stop nothing is left. After a crash what is lost will be read again.
        for state in self.partitions.take_all() {
            self.forget(state);
        }
        self.post();
        debug!(worker = self.index, "worker.stopped");
    }

    /// Why no records may be taken, if so; `is_full` says that an exporter is.
    fn stall(&self, is_full: bool) -> Option<Stall> {
        if self.is_suspended() {
            return Some(Stall::Lease);
        }
        if is_full {
            return Some(Stall::Export);
        }
        if !self.ctx.outbox.letters.is_empty() {
            return Some(Stall::DeadLetter);
        }
        self.is_behind_on_record().then_some(Stall::DecisionLog)
    }

    fn take_in(&mut self, batch: RecordBatch) {
        self.keep_up();
        let ctx = &mut self.ctx;
        if let Some(state) = self.partitions.current(batch.partition, batch.generation) {
            if let Some(reading_back) = &mut state.reading_back {
                reading_back.parked.push_back(batch.copied());
                return;
            }
            state.make_room(&ctx.shared.decision_room);
            for record in batch.records() {
                state.take_in(ctx, &record);
            }
            state.sampler.forget_old();
            state.publish(ctx);
        }
        // Its room in the inbox is free from here on.
        drop(batch);
        self.relieve_memory();
        self.feed();
        self.post();
    }

    /// Quiet partitions: the wall clock carries theirs on.
    fn run_clocks_on(&mut self, caught_up: &[CaughtUp]) {
        self.keep_up();
        let ctx = &mut self.ctx;
        for quiet in caught_up {
            let state = self.partitions.current(quiet.partition, quiet.generation);
            if let Some(state) = state.filter(|state| state.reading_back.is_none()) {
                state.make_room(&ctx.shared.decision_room);
                state.caught_up(ctx, quiet);
                state.sampler.forget_old();
            }
        }
        self.feed();
        self.post();
    }

    fn acknowledge(&mut self, exporter: usize, acks: Vec<Ack>) {
        let ctx = &mut self.ctx;
        // Those of a partition come in runs.
        for run in acks.chunk_by(|one, next| one.ticket.origin == next.ticket.origin) {
            let Origin { partition, generation, .. } = run[0].ticket.origin;
            let Some(state) = self.partitions.get(partition, generation) else { continue };
            for Ack { ticket, refusal, .. } in run {
                let Context { shared, outbox, .. } = &mut *ctx;
                match refusal {
                    // Without a topic for it, it was counted and logged, and that is the end of it.
                    Some(refusal) if shared.dead_letters.is_open() => {
                        let name = shared.exporters.get(exporter).map_or("", String::as_str);
                        state.settlement.chunk_refused(ticket.delivery, name, refusal, outbox);
                    }
                    _ => state.settlement.chunk_settled(ticket.delivery, outbox),
                }
            }
            state.publish(ctx);
        }
        self.feed();
        self.go_on_with_revocations();
    }

    /// A letter is settled, of a partition that may be gone.
    fn letter_settled(&mut self, ticket: LetterTicket) {
        let LetterTicket { origin: Origin { partition, generation, .. }, waiter } = ticket;
        if let Some(state) = self.partitions.get(partition, generation) {
            state.settlement.letter_settled(waiter, &mut self.ctx.outbox);
            state.publish(&mut self.ctx);
            self.feed();
            self.go_on_with_revocations();
        }
    }

    /// Hands on what the partitions have for the decision log, the exporters and the dead letters.
    fn feed(&mut self) {
        self.feed_log();
        self.ctx.outbox.chunks.drain(..).for_each(|outbound| self.lanes.push(outbound));
        self.lanes.feed();
        self.ctx.send_letters();
        self.ctx.send_read_again();
    }

    /// At the memory bound: gives the heaviest traces an early decision.
    fn relieve_memory(&mut self) {
        self.ctx.post_memory(self.lanes.waiting_bytes());
        let Some(share) = self.ctx.shared.memory.excess() else { return };
        for state in self.partitions.current_states() {
            state.relieve(&mut self.ctx, share);
        }
    }

    fn post(&mut self) {
        self.ctx.post_memory(self.lanes.waiting_bytes());
        self.ctx.post_counts();
    }
}

/// Waits until an exporter has room.
async fn room(full: Option<(Exporter, usize)>) {
    match full {
        Some((exporter, bytes)) => exporter.room(bytes).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
