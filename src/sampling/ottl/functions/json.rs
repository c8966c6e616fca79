//! JSON texts as lists and maps.

use std::borrow::Cow;

use serde_json::Value as Json;

use super::{Answer, Args};
use crate::sampling::ottl::convert::readable;
use crate::sampling::ottl::error::EvalError;
use crate::sampling::ottl::value::Value;
use crate::sampling::ottl::wire::MAX_PARTS;

/// A list or a map; numbers are doubles, and of a key that stands twice the last value counts.
pub(super) fn parse<'v>(args: Args<'v, '_>) -> Answer<'v> {
    let text = args.text(0)?;
    match serde_json::from_str(&readable(&text)) {
        Ok(json @ (Json::Array(_) | Json::Object(_))) => {
            let mut left = MAX_PARTS;
            value(json, &mut left)
        }
        _ => args.unreadable(),
    }
}

/// `left` is of how many parts it may be made.
fn value(json: Json, left: &mut usize) -> Answer<'static> {
    let mut part = |json| {
        *left = left.checked_sub(1).ok_or(EvalError::TooManyParts)?;
        value(json, left)
    };
    Ok(match json {
        Json::Null => Value::Nil,
        Json::Bool(value) => Value::Bool(value),
        // Without arbitrary precision every number is a double, too.
        Json::Number(number) => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Value::string(text),
        Json::Array(items) => {
            Value::list(items.into_iter().map(part).collect::<Result<_, EvalError>>()?)
        }
        Json::Object(entries) => {
            let entry =
                |(key, value): (String, Json)| Ok((Cow::Owned(key.into_bytes()), part(value)?));
            Value::map(entries.into_iter().map(entry).collect::<Result<_, EvalError>>()?)
        }
    })
}
