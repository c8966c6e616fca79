//! Single values.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::Form;
use crate::options::schema::{NUMBER, Schemas, VARIABLE, or_variable};
use crate::options::{At, Choice, Node, values};

/// A duration as Go or people write it, or a text with a variable in it.
const DURATION: &str = concat!(
    r"^\+?([0-9.]+ *(ns|nsec|us|µs|μs|usec|ms|msec|millis|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|",
    r"hours?|d|days?|w|weeks?) *)+$|^ *0 *$|\$\{"
);

/// The same, of one that is not 0; a 0 with a unit is left to the reader.
const WAIT: &str = concat!(
    r"^\+?([0-9.]+ *(ns|nsec|us|µs|μs|usec|ms|msec|millis|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|",
    r"hours?|d|days?|w|weeks?) *)+$|\$\{"
);

/// A size, or a text with a variable in it.
const SIZE: &str = r"^ *[0-9]+(\.[0-9]+)? *([kMGT]|[kKMGT]?B|[KMGT]iB?)? *$|\$\{";

/// A single value, read by a function.
pub(crate) fn form<T: 'static>(
    read: impl Fn(&Node) -> Result<T, String> + 'static,
    schema: Json,
) -> Form<T> {
    let read = move |node: &Node, at: At<'_>| {
        read(node).map_err(|message| at.refuse(node, message, None)).ok()
    };
    Form::new(read, move |_| schema.clone())
}

/// Any text; whole numbers need no quotes.
pub(crate) fn text() -> Form<String> {
    form(values::text, json!({ "type": ["string", "integer"] }))
}

/// Text with something in it; whole numbers need no quotes.
pub(crate) fn name() -> Form<String> {
    form(values::name, json!({ "type": ["string", "integer"], "pattern": r"\S" }))
}

/// A path, relative to the file.
pub(crate) fn path() -> Form<PathBuf> {
    let Form { read, describe } = name();
    let read = move |node: &Node, at: At<'_>| {
        let path = PathBuf::from(read(node, at)?);
        Some(at.context.folder.map_or_else(|| path.clone(), |folder| folder.join(&path)))
    };
    Form { read: Box::new(read), describe }
}

pub(crate) fn boolean() -> Form<bool> {
    form(values::boolean, json!({ "type": ["boolean", "string"], "pattern": VARIABLE }))
}

/// A whole number in `range`.
pub(crate) fn whole<N>(range: RangeInclusive<N>) -> Form<N>
where
    N: TryFrom<i128> + PartialOrd + Display + Copy + 'static,
{
    let schema = number_schema("integer", range.start(), range.end());
    form(values::whole(range), schema)
}

/// A number in `range`.
pub(crate) fn number(range: RangeInclusive<f64>) -> Form<f64> {
    ranged("a number", range)
}

/// From 0 to 100.
pub(crate) fn percentage() -> Form<f64> {
    ranged("a percentage", 0.0..=100.0)
}

fn ranged(what: &'static str, range: RangeInclusive<f64>) -> Form<f64> {
    let schema = number_schema("number", range.start(), range.end());
    let read = move |node: &Node| {
        let number = values::number(node)?;
        let (least, most) = (range.start(), range.end());
        let found =
            || format!("expected {what} from {least} to {most}, found {}", values::shown(node));
        if range.contains(&number) { Ok(number) } else { Err(found()) }
    };
    form(read, schema)
}

/// Any number.
pub(crate) fn any_number() -> Form<f64> {
    form(values::number, number_schema("number", &f64::NEG_INFINITY, &f64::INFINITY))
}

fn number_schema(kind: &str, least: &impl Display, most: &impl Display) -> Json {
    /// Beyond this, editors lose digits.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let mut schema = json!({ "type": [kind, "string"], "pattern": NUMBER });
    for (keyword, bound) in [("minimum", least.to_string()), ("maximum", most.to_string())] {
        let number: f64 = bound.parse().unwrap_or(f64::INFINITY);
        if number.abs() < EXACT {
            schema[keyword] = match number.fract() == 0.0 {
                true => json!(number as i64),
                false => json!(number),
            };
        }
    }
    schema
}

/// A duration such as `200ms` or `1m30s`.
pub(crate) fn duration() -> Form<Duration> {
    let zero = json!({ "type": "integer", "const": 0 });
    let schema = json!({ "anyOf": [{ "type": "string", "pattern": DURATION }, zero] });
    form(values::duration, schema)
}

/// A duration that is not 0.
pub(crate) fn wait() -> Form<Duration> {
    let read = duration().try_map(not_zero);
    let schema = json!({ "type": "string", "pattern": WAIT });
    Form::new(move |node, at| read.read(node, at), move |_| schema.clone())
}

fn not_zero(duration: Duration) -> Result<Duration, String> {
    if duration.is_zero() { Err("must be longer than 0s".to_owned()) } else { Ok(duration) }
}

/// A duration as Go writes it, or as the other files have it; in the Collector's files a bare number
/// is nanoseconds.
pub(crate) fn collector_duration() -> Form<Duration> {
    let describe = |schemas: &mut Schemas| {
        let mut schema = duration().describe(schemas);
        if schemas.is_collectors {
            schema["anyOf"][1] = json!({ "type": "integer", "minimum": 0 });
        }
        schema
    };
    let read = |node: &Node, at: At<'_>| {
        if at.context.is_collectors
            && let Some(nanoseconds) = values::bare_nanoseconds(node)
        {
            let (message, help) = values::told_nanoseconds(node, nanoseconds);
            at.context.warnings.add(node.place, message, Some(help));
            return Some(Duration::from_nanos(nanoseconds));
        }
        let read = values::go_duration(node).map_or_else(|| values::duration(node), Ok);
        read.map_err(|message| at.refuse(node, message, None)).ok()
    };
    Form::new(read, describe)
}

/// Bytes; at least 1.
pub(crate) fn size<N: TryFrom<u64> + 'static>() -> Form<N> {
    let bytes = json!({ "type": "integer", "minimum": 1 });
    let schema = json!({ "anyOf": [{ "type": "string", "pattern": SIZE }, bytes] });
    form(values::size, schema)
}

/// One of several names.
pub(crate) fn choice<T: Choice>() -> Form<T> {
    let read = |node: &Node, at: At<'_>| {
        let read = values::choice(T::ALL)(node);
        read.map_err(|message| at.refuse(node, message, None)).ok()
    };
    Form::new(read, |schemas| or_variable(schemas.choice::<T>()))
}
