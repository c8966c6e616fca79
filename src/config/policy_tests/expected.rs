//! What is expected of a decision.

use super::super::PolicyFile;
use super::super::document::{Node, Value};
use super::super::reader::{Problems, Section, nearest};
use super::super::values;

/// What is expected of a decision. What is `None` is not compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// True if the trace is to be kept.
    pub kept: Option<bool>,
    /// On whose account it is to be kept or dropped; an empty name: on nobody's.
    pub policy: Option<String>,
    /// The sampling threshold, as `th` writes it; `none` where there is to be none.
    pub threshold: Option<String>,
    /// What single policies are to say.
    pub votes: Vec<(String, ExpectedVote)>,
}

/// What a policy is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedVote {
    /// To keep the trace.
    Keep,
    /// Nothing.
    None,
    /// To drop the trace.
    Drop,
}

const DECISIONS: &[(&str, bool, &str)] = &[("keep", true, ""), ("drop", false, "")];

const VOTES: &[(&str, ExpectedVote, &str)] = &[
    ("keep", ExpectedVote::Keep, ""),
    ("none", ExpectedVote::None, ""),
    ("drop", ExpectedVote::Drop, ""),
];

/// Reads `keep`, `drop`, or a section that says more.
pub(super) fn read(problems: &Problems, policies: Option<&PolicyFile>, node: &Node) -> Expected {
    let mut expected = Expected::default();
    if let Value::Text(_) = node.value {
        match values::choice(DECISIONS)(node) {
            Ok(kept) => expected.kept = Some(kept),
            Err(message) => problems.add(node.place, format!("expect: {message}"), None),
        }
        return expected;
    }
    let known = |node: &Node, name: &str| check_known(problems, policies, node, name);
    let mut section = Section::new(node, problems);
    expected.kept = section.required("decision", "keep", values::choice(DECISIONS));
    expected.policy = section.optional("policy", |node| {
        let name = values::text(node)?;
        if name == "none" && !has(policies, "none") {
            return Ok(String::new());
        }
        known(node, &name);
        Ok(name)
    });
    expected.threshold = section.optional("threshold", threshold);
    if let Some(votes) = section.node("votes") {
        expected.votes = read_votes(problems, policies, votes);
    }
    section.finish();
    expected
}

fn read_votes(
    problems: &Problems,
    policies: Option<&PolicyFile>,
    node: &Node,
) -> Vec<(String, ExpectedVote)> {
    let Value::Map(entries) = &node.value else {
        let message = format!("votes: expected `policy: keep`, found {}", node.kind());
        problems.add(node.place, message, None);
        return Vec::new();
    };
    let mut votes = Vec::with_capacity(entries.len());
    for entry in entries {
        let key = Node::new(entry.place, Value::Null);
        check_known(problems, policies, &key, &entry.key);
        match values::choice(VOTES)(&entry.node) {
            Ok(vote) => votes.push((entry.key.clone(), vote)),
            Err(message) => {
                problems.add(entry.node.place, format!("{}: {message}", entry.key), None);
            }
        }
    }
    votes
}

fn has(policies: Option<&PolicyFile>, name: &str) -> bool {
    policies.is_some_and(|file| file.policies.iter().any(|policy| policy.name == name))
}

/// A policy that does not exist can never say anything.
fn check_known(problems: &Problems, policies: Option<&PolicyFile>, node: &Node, name: &str) {
    let Some(file) = policies.filter(|_| !has(policies, name)) else { return };
    let names: Vec<&str> = file.policies.iter().map(|policy| policy.name.as_str()).collect();
    let help = match nearest(name, &names) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("there are {}", names.join(", ")),
    };
    let message = values::told(node, format!("there is no policy `{name}`"));
    problems.add(node.place, message, Some(help));
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
