//! Conditions as written to conditions that can be evaluated: names are looked up, arguments and
//! levels are checked, and what is known beforehand is computed.

use std::ops::Range;

use super::Context;
use super::arguments::{self, in_order};
use super::error::{EvalError, OttlError};
use super::expression::{Expression, Kind, Level};
use super::fields::Fields;
use super::functions::{
    self, Call, Kind as ParameterKind, Prepared, SIGNATURES, Signature, Yields,
};
use super::hints;
use super::lexer::Comparison;
use super::names;
use super::operand::{Index, Operand};
use super::paths::Inner;
use super::syntax::{self, Boolean, Key, Node};
use super::value::{List, ListKind, Value, compare};

/// A value that was resolved, and what it is about.
type Resolved = (Operand, Level);

/// Resolves a whole condition.
pub(super) fn condition(node: Node<Boolean>, context: Context) -> Result<Expression, OttlError> {
    Resolver { context }.boolean(node)
}

pub(super) struct Resolver {
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
        let yields = if call.keys.is_empty() { signature(&call)?.yields } else { Yields::Either };
        if yields == Yields::Value {
            let message = format!("{} yields no boolean: compare it with a value", call.name);
            return Err(OttlError::new(range.clone(), message));
        }
        let (operand, level) = self.called(call, range)?;
        Ok((Kind::Holds(Box::new(operand)), Some(level)))
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
                let (path, level) = names::path(self, segments, range, self.context)?;
                Ok((Operand::Path(path), level))
            }
            syntax::Value::Call(call) => self.called(call, &range),
            syntax::Value::List(items) => self.list(items, &range),
            syntax::Value::Map(entries) => self.map(entries, &range),
            syntax::Value::Chain(first, rest) => {
                let (first, mut level) = self.value(*first)?;
                let mut operands = Vec::with_capacity(rest.len());
                for (operator, operand) in rest {
                    let (operand, operand_level) = self.value(operand)?;
                    level = join(level, operand_level, &range)?;
                    operands.push((operator, operand));
                }
                known(Operand::Chain(Box::new(first), operands), level, range)
            }
            syntax::Value::Negative(operand) => {
                let (operand, level) = self.value(*operand)?;
                known(Operand::Negative(Box::new(operand)), level, range)
            }
        }
    }

    /// A list of literals is a literal.
    fn list(
        &self,
        items: Vec<Node<syntax::Value>>,
        range: &Range<usize>,
    ) -> Result<Resolved, OttlError> {
        let mut level = Level::Constant;
        let mut operands = Vec::with_capacity(items.len());
        for item in items {
            let (operand, item_level) = self.value(item)?;
            level = join(level, item_level, range)?;
            operands.push(operand);
        }
        let literals: Option<Vec<Value<'static>>> = operands.iter().map(literal).collect();
        Ok(match literals {
            Some(items) => {
                (Operand::Literal(Value::List(List::new(ListKind::Written, items))), level)
            }
            None => (Operand::List(operands), level),
        })
    }

    /// A map of literals is a literal.
    fn map(
        &self,
        entries: Vec<(String, Node<syntax::Value>)>,
        range: &Range<usize>,
    ) -> Result<Resolved, OttlError> {
        let mut level = Level::Constant;
        let mut operands = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let (operand, value_level) = self.value(value)?;
            level = join(level, value_level, range)?;
            operands.push((key, operand));
        }
        let literals = operands
            .iter()
            .map(|(key, operand)| Some((key.clone().into_bytes().into(), literal(operand)?)));
        Ok(match literals.collect::<Option<Vec<_>>>() {
            Some(entries) => (Operand::Literal(Value::map(entries)), level),
            None => (Operand::Map(operands), level),
        })
    }

    /// A call, and what its result is indexed with.
    fn called(&self, call: syntax::Call, range: &Range<usize>) -> Result<Resolved, OttlError> {
        let syntax::Call { name, arguments, keys, range: place } = call;
        let call = syntax::Call { name, arguments, keys: Vec::new(), range: place };
        let (call, mut level) = self.call(call, range)?;
        let call = Operand::Call(Box::new(call));
        if keys.is_empty() {
            return known(call, level, range.clone());
        }
        let mut indexes = Vec::with_capacity(keys.len());
        for key in keys {
            let (index, key_level) = self.index(key)?;
            level = join(level, key_level, range)?;
            indexes.push(index);
        }
        known(Operand::Indexed(Box::new(call), indexes), level, range.clone())
    }

    fn index(&self, key: Node<Key>) -> Result<(Index, Level), OttlError> {
        let computed = match key.kind {
            Key::String(key) => return Ok((Index::Key(key), Level::Constant)),
            Key::Int(place) => return Ok((Index::Place(place), Level::Constant)),
            Key::Computed(value) => *value,
        };
        Ok(match self.value(computed)? {
            (Operand::Known(value) | Operand::Literal(value), level) => match value {
                Value::String(key) => {
                    (Index::Key(String::from_utf8_lossy(&key).into_owned()), level)
                }
                Value::Int(place) => (Index::Place(place), level),
                _ => {
                    let message = "a key is a string or a whole number";
                    return Err(OttlError::new(key.range, message));
                }
            },
            (operand, level) => (Index::Computed(operand), level),
        })
    }

    /// A key of a path: tailsieve looks for attributes by the keys that it knows beforehand.
    pub(super) fn known_key(&self, key: Node<Key>) -> Result<Inner, OttlError> {
        let range = key.range.clone();
        match self.index(key)? {
            (Index::Key(key), _) => Ok(Inner::Key(key)),
            (Index::Place(place), _) => Ok(Inner::Place(place)),
            (Index::Computed(_), _) => {
                let message = "the key is different for every span";
                let help = "attributes are looked for by the keys that stand in the file: write \
                            the key as a string";
                Err(OttlError::new(range, message).with_help(help))
            }
        }
    }

    fn call(&self, call: syntax::Call, range: &Range<usize>) -> Result<(Call, Level), OttlError> {
        let signature = signature(&call)?;
        if signature.level == Level::Span && self.context == Context::SpanEvent {
            let message = "IsRootSpan is not known in conditions on events";
            let help = "write `span.parent_span_id.string == \"0000000000000000\"`";
            return Err(OttlError::new(call.range, message).with_help(help));
        }
        let mut arguments = Vec::new();
        let mut level = signature.level;
        for (kind, argument) in in_order(call, signature, range)? {
            let place = argument.range.clone();
            let (operand, argument_level) = self.value(argument)?;
            arguments::check(&operand, kind, signature.name, place).map_err(
                |error| match kind {
                    ParameterKind::StringLikes => {
                        error.with_help("for example `Concat([name, kind], \"-\")`")
                    }
                    _ => error,
                },
            )?;
            level = join(level, argument_level, range)?;
            arguments.push(operand);
        }
        let prepare = signature.prepare.map_or(Ok(Prepared::Nothing), |make| make(&arguments));
        let prepared = prepare.map_err(|message| OttlError::new(range.clone(), message))?;
        Ok((Call { signature, arguments, prepared }, level))
    }
}

/// What can be computed now is; if it has no value now, it has none for any span.
fn known(operand: Operand, level: Level, range: Range<usize>) -> Result<Resolved, OttlError> {
    if level != Level::Constant {
        return Ok((operand, level));
    }
    match operand.get(&Fields::default()) {
        Ok(value) => Ok((Operand::Known(value.into_owned()), level)),
        Err(why) => {
            let help = match why {
                EvalError::Unreadable { function } => hints::readable_by(function),
                _ => None,
            };
            let message = format!("this has no value: {why}");
            Err(OttlError::new(range, message).with_help_if_any(help))
        }
    }
}

fn literal(operand: &Operand) -> Option<Value<'static>> {
    match operand {
        Operand::Literal(value) => Some(value.clone()),
        _ => None,
    }
}

fn signature(call: &syntax::Call) -> Result<&'static Signature, OttlError> {
    let name = call.name.as_str();
    SIGNATURES.iter().find(|signature| signature.name == name).ok_or_else(|| {
        if let Some(why) = functions::why_refused(name) {
            let message = format!("{name} is not known here");
            return OttlError::new(call.range.clone(), message).with_help(why);
        }
        let known: Vec<&str> = SIGNATURES.iter().map(|signature| signature.name).collect();
        let error = OttlError::new(call.range.clone(), format!("unknown function `{name}`"));
        match hints::did_you_mean(name, &known) {
            Some(help) => error.with_help(help),
            None => error.with_help("docs/policies.md lists the functions, section OTTL"),
        }
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
