//! Where variables stand in a text, and what looks like one.

use std::ops::Range;

/// The innermost variable that comes first, with its braces. An odd number of dollar signs before
/// it makes it text.
pub(super) fn find(text: &str) -> Option<Range<usize>> {
    let mut base = 0;
    loop {
        let rest = &text[base..];
        let close = rest.find('}')?;
        if let Some(open) = rest[..close].rfind("${") {
            let dollars = rest[..open].bytes().rev().take_while(|byte| *byte == b'$').count();
            if dollars % 2 == 0 {
                return Some(base + open..base + close + 1);
            }
        }
        base += close + 1;
    }
}

/// False if a variable begins in `text` and does not end.
pub(super) fn is_closed(text: &str) -> bool {
    let rest = text.rsplit_once('}').map_or(text, |(_, rest)| rest);
    let Some(open) = rest.rfind("${") else { return true };
    let dollars = rest[..open].bytes().rev().take_while(|byte| *byte == b'$').count();
    dollars % 2 == 1
}

pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// Where in `text` a name in capitals stands behind a dollar sign, as shells have it. Behind other
/// characters it may be the end of a regular expression.
pub(super) fn plain_dollar(text: &str) -> Option<Range<usize>> {
    let ranges = text.match_indices('$').filter_map(|(at, _)| {
        let before = text[..at].chars().next_back();
        let starts = before.is_none_or(|c| matches!(c, ' ' | '/' | ':' | '=' | '@' | ',' | '"'));
        let name = &text[at + 1..];
        let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let length = name.find(|c| !is_part(c)).unwrap_or(name.len());
        let is_name = length > 1 && !name.starts_with(|c: char| c.is_ascii_digit());
        (starts && is_name).then(|| at..at + 1 + length)
    });
    ranges.into_iter().next()
}
