//! The conditions of tests/policies/ottl.yaml, each as an `ottl_condition` policy by itself.
//!
//! The file lists small traces by name, as OTLP JSON, and conditions, each with the names of the
//! traces that it keeps.

use std::fs;

use serde::Deserialize;
use serde_json::Value;

use crate::input::Input;
use crate::policies::{PolicySet, ottl};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/policies/ottl.yaml");

#[derive(Deserialize)]
struct File {
    traces: Vec<NamedTrace>,
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct NamedTrace {
    name: String,
    /// OTLP JSON documents, one after the other.
    json: String,
}

/// A condition and what it should keep.
#[derive(Deserialize)]
pub struct Condition {
    context: String,
    condition: String,
    keeps: Vec<String>,
}

/// What the file says.
pub struct Conditions {
    pub conditions: Vec<Condition>,
    /// One for each condition.
    pub sets: Vec<PolicySet>,
    pub input: Input,
    /// The names of the traces of `input`.
    names: Vec<String>,
}

pub fn read() -> Conditions {
    let text = fs::read_to_string(FILE).unwrap_or_else(|error| panic!("{FILE}: {error}"));
    let file: File = serde_saphyr::from_str(&text).unwrap();
    let (mut documents, mut names) = (Vec::new(), Vec::new());
    for trace in &file.traces {
        let parsed: Result<Vec<Value>, _> =
            serde_json::Deserializer::from_str(&trace.json).into_iter().collect();
        let parsed = parsed.unwrap_or_else(|error| panic!("{}: {error}", trace.name));
        documents.extend(parsed);
        names.push(trace.name.clone());
        let traces = Input::new(documents.clone()).ids.len();
        assert_eq!(traces, names.len(), "{}: each holds a trace of its own", trace.name);
    }
    let sets = file.conditions.iter().enumerate().map(|(n, condition)| condition.set(n)).collect();
    Conditions { conditions: file.conditions, sets, input: Input::new(documents), names }
}

impl Condition {
    fn set(&self, number: usize) -> PolicySet {
        let condition = [self.condition.as_str()];
        let policy = match self.context.as_str() {
            "span" => ottl(&condition, &[]),
            "spanevent" => ottl(&[], &condition),
            other => panic!("{other} is no context: {}", self.condition),
        };
        PolicySet::new(format!("condition-{number}"), vec![policy])
    }
}

impl Conditions {
    /// Where `keeps` differs from what is kept, or refused.
    pub fn differences(&self, outcomes: &[Result<Vec<bool>, String>]) -> Vec<String> {
        let difference = |(condition, outcome): (&Condition, &Result<Vec<bool>, String>)| {
            let Condition { context, condition, keeps } = condition;
            let is = match outcome {
                Ok(kept) => {
                    let mut should = keeps.clone();
                    should.sort_by_key(|name| self.names.iter().position(|other| other == name));
                    let kept = self.kept_names(kept);
                    if kept == should {
                        return None;
                    }
                    format!("kept are {kept:?}")
                }
                Err(why) => format!("refused: {why}"),
            };
            Some(format!("{context}: {condition}\n    keeps: {keeps:?}\n    but {is}"))
        };
        self.conditions.iter().zip(outcomes).filter_map(difference).collect()
    }

    fn kept_names(&self, kept: &[bool]) -> Vec<String> {
        let kept = self.names.iter().zip(kept).filter(|(_, kept)| **kept);
        kept.map(|(name, _)| name.clone()).collect()
    }
}
