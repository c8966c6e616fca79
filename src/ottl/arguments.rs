//! The arguments of a call, held against the parameters of the function.

use std::ops::Range;

use super::convert;
use super::error::OttlError;
use super::expression::Operand;
use super::functions::{Kind, Signature};
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
        _ => kind != Kind::BoolLiteral,
    };
    if fits {
        return Ok(());
    }
    Err(OttlError::new(range, format!("{function} takes {} here", description(kind))))
}

fn takes(kind: Kind, literal: &Value<'_>, function: &'static str) -> bool {
    match kind {
        Kind::Any | Kind::StringLike | Kind::StringLikes => true,
        Kind::String => matches!(literal, Value::String(_)),
        Kind::Int => matches!(literal, Value::Int(_)),
        Kind::IntLike => convert::int(literal, function).is_ok(),
        Kind::Double => matches!(literal, Value::Double(_)),
        Kind::DoubleLike => convert::double(literal, function).is_ok(),
        Kind::Bool | Kind::BoolLiteral => matches!(literal, Value::Bool(_)),
        // There are no literal maps.
        Kind::Map => false,
    }
}

fn description(kind: Kind) -> &'static str {
    match kind {
        Kind::Any | Kind::StringLike => "any value",
        Kind::StringLikes => "a list",
        Kind::String => "a string",
        Kind::Int => "an int",
        Kind::IntLike => "what can be made an int",
        Kind::Double => "a double",
        Kind::DoubleLike => "what can be made a double",
        Kind::Bool => "a bool",
        Kind::BoolLiteral => "`true` or `false`",
        Kind::Map => "a map",
    }
}
