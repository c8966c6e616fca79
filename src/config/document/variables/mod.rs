//! Variables in values, as the Collector's confmap puts them in: `${NAME}`, `${env:NAME}`,
//! `${env:NAME:-default}`, `${file:PATH}`, `${yaml:TEXT}`; `$$` is a dollar sign.
//!
//! The innermost variable comes first, and what a variable holds may hold variables. A value that
//! is one variable and nothing else becomes what the variable holds, read as YAML: a number, a list,
//! a section; as text it stays how it is written there. Otherwise than in the Collector, a variable
//! that is not set is an error, and so is `${` without an end; files are looked for beside the file
//! that names them.
//!
//! What a variable holds is not repeated in errors.

mod text;

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::super::diagnostics::{Place, Problem, Source};
use super::super::{files, scalar};
use super::parse::{MAX_LEVELS, Parsed, Where, holds_secrets, parse};
use super::{Node, Value};
use text::{find, is_closed, is_name, plain_dollar};

/// Variables one after the other in one value; the Collector's bound.
const MAX_STEPS: usize = 1000;

/// Variables in all of a file. Lists of variables that hold lists of variables grow fast.
const MAX_VARIABLES: usize = 100_000;

/// The longest text with variables in it that a value may become.
const MAX_TEXT: usize = 1 << 20;

const EXISTING: &str = "there are ${env:NAME}, ${env:NAME:-default}, ${file:PATH} and \
                        ${yaml:TEXT}; a dollar sign itself is $$";

const NOT_SET: &str = "set it, or give a default: ${env:NAME:-default}; a dollar sign itself is $$";

const CLOSED: &str = "write what the variable stands for: a file that is sent to a member must not \
                      read the variables and files of its machine; a dollar sign itself is $$";

/// Stands for a variable that the file itself does not name.
const INSIDE: &str = "a variable in what a variable holds";

/// Stands for a file whose path, or a part of it, stands in a variable.
const NAMED_INSIDE: &str = "the file that a variable names";

/// What is wrong, and what to do.
type Failure = (String, String);

/// Puts what variables hold into nodes.
pub(super) struct Expander<'d> {
    variable: &'d dyn Fn(&str) -> Option<String>,
    sources: &'d mut Vec<Source>,
    problems: &'d mut Vec<Problem>,
    /// What variables held, one after the other.
    pub(super) retrieved: Vec<String>,
    /// How many lists and sections the node is in.
    level: usize,
    /// Nothing is put in: each variable is an error.
    pub(super) is_closed: bool,
}

/// What a text with variables came to.
#[derive(Debug)]
enum Expanded {
    Text(String),
    /// A list, a section, a number and so on, and the text that it was read from.
    Node(Value, String),
}

/// What a variable holds.
struct Content {
    text: String,
    /// It is text, whatever it looks like.
    is_text: bool,
    /// The file it was read from.
    file: Option<Named>,
}

/// A file that a variable names.
struct Named {
    path: PathBuf,
    /// What errors call it.
    shown: String,
}

/// What is replaced, and where it stands.
#[derive(Clone, Copy)]
struct Site {
    place: Place,
    is_secret: bool,
    /// All of it stands in a variable already.
    is_hidden: bool,
}

impl Site {
    fn of(node: &Node, is_secret: bool) -> Self {
        Self { place: node.place, is_secret, is_hidden: node.from_env }
    }
}

impl<'d> Expander<'d> {
    pub(super) fn new(
        variable: &'d dyn Fn(&str) -> Option<String>,
        sources: &'d mut Vec<Source>,
        problems: &'d mut Vec<Problem>,
    ) -> Self {
        Self { variable, sources, problems, retrieved: Vec::new(), level: 0, is_closed: false }
    }

    /// Puts in what the variables in `node` and below hold.
    pub(super) fn below(&mut self, node: &mut Node, is_secret: bool) {
        if matches!(node.value, Value::Text(_)) {
            self.text(node, is_secret);
        }
        // A list in a variable may hold itself.
        if self.level > MAX_LEVELS {
            return;
        }
        self.level += 1;
        match &mut node.value {
            Value::List(items) => {
                for item in items {
                    self.below(item, is_secret);
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    self.below(&mut entry.node, is_secret || holds_secrets(&entry.key));
                }
            }
            _ => {}
        }
        self.level -= 1;
    }

    #[inline(never)]
    fn text(&mut self, node: &mut Node, is_secret: bool) {
        self.open(node, is_secret);
        let Value::Text(text) = &node.value else {
            if self.level == MAX_LEVELS {
                let message = format!(
                    "lists and sections stand in one another more than {MAX_LEVELS} levels deep"
                );
                self.problems.push(Problem { place: node.place, message, help: None });
            }
            return;
        };
        if text.contains('$') {
            let dollar = plain_dollar(text).map(|range| self.within(node, range));
            node.plain_dollar = dollar.map(Box::new);
            self.scalar(node, is_secret);
        }
    }

    /// Puts in a list or a section where `node` is a variable that holds one; leaves the variables
    /// in it, and all else, as they are.
    pub(super) fn open(&mut self, node: &mut Node, is_secret: bool) {
        for _ in 0..MAX_STEPS {
            let Value::Text(text) = &node.value else { return };
            if find(text) != Some(0..text.len()) {
                return;
            }
            let (before, text) = (self.retrieved.len(), text.clone());
            let site = Site::of(node, is_secret);
            match self.expand(&text, site) {
                Ok(Expanded::Node(value @ (Value::List(_) | Value::Map(_)), written)) => {
                    let written = self.expand(&written, Site { is_hidden: true, ..site });
                    node.written = match written {
                        Ok(Expanded::Text(text)) => Some(text.into()),
                        _ => None,
                    };
                    node.value = value;
                    node.from_env = true;
                }
                // What is wrong with it is told when all of it is put in.
                _ => {
                    self.retrieved.truncate(before);
                    return;
                }
            }
        }
    }

    fn within(&self, node: &Node, range: Range<usize>) -> Place {
        let source = self.sources.get(node.place.source);
        let text = source.map_or("", |source| &source.text);
        scalar::place_within(text, node, range)
    }

    fn scalar(&mut self, node: &mut Node, is_secret: bool) {
        let Value::Text(text) = &node.value else { return };
        let had_variable = find(text).is_some();
        let text = text.clone();
        let expanded = match is_closed(&text) {
            true => self.expand(&text, Site::of(node, is_secret)),
            false => Err(("`${` without its `}`".to_owned(), EXISTING.to_owned())),
        };
        match expanded {
            Ok(Expanded::Text(text)) => node.value = Value::Text(text),
            Ok(Expanded::Node(value, written)) => {
                node.value = value;
                node.written = Some(written.replace("$$", "$").into());
            }
            Err((message, help)) => {
                self.problems.push(Problem { place: node.place, message, help: Some(help) });
            }
        }
        node.from_env |= had_variable;
    }

    /// Puts variables into a text until there are none in it.
    fn expand(&mut self, whole: &str, site: Site) -> Result<Expanded, Failure> {
        let mut text = whole.to_owned();
        for _ in 0..MAX_STEPS {
            let Some(range) = find(&text) else {
                return Ok(Expanded::Text(text.replace("$$", "$")));
            };
            if self.is_closed {
                let message = format!("`{}`: variables are not filled in here", &text[range]);
                return Err((message, CLOSED.to_owned()));
            }
            if self.retrieved.len() > MAX_VARIABLES {
                break;
            }
            if text.len() > MAX_TEXT {
                return Err(too_long());
            }
            let uri = &text[range.clone()];
            // What stands in a variable is not repeated.
            let shown = match whole.contains(uri) && !site.is_hidden {
                true => format!("`{uri}`"),
                false => INSIDE.to_owned(),
            };
            let content = self.retrieve(&text, &range, &shown, site.place)?;
            self.retrieved.push(content.text.clone());
            if range.len() < text.len() {
                text = replaced(&text, uri, &content.text).ok_or_else(too_long)?;
            } else if content.is_text {
                text = content.text;
            } else {
                match self.read(&content, site)? {
                    Some(value) => return Ok(Expanded::Node(value, content.text)),
                    None => text = content.text,
                }
            }
        }
        let help = "a variable must not hold itself".to_owned();
        Err(("its variables hold too many others".to_owned(), help))
    }

    /// What a variable holds, as YAML; `None` if that is text.
    fn read(&mut self, content: &Content, site: Site) -> Result<Option<Value>, Failure> {
        let is_secret = site.is_secret;
        let Some(file) = &content.file else {
            return Ok(match parse(&content.text, Where::Variable(site.place), is_secret) {
                Ok(Parsed { root: Node { value: Value::Text(_), .. }, .. }) | Err(_) => None,
                Ok(Parsed { root, problems, .. }) => {
                    self.problems.extend(problems);
                    Some(root.value)
                }
            });
        };
        let number = self.sources.len();
        match parse(&content.text, Where::Source { number, above: 0 }, is_secret) {
            Ok(Parsed { root: Node { value: Value::Text(_), .. }, .. }) => Ok(None),
            Ok(Parsed { root, problems, secret_lines }) => {
                self.problems.extend(problems);
                // Of a single value, the place is that of the variable.
                if matches!(root.value, Value::List(_) | Value::Map(_)) {
                    let folder = file.path.parent().map(Path::to_owned);
                    let source = Source::new(&file.shown, content.text.as_str());
                    self.sources.push(Source { secret_lines, folder, ..source });
                }
                Ok(Some(root.value))
            }
            // A token or a password may look like anything; it is not written in lines.
            Err(_) if !content.text.trim_end().contains('\n') => Ok(None),
            Err(problem) => {
                let Place { line, column, .. } = problem.place;
                let message = format!("{}:{line}:{column}: {}", file.shown, problem.message);
                Err((message, "the variable stands for what is in that file".to_owned()))
            }
        }
    }

    fn retrieve(
        &self,
        text: &str,
        range: &Range<usize>,
        shown: &str,
        at: Place,
    ) -> Result<Content, Failure> {
        let inner = &text[range.start + 2..range.end - 1];
        let unknown = |help: String| (format!("{shown} is not known"), help);
        let (scheme, rest) = match inner.split_once(':') {
            None => ("env", inner),
            Some((scheme, rest)) if matches!(scheme, "env" | "file" | "yaml") => (scheme, rest),
            Some((name, rest)) if is_name(name) && rest.starts_with('-') => {
                let message = format!("`${{{name}:-...}}` is not known");
                let help = format!(
                    "write ${{env:{name}:-...}}: a default needs the env:, as in the Collector"
                );
                let is_inside = shown == INSIDE;
                return Err(if is_inside { unknown(EXISTING.to_owned()) } else { (message, help) });
            }
            Some(_) => return Err(unknown(EXISTING.to_owned())),
        };
        if rest.contains('$') {
            let message = format!("{shown}: a variable or its default must not have a `$` in it");
            return Err((message, EXISTING.to_owned()));
        }
        match scheme {
            "file" => self.file(rest, shown, at),
            "yaml" => Ok(Content { text: rest.to_owned(), is_text: false, file: None }),
            _ => self.environment(rest, shown, &text[..range.start]),
        }
    }

    fn environment(&self, rest: &str, shown: &str, before: &str) -> Result<Content, Failure> {
        let (name, default) = match rest.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (rest, None),
        };
        if !is_name(name) {
            let message = format!(
                "{shown}: the name of an environment variable is made of letters, digits and _"
            );
            return Err((message, EXISTING.to_owned()));
        }
        if let Some(text) = (self.variable)(name) {
            return Ok(Content { text, is_text: false, file: None });
        }
        match default {
            // What is empty on purpose is a text without anything in it.
            Some(default) => {
                Ok(Content { text: default.to_owned(), is_text: default.is_empty(), file: None })
            }
            None if self.is_needless(before) => {
                Ok(Content { text: String::new(), is_text: true, file: None })
            }
            None => {
                let message = match shown == INSIDE {
                    true => format!("{shown} is not set"),
                    false => format!("the environment variable {name} is not set"),
                };
                Err((message, NOT_SET.to_owned()))
            }
        }
    }

    /// True if what comes after `before` is the default of a variable that is set.
    fn is_needless(&self, before: &str) -> bool {
        let Some(open) = before.rfind("${env:") else { return false };
        let outer = &before[open + "${env:".len()..];
        let name = outer.split_once(":-").map(|(name, _)| name);
        !outer.contains('}') && name.is_some_and(|name| (self.variable)(name).is_some())
    }

    fn file(&self, path: &str, shown: &str, at: Place) -> Result<Content, Failure> {
        let folder = self.sources.get(at.source).map_or(Path::new(""), Source::folder);
        let path = folder.join(path);
        let name = match shown == INSIDE {
            true => NAMED_INSIDE.to_owned(),
            false => path.display().to_string(),
        };
        let text = files::read(&path).map_err(|error| {
            let message = format!("{shown}: {name} cannot be read: {error}");
            (message, "a path is relative to the file that names it".to_owned())
        })?;
        Ok(Content { text, is_text: false, file: Some(Named { path, shown: name }) })
    }
}

/// `text` with `content` in the place of each `uri`, of which there is one at least; `None` if that
/// is longer than it may be.
fn replaced(text: &str, uri: &str, content: &str) -> Option<String> {
    let more = text.matches(uri).count().checked_mul(content.len())?;
    let is_fine = text.len().checked_add(more)? <= MAX_TEXT;
    is_fine.then(|| text.replace(uri, content))
}

fn too_long() -> Failure {
    let message = format!("with what its variables hold it is longer than {} MiB", MAX_TEXT >> 20);
    (message, "what is as long as that has to stand in one variable alone".to_owned())
}

#[cfg(test)]
mod tests;
