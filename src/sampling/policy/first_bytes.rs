//! Bytes that a text must begin with so that a question about it can be answered with yes.
//!
//! Most values are nobody's: one look at the first byte spares a hash, a check of UTF-8 and a run of
//! a regular expression. It may say yes too often, and never says no where the answer is yes.

use regex_syntax::hir::Look;
use regex_syntax::hir::literal::Extractor;

/// A set of first bytes. Of an empty text it says that it may be asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FirstBytes([u64; 4]);

impl FirstBytes {
    const ALL: Self = Self([u64::MAX; 4]);

    /// Those of texts that are equal to one of these.
    pub(super) fn of_texts<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut bytes = Self::default();
        texts.filter_map(<[u8]>::first).for_each(|byte| bytes.insert(*byte));
        bytes
    }

    /// Those of texts that one of these expressions may match. Bytes that are no UTF-8 stand for
    /// U+FFFD to an expression, so all that are not ASCII are in the set.
    pub(super) fn of_expressions<'a>(patterns: impl Iterator<Item = &'a String>) -> Self {
        let mut bytes = Self([0, 0, u64::MAX, u64::MAX]);
        for pattern in patterns {
            match anchored(pattern) {
                Some(first) => first.into_iter().for_each(|byte| bytes.insert(byte)),
                None => return Self::ALL,
            }
        }
        bytes
    }

    /// False if the answer is no.
    #[inline]
    pub(super) fn may_begin(&self, text: &[u8]) -> bool {
        text.first().is_none_or(|byte| self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 != 0)
    }

    fn insert(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }
}

/// The bytes that a match of this expression may begin with, if all are at the start of the text,
/// and all begin with something that is known.
fn anchored(pattern: &str) -> Option<Vec<u8>> {
    let hir = regex_syntax::ParserBuilder::new().utf8(false).build().parse(pattern).ok()?;
    if !hir.properties().look_set_prefix().contains(Look::Start) {
        return None;
    }
    let prefixes = Extractor::new().extract(&hir);
    prefixes.literals()?.iter().map(|prefix| prefix.as_bytes().first().copied()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::bytes::Regex;

    use super::*;

    fn of(patterns: &[&str]) -> FirstBytes {
        let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.into()).collect();
        FirstBytes::of_expressions(patterns.iter())
    }

    #[test]
    fn an_expression_at_the_start_of_the_text_has_few() {
        for pattern in ["^/health", "^(?:/health|/ready)$", r"\A/", "^(?i)/", "^/.*|^/ready"] {
            assert!(of(&[pattern]).may_begin(b"/health"), "{pattern}");
            assert!(!of(&[pattern]).may_begin(b"health"), "{pattern}");
        }
        assert!(of(&["^/", "^a"]).may_begin(b"a") && !of(&["^/", "^a"]).may_begin(b"b"));
        assert!(of(&["^/"]).may_begin(b"") && of(&["^/"]).may_begin(b"\xff"));
    }

    #[test]
    fn others_have_all() {
        for pattern in ["health", "^/|b", "(?m)^/", "^a*", "^", "^$", "^.", "/$", "^\u{e9}?b?"] {
            assert_eq!(of(&[pattern]), FirstBytes::ALL, "{pattern}");
            assert_eq!(of(&["^/", pattern]), FirstBytes::ALL, "{pattern}");
        }
    }

    #[test]
    fn texts_begin_with_their_first_byte() {
        let bytes = FirstBytes::of_texts([&b"GET"[..], b"", b"\xff"].into_iter());
        assert!(bytes.may_begin(b"GONE") && bytes.may_begin(b"\xff") && bytes.may_begin(b""));
        assert!(!bytes.may_begin(b"PUT") && !bytes.may_begin(b"\x7f"));
    }

    proptest! {
        #[test]
        fn what_matches_may_begin(
            pattern in r"\^?(\(\?[im]\))?(\^|\\A)?[ab/]?(\([ab]\|\^?[b/]\)|\[a-c\]|\.)?[*?+]?b?\$?",
            text in "[ABab/\n]{0,4}",
        ) {
            let Ok(regex) = Regex::new(&pattern) else { return Ok(()) };
            if regex.is_match(text.as_bytes()) {
                prop_assert!(of(&[&pattern]).may_begin(text.as_bytes()), "{pattern} {text:?}");
            }
        }
    }
}
