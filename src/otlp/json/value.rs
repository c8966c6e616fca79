//! Attributes and their values.
//!
//! A value costs at most itself: what cannot be read as what it says it is becomes what it can be.
//! A whole number that 64 bits do not hold is a double (Node writes large doubles so), and what is
//! no number, no base64 and no list stays as its text.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use serde_json::Value;

use super::scalar::{boolean, bytes, double, number, text};
use super::{FieldError, fields, list};

/// A list of `KeyValue`.
pub(super) fn attributes(value: &Value) -> Result<Vec<KeyValue>, FieldError> {
    list(value, key_value)
}

fn key_value(value: &Value) -> Result<KeyValue, FieldError> {
    let mut attribute = KeyValue::default();
    fields(value, |key, value| {
        match key {
            "key" => attribute.key = text(value),
            "value" => attribute.value = Some(any_value(value)),
            _ => {}
        }
        Ok(())
    })?;
    Ok(attribute)
}

fn any_value(value: &Value) -> AnyValue {
    let Value::Object(kinds) = value else { return AnyValue { value: bare(value) } };
    let mut known =
        kinds.iter().filter(|(_, value)| !value.is_null()).filter_map(|(kind, value)| {
            let read = of_kind(kind, value)?;
            Some(read.unwrap_or_else(|| Any::StringValue(text(value))))
        });
    AnyValue { value: known.next_back() }
}

/// A value of this kind, if it can be read as one; `None` if there is no such kind.
fn of_kind(kind: &str, value: &Value) -> Option<Option<Any>> {
    Some(match kind {
        "stringValue" | "string_value" => Some(Any::StringValue(text(value))),
        "boolValue" | "bool_value" => boolean(value).map(Any::BoolValue),
        "intValue" | "int_value" => number(value).map(|number| match number {
            Ok(whole) => Any::IntValue(whole),
            Err(double) => Any::DoubleValue(double),
        }),
        "doubleValue" | "double_value" => double(value).map(Any::DoubleValue),
        "arrayValue" | "array_value" => array_value(value).ok().map(Any::ArrayValue),
        "kvlistValue" | "kvlist_value" => kvlist_value(value).ok().map(Any::KvlistValue),
        "bytesValue" | "bytes_value" => bytes(value).map(Any::BytesValue),
        _ => return None,
    })
}

/// A value that does not say what it is.
fn bare(value: &Value) -> Option<Any> {
    match value {
        Value::Null | Value::Object(_) => None,
        Value::Bool(value) => Some(Any::BoolValue(*value)),
        Value::Number(it) => match it.as_i64() {
            Some(whole) => Some(Any::IntValue(whole)),
            None => it.as_f64().map(Any::DoubleValue),
        },
        Value::String(text) => Some(Any::StringValue(text.clone())),
        Value::Array(items) => {
            Some(Any::ArrayValue(ArrayValue { values: items.iter().map(any_value).collect() }))
        }
    }
}

fn array_value(value: &Value) -> Result<ArrayValue, FieldError> {
    let mut array = ArrayValue::default();
    fields(value, |key, value| {
        if key == "values" {
            array.values = list(value, |item| Ok(any_value(item)))?;
        }
        Ok(())
    })?;
    Ok(array)
}

fn kvlist_value(value: &Value) -> Result<KeyValueList, FieldError> {
    let mut pairs = KeyValueList::default();
    fields(value, |key, value| {
        if key == "values" {
            pairs.values = attributes(value)?;
        }
        Ok(())
    })?;
    Ok(pairs)
}
