//! From the text of a file to a tree that knows where everything stands.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Location, Spanned};

use super::super::diagnostics::{Place, Problem, is_secret_name};
use super::{Entry, Node, Value};
use crate::options::numbers::{self, Number};

/// Levels of lists and sections in one another. A policy within a policy takes three of them.
pub(super) const MAX_LEVELS: usize = 128;

/// What a text came to.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) root: Node,
    pub(super) problems: Vec<Problem>,
    /// Lines with values that may be secret.
    pub(super) secret_lines: Vec<usize>,
}

/// Which places the nodes of a text get.
#[derive(Clone, Copy, Debug)]
pub(super) enum Where {
    /// Lines of the source with this number, after the first `above` ones.
    Source { number: usize, above: usize },
    /// All the same place: that of the variable that held the text.
    Variable(Place),
}

/// Parses a text. With `is_secret` all of its values may be secret.
pub(super) fn parse(text: &str, at: Where, is_secret: bool) -> Result<Parsed, Problem> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        with_snippet: false,
        // What is no number to the Collector is text again below.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        legacy_octal_numbers: true,
        budget: serde_saphyr::budget! { max_depth: MAX_LEVELS },
    };
    let parsed: Result<Spanned<Raw>, _> = serde_saphyr::from_str_with_options(text, options);
    let mut building = Building { text, at, problems: Vec::new(), secret_lines: Vec::new() };
    let root = parsed.map_err(|error| building.not_yaml(&error))?;
    let root = building.node(root, is_secret);
    let Building { problems, secret_lines, .. } = building;
    Ok(Parsed { root, problems, secret_lines })
}

/// What serde sees.
#[derive(Debug)]
enum Raw {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Integer(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Integer(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

/// A tree on its way from what serde saw.
#[derive(Debug)]
struct Building<'t> {
    text: &'t str,
    at: Where,
    problems: Vec<Problem>,
    secret_lines: Vec<usize>,
}

impl<'t> Building<'t> {
    fn place(&self, location: &Location) -> Place {
        let number = |value: u64| usize::try_from(value).unwrap_or(0);
        match self.at {
            Where::Source { number: source, above } => Place {
                source,
                line: number(location.line()).saturating_add(above),
                column: number(location.column()),
                length: number(location.span().len()),
            },
            Where::Variable(place) => place,
        }
    }

    // Lists and sections stand deep in one another: what is not for them has frames of its own.
    fn node(&mut self, raw: Spanned<Raw>, is_secret: bool) -> Node {
        let place = self.place(&raw.referenced);
        if is_secret {
            self.secret_lines.push(place.line);
        }
        let mut node = match raw.value {
            Raw::List(items) => Node::new(place, Value::List(self.list(items, is_secret))),
            Raw::Map(entries) => Node::new(place, Value::Map(self.map(entries, is_secret))),
            scalar => self.scalar(place, scalar, &raw.defined),
        };
        node.from_env = matches!(self.at, Where::Variable(_));
        node
    }

    fn list(&mut self, items: Vec<Spanned<Raw>>, is_secret: bool) -> Vec<Node> {
        let mut nodes = Vec::with_capacity(items.len());
        for item in items {
            nodes.push(self.node(item, is_secret));
        }
        nodes
    }

    #[inline(never)]
    fn scalar(&self, place: Place, scalar: Raw, defined: &Location) -> Node {
        let value = match scalar {
            Raw::Null => Value::Null,
            Raw::Bool(value) => Value::Bool(value),
            scalar => {
                let plain = self.plain(defined, &scalar);
                let (value, is_number) = scalar_value(scalar, plain);
                let written = plain.filter(|_| is_number).map(Box::from);
                return Node { written, ..Node::new(place, value) };
            }
        };
        Node::new(place, value)
    }

    /// How a scalar is written in the text, if it stands there without quotes and tags.
    fn plain(&self, location: &Location, scalar: &Raw) -> Option<&'t str> {
        let span = location.span();
        let start = usize::try_from(span.byte_offset()?).ok()?;
        let length = usize::try_from(span.byte_len()?).ok()?;
        let written = self.text.get(start..start.checked_add(length)?)?.trim_end();
        let is_plain = match scalar {
            // In quotes it is written otherwise; a tag or a block makes a text of any number.
            Raw::Text(text) => {
                let before = self.text[..start].trim_end();
                let is_block = before.trim_end_matches(['-', '+']).ends_with(['|', '>']);
                text == written && !is_block && !before.ends_with("!!str")
            }
            _ => !written.starts_with(['"', '\'', '!', '|', '>']),
        };
        is_plain.then_some(written)
    }

    fn map(&mut self, raw: Vec<(Spanned<String>, Spanned<Raw>)>, is_secret: bool) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::with_capacity(raw.len());
        for (key, value) in raw {
            let place = self.place(&key.referenced);
            let key = key.value;
            if self.is_given(&entries, &key, place) {
                continue;
            }
            let node = self.node(value, is_secret || holds_secrets(&key));
            entries.push(Entry { key, place, node });
        }
        entries
    }

    /// True if `key` is among the entries already, which is a problem.
    #[inline(never)]
    fn is_given(&mut self, entries: &[Entry], key: &str, place: Place) -> bool {
        let Some(first) = entries.iter().find(|entry| entry.key == key) else { return false };
        // What a variable holds is not repeated.
        let (message, help) = match self.at {
            Where::Variable(_) => ("a key is given twice in what the variable holds".into(), None),
            _ => {
                let help = format!("the first one is in line {}", first.place.line);
                (format!("`{key}` is given twice"), Some(help))
            }
        };
        self.problems.push(Problem { place, message, help });
        true
    }

    fn not_yaml(&self, error: &serde_saphyr::Error) -> Problem {
        let place = error.location().map(|at| self.place(&at)).unwrap_or_default();
        // The place is told in front already.
        let error = error.to_string();
        let reason = error.rsplit_once(" at line ").map_or(error.as_str(), |(reason, _)| reason);
        let is_depth = reason.contains("Depth") || reason.contains("recursion limit");
        let message = if is_depth {
            format!("lists and sections stand in one another more than {MAX_LEVELS} levels deep")
        } else if reason.contains("multiple YAML documents") {
            "there is more than one document in the file: only one can be read".to_owned()
        } else if reason.contains("budget breached") {
            "the file is larger than can be read: it ends here".to_owned()
        } else {
            format!("not valid YAML: {reason}")
        };
        Problem { place, message, help: None }
    }
}

/// True if what stands under `key` is not shown.
pub(in crate::config) fn holds_secrets(key: &str) -> bool {
    key == "headers" || is_secret_name(key)
}

/// The value, by the Collector's rules if it is written without quotes, and whether it is a number.
fn scalar_value(scalar: Raw, plain: Option<&str>) -> (Value, bool) {
    match (plain.map(numbers::resolve), scalar) {
        (Some(Some(Number::Integer(number))), _) => (Value::Integer(number), true),
        (Some(Some(Number::Float(number))), _) => (Value::Float(number), true),
        (Some(None), Raw::Text(text)) => (Value::Text(text), false),
        // What is a number to YAML 1.2 only is text to the Collector.
        (Some(None), _) => (Value::Text(plain.unwrap_or_default().to_owned()), false),
        (None, Raw::Integer(number)) => (Value::Integer(number), true),
        (None, Raw::Float(number)) => (Value::Float(number), true),
        (None, Raw::Text(text)) => (Value::Text(text), false),
        (None, Raw::Null | Raw::Bool(_) | Raw::List(_) | Raw::Map(_)) => (Value::Null, false),
    }
}
