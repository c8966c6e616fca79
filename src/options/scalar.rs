//! Where a part of a scalar stands in the file.
//!
//! YAML changes texts on their way: quotes, escapes, folded lines, indentation. The text of the
//! file and the text that came out of it are walked side by side; where they part ways, or where
//! the environment put something in, the answer is the scalar as a whole.

use std::ops::Range;

use super::{Node, Place, Value, lines};

/// The place of the bytes `range` of the text that `node` holds; the whole node if they cannot be
/// found in the `file`.
pub(crate) fn place_within(file: &str, node: &Node, range: Range<usize>) -> Place {
    let Value::Text(text) = &node.value else { return node.place };
    if node.from_env || range.start > text.len() {
        return node.place;
    }
    let Some(places) = places(file, node.place, text) else { return node.place };
    let find = |offset: usize| {
        let at = places.partition_point(|(at, _, _)| *at < offset).min(places.len() - 1);
        (places[at].1, places[at].2)
    };
    let ((line, column), (end_line, end_column)) = (find(range.start), find(range.end));
    let length = if end_line == line { end_column.saturating_sub(column) } else { usize::MAX };
    Place { source: node.place.source, line, column, length: length.max(1) }
}

/// Byte offset in the text, line and column in the file of each character, and of the end.
fn places(file: &str, start: Place, text: &str) -> Option<Vec<(usize, usize, usize)>> {
    let cursor = Cursor::new(file, start)?;
    let quote = cursor.peek().filter(|c| matches!(c, '"' | '\''));
    let quoted = quote.and_then(|quote| {
        let mut cursor = cursor.clone();
        cursor.skip(1);
        cursor.walk(text, Some(quote))
    });
    // What begins with a quote may also be the first line of a block.
    quoted.or_else(|| cursor.clone().walk(text, None))
}

/// A place in the file and what follows there.
#[derive(Clone, Debug)]
struct Cursor<'f> {
    rest: &'f str,
    line: usize,
    column: usize,
    /// Columns that a block's lines are indented.
    indentation: usize,
}

impl<'f> Cursor<'f> {
    fn new(file: &'f str, start: Place) -> Option<Self> {
        let file = file.strip_prefix('\u{feff}').unwrap_or(file);
        let line = lines(file).nth(start.line.checked_sub(1)?)?;
        let indentation = start.column.checked_sub(1)?;
        let (in_line, _) = line.char_indices().nth(indentation)?;
        let offset = line.as_ptr().addr() - file.as_ptr().addr() + in_line;
        Some(Self { rest: &file[offset..], line: start.line, column: start.column, indentation })
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            let Some(c) = self.peek() else { return };
            self.rest = &self.rest[c.len_utf8()..];
            if c == '\n' {
                (self.line, self.column) = (self.line + 1, 1);
            } else {
                self.column += 1;
            }
        }
    }

    /// Walks through all of `text`.
    fn walk(mut self, text: &str, quote: Option<char>) -> Option<Vec<(usize, usize, usize)>> {
        let mut places = Vec::with_capacity(text.len() + 1);
        for (offset, c) in text.char_indices() {
            let (line, column) = self.take(c, quote)?;
            places.push((offset, line, column));
        }
        let is_closed = quote.is_none_or(|quote| self.peek() == Some(quote));
        places.push((text.len(), self.line, self.column));
        is_closed.then_some(places)
    }

    /// Takes what stands for `wanted`, and says where that is.
    fn take(&mut self, wanted: char, quote: Option<char>) -> Option<(usize, usize)> {
        if !wanted.is_whitespace() {
            self.skip_blanks(quote);
        }
        let at = (self.line, self.column);
        let next = self.peek();
        if quote == Some('"') && next == Some('\\') {
            self.skip_escape();
        } else if (quote == Some('\'') && wanted == '\'') || self.rest.starts_with("$$") {
            // Both are written twice.
            self.skip(2);
        } else if matches!(wanted, ' ' | '\n') && self.is_at_break() {
            self.skip_break(quote);
        } else if next == Some(wanted) {
            self.skip(1);
        } else if wanted != '\n' {
            // A final line break may be missing in the file, or is added by YAML.
            return None;
        }
        Some(at)
    }

    /// Blanks and line breaks that YAML has taken out.
    fn skip_blanks(&mut self, quote: Option<char>) {
        loop {
            if quote == Some('"')
                && (self.rest.starts_with("\\\n") || self.rest.starts_with("\\\r"))
            {
                self.skip(2);
            } else if self.peek().is_some_and(char::is_whitespace) {
                self.skip(1);
            } else {
                return;
            }
        }
    }

    fn is_at_break(&self) -> bool {
        self.rest.starts_with('\n') || self.rest.starts_with("\r\n")
    }

    fn skip_break(&mut self, quote: Option<char>) {
        self.skip(if self.rest.starts_with('\r') { 2 } else { 1 });
        let most = if quote.is_some() { usize::MAX } else { self.indentation };
        for _ in 0..most {
            if self.peek() != Some(' ') {
                return;
            }
            self.skip(1);
        }
    }

    fn skip_escape(&mut self) {
        let digits = match self.rest[1..].chars().next() {
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            _ => 0,
        };
        self.skip(2 + digits);
    }
}
