//! The policy file: the language of the Collector's `tail_sampling` processor.
//!
//! Owns the way from the tree of a file to checked policies: where in the file they stand
//! ([`form`]) and the options around them ([`options`]). What a policy may hold is described where
//! its type is, in `sampling::policy`. Every error is told, with its place; what cannot be compiled
//! is an error, too.

mod form;
mod options;
mod pipelines;

use super::diagnostics::Problem;
use super::document::{Document, Node, Value};
use super::locate::Found;
use super::{PolicyFile, Surroundings, lint};
use crate::fnv;
use crate::options::{Context, Section};
use crate::sampling::policy;
use crate::sampling::policy::spec::PolicySpec;
use crate::sampling::policy::written::{self, Level};

pub(super) use form::{Form, is_policy_file, is_processor_name};
pub(super) use options::FileOptions;

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
    let looking = Context::default();
    if let Some(Problem { place, message, .. }) = found.map(Found::note) {
        looking.notes.add(place, message, None);
    }
    form::open(document);
    let block = form::find(document, surroundings.processor.as_deref(), &looking);
    block.substitute(document);
    let Context { problems, warnings, notes, .. } = looking;
    let form = block.form;
    let is_collectors = form != Form::Policies;
    let exporters = surroundings.exporters.as_deref();
    let context = document.context();
    let context = Context { is_collectors, exporters, problems, warnings, notes, ..context };
    let mut file = PolicyFile::default();
    if let Some(node) = block.node(document) {
        let section = Section::new(node, &context);
        if matches!(node.value, Value::Map(_) | Value::Null) {
            let options: FileOptions = section.read();
            options.enter(&mut file);
            let placed = node.get("policies").map_or(Vec::new(), |list| policies(list, &context));
            lint::lint(&file, node, &placed, &context);
            file.policies = placed.into_iter().map(|placed| placed.spec).collect();
            check_reopening(&file, node, surroundings, &context);
        }
    }
    let Context { problems, warnings, notes, .. } = context;
    let errors = document.all_problems(problems.into_inner());
    let (mut warnings, notes) = (warnings.into_inner(), notes.into_inner());
    warnings.extend(block.node(document).map(lint::scalars).unwrap_or_default());
    file.hash = hash(document.contents());
    file.notes = notes.iter().map(|note| note.message.clone()).collect();
    file.warnings = document.diagnostics(warnings.clone()).lines();
    Reading { file, errors, warnings, notes, form }
}

/// The policies of the file, those that could be read.
fn policies<'d>(list: &'d Node, context: &Context<'_>) -> Vec<Placed<'d>> {
    // That it is missing is told already.
    if matches!(list.value, Value::Null) {
        return Vec::new();
    }
    let before = context.problems.len();
    let help = "to keep everything: {name: everything, type: always_sample}";
    let message = "there are no policies, so every trace would be dropped";
    let nodes = written::nodes(list, context, message, help);
    let mut placed = Vec::with_capacity(nodes.len());
    for node in nodes {
        let Some(spec) = written::read(node, context, Level::Top) else { continue };
        // What else cannot be compiled is told policy by policy.
        if let Err(error) = policy::compile(std::slice::from_ref(&spec)) {
            context.problems.add(node.place, error.to_string(), None);
        }
        placed.push(Placed { spec, node });
    }
    let help = "metrics and attributes tell policies apart by their names";
    written::distinct(context, nodes, help);
    let specs: Vec<PolicySpec> = placed.iter().map(|placed| placed.spec.clone()).collect();
    // What only their number makes impossible.
    if context.problems.len() == before
        && let Err(error) = policy::compile(&specs)
    {
        context.problems.add(list.place, error.to_string(), None);
    }
    placed
}

/// Whether the policies that are to re-open traces can do that.
fn check_reopening(
    file: &PolicyFile,
    node: &Node,
    surroundings: &Surroundings,
    context: &Context<'_>,
) {
    let (Some(reopen), Some(node)) = (&file.reopen, node.get("reopen")) else { return };
    if surroundings.decision_log == Some(false) {
        let message = "`reopen` needs the decision log, which the static file switches off";
        let help = "leave `reopen` out, or `decision_log.enabled: false` of the static file";
        context.problems.add(node.place, message, Some(help.to_owned()));
    }
    // What is wrong with the policies themselves is told already.
    let Ok(set) = policy::compile(&file.policies) else { return };
    if let Err(error) = set.reopening(reopen) {
        let place = node.get("policies").map_or(node.place, |list| list.place);
        let help = "name policies that a single late span can convince: see docs/policies.md";
        context.problems.add(place, error.to_string(), Some(help.to_owned()));
    }
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
