//! What was decided of the traces of one partition, so that whatever else comes of them follows it.
//!
//! Owns the decisions of this ownership, bounded in time and number ([`DecidedTraces`]), and those
//! that were made before it of records that are read again ([`PriorDecisions`]). Promises that a
//! span finds the decision that covers its record, or the last one that began before it; so what a
//! span follows depends on the partition's log alone, except where the bound forgot a decision.
//! Leaves to others what is done with a span that follows.

mod details;
mod entries;
mod prior;
mod table;
mod verdicts;

use std::sync::Arc;
use std::time::Duration;

use crate::ids::{Offset, Position, Timestamp, TraceId};
use crate::otlp::probability::Threshold;
use crate::sampling::trace::Trigger;

pub use details::TraceDetails;
pub use prior::PriorDecisions;
pub use table::DecidedTraces;

/// What was decided of a trace. Policies may have changed since, so it refers to none of theirs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SamplingDecision {
    /// It was dropped.
    Dropped,
    /// It was kept.
    Kept(Kept),
}

/// Why a trace was kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kept {
    /// The name of the policy on whose account.
    pub policy: Arc<str>,
    /// The threshold it passed.
    pub threshold: Threshold,
    /// Whether that threshold says what the chance was.
    pub consistent: bool,
}

impl Kept {
    /// The chance with which it was kept, as far as that is known.
    pub fn probability(&self) -> Option<f64> {
        let is_known = self.consistent || self.threshold != Threshold::NEVER;
        is_known.then(|| self.threshold.probability())
    }

    /// Since somebody asked for it: by no policy, and nothing is said of the chance.
    pub fn on_request() -> Self {
        let (policy, threshold) = (Arc::from(RESTORED), Threshold::NEVER);
        Self { policy, threshold, consistent: false }
    }
}

/// What stands in place of a policy's name where a trace is kept since somebody asked for it.
const RESTORED: &str = "tailsieve.restored";

/// A decision, as it is remembered and put on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionRecord {
    /// The trace.
    pub trace_id: TraceId,
    /// What was decided.
    pub decision: SamplingDecision,
    /// The policy that dropped it, if one did; of kept ones the decision says it.
    pub dropped_by: Option<Arc<str>>,
    /// The first record with spans of the trace.
    pub first: Offset,
    /// The last record that the decision covers.
    pub last: Offset,
    /// The partition's clock at the decision.
    pub at: Timestamp,
    /// Why it was decided then.
    pub trigger: Trigger,
    /// Every backend has taken what the decision covers. Only the decision log says so: of what is
    /// remembered it is not known.
    pub delivered: bool,
}

impl DecisionRecord {
    /// The policy by which it was decided, if there is one.
    pub fn policy(&self) -> Option<&Arc<str>> {
        match &self.decision {
            SamplingDecision::Kept(kept) => Some(&kept.policy),
            SamplingDecision::Dropped => self.dropped_by.as_ref(),
        }
    }

    /// The chance with which it was kept, as far as that is known; none if it was dropped.
    pub fn probability(&self) -> Option<f64> {
        match &self.decision {
            SamplingDecision::Kept(kept) => kept.probability(),
            SamplingDecision::Dropped => None,
        }
    }
}

/// All that is known of what was decided in a partition.
#[derive(Debug, Default)]
pub struct DecisionMemory {
    /// Of each trace the decision that began last.
    latest: DecidedTraces,
    prior: PriorDecisions,
}

impl DecisionMemory {
    /// Remembers a decision that is made now.
    pub fn made(&mut self, recorded: &DecisionRecord) {
        if self.prior.are_read_again() {
            self.insert_in_order(recorded);
        } else {
            self.latest.insert(recorded);
        }
    }

    /// Learns a decision that an earlier owner made; reading starts at `start`. Late spans follow
    /// it only if it is `fresh`.
    pub fn learn(&mut self, start: Position, recorded: &DecisionRecord, fresh: bool) {
        if fresh {
            self.insert_in_order(recorded);
        }
        self.prior.learn(start, recorded);
    }

    /// While others of its trace may be known that were made earlier or later: at hand is the one
    /// that begins last, and what is read again of before then finds the others.
    fn insert_in_order(&mut self, recorded: &DecisionRecord) {
        match self.latest.get(recorded.trace_id) {
            Some(known) if known.first > recorded.first => {
                self.prior.learn_earlier(recorded.clone());
            }
            Some(known) if known.first < recorded.first => {
                self.prior.learn_earlier(known);
                self.latest.insert(recorded);
            }
            _ => self.latest.insert(recorded),
        }
    }

    /// The decision of an earlier owner that covers the spans of a trace in the record at `offset`,
    /// which is read again.
    pub fn covering(&self, id: TraceId, offset: Offset) -> Option<&DecisionRecord> {
        self.prior.covering(id, offset)
    }

    /// What late spans of the record at `offset` follow: a decision made no longer than `ttl`
    /// before `now`.
    pub fn followed(
        &self,
        id: TraceId,
        offset: Offset,
        now: Timestamp,
        ttl: Duration,
    ) -> Option<DecisionRecord> {
        let is_good = |recorded: &DecisionRecord| now.since(recorded.at) <= ttl;
        let latest = self.latest.get(id).filter(is_good)?;
        if latest.first <= offset {
            return Some(latest);
        }
        // It was made of records that come after this one, which is read again.
        self.prior.earlier(id, offset).filter(|earlier| is_good(earlier)).cloned()
    }

    /// True if a known decision takes back that the trace was dropped by one that began at `first`: the next
    /// one re-opened it, or a later one restored it.
    pub fn is_taken_back(&self, id: TraceId, first: Offset) -> bool {
        let latest = self.latest.get(id);
        take_back(self.prior.of(id).chain(&latest).filter(|known| known.first > first))
    }

    /// Everything below `next` was read: what covers nothing further is forgotten.
    pub fn passed(&mut self, next: Position) {
        self.prior.passed(next);
    }

    /// Forgets some of what was decided longer than `ttl` before `now`, and of what is beyond the
    /// bound. What is rebuilt while records are read again may have to be told from other decisions,
    /// however old.
    pub fn forget_old(&mut self, now: Timestamp, ttl: Duration) {
        let is_read_again = self.prior.are_read_again();
        self.latest.forget(|at| !is_read_again && now.since(at) > ttl);
    }

    /// Has room for so many decisions from now on, see [`DecidedTraces::set_room`].
    pub fn set_room(&mut self, room: usize) {
        self.latest.set_room(room);
    }

    /// Of each trace the decision that began last.
    pub fn latest(&self) -> &DecidedTraces {
        &self.latest
    }

    /// The decisions that cover records which are read again.
    pub fn prior(&self) -> &PriorDecisions {
        &self.prior
    }
}
/// True if decisions that began `later` than one by which their trace was dropped take that back: the next one
/// re-opened it, or any of them restored it.
pub fn take_back<'a>(later: impl IntoIterator<Item = &'a DecisionRecord>) -> bool {
    let (mut next, mut is_restored): (Option<&DecisionRecord>, _) = (None, false);
    for decision in later {
        is_restored |= decision.trigger == Trigger::Restored;
        if next.is_none_or(|next| decision.first < next.first) {
            next = Some(decision);
        }
    }
    is_restored || next.is_some_and(|next| next.trigger == Trigger::Late)
}
