//! A YAML file as a tree that knows where everything stands.
//!
//! Owns the texts that values came from: the file, and the files that its variables name. Variables
//! are put into scalars after parsing, so that a value cannot change the structure around it.

mod parse;
mod variables;

use std::borrow::Cow;
use std::sync::Arc;

use super::diagnostics::{Diagnostics, Problem, Source};
use crate::options::Context;
use parse::{Parsed, Where, parse};
use variables::Expander;

pub(super) use self::parse::holds_secrets;
pub(super) use crate::options::{Entry, Node, Value};

/// A parsed file.
#[derive(Clone, Debug)]
pub(super) struct Document {
    /// The file, then those that its variables name.
    sources: Vec<Source>,
    pub(super) root: Node,
    /// What is wrong with it besides what its values mean.
    pub(super) problems: Vec<Problem>,
    /// What variables held.
    retrieved: Vec<String>,
    /// Variables are errors: whoever wrote the file may not read this machine's variables and files.
    is_closed: bool,
}

/// A part of the text of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part<'t> {
    pub(super) text: Cow<'t, str>,
    /// Lines of the file above it.
    pub(super) above: usize,
}

impl Document {
    /// Parses `text` and puts in what its variables hold; `name` is what errors call the file, and
    /// paths in it are relative to where that is.
    pub(super) fn parse(name: &str, text: &str) -> Result<Self, Diagnostics> {
        let mut document = Self::parse_alone(name, text)?;
        document.substitute(&[]);
        Ok(document)
    }

    /// Parses `text` and leaves its variables as they are.
    pub(super) fn parse_alone(name: &str, text: &str) -> Result<Self, Diagnostics> {
        let part = Part { text: Cow::Borrowed(text), above: 0 };
        Self::parse_part(name, &text.into(), &part)
    }

    /// Parses a part of `text`; all that is in it keeps its place.
    pub(super) fn parse_part(
        name: &str,
        text: &Arc<str>,
        part: &Part<'_>,
    ) -> Result<Self, Diagnostics> {
        let mut source = Source::new(name, Arc::clone(text));
        match parse(&part.text, Where::Source { number: 0, above: part.above }, false) {
            Ok(Parsed { root, problems, secret_lines }) => {
                source.secret_lines = secret_lines;
                let (sources, retrieved) = (vec![source], Vec::new());
                Ok(Self { sources, root, problems, retrieved, is_closed: false })
            }
            Err(problem) => Err(Diagnostics::new(&[source], vec![problem])),
        }
    }

    /// Parses lines of the file that are a text to YAML.
    pub(super) fn parse_inner(&mut self, lines: &Part<'_>) -> Result<Node, Problem> {
        let at = Where::Source { number: 0, above: lines.above };
        let parsed = parse(&lines.text, at, false)?;
        self.sources[0].secret_lines.extend(parsed.secret_lines);
        self.problems.extend(parsed.problems);
        Ok(parsed.root)
    }

    /// Parses a text that stands in the file in another form than it is read, as a source of its
    /// own.
    pub(super) fn parse_text(&mut self, name: &str, text: &str) -> Result<Node, Problem> {
        let mut source = Source::new(name, text);
        let parsed = parse(text, Where::Source { number: self.sources.len(), above: 0 }, false);
        if let Ok(parsed) = &parsed {
            source.secret_lines.clone_from(&parsed.secret_lines);
        }
        self.sources.push(source);
        let parsed = parsed?;
        self.problems.extend(parsed.problems);
        Ok(parsed.root)
    }

    /// From now on variables are not filled in: each is an error.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    /// Puts what variables hold into the values below `path`.
    pub(super) fn substitute(&mut self, path: &[String]) {
        self.expand(path, |expander, node, is_secret| expander.below(node, is_secret));
    }

    /// Where the value at `path` is a variable that holds a list or a section, puts that in its
    /// place, and leaves the variables in it as they are.
    pub(super) fn open(&mut self, path: &[String]) {
        self.expand(path, |expander, node, is_secret| expander.open(node, is_secret));
    }

    fn expand(&mut self, path: &[String], expand: impl FnOnce(&mut Expander<'_>, &mut Node, bool)) {
        let (mut node, mut is_secret) = (&mut self.root, false);
        for key in path {
            let Value::Map(entries) = &mut node.value else { return };
            let entry = entries.iter_mut().find(|entry| entry.key == *key);
            let Some(entry) = entry else { return };
            is_secret |= parse::holds_secrets(key);
            node = &mut entry.node;
        }
        let variable = |name: &str| std::env::var(name).ok();
        let mut expander = Expander::new(&variable, &mut self.sources, &mut self.problems);
        expander.is_closed = self.is_closed;
        expand(&mut expander, node, is_secret);
        self.retrieved.append(&mut expander.retrieved);
    }

    /// What readers of this file share.
    pub(super) fn context(&self) -> Context<'_> {
        let texts = self.sources.iter().map(|source| &*source.text).collect();
        Context { texts, ..Context::default() }
    }

    /// Everything that the settings were made of, piece by piece: the text of the file, and what
    /// its variables held.
    pub(super) fn contents(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&*self.sources[0].text).chain(self.retrieved.iter().map(String::as_str))
    }

    /// What errors call the file.
    pub(super) fn name(&self) -> &str {
        self.sources.first().map_or("", |source| &source.name)
    }

    /// Problems with this file's name and excerpts.
    pub(super) fn diagnostics(&self, problems: Vec<Problem>) -> Diagnostics {
        Diagnostics::new(&self.sources, problems)
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

#[cfg(test)]
mod tests;
