//! The policies, compiled: what is asked of each span on arrival, and how a trace is decided.
//!
//! Owns the meaning of the policy file. Promises that a decision depends on the trace's summary,
//! the partition's clock and its budgets, and on nothing else, and that asking and deciding
//! allocate nothing. Leaves the reading of the file, and what is done with a decision, to others.
//!
//! A policy set has two halves. [`Predicates`] are the questions about single spans, each with a
//! number; they are answered when a span comes in, and a true answer becomes a fact of its trace.
//! Expressions over those facts, the trace's sums and the partition's budgets are evaluated when
//! it is decided.

mod attribute;
mod budget;
mod compile;
mod condition;
mod explain;
mod expression;
mod first_bytes;
mod judge;
mod order;
mod predicate;
mod predicates_builder;
mod reopen;
mod sequence;
mod shadow;
pub mod spec;
mod texts;
mod types;
mod vote;
pub(crate) mod written;

use std::ops::Range;
use std::sync::Arc;

use budget::{BudgetIndex, Limit};
use condition::TraceCondition;
use expression::Expression;
use order::Order;
use reopen::Reopen;
use spec::PolicySpec;

use crate::otlp::probability::Threshold;

pub use budget::{Budgets, RateLimit};
pub use compile::{CompileError, asking_in_common, compile};
pub use explain::{ExplainedVote, Explanation};
pub(crate) use expression::Unit;
pub use judge::{Decision, Observer, VoteKind};
pub use predicate::{Predicates, ResourceFacts};
pub use reopen::{ReopenSpec, Reopening};
pub use shadow::InEffect;
pub use vote::LeafIndex;

/// Which policy of a set, in the order of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyIndex(pub u16);

/// A compiled policy set.
#[derive(Debug)]
pub struct PolicySet {
    policies: Vec<Policy>,
    order: Order,
    predicates: Arc<Predicates>,
    limits: Vec<Limit>,
    leaves: Vec<Leaf>,
    reopen: Option<Reopen>,
}

#[derive(Debug)]
struct Policy {
    name: Arc<str>,
    is_shadow: bool,
    asking: Asking,
    /// Its budgets among those of the set.
    budgets: Range<usize>,
    /// As it was written.
    spec: PolicySpec,
}

/// How a policy is asked.
#[derive(Debug)]
enum Asking {
    /// It votes; the others are asked all the same.
    Whole(Expression),
    /// If it matches, nothing after it is asked.
    Rule {
        when: TraceCondition,
        /// It matches where the condition does not hold.
        negated: bool,
        /// What passes is kept; `None` keeps nothing.
        sample: Option<Threshold>,
    },
}

/// A child of a `composite` policy, as metrics name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The policy of the file that it belongs to.
    pub policy: PolicyIndex,
    /// Its own name.
    pub name: Arc<str>,
}

impl PolicySet {
    /// The names of the policies, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.policies.iter().map(|policy| &*policy.name)
    }

    /// The name of one policy.
    pub fn name(&self, policy: PolicyIndex) -> &Arc<str> {
        &self.policies[usize::from(policy.0)].name
    }

    /// True if the votes of the policy have no effect.
    pub fn is_shadow(&self, policy: PolicyIndex) -> bool {
        self.policies[usize::from(policy.0)].is_shadow
    }

    /// True if nothing is asked after the policy once it has matched.
    pub fn is_rule(&self, policy: PolicyIndex) -> bool {
        matches!(self.policies[usize::from(policy.0)].asking, Asking::Rule { .. })
    }

    /// The policies that [`Observer::none_voted`] tells of.
    pub fn simple(&self) -> &[PolicyIndex] {
        self.order.simple()
    }

    /// True if what the policy keeps depends on what it kept before.
    pub fn has_budgets(&self, policy: PolicyIndex) -> bool {
        !self.policies[usize::from(policy.0)].budgets.is_empty()
    }

    /// True if some of them have limits on what they keep in a time.
    pub fn has_limits(&self) -> bool {
        !self.limits.is_empty()
    }

    /// The children of `composite` policies; a [`LeafIndex`] is a place in here.
    pub fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// What to ask of the spans that come in.
    pub fn predicates(&self) -> &Predicates {
        &self.predicates
    }

    /// The state of a partition's budgets at its beginning, on a topic with so many partitions.
    pub fn budgets(&self, partitions: u32) -> Budgets {
        Budgets::new(self.limits.iter().copied(), partitions)
    }

    /// The same, after this set has come in place of `old`: policies that are as they were keep
    /// the state of their budgets.
    pub fn budgets_after(&self, old: &Self, state: &Budgets, partitions: u32) -> Budgets {
        let mut budgets = self.budgets(partitions);
        for policy in &self.policies {
            let is_it = |old: &&Policy| old.spec == policy.spec;
            let Some(before) = old.policies.iter().find(is_it) else { continue };
            for (to, from) in policy.budgets.clone().zip(before.budgets.clone()) {
                budgets.carry(BudgetIndex(to as u16), state, BudgetIndex(from as u16));
            }
        }
        if let (Some(to), Some(from)) = (&self.reopen, &old.reopen) {
            budgets.carry(to.budget(), state, from.budget());
        }
        budgets
    }

    /// The policies of this set that are new or changed against `old`, those of `old` that are
    /// gone, and how many are as they were.
    pub fn changes<'a>(&'a self, old: &'a Self) -> Changes<'a> {
        let mut changes = Changes::default();
        for policy in &self.policies {
            match old.policies.iter().find(|before| before.name == policy.name) {
                None => changes.added.push(&policy.name),
                Some(before) if before.spec == policy.spec => changes.unchanged += 1,
                Some(_) => changes.changed.push(&policy.name),
            }
        }
        let is_gone = |before: &&Policy| !self.names().any(|name| *name == *before.name);
        changes.removed.extend(old.policies.iter().filter(is_gone).map(|before| &*before.name));
        changes
    }

    /// The policies as they were written, in the order of the file.
    pub fn specs(&self) -> impl Iterator<Item = &PolicySpec> {
        self.policies.iter().map(|policy| &policy.spec)
    }
}

/// How one policy set differs from the one before it, by names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes<'a> {
    /// Policies that were not there.
    pub added: Vec<&'a str>,
    /// Policies that are there no more.
    pub removed: Vec<&'a str>,
    /// Policies that were written otherwise.
    pub changed: Vec<&'a str>,
    /// How many are as they were.
    pub unchanged: usize,
}

#[cfg(test)]
mod tests;
