//! Traces that were dropped, and that somebody asks for.

use super::Sampler;
use crate::ids::{Offset, TraceId};
use crate::sampling::decided::{DecisionRecord, Kept, SamplingDecision};
use crate::sampling::policy::RateLimit;
use crate::sampling::trace::Trigger;

/// How many requests are granted in a second of the clock: each has records read again.
const PER_SECOND: u32 = 5;

/// How many are granted at once, if there were none for a while.
const AT_ONCE: u32 = 20;

/// The limit of a partition.
pub(super) fn limit() -> RateLimit {
    RateLimit::new(PER_SECOND, AT_ONCE)
}

/// What comes of a request to keep a trace after all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restoring {
    /// The trace is kept from now on, by this decision.
    Granted(DecisionRecord),
    /// The request is read again, and an earlier owner has made this decision on it.
    Before(DecisionRecord),
    /// It is not granted.
    Refused(Unrestored),
}

/// Why a request is not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrestored {
    /// The trace is open.
    Open,
    /// It was restored already, or its late spans re-opened it.
    Kept,
    /// A policy dropped it whatever others say.
    Vetoed,
    /// Too many were asked for.
    OverBudget,
}

impl Sampler {
    /// The record at `offset`, which holds no spans, asks for a trace that was dropped, perhaps so long ago
    /// that this is forgotten. What else was decided of it since does not matter: there is something that was
    /// dropped, says who asks. Late spans follow the decision from now on.
    pub fn restore(&mut self, id: TraceId, offset: Offset) -> Restoring {
        if let Some(covering) = self.memory.covering(id, offset) {
            // Where another decision covers the record, an earlier owner did not grant it either.
            return match (covering.trigger, covering.first == offset) {
                (Trigger::Restored, true) => Restoring::Before(covering.clone()),
                (Trigger::Restored, false) => Restoring::Refused(Unrestored::Kept),
                _ => Restoring::Refused(Unrestored::Open),
            };
        }
        match self.restorable(id, offset) {
            Ok(recorded) => {
                self.memory.made(&recorded);
                Restoring::Granted(recorded)
            }
            Err(why) => Restoring::Refused(why),
        }
    }

    fn restorable(&mut self, id: TraceId, offset: Offset) -> Result<DecisionRecord, Unrestored> {
        if self.traces.get(id).is_some() {
            return Err(Unrestored::Open);
        }
        let (now, ttl) = (self.traces.clock(), self.policies.decision_cache_ttl);
        let before = self.memory.followed(id, offset, now, ttl);
        if before.as_ref().is_some_and(|it| it.trigger == Trigger::Restored)
            || self.memory.is_taken_back(id, before.as_ref().map_or(offset, |it| it.first))
        {
            return Err(Unrestored::Kept);
        }
        if before.as_ref().is_some_and(|it| it.dropped_by.is_some()) {
            return Err(Unrestored::Vetoed);
        }
        if !self.requests.takes_one(now) {
            return Err(Unrestored::OverBudget);
        }
        Ok(DecisionRecord {
            trace_id: id,
            decision: SamplingDecision::Kept(Kept::on_request()),
            dropped_by: None,
            first: offset,
            last: offset,
            // A former owner's clock may have been ahead. It is remembered no shorter than what it follows.
            at: before.map_or(now, |before| now.max(before.at)),
            trigger: Trigger::Restored,
            delivered: false,
        })
    }
}
