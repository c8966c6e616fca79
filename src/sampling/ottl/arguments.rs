//! The arguments of a call, held against the parameters of the function.

use std::ops::Range;

use super::convert;
use super::error::OttlError;
use super::functions::{Kind, Signature};
use super::operand::Operand;
use super::syntax::{Argument, Call, Node, Value as Written};
use super::value::Value;

/// The arguments in the order of the parameters, each with what it has to be. Those with a name
/// come after those without.
pub(super) fn in_order(
    call: Call,
    signature: &Signature,
    range: &Range<usize>,
) -> Result<Vec<(Kind, Node<Written>)>, OttlError> {
    let parameters = signature.parameters;
    let mut places: Vec<Option<Node<Written>>> = vec![None; parameters.len()];
    let mut seen_named = false;
    for (index, Argument { name, value }) in call.arguments.into_iter().enumerate() {
        let index = match name {
            Some(name) => {
                seen_named = true;
                named(&name, signature)?
            }
            None if seen_named => {
                return Err(OttlError::new(value.range, "the name of the argument is missing"));
            }
            None => index,
        };
        let place = places.get_mut(index).ok_or_else(|| wrong_count(signature, range))?;
        if place.replace(value).is_some() {
            return Err(wrong_count(signature, range));
        }
    }
    if places[..signature.required].iter().any(Option::is_none) {
        return Err(wrong_count(signature, range));
    }
    let kinds = parameters.iter().map(|(_, kind)| *kind);
    Ok(kinds.zip(places).filter_map(|(kind, value)| Some((kind, value?))).collect())
}

/// Which parameter has that name.
fn named(name: &Node<String>, signature: &Signature) -> Result<usize, OttlError> {
    let known: Vec<&str> = signature.parameters.iter().map(|(name, _)| *name).collect();
    known.iter().position(|known| *known == name.kind).ok_or_else(|| {
        let message = format!("{} has no `{}`", signature.name, name.kind);
        OttlError::new(name.range.clone(), message).with_known(&name.kind, &known)
    })
}

fn wrong_count(signature: &Signature, range: &Range<usize>) -> OttlError {
    let names: Vec<&str> = signature.parameters.iter().map(|(name, _)| *name).collect();
    let usage = format!("{}({})", signature.name, names.join(", "));
    OttlError::new(range.clone(), format!("wrong arguments: expected {usage}"))
}

/// A literal that the parameter cannot take is an error, as in the Collector. What has its type
/// from a span is checked when it is there.
pub(super) fn check(
    operand: &Operand,
    kind: Kind,
    function: &'static str,
    range: Range<usize>,
) -> Result<(), OttlError> {
    let fits = match operand {
        Operand::Literal(literal) => takes(kind, literal, function),
        Operand::Known(value) => takes_computed(kind, value),
        Operand::List(items) => match kind {
            Kind::Strings => {
                return items
                    .iter()
                    .try_for_each(|item| check(item, Kind::String, function, range.clone()));
            }
            Kind::Any | Kind::StringLike | Kind::StringLikes | Kind::Anythings | Kind::List => true,
            _ => false,
        },
        _ => !is_written(kind),
    };
    if fits {
        return Ok(());
    }
    Err(OttlError::new(range, format!("{function} takes {} here", description(kind))))
}

/// What has to stand in the condition as it is.
fn is_written(kind: Kind) -> bool {
    matches!(kind, Kind::BoolLiteral | Kind::StringLiteral | Kind::Strings | Kind::Anythings)
}

fn takes(kind: Kind, literal: &Value<'_>, function: &'static str) -> bool {
    match kind {
        Kind::Any | Kind::StringLike => true,
        Kind::String | Kind::StringLiteral => matches!(literal, Value::String(_)),
        Kind::StringLikes | Kind::List | Kind::Anythings => matches!(literal, Value::List(_)),
        Kind::Strings => match literal {
            Value::List(list) => list.items().iter().all(|item| matches!(item, Value::String(_))),
            _ => false,
        },
        Kind::Int => matches!(literal, Value::Int(_)),
        Kind::IntLike => convert::int(literal, function).is_ok(),
        Kind::Double => matches!(literal, Value::Double(_)),
        Kind::DoubleLike => convert::double(literal, function).is_ok(),
        Kind::Bool | Kind::BoolLiteral => matches!(literal, Value::Bool(_)),
        Kind::BoolLike => convert::bool(literal, function).is_ok(),
        Kind::BytesLike => convert::bytes(literal.clone(), function).is_ok(),
        Kind::Map => matches!(literal, Value::Map(_)),
        Kind::Time => matches!(literal, Value::Time(_)),
        Kind::Duration => matches!(literal, Value::Duration(_)),
    }
}

/// Of what is computed only what never fits is an error: the `Is` functions have an answer then.
fn takes_computed(kind: Kind, value: &Value<'_>) -> bool {
    match kind {
        Kind::Time => matches!(value, Value::Time(_)),
        Kind::Duration => matches!(value, Value::Duration(_)),
        _ => !is_written(kind),
    }
}

fn description(kind: Kind) -> &'static str {
    match kind {
        Kind::Any | Kind::StringLike => "any value",
        Kind::StringLikes | Kind::List => "a list",
        Kind::Strings => "a list of strings, written here as `[\"a\", \"b\"]`,",
        Kind::Anythings => "a list, written here as `[a, b]`,",
        Kind::String => "a string",
        Kind::StringLiteral => "a string, written here as it is,",
        Kind::Int => "an int",
        Kind::IntLike => "what can be made an int",
        Kind::Double => "a double",
        Kind::DoubleLike => "what can be made a double",
        Kind::Bool => "a bool",
        Kind::BoolLike => "what can be made a bool",
        Kind::BoolLiteral => "`true` or `false`",
        Kind::BytesLike => "bytes or a string",
        Kind::Map => "a map",
        Kind::Time => "a time (such as `start_time`, or `Time(...)`)",
        Kind::Duration => "a duration (such as `Duration(\"5s\")`, or `end_time - start_time`)",
    }
}
