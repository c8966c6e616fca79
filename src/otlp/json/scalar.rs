//! Scalars, as protobuf's JSON mapping has them, and as they are written besides: text where a
//! number belongs and the other way round.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use super::FieldError;

/// Text; of anything else its JSON.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// True or false, also as text or as 1 and 0.
pub(super) fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::Number(number) => match number.as_i64()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// A count; beyond 32 bits it is the largest there is.
pub(super) fn uint32(value: &Value) -> Result<u32, FieldError> {
    let whole = whole(value).ok_or_else(|| FieldError::expected("a whole number", value))?;
    Ok(whole.clamp(0, u32::MAX.into()) as u32)
}

/// Bits: the low 32 ones, since some languages have only numbers with a sign.
pub(super) fn bits(value: &Value) -> Result<u32, FieldError> {
    let whole = whole(value).ok_or_else(|| FieldError::expected("a whole number", value))?;
    Ok(whole as u32)
}

/// A time in nanoseconds; what 64 bits do not hold is the nearest one that they do.
pub(super) fn uint64(value: &Value) -> Result<u64, FieldError> {
    let whole = whole(value).ok_or_else(|| FieldError::expected("a whole number", value))?;
    Ok(whole.clamp(0, u64::MAX.into()) as u64)
}

/// A number as a number or as text, without its fraction.
fn whole(value: &Value) -> Option<i128> {
    let of_double = |number: f64| number.is_finite().then_some(number as i128);
    match value {
        Value::Number(number) => {
            let exact = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
            exact.or_else(|| number.as_f64().and_then(of_double))
        }
        Value::String(text) => text.parse().ok().or_else(|| text.parse().ok().and_then(of_double)),
        _ => None,
    }
}

/// A number as a number or as text: whole, if 64 bits hold it exactly, or else a double. Exponents
/// and fractions of zero are whole, too.
pub(super) fn number(value: &Value) -> Option<Result<i64, f64>> {
    // Beyond 2^53 a number with a fraction or an exponent says no whole number exactly.
    let is_whole = |it: f64| it.fract() == 0.0 && it.abs() <= 9_007_199_254_740_992.0;
    let exact = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    match (exact, double(value)?) {
        (Some(whole), _) => Some(Ok(whole)),
        (None, it) if is_whole(it) => Some(Ok(it as i64)),
        (None, it) => Some(Err(it)),
    }
}

/// A number, or the text of one: not a number and infinity can only be written so, as `NaN` and
/// `Infinity`, or `nan` and `inf`.
pub(super) fn double(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
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
    let expected = || FieldError::expected("the number or the name of an enum's value", value);
    let number = whole(value).ok_or_else(expected)?;
    Ok(number.clamp(i32::MIN.into(), i32::MAX.into()) as i32)
}

/// An id of `length` bytes: hexadecimal digits, upper or lower case. Or base64, as protobuf's
/// libraries write bytes by themselves: the lengths of the two are never the same. Hexadecimal
/// digits of another length make an id that is not valid, which others judge.
pub(super) fn id(value: &Value, length: usize) -> Result<Vec<u8>, FieldError> {
    let expected = || {
        let digits = 2 * length;
        FieldError::expected(&format!("{digits} hexadecimal digits"), value)
    };
    let Value::String(text) = value else { return Err(expected()) };
    let hex = hex(text.as_bytes());
    if hex.as_ref().is_some_and(|bytes| bytes.len() == length) {
        return hex.ok_or_else(expected);
    }
    let of_length = |bytes: &Vec<u8>| bytes.len() == length;
    from_base64(text.as_bytes()).filter(of_length).or(hex).ok_or_else(expected)
}

fn hex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = digits.as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    pairs.iter().map(byte).collect::<Option<_>>().filter(|_| rest.is_empty())
}

/// Bytes: base64, or as JavaScript makes JSON of a `Uint8Array` (`{"0": 1, "1": 255}`) and of a
/// `Buffer` (`{"type": "Buffer", "data": [1, 255]}`).
pub(super) fn bytes(value: &Value) -> Option<Vec<u8>> {
    let byte = |value: &Value| value.as_u64().and_then(|byte| u8::try_from(byte).ok());
    match value {
        Value::String(text) => from_base64(text.as_bytes()),
        Value::Array(items) => items.iter().map(byte).collect(),
        Value::Object(fields) => match fields.get("data") {
            Some(data @ Value::Array(_)) => bytes(data),
            _ => {
                let numbered = (0..fields.len()).map(|index| fields.get(&index.to_string()));
                numbered.map(|value| value.and_then(byte)).collect()
            }
        },
        _ => None,
    }
}

/// Base64 without padding, whatever the bits are that its last digit has too many.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// Base64 of either alphabet, with or without padding.
pub fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.strip_suffix(b"==").or(text.strip_suffix(b"=")).unwrap_or(text);
    let standard = |digit: &u8| match digit {
        b'-' => b'+',
        b'_' => b'/',
        digit => *digit,
    };
    BASE64.decode(digits.iter().map(standard).collect::<Vec<u8>>()).ok()
}

/// A value as messages show it: short.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        _ => cut(&value.to_string()),
    }
}

/// The beginning of a text: whoever sent it says how long it is.
pub(super) fn cut(text: &str) -> String {
    const MOST: usize = 40;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
