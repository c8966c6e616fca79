//! The files that hold policies: a policy file of tailsieve, the `tail_sampling` block of a
//! Collector, or a whole Collector configuration.

use super::super::document::{Document, Node, Value, Variables};
use super::super::reader::{Problems, nearest};

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
    /// Puts the environment's variables into what is read, and into nothing else.
    pub(super) fn substitute(&self, document: &mut Document) {
        let variables = match self.form {
            Form::Policies => Variables::Explicit,
            Form::Block | Form::Collector => Variables::Short,
        };
        if let Some(path) = &self.path {
            document.substitute(path, variables);
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

/// Finds the policies; `wanted` names a processor.
pub(super) fn find(
    document: &Document,
    wanted: Option<&str>,
    problems: &Problems,
    notes: &Problems,
) -> Block {
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
                problems.add(root.place, message, Some("leave the name out".to_owned()));
            }
            return Block { form: Form::Policies, path: Some(Vec::new()) };
        }
    };
    let found = processors_in(section);
    let chosen = match wanted {
        Some(wanted) => found.iter().find(|name| **name == wanted),
        None => found.first(),
    };
    if let (None, [first, others @ ..]) = (wanted, found.as_slice())
        && !others.is_empty()
        && let Some(node) = section.get(first)
    {
        let others = others.join(", ");
        let message =
            format!("`{first}` is the first of several processors and is read; not read: {others}");
        notes.add(node.place, message, None);
    }
    let Some(chosen) = chosen else {
        missing(section, wanted, &found, problems);
        return Block { form, path: None };
    };
    let path = path.into_iter().chain([(*chosen).to_owned()]).collect();
    Block { form, path: Some(path) }
}

/// The names of the `tail_sampling` processors in a section, in its order.
fn processors_in(section: &Node) -> Vec<&str> {
    let Value::Map(entries) = &section.value else { return Vec::new() };
    let names = entries.iter().map(|entry| entry.key.as_str());
    names.filter(|name| is_processor_name(name)).collect()
}

fn missing(section: &Node, wanted: Option<&str>, found: &[&str], problems: &Problems) {
    let message = match wanted {
        Some(wanted) => format!("there is no processor `{wanted}`"),
        None => format!("there is no processor `{PROCESSOR}` or `{PROCESSOR}/NAME`"),
    };
    let near = wanted.and_then(|wanted| nearest(wanted, found));
    let help = match (near, found) {
        (Some(name), _) => format!("did you mean `{name}`?"),
        (None, []) => "which traces are kept is said in such a processor".to_owned(),
        (None, found) => format!("there are {}", found.join(", ")),
    };
    problems.add(section.place, message, Some(help));
}
