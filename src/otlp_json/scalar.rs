//! Scalars, as protobuf's JSON mapping has them.

use std::str::FromStr;

use serde_json::{Number, Value};

use super::FieldError;

pub(super) fn text(value: &Value) -> Result<String, FieldError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        _ => Err(FieldError::expected("text", value)),
    }
}

pub(super) fn boolean(value: &Value) -> Result<bool, FieldError> {
    value.as_bool().ok_or_else(|| FieldError::expected("true or false", value))
}

pub(super) fn uint32(value: &Value) -> Result<u32, FieldError> {
    integer(value, "a whole number of 32 bits", |number| {
        number.as_u64().and_then(|number| u32::try_from(number).ok())
    })
}

pub(super) fn uint64(value: &Value) -> Result<u64, FieldError> {
    integer(value, "a whole number of 64 bits without sign", Number::as_u64)
}

pub(super) fn int64(value: &Value) -> Result<i64, FieldError> {
    integer(value, "a whole number of 64 bits", Number::as_i64)
}

/// A whole number as a number or as text. Exponents and fractions of zero are whole, too.
fn integer<N: FromStr + TryFrom<i128>>(
    value: &Value,
    expected: &str,
    exact: impl Fn(&Number) -> Option<N>,
) -> Result<N, FieldError> {
    let whole = |number: f64| {
        // Beyond 2^53 a number with a fraction or an exponent says no whole number exactly.
        let is_whole = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
        is_whole.then_some(number as i128).and_then(|number| N::try_from(number).ok())
    };
    let found = match value {
        Value::Number(number) => exact(number).or_else(|| number.as_f64().and_then(whole)),
        Value::String(text) => {
            text.parse().ok().or_else(|| text.parse::<f64>().ok().and_then(whole))
        }
        _ => None,
    };
    found.ok_or_else(|| FieldError::expected(expected, value))
}

/// A number, or the text of one: `NaN`, `Infinity` and `-Infinity` can only be written so.
pub(super) fn double(value: &Value) -> Result<f64, FieldError> {
    let found = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => text.parse().ok().filter(|number: &f64| number.is_finite()),
        },
        _ => None,
    };
    found.ok_or_else(|| FieldError::expected("a number", value))
}

/// An enum by its number, which may be unknown, or by its name.
pub(super) fn enumeration<E: Into<i32>>(
    value: &Value,
    named: impl Fn(&str) -> Option<E>,
) -> Result<i32, FieldError> {
    if let Value::String(name) = value
        && let Some(known) = named(name)
    {
        return Ok(known.into());
    }
    integer(value, "the number or the name of an enum's value", |number| {
        number.as_i64().and_then(|number| i32::try_from(number).ok())
    })
}

/// An id: hexadecimal digits, upper or lower case.
pub(super) fn hex(value: &Value) -> Result<Vec<u8>, FieldError> {
    let digits = match value {
        Value::String(text) => text.as_bytes(),
        _ => return Err(FieldError::expected("hexadecimal digits", value)),
    };
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = digits.as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
    bytes
        .filter(|_| rest.is_empty())
        .ok_or_else(|| FieldError::expected("an even number of hexadecimal digits", value))
}

/// Bytes: base64 of either alphabet, with or without padding.
pub(super) fn base64(value: &Value) -> Result<Vec<u8>, FieldError> {
    let expected = || FieldError::expected("base64", value);
    let Value::String(text) = value else { return Err(expected()) };
    let digits = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    let (mut bits, mut held) = (0_u32, 0);
    for digit in digits.bytes() {
        let six = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return Err(expected()),
        };
        bits = bits << 6 | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    // A lone last digit holds no byte; of padding there are at most two.
    let is_whole = digits.len() % 4 != 1 && text.len() - digits.len() <= 2;
    if is_whole { Ok(bytes) } else { Err(expected()) }
}

/// A value as messages show it: short.
pub(super) fn shown(value: &Value) -> String {
    const MOST: usize = 40;
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        _ => {
            let text = value.to_string();
            match text.char_indices().nth(MOST) {
                Some((end, _)) => format!("{}...", &text[..end]),
                None => text,
            }
        }
    }
}
