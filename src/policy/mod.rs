//! The policies, compiled: what is asked of each span on arrival, and how a trace is decided.
//!
//! Owns the meaning of the policy file. Promises that a decision depends on the trace's summary
//! and on nothing else, and that asking and deciding allocate nothing. Leaves the reading of the
//! file, and what is done with a decision, to others.
//!
//! A policy set has two halves. [`Predicates`] are the questions about single spans, each with a
//! number; they are answered when a span comes in, and a true answer becomes a fact of its trace.
//! Expressions over those facts and over the trace's sums are evaluated when it is decided.

mod compile;
mod expression;
mod predicate;
pub mod spec;
mod trace_state;

use crate::facts::Summary;
use crate::probability::Threshold;

pub use compile::{CompileError, compile};
use expression::{Expression, Vote};
pub use predicate::Predicates;

/// Which policy of a set, in the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyIndex(pub u16);

/// What is done with a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is forwarded.
    Keep {
        /// The policy that it is attributed to: of those that voted keep, the one with the
        /// highest inclusion probability, the first of them on a tie.
        policy: PolicyIndex,
        /// The threshold it passed; [`Threshold::ALWAYS`] where no chance was involved.
        threshold: Threshold,
        /// False where the threshold says nothing of the chance with which the trace was kept:
        /// that chance did not come from its randomness.
        consistent: bool,
    },
    /// It is not.
    Drop {
        /// The `drop` policy that matched; `None` where no policy voted to keep it.
        policy: Option<PolicyIndex>,
    },
}

/// A compiled policy set.
#[derive(Debug)]
pub struct PolicySet {
    policies: Vec<Policy>,
    predicates: Predicates,
}

#[derive(Debug)]
struct Policy {
    name: String,
    /// True for a `drop` policy: the expression says which traces are dropped.
    drops: bool,
    expression: Expression,
}

impl PolicySet {
    /// The names of the policies, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.policies.iter().map(|policy| policy.name.as_str())
    }

    /// The name of one policy.
    pub fn name(&self, policy: PolicyIndex) -> &str {
        &self.policies[usize::from(policy.0)].name
    }

    /// What to ask of the spans that come in.
    pub fn predicates(&self) -> &Predicates {
        &self.predicates
    }

    /// Decides a trace. `votes` is told of every policy that voted: to keep the trace, or, for a
    /// `drop` policy, to drop it.
    pub fn decide(&self, trace: &Summary, mut votes: impl FnMut(PolicyIndex)) -> Decision {
        let mut dropped_by = None;
        let mut kept: Option<(PolicyIndex, Vote)> = None;
        for (index, policy) in (0..).map(PolicyIndex).zip(&self.policies) {
            let Some(vote) = policy.expression.evaluate(trace) else { continue };
            votes(index);
            if policy.drops {
                dropped_by = dropped_by.or(Some(index));
            } else if kept.is_none_or(|(_, best)| vote.probability() > best.probability()) {
                kept = Some((index, vote));
            }
        }
        match (dropped_by, kept) {
            (Some(policy), _) => Decision::Drop { policy: Some(policy) },
            (None, None) => Decision::Drop { policy: None },
            (None, Some((policy, vote))) => {
                let Vote { threshold, consistent } = vote;
                Decision::Keep { policy, threshold, consistent }
            }
        }
    }
}

#[cfg(test)]
mod tests;
