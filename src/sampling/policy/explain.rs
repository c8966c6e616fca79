//! Decisions with their reasons, for people. Not on the hot path: it allocates as it likes.

use super::budget::{BudgetIndex, Budgets};
use super::expression::{Asked, Expression, Unit};
use super::judge::{Decision, Observer, VoteKind};
use super::spec::{PolicyKind, PolicySpec};
use super::vote::LeafIndex;
use super::{Asking, PolicyIndex, PolicySet};
use crate::ids::Timestamp;
use crate::otlp::probability::Threshold;
use crate::sampling::facts::Summary;

/// A decision, and how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The decision.
    pub decision: Decision,
    /// The votes, in the order of the file. Policies that were not asked have none.
    pub votes: Vec<ExplainedVote>,
}

/// What one policy voted, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedVote {
    /// Which one.
    pub policy: PolicyIndex,
    /// Its vote; nothing if it was not asked.
    pub vote: VoteKind,
    /// Why, in a few words, such as `latency: 340 ms <= 1000 ms`.
    pub reason: String,
    /// Some condition of it could not be evaluated.
    pub failed: bool,
}

/// Takes the votes down.
#[derive(Default)]
struct Recorder {
    votes: Vec<(PolicyIndex, VoteKind)>,
    failed: Vec<PolicyIndex>,
}

impl Observer for Recorder {
    fn voted(&mut self, policy: PolicyIndex, vote: VoteKind) {
        self.votes.push((policy, vote));
    }

    fn failed(&mut self, policy: PolicyIndex) {
        self.failed.push(policy);
    }

    fn leaf_voted(&mut self, _: LeafIndex) {}
}

impl PolicySet {
    /// Decides a trace as [`PolicySet::decide`] does, and tells why.
    pub fn explain(&self, trace: &Summary, now: Timestamp, budgets: &mut Budgets) -> Explanation {
        let before = budgets.clone();
        let mut recorder = Recorder::default();
        let decision = self.decide(trace, now, budgets, &mut recorder);
        let Recorder { mut votes, failed } = recorder;
        votes.sort_by_key(|(policy, _)| *policy);
        let explained = |(policy, vote): (PolicyIndex, VoteKind)| ExplainedVote {
            policy,
            vote,
            reason: self.reason(policy, trace, now, &before),
            failed: failed.contains(&policy),
        };
        let votes = votes.into_iter().map(explained).collect();
        Explanation { decision, votes }
    }

    fn reason(
        &self,
        index: PolicyIndex,
        trace: &Summary,
        now: Timestamp,
        then: &Budgets,
    ) -> String {
        let policy = &self.policies[usize::from(index.0)];
        let mut budgets = then.clone();
        let mut leaf = None;
        let budgets = &mut budgets;
        let mut asked = Asked { trace, now, budgets, failed: false, leaf_voted: &mut leaf };
        match (&policy.asking, &policy.spec.kind) {
            (Asking::Whole(expression), _) => reason(&policy.spec, expression, &mut asked),
            (Asking::Rule { sample, .. }, PolicyKind::Rule(rule)) => {
                let is_match = policy.answer(&mut asked).is_final;
                format!("rule: {}", rule.why(*sample, is_match, trace))
            }
            (Asking::Rule { .. }, _) => String::new(),
        }
    }
}

/// Why the expression of a policy votes as it does.
pub(super) fn reason(spec: &PolicySpec, expression: &Expression, asked: &mut Asked<'_>) -> String {
    let kind = spec.kind.type_name();
    match spec.kind.get().reason(expression, asked) {
        why if why.is_empty() => kind.to_owned(),
        why => format!("{kind}: {why}"),
    }
}

/// How much is left of the budget that the expression spends.
pub(super) fn budget_reason(expression: &Expression, asked: &mut Asked<'_>) -> String {
    let Expression::Budget { budget, unit } = expression else { return String::new() };
    reason_of_budget(*budget, *unit, asked)
}

pub(super) fn reason_of_budget(budget: BudgetIndex, unit: Unit, asked: &mut Asked<'_>) -> String {
    let amount = unit.amount(asked.trace);
    let left = asked.budgets.left_at(budget, asked.now);
    let mut trial = asked.budgets.clone();
    let (sign, what) = match (trial.spend(budget, amount, asked.now), unit) {
        (true, Unit::Spans) => ("<=", "spans"),
        (true, Unit::Bytes) => ("<=", "bytes"),
        (false, Unit::Spans) => (">", "spans"),
        (false, Unit::Bytes) => (">", "bytes"),
    };
    let share = if trial.has_shares(budget) { " of this partition's share" } else { "" };
    format!("{amount} {what} {sign} {:.0} left{share}", left.max(0.0).floor())
}

/// Which of the conditions of the expression, with these texts, is true.
pub(super) fn conditions_reason(
    texts: &[&str],
    expression: &Expression,
    trace: &Summary,
) -> String {
    let Expression::Conditions { any, .. } = expression else { return String::new() };
    let together = texts.join("; ");
    // Asked one after the other, they have one answer.
    let texts = if any.len() == texts.len() { texts } else { &[together.as_str()] };
    let outcomes: Vec<_> = any.iter().map(|condition| condition.evaluate(trace)).collect();
    if let Some(at) = outcomes.iter().position(|outcome| outcome.holds) {
        return format!("true: {}", texts[at]);
    }
    let failed = match outcomes.iter().position(|outcome| outcome.failed) {
        Some(at) => format!("; could not be evaluated for some span: {}", texts[at]),
        None => String::new(),
    };
    match texts {
        [only] => format!("never true: {only}{failed}"),
        _ => format!("none of {} conditions is ever true{failed}", texts.len()),
    }
}

/// Whether the randomness of the trace passes the threshold.
pub(super) fn randomness_reason(threshold: Threshold, trace: &Summary) -> String {
    let randomness = trace.randomness();
    let sign = if threshold.keeps(randomness) { ">=" } else { "<" };
    if threshold == Threshold::NEVER {
        return "never".to_owned();
    }
    format!("randomness {randomness:014x} {sign} {:014x}", threshold.value())
}
