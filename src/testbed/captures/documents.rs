//! Splits a stream into JSON documents: one a line, over several lines, or back to back.
//!
//! It counts braces and brackets, skips strings, and examines nothing else. A document that was cut off
//! ends where a line begins the next record, so that one broken line costs one record. It skips what a
//! log writes before a record; a line that is no part of a record is a document of its own, which
//! cannot be read.

use std::io::{self, BufRead, Read};

use super::sniff::without_mark;

/// A document, or a piece of the stream that turned out to be none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Document {
    /// The line that it begins in, counted from 1.
    pub(super) line: u64,
    pub(super) text: Vec<u8>,
    /// It is larger than the limit; `text` is a part of it.
    pub(super) is_too_large: bool,
}

/// The documents of a stream.
#[derive(Debug)]
pub(super) struct Documents<R> {
    input: R,
    limit: usize,
    /// The current line, its number, and how far it was read.
    line: Vec<u8>,
    number: u64,
    taken: usize,
    /// The current document so far, and the line in which it begins.
    open: Vec<u8>,
    began: u64,
    is_too_large: bool,
    nesting: Nesting,
}

impl<R: BufRead> Documents<R> {
    /// Documents of at most `limit` bytes.
    pub(super) fn new(input: R, limit: usize) -> Self {
        Self {
            input,
            limit,
            line: Vec::new(),
            number: 0,
            taken: 0,
            open: Vec::new(),
            began: 0,
            is_too_large: false,
            nesting: Nesting::default(),
        }
    }

    /// The next document, if there is one.
    pub(super) fn next(&mut self) -> Option<io::Result<Document>> {
        loop {
            if self.taken == self.line.len() {
                match self.next_line() {
                    Err(error) => return Some(Err(error)),
                    Ok(false) => return self.is_open().then(|| Ok(self.close())),
                    Ok(true) if self.is_open() && begins_record(&self.line) => {
                        return Some(Ok(self.close()));
                    }
                    // Its line was too long, and where it ends was not seen.
                    Ok(true) if self.is_too_large && self.line.is_empty() => {
                        return Some(Ok(self.close()));
                    }
                    Ok(true) => {}
                }
            }
            if self.take_from_line() {
                return Some(Ok(self.close()));
            }
        }
    }

    fn is_open(&self) -> bool {
        !self.open.is_empty() || self.is_too_large
    }

    /// Takes the part of the current line that belongs to the document; true if the document ends there.
    fn take_from_line(&mut self) -> bool {
        let mut rest = &self.line[self.taken..];
        if !self.is_open() {
            let blank = rest.len() - rest.trim_ascii_start().len();
            self.taken += blank;
            rest = &rest[blank..];
            match rest.first() {
                None => return false,
                Some(b'{') => self.began = self.number,
                Some(b'[') if begins_list(&rest[1..]) => self.began = self.number,
                Some(_) => {
                    self.began = self.number;
                    let Some(prefix) = place_of_record(rest) else {
                        // It is no document; it ends with the line.
                        self.open.extend_from_slice(rest);
                        self.taken = self.line.len();
                        return true;
                    };
                    self.taken += prefix;
                    rest = &rest[prefix..];
                }
            }
        }
        let end = self.nesting.end(rest);
        let mine = &rest[..end.unwrap_or(rest.len())];
        if self.open.len() + mine.len() > self.limit {
            self.is_too_large = true;
            self.open.clear();
        }
        if !self.is_too_large {
            self.open.extend_from_slice(mine);
        }
        self.taken += mine.len();
        end.is_some()
    }

    fn close(&mut self) -> Document {
        self.nesting = Nesting::default();
        let is_too_large = std::mem::take(&mut self.is_too_large);
        Document { line: self.began, text: std::mem::take(&mut self.open), is_too_large }
    }

    /// False at the end. A line that is longer than the limit is cut, and is too large.
    fn next_line(&mut self) -> io::Result<bool> {
        self.line.clear();
        self.taken = 0;
        let limit = self.limit as u64 + 1;
        let read = self.input.by_ref().take(limit).read_until(b'\n', &mut self.line)?;
        if read as u64 == limit && self.line.last() != Some(&b'\n') {
            self.is_too_large = true;
            self.began = if self.open.is_empty() { self.number + 1 } else { self.began };
            self.open.clear();
            self.line.clear();
            self.skip_line()?;
        }
        self.number += 1;
        if self.number == 1 {
            self.taken = self.line.len() - without_mark(&self.line).len();
        }
        Ok(read > 0)
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.input.fill_buf()?;
            let (used, is_end) = match buffer.iter().position(|byte| *byte == b'\n') {
                Some(at) => (at + 1, true),
                None => (buffer.len(), buffer.is_empty()),
            };
            self.input.consume(used);
            if is_end {
                return Ok(());
            }
        }
    }
}

/// True if a record begins with `line`: no object within one has these keys.
fn begins_record(line: &[u8]) -> bool {
    const KEYS: [&[u8]; 4] = [
        b"\"resourceSpans\"",
        b"\"resource_spans\"",
        b"\"recordTimestampMs\"",
        b"\"record_timestamp_ms\"",
    ];
    let Some(inner) = line.strip_prefix(b"{") else { return false };
    KEYS.iter().any(|key| inner.trim_ascii_start().starts_with(key))
}

/// True if a bracket begins a list of objects, and not a word of a log in brackets.
fn begins_list(inner: &[u8]) -> bool {
    matches!(inner.trim_ascii_start().first(), None | Some(b'{' | b']'))
}

/// Where in a line a record begins after a prefix of a log, such as a time or the name of a container.
/// A record inside a string does not count.
fn place_of_record(line: &[u8]) -> Option<usize> {
    let braces = (0..line.len()).filter(|at| line[*at] == b'{');
    let mut records = braces.filter(|at| begins_record(&line[*at..]) || is_resource(&line[*at..]));
    records.next().filter(|at| !line[..*at].contains(&b'"'))
}

/// True if a `ResourceSpans` by itself begins with `text`, as SDKs log it.
fn is_resource(text: &[u8]) -> bool {
    text.starts_with(b"{\"resource\":{") || text.starts_with(b"{\"scopeSpans\":[")
}

/// How deep in a document a place is.
#[derive(Debug, Default)]
struct Nesting {
    depth: usize,
    in_string: bool,
    is_escaped: bool,
}

impl Nesting {
    /// Reads on in `text`; returns where the document ends, if it does.
    fn end(&mut self, text: &[u8]) -> Option<usize> {
        for (at, byte) in text.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.is_escaped => self.is_escaped = false,
                    b'\\' => self.is_escaped = true,
                    // A JSON string does not go over several lines.
                    b'"' | b'\n' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, limit: usize) -> Vec<(u64, String, bool)> {
        let mut documents = Documents::new(text.as_bytes(), limit);
        let mut found = Vec::new();
        while let Some(document) = documents.next() {
            let Document { line, text, is_too_large } = document.unwrap();
            found.push((line, String::from_utf8(text).unwrap(), is_too_large));
        }
        found
    }

    #[test]
    fn documents_are_found_however_they_are_laid_out() {
        let cases: [(&str, &[(u64, &str)]); 16] = [
            ("", &[]),
            ("\n \n", &[]),
            ("{}", &[(1, "{}")]),
            ("\u{feff}{}\n", &[(1, "{}")]),
            ("{}\r\n\r\n{\"a\":1}\r\n", &[(1, "{}"), (3, "{\"a\":1}")]),
            ("{}{} {\n}", &[(1, "{}"), (1, "{}"), (1, "{\n}")]),
            ("{\n \"a\": {\n }\n}\n{}", &[(1, "{\n \"a\": {\n }\n}"), (5, "{}")]),
            (r#"{"}":"\"}\\"}{}"#, &[(1, r#"{"}":"\"}\\"}"#), (1, "{}")]),
            // The broken document ends where the next record begins.
            (
                "{\"resourceSpans\":[{\n{\"resourceSpans\":[]}\n{}",
                &[(1, "{\"resourceSpans\":[{\n"), (2, "{\"resourceSpans\":[]}"), (3, "{}")],
            ),
            (
                "{\"a\":\"b\n{ \"recordTimestampMs\":1}",
                &[(1, "{\"a\":\"b\n"), (2, "{ \"recordTimestampMs\":1}")],
            ),
            ("nonsense {}\n{}", &[(1, "nonsense {}\n"), (2, "{}")]),
            ("{}}\n{\n", &[(1, "{}"), (1, "}\n"), (2, "{\n")]),
            ("[{},\n{\"a\":[]}]{}", &[(1, "[{},\n{\"a\":[]}]"), (2, "{}")]),
            // Prefixes of logs, and a line that is cut at its beginning.
            (
                "2026-01-01T00:00:00Z stdout F {\"resourceSpans\":[]}\n[x] {\"resource\":{}}\n",
                &[(1, "{\"resourceSpans\":[]}"), (2, "{\"resource\":{}}")],
            ),
            (
                "lue\":{\"resourceSpans\":[]}}]}\n{\"resourceSpans\":[]}\n",
                &[(1, "lue\":{\"resourceSpans\":[]}}]}\n"), (2, "{\"resourceSpans\":[]}")],
            ),
            ("info\n{}\n", &[(1, "info\n"), (2, "{}")]),
        ];
        for (text, expected) in cases {
            let expected: Vec<_> =
                expected.iter().map(|(line, text)| (*line, (*text).to_owned(), false)).collect();
            assert_eq!(read(text, 100), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_too_large_is_passed_over() {
        let long = "x".repeat(30);
        let cases = [
            // In one line, and over several.
            format!("{{\"a\":\"{long}\"}}\n{{}}\n"),
            format!("{{\n\"a\":\n\"{}\",\n\"{}\"\n}}\n{{}}\n", &long[..10], &long[..10]),
        ];
        for text in cases {
            let found = read(&text, 20);
            let last = text.lines().count() as u64;
            assert_eq!((found[0].0, found[0].2), (1, true), "{text}");
            assert_eq!(*found.last().unwrap(), (last, "{}".to_owned(), false), "{text}");
        }
    }
}
