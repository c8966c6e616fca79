//! How policies are written in files: lists of them, and what every policy has: a name, a type and
//! perhaps a mode.

use serde_json::{Value as Json, json};

use super::spec::{Mode, PolicySpec};
use super::types::PolicyKind;
use crate::options::{
    At, Context, Form, Node, Place, Schemas, Section, Value, choice, described, form, list, name,
    nearest, nullable, or_variable, values,
};

/// Policies in one another.
const MAX_LEVELS: usize = 32;

const OF_NAME: &str = "Its name, unique in the file; its metrics are labelled with it.";
const OF_MODE: &str = "Whether its votes count; enforce by default.";
const OF_EXPORTERS: &str = "The exporters that get what it keeps; all by default.";

/// Where a policy stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// It is a policy of the file.
    Top,
    /// It is a part of another one. Without a name, it has that of its type.
    Part,
    /// It is a part of another one that refers to it by its name.
    Child,
}

impl Level {
    /// What the schema calls a policy there, and what it is.
    fn definition(self) -> (&'static str, &'static str) {
        match self {
            Self::Top => ("Policy", "A policy."),
            Self::Part => ("Part", "A policy inside of another."),
            Self::Child => ("Child", "A policy inside of a composite one."),
        }
    }
}

/// One policy.
pub(super) fn policy(level: Level) -> Form<Box<PolicySpec>> {
    let read = move |node: &Node, at: At<'_>| read(node, at.context, level).map(Box::new);
    Form::new(read, move |schemas| or_variable(describe(schemas, level)))
}

/// A list of policies: those of them that can be read.
pub(super) fn policies(level: Level) -> Form<Vec<PolicySpec>> {
    let read = move |node: &Node, at: At<'_>| {
        let message = format!("{}: there are no policies", at.key);
        let help = format!("for example `{}: [{{name: errors, type: status_code, ...}}]`", at.key);
        let nodes = nodes(node, at.context, &message, &help);
        Some(nodes.iter().filter_map(|node| self::read(node, at.context, level)).collect())
    };
    Form::new(read, move |schemas| describe_list(schemas, level))
}

/// The schema of a list of policies.
pub(crate) fn describe_list(schemas: &mut Schemas, level: Level) -> Json {
    let policy = or_variable(describe(schemas, level));
    or_variable(json!({ "type": "array", "items": policy, "minItems": 1 }))
}

/// The nodes of a list of policies; that it is empty is a problem.
pub(crate) fn nodes<'d>(
    node: &'d Node,
    context: &Context<'_>,
    empty: &str,
    help: &str,
) -> &'d [Node] {
    match &node.value {
        Value::List(nodes) if !nodes.is_empty() => return nodes,
        Value::List(_) => context.problems.add(node.place, empty, Some(help.to_owned())),
        _ => {
            let message = format!("expected a list of policies, found {}", node.kind());
            context.problems.add(node.place, message, None);
        }
    }
    &[]
}

/// No two of the policies may have the same name, whatever else is wrong with them.
pub(crate) fn distinct(context: &Context<'_>, nodes: &[Node], help: &str) {
    for (number, node) in nodes.iter().enumerate() {
        let Some((name, place)) = name_of(node) else { continue };
        let mut before = nodes[..number].iter().filter_map(name_of);
        if before.any(|(other, _)| other == name) {
            let message = format!("there are two policies named `{name}`");
            let message = values::told(node.find("name"), message);
            context.problems.add(place, message, Some(help.to_owned()));
        }
    }
}

/// The name of a policy and where it stands, if it has one.
pub(super) fn name_of(policy: &Node) -> Option<(String, Place)> {
    let node = policy.get("name")?;
    values::name(node).ok().map(|name| (name, node.place))
}

/// One policy; `None` if it cannot be read.
pub(crate) fn read(node: &Node, context: &Context<'_>, level: Level) -> Option<PolicySpec> {
    let depth = context.depth.get();
    if depth >= MAX_LEVELS {
        let message = format!("policies stand in one another more than {MAX_LEVELS} levels deep");
        context.problems.add(node.place, message, None);
        return None;
    }
    let before = context.problems.len();
    let mut section = Section::new(node, context);
    let name = match level {
        Level::Top | Level::Child => {
            let name = section.take("name", OF_NAME, name().required("errors"));
            Some(name).filter(|name| !name.is_empty())
        }
        Level::Part => section.take("name", "", name().optional()),
    };
    let said = section.take("type", "", kind().required("status_code"));
    let mode = take_at_top(&mut section, level, "mode", choice()).unwrap_or_default();
    let exporters = list(form_of_exporters()).not_empty("[tempo]");
    let exporters = take_at_top(&mut section, level, "exporters", exporters);
    // What is wrong in its block is told, even if its type cannot be read.
    let meant = PolicyKind::NAMES.iter().find(|name| section.has(name)).copied();
    let kind = said.or(meant).map(|kind| {
        context.depth.set(depth + 1);
        let kind = PolicyKind::read(kind, section.block(kind));
        context.depth.set(depth);
        kind
    });
    if let Some(kind) = said.and(kind.as_ref()) {
        has_its_place(&section, level, kind);
    }
    section.finish();
    if level == Level::Top && context.problems.len() > before {
        return None;
    }
    let kind = said.and(kind)?;
    let name = match level {
        Level::Part => name.unwrap_or_else(|| kind.type_name().to_owned()),
        Level::Top | Level::Child => name?,
    };
    let mut exporters = exporters.unwrap_or_default();
    exporters.sort_unstable();
    exporters.dedup();
    Some(PolicySpec { name, kind, mode, exporters })
}

/// What only a policy of the file may have.
fn take_at_top<T: 'static>(
    section: &mut Section<'_>,
    level: Level,
    key: &'static str,
    form: Form<T>,
) -> Option<T> {
    if let Some(node) = section.node(key).filter(|_| level != Level::Top) {
        let message = format!("`{key}` stands only at a policy at the top level of the file");
        let help = "give it to the policy that this one is a part of";
        section.context.problems.add(node.place, message, Some(help.to_owned()));
        section.pass_over(key);
    }
    section.take(key, "", form.optional())
}

/// Types that do not stand everywhere, and with everything.
fn has_its_place(section: &Section<'_>, level: Level, kind: &PolicyKind) {
    let tell = |key: &str, message: &str, help: &str| {
        if let Some(node) = section.node(key) {
            section.context.problems.add(node.place, message, Some(help.to_owned()));
        }
    };
    match kind {
        PolicyKind::Rule(_) if level != Level::Top => tell(
            "type",
            "`rule` inside another policy: a rule ends the asking, so it stands only at the top \
             level of the file",
            "an `ottl_condition` asks the same question inside of other policies",
        ),
        PolicyKind::Drop(_) if level == Level::Top => tell(
            "exporters",
            "`exporters` has no meaning here: what this policy matches is dropped",
            "leave it out",
        ),
        _ => {}
    }
}

/// The name of an exporter, one of those that there are if they are known.
fn form_of_exporters() -> Form<String> {
    let name = name();
    let read = move |node: &Node, at: At<'_>| {
        let name = name.read(node, at)?;
        let Some(known) = at.context.exporters else { return Some(name) };
        if known.contains(&name) {
            return Some(name);
        }
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let shown = values::shown(node);
        let message = match nearest(&name, &known) {
            Some(meant) => format!("{shown} is no exporter, did you mean `{meant}`?"),
            None => format!("{shown} is no exporter; the static file has {}", known.join(", ")),
        };
        at.refuse(node, message, None);
        None
    };
    Form::new(read, |schemas| self::name().describe(schemas))
}

/// The name of a policy type; `None` if it was refused.
fn kind() -> Form<Option<&'static str>> {
    let read = |node: &Node| {
        let text = values::text(node)?;
        if let Some(known) = PolicyKind::NAMES.iter().find(|name| **name == text) {
            return Ok(Some(*known));
        }
        let known = PolicyKind::NAMES.join(", ");
        Err(match nearest(&text, PolicyKind::NAMES) {
            Some(name) => format!("`{text}` is no policy type, did you mean `{name}`?"),
            None => format!("`{text}` is no policy type; there are {known}"),
        })
    };
    form(read, json!({}))
}

/// The schema of a policy: one of the types, each with what every policy has.
fn describe(schemas: &mut Schemas, level: Level) -> Json {
    let (name, about) = level.definition();
    schemas.define(name, |schemas| {
        let is_here = |kind: &&&str| level == Level::Top || **kind != "rule";
        let kinds = PolicyKind::NAMES.iter().filter(is_here);
        let all: Vec<Json> = kinds.map(|kind| describe_kind(schemas, level, kind)).collect();
        described(json!({ "oneOf": all }), about)
    })
}

fn describe_kind(schemas: &mut Schemas, level: Level, kind: &str) -> Json {
    let (block, about) = PolicyKind::describe(kind, schemas);
    let needs_block = schemas.needs_keys(&block);
    let block = if needs_block { or_variable(block) } else { nullable(or_variable(block)) };
    let name = name().describe(schemas);
    let mut properties = json!({ "type": { "type": "string", "const": kind } });
    properties[kind] = block;
    let mut required = vec!["type"];
    match level {
        Level::Top => {
            let mode = nullable(choice::<Mode>().describe(schemas));
            let exporters = nullable(list(form_of_exporters()).describe(schemas));
            properties["name"] = described(name, OF_NAME);
            properties["mode"] = described(mode, OF_MODE);
            properties["exporters"] = described(exporters, OF_EXPORTERS);
        }
        Level::Part => {
            properties["name"] = described(nullable(name), "Its name, for explanations.")
        }
        Level::Child => {
            let doc = "Its name, which policy_order and rate_allocation refer to.";
            properties["name"] = described(name, doc);
        }
    }
    if level != Level::Part {
        required.push("name");
    }
    if needs_block {
        required.push(kind);
    }
    let schema = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "required": required,
    });
    described(schema, about)
}
