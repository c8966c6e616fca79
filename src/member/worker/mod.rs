//! A worker: all state of some partitions, on one thread.
//!
//! Owns the order of things: due deadlines before the record that passes them, spans into traces,
//! complete traces to a decision, kept ones to the exporter, acks back to the watermark. Promises
//! that nothing of an ownership that ended has an effect; that nothing leaves before the decision
//! is on record; that when the exporter or the decision log is full, or it is not known whether
//! the partitions are still this process's, no more records are taken, while acks and rebalances
//! still are; and that policies change between two batches of records, for all its partitions at
//! once. Leaves what each step means to the modules it calls.

mod arrivals;
mod decide;
mod deliver;
mod desk;
mod gather;
mod handover;
mod in_force;
mod outbound;
mod partition;
mod pulse;
mod recording;
mod recover;
mod refuse;
mod remembered;
mod replay;
mod runs;
mod shares;
mod switch;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::export::{Ack, Exporter};
use crate::ids::{Generation, Partition};
use crate::kafka::dead_letters::{DeadLetters, LetterTicket};
use crate::kafka::decision_log::{Log, LogEvent};
use crate::kafka::source::{Acquisition, CaughtUp, Event, Inbox, Rebalance, RecordBatch};
use crate::member::routing::Routing;
use crate::sampling::trace::DecidedTraces;
use crate::telemetry::accounts::Accounts;
use crate::telemetry::memory::Memory;

pub use decide::{Annotations, Remembered};
use desk::Desk;
pub use gather::{ask_resource, gather, keys_for};
pub use in_force::{InForce, PoliciesInForce};
use outbound::Lanes;
use partition::PartitionState;
use pulse::Stall;
pub use pulse::{Pulse, Stalls};
pub use refuse::Refusals;
use refuse::send_letters;
use remembered::RememberedTraces;
pub use runs::{SpanRun, next_run};

/// How soon it is tried again to write to the decision log, or looked whether the membership is
/// confirmed.
const RETRY_WAIT: Duration = Duration::from_millis(50);

/// What all workers of the process share.
#[derive(Debug)]
pub struct Shared {
    /// The policies in force.
    pub policies: Arc<PoliciesInForce>,
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
    /// Bytes of kept traces that may wait for the decision log in one worker.
    pub max_unrecorded_bytes: u64,
    /// The traces decided lately.
    pub decided: DecidedTraces<Remembered>,
    /// How many workers take no records.
    pub stalls: Stalls,
    /// The bound on open traces.
    pub memory: Arc<Memory>,
    /// The accounts.
    pub accounts: Arc<Accounts>,
    /// Whether the topic keeps each trace in one partition.
    pub routing: Arc<Routing>,
    /// What is said of records that are refused.
    pub refusals: Refusals,
    /// Where they go.
    pub dead_letters: DeadLetters,
}

/// Where a worker is told what became of what it handed on.
#[derive(Debug)]
pub struct Told {
    /// By the exporters, each of which has a number.
    pub acks: mpsc::UnboundedReceiver<(usize, Vec<Ack>)>,
    /// By the decision log.
    pub log: mpsc::UnboundedReceiver<LogEvent>,
    /// By the producer of dead letters.
    pub letters: mpsc::UnboundedReceiver<LetterTicket>,
}

/// What a worker does next.
enum Next {
    Rebalance(Rebalance),
    Acks(usize, Vec<Ack>),
    Log(LogEvent),
    Letter(LetterTicket),
    /// Something that had no room may have some now.
    Room,
    RevokeDeadline,
    Policies,
    Event(Event),
    Stop,
}

/// One worker. Runs until its inbox is closed.
#[derive(Debug)]
pub struct Worker {
    index: usize,
    shared: Arc<Shared>,
    lanes: Lanes,
    pulse: Arc<Pulse>,
    stalled_by: Option<Stall>,
    inbox: Inbox,
    told: Told,
    /// Tells of policies that came into force.
    policies: watch::Receiver<Arc<InForce>>,
    /// Those that the partitions judge by and the counts is of.
    in_force: Arc<InForce>,
    /// Partitions of the topic, over which limits are shared out.
    topic_size: u32,
    partitions: HashMap<Partition, PartitionState>,
    /// Those that are being given up: these have a revocation.
    revoking: Vec<Partition>,
    /// One acquisition for each lease that the partitions are held under.
    leases: Vec<Arc<Acquisition>>,
    /// What partitions that are gone have in the decision cache.
    left: Vec<RememberedTraces>,
    desk: Desk,
}

impl Worker {
    /// A worker that owns nothing yet. `index` is how acks find it.
    pub fn new(
        index: usize,
        shared: Arc<Shared>,
        exporters: Vec<Exporter>,
        inbox: Inbox,
        told: Told,
    ) -> Self {
        let mut policies = shared.policies.follow();
        let in_force = Arc::clone(&policies.borrow_and_update());
        let desk = Desk::new(&in_force, shared.max_chunk_bytes);
        let partitions = HashMap::new();
        Self {
            index,
            shared,
            lanes: Lanes::new(exporters),
            pulse: Arc::default(),
            stalled_by: None,
            inbox,
            told,
            policies,
            in_force,
            topic_size: 1,
            partitions,
            revoking: Vec::new(),
            leases: Vec::new(),
            left: Vec::new(),
            desk,
        }
    }

    /// Its sign of life.
    pub fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    /// Works until `stop` is called off.
    pub async fn run(mut self, stop: CancellationToken) {
        let dead_letters = self.shared.dead_letters.clone();
        loop {
            let full = self.lanes.full();
            let is_full = full.is_some();
            let stall = self.stall(is_full);
            self.shared.stalls.changed(self.stalled_by, stall);
            self.stalled_by = stall;
            let is_free = stall.is_none();
            let has_unsent = !self.desk.unsent.is_empty();
            let has_to_retry = !is_free || self.desk.has_to_record();
            let revoke_deadline = self.revoke_deadline();
            self.pulse.rest();
            let next = tokio::select! {
                biased;
                Some(rebalance) = self.inbox.rebalances.recv() => Next::Rebalance(rebalance),
                () = stop.cancelled() => Next::Stop,
                Some((exporter, acks)) = self.told.acks.recv() => Next::Acks(exporter, acks),
                Some(event) = self.told.log.recv() => Next::Log(event),
                Some(ticket) = self.told.letters.recv() => Next::Letter(ticket),
                () = room(full), if is_full => Next::Room,
                () = dead_letters.room(), if has_unsent => Next::Room,
                () = tokio::time::sleep(RETRY_WAIT), if has_to_retry => Next::Room,
                () = until(revoke_deadline) => Next::RevokeDeadline,
                Ok(()) = self.policies.changed(), if is_free => Next::Policies,
                Some(event) = self.inbox.events.recv(), if is_free => Next::Event(event),
                else => Next::Stop,
            };
            self.pulse.work();
            match next {
                Next::Rebalance(rebalance) => self.rebalance(rebalance),
                Next::Acks(exporter, acks) => self.acknowledge(exporter, acks),
                Next::Log(event) => self.told_by_log(event),
                Next::Letter(ticket) => self.letter_settled(ticket),
                Next::Room => self.feed(),
                Next::RevokeDeadline => self.finish_revocations(),
                Next::Policies => self.switch(),
                Next::Event(Event::Records(batch)) => self.take_in(batch),
                Next::Event(Event::CaughtUp(partitions)) => self.run_clocks_on(&partitions),
                Next::Event(Event::LogGone(gone)) => self.log_gone(gone),
                Next::Stop => break,
            }
        }
        self.pulse.rest();
        self.shared.stalls.changed(self.stalled_by, None);
        // After an orderly stop nothing is left. After a crash what is lost will be read again.
        for (_, state) in std::mem::take(&mut self.partitions) {
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
        if !self.desk.unsent.is_empty() {
            return Some(Stall::DeadLetter);
        }
        self.is_behind_on_record().then_some(Stall::DecisionLog)
    }

    fn take_in(&mut self, batch: RecordBatch) {
        self.keep_up();
        if let Some(state) = current(&mut self.partitions, batch.partition, batch.generation) {
            if let Some(parked) = &mut state.recovering {
                parked.push_back(batch);
                return;
            }
            for record in batch.records() {
                state.take_in(&self.shared, &mut self.desk, &record);
            }
            state.forget_old(&self.shared);
            state.publish(&mut self.desk);
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
        for quiet in caught_up {
            let state = current(&mut self.partitions, quiet.partition, quiet.generation);
            if let Some(state) = state.filter(|state| state.recovering.is_none()) {
                state.caught_up(&self.shared, &mut self.desk, quiet);
                state.forget_old(&self.shared);
            }
        }
        self.feed();
        self.post();
    }

    fn acknowledge(&mut self, exporter: usize, acks: Vec<Ack>) {
        let (shared, desk) = (&self.shared, &mut self.desk);
        let of = |ack: &Ack| (ack.ticket.partition, ack.ticket.generation);
        // Those of a partition come in runs.
        for run in acks.chunk_by(|one, next| of(one) == of(next)) {
            let (partition, generation) = of(&run[0]);
            let state = current_or_revoked(&mut self.partitions, partition, generation);
            let Some(state) = state else { continue };
            for Ack { ticket, refusal, .. } in run {
                let is_a_letter = refusal.as_ref().is_some_and(|refusal| {
                    state.refused(shared, desk, ticket.delivery, exporter, refusal)
                });
                if !is_a_letter {
                    state.settled(shared, desk, ticket.delivery);
                }
            }
            state.publish(desk);
        }
        self.feed();
        self.go_on_with_revocations();
    }

    /// Hands on what the partitions have for the decision log and the exporter.
    fn feed(&mut self) {
        self.feed_log();
        self.feed_exporters();
        send_letters(&self.shared.dead_letters, &mut self.desk);
    }

    /// Hands kept traces to the exporters, in order, as far as they have room.
    fn feed_exporters(&mut self) {
        self.desk.kept.drain(..).for_each(|outbound| self.lanes.push(outbound));
        self.lanes.feed();
    }

    /// At the memory bound: gives the heaviest traces an early decision.
    fn relieve_memory(&mut self) {
        self.post_memory();
        let Some(share) = self.shared.memory.excess() else { return };
        for state in self.partitions.values_mut() {
            if state.revocation.is_none() {
                state.relieve(&self.shared, &mut self.desk, share);
            }
        }
    }

    fn post_memory(&mut self) {
        let used = self.desk.held.cost + self.lanes.waiting_bytes();
        self.shared.memory.changed(self.desk.memory_posted, used);
        self.desk.memory_posted = used;
    }

    fn post(&mut self) {
        self.forget_what_is_left();
        self.post_memory();
        let Desk { counts, opened, closed, .. } = &mut self.desk;
        let (opened, closed) = (std::mem::take(opened), std::mem::take(closed));
        self.shared.accounts.post(&self.in_force.counters, counts, opened, closed);
        let decided = &self.shared.decided;
        self.shared.accounts.cache(decided.len(), decided.bytes());
    }
}

/// The state of a partition, if `generation` is its current one and it is not being given up.
fn current(
    partitions: &mut HashMap<Partition, PartitionState>,
    partition: Partition,
    generation: Generation,
) -> Option<&mut PartitionState> {
    current_or_revoked(partitions, partition, generation).filter(|state| state.revocation.is_none())
}

fn current_or_revoked(
    partitions: &mut HashMap<Partition, PartitionState>,
    partition: Partition,
    generation: Generation,
) -> Option<&mut PartitionState> {
    partitions.get_mut(&partition).filter(|state| state.generation() == generation)
}

/// Waits until an exporter has room.
async fn room(full: Option<(Exporter, usize)>) {
    match full {
        Some((exporter, bytes)) => exporter.room(bytes).await,
        None => std::future::pending().await,
    }
}

/// Waits until `deadline`; for ever if there is none.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
