//! What a worker has at hand: buffers that are used again, and what was counted and not posted.

use std::collections::VecDeque;

use crate::ids::Partition;
use crate::kafka::dead_letters::{Letter, LetterTicket};
use crate::kafka::decision_log::{self, LogBatch};
use crate::otlp::encoding::Decoder;
use crate::otlp::{Framer, Scan};
use crate::sampling::policy::{
    Decision, InEffect, LeafIndex, Observer, PolicyIndex, PolicySet, Said,
};
use crate::telemetry::accounts::{Amount, Counts};

use super::in_force::InForce;
use super::outbound::Outbound;
use super::partition::Held;

/// What is used again from record to record, and what was counted.
#[derive(Debug)]
pub(super) struct Desk {
    /// Taken out for as long as its results are read.
    pub(super) scan: Option<Box<Scan>>,
    /// Taken out for as long as what it decoded is read; made for the first value that needs it.
    pub(super) decoder: Option<Box<Decoder>>,
    pub(super) framer: Framer,
    pub(super) counts: Counts,
    /// What shadow policies said of the trace in hand.
    shadows: Vec<(PolicyIndex, Said)>,
    /// What the others said of it.
    in_effect: InEffect,
    pub(super) opened: Amount,
    pub(super) closed: Amount,
    /// What the partitions hold together, as of when each was last published.
    pub(super) held: Held,
    /// What this worker's use of memory was when it was last posted.
    pub(super) memory_posted: u64,
    /// Letters that the dead-letter producer has no room for. While there are any, no records are
    /// taken: there are never more than those of one batch.
    pub(super) unsent: VecDeque<(Letter, LetterTicket)>,
    /// Chunks of traces kept since the exporter was last fed.
    pub(super) kept: Vec<Outbound>,
    /// Partitions with decisions that wait for others to be put on record with.
    pub(super) open_lines: Vec<Partition>,
    /// Records that the decision log has not taken yet.
    pub(super) lines: VecDeque<(decision_log::LogTicket, LogBatch)>,
}

impl Desk {
    pub(super) fn new(in_force: &InForce, max_chunk_bytes: usize) -> Self {
        let mut desk = Self {
            scan: None,
            decoder: None,
            framer: Framer::new(max_chunk_bytes),
            counts: Counts::default(),
            shadows: Vec::new(),
            in_effect: InEffect::default(),
            opened: Amount::default(),
            closed: Amount::default(),
            held: Held::default(),
            memory_posted: 0,
            unsent: VecDeque::new(),
            kept: Vec::new(),
            open_lines: Vec::new(),
            lines: VecDeque::new(),
        };
        desk.count_for(in_force);
        desk
    }

    /// True if decisions wait to be handed to the log.
    pub(super) fn has_to_record(&self) -> bool {
        !self.open_lines.is_empty() || !self.lines.is_empty()
    }

    /// Counts for these policies from now on; what was counted for others is posted.
    pub(super) fn count_for(&mut self, in_force: &InForce) {
        self.counts = in_force.counts();
        self.shadows = Vec::with_capacity(in_force.policies.names().count());
    }

    /// Writes down who says what of the trace in hand.
    pub(super) fn votes<'a>(&'a mut self, policies: &'a PolicySet) -> Votes<'a> {
        let Self { counts, shadows, in_effect, .. } = self;
        shadows.clear();
        *in_effect = InEffect::default();
        Votes { policies, counts, shadows, in_effect }
    }

    /// Counts what became of a trace that `policies` decided.
    pub(super) fn account(&mut self, policies: &PolicySet, decision: &Decision, amount: Amount) {
        let Self { counts, shadows, in_effect, .. } = self;
        match decision {
            Decision::Drop { policy: None } => counts.unwanted.add(amount),
            Decision::Drop { policy: Some(policy) } => {
                counts.policies[usize::from(policy.0)].dropped.add(amount);
            }
            Decision::Keep { policy, leaf, .. } => {
                counts.policies[usize::from(policy.0)].kept.add(amount);
                if let Some(leaf) = leaf {
                    counts.leaves[usize::from(leaf.0)].kept.add(amount);
                }
            }
        }
        for (policy, said) in shadows.drain(..) {
            let shadow = &mut counts.policies[usize::from(policy.0)];
            match in_effect.changed_by(policies, policy, said) {
                Some(Said::Keep) => shadow.shadow_kept.add(amount),
                Some(Said::Drop) => shadow.shadow_dropped.add(amount),
                _ => {}
            }
        }
    }
}

/// Counts who said what.
pub(super) struct Votes<'a> {
    policies: &'a PolicySet,
    counts: &'a mut Counts,
    shadows: &'a mut Vec<(PolicyIndex, Said)>,
    in_effect: &'a mut InEffect,
}

impl Observer for Votes<'_> {
    fn voted(&mut self, policy: PolicyIndex, said: Said) {
        // In the order of `VOTES`.
        self.counts.policies[usize::from(policy.0)].votes[said as usize] += 1;
        if !self.policies.is_shadow(policy) {
            self.in_effect.enter(self.policies, policy, said);
        } else if said != Said::None {
            self.shadows.push((policy, said));
        }
    }

    fn failed(&mut self, policy: PolicyIndex) {
        self.counts.policies[usize::from(policy.0)].errors += 1;
    }

    fn leaf_voted(&mut self, leaf: LeafIndex) {
        self.counts.leaves[usize::from(leaf.0)].votes += 1;
    }
}
