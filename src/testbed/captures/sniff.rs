//! Recognises the format of a capture by its beginning.
//!
//! No two formats begin alike. Protobuf of `TracesData` begins with the byte 0x0A, its only field. JSON
//! may begin with the same byte, a line feed; but where JSON has a brace, a quotation mark and a letter,
//! protobuf has a resource. A length of less than 2^28 begins with a byte that is no tag.

use std::io::{self, Cursor, Read};

use super::length_delimited::NO_VALUE;
use crate::otlp::encoding::Compression;

/// How much of the beginning is examined.
const HEAD: usize = 4096;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The format of a capture.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// JSON documents.
    Documents,
    /// Messages, each after its length.
    Messages,
    /// One protobuf message.
    Whole,
    /// Compressed; the contents are not known yet.
    Packed(Compression),
    /// There is nothing to read.
    Nothing,
    /// None of these; a guess at what it is.
    Unknown(String),
}

/// The beginning of `input`, and the whole of `input`.
pub(super) fn peek(mut input: Box<dyn Read>) -> io::Result<(Vec<u8>, Box<dyn Read>)> {
    let mut head = Vec::with_capacity(HEAD);
    input.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
    let whole = Cursor::new(head.clone()).chain(input);
    Ok((head, Box::new(whole)))
}

/// The format that begins with `head`.
pub(super) fn format(head: &[u8]) -> Format {
    let blank = without_mark(head).iter().all(u8::is_ascii_whitespace);
    if let Some(compression) = Compression::of(head) {
        return Format::Packed(compression);
    }
    match head {
        _ if blank && head.len() < HEAD => Format::Nothing,
        _ if blank => Format::Documents,
        _ if is_json(head) => Format::Documents,
        [0x0a, ..] => Format::Whole,
        [0x00..=0x0f, ..] => Format::Messages,
        _ if head.starts_with(&NO_VALUE) => Format::Messages,
        _ if may_have_documents(head) => Format::Documents,
        _ => Format::Unknown(looks_like(head)),
    }
}

/// Text that is longer than what is examined, or that has a brace: a line of a log, or a line that is
/// cut, may come first.
fn may_have_documents(head: &[u8]) -> bool {
    let is_control = |byte: &u8| byte.is_ascii_control() && !byte.is_ascii_whitespace();
    let has_brace = head.iter().any(|byte| matches!(byte, b'{' | b'['));
    !head.iter().any(is_control) && (has_brace || head.len() == HEAD)
}

/// True for JSON: a bracket, or a brace and then a key or the other brace.
fn is_json(head: &[u8]) -> bool {
    if without_mark(head).trim_ascii_start().starts_with(b"[") {
        return true;
    }
    let Some(inner) = without_mark(head).trim_ascii_start().strip_prefix(b"{") else {
        return false;
    };
    match inner.trim_ascii_start() {
        [b'"', key, ..] => !key.is_ascii_control(),
        [b'}', ..] => true,
        // Protobuf may look like this, but a mistake of a user is more likely.
        [other, ..] => head.starts_with(b"{") && !other.is_ascii_control(),
        [] => head.starts_with(b"{"),
    }
}

/// Removes the byte order mark that some editors write.
pub(super) fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

fn looks_like(head: &[u8]) -> String {
    let first = head.iter().take(64).copied().take_while(|byte| *byte != b'\n');
    let first: Vec<u8> = first.collect();
    match std::str::from_utf8(&first) {
        Ok(text) if !text.chars().any(char::is_control) => format!("it begins with `{text}`"),
        _ => {
            let bytes: Vec<String> =
                head.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            format!("it begins with the bytes {}", bytes.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_how_they_begin() {
        let cases: [(&[u8], Format); 21] = [
            (b"", Format::Nothing),
            (b" \n\t\r\n", Format::Nothing),
            (b"\xef\xbb\xbf", Format::Nothing),
            (b"{\"resourceSpans\":[]}", Format::Documents),
            (b"\n\n  {\n  \"resourceSpans\": []}", Format::Documents),
            (b"\xef\xbb\xbf{\"resourceSpans\":[]}", Format::Documents),
            (b"{}", Format::Documents),
            (b"{resourceSpans: []}", Format::Documents),
            // ResourceSpans of 123 bytes, Resource of 34 bytes, attribute of 9 bytes.
            (b"\x0a{\x0a\x22\x0a\x09\x0a\x01k", Format::Whole),
            (b"\x0a{\x12\x22\x0a\x09\x0a\x01k", Format::Whole),
            (b"\x0a\x00", Format::Whole),
            (b"\x00\x00\x00\x02\x0a\x00", Format::Messages),
            (b"\x00\x00\x00\x00", Format::Messages),
            (b"\x01\x0a\x00\x00\x0a\x00", Format::Messages),
            (b"\x28\xb5\x2f\xfd....", Format::Packed(Compression::Zstd)),
            (b"\x1f\x8b\x08....", Format::Packed(Compression::Gzip)),
            (b"[{}]", Format::Documents),
            (b"lue\":1}]}\n{}", Format::Documents),
            (b"\xff\xff\xff\xff\x00\x00\x00\x02", Format::Messages),
            (b"hello", Format::Unknown("it begins with `hello`".to_owned())),
            (b"\xff\x00", Format::Unknown("it begins with the bytes ff 00".to_owned())),
        ];
        for (head, format) in cases {
            assert_eq!(self::format(head), format, "{head:?}");
        }
    }
}
