//! Reading of single values. An error says what was expected; what a variable held is not repeated
//! in it.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::numbers::{Number, resolve};
use super::section::nearest;
use super::{Node, Value};
use crate::units::{parse_duration, parse_size};

/// Text. Numbers other than whole ones and booleans have to be quoted: the Collector refuses them
/// in the place of a text. What a variable holds is text as it is written there.
pub(crate) fn text(node: &Node) -> Result<String, String> {
    match (&node.value, &node.written) {
        (Value::Text(text), _) => Ok(text.clone()),
        (_, Some(written)) if node.from_env => Ok(written.to_string()),
        (Value::Integer(_), Some(written)) => Ok(written.to_string()),
        _ => not_text(node),
    }
}

fn not_text(node: &Node) -> Result<String, String> {
    match &node.value {
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(_) | Value::Bool(_) => {
            Err(format!("expected text, found {}; put it in quotes", node.kind()))
        }
        _ => Err(format!("expected text, found {}", node.kind())),
    }
}

/// Text with something in it.
pub(crate) fn name(node: &Node) -> Result<String, String> {
    let text = text(node)?;
    if text.trim().is_empty() { Err("must not be empty".to_owned()) } else { Ok(text) }
}

pub(crate) fn boolean(node: &Node) -> Result<bool, String> {
    match &node.value {
        Value::Bool(value) => Ok(*value),
        Value::Text(text) if !node.from_env && (text == "true" || text == "false") => {
            Err(format!("expected true or false, found text: take the quotes off {text}"))
        }
        _ => Err(format!("expected true or false, found {}", shown(node))),
    }
}

/// A whole number in `range`.
pub(crate) fn whole<N>(range: RangeInclusive<N>) -> impl Fn(&Node) -> Result<N, String>
where
    N: TryFrom<i128> + PartialOrd + Display + Copy,
{
    move |node| {
        let number = numeric(node).and_then(|number| match number {
            Number::Integer(number) => N::try_from(number).ok(),
            // Whole ones only; of others the Collector cuts something off without a word.
            Number::Float(number) if number.fract() == 0.0 => N::try_from(number as i128).ok(),
            Number::Float(_) => None,
        });
        let expected = || {
            let (least, most) = (range.start(), range.end());
            format!("expected a whole number from {least} to {most}, found {}", shown(node))
        };
        number.filter(|number| range.contains(number)).ok_or_else(expected)
    }
}

/// A number; not NaN, not infinite.
pub(crate) fn number(node: &Node) -> Result<f64, String> {
    match numeric(node) {
        Some(Number::Integer(number)) => Ok(number as f64),
        Some(Number::Float(number)) if number.is_finite() => Ok(number),
        _ => Err(format!("expected a number, found {}", shown(node))),
    }
}

/// A number, also one in quotes.
fn numeric(node: &Node) -> Option<Number> {
    match &node.value {
        Value::Integer(number) => Some(Number::Integer(*number)),
        Value::Float(number) => Some(Number::Float(*number)),
        // In quotes it is text to the Collector; a 0 in front is not taken for octal here.
        Value::Text(text) => match text.trim().parse() {
            Ok(number) => Some(Number::Integer(number)),
            Err(_) => resolve(text.trim()),
        },
        _ => None,
    }
}

pub(crate) fn duration(node: &Node) -> Result<Duration, String> {
    unit(node, "a duration such as `200ms` or `5s`", parse_duration)
}

/// A duration as Go's `time.ParseDuration` reads it, besides what is negative: `1m30s`, `1.5h`.
pub(crate) fn go_duration(node: &Node) -> Option<Duration> {
    let Value::Text(text) = &node.value else { return None };
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut seconds = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += number * unit;
        rest = &rest[end..];
    }
    Duration::try_from_secs_f64(seconds).ok()
}

/// The nanoseconds that a bare number is to the Collector; 0 says nothing of its unit.
pub(crate) fn bare_nanoseconds(node: &Node) -> Option<u64> {
    let number = match &node.value {
        Value::Integer(number) => *number,
        Value::Float(number) if number.fract() == 0.0 => *number as i128,
        _ => return None,
    };
    u64::try_from(number).ok().filter(|number| *number > 0)
}

/// What is said of a bare number, and what to do.
pub(crate) fn told_nanoseconds(node: &Node, number: u64) -> (String, String) {
    if node.from_env {
        let message =
            "a bare number is nanoseconds, as in the Collector, and the variable holds one";
        return (message.to_owned(), "with its unit, for example `10s`".to_owned());
    }
    let message = format!("a bare {number} is {number} nanoseconds, as in the Collector");
    (message, format!("with its unit, for example `{number}s`"))
}

/// Bytes; at least 1.
pub(crate) fn size<N: TryFrom<u64>>(node: &Node) -> Result<N, String> {
    let expected = "a size such as `64MiB`";
    let bytes = unit(node, expected, parse_size)?;
    let size = N::try_from(bytes).ok().filter(|_| bytes > 0);
    size.ok_or_else(|| format!("expected {expected}, above 0 and not beyond this machine"))
}

fn unit<T>(
    node: &Node,
    expected: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, String> {
    let text = match &node.value {
        Value::Text(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) if number.fract() == 0.0 => number.to_string(),
        _ => return Err(format!("expected {expected}, found {}", node.kind())),
    };
    parse(&text).map_err(|_| format!("expected {expected}, found {}", shown(node)))
}

/// One of several names, each with what it stands for and what that means.
pub(crate) fn choice<T: Copy>(
    names: &'static [(&'static str, T, &'static str)],
) -> impl Fn(&Node) -> Result<T, String> {
    move |node| {
        let text = text(node)?;
        let found = names.iter().find(|(name, ..)| *name == text);
        found.map(|(_, value, _)| *value).ok_or_else(|| {
            let known: Vec<&str> = names.iter().map(|(name, ..)| *name).collect();
            let hint = nearest(&text, &known).map(|name| format!("; did you mean {name}?"));
            let (hint, known) = (hint.unwrap_or_default(), known.join(", "));
            format!("expected one of {known}, found {}{hint}", shown(node))
        })
    }
}

/// The items of a list; a single value is a list of one.
pub(crate) fn items(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(items) => items,
        _ => std::slice::from_ref(node),
    }
}

/// Stands for a value that a variable holds.
const HIDDEN: &str = "another value in its variable";

/// Stands for a message that would show what a variable holds.
const UNTOLD: &str = "the value in the variable cannot be used; why is not told, because that would \
                      show what it holds";

/// A message about a value, in which what a variable held is not repeated: what stands in quotes
/// and may be part of it is left out. If more of it would show, the message is another one.
pub(crate) fn told(node: &Node, message: String) -> String {
    fit(node, message).unwrap_or_else(|| UNTOLD.to_owned())
}

/// As [`told`]; `None` if more would show than what stands in quotes.
pub(crate) fn fit(node: &Node, message: String) -> Option<String> {
    let hidden = hidden(node);
    // Who has written that has hidden the value.
    if hidden.is_empty() || message.contains(HIDDEN) {
        return Some(message);
    }
    let is_quote = |c: char| matches!(c, '`' | '"');
    // Where a quoted text ends cannot be told if it has quotes in it.
    if message.contains(is_quote) && hidden.iter().any(|text| text.contains(is_quote)) {
        return None;
    }
    let mut told = String::with_capacity(message.len());
    let mut rest = message.as_str();
    while let Some(open) = rest.find(is_quote) {
        let quote = &rest[open..=open];
        let (before, after) = (&rest[..=open], &rest[open + 1..]);
        let Some(length) = after.find(quote) else { break };
        let quoted = &after[..length];
        if shows(before, &hidden) {
            return None;
        }
        let is_part = !quoted.is_empty() && hidden.iter().any(|text| text.contains(quoted));
        told.push_str(before);
        told.push_str(if is_part || shows(quoted, &hidden) { "..." } else { quoted });
        told.push_str(quote);
        rest = &after[length + 1..];
    }
    (!shows(rest, &hidden)).then(|| told + rest)
}

/// What variables hold of a value and of all that is below it.
fn hidden(node: &Node) -> Vec<String> {
    let mut hidden = Vec::new();
    node.walk(&mut |node| {
        if !node.from_env {
            return;
        }
        hidden.extend(node.written.as_deref().map(str::to_owned));
        match &node.value {
            Value::Text(text) => hidden.push(text.clone()),
            Value::Integer(number) => hidden.push(number.to_string()),
            Value::Float(number) => hidden.push(number.to_string()),
            Value::Map(entries) => hidden.extend(entries.iter().map(|entry| entry.key.clone())),
            Value::Null | Value::Bool(_) | Value::List(_) => {}
        }
    });
    hidden.retain(|text| !text.is_empty());
    hidden
}

/// True if `text` has a word that is in what is hidden. Of numbers a part is enough.
fn shows(text: &str, hidden: &[String]) -> bool {
    words(text).filter(|word| !word.is_empty()).any(|word| {
        let has_digit = word.contains(|c: char| c.is_ascii_digit());
        hidden.iter().any(|hidden| {
            let is_part = has_digit && hidden.to_lowercase().contains(&word);
            is_part || words(hidden).any(|it| it == word)
        })
    })
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase)
}

/// The value as messages show it.
pub(crate) fn shown(node: &Node) -> String {
    if node.from_env {
        return HIDDEN.to_owned();
    }
    if let Some(written) = &node.written {
        return format!("`{written}`");
    }
    match &node.value {
        Value::Text(text) => format!("`{text}`"),
        Value::Integer(number) => format!("`{number}`"),
        Value::Float(number) => format!("`{number}`"),
        Value::Bool(value) => format!("`{value}`"),
        _ => node.kind().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Place;
    use super::*;

    fn held(text: &str) -> Node {
        Node { from_env: true, ..Node::new(Place::default(), Value::Text(text.to_owned())) }
    }

    #[test]
    fn what_is_hidden_shows_neither_in_quotes_nor_without() {
        for (hidden, message) in [
            ("a` == hunter2", "expected a value, found `a` == hunter2`"),
            ("a\" == hunter2", "expected a value, found \"a\\\" == hunter2\""),
            ("hunter2", "the header hunter2 cannot be forwarded"),
            ("x == 018hunter", "018 is no 64-bit number"),
            ("https://hunter2/x", "found \"https://hunter2/...\""),
            ("x hunter2", "is `open, and hunter2"),
        ] {
            let told = told(&held(hidden), message.to_owned());
            assert!(!told.contains("hunter") && !told.contains("018"), "{message}: {told}");
        }
        let list = Value::List(vec![held("hunter2")]);
        let list = Node::new(Place::default(), list);
        assert_eq!(told(&list, "found `hunter2`".to_owned()), "found `...`");
        assert_eq!(told(&list, "found hunter2".to_owned()), UNTOLD);
    }

    #[test]
    fn what_shows_nothing_is_told() {
        let node = held("18 apples");
        let message = "expected a duration such as `200ms`, found `apples`".to_owned();
        assert_eq!(told(&node, message), "expected a duration such as `200ms`, found `...`");
        let error = whole(0..=8)(&node).unwrap_err();
        assert_eq!(told(&node, error.clone()), error);
        let plain = Node::new(Place::default(), Value::Text("a".to_owned()));
        assert_eq!(told(&plain, "a `a`".to_owned()), "a `a`");
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let cases = [
            ("10s", Some(10_000_000_000)),
            ("1m30s", Some(90_000_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            (".5s", Some(500_000_000)),
            ("+200ms", Some(200_000_000)),
            ("2us", Some(2_000)),
            ("2µs", Some(2_000)),
            ("10ns", Some(10)),
            ("10", None),
            ("", None),
            ("s", None),
            ("-1s", None),
            ("10 s", None),
            ("1d", None),
            ("1..5s", None),
            ("99999999999999999999h", None),
        ];
        for (text, nanoseconds) in cases {
            let node = Node::new(Place::default(), Value::Text(text.to_owned()));
            let duration = go_duration(&node).map(|duration| duration.as_nanos());
            assert_eq!(duration, nanoseconds, "{text}");
        }
    }
}
