//! Lists of policies, and what every policy has: a name, a type and perhaps a mode.

use super::super::diagnostics::Place;
use super::super::document::{Node, Value};
use super::super::reader::{Section, nearest};
use super::super::values;
use super::{Placed, Reader, combined, kinds};
use crate::sampling::policy;
use crate::sampling::policy::spec::{Mode, PolicyKind, PolicySpec};

/// Every policy type.
pub(in super::super) const TYPES: &[&str] = &[
    "always_sample",
    "status_code",
    "latency",
    "probabilistic",
    "string_attribute",
    "numeric_attribute",
    "boolean_attribute",
    "span_count",
    "trace_state",
    "trace_flags",
    "rate_limiting",
    "bytes_limiting",
    "ottl_condition",
    "and",
    "not",
    "drop",
    "composite",
    "rule",
];

/// Policies in one another.
const MAX_LEVELS: usize = 32;

const MODES: &[(&str, Mode, &str)] =
    &[("enforce", Mode::Enforce, ""), ("shadow", Mode::Shadow, "")];

/// Where a policy stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    /// 0 for the policies of the file.
    depth: usize,
    /// Without a name, a policy has that of its type.
    may_be_nameless: bool,
}

impl Level {
    const TOP: Self = Self { depth: 0, may_be_nameless: false };

    /// That of the policies inside of a policy of this one.
    pub(super) fn below(self) -> Self {
        Self { depth: self.depth + 1, may_be_nameless: true }
    }

    /// The same, where policies are referred to by their names.
    pub(super) fn by_name(self) -> Self {
        Self { may_be_nameless: false, ..self }
    }
}

/// The policies of the file.
pub(super) fn top_level<'d>(reader: &Reader<'d>, node: &'d Node) -> Vec<Placed<'d>> {
    let help = "to keep everything: {name: everything, type: always_sample}";
    let message = "there are no policies, so every trace would be dropped";
    let nodes = items(reader, node, message, help);
    let policies = policies(reader, nodes, Level::TOP);
    distinct(reader, nodes, "metrics and attributes tell policies apart by their names");
    policies
}

/// The nodes of a list of policies; that it is empty is a problem.
pub(super) fn items<'d>(
    reader: &Reader<'d>,
    node: &'d Node,
    empty: &str,
    help: &str,
) -> &'d [Node] {
    match &node.value {
        Value::List(nodes) if !nodes.is_empty() => nodes,
        Value::List(_) => {
            reader.problems.add(node.place, empty, Some(help.to_owned()));
            &[]
        }
        _ => {
            let message = format!("expected a list of policies, found {}", node.kind());
            reader.problems.add(node.place, message, None);
            &[]
        }
    }
}

/// Those of the policies that could be read.
pub(super) fn policies<'d>(
    reader: &Reader<'d>,
    nodes: &'d [Node],
    level: Level,
) -> Vec<Placed<'d>> {
    nodes.iter().filter_map(|node| policy(reader, node, level)).collect()
}

/// No two of the policies may have the same name, whatever else is wrong with them.
pub(super) fn distinct(reader: &Reader<'_>, nodes: &[Node], help: &str) {
    for (number, node) in nodes.iter().enumerate() {
        let Some((name, place)) = name(node) else { continue };
        let mut before = nodes[..number].iter().filter_map(self::name);
        if before.any(|(other, _)| other == name) {
            let message = format!("there are two policies named `{name}`");
            let message = values::told(node.find("name"), message);
            reader.problems.add(place, message, Some(help.to_owned()));
        }
    }
}

/// The name of a policy and where it stands, if it has one.
pub(super) fn name(policy: &Node) -> Option<(String, Place)> {
    let node = policy.get("name")?;
    values::name(node).ok().map(|name| (name, node.place))
}

/// One policy; `None` if it cannot be read.
pub(super) fn policy<'d>(reader: &Reader<'d>, node: &'d Node, level: Level) -> Option<Placed<'d>> {
    if level.depth >= MAX_LEVELS {
        let message = format!("policies stand in one another more than {MAX_LEVELS} levels deep");
        reader.problems.add(node.place, message, None);
        return None;
    }
    let before = reader.problems.len();
    let mut section = Section::new(node, reader.problems);
    let name = if level.may_be_nameless && section.node("name").is_none() {
        None
    } else {
        Some(section.required("name", "errors", values::name))
    };
    let kind = section.required("type", "status_code", policy_type);
    let mode = mode(reader, &mut section, level);
    let exporters = exporters(reader, &mut section, level, kind);
    let kind = match kind {
        Some(kind) => policy_kind(reader, kind, &mut section, level),
        None => {
            // What is wrong in its block is told all the same.
            let meant = TYPES.iter().find(|name| section.has(name));
            meant.map(|kind| policy_kind(reader, kind, &mut section, level));
            None
        }
    };
    section.finish();
    let name = match (name, &kind) {
        (Some(name), _) => name,
        (None, kind) => kind.as_ref().map(|kind| kind.type_name().to_owned()),
    };
    let spec = PolicySpec { name: name?, kind: kind?, mode, exporters };
    if level.depth == 0 {
        if reader.problems.len() > before {
            return None;
        }
        // What else cannot be compiled is told apart from the file's other errors, policy by
        // policy.
        if let Err(error) = policy::compile(std::slice::from_ref(&spec)) {
            reader.problems.add(node.place, error.to_string(), None);
        }
    }
    Some(Placed { spec, node })
}

/// The names of the exporters that a policy sends to; empty: all.
fn exporters<'d>(
    reader: &Reader<'d>,
    section: &mut Section<'d>,
    level: Level,
    kind: Option<&str>,
) -> Vec<String> {
    let Some(node) = section.node("exporters") else { return Vec::new() };
    if level.depth > 0 {
        let message = "`exporters` stands only at a policy at the top level of the file";
        let help = "give it to the policy that this one is a part of";
        reader.problems.add(node.place, message, Some(help.to_owned()));
        return Vec::new();
    }
    if kind == Some("drop") {
        let message = "`exporters` has no meaning here: what this policy matches is dropped";
        reader.problems.add(node.place, message, Some("leave it out".to_owned()));
    }
    let example = "[tempo]";
    let names = section.required_list("exporters", example, |node| exporter(reader, node));
    let mut names = names.unwrap_or_default();
    names.sort_unstable();
    names.dedup();
    names
}

fn exporter(reader: &Reader<'_>, node: &Node) -> Result<String, String> {
    let name = values::name(node)?;
    let Some(known) = reader.exporters else { return Ok(name) };
    if known.contains(&name) {
        return Ok(name);
    }
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let shown = values::shown(node);
    Err(match nearest(&name, &known) {
        Some(meant) => format!("{shown} is no exporter, did you mean `{meant}`?"),
        None => format!("{shown} is no exporter; the static file has {}", known.join(", ")),
    })
}

fn mode<'d>(reader: &Reader<'d>, section: &mut Section<'d>, level: Level) -> Mode {
    let Some(node) = section.node("mode") else { return Mode::Enforce };
    if level.depth > 0 {
        let message = "`mode` stands only at a policy at the top level of the file";
        let help = "give it to the policy that this one is a part of";
        reader.problems.add(node.place, message, Some(help.to_owned()));
        return Mode::Enforce;
    }
    section.optional("mode", values::choice(MODES)).unwrap_or_default()
}

fn policy_type(node: &Node) -> Result<&'static str, String> {
    let text = values::text(node)?;
    if let Some(known) = TYPES.iter().find(|name| **name == text) {
        return Ok(known);
    }
    let known = TYPES.join(", ");
    Err(match nearest(&text, TYPES) {
        Some(name) => format!("`{text}` is no policy type, did you mean `{name}`?"),
        None => format!("`{text}` is no policy type; there are {known}"),
    })
}

fn policy_kind<'d>(
    reader: &Reader<'d>,
    kind: &'static str,
    policy: &mut Section<'d>,
    level: Level,
) -> Option<PolicyKind> {
    let is_nested = level.depth > 0;
    if kind == "rule"
        && is_nested
        && let Some(node) = policy.node("type")
    {
        let message = "`rule` inside another policy: a rule ends the asking, so it stands only at \
                       the top level of the file";
        let help = "an `ottl_condition` asks the same question inside of other policies";
        reader.problems.add(node.place, message, Some(help.to_owned()));
    }
    let mut block = policy.section(kind);
    let read = match kind {
        "and" | "drop" | "not" | "composite" => {
            combined::kind(reader, kind, &mut block, level.below())
        }
        _ => kinds::kind(reader, kind, &mut block),
    };
    block.finish();
    read
}
