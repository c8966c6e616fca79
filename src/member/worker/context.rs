//! What a worker lends to the partition in hand: what all share, buffers that are used again, where
//! things are counted, and the outbox.

use std::sync::Arc;

use super::Shared;
use super::active_policies::ActivePolicies;
use super::counting::Counting;
use super::intake::Reader;
use super::outbound::Outbox;
use super::partition::Held;
use super::trial::Part;
use crate::otlp::Framer;
use crate::sampling::decided::DecidedTraces;

/// What is used by one partition after the other.
#[derive(Debug)]
pub(super) struct Context {
    /// What all workers of the process share.
    pub(super) shared: Arc<Shared>,
    /// The policies that the partitions judge and count by.
    pub(super) active: Arc<ActivePolicies>,
    /// What was counted and not posted yet.
    pub(super) counting: Counting,
    pub(super) outbox: Outbox,
    /// Taken out for as long as what it read is looked at.
    pub(super) reader: Option<Box<Reader>>,
    pub(super) framer: Framer,
    /// The part in a trial of policies, as long as there is one.
    pub(super) trial: Option<Box<Part>>,
    /// What the partitions hold together, as of when each was last published.
    pub(super) held: Held,
    /// Of that: how many decisions, and how much memory of this worker, when they were last posted.
    posted: Posted,
}

#[derive(Debug, Default)]
struct Posted {
    decisions: u64,
    memory: u64,
}

impl Context {
    pub(super) fn new(shared: Arc<Shared>, active: Arc<ActivePolicies>) -> Self {
        Self {
            counting: Counting::new(&active),
            framer: Framer::new(shared.max_chunk_bytes),
            shared,
            active,
            outbox: Outbox::default(),
            reader: None,
            trial: None,
            held: Held::default(),
            posted: Posted::default(),
        }
    }

    /// Judges and counts by these policies from now on; what was counted for others is posted.
    pub(super) fn switch(&mut self, active: Arc<ActivePolicies>) {
        self.counting = Counting::new(&active);
        self.active = active;
    }

    /// Posts the use of memory, which is what the partitions hold and what `waits` for exporters.
    pub(super) fn post_memory(&mut self, waits: u64) {
        let used = self.held.cost + waits;
        self.shared.memory.changed(self.posted.memory, used);
        self.posted.memory = used;
    }

    /// Posts what was counted.
    pub(super) fn post_counts(&mut self) {
        self.counting.enter_none_voted(&self.active.policies.set);
        let Counting { counts, opened, closed, .. } = &mut self.counting;
        let (opened, closed) = (std::mem::take(opened), std::mem::take(closed));
        let Shared { accounts, decision_room, .. } = &*self.shared;
        accounts.post(&self.active.counters, counts, opened, closed);
        if let Some(trial) = &mut self.trial {
            trial.post();
        }
        decision_room.changed(self.posted.decisions, self.held.decisions);
        self.posted.decisions = self.held.decisions;
        let decisions = decision_room.used();
        accounts.cache(decisions, decisions * DecidedTraces::ENTRY_BYTES as u64);
    }

    /// Hands letters to the producer, in order, as far as it has room.
    pub(super) fn send_letters(&mut self) {
        let letters = &mut self.outbox.letters;
        while let Some((letter, ticket)) = letters.front() {
            if self.shared.dead_letters.try_send(letter, *ticket).is_err() {
                break;
            }
            letters.pop_front();
        }
    }
}
