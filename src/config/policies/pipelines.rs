//! The pipelines of a Collector configuration: which processor they use, and what stands before it.

use super::super::diagnostics::Problem;
use super::super::document::{Entry, Node, Value};
use super::super::values;
use super::form::is_processor_name;
use crate::options::Problems;

/// Types of processors that leave spans as they are.
const WITHOUT_EFFECT: &[&str] = &["memory_limiter", "batch", "groupbytrace", "group_by_trace"];

/// The names of all pipelines.
pub(super) fn names(root: &Node) -> Vec<String> {
    let pipelines = root.get("service").and_then(|service| service.get("pipelines"));
    let Some(Value::Map(entries)) = pipelines.map(|node| &node.value) else { return Vec::new() };
    entries.iter().map(|entry| entry.key.clone()).collect()
}

/// The pipelines of traces, and their processors.
fn of_traces(root: &Node) -> Vec<(&Entry, Vec<(String, &Node)>)> {
    let pipelines = root.get("service").and_then(|service| service.get("pipelines"));
    let Some(Value::Map(entries)) = pipelines.map(|node| &node.value) else { return Vec::new() };
    let is_of_traces = |entry: &&Entry| entry.key == "traces" || entry.key.starts_with("traces/");
    entries.iter().filter(is_of_traces).map(|entry| (entry, processors(entry))).collect()
}

fn processors(pipeline: &Entry) -> Vec<(String, &Node)> {
    let list = pipeline.node.get("processors").map_or(&[][..], values::items);
    list.iter().filter_map(|node| values::text(node).ok().map(|name| (name, node))).collect()
}

/// The one of the `found` processors that the pipelines of traces use; `None` if they use none.
///
/// # Errors
/// That they use several.
pub(super) fn used<'d>(root: &Node, found: &[&'d str]) -> Result<Option<&'d str>, Problem> {
    let mut uses: Vec<(&str, &str, &Node)> = Vec::new();
    for (pipeline, processors) in of_traces(root) {
        for (name, node) in processors {
            let known = found.iter().find(|known| **known == name);
            if let Some(known) = known
                && uses.iter().all(|(other, ..)| other != known)
            {
                uses.push((known, &pipeline.key, node));
            }
        }
    }
    match uses.as_slice() {
        [] => Ok(None),
        [(one, ..)] => Ok(found.iter().find(|name| *name == one).copied()),
        [_, .., (_, _, last)] => {
            let each: Vec<String> = uses
                .iter()
                .map(|(name, pipeline, _)| format!("`{name}` in pipeline `{pipeline}`"))
                .collect();
            let message = format!("several processors are used: {}", each.join(", "));
            let help = "say which is meant: `--processor NAME`, in the static file \
                        `policies_processor: NAME`, in a file with tests `processor: NAME`";
            Err(Problem { place: last.place, message, help: Some(help.to_owned()) })
        }
    }
}

/// Warns of what is done to spans before the processor `chosen`, and, unless it `is_wanted`, if it
/// is in no pipeline.
pub(super) fn lint(root: &Node, chosen: &str, is_wanted: bool, warnings: &Problems) {
    let pipelines = of_traces(root);
    let mut is_used = false;
    let mut told: Vec<String> = Vec::new();
    for (_, processors) in &pipelines {
        let Some(at) = processors.iter().position(|(name, _)| name == chosen) else { continue };
        is_used = true;
        for (name, node) in &processors[..at] {
            if changes_spans(name) && !told.contains(name) {
                told.push(name.clone());
                let message = format!(
                    "`{name}` stands before `{chosen}` in the pipeline, and is not done any more: \
                     tailsieve reads the policies only"
                );
                let help = "do it in the Collectors that write to the topic, and take it out here";
                warnings.add(node.place, message, Some(help.to_owned()));
            }
        }
    }
    if !is_used && !is_wanted && !pipelines.is_empty() {
        let Some(node) = root.get("processors").and_then(|it| it.get(chosen)) else { return };
        let message = format!("no pipeline of traces uses `{chosen}`");
        let help = "the Collector would not run it: name the one that is meant, or take it out";
        warnings.add(node.place, message, Some(help.to_owned()));
    }
}

fn changes_spans(name: &str) -> bool {
    let kind = name.split_once('/').map_or(name, |(kind, _)| kind);
    !WITHOUT_EFFECT.contains(&kind) && !is_processor_name(name)
}
