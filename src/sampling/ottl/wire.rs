//! Nested values as they stand in a record (`opentelemetry/proto/common/v1/common.proto`,
//! `AnyValue`), and the few fields of a span that the scan does not look for.
//!
//! Everything here was scanned before, so it is well formed: a field that is not ends the reading.
//! The scan does not look into groups and what else it does not know, and neither is it looked
//! into here. Texts are taken as they are, UTF-8 or not, and nothing of them is copied.

use std::borrow::Cow;

use super::error::EvalError;
use super::paths::Inner;
use super::value::{Entry, Value};

/// Field numbers of `Span`.
const SPAN_ATTRIBUTES: u64 = 9;
const SPAN_LINKS: u64 = 13;

/// How deep values nest. The scan passes none that nest deeper; this bounds the stack whatever
/// it passes.
const MAX_DEPTH: usize = 100;

/// Of how many items and entries, its own and those inside of it, a value is made.
pub(super) const MAX_PARTS: usize = 100_000;

/// What a field holds.
enum Held<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

const START_GROUP: u64 = 3;
const END_GROUP: u64 = 4;

/// The fields of a message. Groups, which no OTLP message has, are passed over.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// What stands in the fields of this number.
    fn bytes_in(self, wanted: u64) -> impl Iterator<Item = &'a [u8]> {
        self.filter_map(move |(field, held)| match held {
            Held::Bytes(bytes) if field == wanted => Some(bytes),
            _ => None,
        })
    }

    /// What a field of this wire type holds.
    fn held(&mut self, wire_type: u64) -> Option<Held<'a>> {
        match wire_type {
            0 => self.varint().map(Held::Number),
            1 => Some(Held::Number(u64::from_le_bytes(self.bytes(8)?.try_into().ok()?))),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                self.bytes(length).map(Held::Bytes)
            }
            5 => self.bytes(4).map(Held::Bytes),
            _ => None,
        }
    }

    /// Passes the rest of a group, with the groups in it.
    fn pass_group(&mut self) -> Option<()> {
        let mut open = 1_usize;
        while open > 0 {
            match self.varint()? & 7 {
                START_GROUP => open += 1,
                END_GROUP => open -= 1,
                wire_type => {
                    self.held(wire_type)?;
                }
            }
        }
        Some(())
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Held<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let tag = self.varint()?;
            match tag & 7 {
                START_GROUP => self.pass_group()?,
                wire_type => return Some((tag >> 3, self.held(wire_type)?)),
            }
        }
    }
}

/// What an `AnyValue` holds. The last field counts; parts of one list or map are joined.
enum Any<'a> {
    /// Neither a list nor a map.
    Plain(Value<'a>),
    /// From the first part on.
    List(Fields<'a>),
    Map(Fields<'a>),
}

impl<'a> Any<'a> {
    fn of(message: &'a [u8]) -> Self {
        let mut any = Any::Plain(Value::Nil);
        let mut fields = Fields(message);
        loop {
            let here = fields;
            let Some((field, held)) = fields.next() else { return any };
            any = match (field, held) {
                (1, Held::Bytes(text)) => Any::Plain(Value::String(Cow::Borrowed(text))),
                (2, Held::Number(number)) => Any::Plain(Value::Bool(number != 0)),
                (3, Held::Number(number)) => Any::Plain(Value::Int(number.cast_signed())),
                (4, Held::Number(bits)) => Any::Plain(Value::Double(f64::from_bits(bits))),
                (5, Held::Bytes(_)) if !matches!(any, Any::List(_)) => Any::List(here),
                (6, Held::Bytes(_)) if !matches!(any, Any::Map(_)) => Any::Map(here),
                (7, Held::Bytes(bytes)) => Any::Plain(Value::Bytes(Cow::Borrowed(bytes))),
                // An index into a table that traces do not have.
                (8, Held::Number(_)) => Any::Plain(Value::Nil),
                _ => any,
            };
        }
    }

    fn type_name(&self) -> &'static str {
        match self {
            Any::Plain(value) => value.type_name(),
            Any::List(_) => "list",
            Any::Map(_) => "map",
        }
    }
}

/// The items of a list: each an `AnyValue`.
fn items(list: Fields<'_>) -> impl Iterator<Item = &[u8]> {
    list.bytes_in(5).flat_map(|part| Fields(part).bytes_in(1))
}

/// The entries of a map: each a key and an `AnyValue`.
fn entries(map: Fields<'_>) -> impl Iterator<Item = (&[u8], &[u8])> {
    map.bytes_in(6).flat_map(|part| Fields(part).bytes_in(1)).map(key_value)
}

/// The key of a `KeyValue` and its `AnyValue`, each of which may be missing.
fn key_value(message: &[u8]) -> (&[u8], &[u8]) {
    let mut entry = (&[][..], &[][..]);
    for (field, held) in Fields(message) {
        match (field, held) {
            (1, Held::Bytes(key)) => entry.0 = key,
            (2, Held::Bytes(value)) => entry.1 = value,
            _ => {}
        }
    }
    entry
}

/// Makes values, of so many parts together.
struct Maker {
    left: usize,
}

impl Maker {
    /// Nil for what nests too deep.
    fn value<'a>(&mut self, message: &'a [u8], depth: usize) -> Result<Value<'a>, EvalError> {
        if depth > MAX_DEPTH {
            return Ok(Value::Nil);
        }
        match Any::of(message) {
            Any::Plain(value) => Ok(value),
            Any::List(list) => {
                let items = items(list).map(|item| self.part(item, depth));
                items.collect::<Result<_, _>>().map(Value::list)
            }
            Any::Map(map) => self.map(entries(map), depth),
        }
    }

    fn map<'a>(
        &mut self,
        entries: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        depth: usize,
    ) -> Result<Value<'a>, EvalError> {
        let entry = |(key, value)| Ok((Cow::Borrowed(key), self.part(value, depth)?));
        entries.map(entry).collect::<Result<Vec<Entry<'a>>, _>>().map(Value::map)
    }

    fn part<'a>(&mut self, message: &'a [u8], depth: usize) -> Result<Value<'a>, EvalError> {
        self.left = self.left.checked_sub(1).ok_or(EvalError::TooManyParts)?;
        self.value(message, depth + 1)
    }
}

/// The value of an `AnyValue`.
pub(super) fn any_value(message: &[u8]) -> Result<Value<'_>, EvalError> {
    Maker { left: MAX_PARTS }.value(message, 1)
}

/// True if an `AnyValue` holds a list or a map.
pub(super) fn is_nested(message: &[u8]) -> bool {
    !matches!(Any::of(message), Any::Plain(_))
}

/// The `AnyValue` inside of an `AnyValue` to which the keys lead; `None` if a map does not have one
/// of them. Of the lists and maps on the way nothing is made.
pub(super) fn inner<'a>(message: &'a [u8], keys: &[Inner]) -> Result<Option<&'a [u8]>, EvalError> {
    let mut message = message;
    for key in keys {
        message = match (Any::of(message), key) {
            (Any::Map(map), Inner::Key(key)) => {
                match entries(map).find(|(known, _)| *known == key.as_bytes()) {
                    Some((_, value)) => value,
                    None => return Ok(None),
                }
            }
            (Any::List(list), Inner::Place(place)) => {
                let index = usize::try_from(*place).ok();
                let item = index.and_then(|index| items(list).nth(index));
                item.ok_or(EvalError::OutOfBounds(*place))?
            }
            (other, _) => return Err(EvalError::Index { found: other.type_name() }),
        };
    }
    Ok(Some(message))
}

/// The span in its frame, as `SpanRef::framed` has it.
fn span(framed: &[u8]) -> &[u8] {
    match Fields(framed).next() {
        Some((_, Held::Bytes(span))) => span,
        _ => &[],
    }
}

/// All attributes of a span.
pub(super) fn span_attributes(framed: &[u8]) -> Result<Value<'_>, EvalError> {
    let attributes = Fields(span(framed)).bytes_in(SPAN_ATTRIBUTES).map(key_value);
    Maker { left: MAX_PARTS }.map(attributes, 0)
}

/// How many links a span has.
pub(super) fn span_links(framed: &[u8]) -> usize {
    Fields(span(framed)).bytes_in(SPAN_LINKS).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field with bytes, all of them short.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
    }

    #[test]
    fn text_that_is_not_utf8_stays_as_it_is() {
        let text = |bytes: &[u8]| field(1, bytes);
        let entry = [field(1, b"k\xff"), field(2, &text(b"\xe2\x28\xa1"))].concat();
        let map = field(6, &field(1, &entry));
        let items = [map, vec![3 << 3, 7], text(b"good")];
        let list: Vec<u8> = items.iter().flat_map(|item| field(1, item)).collect();
        let message = field(5, &list);
        let Ok(Value::List(list)) = any_value(&message) else { panic!("a list") };
        let [Value::Map(map), Value::Int(7), Value::String(good)] = list.items() else {
            panic!("{list:?}")
        };
        let [(key, Value::String(value))] = &map[..] else { panic!("{map:?}") };
        assert_eq!(
            (&**key, &**value, &**good),
            (&b"k\xff"[..], &b"\xe2\x28\xa1"[..], &b"good"[..])
        );
    }

    #[test]
    fn the_last_field_counts_and_parts_are_joined() {
        let one = field(5, &field(1, &field(1, b"a")));
        let other = field(5, &field(1, &field(1, b"b")));
        let both = [one.clone(), other].concat();
        let Ok(Value::List(list)) = any_value(&both) else { panic!() };
        assert_eq!(list.items().len(), 2);
        assert!(matches!(any_value(&[one, field(1, b"x")].concat()), Ok(Value::String(_))));
        assert!(matches!(any_value(&[5 << 3 | 2, 200]), Ok(Value::Nil)), "it is cut off");
    }

    /// A field with bytes, of any length.
    fn long_field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let length = bytes.len();
        let length: [u8; 3] =
            [length as u8 | 0x80, (length >> 7) as u8 | 0x80, (length >> 14) as u8];
        [&[number << 3 | 2], &length[..], bytes].concat()
    }

    /// A text in so many lists, one in the other.
    fn in_lists(lists: usize) -> Vec<u8> {
        (0..lists).fold(field(1, b"x"), |inner, _| long_field(5, &long_field(1, &inner)))
    }

    /// How many lists there are around what is no list.
    fn lists(value: &Value<'_>) -> (usize, Value<'static>) {
        match value {
            Value::List(list) => {
                let (depth, innermost) = lists(&list.items()[0]);
                (depth + 1, innermost)
            }
            other => (0, other.clone().into_owned()),
        }
    }

    #[test]
    fn what_stands_in_a_group_is_no_part_of_a_value() {
        // Field 15, of which nobody knows: a group, with another one and a list in it.
        let list = in_lists(101);
        let group = [&[15 << 3 | 3, 14 << 3 | 3], &list[..], &[14 << 3 | 4], &list, &[15 << 3 | 4]];
        let group = group.concat();
        assert!(matches!(any_value(&group), Ok(Value::Nil)));
        assert!(!is_nested(&group));
        let beside = [field(1, b"before"), group.clone()].concat();
        let Ok(Value::String(text)) = any_value(&beside) else { panic!("the text before it") };
        assert_eq!(&*text, b"before");
        let between = [field(5, &field(1, &field(1, b"a"))), group.clone(), field(1, b"after")];
        let between = between.concat();
        let Ok(Value::String(text)) = any_value(&between) else { panic!("the text after") };
        assert_eq!(&*text, b"after");
        let entry = [field(1, b"k"), group.clone(), field(2, &field(1, b"v"))].concat();
        let map = long_field(6, &long_field(1, &entry));
        let keys = [Inner::Key("k".to_owned())];
        assert_eq!(inner(&map, &keys), Ok(Some(&field(1, b"v")[..])));
        let attribute = long_field(9, &[field(1, b"k"), field(2, &field(1, b"v"))].concat());
        let unknown = [&[15 << 3 | 3], &attribute[..], &[15 << 3 | 4]].concat();
        let framed = long_field(2, &[unknown, attribute].concat());
        let Ok(Value::Map(all)) = span_attributes(&framed) else { panic!("a map") };
        assert_eq!(all.len(), 1);
        let open = [&[15 << 3 | 3], &list[..]].concat();
        assert!(matches!(any_value(&open), Ok(Value::Nil)), "a group without an end");
    }

    #[test]
    fn values_nest_so_deep_and_no_deeper() {
        for (depth, expected) in [(50, 50), (99, 99), (100, 100), (101, 100), (200, 100)] {
            let message = in_lists(depth);
            let (found, innermost) = lists(&any_value(&message).unwrap());
            assert_eq!(found, expected);
            assert_eq!(matches!(innermost, Value::Nil), depth >= 100, "{depth}");
        }
    }

    #[test]
    fn values_have_so_many_parts_and_no_more() {
        let list = |items: usize| {
            let items = field(1, &[]).repeat(items);
            long_field(5, &items)
        };
        let Ok(Value::List(full)) = any_value(&list(MAX_PARTS)).map(Value::into_owned) else {
            panic!("a list")
        };
        assert_eq!(full.items().len(), MAX_PARTS);
        let too_many = list(MAX_PARTS + 1);
        assert!(matches!(any_value(&too_many), Err(EvalError::TooManyParts)));
        // Parts of parts count, too.
        let two = [long_field(1, &list(60_000)), long_field(1, &list(60_000))].concat();
        let map = |values: &[u8]| long_field(5, values);
        let nested = map(&two);
        assert!(matches!(any_value(&nested), Err(EvalError::TooManyParts)));
        let keys = [Inner::Place(1), Inner::Place(59_999)];
        assert_eq!(inner(&nested, &keys), Ok(Some(&[][..])), "one of them is there to be read");
    }

    #[test]
    fn keys_lead_into_values_as_they_stand() {
        let entry = |key: &[u8], value: &[u8]| field(1, &[field(1, key), field(2, value)].concat());
        let list = [field(5, &field(1, &field(1, b"a"))), field(5, &field(1, &field(1, b"b")))];
        let list = list.concat();
        let map = [entry(b"l", &list), entry(b"t", &field(1, b"x")), entry(b"t", &field(1, b"y"))];
        let map = field(6, &map.concat());
        let key = |key: &str| Inner::Key(key.to_owned());
        let found = |keys: &[Inner]| inner(&map, keys).map(|found| found.map(<[u8]>::to_vec));
        assert_eq!(found(&[key("t")]), Ok(Some(field(1, b"x"))), "the first one counts");
        assert_eq!(found(&[key("l"), Inner::Place(1)]), Ok(Some(field(1, b"b"))));
        assert_eq!(found(&[key("n"), Inner::Place(1)]), Ok(None));
        for place in [2, -1] {
            let expected = Err(EvalError::OutOfBounds(place));
            assert_eq!(found(&[key("l"), Inner::Place(place)]), expected);
        }
        let index = |found| Err(EvalError::Index { found });
        assert_eq!(found(&[Inner::Place(0)]), index("map"));
        assert_eq!(found(&[key("l"), key("a")]), index("list"));
        assert_eq!(found(&[key("t"), key("a")]), index("string"));
    }
}
