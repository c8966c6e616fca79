//! From policies as written to policies that are quick to ask.

use std::sync::Arc;

use thiserror::Error;

use super::budget::{BudgetIndex, Limit};
use super::condition::{self, ConditionError, TraceCondition};
use super::expression::Expression;
use super::order::Order;
use super::predicates_builder::PredicatesBuilder;
use super::reopen::ReopenError;
use super::spec::{Mode, PolicySpec};
use super::vote::LeafIndex;
use super::{Asking, Leaf, Policy, PolicyIndex, PolicySet};
use crate::sampling::ottl::Context;

/// Why policies that were read well cannot be compiled.
#[derive(Debug, Error)]
pub enum CompileError {
    /// A regular expression is invalid or too large.
    #[error("policy {policy:?}: regular expression {reason}")]
    Regex {
        /// The policy it stands in.
        policy: String,
        /// Which one, and what is wrong with it.
        reason: String,
    },
    /// An OTTL condition is invalid.
    #[error("policy {policy:?}: {condition:?}: {source}")]
    Condition {
        /// The policy it stands in.
        policy: String,
        /// The condition.
        condition: String,
        /// What is wrong with it.
        #[source]
        source: ConditionError,
    },
    /// More policies or span predicates than can be numbered.
    #[error("policy {policy:?}: there are more than 65535 policies or conditions in the file")]
    TooMany {
        /// The first one that is too many.
        policy: String,
    },
    /// A policy cannot re-open traces.
    #[error("reopen: {0}")]
    Reopen(#[from] ReopenError),
    /// A `rule` inside another policy.
    #[error("policy {policy:?}: `rule` stands only at the top level of the file")]
    NestedRule {
        /// The rule.
        policy: String,
    },
}

/// Compiles the policies of a file, in its order.
///
/// # Errors
/// The first thing that cannot be compiled.
pub fn compile(specs: &[PolicySpec]) -> Result<PolicySet, CompileError> {
    let mut compiler = Compiler::default();
    let policies = compiler.policies(specs)?;
    let Compiler { predicates, limits, leaves, .. } = compiler;
    let predicates = Arc::new(predicates.finish());
    let order = Order::of(&policies);
    Ok(PolicySet { policies, order, predicates, limits, leaves, reopen: None })
}

/// The same policy sets, which ask of spans in common: the facts of a trace are those of all of them, and what several
/// ask is asked once.
///
/// # Errors
/// When there are too many conditions in all of them together.
pub fn asking_in_common(sets: &[&PolicySet]) -> Result<Vec<PolicySet>, CompileError> {
    let mut compiler = Compiler::default();
    let mut compiled = Vec::with_capacity(sets.len());
    for set in sets {
        let specs: Vec<PolicySpec> = set.specs().cloned().collect();
        compiled.push(compiler.policies(&specs)?);
    }
    let predicates = Arc::new(compiler.predicates.finish());
    let in_common = |(set, policies): (&&PolicySet, Vec<Policy>)| PolicySet {
        order: Order::of(&policies),
        policies,
        predicates: Arc::clone(&predicates),
        limits: set.limits.clone(),
        leaves: set.leaves.clone(),
        reopen: set.reopen.clone(),
    };
    Ok(sets.iter().zip(compiled).map(in_common).collect())
}

/// A compilation under way: what the policies share.
#[derive(Default)]
pub(super) struct Compiler {
    predicates: PredicatesBuilder,
    limits: Vec<Limit>,
    leaves: Vec<Leaf>,
    /// The policy of the file that is in hand.
    policy: PolicyIndex,
    /// The name of the policy in hand, be it part of another one.
    name: String,
}

impl Compiler {
    /// Those of another file: its budgets and leaves are numbered from the beginning.
    fn policies(&mut self, specs: &[PolicySpec]) -> Result<Vec<Policy>, CompileError> {
        self.limits.clear();
        self.leaves.clear();
        let mut policies = Vec::with_capacity(specs.len());
        for spec in specs {
            self.name.clone_from(&spec.name);
            let index = u16::try_from(policies.len());
            self.policy = PolicyIndex(index.map_err(|_| self.too_many())?);
            policies.push(self.policy(spec)?);
        }
        Ok(policies)
    }

    fn policy(&mut self, spec: &PolicySpec) -> Result<Policy, CompileError> {
        let first_budget = self.limits.len();
        let asking = spec.kind.get().compile(self)?;
        let budgets = first_budget..self.limits.len();
        let is_shadow = spec.mode == Mode::Shadow;
        let name = spec.name.as_str().into();
        Ok(Policy { name, is_shadow, asking, budgets, spec: spec.clone() })
    }

    /// A policy that is part of another one.
    pub(super) fn expression(&mut self, spec: &PolicySpec) -> Result<Expression, CompileError> {
        let outer = std::mem::replace(&mut self.name, spec.name.clone());
        let compiled = match spec.kind.get().compile(self)? {
            Asking::Whole(expression) => expression,
            Asking::Rule { .. } => {
                return Err(CompileError::NestedRule { policy: spec.name.clone() });
            }
        };
        self.name = outer;
        Ok(compiled)
    }

    fn too_many(&self) -> CompileError {
        CompileError::TooMany { policy: self.name.clone() }
    }

    /// What is wrong with a regular expression.
    pub(super) fn bad_regex(&self, reason: String) -> CompileError {
        CompileError::Regex { policy: self.name.clone(), reason }
    }

    /// A question that some span answers.
    pub(super) fn fact(
        &mut self,
        ask: impl FnOnce(&mut PredicatesBuilder) -> Option<u16>,
        is_inverted: bool,
    ) -> Result<Asking, CompileError> {
        let fact = ask(&mut self.predicates).ok_or_else(|| self.too_many())?;
        let fact = Expression::Fact(fact);
        let inverted = |fact| Expression::Not(Box::new(fact));
        Ok(Asking::Whole(if is_inverted { inverted(fact) } else { fact }))
    }

    /// A token bucket.
    pub(super) fn bucket(
        &mut self,
        per_second: f64,
        capacity: f64,
    ) -> Result<BudgetIndex, CompileError> {
        self.budget(Limit::Bucket { per_second, capacity })
    }

    /// So much in each second.
    pub(super) fn window(&mut self, per_second: f64) -> Result<BudgetIndex, CompileError> {
        self.budget(Limit::Window { per_second })
    }

    fn budget(&mut self, limit: Limit) -> Result<BudgetIndex, CompileError> {
        let index = u16::try_from(self.limits.len()).map_err(|_| self.too_many())?;
        self.limits.push(limit);
        Ok(BudgetIndex(index))
    }

    /// A part that metrics name.
    pub(super) fn leaf(&mut self, name: &str) -> Result<LeafIndex, CompileError> {
        let leaf = u16::try_from(self.leaves.len()).map_err(|_| self.too_many())?;
        self.leaves.push(Leaf { policy: self.policy, name: name.into() });
        Ok(LeafIndex(leaf))
    }

    /// Conditions of which the first answer counts; `None` if they are about more than that.
    pub(super) fn sequence(
        &mut self,
        spans: &[String],
        events: &[String],
    ) -> Result<Option<TraceCondition>, CompileError> {
        let answer = self.predicates.sequence(spans, events);
        answer.map_err(|(condition, source)| CompileError::Condition {
            policy: self.name.clone(),
            condition,
            source,
        })
    }

    pub(super) fn condition(
        &mut self,
        text: &str,
        context: Context,
        how: condition::Asking,
    ) -> Result<TraceCondition, CompileError> {
        let condition = self.predicates.condition(text, context, how);
        condition.map_err(|source| CompileError::Condition {
            policy: self.name.clone(),
            condition: text.to_owned(),
            source,
        })
    }
}
