//! What a path or a function yields, and how it is compared (`pkg/ottl/compare.go`).

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::ops::Deref;

use super::error::EvalError;
use super::lexer::Comparison;
use super::time::Time;
use super::wire;
use crate::otlp::span::ValueRef;

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
    Time(Time),
    /// In nanoseconds.
    Duration(i64),
    List(List<'a>),
    Map(Several<'a, Entry<'a>>),
    /// So many events or links, of which no more than that is known.
    Count(usize),
}

/// A key of a map and its value.
pub(super) type Entry<'a> = (Cow<'a, [u8]>, Value<'a>);

/// A list.
#[derive(Clone, Debug)]
pub(super) struct List<'a> {
    pub(super) kind: ListKind,
    items: Several<'a, Value<'a>>,
}

/// What the Collector has a list as, which decides what it is equal to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListKind {
    /// From a span, or made of its data.
    Data,
    /// Written in the condition.
    Written,
    /// The strings that `Split` yields: equal to nothing.
    Strings,
}

/// Values that stand elsewhere, or that were made for this one.
#[derive(Clone, Debug)]
pub(super) enum Several<'a, T> {
    Borrowed(&'a [T]),
    Owned(Vec<T>),
}

impl<T> Deref for Several<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Borrowed(values) => values,
            Self::Owned(values) => values,
        }
    }
}

impl<T: Clone> Several<'_, T> {
    pub(super) fn into_vec(self) -> Vec<T> {
        match self {
            Self::Borrowed(values) => values.to_vec(),
            Self::Owned(values) => values,
        }
    }
}

impl<'a> List<'a> {
    pub(super) fn new(kind: ListKind, items: Vec<Value<'a>>) -> Self {
        Self { kind, items: Several::Owned(items) }
    }

    pub(super) fn items(&self) -> &[Value<'a>] {
        &self.items
    }

    fn into_items(self) -> Vec<Value<'a>> {
        self.items.into_vec()
    }

    /// One item after the other; of those that stand elsewhere nothing is copied.
    pub(super) fn each<T, E>(
        self,
        mut visit: impl FnMut(Value<'a>) -> Result<Option<T>, E>,
    ) -> Result<Option<T>, E> {
        match self.items {
            Several::Borrowed(items) => {
                for item in items {
                    if let Some(found) = visit(item.borrowed())? {
                        return Ok(Some(found));
                    }
                }
            }
            Several::Owned(items) => {
                for item in items {
                    if let Some(found) = visit(item)? {
                        return Ok(Some(found));
                    }
                }
            }
        }
        Ok(None)
    }
}

impl<'a> Value<'a> {
    pub(super) fn string(bytes: impl Into<Vec<u8>>) -> Self {
        Value::String(Cow::Owned(bytes.into()))
    }

    /// A list of data.
    pub(super) fn list(items: Vec<Value<'a>>) -> Self {
        Value::List(List::new(ListKind::Data, items))
    }

    pub(super) fn map(entries: Vec<Entry<'a>>) -> Self {
        Value::Map(Several::Owned(entries))
    }

    /// The value of an attribute of a span in `record`.
    pub(super) fn read(value: ValueRef, record: &'a [u8]) -> Result<Self, EvalError> {
        Ok(match value {
            ValueRef::Empty => Value::Nil,
            ValueRef::String(slice) => Value::String(Cow::Borrowed(slice.of(record))),
            ValueRef::Bool(value) => Value::Bool(value),
            ValueRef::Int(value) => Value::Int(value),
            ValueRef::Double(value) => Value::Double(value),
            ValueRef::Bytes(slice) => Value::Bytes(Cow::Borrowed(slice.of(record))),
            ValueRef::Other(slice) => return wire::any_value(slice.of(record)),
        })
    }

    /// The same value, of which nothing was copied.
    pub(super) fn borrowed(&'a self) -> Self {
        match self {
            Value::String(text) => Value::String(Cow::Borrowed(text)),
            Value::Bytes(bytes) => Value::Bytes(Cow::Borrowed(bytes)),
            Value::List(List { kind, items }) => {
                Value::List(List { kind: *kind, items: Several::Borrowed(items) })
            }
            Value::Map(entries) => Value::Map(Several::Borrowed(entries)),
            other => other.clone(),
        }
    }

    /// The same value, with all that it refers to.
    pub(super) fn into_owned(self) -> Value<'static> {
        let owned = |bytes: Cow<'_, [u8]>| Cow::Owned(bytes.into_owned());
        match self {
            Value::Nil => Value::Nil,
            Value::Bool(value) => Value::Bool(value),
            Value::Int(value) => Value::Int(value),
            Value::Double(value) => Value::Double(value),
            Value::String(text) => Value::String(owned(text)),
            Value::Bytes(bytes) => Value::Bytes(owned(bytes)),
            Value::TraceId(id) => Value::TraceId(id),
            Value::SpanId(id) => Value::SpanId(id),
            Value::Time(time) => Value::Time(time),
            Value::Duration(nanos) => Value::Duration(nanos),
            Value::Count(count) => Value::Count(count),
            Value::List(list) => {
                let kind = list.kind;
                let items = list.into_items().into_iter().map(Value::into_owned).collect();
                Value::List(List::new(kind, items))
            }
            Value::Map(entries) => {
                let entries = entries.into_vec().into_iter();
                Value::map(entries.map(|(key, value)| (owned(key), value.into_owned())).collect())
            }
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
            Value::Time(_) => "time",
            Value::Duration(_) => "duration",
            Value::List(_) => "list",
            Value::Map(_) => "map",
            Value::Count(_) => "list of events or links",
        }
    }

    /// The element with this key of a map; `None` if it does not have it.
    pub(super) fn entry(self, key: &[u8]) -> Result<Option<Self>, EvalError> {
        match self {
            Value::Map(Several::Borrowed(entries)) => {
                let found = entries.iter().find(|(known, _)| **known == *key);
                Ok(found.map(|(_, value)| value.borrowed()))
            }
            Value::Map(Several::Owned(entries)) => {
                let found = entries.into_iter().find(|(known, _)| **known == *key);
                Ok(found.map(|(_, value)| value))
            }
            other => Err(EvalError::Index { found: other.type_name() }),
        }
    }

    /// The element at this place of a list.
    pub(super) fn element(self, index: i64) -> Result<Self, EvalError> {
        let Value::List(List { items, .. }) = self else {
            return Err(EvalError::Index { found: self.type_name() });
        };
        let place = usize::try_from(index).ok().filter(|place| *place < items.len());
        let place = place.ok_or(EvalError::OutOfBounds(index))?;
        Ok(match items {
            Several::Borrowed(items) => items[place].borrowed(),
            Several::Owned(mut items) => items.swap_remove(place),
        })
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
        (Value::Time(left), Value::Time(right)) => {
            holds(Some(left.unix_nanos.cmp(&right.unix_nanos)), comparison)
        }
        (Value::Duration(left), Value::Duration(right)) => holds(Some(left.cmp(right)), comparison),
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

/// A map that was written in a written list is equal to no map of data.
fn equal_lists(left: &List<'_>, right: &List<'_>) -> bool {
    use ListKind::{Data, Strings, Written};
    let maps_differ = match (left.kind, right.kind) {
        (Strings, _) | (_, Strings) => return false,
        (Written, Data) | (Data, Written) => true,
        (Written, Written) | (Data, Data) => false,
    };
    let same = |(left, right): (&Value<'_>, &Value<'_>)| {
        equal(left, right) && !(maps_differ && matches!(left, Value::Map(_)))
    };
    left.items.len() == right.items.len() && left.items.iter().zip(&*right.items).all(same)
}

/// Up to so many entries are looked for one by one; of more, an index is made.
const FEW_ENTRIES: usize = 16;

/// The order does not matter, and of a key that stands twice the first is taken on the right.
fn equal_maps(left: &[Entry<'_>], right: &[Entry<'_>]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    if right.len() <= FEW_ENTRIES {
        return left.iter().all(|(key, value)| {
            let other = right.iter().find(|(other, _)| other == key);
            other.is_some_and(|(_, other)| equal(value, other))
        });
    }
    let mut index: HashMap<&[u8], &Value<'_>> = HashMap::with_capacity(right.len());
    for (key, value) in right {
        index.entry(key).or_insert(value);
    }
    left.iter().all(|(key, value)| index.get(&**key).is_some_and(|other| equal(value, other)))
}

/// Equal inside of lists and maps: types are strict.
fn equal(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::Int(_), Value::Double(_)) | (Value::Double(_), Value::Int(_)) => false,
        (Value::Bytes(left), Value::Bytes(right)) => left == right,
        (Value::Nil, Value::Bytes(_)) | (Value::Bytes(_), Value::Nil) => false,
        _ => compare(left, right, Comparison::Equal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Maps of this size, both with and without an index, and the second in another order.
    #[test]
    fn maps_are_equal_in_any_order() {
        for size in [2, FEW_ENTRIES, FEW_ENTRIES + 1, 50_000] {
            let map = |change: i64| -> Vec<Entry<'static>> {
                let entry = |index: usize| {
                    let key = format!("key {index}").into_bytes();
                    (
                        Cow::Owned(key),
                        Value::Int(index as i64 + if index == 0 { change } else { 0 }),
                    )
                };
                (0..size).map(entry).collect()
            };
            let reversed =
                |change| -> Vec<Entry<'static>> { map(change).into_iter().rev().collect() };
            assert!(equal_maps(&map(0), &reversed(0)), "{size}");
            assert!(!equal_maps(&map(0), &reversed(1)), "{size}");
            assert!(!equal_maps(&map(0), &map(0)[1..]), "{size}");
            // The first of two values counts on the right.
            let mut twice = map(0);
            twice[1] = (Cow::Owned(b"key 0".to_vec()), Value::Int(7));
            assert!(!equal_maps(&map(0), &twice), "{size}");
            assert!(!equal_maps(&twice, &twice), "{size}");
            twice[1].1 = Value::Int(0);
            assert!(equal_maps(&twice, &map(0)), "{size}");
        }
    }
}
