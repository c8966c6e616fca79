//! JSON texts as lists and maps.

use std::borrow::Cow;

use serde_json::Value as Json;

use super::{Answer, Args};
use crate::ottl::convert::readable;
use crate::ottl::value::Value;

/// A list or a map; numbers are doubles, and of a key that stands twice the last value counts.
pub(super) fn parse<'v>(args: Args<'v, '_>) -> Answer<'v> {
    let text = args.text(0)?;
    match serde_json::from_str(&readable(&text)) {
        Ok(json @ (Json::Array(_) | Json::Object(_))) => Ok(value(json)),
        _ => args.unreadable(),
    }
}

fn value(json: Json) -> Value<'static> {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(value) => Value::Bool(value),
        // Without arbitrary precision every number is a double, too.
        Json::Number(number) => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Value::string(text),
        Json::Array(items) => Value::list(items.into_iter().map(value).collect()),
        Json::Object(entries) => Value::map(
            entries
                .into_iter()
                .map(|(key, entry)| (Cow::Owned(key.into_bytes()), value(entry)))
                .collect(),
        ),
    }
}
