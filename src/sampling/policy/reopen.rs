//! Which late spans re-open a trace that was dropped.
//!
//! Of a dropped trace nothing is at hand but that it was dropped. So only those policies may re-open
//! it that one span can convince, whatever else the trace holds: then they would have kept it, had the
//! span come in time.

use thiserror::Error;

use super::budget::{BudgetIndex, Budgets, Limit};
use super::expression::{Asked, Expression};
use super::vote::{Odds, Vote};
use super::{Asking, PolicyIndex, PolicySet};
use crate::ids::Timestamp;
use crate::sampling::facts::Summary;

/// What the policy file says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReopenSpec {
    /// The names of the policies that re-open traces.
    pub policies: Vec<String>,
    /// How many of the whole group are re-opened in a second at most.
    pub max_traces_per_second: u64,
}

/// Why a policy cannot re-open traces.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ReopenError {
    /// There is none of that name.
    #[error("there is no policy {0:?} in this file")]
    Unknown(String),
    /// It has no effect.
    #[error("policy {0:?} is a shadow policy, which has no effect")]
    Shadow(String),
    /// It asks for more than one span can tell.
    #[error(
        "policy {0:?} cannot re-open a trace: one late span does not tell that it would have been kept"
    )]
    Uncertain(String),
}

/// The same, compiled.
#[derive(Clone, Debug)]
pub(super) struct Reopen {
    policies: Vec<PolicyIndex>,
    budget: BudgetIndex,
}

/// What late spans do to their trace, which was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reopening {
    /// Nothing.
    No,
    /// It is kept after all, on account of this policy.
    By(PolicyIndex),
    /// This policy would have it kept, and too many were already.
    OverBudget(PolicyIndex),
}

impl PolicySet {
    /// The same policies, some of which re-open traces.
    ///
    /// # Errors
    /// The first one that cannot.
    pub fn reopening(mut self, spec: &ReopenSpec) -> Result<Self, ReopenError> {
        let policies = spec.policies.iter().map(|name| self.reopener(name));
        let policies = policies.collect::<Result<Vec<_>, _>>()?;
        let budget = BudgetIndex(self.limits.len() as u16);
        let per_second = spec.max_traces_per_second as f64;
        self.limits.push(Limit::Bucket { per_second, capacity: per_second });
        self.reopen = Some(Reopen { policies, budget });
        Ok(self)
    }

    fn reopener(&self, name: &str) -> Result<PolicyIndex, ReopenError> {
        let of_name = |(_, policy): &(PolicyIndex, &super::Policy)| &*policy.name == name;
        let (index, policy) = (0..)
            .map(PolicyIndex)
            .zip(&self.policies)
            .find(of_name)
            .ok_or_else(|| ReopenError::Unknown(name.to_owned()))?;
        match &policy.asking {
            _ if policy.is_shadow => Err(ReopenError::Shadow(name.to_owned())),
            Asking::Whole(expression) if expression.convinced_by_one_span() => Ok(index),
            _ => Err(ReopenError::Uncertain(name.to_owned())),
        }
    }

    /// True if some of them re-open traces.
    pub fn can_reopen(&self) -> bool {
        self.reopen.is_some()
    }

    /// The policies that re-open traces, by name.
    pub fn reopeners(&self) -> impl Iterator<Item = &str> {
        let all = self.reopen.iter().flat_map(|reopen| &reopen.policies);
        all.map(|policy| &**self.name(*policy))
    }

    /// Whether `late`, which sums up late spans alone, re-opens their trace, at the time `now` of the
    /// partition's clock. What policies drop whatever others say stays dropped.
    pub fn reopened_by(&self, late: &Summary, now: Timestamp, budgets: &mut Budgets) -> Reopening {
        let Some(Reopen { policies, budget }) = &self.reopen else { return Reopening::No };
        let mut keeps = policies
            .iter()
            .filter(|policy| self.vote(**policy, late, now, budgets) == Vote::Keep(Odds::CERTAIN));
        let Some(policy) = keeps.next().copied() else { return Reopening::No };
        let mut vetoes = self.order.first.iter().filter(|first| {
            let policy = &self.policies[usize::from(first.0)];
            !policy.is_shadow && policy.budgets.is_empty()
        });
        if vetoes.any(|veto| self.vote(*veto, late, now, budgets) == Vote::Drop) {
            return Reopening::No;
        }
        budgets.settle();
        if budgets.spend(*budget, 1.0, now) {
            Reopening::By(policy)
        } else {
            Reopening::OverBudget(policy)
        }
    }

    fn vote(
        &self,
        policy: PolicyIndex,
        trace: &Summary,
        now: Timestamp,
        budgets: &mut Budgets,
    ) -> Vote {
        let mut leaf = None;
        let mut asked = Asked { trace, now, budgets, failed: false, leaf_voted: &mut leaf };
        self.policies[usize::from(policy.0)].answer(&mut asked).vote
    }
}

impl Reopen {
    pub(super) fn budget(&self) -> BudgetIndex {
        self.budget
    }
}

impl Expression {
    /// True if it votes keep for every trace that has a span for which alone it does, and no chance
    /// and no budget is involved.
    fn convinced_by_one_span(&self) -> bool {
        match self {
            Self::Fact(_) | Self::Latency { upto_ms: None, .. } => true,
            Self::Conditions { any, .. } => any.iter().all(|it| it.is_of_one_span()),
            Self::All(all) => all.iter().all(Self::convinced_by_one_span),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::compile;
    use super::super::spec::{
        And, Drop, Latency, Mode, PolicyKind, PolicySpec, StatusCode, StatusCodes,
    };
    use super::*;
    use crate::ids::TraceId;

    fn errors() -> PolicySpec {
        let status_codes = vec![StatusCode::Error];
        PolicySpec::new("errors", PolicyKind::StatusCode(StatusCodes { status_codes }))
    }

    fn slow(name: &str, threshold_ms: u64) -> PolicySpec {
        let kind = PolicyKind::Latency(Latency { threshold_ms, upper_threshold_ms: None });
        PolicySpec::new(name, kind)
    }

    fn set(policies: &[PolicySpec], named: &[&str], most: u64) -> PolicySet {
        let policies_named = named.iter().map(|&name| name.into()).collect();
        let spec = ReopenSpec { policies: policies_named, max_traces_per_second: most };
        compile(policies).unwrap().reopening(&spec).unwrap()
    }

    /// Late spans that last so long, with an error or without.
    fn late(set: &PolicySet, millis: u64, has_error: bool) -> Summary {
        let mut late = Summary::new(TraceId::from_slice(&[1; 16]).unwrap());
        (late.start_unix_nano, late.end_unix_nano) = (5, 5 + millis * 1_000_000);
        late.facts.merge(&set.predicates().by_status[if has_error { 2 } else { 0 }]);
        late
    }

    #[test]
    fn the_first_named_policy_that_late_spans_convince_reopens_their_trace() {
        let policies = [slow("slow", 1000), errors(), slow("slower", 9000)];
        let set = set(&policies, &["errors", "slower"], 9);
        let mut budgets = set.budgets(1);
        let mut by = |millis, has_error| {
            set.reopened_by(&late(&set, millis, has_error), Timestamp(0), &mut budgets)
        };
        assert_eq!(by(10, false), Reopening::No);
        assert_eq!(by(5000, false), Reopening::No, "it is not named");
        assert_eq!(by(10, true), Reopening::By(PolicyIndex(1)));
        assert_eq!(by(9001, true), Reopening::By(PolicyIndex(1)));
        assert_eq!(by(9001, false), Reopening::By(PolicyIndex(2)));
    }

    #[test]
    fn a_veto_and_the_budget_hold_for_late_spans_too() {
        let veto = PolicyKind::Drop(Drop { drop_sub_policy: vec![slow("long", 60_000)] });
        let set = set(&[errors(), PolicySpec::new("veto", veto)], &["errors"], 2);
        let mut budgets = set.budgets(1);
        let mut by =
            |millis, at| set.reopened_by(&late(&set, millis, true), Timestamp(at), &mut budgets);
        assert_eq!(by(60_001, 0), Reopening::No);
        let is_it = Reopening::By(PolicyIndex(0));
        assert_eq!([by(1, 0), by(1, 0)], [is_it, is_it]);
        assert_eq!(by(1, 0), Reopening::OverBudget(PolicyIndex(0)));
        assert_eq!(by(1, 500), is_it, "there is one more after half a second");
    }

    #[test]
    fn only_policies_that_one_span_convinces_can_be_named() {
        let and = |all| PolicySpec::new("both", PolicyKind::And(And { and_sub_policy: all }));
        let not_sure = Latency { threshold_ms: 9, upper_threshold_ms: Some(99) };
        let not_sure = PolicySpec::new("short", PolicyKind::Latency(not_sure));
        let shadow = PolicySpec { mode: Mode::Shadow, ..errors() };
        let named = |policy: PolicySpec| {
            let policies = vec![policy.name.clone()];
            let spec = ReopenSpec { policies, max_traces_per_second: 1 };
            compile(&[policy]).unwrap().reopening(&spec).map(drop)
        };
        assert_eq!(named(and(vec![errors(), slow("slow", 9)])), Ok(()));
        let both = || "both".to_owned();
        let refused = named(and(vec![errors(), not_sure.clone()]));
        assert_eq!(refused, Err(ReopenError::Uncertain(both())));
        assert_eq!(named(not_sure), Err(ReopenError::Uncertain("short".to_owned())));
        assert_eq!(named(shadow), Err(ReopenError::Shadow("errors".to_owned())));
    }
}
