//! The policy file: the language of the Collector's `tail_sampling` processor.
//!
//! Owns the way from the tree of a file to checked policies: where in the file they stand
//! ([`form`]), the options around them ([`options`]), lists of policies ([`list`]), their types
//! ([`kinds`], [`combined`]) and the texts in them that have a language of their own ([`texts`]).
//! Every error is told, with its place; what cannot be compiled is an error, too.

mod combined;
mod form;
mod kinds;
mod list;
mod lists;
mod options;
mod pipelines;
mod texts;

use super::diagnostics::Problem;
use super::document::{Document, Node, Value};
use super::locate::Found;
use super::reader::{Problems, Section};
use super::{PolicyFile, Surroundings, lint};
use crate::fnv;
use crate::sampling::policy;
use crate::sampling::policy::spec::PolicySpec;

pub(super) use form::{Form, is_policy_file, is_processor_name};
#[cfg(test)]
pub(super) use list::TYPES;

/// What reading a file came to.
#[derive(Debug)]
pub(super) struct Reading {
    /// Complete only if there are no errors.
    pub(super) file: PolicyFile,
    pub(super) errors: Vec<Problem>,
    /// What was read well and is probably not meant.
    pub(super) warnings: Vec<Problem>,
    /// What was read and has no meaning here.
    pub(super) notes: Vec<Problem>,
    /// How the file holds its policies.
    pub(super) form: Form,
}

/// What all readers of a file share.
#[derive(Clone, Copy)]
struct Reader<'d> {
    document: &'d Document,
    form: Form,
    /// Those that policies may name; `None`: it is not known which there are.
    exporters: Option<&'d [String]>,
    problems: &'d Problems,
    warnings: &'d Problems,
    notes: &'d Problems,
}

impl Reader<'_> {
    /// Notes are given once each.
    fn note(&self, node: &Node, message: impl Into<String>) {
        let message = message.into();
        if !self.notes.has(&message) {
            self.notes.add(node.place, message, None);
        }
    }
}

/// A policy that was read, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Placed<'d> {
    pub(super) spec: PolicySpec,
    pub(super) node: &'d Node,
}

/// Reads a policy file; `found` says where in the file it was, if there is more around it.
pub(super) fn read(
    document: &mut Document,
    found: Option<&Found>,
    surroundings: &Surroundings,
) -> Reading {
    let problems = Problems::default();
    let (warnings, notes) = (Problems::default(), Problems::default());
    if let Some(Problem { place, message, .. }) = found.map(Found::note) {
        notes.add(place, message, None);
    }
    form::open(document);
    let told = form::Told { problems: &problems, warnings: &warnings, notes: &notes };
    let block = form::find(document, surroundings.processor.as_deref(), told);
    block.substitute(document);
    let mut of_values = lists_of_texts(&block, document);
    let form = block.form;
    let mut file = PolicyFile { hash: hash(document.contents()), ..PolicyFile::default() };
    let node = block.node(document);
    if let Some(node) = node.filter(|node| !is_section(node)) {
        Section::new(node, &problems);
    } else if let Some(node) = node {
        let reader = Reader {
            document,
            form,
            exporters: surroundings.exporters.as_deref(),
            problems: &problems,
            warnings: &warnings,
            notes: &notes,
        };
        let placed = policy_file(&reader, node, &mut file);
        lint::lint(&file, node, &placed, document, &warnings);
        file.policies = placed.into_iter().map(|placed| placed.spec).collect();
    }
    let errors = document.all_problems(problems.into_inner());
    let (mut warnings, notes) = (warnings.into_inner(), notes.into_inner());
    warnings.append(&mut of_values);
    warnings.extend(block.node(document).map(lint::scalars).unwrap_or_default());
    file.notes = notes.iter().map(|note| note.message.clone()).collect();
    file.warnings = document.diagnostics(warnings.clone()).lines();
    Reading { file, errors, warnings, notes, form }
}

fn is_section(node: &Node) -> bool {
    matches!(node.value, Value::Map(_) | Value::Null)
}

/// Makes lists of texts that the Collector takes for lists; returns what is to be said of them.
fn lists_of_texts(block: &form::Block, document: &mut Document) -> Vec<Problem> {
    let mut warnings = Vec::new();
    if let Some(mut node) = block.node(document).cloned() {
        lists::split(document, &mut node, &mut warnings);
        block.replace(document, node);
    }
    warnings
}

fn policy_file<'d>(reader: &Reader<'d>, node: &'d Node, file: &mut PolicyFile) -> Vec<Placed<'d>> {
    let mut root = Section::new(node, reader.problems);
    options::read(reader, &mut root, file);
    let list = root.required("policies", "[{name: everything, type: always_sample}]", Ok);
    root.finish();
    let Some(list) = list else { return Vec::new() };
    let before = reader.problems.len();
    let placed = list::top_level(reader, list);
    let specs: Vec<PolicySpec> = placed.iter().map(|placed| placed.spec.clone()).collect();
    // What only their number makes impossible.
    if reader.problems.len() == before
        && let Err(error) = policy::compile(&specs)
    {
        reader.problems.add(list.place, error.to_string(), None);
    }
    placed
}

/// Names the contents of a file and of its variables, alike in every build.
fn hash<'t>(contents: impl Iterator<Item = &'t str>) -> String {
    let bytes = contents.enumerate().flat_map(|(number, text)| {
        // Texts do not have this byte, so it parts them.
        let parting = (number > 0).then_some(0xff);
        parting.into_iter().chain(text.bytes())
    });
    format!("{:016x}", fnv::hash_64(bytes))
}

#[cfg(test)]
mod tests;
