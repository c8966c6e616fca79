//! What was read well and is probably not meant: policies that can never match, that have no
//! effect beside others, or that keep everything; waits and budgets that do not fit; attributes
//! by names that are out of date, or that no span has.
//!
//! Knows nothing of traces: warns only of what follows from the file itself.

mod attributes;
mod budgets;
mod conventions;
mod effect;
mod scalars;

use std::time::Duration;

use super::PolicyFile;
use super::diagnostics::Place;
use super::document::Node;
use super::policies::Placed;
use super::values;
use crate::options::{self, Context};
use crate::sampling::ottl;
use crate::sampling::policy::spec::{Asks, PolicyKind, PolicySpec, StringAttribute};

pub(super) use scalars::lint as scalars;

/// Spans that ended longer ago than 30 s are ignored by Tempo's metrics-generator; from here on
/// the way through Kafka and the exporter is too long.
const LONG_WAIT: Duration = Duration::from_secs(25);

/// What all lints share.
#[derive(Clone, Copy)]
struct Lint<'d> {
    context: &'d Context<'d>,
}

impl Lint<'_> {
    fn warn(&self, place: Place, message: impl Into<String>, help: &str) {
        self.context.warnings.add(place, message, Some(help.to_owned()));
    }
}

/// Warns of what is found in the options of `file`, which stand in `root`, and in its policies.
pub(super) fn lint(file: &PolicyFile, root: &Node, policies: &[Placed<'_>], context: &Context<'_>) {
    let lint = Lint { context };
    long_wait(&lint, file, root);
    effect::lint(&lint, policies);
    for Placed { spec, node } in policies {
        walk(spec, node, &mut |spec, node| {
            budgets::lint(&lint, spec, node);
            mistyped(&lint, spec, node);
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
    let PolicyKind::StringAttribute(StringAttribute { key, enabled_regex_matching, .. }) =
        &spec.kind
    else {
        return;
    };
    let Some(list) = below(spec, node, "values") else {
        return;
    };
    for value in options::items(list, lint.context).iter() {
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
    let (option, parts) = spec.kind.parts();
    let nodes = below(spec, node, option).map_or(&[][..], values::items);
    // They are asked in an order of their own.
    if let PolicyKind::Composite(_) = spec.kind {
        let of = |part: &'s PolicySpec| {
            nodes.iter().find(|node| is_named(node, &part.name)).map(|node| (part, node))
        };
        return parts.into_iter().filter_map(of).collect();
    }
    parts.into_iter().zip(nodes).collect()
}

/// What stands under an option of a policy's type.
fn below<'d>(spec: &PolicySpec, node: &'d Node, option: &str) -> Option<&'d Node> {
    node.get(spec.kind.type_name())?.get(option)
}

/// The conditions of a policy, each with its node.
fn conditions<'s, 'd>(
    spec: &'s PolicySpec,
    node: &'d Node,
) -> Vec<(&'d Node, &'s str, ottl::Context)> {
    let mut found = Vec::new();
    for asks in spec.kind.asks() {
        let Asks::Conditions { option, context, texts } = asks else { continue };
        let nodes = below(spec, node, option).map_or(&[][..], values::items);
        let each = nodes.iter().zip(texts);
        found.extend(each.map(|(node, text)| (node, text.as_str(), context)));
    }
    found
}

/// Comparisons in conditions that no span can make true, whatever it holds: a text with a number, a
/// duration with a number.
fn mistyped(lint: &Lint<'_>, spec: &PolicySpec, node: &Node) {
    for (node, text, context) in conditions(spec, node) {
        // Of a file that was taken, and apart there is no bound that only some scopes have.
        let Ok(condition) = ottl::compile_apart(text, context) else { continue };
        for found in condition.mistyped() {
            let range = found.offset..found.offset + found.length;
            let place = lint.context.place_within(node, range);
            let help =
                found.help.as_deref().unwrap_or("docs/policies.md has the types, section OTTL");
            lint.warn(place, found.message, help);
        }
    }
}

fn is_named(node: &Node, name: &str) -> bool {
    node.get("name").and_then(|node| values::text(node).ok()).is_some_and(|text| text == name)
}

#[cfg(test)]
mod tests;
