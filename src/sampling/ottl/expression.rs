//! A condition that was compiled, and its evaluation (`pkg/ottl/boolean_value.go`).

use std::ops::Range;

use super::error::EvalError;
use super::fields::Fields;
use super::lexer::Comparison;
use super::operand::Operand;
use super::paths::Path;
use super::quick;
use super::value::{Value, compare};

/// What a condition, or a part of one, is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// Nothing: literals only.
    Constant,
    /// A span, with its resource, its scope and its events.
    Span,
    /// The root span of a trace.
    Root,
    /// A trace as a whole.
    Trace,
}

impl Level {
    /// The level of what has parts of both; `None` if that are two.
    pub(super) fn join(self, other: Self) -> Option<Self> {
        match (self, other) {
            (level, Level::Constant) | (Level::Constant, level) => Some(level),
            (one, other) => (one == other).then_some(one),
        }
    }
}

/// What is true or false.
#[derive(Clone, Debug)]
pub(super) struct Expression {
    pub(super) kind: Kind,
    /// What it is about; `None` if that is more than one level.
    pub(super) level: Option<Level>,
    /// Where it stands in the text.
    pub(super) range: Range<usize>,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Literal(bool),
    /// True if it is `true`; what is no boolean has no answer.
    Holds(Box<Operand>),
    Compare(Box<(Operand, Comparison, Operand)>),
    Not(Box<Expression>),
    And(Vec<Expression>),
    Or(Vec<Expression>),
}

impl Expression {
    /// Operands are evaluated in order, until the answer is known; the first error ends it.
    pub(super) fn evaluate(&self, fields: &Fields<'_>) -> Result<bool, EvalError> {
        match &self.kind {
            Kind::Literal(value) => Ok(*value),
            Kind::Holds(operand) => match operand.get(fields)? {
                Value::Bool(holds) => Ok(holds),
                other => Err(EvalError::NoAnswer { found: other.type_name() }),
            },
            Kind::Compare(comparison) => {
                let (left, how, right) = &**comparison;
                if let Some(answer) = quick::compare(left, right, *how, fields) {
                    return Ok(answer);
                }
                Ok(compare(&left.get(fields)?, &right.get(fields)?, *how))
            }
            Kind::Not(negated) => Ok(!negated.evaluate(fields)?),
            Kind::And(all) => {
                for operand in all {
                    if !operand.evaluate(fields)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Kind::Or(any) => {
                for operand in any {
                    if operand.evaluate(fields)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    /// Shows every path to `visit`, which may change it.
    pub(super) fn each_path(&mut self, visit: &mut impl FnMut(&mut Path)) {
        match &mut self.kind {
            Kind::Literal(_) => {}
            Kind::Holds(operand) => operand.each_path(visit),
            Kind::Compare(comparison) => {
                comparison.0.each_path(visit);
                comparison.2.each_path(visit);
            }
            Kind::Not(negated) => negated.each_path(visit),
            Kind::And(all) | Kind::Or(all) => {
                all.iter_mut().for_each(|operand| operand.each_path(visit));
            }
        }
    }
}
