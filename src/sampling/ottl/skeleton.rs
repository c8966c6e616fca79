//! A condition cut into leaves, each about one thing only: a span, the root, or the trace.

use std::ops::Range;

use super::error::EvalError;
use super::expression::{Expression, Kind, Level};
use super::fields::Fields;

/// The `and`, `or` and `not` of a condition over its leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Skeleton {
    /// The leaf with this index.
    Leaf(usize),
    /// True where the other is false.
    Not(Box<Skeleton>),
    /// True if all are.
    And(Vec<Skeleton>),
    /// True if any is.
    Or(Vec<Skeleton>),
}

impl Skeleton {
    /// The answer, given those of the leaves. They are asked in order, and only until the answer
    /// is known; the first error ends it.
    pub fn evaluate(
        &self,
        leaf: &mut impl FnMut(usize) -> Result<bool, EvalError>,
    ) -> Result<bool, EvalError> {
        match self {
            Self::Leaf(index) => leaf(*index),
            Self::Not(negated) => Ok(!negated.evaluate(leaf)?),
            Self::And(all) => {
                for operand in all {
                    if !operand.evaluate(leaf)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Or(any) => {
                for operand in any {
                    if operand.evaluate(leaf)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }
}

/// A part of a condition that is about one thing only.
#[derive(Clone, Debug)]
pub struct Leaf {
    pub(super) expression: Expression,
    level: Level,
}

impl Leaf {
    fn new(expression: Expression, level: Level) -> Self {
        Self { expression, level }
    }

    /// What it is about.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Its answer for what `fields` shows. Only the part of its level is looked at.
    pub fn evaluate(&self, fields: &Fields<'_>) -> Result<bool, EvalError> {
        self.expression.evaluate(fields)
    }

    fn negated(mut self) -> Self {
        let Expression { level, range, .. } = self.expression.clone();
        self.expression = Expression { kind: Kind::Not(Box::new(self.expression)), level, range };
        self
    }
}

/// Cuts `expression` into the largest parts that are about one thing each.
pub(super) fn split(expression: Expression, leaves: &mut Vec<Leaf>) -> Skeleton {
    let Expression { kind, level, range } = expression;
    if let Some(level) = level {
        leaves.push(Leaf::new(Expression { kind, level: Some(level), range }, level));
        return Skeleton::Leaf(leaves.len() - 1);
    }
    match kind {
        Kind::Not(negated) => Skeleton::Not(Box::new(split(*negated, leaves))),
        Kind::And(all) => {
            let parts = grouped(all, Kind::And).into_iter();
            Skeleton::And(parts.map(|part| split(part, leaves)).collect())
        }
        Kind::Or(any) => {
            let parts = grouped(any, Kind::Or).into_iter();
            Skeleton::Or(parts.map(|part| split(part, leaves)).collect())
        }
        kind => {
            // Literals, calls and comparisons have a level.
            debug_assert!(false, "{kind:?} has no level");
            leaves.push(Leaf::new(Expression { kind, level, range }, Level::Constant));
            Skeleton::Leaf(leaves.len() - 1)
        }
    }
}

/// Neighbours that are about one thing, each run as one operand. The order stays: it decides
/// which errors are met.
fn grouped(operands: Vec<Expression>, join: fn(Vec<Expression>) -> Kind) -> Vec<Expression> {
    let mut groups: Vec<(Option<Level>, Vec<Expression>)> = Vec::new();
    for operand in operands {
        let joined = groups
            .last()
            .and_then(|(level, _)| level.zip(operand.level))
            .and_then(|(one, other)| one.join(other));
        match (groups.last_mut(), joined) {
            (Some((level, group)), Some(joined)) => {
                *level = Some(joined);
                group.push(operand);
            }
            _ => groups.push((operand.level, vec![operand])),
        }
    }
    let merged = |(level, mut group): (Option<Level>, Vec<Expression>)| match group.pop() {
        Some(only) if group.is_empty() => only,
        last => {
            group.extend(last);
            let range = around(&group);
            Expression { kind: join(group), level, range }
        }
    };
    groups.into_iter().map(merged).collect()
}

fn around(group: &[Expression]) -> Range<usize> {
    let start = group.first().map_or(0, |first| first.range.start);
    start..group.last().map_or(start, |last| last.range.end)
}

/// Takes `skeleton` over `leaves` apart into single comparisons, with negations pushed into them
/// where `negate` says so.
pub(super) fn apart(
    skeleton: &Skeleton,
    leaves: &[Leaf],
    negate: bool,
    out: &mut Vec<Leaf>,
) -> Skeleton {
    let parts = |all: &[Skeleton], out: &mut Vec<Leaf>| {
        all.iter().map(|part| apart(part, leaves, negate, out)).collect()
    };
    match skeleton {
        Skeleton::Leaf(index) => single(&leaves[*index].expression, negate, out),
        Skeleton::Not(negated) => apart(negated, leaves, !negate, out),
        Skeleton::And(all) if negate => Skeleton::Or(parts(all, out)),
        Skeleton::Or(any) if negate => Skeleton::And(parts(any, out)),
        Skeleton::And(all) => Skeleton::And(parts(all, out)),
        Skeleton::Or(any) => Skeleton::Or(parts(any, out)),
    }
}

fn single(expression: &Expression, negate: bool, out: &mut Vec<Leaf>) -> Skeleton {
    let parts = |all: &[Expression], out: &mut Vec<Leaf>| {
        all.iter().map(|part| single(part, negate, out)).collect()
    };
    match &expression.kind {
        Kind::Not(negated) => single(negated, !negate, out),
        Kind::And(all) if negate => Skeleton::Or(parts(all, out)),
        Kind::Or(any) if negate => Skeleton::And(parts(any, out)),
        Kind::And(all) => Skeleton::And(parts(all, out)),
        Kind::Or(any) => Skeleton::Or(parts(any, out)),
        Kind::Literal(_) | Kind::Holds(_) | Kind::Compare(_) => {
            let level = expression.level.unwrap_or(Level::Constant);
            let leaf = Leaf::new(expression.clone(), level);
            out.push(if negate { leaf.negated() } else { leaf });
            Skeleton::Leaf(out.len() - 1)
        }
    }
}
