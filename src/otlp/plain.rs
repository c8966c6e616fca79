//! The usual form of an attribute, known at a glance.
//!
//! Nearly all `KeyValue` messages are a short key followed by one scalar, or by an array of them, as
//! every encoder writes them, text of up to 16 KiB included. What has this form is valid; whatever
//! has not is left to the full check.

use crate::otlp::span::{Slice, ValueRef};

/// Tag bytes: number and wire type of the fields that are looked for.
const ATTRIBUTE: u8 = 0x4a;
const KEY: u8 = 0x0a;
const VALUE: u8 = 0x12;
const STRING_VALUE: u8 = 0x0a;
const BOOL_VALUE: u8 = 0x10;
const INT_VALUE: u8 = 0x18;
const DOUBLE_VALUE: u8 = 0x21;
const ARRAY_VALUE: u8 = 0x2a;
const ARRAY_ITEM: u8 = 0x0a;

/// How deep messages nest in a `KeyValue` in its usual form: value, array, item.
pub(super) const DEPTH: u32 = 3;

/// An attribute of a span.
pub(super) struct Attribute<'a> {
    pub(super) key: &'a [u8],
    /// An `AnyValue`, for [`value`].
    pub(super) value: &'a [u8],
    /// What comes behind the attribute.
    pub(super) rest: &'a [u8],
}

/// The attribute that `fields` of a span begin with, if it is short and has its usual form.
///
/// This is what a scan spends most of its time with, so tags and lengths are looked at in fours:
/// those of the attribute and its key, then those of its value and what that is.
#[inline(always)]
pub(super) fn attribute(fields: &[u8]) -> Option<Attribute<'_>> {
    let (length, key_length) = lengths(fields, ATTRIBUTE, KEY)?;
    // Where the next attribute begins is known before the rest of this one is looked at.
    let (message, rest) = fields[2..].split_at_checked(length)?;
    let (key, value) = message.get(2..)?.split_at_checked(key_length)?;
    if let Some((length, text_length)) = lengths(value, VALUE, STRING_VALUE) {
        let value = &value[2..];
        let is_plain = value.len() == length && length == 2 + text_length;
        return is_plain.then_some(Attribute { key, value, rest });
    }
    match value {
        [VALUE, length, value @ ..]
            if value.len() == usize::from(*length) && (is_number(value) || is_array(value)) =>
        {
            Some(Attribute { key, value, rest })
        }
        _ => None,
    }
}

/// The lengths behind two tags that `bytes` begin with, if these are the tags, and the lengths are
/// below 128.
#[inline(always)]
fn lengths(bytes: &[u8], first: u8, second: u8) -> Option<(usize, usize)> {
    const TAGS_AND_HIGH_BITS: u32 = u32::from_le_bytes([0xff, 0x80, 0xff, 0x80]);
    let head = u32::from_le_bytes(*bytes.first_chunk()?);
    let tags = u32::from_le_bytes([first, 0, second, 0]);
    let are_there = head & TAGS_AND_HIGH_BITS == tags;
    are_there.then_some((usize::from(head.to_le_bytes()[1]), (head >> 24) as usize))
}

/// The key and the `AnyValue` of a `KeyValue` that consists of just these.
#[inline(always)]
fn parts(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let [KEY, key_length @ ..0x80, rest @ ..] = message else { return None };
    let (key, rest) = rest.split_at_checked(usize::from(*key_length))?;
    let [VALUE, value @ ..] = rest else { return None };
    Some((key, rest_of_length(value)?))
}

/// What follows a length of one or two bytes, if it has that length.
#[inline(always)]
fn rest_of_length(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = match bytes {
        [length @ ..0x80, rest @ ..] => (usize::from(*length), rest),
        [low, high @ ..0x80, rest @ ..] => {
            (usize::from(low & 0x7f) | usize::from(*high) << 7, rest)
        }
        _ => return None,
    };
    (rest.len() == length).then_some(rest)
}

/// The key of a `KeyValue` that was checked, if it has nothing but a key and a value.
#[inline]
pub(super) fn key_of_checked(message: &[u8]) -> Option<&[u8]> {
    parts(message).map(|(key, _)| key)
}

/// The key and the `AnyValue` of a `KeyValue` in its usual form.
#[inline(always)]
pub(super) fn key_and_value(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let (key, value) = parts(message)?;
    (is_scalar(value) || is_array(value)).then_some((key, value))
}

#[inline(always)]
fn is_scalar(value: &[u8]) -> bool {
    match value {
        [STRING_VALUE, text @ ..] => rest_of_length(text).is_some(),
        _ => is_number(value),
    }
}

/// True if `value` is an array of short scalars.
fn is_array(value: &[u8]) -> bool {
    let [ARRAY_VALUE, array @ ..] = value else { return false };
    let Some(mut items) = rest_of_length(array) else { return false };
    while let [ARRAY_ITEM, length @ ..0x80, rest @ ..] = items {
        match rest.split_at_checked(usize::from(*length)) {
            Some((item, rest)) if is_scalar(item) => items = rest,
            _ => return false,
        }
    }
    items.is_empty()
}

#[inline(always)]
fn is_number(value: &[u8]) -> bool {
    match value {
        [BOOL_VALUE | INT_VALUE, varint @ ..] => is_varint(varint),
        [DOUBLE_VALUE, double @ ..] => double.len() == 8,
        _ => false,
    }
}

/// The value of an `AnyValue` that [`key_and_value`] found, which begins at `start` of its record.
#[inline]
pub(super) fn value(message: &[u8], start: usize) -> ValueRef {
    match message {
        [STRING_VALUE, text @ ..] => {
            let end = start + message.len();
            let length = rest_of_length(text).map_or(0, <[u8]>::len);
            ValueRef::String(Slice { start: (end - length) as u32, end: end as u32 })
        }
        [BOOL_VALUE, number @ ..] => ValueRef::Bool(varint(number) != 0),
        [INT_VALUE, number @ ..] => ValueRef::Int(varint(number).cast_signed()),
        [DOUBLE_VALUE, double @ ..] => match double.first_chunk() {
            Some(double) => ValueRef::Double(f64::from_le_bytes(*double)),
            None => ValueRef::Empty,
        },
        [ARRAY_VALUE, ..] => {
            ValueRef::Other(Slice { start: start as u32, end: (start + message.len()) as u32 })
        }
        _ => ValueRef::Empty,
    }
}

/// The value of a varint of at most nine bytes.
#[inline]
fn varint(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f))
}

/// True if `bytes` are one varint of at most nine bytes: a tenth may hold too much.
#[inline(always)]
fn is_varint(bytes: &[u8]) -> bool {
    match bytes {
        [..0x80] | [0x80..=0xff, ..0x80] => true,
        _ => is_long_varint(bytes),
    }
}

fn is_long_varint(bytes: &[u8]) -> bool {
    match bytes.split_last() {
        Some((last, more)) => *last < 0x80 && more.len() < 9 && more.iter().all(|b| *b >= 0x80),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
    use prost::Message;

    use super::super::wire::write_varint;
    use super::*;

    fn encoded(key: &str, value: Option<Value>) -> Vec<u8> {
        let value = Some(AnyValue { value });
        KeyValue { key: key.to_owned(), value, ..KeyValue::default() }.encode_to_vec()
    }

    fn array<const N: usize>(values: [Value; N]) -> Value {
        let values = values.map(|value| AnyValue { value: Some(value) }).to_vec();
        Value::ArrayValue(ArrayValue { values })
    }

    #[test]
    fn scalars_and_their_arrays_are_known_and_nothing_else() {
        let scalars = [
            Value::StringValue("text".into()),
            Value::StringValue(String::new()),
            Value::StringValue("é".into()),
            Value::StringValue("x".repeat(70) + "é"),
            Value::StringValue("x".repeat(127)),
            Value::StringValue("x".repeat(128)),
            Value::StringValue("x".repeat(16_000)),
            Value::BoolValue(true),
            Value::IntValue(200),
            Value::IntValue(i64::MAX),
            Value::DoubleValue(-0.5),
            array([]),
            array([Value::StringValue("x".into()), Value::IntValue(1), Value::BoolValue(true)]),
            array([Value::DoubleValue(0.5), Value::StringValue(String::new())]),
        ];
        for value in scalars {
            let message = encoded("http.route", Some(value.clone()));
            let (key, any_value) = key_and_value(&message).expect("it is plain");
            assert_eq!(key, b"http.route", "{value:?}");
            let start = 5 + message.len() - any_value.len();
            let found = match (super::value(any_value, start), &value) {
                (ValueRef::String(text), Value::StringValue(expected)) => {
                    let range = text.start as usize - 5..text.end as usize - 5;
                    &message[range] == expected.as_bytes()
                }
                (ValueRef::Bool(found), Value::BoolValue(expected)) => found == *expected,
                (ValueRef::Int(found), Value::IntValue(expected)) => found == *expected,
                (ValueRef::Double(found), Value::DoubleValue(expected)) => found == *expected,
                (ValueRef::Other(array), Value::ArrayValue(expected)) => {
                    let range = array.start as usize - 5..array.end as usize - 5;
                    let expected = AnyValue { value: Some(Value::ArrayValue(expected.clone())) };
                    AnyValue::decode(&message[range]) == Ok(expected)
                }
                _ => false,
            };
            assert!(found, "{value:?}");
            for end in 0..message.len() {
                assert_eq!(key_and_value(&message[..end]), None, "{value:?} cut at {end}");
            }
        }
        let others = [
            Value::StringValue("x".repeat(20_000)),
            Value::IntValue(-1),
            array([Value::BytesValue(vec![1])]),
            array([Value::IntValue(-1)]),
            array([Value::BoolValue(true), array([])]),
            Value::BytesValue(vec![1]),
        ];
        for value in others {
            let message = encoded("k", Some(value.clone()));
            assert_eq!(key_and_value(&message), None, "{value:?}");
        }
        let message = encoded("é", Some(Value::BoolValue(true)));
        assert_eq!(key_and_value(&message).expect("it is plain").0, "é".as_bytes());
    }

    #[test]
    fn a_long_attribute_is_not_taken_for_a_short_one() {
        // The length is 5 + 10 * 128. Were it 0x85, the 10 would be the tag of a key, which would be as
        // long as the number of its own tag says, and within the text there would be a value.
        let mut attribute = vec![ATTRIBUTE, 0x80 | 5, 10, KEY, 1, b'k', VALUE];
        write_varint(1279, &mut attribute);
        attribute.push(STRING_VALUE);
        write_varint(1276, &mut attribute);
        attribute.extend([b'0', b'1', VALUE, 119, STRING_VALUE, 117]);
        attribute.resize(3 + 5 + 10 * 128, b'x');
        assert!(key_and_value(&attribute[3..]).is_some(), "it is in order");
        assert!(super::attribute(&attribute).is_none());
    }

    #[test]
    fn a_varint_that_goes_on_or_ends_early_is_none() {
        for varint in [&[0x80][..], &[1, 1], &[], &[0xff; 10]] {
            assert!(!is_varint(varint), "{varint:?}");
        }
    }
}
