//! What a policy asks of a whole trace.

use std::ops::RangeInclusive;

use super::budget::{BudgetIndex, Budgets};
use super::condition::TraceCondition;
use super::vote::{LeafIndex, Odds, Vote};
use crate::fnv;
use crate::ids::Timestamp;
use crate::otlp::probability::Threshold;
use crate::sampling::facts::Summary;

/// A question about a trace, answered from its summary and, for some, from budgets.
#[derive(Debug)]
pub(super) enum Expression {
    Always,
    /// A span predicate was true for some span.
    Fact(u16),
    /// The duration in whole milliseconds is above the one bound and not above the other.
    Latency {
        above_ms: u64,
        upto_ms: Option<u64>,
    },
    /// The number of spans is in this range.
    Spans(RangeInclusive<u32>),
    /// The trace's randomness passes the threshold.
    Passes(Threshold),
    /// The Collector's hash of salt and trace id is not above `limit`.
    Hashed {
        salt: Box<[u8]>,
        limit: u64,
        chance: Threshold,
    },
    /// There is budget for the whole trace.
    Budget {
        budget: BudgetIndex,
        unit: Unit,
    },
    /// One of the conditions holds.
    Conditions {
        any: Vec<TraceCondition>,
        on_error: OnError,
    },
    /// The expression does not vote keep.
    Not(Box<Expression>),
    /// All vote keep. Those that spend budgets stand last.
    All(Vec<Expression>),
    /// The expression votes keep: then the trace is dropped.
    Drops(Box<Expression>),
    /// The first child that votes keep and has budget.
    Composite {
        total: BudgetIndex,
        children: Vec<Child>,
    },
}

/// A child of a `composite` policy.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) expression: Expression,
    pub(super) budget: BudgetIndex,
    pub(super) leaf: LeafIndex,
}

/// What a budget is spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Spans,
    Bytes,
}

/// What becomes of a condition that could not be evaluated for some span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnError {
    /// It was false there.
    Pass { count: bool },
    /// The policy does not vote.
    Abstain,
}

/// What a question is asked with.
pub(super) struct Asked<'a> {
    pub(super) trace: &'a Summary,
    /// The partition's clock.
    pub(super) now: Timestamp,
    pub(super) budgets: &'a mut Budgets,
    /// Something could not be evaluated, and is to be counted.
    pub(super) failed: bool,
    /// The child of a `composite` policy that voted keep last and had budget.
    pub(super) leaf_voted: &'a mut Option<LeafIndex>,
}

impl Asked<'_> {
    /// How things stand before something is asked that may be in vain.
    fn mark(&self) -> (usize, Option<LeafIndex>) {
        (self.budgets.mark(), *self.leaf_voted)
    }

    /// It was in vain: what was spent is given back, and no child kept the trace.
    fn take_back(&mut self, (mark, leaf_voted): (usize, Option<LeafIndex>)) {
        self.budgets.give_back(mark);
        *self.leaf_voted = leaf_voted;
    }

    fn spend(&mut self, budget: BudgetIndex, amount: f64) -> bool {
        self.budgets.spend(budget, amount, self.now)
    }
}

impl Expression {
    /// True if budgets are spent by asking.
    pub(super) fn spends(&self) -> bool {
        match self {
            Self::Budget { .. } | Self::Composite { .. } => true,
            Self::Not(one) | Self::Drops(one) => one.spends(),
            Self::All(all) => all.iter().any(Self::spends),
            _ => false,
        }
    }

    /// True if it may vote to drop.
    pub(super) fn may_drop(&self) -> bool {
        match self {
            Self::Drops(_) => true,
            Self::All(all) => all.iter().any(Self::may_drop),
            Self::Composite { children, .. } => {
                children.iter().any(|child| child.expression.may_drop())
            }
            _ => false,
        }
    }

    /// The chance that the answer is yes for a trace like this, with another randomness and id.
    fn chance(&self, asked: &mut Asked<'_>) -> f64 {
        match self {
            Self::Passes(threshold) | Self::Hashed { chance: threshold, .. } => {
                threshold.probability()
            }
            Self::Not(negated) => 1.0 - negated.chance(asked),
            Self::All(all) => all.iter().map(|one| one.chance(asked)).fold(1.0, f64::min),
            // What is unknown: nothing is promised by it.
            Self::Budget { .. } | Self::Composite { .. } => 1.0,
            _ => f64::from(u8::from(matches!(self.evaluate(asked), Vote::Keep(_)))),
        }
    }

    /// The vote. What it spends and does not vote keep for is given back.
    pub(super) fn evaluate(&self, asked: &mut Asked<'_>) -> Vote {
        let trace = asked.trace;
        match self {
            Self::Always => Vote::Keep(Odds::CERTAIN),
            Self::Fact(fact) => Vote::certain_if(trace.facts.contains(*fact)),
            Self::Latency { above_ms, upto_ms } => {
                let millis = trace.duration().as_millis();
                let is_below = upto_ms.is_none_or(|upto| millis <= u128::from(upto));
                Vote::certain_if(millis > u128::from(*above_ms) && is_below)
            }
            Self::Spans(range) => Vote::certain_if(range.contains(&trace.spans)),
            Self::Passes(threshold) => match threshold.keeps(trace.randomness()) {
                true => Vote::Keep(Odds::passed(*threshold)),
                false => Vote::None,
            },
            Self::Hashed { salt, limit, chance } => match salted_hash(salt, trace) <= *limit {
                true => Vote::Keep(Odds::apart(*chance)),
                false => Vote::None,
            },
            Self::Budget { budget, unit } => match asked.spend(*budget, unit.amount(trace)) {
                true => Vote::Keep(Odds::UNKNOWN),
                false => Vote::None,
            },
            Self::Conditions { any, on_error } => conditions(any, *on_error, asked),
            Self::Not(negated) => not(negated, asked),
            Self::All(all) => all_of(all, asked),
            Self::Drops(one) => match one.evaluate(asked) {
                Vote::Keep(_) | Vote::Drop => Vote::Drop,
                vote => vote,
            },
            Self::Composite { total, children } => composite(*total, children, asked),
        }
    }
}

impl Unit {
    pub(super) fn amount(self, trace: &Summary) -> f64 {
        match self {
            Self::Spans => f64::from(trace.spans),
            Self::Bytes => trace.bytes as f64,
        }
    }
}

fn conditions(any: &[TraceCondition], on_error: OnError, asked: &mut Asked<'_>) -> Vote {
    let mut holds = false;
    let mut failed = false;
    for condition in any {
        let outcome = condition.evaluate(asked.trace);
        holds |= outcome.holds;
        failed |= outcome.failed;
    }
    match on_error {
        OnError::Pass { count } => asked.failed |= failed && count,
        OnError::Abstain if failed => {
            asked.failed = true;
            return Vote::Failed;
        }
        OnError::Abstain => {}
    }
    Vote::certain_if(holds)
}

fn not(negated: &Expression, asked: &mut Asked<'_>) -> Vote {
    let mark = asked.mark();
    match negated.evaluate(asked) {
        Vote::None if negated.spends() => Vote::Keep(Odds::UNKNOWN),
        Vote::None => Vote::Keep(Odds::against(negated.chance(asked))),
        Vote::Keep(_) | Vote::Drop => {
            asked.take_back(mark);
            Vote::None
        }
        Vote::Failed => Vote::Failed,
    }
}

fn all_of(all: &[Expression], asked: &mut Asked<'_>) -> Vote {
    let mark = asked.mark();
    let mut odds = Odds::CERTAIN;
    let mut drops = false;
    for one in all {
        match one.evaluate(asked) {
            Vote::Keep(more) => odds = odds.and(more),
            Vote::Drop => drops = true,
            vote @ (Vote::None | Vote::Failed) => {
                asked.take_back(mark);
                return vote;
            }
        }
    }
    if drops { Vote::Drop } else { Vote::Keep(odds) }
}

fn composite(total: BudgetIndex, children: &[Child], asked: &mut Asked<'_>) -> Vote {
    let spans = Unit::Spans.amount(asked.trace);
    for child in children {
        let mark = asked.mark();
        match child.expression.evaluate(asked) {
            Vote::None => continue,
            vote @ (Vote::Drop | Vote::Failed) => return vote,
            Vote::Keep(_) => {}
        }
        if asked.spend(child.budget, spans) && asked.spend(total, spans) {
            *asked.leaf_voted = Some(child.leaf);
            return Vote::Keep(Odds { leaf: Some(child.leaf), ..Odds::UNKNOWN });
        }
        asked.take_back(mark);
    }
    Vote::None
}

/// FNV-1a, 64 bit, over the salt and then the trace id: the rule of the Collector's
/// `tail_sampling` processor.
fn salted_hash(salt: &[u8], trace: &Summary) -> u64 {
    fnv::hash_64(salt.iter().chain(trace.trace_id.as_bytes()).copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TraceId;

    #[test]
    fn the_salt_comes_before_the_id() {
        let id = TraceId::from_slice(b"foobarfoobarfoob").expect("not all zero");
        let whole = fnv::hash_64(b"saltfoobarfoobarfoob".iter().copied());
        assert_eq!(salted_hash(b"salt", &Summary::new(id)), whole);
    }
}
