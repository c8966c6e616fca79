//! What has a value: literals, paths, calls, and what is made of them.

use std::borrow::Cow;

use super::compute;
use super::error::EvalError;
use super::fields::Fields;
use super::functions::Call;
use super::paths::Path;
use super::syntax::Operator;
use super::value::{List, ListKind, Value};

#[derive(Clone, Debug)]
pub(super) enum Operand {
    /// As it is written.
    Literal(Value<'static>),
    /// Computed when the condition was compiled.
    Known(Value<'static>),
    Path(Path),
    Call(Box<Call>),
    List(Vec<Operand>),
    Map(Vec<(String, Operand)>),
    /// An operand and what is done to it, from the left to the right.
    Chain(Box<Operand>, Vec<(Operator, Operand)>),
    Negative(Box<Operand>),
    /// What a call yields, indexed.
    Indexed(Box<Operand>, Vec<Index>),
}

/// What a list or a map is indexed with.
#[derive(Clone, Debug)]
pub(super) enum Index {
    Key(String),
    Place(i64),
    Computed(Operand),
}

impl Operand {
    pub(super) fn get<'v>(&'v self, fields: &Fields<'v>) -> Result<Value<'v>, EvalError> {
        match self {
            Operand::Literal(value) | Operand::Known(value) => Ok(value.borrowed()),
            Operand::Path(path) => path.get(fields),
            Operand::Call(call) => call.value(fields),
            Operand::List(items) => {
                let items: Result<Vec<_>, _> = items.iter().map(|item| item.get(fields)).collect();
                Ok(Value::List(List::new(ListKind::Written, items?)))
            }
            Operand::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| Ok((Cow::Borrowed(key.as_bytes()), value.get(fields)?)));
                Ok(Value::map(entries.collect::<Result<_, EvalError>>()?))
            }
            Operand::Chain(first, rest) => {
                let mut value = first.get(fields)?;
                for (operator, operand) in rest {
                    value = compute::apply(&value, *operator, &operand.get(fields)?)?;
                }
                Ok(value)
            }
            Operand::Negative(operand) => compute::negative(&operand.get(fields)?),
            Operand::Indexed(operand, indexes) => {
                let mut value = operand.get(fields)?;
                for index in indexes {
                    value = index.of(value, fields)?;
                }
                Ok(value)
            }
        }
    }

    /// The operands that it is made of.
    fn parts(&mut self) -> Vec<&mut Operand> {
        match self {
            Operand::Literal(_) | Operand::Known(_) | Operand::Path(_) => Vec::new(),
            Operand::Call(call) => call.arguments.iter_mut().collect(),
            Operand::List(items) => items.iter_mut().collect(),
            Operand::Map(entries) => entries.iter_mut().map(|(_, value)| value).collect(),
            Operand::Chain(first, rest) => {
                let rest = rest.iter_mut().map(|(_, operand)| operand);
                std::iter::once(&mut **first).chain(rest).collect()
            }
            Operand::Negative(operand) => vec![operand],
            Operand::Indexed(operand, indexes) => {
                let computed = indexes.iter_mut().filter_map(|index| match index {
                    Index::Computed(operand) => Some(operand),
                    _ => None,
                });
                std::iter::once(&mut **operand).chain(computed).collect()
            }
        }
    }

    /// Shows every path to `visit`, which may change it.
    pub(super) fn each_path(&mut self, visit: &mut impl FnMut(&mut Path)) {
        if let Operand::Path(path) = self {
            visit(path);
        }
        self.parts().into_iter().for_each(|part| part.each_path(visit));
    }
}

impl Index {
    /// What a function yields has every key that it is asked for, or there is no answer.
    fn of<'v>(&'v self, value: Value<'v>, fields: &Fields<'v>) -> Result<Value<'v>, EvalError> {
        match self {
            Index::Key(key) => value.entry(key.as_bytes())?.ok_or(EvalError::NoKey),
            Index::Place(place) => value.element(*place),
            Index::Computed(operand) => match operand.get(fields)? {
                Value::String(key) => value.entry(&key)?.ok_or(EvalError::NoKey),
                Value::Int(place) => value.element(place),
                other => Err(EvalError::Index { found: other.type_name() }),
            },
        }
    }
}
