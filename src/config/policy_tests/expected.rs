//! What is expected of a decision.

use serde_json::{Value as Json, json};

use super::super::document::{Node, Value};
use super::super::values;
use crate::options::{
    At, Context, Form, Options, Place, Schemas, Section, choice, choices, form, nearest,
    or_variable, text,
};

/// What is expected of a decision. What is `None` is not compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// True if the trace is to be kept.
    pub kept: Option<bool>,
    /// The policy that the decision is to be attributed to; an empty name for none.
    pub policy: Option<String>,
    /// The sampling threshold, as `th` writes it; `none` where there is to be none.
    pub threshold: Option<String>,
    /// How single policies are to vote.
    pub votes: Vec<(String, ExpectedVote)>,
}

choices! {
    /// What a policy is to say.
    pub enum ExpectedVote {
        /// To keep the trace.
        Keep = "keep",
        /// Nothing.
        None = "none",
        /// To drop the trace.
        Drop = "drop",
    }
}

choices! {
    /// What becomes of a trace.
    enum Decision {
        /// It is kept.
        Keep = "keep",
        /// It is dropped.
        Drop = "drop",
    }
}

impl Options for Expected {
    const NAME: &'static str = "Expected";
    const ABOUT: &'static str =
        "What is expected of a decision. What is not there is not compared.";

    fn read(section: &mut Section<'_>) -> Self {
        let is_kept = |decision| Some(decision == Decision::Keep);
        let decision = choice::<Decision>().map(is_kept).required("keep");
        let kept = section.take("decision", "Whether the trace is kept.", decision);
        let doc = "The policy on whose account it is kept or dropped; none: no policy.";
        let policy = section.take("policy", doc, policy().optional());
        let doc = "The sampling threshold, as `th` writes it; none: there is none.";
        let schema = json!({ "anyOf": [
            { "type": "string", "pattern": r"^(none|[0-9a-fA-F]{1,14})$|\$\{" },
            { "type": "integer", "minimum": 0, "maximum": 9 },
        ] });
        let threshold = section.take("threshold", doc, form(threshold, schema).optional());
        let doc = "What single policies say, by their names.";
        let votes = section.take("votes", doc, votes().or_default());
        Self { kept, policy, threshold, votes }
    }
}

/// `keep`, `drop`, or a section that says more.
pub(super) fn expected() -> Form<Expected> {
    let read = |node: &Node, at: At<'_>| match node.value {
        Value::Text(_) => {
            let decision: Decision = choice().read(node, at)?;
            Some(Expected { kept: Some(decision == Decision::Keep), ..Expected::default() })
        }
        _ => Some(Section::new(node, at.context).read()),
    };
    Form::new(read, |schemas| schemas.define("Expect", describe))
}

fn describe(schemas: &mut Schemas) -> Json {
    let decision = choice::<Decision>().describe(schemas);
    let more = schemas.section::<Expected>();
    json!({ "if": { "type": "object" }, "then": more, "else": decision })
}

/// The name of a policy; empty for none.
fn policy() -> Form<String> {
    let read = |node: &Node, at: At<'_>| {
        let name = text().read(node, at)?;
        let has_none = at.context.policies.as_ref().is_some_and(|it| it.contains(&"none"));
        if name == "none" && !has_none {
            return Some(String::new());
        }
        check_known(at.context, node.place, values::told(node, missing(&name)), &name);
        Some(name)
    };
    Form::new(read, |schemas| text().describe(schemas))
}

fn votes() -> Form<Vec<(String, ExpectedVote)>> {
    let read = |node: &Node, at: At<'_>| {
        let Value::Map(entries) = &node.value else {
            at.refuse(node, format!("expected `policy: keep`, found {}", node.kind()), None);
            return None;
        };
        let mut votes = Vec::with_capacity(entries.len());
        for entry in entries {
            check_known(at.context, entry.place, missing(&entry.key), &entry.key);
            let vote = choice().read(&entry.node, At { key: &entry.key, ..at });
            votes.extend(vote.map(|vote| (entry.key.clone(), vote)));
        }
        Some(votes)
    };
    Form::new(read, |schemas| {
        let vote = choice::<ExpectedVote>().describe(schemas);
        or_variable(json!({ "type": "object", "additionalProperties": vote }))
    })
}

fn missing(name: &str) -> String {
    format!("there is no policy `{name}`")
}

/// A policy that does not exist can never say anything.
fn check_known(context: &Context<'_>, place: Place, message: String, name: &str) {
    let Some(known) = context.policies.as_ref().filter(|known| !known.contains(&name)) else {
        return;
    };
    let help = match nearest(name, known) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("there are {}", known.join(", ")),
    };
    context.problems.add(place, message, Some(help));
}

/// `e666`, `"0"`, or `none`.
fn threshold(node: &Node) -> Result<String, String> {
    // A number without letters is a number for YAML; so is one with an `e` in it.
    let expected = "expected 1 to 14 hexadecimal digits, or none; put it in quotes";
    let text = match &node.value {
        Value::Text(text) => text.clone(),
        Value::Integer(number @ 0..=9) => number.to_string(),
        _ => return Err(expected.to_owned()),
    };
    if text == "none" {
        return Ok(text);
    }
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex || text.is_empty() || text.len() > 14 {
        return Err(expected.to_owned());
    }
    let short = text.trim_end_matches('0').to_ascii_lowercase();
    Ok(if short.is_empty() { "0".to_owned() } else { short })
}
