//! Lists and maps out of the bytes of a record.
//!
//! Text in a record need not be UTF-8. A string by itself stays the bytes that it is; in a list or
//! a map what is not UTF-8 becomes U+FFFD, as it does wherever text is shown: it equals no text of
//! a condition either way.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use prost::{Message, Oneof};

use super::convert::readable;

/// The list or map that `bytes`, an `AnyValue` that was scanned, holds.
pub(super) fn decode(bytes: &[u8]) -> AnyValue {
    // What was scanned can be decoded, but for its text.
    let lossy = || RawValue::decode(bytes).map(AnyValue::from).unwrap_or_default();
    AnyValue::decode(bytes).unwrap_or_else(|_| lossy())
}

/// `opentelemetry.proto.common.v1.AnyValue` with strings as bytes.
#[derive(Clone, PartialEq, Message)]
struct RawValue {
    #[prost(oneof = "RawKind", tags = "1, 2, 3, 4, 5, 6, 7")]
    kind: Option<RawKind>,
}

#[derive(Clone, PartialEq, Oneof)]
enum RawKind {
    #[prost(bytes, tag = "1")]
    String(Vec<u8>),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    List(RawList),
    #[prost(message, tag = "6")]
    Map(RawMap),
    #[prost(bytes, tag = "7")]
    Bytes(Vec<u8>),
}

#[derive(Clone, PartialEq, Message)]
struct RawList {
    #[prost(message, repeated, tag = "1")]
    values: Vec<RawValue>,
}

#[derive(Clone, PartialEq, Message)]
struct RawMap {
    #[prost(message, repeated, tag = "1")]
    values: Vec<RawEntry>,
}

#[derive(Clone, PartialEq, Message)]
struct RawEntry {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    value: Option<RawValue>,
}

impl From<RawValue> for AnyValue {
    fn from(raw: RawValue) -> Self {
        let value = raw.kind.map(|kind| match kind {
            RawKind::String(text) => Value::StringValue(readable(&text).into_owned()),
            RawKind::Bool(value) => Value::BoolValue(value),
            RawKind::Int(value) => Value::IntValue(value),
            RawKind::Double(value) => Value::DoubleValue(value),
            RawKind::List(list) => {
                let values = list.values.into_iter().map(Self::from).collect();
                Value::ArrayValue(ArrayValue { values })
            }
            RawKind::Map(map) => {
                let values = map.values.into_iter().map(KeyValue::from).collect();
                Value::KvlistValue(KeyValueList { values })
            }
            RawKind::Bytes(bytes) => Value::BytesValue(bytes),
        });
        Self { value }
    }
}

impl From<RawEntry> for KeyValue {
    fn from(raw: RawEntry) -> Self {
        let key = readable(&raw.key).into_owned();
        Self { key, value: raw.value.map(AnyValue::from), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_not_utf8_costs_nothing_else() {
        let text = |bytes: &[u8]| RawValue { kind: Some(RawKind::String(bytes.to_vec())) };
        let entry = RawEntry { key: b"k\xff".to_vec(), value: Some(text(b"\xe2\x28\xa1")) };
        let map = RawValue { kind: Some(RawKind::Map(RawMap { values: vec![entry] })) };
        let number = RawValue { kind: Some(RawKind::Int(7)) };
        let list = RawList { values: vec![map, number, text(b"good")] };
        let bytes = RawValue { kind: Some(RawKind::List(list)) }.encode_to_vec();
        let Some(Value::ArrayValue(list)) = decode(&bytes).value else { panic!("a list") };
        let Some(Value::KvlistValue(map)) = &list.values[0].value else { panic!("a map") };
        assert_eq!(map.values[0].key, "k\u{fffd}");
        let value = map.values[0].value.clone().and_then(|value| value.value);
        assert_eq!(value, Some(Value::StringValue("\u{fffd}(\u{fffd}".into())));
        assert_eq!(list.values[1].value, Some(Value::IntValue(7)));
        assert_eq!(list.values[2].value, Some(Value::StringValue("good".into())));
    }
}
