//! Where a file holds its policies, if that is inside of something else: Helm values, an
//! OpenTelemetryCollector resource, a ConfigMap, one of several documents.
//!
//! Looks for a Collector configuration with a `tail_sampling` processor, or a policy file, whatever
//! is around it, also in texts. Promises that places go on pointing into the user's file.

mod cut;

use std::sync::Arc;

use super::diagnostics::{Diagnostics, Place, Problem, Source};
use super::document::{Document, Node, Value};
use super::policies::{is_policy_file, is_processor_name};

/// Sections in one another that are looked into. Umbrella charts and lists of resources have few.
const MAX_LEVELS: usize = 12;

/// A document with policies in it as its root, and what there is to say of where they were found.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) document: Document,
    /// `None`: the file is nothing but what is looked for.
    pub(super) found: Option<Found>,
}

/// Where policies were found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// For people: `spec.config`.
    path: String,
    place: Place,
}

impl Found {
    /// What to say of it.
    pub(super) fn note(&self) -> Problem {
        let message =
            format!("the policies under `{}` are read, and nothing around them", self.path);
        Problem { place: self.place, message, help: None }
    }
}

/// Parses a file and makes what holds its policies the root. If there are none, the file is left
/// as it is.
///
/// # Errors
/// That it is no YAML, or that there are several such places.
pub(super) fn parse(name: &str, text: &str) -> Result<Located, Diagnostics> {
    let documents = cut::documents(text).map_err(|line| too_many(name, text, line))?;
    let whole: Arc<str> = text.into();
    match documents.as_slice() {
        [] => return locate(Document::parse_alone(name, text)?, name, text),
        [only] => return locate(Document::parse_part(name, &whole, only)?, name, text),
        _ => {}
    }
    let mut others = Vec::new();
    let mut with_policies = Vec::new();
    let mut broken = None;
    for part in &documents {
        match Document::parse_part(name, &whole, part) {
            Ok(document) if matches!(document.root.value, Value::Null) => {}
            Ok(document) => {
                let line = document.root.place.line;
                let located = locate(document, name, text)?;
                let has_policies = located.found.is_some() || is_whole(&located.document.root);
                if has_policies { &mut with_policies } else { &mut others }.push((line, located));
            }
            // Templates among resources are no YAML, and of no interest.
            Err(errors) => broken = broken.or(Some(errors)),
        }
    }
    let mut all = if with_policies.is_empty() { others } else { with_policies };
    if all.len() > 1 {
        let lines: Vec<String> = all.iter().map(|(line, _)| line.to_string()).collect();
        let message =
            format!("there is more than one document in the file, in lines {}", lines.join(", "));
        let help = "only one can be read: put it into a file of its own";
        let place = all.last().map(|(_, it)| it.document.root.place).unwrap_or_default();
        let problem = Problem { place, message, help: Some(help.to_owned()) };
        return Err(all.swap_remove(0).1.document.diagnostics(vec![problem]));
    }
    match (all.pop(), broken) {
        (Some((_, located)), None) => Ok(located),
        (Some((_, located)), Some(_)) if is_whole(&located.document.root) => Ok(located),
        (_, Some(errors)) => Err(errors),
        (None, None) => Ok(Located { document: Document::parse_alone(name, "")?, found: None }),
    }
}

fn too_many(name: &str, text: &str, line: usize) -> Diagnostics {
    let message = format!("there are more than {} documents in the file", cut::MAX_DOCUMENTS);
    let help = Some("put the one with the policies into a file of its own".to_owned());
    let place = Place { line, column: 1, length: 3, source: 0 };
    Diagnostics::new(&[Source::new(name, text)], vec![Problem { place, message, help }])
}

/// True if a file with this root can be read as it is.
fn is_whole(root: &Node) -> bool {
    is_policy_file(root) || root.get("policies").is_some() || root.get("tests").is_some()
}

fn locate(mut document: Document, name: &str, text: &str) -> Result<Located, Diagnostics> {
    if is_whole(&document.root) {
        return Ok(Located { document, found: None });
    }
    let mut search = Search { name, text, document: &mut document, hits: Vec::new(), broken: None };
    let root = search.document.root.clone();
    search.node(&root, "", 0);
    let Search { mut hits, broken, .. } = search;
    if hits.len() > 1 {
        let message = format!("policies stand in {} places of the file", hits.len());
        let paths: Vec<String> = hits
            .iter()
            .map(|(found, _)| format!("`{}` (line {})", found.path, found.place.line))
            .collect();
        let help =
            format!("{}: put the one that is meant into a file of its own", paths.join(", "));
        let problem = Problem { place: hits[0].0.place, message, help: Some(help) };
        return Err(document.diagnostics(vec![problem]));
    }
    match (hits.pop(), broken) {
        (Some((found, root)), _) => {
            document.root = root;
            Ok(Located { document, found: Some(found) })
        }
        (None, Some(problem)) => Err(document.diagnostics(vec![problem])),
        (None, None) => Ok(Located { document, found: None }),
    }
}

/// The places found so far.
struct Search<'d> {
    name: &'d str,
    text: &'d str,
    document: &'d mut Document,
    hits: Vec<(Found, Node)>,
    /// A text that would have been read if it could be parsed.
    broken: Option<Problem>,
}

impl Search<'_> {
    fn node(&mut self, node: &Node, path: &str, level: usize) {
        if level > MAX_LEVELS {
            return;
        }
        let below = |key: &str| match path {
            "" => key.to_owned(),
            _ => format!("{path}.{key}"),
        };
        match &node.value {
            Value::Map(entries) => {
                if level > 0 && holds_processor(node) {
                    self.hit(node.place, path, node.clone());
                    return;
                }
                for entry in entries {
                    self.node(&entry.node, &below(&entry.key), level + 1);
                }
            }
            Value::List(items) => {
                for (number, item) in items.iter().enumerate() {
                    self.node(item, &format!("{path}[{number}]"), level + 1);
                }
            }
            Value::Text(text) => self.text(node, text, path, level),
            _ => {}
        }
    }

    /// A text that may be a file in a file.
    fn text(&mut self, node: &Node, text: &str, path: &str, level: usize) {
        let is_file = text.contains("policies") || text.contains("tail_sampling");
        if !is_file || !text.contains(['\n', '{']) {
            return;
        }
        let parsed = match cut::block(self.text, node.place, text) {
            Some(lines) => self.document.parse_inner(&lines),
            None => self.document.parse_text(&format!("{} ({path})", self.name), text),
        };
        match parsed {
            Ok(root) if is_policy_file(&root) => self.hit(node.place, path, root),
            Ok(root) if !matches!(root.value, Value::Text(_)) => self.node(&root, path, level + 1),
            Ok(_) => {}
            Err(problem) if text.contains("tail_sampling") => self.broken = Some(problem),
            Err(_) => {}
        }
    }

    fn hit(&mut self, place: Place, path: &str, root: Node) {
        self.hits.push((Found { path: path.to_owned(), place }, root));
    }
}

/// True if a section is a Collector configuration with a `tail_sampling` processor, or part of one.
fn holds_processor(node: &Node) -> bool {
    let has_processor = |node: &Node| match &node.value {
        Value::Map(entries) => entries.iter().any(|entry| is_processor_name(&entry.key)),
        // What is in it is not known yet.
        Value::Text(text) => text.starts_with("${"),
        _ => false,
    };
    let is_block = matches!(node.value, Value::Map(_)) && has_processor(node);
    node.get("processors").is_some_and(has_processor) || is_block
}
