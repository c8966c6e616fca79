//! JSON texts as senders really write them: several documents in one text, a byte order mark, and
//! what only nearly is JSON.
//!
//! Text that is valid JSON is read once. Other text is repaired and read a second time: bytes that
//! are not UTF-8 and halves of surrogate pairs become U+FFFD, control characters in strings are
//! escaped, and numbers that JSON does not have (`NaN`, `Infinity`, `1e999`) become text.

use serde_json::{Deserializer, Value};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The documents of `text`, one after the other, with blanks between them or without.
///
/// # Errors
/// If it is not JSON, mended or not; of the text as it was.
pub fn parse(text: &[u8]) -> Result<Vec<Value>, serde_json::Error> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    documents(text).or_else(|error| documents(&mended(text)).map_err(|_| error))
}

fn documents(text: &[u8]) -> Result<Vec<Value>, serde_json::Error> {
    Deserializer::from_slice(text).into_iter().collect()
}

/// `text` with all that can be mended.
fn mended(text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let mut rest = text.as_bytes();
    let mut out = Vec::with_capacity(rest.len() + 16);
    while let [first, more @ ..] = rest {
        match first {
            b'"' => {
                out.push(b'"');
                rest = string(more, &mut out);
            }
            b'-' | b'0'..=b'9' | b'N' | b'I' => {
                let (word, more) = rest.split_at(word_length(rest));
                number(word, &mut out);
                rest = more;
            }
            other => {
                out.push(*other);
                rest = more;
            }
        }
    }
    out
}

/// Mends a string behind its first quotation mark; what follows its last one.
fn string<'t>(mut rest: &'t [u8], out: &mut Vec<u8>) -> &'t [u8] {
    loop {
        match rest {
            [] => return rest,
            [b'"', more @ ..] => {
                out.push(b'"');
                return more;
            }
            [b'\\', b'u', ..] => rest = unicode_escape(rest, out),
            [b'\\', escaped, more @ ..] => {
                out.extend([b'\\', *escaped]);
                rest = more;
            }
            [control @ ..0x20, more @ ..] => {
                out.extend(format!("\\u{control:04x}").bytes());
                rest = more;
            }
            [byte, more @ ..] => {
                out.push(*byte);
                rest = more;
            }
        }
    }
}

/// Copies the `\uXXXX` that `rest` begins with, and the second one of a pair. Half a pair becomes
/// U+FFFD.
fn unicode_escape<'t>(rest: &'t [u8], out: &mut Vec<u8>) -> &'t [u8] {
    let escaped = |text: &[u8]| {
        let digits = text.strip_prefix(b"\\u")?.get(..4)?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let length = match escaped(rest) {
        None => 2,
        Some(0xd800..=0xdbff) => match escaped(&rest[6..]) {
            Some(0xdc00..=0xdfff) => 12,
            _ => 0,
        },
        Some(0xdc00..=0xdfff) => 0,
        Some(_) => 6,
    };
    if length == 0 {
        out.extend(b"\\ufffd");
        return &rest[6..];
    }
    out.extend_from_slice(&rest[..length]);
    &rest[length..]
}

/// How long the number, or what looks like one, is that `text` begins with.
fn word_length(text: &[u8]) -> usize {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    text.iter().position(|byte| !is_part(byte)).unwrap_or(text.len())
}

/// A number as it is, and as text what JSON cannot say as a number.
fn number(word: &[u8], out: &mut Vec<u8>) {
    let value = std::str::from_utf8(word).ok().and_then(|word| word.parse::<f64>().ok());
    let is_foreign = value.is_some_and(|value| !value.is_finite());
    let mark: &[u8] = if is_foreign { b"\"" } else { b"" };
    out.extend_from_slice(mark);
    out.extend_from_slice(word);
    out.extend_from_slice(mark);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_nearly_json_is_read() {
        let cases: [(&[u8], Vec<Value>); 14] = [
            (b"", vec![]),
            (b"{}", vec![json!({})]),
            (b"\n\r\n {} \n", vec![json!({})]),
            (b"\xef\xbb\xbf{\"a\":1}", vec![json!({ "a": 1 })]),
            (b"{\"a\":1}\n{\"a\":2}\n", vec![json!({ "a": 1 }), json!({ "a": 2 })]),
            (b"{}{}", vec![json!({}), json!({})]),
            (
                br#"["\ud800", "\udc00x", "\ud83e\udd80"]"#,
                vec![json!(["\u{fffd}", "\u{fffd}x", "🦀"])],
            ),
            (br#"["\ud800\ud83e\udd80", "\ud800\n"]"#, vec![json!(["\u{fffd}🦀", "\u{fffd}\n"])]),
            (b"[\"a\xe2\x28\xa1b\"]", vec![json!(["a\u{fffd}(\u{fffd}b"])]),
            (b"[\"a\tb\nc\"]", vec![json!(["a\tb\nc"])]),
            (b"[NaN, Infinity, -Infinity, 1]", vec![json!(["NaN", "Infinity", "-Infinity", 1])]),
            (b"[1e999, -1e999, 1e300]", vec![json!(["1e999", "-1e999", 1e300])]),
            (
                br#"[NaN, "\"NaN\\", "-Infinity", 1e5]"#,
                vec![json!(["NaN", "\"NaN\\", "-Infinity", 1e5])],
            ),
            (br#"{"1e999": NaN, "\\": true}"#, vec![json!({ "1e999": "NaN", "\\": true })]),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).unwrap(), expected, "{}", text.escape_ascii());
        }
        for text in
            [&b"{"[..], b"{\"a\":\"", b"\"\\u", b"\"\\ud8", b"nan", b"{}x", b"[1-2]", b"\xff"]
        {
            assert!(parse(text).is_err(), "{}", text.escape_ascii());
        }
        let error = parse(b"{\"a\":\n NaN,").unwrap_err();
        assert_eq!((error.line(), error.column()), (2, 2), "errors are of the text as it was");
    }

    proptest! {
        #[test]
        fn what_is_json_stays_as_it_is(text in "[\\[\\]{}\":,0-9eENIadu\\-\\\\]{0,40}") {
            if let Ok(read) = documents(text.as_bytes()) {
                prop_assert_eq!(documents(&mended(text.as_bytes())).unwrap(), read);
            }
        }

        #[test]
        fn nothing_makes_it_panic(text in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = parse(&text);
        }
    }
}
