//! In which order policies are asked, and which need not be asked one by one.

use super::expression::Expression;
use super::{Asking, Policy, PolicyIndex};
use crate::sampling::facts::{Facts, Summary};

/// The policies of a set, as they are asked.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Before all others.
    pub(super) first: Vec<PolicyIndex>,
    /// The others.
    rest: Vec<PolicyIndex>,
    /// Those of `rest` that keep what has one fact, and say nothing else: of most traces all of them
    /// say nothing, which one look at their facts tells. Empty if there are rules, since then it
    /// depends on others whether they are asked.
    simple: Vec<PolicyIndex>,
    /// The facts that these ask for.
    simple_facts: Facts,
    /// `rest` without them.
    others: Vec<PolicyIndex>,
}

impl Order {
    /// That of these policies.
    pub(super) fn of(policies: &[Policy]) -> Self {
        let mut order = Self::default();
        let has_rules = policies.iter().any(|it| matches!(it.asking, Asking::Rule { .. }));
        for (index, policy) in (0..).map(PolicyIndex).zip(policies) {
            if policy.asking.comes_first() {
                order.first.push(index);
                continue;
            }
            order.rest.push(index);
            match policy.asking {
                Asking::Whole(Expression::Fact(fact)) if !has_rules => {
                    order.simple.push(index);
                    order.simple_facts.insert(fact);
                }
                _ => order.others.push(index),
            }
        }
        order
    }

    /// Those that say nothing of this trace, known without asking them, and those to ask after the
    /// first ones.
    pub(super) fn rest_for(&self, trace: &Summary) -> (&[PolicyIndex], &[PolicyIndex]) {
        if trace.facts.has_any(&self.simple_facts) {
            (&[], &self.rest)
        } else {
            (&self.simple, &self.others)
        }
    }

    /// Those that may say nothing without being asked.
    pub(super) fn simple(&self) -> &[PolicyIndex] {
        &self.simple
    }
}
