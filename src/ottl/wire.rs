//! Nested values as they stand in a record (`opentelemetry/proto/common/v1/common.proto`,
//! `AnyValue`), and the few fields of a span that the scan does not look for.
//!
//! Everything here was scanned before, so it is well formed: a field that is not ends the reading.
//! Texts are taken as they are, UTF-8 or not, and nothing of them is copied.

use std::borrow::Cow;

use super::value::{Entry, Value};

/// Field numbers of `Span`.
const SPAN_ATTRIBUTES: u64 = 9;
const SPAN_LINKS: u64 = 13;

/// What a field holds.
enum Held<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message.
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
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Held<'a>);

    /// Groups, which no OTLP message has, are passed as the fields that they consist of.
    fn next(&mut self) -> Option<Self::Item> {
        let tag = self.varint()?;
        let held = match tag & 7 {
            0 => Held::Number(self.varint()?),
            1 => Held::Number(u64::from_le_bytes(self.bytes(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Held::Bytes(self.bytes(length)?)
            }
            5 => Held::Bytes(self.bytes(4)?),
            _ => Held::Bytes(&[]),
        };
        Some((tag >> 3, held))
    }
}

/// The value of an `AnyValue`. The last field counts; parts of one list or map are joined.
pub(super) fn any_value(message: &[u8]) -> Value<'_> {
    let mut value = Value::Nil;
    for (field, held) in Fields(message) {
        value = match (field, held) {
            (1, Held::Bytes(text)) => Value::String(Cow::Borrowed(text)),
            (2, Held::Number(number)) => Value::Bool(number != 0),
            (3, Held::Number(number)) => Value::Int(number.cast_signed()),
            (4, Held::Number(bits)) => Value::Double(f64::from_bits(bits)),
            (5, Held::Bytes(list)) => {
                let mut items = match value {
                    Value::List(list) => list.into_items(),
                    _ => Vec::new(),
                };
                items.extend(messages(list, 1).map(any_value));
                Value::list(items)
            }
            (6, Held::Bytes(map)) => {
                let mut entries = match value {
                    Value::Map(entries) => entries.into_vec(),
                    _ => Vec::new(),
                };
                entries.extend(messages(map, 1).map(key_value));
                Value::map(entries)
            }
            (7, Held::Bytes(bytes)) => Value::Bytes(Cow::Borrowed(bytes)),
            // An index into a table that traces do not have.
            (8, Held::Number(_)) => Value::Nil,
            _ => value,
        };
    }
    value
}

/// A `KeyValue`.
fn key_value(message: &[u8]) -> Entry<'_> {
    let mut entry = (Cow::Borrowed(&[][..]), Value::Nil);
    for (field, held) in Fields(message) {
        match (field, held) {
            (1, Held::Bytes(key)) => entry.0 = Cow::Borrowed(key),
            (2, Held::Bytes(value)) => entry.1 = any_value(value),
            _ => {}
        }
    }
    entry
}

/// The messages in a field.
fn messages(message: &[u8], wanted: u64) -> impl Iterator<Item = &[u8]> {
    Fields(message).filter_map(move |(field, held)| match held {
        Held::Bytes(bytes) if field == wanted => Some(bytes),
        _ => None,
    })
}

/// The span in its frame, as `SpanRef::framed` has it.
fn span(framed: &[u8]) -> &[u8] {
    match Fields(framed).next() {
        Some((_, Held::Bytes(span))) => span,
        _ => &[],
    }
}

/// All attributes of a span.
pub(super) fn span_attributes(framed: &[u8]) -> Value<'_> {
    Value::map(messages(span(framed), SPAN_ATTRIBUTES).map(key_value).collect())
}

/// How many links a span has.
pub(super) fn span_links(framed: &[u8]) -> usize {
    messages(span(framed), SPAN_LINKS).count()
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
        let Value::List(list) = any_value(&message) else { panic!("a list") };
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
        let Value::List(list) = any_value(&both) else { panic!() };
        assert_eq!(list.items().len(), 2);
        assert!(matches!(any_value(&[one, field(1, b"x")].concat()), Value::String(_)));
        assert!(matches!(any_value(&[5 << 3 | 2, 200]), Value::Nil), "it is cut off");
    }
}
