//! Reading of single values. An error says what was expected; a value that came from the
//! environment is not repeated in it.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::document::{Node, Value};
use super::reader::nearest;
use crate::units::{parse_duration, parse_size};

/// Text. Numbers other than whole ones and booleans have to be quoted, since YAML has already
/// changed how they are written.
pub(super) fn text(node: &Node) -> Result<String, String> {
    match &node.value {
        Value::Text(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(_) | Value::Bool(_) => {
            Err(format!("expected text, found {}; put it in quotes", node.kind()))
        }
        _ => Err(format!("expected text, found {}", node.kind())),
    }
}

/// Text with something in it.
pub(super) fn name(node: &Node) -> Result<String, String> {
    let text = text(node)?;
    if text.trim().is_empty() { Err("must not be empty".to_owned()) } else { Ok(text) }
}

pub(super) fn boolean(node: &Node) -> Result<bool, String> {
    match &node.value {
        Value::Bool(value) => Ok(*value),
        Value::Text(text) if node.from_env && text == "true" => Ok(true),
        Value::Text(text) if node.from_env && text == "false" => Ok(false),
        Value::Text(text) if !node.from_env && (text == "true" || text == "false") => {
            Err(format!("expected true or false, found text: take the quotes off {text}"))
        }
        _ => Err(format!("expected true or false, found {}", shown(node))),
    }
}

/// A whole number in `range`.
pub(super) fn whole<N>(range: RangeInclusive<N>) -> impl FnOnce(&Node) -> Result<N, String>
where
    N: TryFrom<i128> + FromStr + PartialOrd + Display + Copy,
{
    move |node| {
        let number: Option<N> = match &node.value {
            Value::Integer(number) => N::try_from(*number).ok(),
            Value::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        let expected = || {
            let (least, most) = (range.start(), range.end());
            format!("expected a whole number from {least} to {most}, found {}", shown(node))
        };
        number.filter(|number| range.contains(number)).ok_or_else(expected)
    }
}

/// A number; not NaN, not infinite.
pub(super) fn number(node: &Node) -> Result<f64, String> {
    let number = match &node.value {
        Value::Integer(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    };
    let expected = || format!("expected a number, found {}", shown(node));
    number.filter(|number: &f64| number.is_finite()).ok_or_else(expected)
}

pub(super) fn duration(node: &Node) -> Result<Duration, String> {
    unit(node, "a duration such as `200ms` or `5s`", parse_duration)
}

/// A duration that is not 0.
pub(super) fn wait(node: &Node) -> Result<Duration, String> {
    let duration = duration(node)?;
    if duration.is_zero() { Err("must be longer than 0s".to_owned()) } else { Ok(duration) }
}

/// Bytes; at least 1.
pub(super) fn size<N: TryFrom<u64>>(node: &Node) -> Result<N, String> {
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
        _ => return Err(format!("expected {expected}, found {}", node.kind())),
    };
    parse(&text).map_err(|_| format!("expected {expected}, found {}", shown(node)))
}

/// One of several names.
pub(super) fn choice<T: Copy>(
    names: &'static [(&'static str, T)],
) -> impl Fn(&Node) -> Result<T, String> {
    move |node| {
        let text = text(node)?;
        let found = names.iter().find(|(name, _)| *name == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let known: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
            let hint = nearest(&text, &known).map(|name| format!("; did you mean {name}?"));
            let (hint, known) = (hint.unwrap_or_default(), known.join(", "));
            format!("expected one of {known}, found {}{hint}", shown(node))
        })
    }
}

/// A list, each item read alike; a single value is a list of one.
pub(super) fn list<T>(
    read: impl Fn(&Node) -> Result<T, String>,
) -> impl FnOnce(&Node) -> Result<Vec<T>, String> {
    move |node| items(node).iter().map(read).collect()
}

/// The items of a list; a single value is a list of one.
pub(super) fn items(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(items) => items,
        _ => std::slice::from_ref(node),
    }
}

/// The value as messages show it.
pub(super) fn shown(node: &Node) -> String {
    if node.from_env {
        return "another value from the environment".to_owned();
    }
    match &node.value {
        Value::Text(text) => format!("`{text}`"),
        Value::Integer(number) => format!("`{number}`"),
        Value::Float(number) => format!("`{number}`"),
        Value::Bool(value) => format!("`{value}`"),
        _ => node.kind().to_owned(),
    }
}
