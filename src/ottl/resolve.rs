//! Conditions as written to conditions that can be evaluated: names are looked up, arguments and
//! levels are checked, and what is known beforehand is computed.

use std::ops::Range;

use super::Context;
use super::arguments::{self, in_order};
use super::error::OttlError;
use super::expression::{Expression, Kind, Level, Operand};
use super::functions::{Call, Function, Kind as ParameterKind, SIGNATURES, Signature};
use super::lexer::Comparison;
use super::syntax::{self, Boolean, Node};
use super::value::{Value, compare};
use super::{convert, names, pattern};

/// A value that was resolved, and what it is about.
type Resolved = (Operand, Level);

/// Resolves a whole condition.
pub(super) fn condition(node: Node<Boolean>, context: Context) -> Result<Expression, OttlError> {
    Resolver { context }.boolean(node)
}

struct Resolver {
    context: Context,
}

impl Resolver {
    fn boolean(&self, node: Node<Boolean>) -> Result<Expression, OttlError> {
        let Node { kind, range } = node;
        let (kind, level) = match kind {
            Boolean::Literal(value) => (Kind::Literal(value), Some(Level::Constant)),
            Boolean::Call(call) => self.bare_call(call, &range)?,
            Boolean::Compare(left, comparison, right) => {
                self.comparison(left, comparison, right, &range)?
            }
            Boolean::Not(negated) => {
                let negated = self.boolean(*negated)?;
                let level = negated.level;
                match negated.kind {
                    Kind::Literal(value) => (Kind::Literal(!value), level),
                    _ => (Kind::Not(Box::new(negated)), level),
                }
            }
            Boolean::And(all) => return self.chain(all, range, true),
            Boolean::Or(any) => return self.chain(any, range, false),
        };
        Ok(Expression { kind, level, range })
    }

    /// A comparison; that of two literals is computed.
    fn comparison(
        &self,
        left: Node<syntax::Value>,
        comparison: Comparison,
        right: Node<syntax::Value>,
        range: &Range<usize>,
    ) -> Result<(Kind, Option<Level>), OttlError> {
        let (left, left_level) = self.value(left)?;
        let (right, right_level) = self.value(right)?;
        let level = join(left_level, right_level, range)?;
        let kind = match (&left, &right) {
            (Operand::Literal(left), Operand::Literal(right)) => {
                Kind::Literal(compare(left, right, comparison))
            }
            _ => Kind::Compare(Box::new((left, comparison, right))),
        };
        Ok((kind, Some(level)))
    }

    /// An `and` (`is_and`) or an `or`. A literal decides the whole, whatever the others would
    /// say, or is left out, as in the Collector.
    fn chain(
        &self,
        operands: Vec<Node<Boolean>>,
        range: Range<usize>,
        is_and: bool,
    ) -> Result<Expression, OttlError> {
        let operands: Result<Vec<_>, _> =
            operands.into_iter().map(|operand| self.boolean(operand)).collect();
        let mut operands = operands?;
        let decides =
            |operand: &Expression| matches!(operand.kind, Kind::Literal(value) if value != is_and);
        if operands.iter().any(decides) {
            let (kind, level) = (Kind::Literal(!is_and), Some(Level::Constant));
            return Ok(Expression { kind, level, range });
        }
        operands.retain(|operand| !matches!(operand.kind, Kind::Literal(_)));
        let level =
            operands.iter().try_fold(Level::Constant, |level, operand| level.join(operand.level?));
        let kind = match operands.len() {
            0 => Kind::Literal(is_and),
            _ if is_and => Kind::And(operands),
            _ => Kind::Or(operands),
        };
        Ok(Expression { kind, level, range })
    }

    /// A call that is compared with nothing.
    fn bare_call(
        &self,
        call: syntax::Call,
        range: &Range<usize>,
    ) -> Result<(Kind, Option<Level>), OttlError> {
        let name = call.name.clone();
        let signature = signature(&call)?;
        if !signature.is_condition {
            let message = format!("{name} yields no boolean: compare it with a value");
            return Err(OttlError::new(range.clone(), message));
        }
        let (call, level) = self.call(call, range)?;
        Ok((Kind::Call(Box::new(call)), Some(level)))
    }

    fn value(&self, node: Node<syntax::Value>) -> Result<Resolved, OttlError> {
        let Node { kind, range } = node;
        let literal = |value| Ok((Operand::Literal(value), Level::Constant));
        match kind {
            syntax::Value::Nil => literal(Value::Nil),
            syntax::Value::Bool(value) => literal(Value::Bool(value)),
            syntax::Value::Int(value) => literal(Value::Int(value)),
            syntax::Value::Float(value) => literal(Value::Double(value)),
            syntax::Value::String(value) => literal(Value::string(value)),
            syntax::Value::Bytes(value) => literal(Value::Bytes(value.into())),
            syntax::Value::Enum(name) => literal(Value::Int(names::number(&name, range)?)),
            syntax::Value::Path(segments) => {
                let (path, level) = names::path(segments, range, self.context)?;
                Ok((Operand::Path(path), level))
            }
            syntax::Value::Call(call) => {
                let (call, level) = self.call(call, &range)?;
                Ok((Operand::Call(Box::new(call)), level))
            }
            syntax::Value::List(_) => {
                let help = "a list stands as the first argument of `Concat` only";
                Err(OttlError::new(range, "a list has no meaning here").with_help(help))
            }
        }
    }

    fn call(&self, call: syntax::Call, range: &Range<usize>) -> Result<(Call, Level), OttlError> {
        let signature = signature(&call)?;
        if signature.function == Function::IsRootSpan && self.context == Context::SpanEvent {
            let message = "IsRootSpan is not known in conditions on events";
            let help = "write `span.parent_span_id.string == \"0000000000000000\"`";
            return Err(OttlError::new(call.range, message).with_help(help));
        }
        let mut arguments = Vec::new();
        let mut level = match signature.function {
            Function::IsRootSpan => Level::Span,
            _ => Level::Constant,
        };
        for (kind, argument) in in_order(call, signature, range)? {
            for (operand, operand_level) in self.argument(argument, kind, signature)? {
                level = join(level, operand_level, range)?;
                arguments.push(operand);
            }
        }
        if signature.function == Function::Concat {
            // The delimiter comes last.
            arguments.rotate_right(1);
        }
        let pattern = literal_pattern(signature.function, &arguments, range)?;
        Ok((Call { function: signature.function, arguments, pattern }, level))
    }

    /// The values of one argument: those of its items if it is a list.
    fn argument(
        &self,
        argument: Node<syntax::Value>,
        kind: ParameterKind,
        signature: &Signature,
    ) -> Result<Vec<Resolved>, OttlError> {
        let range = argument.range.clone();
        let (items, kind) = match (argument.kind, kind) {
            (syntax::Value::List(items), ParameterKind::StringLikes) => {
                (items, ParameterKind::StringLike)
            }
            (_, ParameterKind::StringLikes) => {
                let message = format!("{} takes a list here", signature.name);
                let help = "for example `Concat([name, kind], \"-\")`";
                return Err(OttlError::new(range, message).with_help(help));
            }
            (kind_of, kind) => (vec![Node { kind: kind_of, range }], kind),
        };
        let mut resolved = Vec::with_capacity(items.len());
        for item in items {
            let range = item.range.clone();
            let (operand, level) = self.value(item)?;
            arguments::check(&operand, kind, signature.name, range)?;
            resolved.push((operand, level));
        }
        Ok(resolved)
    }
}

fn signature(call: &syntax::Call) -> Result<&'static Signature, OttlError> {
    SIGNATURES.iter().find(|signature| signature.name == call.name).ok_or_else(|| {
        let known: Vec<&str> = SIGNATURES.iter().map(|signature| signature.name).collect();
        let message = format!("unknown function `{}`", call.name);
        OttlError::new(call.range.clone(), message).with_known(&call.name, &known)
    })
}

fn join(one: Level, other: Level, range: &Range<usize>) -> Result<Level, OttlError> {
    one.join(other).ok_or_else(|| {
        let name = |level| match level {
            Level::Root => "the root span",
            Level::Trace => "the trace",
            _ => "a span",
        };
        let (one, other) = (name(one), name(other));
        let message = format!("a single comparison cannot be about {one} and about {other}");
        let help = "compare each with a literal, and join the two by `and` or `or`";
        OttlError::new(range.clone(), message).with_help(help)
    })
}

/// The expression of an `IsMatch`, if it is a literal.
fn literal_pattern(
    function: Function,
    arguments: &[Operand],
    range: &Range<usize>,
) -> Result<Option<regex::Regex>, OttlError> {
    let (Function::IsMatch, [_, Operand::Literal(Value::String(written))]) = (function, arguments)
    else {
        return Ok(None);
    };
    let compiled = pattern::compile(&convert::readable(written));
    compiled.map(Some).map_err(|error| {
        OttlError::new(range.clone(), format!("invalid regular expression: {error}"))
    })
}
