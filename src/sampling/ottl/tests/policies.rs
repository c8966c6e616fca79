//! `tests/policies/ottl.yaml`: what the Collector says, and what is said here.

use std::collections::BTreeMap;
use std::{fs, path::Path};

use serde::Deserialize;

use super::world;
use crate::sampling::ottl::{Context, TraceFields, compile};

#[derive(Deserialize)]
struct File {
    traces: Vec<Trace>,
    conditions: Vec<Case>,
}

#[derive(Deserialize)]
struct Trace {
    name: String,
    json: String,
}

#[derive(Deserialize)]
struct Case {
    context: String,
    condition: String,
    keeps: Vec<String>,
}

#[test]
fn the_same_traces_are_kept_as_by_the_collector() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policies/ottl.yaml");
    let text = fs::read_to_string(path).unwrap();
    let file: File = serde_saphyr::from_str(&text).unwrap();
    let records: BTreeMap<&str, Vec<u8>> =
        file.traces.iter().map(|trace| (trace.name.as_str(), world::record(&trace.json))).collect();
    assert!(file.conditions.len() >= 170, "all conditions are read");
    let mut wrong = Vec::new();
    for Case { context, condition: text, keeps } in &file.conditions {
        let context = match context.as_str() {
            "span" => Context::Span,
            "spanevent" => Context::SpanEvent,
            other => panic!("{other} is no context"),
        };
        let condition = match compile(text, context) {
            Ok(condition) => condition,
            Err(error) => {
                wrong.push(format!("{text}: {error}"));
                continue;
            }
        };
        for (name, record) in &records {
            let answers = world::answers(condition.clone(), record, TraceFields::default());
            let kept = answers.contains(&Ok(true));
            if kept != keeps.iter().any(|keep| keep == name) {
                wrong.push(format!("{text} on {name}: {answers:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
