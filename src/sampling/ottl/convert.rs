//! Conversions between types: what the Collector's `StringLikeGetter`, `IntLikeGetter` and their like
//! do (`pkg/ottl/expression.go`), with Go's formats of numbers.
//!
//! A function's name goes in only to be named in errors.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::error::EvalError;
use super::value::{Entry, Value};

/// How long a text may be that grows as it is made. Calls in each other would double it each time.
const MAX_MADE_TEXT: usize = 1 << 20;

/// Refuses a text that is made of others and would get too long.
pub(super) fn check_length(length: usize) -> Result<(), EvalError> {
    if length > MAX_MADE_TEXT { Err(EvalError::TooLong) } else { Ok(()) }
}

/// The text of any value but nil.
pub(super) fn string<'v>(value: Value<'v>) -> Result<Option<Cow<'v, [u8]>>, EvalError> {
    let text = match value {
        Value::Nil => return Ok(None),
        Value::String(text) => return Ok(Some(text)),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Double(value) => double_text(value)?,
        Value::Bytes(bytes) => hex(&bytes),
        other => {
            let mut out = String::new();
            json(&other, &mut out)?;
            check_length(out.len())?;
            out
        }
    };
    Ok(Some(Cow::Owned(text.into_bytes())))
}

/// A whole number; nil for nil.
pub(super) fn int(value: &Value<'_>, function: &'static str) -> Result<Option<i64>, EvalError> {
    match value {
        Value::Nil => Ok(None),
        Value::Int(value) => Ok(Some(*value)),
        Value::Bool(value) => Ok(Some((*value).into())),
        Value::Double(value) => Ok(Some(truncated(*value))),
        Value::String(text) => {
            let read = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
            read.map(Some).ok_or(EvalError::NotANumber)
        }
        other => Err(EvalError::Type { function, found: other.type_name() }),
    }
}

/// Without its fraction; the least number for what has no place among the whole ones, as the
/// x86-64 instruction does it that Go uses.
fn truncated(value: f64) -> i64 {
    let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&value);
    if fits { value as i64 } else { i64::MIN }
}

/// A floating-point number; nil for nil.
pub(super) fn double(value: &Value<'_>, function: &'static str) -> Result<Option<f64>, EvalError> {
    match value {
        Value::Nil => Ok(None),
        Value::Double(value) => Ok(Some(*value)),
        Value::Int(value) => Ok(Some(*value as f64)),
        Value::Bool(value) => Ok(Some(if *value { 1.0 } else { 0.0 })),
        Value::String(text) => parsed_double(text).map(Some).ok_or(EvalError::NotANumber),
        other => Err(EvalError::Type { function, found: other.type_name() }),
    }
}

/// A boolean; nil for nil.
pub(super) fn bool(value: &Value<'_>, function: &'static str) -> Result<Option<bool>, EvalError> {
    match value {
        Value::Nil => Ok(None),
        Value::Bool(value) => Ok(Some(*value)),
        Value::Int(value) => Ok(Some(*value != 0)),
        Value::Double(value) => Ok(Some(*value != 0.0)),
        // What Go's `strconv.ParseBool` reads.
        Value::String(text) => match &**text {
            b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True" => Ok(Some(true)),
            b"0" | b"f" | b"F" | b"false" | b"FALSE" | b"False" => Ok(Some(false)),
            _ => Err(EvalError::NotABool),
        },
        other => Err(EvalError::Type { function, found: other.type_name() }),
    }
}

/// Bytes; none for nil, and those of a number from the highest to the lowest.
pub(super) fn bytes<'v>(
    value: Value<'v>,
    function: &'static str,
) -> Result<Cow<'v, [u8]>, EvalError> {
    match value {
        Value::Nil => Ok(Cow::Borrowed(&[])),
        Value::String(bytes) | Value::Bytes(bytes) => Ok(bytes),
        Value::Int(value) => Ok(Cow::Owned(value.to_be_bytes().to_vec())),
        Value::Double(value) => Ok(Cow::Owned(value.to_be_bytes().to_vec())),
        Value::Bool(value) => Ok(Cow::Owned(vec![value.into()])),
        other => Err(EvalError::Type { function, found: other.type_name() }),
    }
}

/// What Go's `strconv.ParseFloat` reads, other than hexadecimal numbers.
fn parsed_double(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        // inf, infinity and nan, in any case; only infinities have a sign.
        let signed_nan = unsigned.len() < text.len() && unsigned.eq_ignore_ascii_case("nan");
        return text.parse().ok().filter(|_| !signed_nan);
    }
    let value: f64 = if text.contains('_') {
        without_underscores(text)?.parse().ok()?
    } else {
        text.parse().ok()?
    };
    value.is_finite().then_some(value)
}

/// Underscores stand between digits only.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let is_digit =
        |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let stands_well =
        |(at, _): (usize, &str)| is_digit(at.checked_sub(1)) && is_digit(Some(at + 1));
    text.match_indices('_').all(stands_well).then(|| text.replace('_', ""))
}

/// Shortest text that reads back the same; with an exponent of two digits or more below 1e-6
/// and from 1e21.
fn double_text(value: f64) -> Result<String, EvalError> {
    if !value.is_finite() {
        return Err(EvalError::NoText);
    }
    if value == 0.0 || (1e-6..1e21).contains(&value.abs()) {
        return Ok(value.to_string());
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    Ok(format!("{mantissa}e{sign}{digits:0>2}"))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// An id as JSON: in Go it is an array of numbers.
fn numbers(id: &[u8]) -> String {
    let numbers: Vec<String> = id.iter().map(u8::to_string).collect();
    format!("[{}]", numbers.join(","))
}

fn json(value: &Value<'_>, out: &mut String) -> Result<(), EvalError> {
    check_length(out.len())?;
    match value {
        Value::Nil => out.push_str("null"),
        Value::String(text) => string_json(&readable(text), out),
        Value::Bool(value) => out.push_str(&value.to_string()),
        Value::Int(value) | Value::Duration(value) => out.push_str(&value.to_string()),
        Value::Double(value) => out.push_str(&double_text(*value)?),
        Value::Bytes(bytes) if bytes.is_empty() => out.push_str("null"),
        Value::Bytes(bytes) => {
            out.push('"');
            STANDARD.encode_string(bytes, out);
            out.push('"');
        }
        Value::TraceId(id) => out.push_str(&numbers(id)),
        Value::SpanId(id) => out.push_str(&numbers(id)),
        Value::Time(time) => out.extend(["\"", &time.rfc3339().ok_or(EvalError::NoText)?, "\""]),
        Value::List(list) => {
            out.push('[');
            for (index, item) in list.items().iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                json(item, out)?;
            }
            out.push(']');
        }
        Value::Map(entries) => map_json(entries, out)?,
        Value::Count(_) => return Err(EvalError::NoText),
    }
    Ok(())
}

/// In the order of the keys; the last value of a key that stands twice.
fn map_json(entries: &[Entry<'_>], out: &mut String) -> Result<(), EvalError> {
    let sorted: BTreeMap<_, _> = entries.iter().map(|(key, value)| (key, value)).collect();
    out.push('{');
    for (index, (key, value)) in sorted.into_iter().enumerate() {
        out.push_str(if index == 0 { "" } else { "," });
        string_json(&readable(key), out);
        out.push(':');
        json(value, out)?;
    }
    out.push('}');
    Ok(())
}

/// With the escapes of the Collector's JSON writer (`goccy/go-json`).
fn string_json(text: &str, out: &mut String) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\x1f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(char)));
            }
            char => out.push(char),
        }
    }
    out.push('"');
}

/// Strings that may end inside of a character: each byte that belongs to none becomes U+FFFD,
/// as Go reads them.
pub fn readable(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Cow::Owned(text)
}

/// In lower case, character by character.
pub(super) fn lower(bytes: &[u8]) -> String {
    // Where one character becomes more, the first of them is Unicode's simple mapping.
    let lower = |char: char| char.to_lowercase().next().unwrap_or(char);
    readable(bytes).chars().map(lower).collect()
}

/// In upper case, character by character: a letter that only several could stand for stays.
pub(super) fn upper(bytes: &[u8]) -> String {
    readable(bytes).chars().map(upper_char).collect()
}

fn upper_char(char: char) -> char {
    let mut upper = char.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(upper), None) => upper,
        // Greek letters with a subscript iota have a title case that is their simple upper case.
        _ => match char {
            '\u{1f80}'..='\u{1faf}' => char::from_u32(u32::from(char) | 8).unwrap_or(char),
            '\u{1fb3}' => '\u{1fbc}',
            '\u{1fc3}' => '\u{1fcc}',
            '\u{1ff3}' => '\u{1ffc}',
            _ => char,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (42.0, "42"),
            (0.1, "0.1"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (1e-6, "0.000001"),
            (-1.25e-7, "-1.25e-07"),
            (5e-324, "5e-324"),
        ];
        for (value, expected) in cases {
            assert_eq!(double_text(value).as_deref(), Ok(expected));
        }
        assert_eq!(double_text(f64::NAN), Err(EvalError::NoText));
    }

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        let cases = [
            ("1", Some(1.0)),
            ("-.5e1", Some(-5.0)),
            ("1_000.2_5", Some(1000.25)),
            ("+Inf", Some(f64::INFINITY)),
            ("-infinity", Some(f64::NEG_INFINITY)),
            ("", None),
            ("+", None),
            (" 1", None),
            ("1_", None),
            ("_1", None),
            ("1__0", None),
            ("1e999", None),
            ("-nan", None),
            ("infin", None),
            ("1f", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parsed_double(text.as_bytes()), expected, "{text:?}");
        }
        assert!(parsed_double(b"NaN").is_some_and(f64::is_nan));
    }

    #[test]
    fn doubles_that_no_int_can_hold_become_the_least() {
        let cases = [
            (-1.9, -1),
            (9.3e18, i64::MIN),
            (-9.3e18, i64::MIN),
            (f64::NAN, i64::MIN),
            (9_223_372_036_854_774_784.0, 9_223_372_036_854_774_784),
        ];
        for (value, expected) in cases {
            assert_eq!(truncated(value), expected, "{value}");
        }
    }

    #[test]
    fn bytes_that_are_no_character_are_each_replaced() {
        assert_eq!(readable(b"a\xe6\x97b"), "a\u{fffd}\u{fffd}b");
        assert_eq!(upper("\u{1f80}\u{149}\u{df}x".as_bytes()), "\u{1f88}\u{149}\u{df}X");
        assert_eq!(lower("\u{130}\u{3a3}".as_bytes()), "i\u{3c3}");
    }
}
