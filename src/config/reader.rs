//! Reading of a section, key by key, so that every error is found and none hides another.

use std::cell::RefCell;

use super::diagnostics::{Place, Problem};
use super::document::{Entry, Node, Value};
use super::values;

pub(super) use crate::options::nearest;

/// What is wrong so far.
#[derive(Debug, Default)]
pub(super) struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    pub(super) fn add(&self, place: Place, message: impl Into<String>, help: Option<String>) {
        self.0.borrow_mut().push(Problem { place, message: message.into(), help });
    }

    /// True if a problem with this message is there already.
    pub(super) fn has(&self, message: &str) -> bool {
        self.0.borrow().iter().any(|problem| problem.message == message)
    }

    /// How much is wrong.
    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// What is wrong.
    pub(super) fn into_inner(self) -> Vec<Problem> {
        self.0.into_inner()
    }
}

/// A section that is being read. What is left unread at the end is unknown.
#[derive(Debug)]
pub(super) struct Section<'d> {
    pub(super) place: Place,
    entries: &'d [Entry],
    /// False for what should have been a section: that its keys are missing goes without saying.
    is_section: bool,
    known: Vec<&'static str>,
    problems: &'d Problems,
}

impl<'d> Section<'d> {
    /// `node` as a section; anything else is a problem and reads as an empty one.
    pub(super) fn new(node: &'d Node, problems: &'d Problems) -> Self {
        let (entries, is_section): (&[Entry], bool) = match &node.value {
            Value::Map(entries) => (entries, true),
            Value::Null => (&[], true),
            _ => {
                let message = format!("expected a section with keys, found {}", node.kind());
                problems.add(node.place, message, None);
                (&[], false)
            }
        };
        Self { place: node.place, entries, is_section, known: Vec::new(), problems }
    }

    /// The value of `key`, if it is there; an empty value is none. What a variable holds may be a
    /// text that YAML takes for nothing.
    pub(super) fn node(&mut self, key: &'static str) -> Option<&'d Node> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        let is_text = entry.node.written.as_ref().is_some_and(|written| !written.is_empty());
        (is_text || !matches!(entry.node.value, Value::Null)).then_some(&entry.node)
    }

    /// Reads `key`, if it is there.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&'d Node) -> Result<T, String>,
    ) -> Option<T> {
        let node = self.node(key)?;
        read(node).map_err(|message| self.refuse(key, node, message)).ok()
    }

    /// Reads `key` into `field`, which keeps its default if it is not there.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        field: &mut T,
        read: impl FnOnce(&'d Node) -> Result<T, String>,
    ) {
        if let Some(value) = self.optional(key, read) {
            *field = value;
        }
    }

    /// Reads `key`; that it is missing is a problem.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        example: &str,
        read: impl FnOnce(&'d Node) -> Result<T, String>,
    ) -> Option<T> {
        if self.node(key).is_none() {
            self.missing(key, example);
            return None;
        }
        self.optional(key, read)
    }

    /// Reads each item of the list `key`, which must be there; a single value is a list of one.
    pub(super) fn required_list<T>(
        &mut self,
        key: &'static str,
        example: &str,
        read: impl Fn(&'d Node) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let Some(node) = self.node(key) else {
            self.missing(key, example);
            return None;
        };
        let nodes = values::items(node);
        if nodes.is_empty() {
            let help = Some(format!("for example `{key}: {example}`"));
            self.problems.add(node.place, format!("{key}: must hold a value"), help);
            return None;
        }
        let items: Vec<Option<T>> = nodes
            .iter()
            .map(|node| read(node).map_err(|message| self.refuse(key, node, message)).ok())
            .collect();
        items.into_iter().collect()
    }

    fn refuse(&self, key: &str, node: &Node, message: String) {
        self.problems.add(node.place, format!("{key}: {}", values::told(node, message)), None);
    }

    fn missing(&self, key: &str, example: &str) {
        let entry = self.entries.iter().find(|entry| entry.key == key);
        if let Some(entry) = entry.filter(|entry| entry.node.from_env) {
            let message = format!("{key}: the variable is empty");
            let help = format!("for example `{example}`");
            self.problems.add(entry.node.place, message, Some(help));
        } else if self.is_section {
            let help = format!("for example `{key}: {example}`");
            self.problems.add(self.place, format!("`{key}` is missing"), Some(help));
        }
    }

    /// True if `key` is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// Something is wrong with the section as a whole.
    pub(super) fn problem(&self, message: &str, example: &str) {
        self.problems.add(self.place, message, Some(format!("for example `{example}`")));
    }

    /// The section `key`; an empty one if it is not there.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'d> {
        match self.node(key) {
            Some(node) => Section::new(node, self.problems),
            None => {
                let (place, problems) = (self.place, self.problems);
                Section { place, entries: &[], is_section: true, known: Vec::new(), problems }
            }
        }
    }

    /// Every key that has not been asked for is unknown.
    pub(super) fn finish(self) {
        for entry in self.entries {
            if !self.known.contains(&entry.key.as_str()) {
                let help = match nearest(&entry.key, &self.known) {
                    Some(name) if !entry.is_hidden() => format!("did you mean `{name}`?"),
                    _ => format!("known here: {}", self.known.join(", ")),
                };
                let message = match entry.is_hidden() {
                    true => "unknown key in what the variable holds".to_owned(),
                    false => format!("unknown key `{}`", entry.key),
                };
                self.problems.add(entry.place, message, Some(help));
            }
        }
    }
}
