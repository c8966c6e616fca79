//! What was read well and is probably not meant: policies that can never match, that have no
//! effect beside others, or that keep everything; waits and budgets that do not fit; attributes
//! by names that are out of date, or that no span has.
//!
//! Knows nothing of traces: only what follows from the file itself is said.

mod attributes;
mod budgets;
mod conventions;
mod effect;
mod scalars;
mod types;
mod verdict;

use std::time::Duration;

use super::PolicyFile;
use super::diagnostics::Place;
use super::document::{Document, Node};
use super::policies::Placed;
use super::reader::Problems;
use super::values;
use crate::sampling::policy::spec::{PolicyKind, PolicySpec};

pub(super) use scalars::lint as scalars;

/// Spans that ended longer ago than 30 s are ignored by Tempo's metrics-generator; from here on
/// the way through Kafka and the exporter is too long.
const LONG_WAIT: Duration = Duration::from_secs(25);

/// What all lints share.
#[derive(Clone, Copy)]
struct Lint<'d> {
    document: &'d Document,
    warnings: &'d Problems,
}

impl Lint<'_> {
    fn warn(&self, place: Place, message: impl Into<String>, help: &str) {
        self.warnings.add(place, message, Some(help.to_owned()));
    }
}

/// Warns of what is found in the options of `file`, which stand in `root`, and in its policies.
pub(super) fn lint(
    file: &PolicyFile,
    root: &Node,
    policies: &[Placed<'_>],
    document: &Document,
    warnings: &Problems,
) {
    let lint = Lint { document, warnings };
    long_wait(&lint, file, root);
    effect::lint(&lint, policies);
    for Placed { spec, node } in policies {
        walk(spec, node, &mut |spec, node| {
            budgets::lint(&lint, spec, node);
            types::lint(&lint, spec, node);
            empty_values(&lint, spec, node);
        });
    }
    let named = conventions::named(&lint, policies);
    conventions::lint(&lint, &named);
    attributes::lint(&lint, policies, &named);
}

fn long_wait(lint: &Lint<'_>, file: &PolicyFile, root: &Node) {
    let Some(node) = root.get("decision_wait") else { return };
    if file.decision_wait >= LONG_WAIT {
        let wait = humantime::format_duration(file.decision_wait);
        let message = format!(
            "decision_wait: {wait} is long for Tempo: its metrics-generator ignores spans that \
             ended more than 30s ago"
        );
        let help = "stay below 25s, or raise metrics_generator.metrics_ingestion_time_range_slack in Tempo";
        lint.warn(node.place, message, help);
    }
}

/// Texts without anything in them.
fn empty_values(lint: &Lint<'_>, spec: &PolicySpec, node: &Node) {
    let PolicyKind::StringAttribute { key, enabled_regex_matching, .. } = &spec.kind else {
        return;
    };
    let Some(list) = node.get("string_attribute").and_then(|block| block.get("values")) else {
        return;
    };
    for value in values::items(list) {
        if !values::text(value).is_ok_and(|text| text.is_empty()) {
            continue;
        }
        if *enabled_regex_matching {
            let of = attribute(node, spec, key);
            let message = format!("values: the empty expression matches every value of {of}");
            lint.warn(value.place, message, "`^$` matches the empty value only");
        } else {
            let of = attribute(node, spec, key);
            let message = format!(
                "values: the empty text matches where {of} is empty, not where it is missing"
            );
            lint.warn(value.place, message, "leave it out, unless that is meant");
        }
    }
}

/// What to call the attribute `key` that a policy asks for; what a variable holds is not repeated.
fn attribute(node: &Node, spec: &PolicySpec, key: &str) -> String {
    let is_hidden = node.find(&format!("{}.key", spec.kind.type_name())).from_env;
    if is_hidden { "its attribute".to_owned() } else { format!("`{key}`") }
}

/// Calls `visit` for a policy and all policies in it, each with its node.
fn walk(spec: &PolicySpec, node: &Node, visit: &mut impl FnMut(&PolicySpec, &Node)) {
    visit(spec, node);
    for (spec, node) in parts(spec, node) {
        walk(spec, node, visit);
    }
}

/// The policies that a policy is made of, each with its node.
fn parts<'s, 'd>(spec: &'s PolicySpec, node: &'d Node) -> Vec<(&'s PolicySpec, &'d Node)> {
    let kind = spec.kind.type_name();
    let below = |key: &str| node.get(kind).and_then(|block| block.get(key));
    let items = |key: &str| below(key).map_or(&[][..], values::items);
    match &spec.kind {
        PolicyKind::And(all) => all.iter().zip(items("and_sub_policy")).collect(),
        PolicyKind::Drop(all) => all.iter().zip(items("drop_sub_policy")).collect(),
        PolicyKind::Not(negated) => {
            below("not_sub_policy").map(|node| (&**negated, node)).into_iter().collect()
        }
        PolicyKind::Composite { children, .. } => {
            let nodes = items("composite_sub_policy");
            let of = |name: &str| nodes.iter().find(|node| is_named(node, name));
            let child = |policy: &'s PolicySpec| of(&policy.name).map(|node| (policy, node));
            children.iter().filter_map(|it| child(&it.policy)).collect()
        }
        _ => Vec::new(),
    }
}

fn is_named(node: &Node, name: &str) -> bool {
    node.get("name").and_then(|node| values::text(node).ok()).is_some_and(|text| text == name)
}

#[cfg(test)]
mod tests;
