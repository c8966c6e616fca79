//! A YAML file as a tree that knows where everything stands.
//!
//! Environment variables are put into scalars after parsing, so that a value cannot change the
//! structure of the file.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Location, Spanned};

use super::diagnostics::{Diagnostics, Place, Problem, is_secret_name};

/// Levels of lists and sections in one another. A policy within a policy takes three of them.
const MAX_LEVELS: usize = 128;

/// A parsed file.
#[derive(Clone, Debug)]
pub(super) struct Document {
    name: String,
    pub(super) text: String,
    pub(super) root: Node,
    /// What is wrong with it besides what its values mean.
    pub(super) problems: Vec<Problem>,
    secret_lines: Vec<usize>,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
    /// It came from the environment: its text is not shown.
    pub(super) from_env: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) node: Node,
}

/// Which variables of the environment a file may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variables {
    /// `${env:NAME}`.
    Explicit,
    /// `${NAME}` too, as the Collector has it.
    Short,
}

impl Document {
    /// Parses `text` and puts in the environment's variables; `name` is what errors call the file.
    pub(super) fn parse(name: &str, text: &str) -> Result<Self, Diagnostics> {
        let mut document = Self::parse_alone(name, text)?;
        document.substitute(&[], Variables::Explicit);
        Ok(document)
    }

    /// Parses `text` without the environment's variables.
    pub(super) fn parse_alone(name: &str, text: &str) -> Result<Self, Diagnostics> {
        let options = serde_saphyr::options! {
            duplicate_keys: DuplicateKeyPolicy::PassThrough,
            strict_booleans: true,
            with_snippet: false,
            budget: serde_saphyr::budget! { max_depth: MAX_LEVELS },
        };
        let parsed: Result<Spanned<Raw>, _> = serde_saphyr::from_str_with_options(text, options);
        let root = parsed.map_err(|error| {
            let problem = not_yaml(&error);
            Diagnostics::new(name, text, vec![problem], &[])
        })?;
        let mut building = Building::default();
        let root = building.node(root, false);
        let Building { problems, secret_lines } = building;
        Ok(Self { name: name.to_owned(), text: text.to_owned(), root, problems, secret_lines })
    }

    /// Puts the environment's variables into the scalars below `path`.
    pub(super) fn substitute(&mut self, path: &[String], variables: Variables) {
        let mut node = &mut self.root;
        for key in path {
            let Value::Map(entries) = &mut node.value else { return };
            let entry = entries.iter_mut().find(|entry| entry.key == *key);
            let Some(entry) = entry else { return };
            node = &mut entry.node;
        }
        substitute_below(node, variables, &mut self.problems);
    }

    /// Problems with this file's name and excerpts.
    pub(super) fn diagnostics(&self, problems: Vec<Problem>) -> Diagnostics {
        Diagnostics::new(&self.name, &self.text, problems, &self.secret_lines)
    }

    /// What is wrong with the file itself, and with its values. What is said of a value whose
    /// variable is not set would mislead, and is left out.
    pub(super) fn all_problems(&self, of_values: Vec<Problem>) -> Vec<Problem> {
        let is_new = |problem: &Problem| {
            let is_told = |told: &Problem| told.place == problem.place;
            !self.problems.iter().any(is_told)
        };
        let more = of_values.into_iter().filter(is_new);
        self.problems.iter().cloned().chain(more).collect()
    }
}

fn not_yaml(error: &serde_saphyr::Error) -> Problem {
    let place = error.location().map(|at| place(&at)).unwrap_or_default();
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
    } else if let Some((number, _)) = reason.split_once(" rejected by the configured policy") {
        // It comes as "non-finite float `.nan`".
        format!("expected a number, found a {number}")
    } else {
        format!("not valid YAML: {reason}")
    };
    Problem { place, message, help: None }
}

impl Node {
    /// The value of `key`, if this is a section that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// The node below this one at `path`, its keys parted by dots; this one if there is none.
    pub(super) fn find(&self, path: &str) -> &Self {
        let Value::Map(entries) = &self.value else { return self };
        let (key, rest) = path.split_once('.').unwrap_or((path, ""));
        match entries.iter().find(|entry| entry.key == key) {
            Some(entry) if rest.is_empty() => &entry.node,
            Some(entry) => entry.node.find(rest),
            None => self,
        }
    }

    /// What kind of value it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Integer(_) | Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a section",
        }
    }
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

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

fn place(location: &Location) -> Place {
    let number = |value: u64| usize::try_from(value).unwrap_or(0);
    Place {
        line: number(location.line()),
        column: number(location.column()),
        length: number(location.span().len()),
    }
}

/// A tree on its way from what serde saw.
#[derive(Debug, Default)]
struct Building {
    problems: Vec<Problem>,
    secret_lines: Vec<usize>,
}

impl Building {
    fn node(&mut self, raw: Spanned<Raw>, is_secret: bool) -> Node {
        let place = place(&raw.referenced);
        if is_secret {
            self.secret_lines.push(place.line);
        }
        let value = match raw.value {
            Raw::Null => Value::Null,
            Raw::Bool(value) => Value::Bool(value),
            Raw::Integer(value) => Value::Integer(value),
            Raw::Float(value) => Value::Float(value),
            Raw::Text(text) => Value::Text(text),
            Raw::List(items) => {
                Value::List(items.into_iter().map(|item| self.node(item, is_secret)).collect())
            }
            Raw::Map(entries) => Value::Map(self.map(entries, is_secret)),
        };
        Node { place, value, from_env: false }
    }

    fn map(&mut self, raw: Vec<(Spanned<String>, Spanned<Raw>)>, is_secret: bool) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::with_capacity(raw.len());
        for (key, value) in raw {
            let place = place(&key.referenced);
            let key = key.value;
            if let Some(first) = entries.iter().find(|entry| entry.key == key) {
                self.problems.push(Problem {
                    place,
                    message: format!("`{key}` is given twice"),
                    help: Some(format!("the first one is in line {}", first.place.line)),
                });
                continue;
            }
            let is_secret = is_secret || key == "headers" || is_secret_name(&key);
            let node = self.node(value, is_secret);
            entries.push(Entry { key, place, node });
        }
        entries
    }
}

fn substitute_below(node: &mut Node, variables: Variables, problems: &mut Vec<Problem>) {
    match &mut node.value {
        Value::Text(text) => match substitute(text, variables, |name| std::env::var(name).ok()) {
            Ok((substituted, came_from_env)) => {
                *text = substituted;
                node.from_env = came_from_env;
            }
            Err(message) => {
                let help =
                    "set it, or give a default: ${env:NAME:-default}; a dollar sign itself is $$";
                let help = Some(help.to_owned());
                problems.push(Problem { place: node.place, message, help });
            }
        },
        Value::List(items) => {
            items.iter_mut().for_each(|item| substitute_below(item, variables, problems));
        }
        Value::Map(entries) => {
            let nodes = entries.iter_mut().map(|entry| &mut entry.node);
            nodes.for_each(|node| substitute_below(node, variables, problems));
        }
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) => {}
    }
}

/// Replaces `${env:NAME}`, `${env:NAME:-default}` and `$$`. Also tells if there was a variable.
pub(super) fn substitute(
    text: &str,
    variables: Variables,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<(String, bool), String> {
    let mut result = String::with_capacity(text.len());
    let mut found = false;
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$$") {
            result.push('$');
            rest = after;
        } else if let Some(after) = variable_start(rest, variables) {
            let Some((inner, after)) = after.split_once('}') else {
                return Err("`${env:` without its `}`".to_owned());
            };
            let (name, default) = match inner.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (inner, None),
            };
            let value = variable(name).or_else(|| default.map(str::to_owned));
            let Some(value) = value else {
                return Err(format!("the environment variable {name} is not set"));
            };
            result.push_str(&value);
            found = true;
            rest = after;
        } else {
            result.push('$');
            rest = &rest[1..];
        }
    }
    result.push_str(rest);
    Ok((result, found))
}

/// What comes after the start of a variable, if `text` begins with one.
fn variable_start(text: &str, variables: Variables) -> Option<&str> {
    if let Some(after) = text.strip_prefix("${env:") {
        return Some(after);
    }
    let after = text.strip_prefix("${").filter(|_| variables == Variables::Short)?;
    let (inner, _) = after.split_once('}')?;
    let name = inner.split_once(":-").map_or(inner, |(name, _)| name);
    let is_name = !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    is_name.then_some(after)
}
