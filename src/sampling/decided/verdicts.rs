//! What was decided of traces, each that differs once: there are a few for each version of the policy
//! file.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::{DecisionRecord, SamplingDecision};
use crate::sampling::trace::Trigger;

/// All that a decision says beside whose it is, and where and when it was made.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) decision: SamplingDecision,
    pub(super) dropped_by: Option<Arc<str>>,
    pub(super) trigger: Trigger,
}

impl Verdict {
    fn is_that_of(&self, recorded: &DecisionRecord) -> bool {
        self.trigger == recorded.trigger
            && self.decision == recorded.decision
            && self.dropped_by == recorded.dropped_by
    }
}

/// A place in [`Verdicts`]; below [`u16::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VerdictIndex(pub(super) u16);

/// The verdicts of one partition.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    verdicts: Vec<Verdict>,
    index: HashTable<VerdictIndex>,
    hasher: RandomState,
    /// That of the decision before: most are alike.
    last: usize,
}

impl Verdicts {
    /// Where the verdict of a decision is; `None` if there are more than can be numbered.
    pub(super) fn index_of(&mut self, recorded: &DecisionRecord) -> Option<VerdictIndex> {
        let Self { verdicts, index, hasher, last } = self;
        if verdicts.get(*last).is_some_and(|verdict| verdict.is_that_of(recorded)) {
            return Some(VerdictIndex(*last as u16));
        }
        let DecisionRecord { decision, dropped_by, trigger, .. } = recorded;
        let hash = hasher.hash_one((decision, dropped_by, trigger));
        let is_it = |at: &VerdictIndex| verdicts[usize::from(at.0)].is_that_of(recorded);
        if let Some(known) = index.find(hash, is_it) {
            *last = usize::from(known.0);
            return Some(*known);
        }
        let new = u16::try_from(verdicts.len()).ok().filter(|new| *new < u16::MAX)?;
        let (decision, dropped_by) = (decision.clone(), dropped_by.clone());
        verdicts.push(Verdict { decision, dropped_by, trigger: *trigger });
        index.insert_unique(hash, VerdictIndex(new), |at| {
            let Verdict { decision, dropped_by, trigger } = &verdicts[usize::from(at.0)];
            hasher.hash_one((decision, dropped_by, trigger))
        });
        Some(VerdictIndex(new))
    }

    pub(super) fn get(&self, index: VerdictIndex) -> &Verdict {
        &self.verdicts[usize::from(index.0)]
    }
}
