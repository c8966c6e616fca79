//! The comparisons that nearly all conditions consist of: a plain field or attribute with a
//! literal, or with another one. The same answers as `value` gives, from what stands in the
//! record, with nothing to make or to drop: a list or a map is equal to nothing else, whatever is
//! in it.

use std::borrow::Cow;

use super::fields::Fields;
use super::lexer::Comparison;
use super::operand::Operand;
use super::paths::{self, Attribute, Path, SpanField};
use super::syntax::Operator;
use super::value::{Value, holds, same};
use super::wire;
use crate::otlp::span::{AttributeRef, SpanView, ValueRef};

/// A value as it stands in a record.
#[derive(Clone, Copy, Debug)]
enum Plain<'a> {
    Nil,
    Int(i64),
    String(&'a [u8]),
    /// A list or a map, whatever stands in it.
    Nested,
}

/// The answer of a comparison of that kind; `None` if it is of another, or of other types.
#[inline]
pub(super) fn compare(
    left: &Operand,
    right: &Operand,
    how: Comparison,
    fields: &Fields<'_>,
) -> Option<bool> {
    if let (Operand::Literal(left) | Operand::Known(left), Operand::Path(right)) = (left, right) {
        let differs = is_plain(left) && matches!(path(right, fields)?, Plain::Nested);
        return differs.then_some(how == Comparison::NotEqual);
    }
    let left = match left {
        Operand::Path(left) => path(left, fields)?,
        Operand::Chain(first, rest) => difference(first, rest, fields)?,
        _ => return None,
    };
    match (left, right) {
        (
            Plain::Int(left),
            Operand::Literal(Value::Int(right)) | Operand::Known(Value::Int(right)),
        ) => Some(holds(Some(left.cmp(right)), how)),
        (Plain::String(left), Operand::Literal(Value::String(right))) => Some(match how {
            Comparison::Equal | Comparison::NotEqual => same(left == &**right, how),
            _ => holds(Some(left.cmp(&**right)), how),
        }),
        (Plain::Nil, Operand::Literal(Value::Int(_) | Value::String(_))) => {
            Some(how == Comparison::NotEqual)
        }
        (Plain::Nested, Operand::Literal(right) | Operand::Known(right)) if is_plain(right) => {
            Some(how == Comparison::NotEqual)
        }
        (Plain::Int(left), Operand::Path(right)) => match path(right, fields)? {
            Plain::Int(right) => Some(holds(Some(left.cmp(&right)), how)),
            _ => None,
        },
        _ => None,
    }
}

/// True for what is neither a list nor a map, and so equal to none.
fn is_plain(value: &Value<'_>) -> bool {
    !matches!(value, Value::List(_) | Value::Map(_))
}

/// One whole number less another: how long a span took, in most cases.
fn difference<'v>(
    first: &Operand,
    rest: &[(Operator, Operand)],
    fields: &Fields<'v>,
) -> Option<Plain<'v>> {
    let (Operand::Path(first), [(Operator::Subtract, Operand::Path(second))]) = (first, rest)
    else {
        return None;
    };
    match (path(first, fields)?, path(second, fields)?) {
        (Plain::Int(first), Plain::Int(second)) => Some(Plain::Int(first.wrapping_sub(second))),
        _ => None,
    }
}

fn path<'v>(path: &Path, fields: &Fields<'v>) -> Option<Plain<'v>> {
    let span = fields.span()?;
    match path {
        Path::Resource(attribute) => plain(attribute, span.resource, span.record),
        Path::Span(field) => span_field(field, span),
        _ => None,
    }
}

fn span_field<'v>(field: &SpanField, view: &SpanView<'v>) -> Option<Plain<'v>> {
    let span = view.span;
    match field {
        SpanField::Attribute(attribute) => plain(attribute, view.attributes, view.record),
        SpanField::Name => Some(Plain::String(span.name.of(view.record))),
        SpanField::Kind => Some(Plain::Int(span.kind.into())),
        SpanField::StatusCode => Some(Plain::Int(span.status.into())),
        SpanField::StartTime => Some(Plain::Int(span.start_unix_nano.cast_signed())),
        SpanField::EndTime => Some(Plain::Int(span.end_unix_nano.cast_signed())),
        SpanField::DurationMs => Some(Plain::Int(paths::duration_ms(span))),
        _ => None,
    }
}

fn plain<'v>(
    attribute: &Attribute,
    attributes: &[AttributeRef],
    record: &'v [u8],
) -> Option<Plain<'v>> {
    let is_it = |found: &&AttributeRef| Some(found.key) == attribute.index;
    match attributes.iter().find(is_it).map(|found| found.value) {
        None => Some(Plain::Nil),
        Some(ValueRef::Other(slice)) => nested(attribute, slice.of(record)),
        Some(_) if !attribute.inner.is_empty() => None,
        Some(ValueRef::Empty) => Some(Plain::Nil),
        Some(ValueRef::Int(value)) => Some(Plain::Int(value)),
        Some(ValueRef::String(slice)) => Some(Plain::String(slice.of(record))),
        Some(_) => None,
    }
}

/// What stands inside of a value, or that it is a list or a map.
fn nested<'v>(attribute: &Attribute, value: &'v [u8]) -> Option<Plain<'v>> {
    let Some(inner) = wire::inner(value, &attribute.inner).ok()? else { return Some(Plain::Nil) };
    if wire::is_nested(inner) {
        return Some(Plain::Nested);
    }
    match wire::any_value(inner).ok()? {
        Value::Nil => Some(Plain::Nil),
        Value::Int(value) => Some(Plain::Int(value)),
        Value::String(Cow::Borrowed(text)) => Some(Plain::String(text)),
        _ => None,
    }
}
