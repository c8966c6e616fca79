//! What a value is, and what it can be made.

use super::{Answer, Args, Prepared};
use crate::sampling::ottl::convert;
use crate::sampling::ottl::error::EvalError;
use crate::sampling::ottl::operand::Operand;
use crate::sampling::ottl::paths::{Path, SpanField};
use crate::sampling::ottl::value::Value;

pub(super) fn is_string<'v>(args: Args<'v, '_>) -> Answer<'v> {
    Ok(Value::Bool(matches!(args.get(0)?, Value::String(_))))
}

pub(super) fn is_int<'v>(args: Args<'v, '_>) -> Answer<'v> {
    Ok(Value::Bool(matches!(args.get(0)?, Value::Int(_))))
}

pub(super) fn is_double<'v>(args: Args<'v, '_>) -> Answer<'v> {
    Ok(Value::Bool(matches!(args.get(0)?, Value::Double(_))))
}

pub(super) fn is_bool<'v>(args: Args<'v, '_>) -> Answer<'v> {
    Ok(Value::Bool(matches!(args.get(0)?, Value::Bool(_))))
}

pub(super) fn is_list<'v>(args: Args<'v, '_>) -> Answer<'v> {
    Ok(Value::Bool(matches!(args.get(0)?, Value::List(_) | Value::Count(_))))
}

pub(super) fn is_map<'v>(args: Args<'v, '_>) -> Answer<'v> {
    Ok(Value::Bool(matches!(args.get(0)?, Value::Map(_))))
}

/// To the Collector events and links are never empty, whether there are any or not.
pub(super) fn prepare_is_empty(arguments: &[Operand]) -> Result<Prepared, String> {
    match arguments {
        [Operand::Path(Path::Span(field) | Path::Root(field))]
            if matches!(field, SpanField::Events | SpanField::Links) =>
        {
            Err("IsEmpty of events or links is never true: write `Len(events) == 0`".to_owned())
        }
        _ => Ok(Prepared::Nothing),
    }
}

/// What Go's `reflect.Value.IsZero` says of it, and a list or a map without elements.
pub(super) fn is_empty<'v>(args: Args<'v, '_>) -> Answer<'v> {
    Ok(Value::Bool(match args.get(0)? {
        Value::Nil => true,
        Value::Bool(value) => !value,
        Value::Int(value) | Value::Duration(value) => value == 0,
        Value::Double(value) => value == 0.0,
        Value::String(bytes) | Value::Bytes(bytes) => bytes.is_empty(),
        Value::TraceId(id) => id == [0; 16],
        Value::SpanId(id) => id == [0; 8],
        Value::Time(time) => time.is_zero(),
        Value::List(list) => list.items().is_empty(),
        Value::Map(entries) => entries.is_empty(),
        Value::Count(_) => false,
    }))
}

pub(super) fn int<'v>(args: Args<'v, '_>) -> Answer<'v> {
    Ok(convert::int(&args.get(0)?, args.name())?.map_or(Value::Nil, Value::Int))
}

pub(super) fn double<'v>(args: Args<'v, '_>) -> Answer<'v> {
    Ok(convert::double(&args.get(0)?, args.name())?.map_or(Value::Nil, Value::Double))
}

pub(super) fn bool<'v>(args: Args<'v, '_>) -> Answer<'v> {
    Ok(convert::bool(&args.get(0)?, args.name())?.map_or(Value::Nil, Value::Bool))
}

pub(super) fn string<'v>(args: Args<'v, '_>) -> Answer<'v> {
    Ok(args.text_of(0)?.map_or(Value::Nil, Value::String))
}

/// A number in a base from 2 to 36, or with a prefix that says it if the base is 0.
pub(super) fn parse_int<'v>(args: Args<'v, '_>) -> Answer<'v> {
    let (text, base) = (args.text(0)?, args.int(1)?);
    let read = std::str::from_utf8(&text).ok().and_then(|text| in_base(text, base));
    read.map(Value::Int).ok_or(EvalError::NotANumber)
}

/// Go's `strconv.ParseInt`.
fn in_base(text: &str, base: i64) -> Option<i64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sign = &text[..text.len() - unsigned.len()];
    let (radix, digits) = match base {
        2..=36 => (base as u32, unsigned.to_owned()),
        0 => by_prefix(unsigned)?,
        _ => return None,
    };
    let is_digits = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    is_digits.then(|| i64::from_str_radix(&format!("{sign}{digits}"), radix).ok()).flatten()
}

/// The base that a prefix tells, and the digits. Underscores may stand between digits, and behind
/// the prefix.
fn by_prefix(text: &str) -> Option<(u32, String)> {
    let lower = text.to_ascii_lowercase();
    let (radix, digits, has_prefix) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..], true),
        [b'0', b'b', ..] => (2, &lower[2..], true),
        [b'0', b'o', ..] => (8, &lower[2..], true),
        [b'0', _, ..] => (8, &lower[1..], true),
        _ => (10, &lower[..], false),
    };
    let stands_well = !digits.ends_with('_')
        && !digits.contains("__")
        && (has_prefix || !digits.starts_with('_'));
    stands_well.then(|| (radix, digits.replace('_', "")))
}

/// A trace id of 16 bytes, or of the 32 digits that they are written with.
pub(super) fn trace_id<'v>(args: Args<'v, '_>) -> Answer<'v> {
    id(args).map(Value::TraceId)
}

/// A span id of 8 bytes, or of 16 digits.
pub(super) fn span_id<'v>(args: Args<'v, '_>) -> Answer<'v> {
    id(args).map(Value::SpanId)
}

fn id<const LENGTH: usize>(args: Args<'_, '_>) -> Result<[u8; LENGTH], EvalError> {
    let bytes = convert::bytes(args.get(0)?, args.name())?;
    if let Ok(id) = <[u8; LENGTH]>::try_from(&*bytes) {
        return Ok(id);
    }
    let mut id = [0; LENGTH];
    if bytes.len() != 2 * LENGTH {
        return args.unreadable();
    }
    for (byte, digits) in id.iter_mut().zip(bytes.chunks(2)) {
        let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'));
        match digits.map(|digits| u8::from_str_radix(digits, 16)) {
            Some(Ok(value)) => *byte = value,
            _ => return args.unreadable(),
        }
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_base_are_read_as_go_reads_them() {
        let cases = [
            ("12", 10, Some(12)),
            ("-12", 8, Some(-10)),
            ("+ff", 16, Some(255)),
            ("FF", 16, Some(255)),
            ("0xff", 16, None),
            ("0xff", 0, Some(255)),
            ("-0b101", 0, Some(-5)),
            ("0o17", 0, Some(15)),
            ("017", 0, Some(15)),
            ("0x_f", 0, Some(15)),
            ("1_000", 0, Some(1000)),
            ("1_000", 10, None),
            ("_1", 0, None),
            ("1__0", 0, None),
            ("0", 0, Some(0)),
            ("", 10, None),
            ("+-1", 10, None),
            ("1", 1, None),
            ("1", 37, None),
            ("1", -1, None),
            ("9223372036854775808", 10, None),
            ("-9223372036854775808", 10, Some(i64::MIN)),
        ];
        for (text, base, expected) in cases {
            assert_eq!(in_base(text, base), expected, "{text} in base {base}");
        }
    }
}
