//! How single values are written: each form reads a value and has a schema. A key is a form with
//! what becomes of it if it is not there.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::numbers::{Number, resolve};
use super::schema::{NUMBER, Schemas, VARIABLE, described, nullable, or_variable};
use super::{At, Choice, Context, Entry, Fault, Node, Options, Place, Section, Value, values};

/// A duration as Go or people write it, or a text with a variable in it.
const DURATION: &str = concat!(
    r"^\+?([0-9.]+ *(ns|nsec|us|µs|μs|usec|ms|msec|millis|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|",
    r"hours?|d|days?|w|weeks?) *)+$|^ *0 *$|\$\{"
);

/// A size, or a text with a variable in it.
const SIZE: &str = r"^ *[0-9]+(\.[0-9]+)? *([kMGT]|[kKMGT]?B|[KMGT]iB?)? *$|\$\{";

type Read<T> = Box<dyn Fn(&Node, At<'_>) -> Option<T>>;
type Describe = Box<dyn Fn(&mut Schemas) -> Json>;

/// How a value is written. Who reads `None` has told why.
pub(crate) struct Form<T> {
    read: Read<T>,
    describe: Describe,
}

/// A form of which it is said what becomes of a key that is not there, or is refused.
pub(crate) struct Key<T> {
    read: Box<dyn Fn(&Section<'_>, &'static str) -> T>,
    describe: Describe,
    default: Option<&'static str>,
    is_required: bool,
}

impl<T: 'static> Form<T> {
    pub(crate) fn new(
        read: impl Fn(&Node, At<'_>) -> Option<T> + 'static,
        describe: impl Fn(&mut Schemas) -> Json + 'static,
    ) -> Self {
        Self { read: Box::new(read), describe: Box::new(describe) }
    }

    pub(crate) fn read(&self, node: &Node, at: At<'_>) -> Option<T> {
        (self.read)(node, at)
    }

    pub(crate) fn describe(&self, schemas: &mut Schemas) -> Json {
        (self.describe)(schemas)
    }

    /// The same, made into something else.
    pub(crate) fn map<U: 'static>(self, make: impl Fn(T) -> U + 'static) -> Form<U> {
        let Self { read, describe } = self;
        Form { read: Box::new(move |node, at| read(node, at).map(&make)), describe }
    }

    /// The same, made into something else unless that is refused.
    pub(crate) fn try_map<U: 'static>(
        self,
        make: impl Fn(T) -> Result<U, String> + 'static,
    ) -> Form<U> {
        let Self { read, describe } = self;
        let read = move |node: &Node, at: At<'_>| {
            let made = make(read(node, at)?);
            made.map_err(|message| at.refuse(node, message, None)).ok()
        };
        Form { read: Box::new(read), describe }
    }

    /// The key has to be there, for example as in `example`.
    pub(crate) fn required(self, example: &'static str) -> Key<T>
    where
        T: Default,
    {
        let Self { read, describe } = self;
        let read = move |section: &Section<'_>, key: &'static str| match section.node(key) {
            Some(node) => read(node, section.at(key)).unwrap_or_default(),
            None => {
                section.missing(key, example);
                T::default()
            }
        };
        Key { read: Box::new(read), describe, default: None, is_required: true }
    }

    /// The key may be there.
    pub(crate) fn optional(self) -> Key<Option<T>> {
        let Self { read, describe } = self;
        let read = move |section: &Section<'_>, key: &'static str| {
            section.node(key).and_then(|node| read(node, section.at(key)))
        };
        Key { read: Box::new(read), describe, default: None, is_required: false }
    }

    /// Without the key, it is as if this stood there.
    pub(crate) fn or(self, default: &'static str) -> Key<T> {
        let Self { read, describe } = self;
        let read = move |section: &Section<'_>, key: &'static str| {
            let given = section.node(key).and_then(|node| read(node, section.at(key)));
            given.unwrap_or_else(|| {
                let context = Context::default();
                let default = read(&written(default), At { key, context: &context });
                default.expect("the default is good")
            })
        };
        Key { read: Box::new(read), describe, default: Some(default), is_required: false }
    }

    /// Without the key, it is empty.
    pub(crate) fn or_default(self) -> Key<T>
    where
        T: Default,
    {
        self.optional().map(Option::unwrap_or_default)
    }

    /// The key may be there; 0 is as if it were not.
    pub(crate) fn unless_zero(self) -> Key<Option<T>>
    where
        T: PartialEq + From<u8>,
    {
        self.optional().map(|given| given.filter(|given| *given != T::from(0)))
    }
}

impl Form<String> {
    /// A text that has a language of its own.
    pub(crate) fn checked(self, check: impl Fn(&str) -> Result<(), Fault> + 'static) -> Self {
        let Self { read, describe } = self;
        let read = move |node: &Node, at: At<'_>| {
            let text = read(node, at)?;
            check(&text).map_err(|fault| at.fault(node, fault)).ok()?;
            Some(text)
        };
        Self { read: Box::new(read), describe }
    }
}

impl<T: 'static> Form<Vec<T>> {
    /// A list with something in it, for example as in `example`.
    pub(crate) fn not_empty(self, example: &'static str) -> Self {
        let Self { read, describe } = self;
        let read = move |node: &Node, at: At<'_>| {
            if values::items(node).is_empty() {
                let help = format!("for example `{}: {example}`", at.key);
                at.refuse(node, "must hold a value".to_owned(), Some(&help));
                return None;
            }
            read(node, at)
        };
        Self { read: Box::new(read), describe }
    }

    /// A list that has to be there, with something in it.
    pub(crate) fn some(self, example: &'static str) -> Key<Vec<T>> {
        self.not_empty(example).required(example)
    }
}

impl<T: 'static> Key<T> {
    pub(super) fn read(&self, section: &Section<'_>, key: &'static str) -> T {
        (self.read)(section, key)
    }

    pub(super) fn is_required(&self) -> bool {
        self.is_required
    }

    pub(super) fn describe(&self, schemas: &mut Schemas, doc: &str) -> Json {
        let schema = (self.describe)(schemas);
        let schema = if self.is_required { schema } else { nullable(schema) };
        let Some(default) = self.default else { return described(schema, doc) };
        // That what is not said is not so needs no words.
        let mut schema = match default != "false" && !doc.contains("default") {
            true => {
                let doc = doc.trim_end().trim_end_matches('.');
                described(schema, &format!("{doc}; {default} by default."))
            }
            false => described(schema, doc),
        };
        schema["default"] = serde_json::from_str(default).unwrap_or_else(|_| json!(default));
        schema
    }

    /// The same, made into something else.
    pub(crate) fn map<U: 'static>(self, make: impl Fn(T) -> U + 'static) -> Key<U> {
        let Self { read, describe, default, is_required } = self;
        let read = move |section: &Section<'_>, key: &'static str| make(read(section, key));
        Key { read: Box::new(read), describe, default, is_required }
    }
}

/// A value as a variable may hold it: what stands for a text is one, whatever it looks like.
fn written(text: &str) -> Node {
    let value = match (text, resolve(text)) {
        ("true" | "false", _) => Value::Bool(text == "true"),
        (_, Some(Number::Integer(number))) => Value::Integer(number),
        (_, Some(Number::Float(number))) => Value::Float(number),
        (_, None) => Value::Text(text.to_owned()),
    };
    let (written, from_env) = (Some(text.into()), true);
    Node { written, from_env, ..Node::new(Place::default(), value) }
}

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
    let schema = number_schema("number", range.start(), range.end());
    let read = move |node: &Node| {
        let number = values::number(node)?;
        let (least, most) = (range.start(), range.end());
        let found =
            || format!("expected a number from {least} to {most}, found {}", values::shown(node));
        if range.contains(&number) { Ok(number) } else { Err(found()) }
    };
    form(read, schema)
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
    duration().try_map(not_zero)
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

/// A list, each item read alike; a single value is a list of one.
pub(crate) fn list<T: 'static>(item: Form<T>) -> Form<Vec<T>> {
    let Form { read, describe } = item;
    let read = move |node: &Node, at: At<'_>| all(values::items(node), &read, at);
    Form::new(read, move |schemas| list_schema(describe(schemas)))
}

/// As [`list`]; a text with commas in it is a list, too, as for the Collector.
pub(crate) fn split_by_commas<T: 'static>(item: Form<T>) -> Form<Vec<T>> {
    let Form { read, describe } = item;
    let read = move |node: &Node, at: At<'_>| {
        let Some(parts) = parts(node, at.context) else {
            return all(values::items(node), &read, at);
        };
        if !node.from_env {
            let (key, count) = (at.key, parts.len());
            let message =
                format!("{key}: a text with commas is a list of {count}, as in the Collector");
            let help = format!(
                "write a list: `{key}: [A, B]`; a text with a comma in it is an item, too: `[\"A,B\"]`"
            );
            at.context.warnings.add(node.place, message, Some(help));
        }
        all(&parts, &read, at)
    };
    Form::new(read, move |schemas| list_schema(describe(schemas)))
}

/// The parts of a text with commas, each with its place.
fn parts(node: &Node, context: &Context<'_>) -> Option<Vec<Node>> {
    let Value::Text(text) = &node.value else { return None };
    let mut start = 0;
    let mut parts = Vec::new();
    for part in text.split(',') {
        let range = start..start + part.len();
        start = range.end + 1;
        let value = Value::Text(part.to_owned());
        parts.push(Node { place: context.place_within(node, range), value, ..node.clone() });
    }
    (parts.len() > 1).then_some(parts)
}

fn all<T>(items: &[Node], read: &Read<T>, at: At<'_>) -> Option<Vec<T>> {
    let items: Vec<Option<T>> = items.iter().map(|node| read(node, at)).collect();
    items.into_iter().collect()
}

fn list_schema(item: Json) -> Json {
    let list = json!({ "type": "array", "items": item, "minItems": 1 });
    match item["type"].as_array().is_some_and(|kinds| kinds.contains(&json!("string"))) {
        true => json!({ "anyOf": [item, list] }),
        false => or_variable(json!({ "anyOf": [item, list] })),
    }
}

/// A section with keys of its own.
pub(crate) fn section<T: Options + 'static>() -> Form<T> {
    let read = |node: &Node, at: At<'_>| Some(Section::new(node, at.context).read());
    Form::new(read, |schemas| or_variable(schemas.section::<T>()))
}

/// A section whose keys are anything; `expected` says what its entries are.
pub(crate) fn entries<T: 'static>(
    expected: &'static str,
    value: Form<T>,
) -> Form<Vec<(String, T)>> {
    let Form { read, describe } = value;
    let read = move |node: &Node, at: At<'_>| {
        let Value::Map(entries) = &node.value else {
            at.refuse(node, format!("expected {expected}, found {}", node.kind()), None);
            return None;
        };
        let entry =
            |Entry { key, node, .. }: &Entry| Some((key.clone(), read(node, At { key, ..at })?));
        let entries: Vec<Option<(String, T)>> = entries.iter().map(entry).collect();
        entries.into_iter().collect()
    };
    let describe = move |schemas: &mut Schemas| {
        or_variable(json!({ "type": "object", "additionalProperties": describe(schemas) }))
    };
    Form::new(read, describe)
}

impl<T: Options + 'static> Form<T> {
    /// Without the section, the keys that it has to have are missing.
    pub(crate) fn needed(self) -> Key<T> {
        let Self { read, describe } = self;
        let read = move |section: &Section<'_>, key: &'static str| {
            let given = section.node(key).and_then(|node| read(node, section.at(key)));
            given.unwrap_or_else(|| section.nothing_below().read())
        };
        Key { read: Box::new(read), describe, default: None, is_required: true }
    }

    /// Without the section, its keys have their defaults.
    pub(crate) fn or_defaults(self) -> Key<T> {
        self.optional().map(|given| given.unwrap_or_else(super::defaults))
    }
}
