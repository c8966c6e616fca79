//! Functions of lists and maps.

use memchr::memmem;

use super::{Answer, Args, Prepared};
use crate::sampling::ottl::lexer::Comparison;
use crate::sampling::ottl::operand::Operand;
use crate::sampling::ottl::value::{Value, compare};

/// True if some item is equal to the value, as `==` has it.
pub(super) fn contains<'v>(args: Args<'v, '_>) -> Answer<'v> {
    let wanted = args.get(1)?;
    let found =
        args.each_item(0, |item| Ok(compare(&item, &wanted, Comparison::Equal).then_some(())))?;
    Ok(Value::Bool(found.is_some()))
}

/// The place of a text in a text, in bytes, or of a value in a list; -1 if there is none.
pub(super) fn index<'v>(args: Args<'v, '_>) -> Answer<'v> {
    let place = match (args.get(0)?, args.get(1)?) {
        (Value::String(text), Value::String(wanted)) => memmem::find(&text, &wanted),
        (Value::String(_), other) => return args.wrong_type(&other),
        (Value::List(list), wanted) => {
            let is_it = |item: &Value<'_>| compare(item, &wanted, Comparison::Equal);
            list.items().iter().position(is_it)
        }
        (other, _) => return args.wrong_type(&other),
    };
    Ok(Value::Int(place.map_or(-1, |place| place as i64)))
}

pub(super) fn length<'v>(args: Args<'v, '_>) -> Answer<'v> {
    let length = match args.get(0)? {
        Value::String(bytes) | Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.items().len(),
        Value::Map(entries) => entries.len(),
        Value::Count(count) => count,
        other => return args.wrong_type(&other),
    };
    Ok(Value::Int(length as i64))
}

pub(super) fn keys<'v>(args: Args<'v, '_>) -> Answer<'v> {
    let entries = args.map(0)?.into_vec();
    Ok(Value::list(entries.into_iter().map(|(key, _)| Value::String(key)).collect()))
}

pub(super) fn values<'v>(args: Args<'v, '_>) -> Answer<'v> {
    let entries = args.map(0)?.into_vec();
    Ok(Value::list(entries.into_iter().map(|(_, value)| value).collect()))
}

pub(super) fn prepare_coalesce(arguments: &[Operand]) -> Result<Prepared, String> {
    match arguments.first() {
        Some(Operand::Literal(Value::List(list))) if list.items().is_empty() => {
            Err("Coalesce takes one value at least".to_owned())
        }
        _ => Ok(Prepared::Nothing),
    }
}

/// The first value that is not nil.
pub(super) fn coalesce<'v>(args: Args<'v, '_>) -> Answer<'v> {
    let first = args.each_item(0, |item| Ok((!matches!(item, Value::Nil)).then_some(item)))?;
    Ok(first.unwrap_or(Value::Nil))
}
