//! The files that hold policies: a policy file of tailsieve, the `tail_sampling` block of a
//! Collector, or a whole Collector configuration.

use super::super::document::{Document, Node, Value};
use super::pipelines;
use crate::options::{Context, Problems, nearest};

/// The type of the Collector's processor.
const PROCESSOR: &str = "tail_sampling";

/// How a file holds its policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// At the top level.
    Policies,
    /// In a block `tail_sampling`.
    Block,
    /// In a processor of a Collector configuration.
    Collector,
}

/// Where in a file the policies are.
pub(super) struct Block {
    pub(super) form: Form,
    path: Option<Vec<String>>,
}

impl Block {
    /// Puts in what variables hold, into what is read, and into nothing else.
    pub(super) fn substitute(&self, document: &mut Document) {
        if let Some(path) = &self.path {
            document.substitute(path);
        }
    }

    /// The node with the options and policies; `None` if there is none.
    pub(super) fn node<'d>(&self, document: &'d Document) -> Option<&'d Node> {
        let mut node = &document.root;
        for key in self.path.as_ref()? {
            node = node.get(key)?;
        }
        Some(node)
    }
}

/// True if `name` is that of a `tail_sampling` processor.
pub(in super::super) fn is_processor_name(name: &str) -> bool {
    let rest = name.strip_prefix(PROCESSOR);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// True if `root` looks like a file with policies, in any form.
pub(in super::super) fn is_policy_file(root: &Node) -> bool {
    let Value::Map(entries) = &root.value else { return false };
    entries.iter().any(|entry| {
        let key = entry.key.as_str();
        let is_list = key == "policies" && matches!(entry.node.value, Value::List(_));
        is_list || key == "processors" || is_processor_name(key) || key.starts_with("decision_")
    })
}

/// Puts in the sections that stand in variables, as far as that tells where the policies are.
pub(super) fn open(document: &mut Document) {
    let path = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
    for keys in [&["processors"][..], &["policies"], &["service"], &["service", "pipelines"]] {
        document.open(&path(keys));
    }
    for name in pipelines::names(&document.root) {
        document.open(&path(&["service", "pipelines", &name]));
        document.open(&path(&["service", "pipelines", &name, "processors"]));
    }
}

/// Finds the policies; `wanted` names a processor.
pub(super) fn find(document: &Document, wanted: Option<&str>, told: &Context<'_>) -> Block {
    let root = &document.root;
    let (form, section, path) = match root.get("processors") {
        Some(processors) if root.get("policies").is_none() => {
            (Form::Collector, processors, vec!["processors".to_owned()])
        }
        _ if !processors_in(root).is_empty() => (Form::Block, root, Vec::new()),
        _ => {
            if let Some(wanted) = wanted {
                let message = format!(
                    "there is no processor `{wanted}`: the file is no Collector configuration"
                );
                told.problems.add(root.place, message, Some("leave the name out".to_owned()));
            }
            return Block { form: Form::Policies, path: Some(Vec::new()) };
        }
    };
    let found = processors_in(section);
    let chosen = match wanted {
        Some(wanted) => found.iter().find(|name| **name == wanted).copied(),
        None => match pipelines::used(root, &found) {
            Ok(used) => used.or_else(|| first(section, &found, told)),
            Err(ambiguous) => {
                told.problems.add(ambiguous.place, ambiguous.message, ambiguous.help);
                return Block { form, path: None };
            }
        },
    };
    let Some(chosen) = chosen else {
        missing(section, wanted, &found, &told.problems);
        return Block { form, path: None };
    };
    if form == Form::Collector {
        pipelines::lint(root, chosen, wanted.is_some(), &told.warnings);
    }
    let path = path.into_iter().chain([chosen.to_owned()]).collect();
    Block { form, path: Some(path) }
}

/// The names of the `tail_sampling` processors in a section, in its order.
fn processors_in(section: &Node) -> Vec<&str> {
    let Value::Map(entries) = &section.value else { return Vec::new() };
    let names = entries.iter().map(|entry| entry.key.as_str());
    names.filter(|name| is_processor_name(name)).collect()
}

/// The first of the processors, where no pipeline says which is meant.
fn first<'d>(section: &Node, found: &[&'d str], told: &Context<'_>) -> Option<&'d str> {
    let first = found.first()?;
    if let [_, others @ ..] = found
        && !others.is_empty()
        && let Some(node) = section.get(first)
    {
        let others = others.join(", ");
        let message =
            format!("`{first}` is the first of several processors and is read; not read: {others}");
        told.notes.add(node.place, message, None);
    }
    Some(first)
}

fn missing(section: &Node, wanted: Option<&str>, found: &[&str], problems: &Problems) {
    let message = match wanted {
        Some(wanted) => format!("there is no processor `{wanted}`"),
        None => format!("there is no processor `{PROCESSOR}` or `{PROCESSOR}/NAME`"),
    };
    let near = wanted.and_then(|wanted| nearest(wanted, found));
    let mut place = section.place;
    let help = match (near, found) {
        (Some(name), _) => format!("did you mean `{name}`?"),
        (None, []) => {
            let entries = if let Value::Map(entries) = &section.value { &entries[..] } else { &[] };
            match entries.iter().find(|entry| nearest(&entry.key, &[PROCESSOR]).is_some()) {
                Some(entry) => {
                    place = entry.place;
                    format!("did you mean `{PROCESSOR}` by `{}`?", entry.key)
                }
                None => "which traces are kept is said in such a processor".to_owned(),
            }
        }
        (None, found) => format!("there are {}", found.join(", ")),
    };
    problems.add(place, message, Some(help));
}
