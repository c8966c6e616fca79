//! Attributes and their values.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use serde_json::Value;

use super::scalar::{base64, boolean, double, int64, text};
use super::{FieldError, fields, list};

/// A list of `KeyValue`.
pub(super) fn attributes(value: &Value) -> Result<Vec<KeyValue>, FieldError> {
    list(value, key_value)
}

fn key_value(value: &Value) -> Result<KeyValue, FieldError> {
    let mut attribute = KeyValue::default();
    fields(value, |key, value| {
        match key {
            "key" => attribute.key = text(value)?,
            "value" => attribute.value = Some(any_value(value)?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(attribute)
}

fn any_value(value: &Value) -> Result<AnyValue, FieldError> {
    let mut any = AnyValue::default();
    fields(value, |key, value| {
        let read = match key {
            "stringValue" | "string_value" => Any::StringValue(text(value)?),
            "boolValue" | "bool_value" => Any::BoolValue(boolean(value)?),
            "intValue" | "int_value" => Any::IntValue(int64(value)?),
            "doubleValue" | "double_value" => Any::DoubleValue(double(value)?),
            "arrayValue" | "array_value" => Any::ArrayValue(array_value(value)?),
            "kvlistValue" | "kvlist_value" => Any::KvlistValue(kvlist_value(value)?),
            "bytesValue" | "bytes_value" => Any::BytesValue(base64(value)?),
            _ => return Ok(()),
        };
        any.value = Some(read);
        Ok(())
    })?;
    Ok(any)
}

fn array_value(value: &Value) -> Result<ArrayValue, FieldError> {
    let mut array = ArrayValue::default();
    fields(value, |key, value| {
        if key == "values" {
            array.values = list(value, any_value)?;
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
