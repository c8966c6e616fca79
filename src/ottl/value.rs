//! What a path or a function yields, and how it is compared (`pkg/ottl/compare.go`).

use std::borrow::Cow;
use std::cmp::Ordering;

use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};

use super::error::EvalError;
use super::lexer::Comparison;
use super::nested;
use super::syntax::Key;
use crate::span::ValueRef;

/// A value. Strings are bytes, as in Go: a substring may end inside of a character.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    Double(f64),
    String(Cow<'a, [u8]>),
    Bytes(Cow<'a, [u8]>),
    /// A trace id or a span id: equal to itself only, whatever it is compared with.
    TraceId([u8; 16]),
    SpanId([u8; 8]),
    List(Vec<AnyValue>),
    Map(Vec<KeyValue>),
}

impl<'a> Value<'a> {
    pub(super) fn string(bytes: impl Into<Vec<u8>>) -> Self {
        Value::String(Cow::Owned(bytes.into()))
    }

    /// The value of an attribute of a span in `record`.
    pub(super) fn read(value: ValueRef, record: &'a [u8]) -> Self {
        match value {
            ValueRef::Empty => Value::Nil,
            ValueRef::String(slice) => Value::String(Cow::Borrowed(slice.of(record))),
            ValueRef::Bool(value) => Value::Bool(value),
            ValueRef::Int(value) => Value::Int(value),
            ValueRef::Double(value) => Value::Double(value),
            ValueRef::Bytes(slice) => Value::Bytes(Cow::Borrowed(slice.of(record))),
            ValueRef::Other(slice) => nested::decode(slice.of(record)).into(),
        }
    }

    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Value::Nil => "nil",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Double(_) => "double",
            Value::String(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::TraceId(_) => "trace id",
            Value::SpanId(_) => "span id",
            Value::List(_) => "list",
            Value::Map(_) => "map",
        }
    }

    /// The element that `key` names; `None` if a map does not have it.
    pub(super) fn index(self, key: &Key) -> Result<Option<Self>, EvalError> {
        match (self, key) {
            (Value::Map(entries), Key::String(key)) => {
                let found = entries.into_iter().find(|entry| entry.key == *key);
                Ok(found.map(|entry| entry.value.unwrap_or_default().into()))
            }
            (Value::List(mut items), Key::Int(key)) => {
                let index = usize::try_from(*key).ok().filter(|index| *index < items.len());
                let index = index.ok_or(EvalError::OutOfBounds(*key))?;
                Ok(Some(items.swap_remove(index).into()))
            }
            (value, _) => Err(EvalError::Index { found: value.type_name() }),
        }
    }

    /// A value that is equal to nil: for the Collector, bytes that are empty are not there.
    fn is_nil(&self) -> bool {
        match self {
            Value::Nil => true,
            Value::Bytes(bytes) => bytes.is_empty(),
            _ => false,
        }
    }
}

impl From<AnyValue> for Value<'_> {
    fn from(value: AnyValue) -> Self {
        use any_value::Value as Any;
        match value.value {
            None | Some(Any::StringValueStrindex(_)) => Value::Nil,
            Some(Any::StringValue(text)) => Value::string(text),
            Some(Any::BoolValue(value)) => Value::Bool(value),
            Some(Any::IntValue(value)) => Value::Int(value),
            Some(Any::DoubleValue(value)) => Value::Double(value),
            Some(Any::BytesValue(bytes)) => Value::Bytes(Cow::Owned(bytes)),
            Some(Any::ArrayValue(list)) => Value::List(list.values),
            Some(Any::KvlistValue(map)) => Value::Map(map.values),
        }
    }
}

/// True if `left` and `right` compare like that. Values of types that cannot be compared are
/// unequal, and neither is less.
pub(super) fn compare(left: &Value<'_>, right: &Value<'_>, comparison: Comparison) -> bool {
    match (left, right) {
        _ if left.is_nil() && right.is_nil() => holds(Some(Ordering::Equal), comparison),
        (Value::Bool(left), Value::Bool(right)) => holds(Some(left.cmp(right)), comparison),
        (Value::Int(left), Value::Int(right)) => holds(Some(left.cmp(right)), comparison),
        (Value::Int(left), Value::Double(right)) => {
            holds((*left as f64).partial_cmp(right), comparison)
        }
        (Value::Double(left), Value::Int(right)) => {
            holds(left.partial_cmp(&(*right as f64)), comparison)
        }
        (Value::Double(left), Value::Double(right)) => holds(left.partial_cmp(right), comparison),
        (Value::String(left), Value::String(right)) => holds(Some(left.cmp(right)), comparison),
        (Value::Bytes(left), Value::Bytes(right)) if !left.is_empty() && !right.is_empty() => {
            holds(Some(left.cmp(right)), comparison)
        }
        (Value::TraceId(left), Value::TraceId(right)) => same(left == right, comparison),
        (Value::SpanId(left), Value::SpanId(right)) => same(left == right, comparison),
        (Value::List(left), Value::List(right)) => same(equal_lists(left, right), comparison),
        (Value::Map(left), Value::Map(right)) => same(equal_maps(left, right), comparison),
        _ => comparison == Comparison::NotEqual,
    }
}

/// No order at all is that of NaN: unequal to everything.
pub(super) fn holds(order: Option<Ordering>, comparison: Comparison) -> bool {
    let Some(order) = order else { return comparison == Comparison::NotEqual };
    match comparison {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    }
}

/// For what is equal or not, and has no order.
pub(super) fn same(equal: bool, comparison: Comparison) -> bool {
    match comparison {
        Comparison::Equal => equal,
        Comparison::NotEqual => !equal,
        _ => false,
    }
}

fn equal_lists(left: &[AnyValue], right: &[AnyValue]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
}

/// The order does not matter, and of a key that stands twice the first is taken on the right.
fn equal_maps(left: &[KeyValue], right: &[KeyValue]) -> bool {
    let value = |entry: &KeyValue| entry.value.clone().unwrap_or_default();
    let has = |entry: &KeyValue| {
        let other = right.iter().find(|other| other.key == entry.key);
        other.is_some_and(|other| equal(&value(entry), &value(other)))
    };
    left.len() == right.len() && left.iter().all(has)
}

/// Equal inside of lists and maps: types are strict.
fn equal(left: &AnyValue, right: &AnyValue) -> bool {
    use any_value::Value as Any;
    match (&left.value, &right.value) {
        (Some(Any::ArrayValue(left)), Some(Any::ArrayValue(right))) => {
            equal_lists(&left.values, &right.values)
        }
        (Some(Any::KvlistValue(left)), Some(Any::KvlistValue(right))) => {
            equal_maps(&left.values, &right.values)
        }
        (left, right) => left == right,
    }
}
