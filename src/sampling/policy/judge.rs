//! How the votes of all policies become one decision.

use super::budget::Budgets;
use super::expression::{Asked, Expression};
use super::vote::{LeafIndex, Odds, Vote};
use super::{Asking, Policy, PolicyIndex, PolicySet};
use crate::ids::Timestamp;
use crate::otlp::probability::Threshold;
use crate::sampling::facts::Summary;

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
        /// The child of a `composite` policy that it is attributed to.
        leaf: Option<LeafIndex>,
    },
    /// It is not.
    Drop {
        /// The `drop` policy or rule that matched; `None` where no policy voted to keep it.
        policy: Option<PolicyIndex>,
    },
}

/// What a vote came to, as others are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VoteKind {
    /// Nothing.
    None,
    /// To keep the trace.
    Keep,
    /// To drop it.
    Drop,
}

/// Is told how a decision comes about.
pub trait Observer {
    /// A policy was asked. Not called for one that is not asked.
    fn voted(&mut self, policy: PolicyIndex, vote: VoteKind);

    /// These, which are [`PolicySet::simple`], said nothing, as one look at the trace told.
    fn none_voted(&mut self, policies: &[PolicyIndex]) {
        policies.iter().for_each(|policy| self.voted(*policy, VoteKind::None));
    }

    /// A condition of the policy could not be evaluated for some span.
    fn failed(&mut self, policy: PolicyIndex);

    /// A child of a `composite` policy voted keep and had budget.
    fn leaf_voted(&mut self, leaf: LeafIndex);
}

/// For decisions that nobody observes.
impl Observer for () {
    fn voted(&mut self, _: PolicyIndex, _: VoteKind) {}
    fn none_voted(&mut self, _: &[PolicyIndex]) {}
    fn failed(&mut self, _: PolicyIndex) {}
    fn leaf_voted(&mut self, _: LeafIndex) {}
}

/// The votes so far.
#[derive(Default)]
struct Votes {
    dropped_by: Option<PolicyIndex>,
    /// A rule that wants nothing kept that is not kept already.
    refused_by: Option<PolicyIndex>,
    kept: Option<(PolicyIndex, Odds)>,
}

impl Votes {
    fn enter(&mut self, policy: PolicyIndex, vote: Vote) {
        match vote {
            Vote::None | Vote::Failed => {}
            Vote::Drop => self.dropped_by = self.dropped_by.or(Some(policy)),
            Vote::Keep(odds) => {
                let is_better = |(_, best): (_, Odds)| odds.probability() > best.probability();
                if self.kept.is_none_or(is_better) {
                    self.kept = Some((policy, odds));
                }
            }
        }
    }

    fn decision(&self) -> Decision {
        match (self.dropped_by, self.kept) {
            (Some(policy), _) => Decision::Drop { policy: Some(policy) },
            (None, None) => Decision::Drop { policy: self.refused_by },
            (None, Some((policy, odds))) => {
                let Odds { threshold, consistent, leaf } = odds;
                Decision::Keep { policy, threshold, consistent, leaf }
            }
        }
    }
}

impl Policy {
    /// True if budgets are spent by asking it.
    fn spends(&self) -> bool {
        !self.budgets.is_empty()
    }
}

impl Asking {
    /// To be asked before all others: it is there to drop traces, or may do so and spends nothing.
    pub(super) fn comes_first(&self) -> bool {
        match self {
            Self::Whole(Expression::Drops(_)) => true,
            Self::Whole(expression) => expression.may_drop() && !expression.spends(),
            Self::Rule { .. } => false,
        }
    }
}

impl PolicySet {
    /// Decides a trace at the time `now` of its partition's clock.
    pub fn decide(
        &self,
        trace: &Summary,
        now: Timestamp,
        budgets: &mut Budgets,
        observer: &mut impl Observer,
    ) -> Decision {
        budgets.settle();
        let mut votes = Votes::default();
        for (index, policy) in self.numbered(&self.order.first) {
            if policy.spends() && votes.dropped_by.is_some() {
                continue;
            }
            let vote = self.ask(index, trace, now, budgets, observer).vote;
            if !policy.is_shadow {
                votes.enter(index, vote);
            }
        }
        let (none_voted, rest) = self.order.rest_for(trace);
        if !none_voted.is_empty() {
            observer.none_voted(none_voted);
        }
        for (index, policy) in self.numbered(rest) {
            let is_needless = votes.kept.is_some() || votes.dropped_by.is_some();
            if policy.spends() && is_needless {
                continue;
            }
            let Answer { vote, is_final } = self.ask(index, trace, now, budgets, observer);
            if policy.is_shadow {
                continue;
            }
            votes.enter(index, vote);
            if is_final {
                votes.refused_by = Some(index);
                break;
            }
        }
        votes.decision()
    }

    fn numbered(&self, these: &[PolicyIndex]) -> impl Iterator<Item = (PolicyIndex, &Policy)> {
        these.iter().map(|index| (*index, &self.policies[usize::from(index.0)]))
    }

    fn ask(
        &self,
        index: PolicyIndex,
        trace: &Summary,
        now: Timestamp,
        budgets: &mut Budgets,
        observer: &mut impl Observer,
    ) -> Answer {
        let policy = &self.policies[usize::from(index.0)];
        let mut leaf = None;
        let mut asked = Asked { trace, now, budgets, failed: false, leaf_voted: &mut leaf };
        let answer = policy.answer(&mut asked);
        if asked.failed {
            observer.failed(index);
        }
        if let Some(leaf) = leaf {
            observer.leaf_voted(leaf);
        }
        observer.voted(index, answer.kind());
        answer
    }
}

/// What a policy answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) vote: Vote,
    /// Nothing after it is asked.
    pub(super) is_final: bool,
}

impl Answer {
    fn kind(&self) -> VoteKind {
        match self.vote {
            // A rule that matched and keeps nothing votes to drop the trace.
            Vote::None if self.is_final => VoteKind::Drop,
            Vote::None | Vote::Failed => VoteKind::None,
            Vote::Keep(_) => VoteKind::Keep,
            Vote::Drop => VoteKind::Drop,
        }
    }
}

impl Policy {
    pub(super) fn answer(&self, asked: &mut Asked<'_>) -> Answer {
        match &self.asking {
            Asking::Whole(expression) => {
                Answer { vote: Expression::evaluate(expression, asked), is_final: false }
            }
            Asking::Rule { when, negated, sample } => {
                let outcome = when.evaluate(asked.trace);
                asked.failed |= outcome.failed;
                // That a condition holds for no span is known only if it has an answer for each.
                if outcome.holds == *negated || (*negated && outcome.failed) {
                    return Answer { vote: Vote::None, is_final: false };
                }
                let passed = sample.filter(|threshold| threshold.keeps(asked.trace.randomness()));
                let vote = passed.map_or(Vote::None, |it: Threshold| Vote::Keep(Odds::passed(it)));
                Answer { vote, is_final: true }
            }
        }
    }
}
