//! What `tailsieve decide` says about the same spans.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::input::Input;
use crate::policies::PolicySet;
use crate::support::{Scratch, tailsieve};

/// The decisions of one policy set.
pub struct Decisions {
    /// For each trace of the input, whether it is kept.
    pub kept: Vec<bool>,
    /// For each trace, all that tailsieve says about it.
    pub said: Vec<String>,
}

/// Decides the input by many sets, several of them at a time.
pub fn decide(sets: &[PolicySet], input: &Input) -> Vec<Decisions> {
    let scratch = Scratch::new("decide");
    let spans = scratch.write("spans.jsonl", &input.lines());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let share = sets.len().div_ceil(workers).max(1);
    std::thread::scope(|scope| {
        let work = |sets| {
            let (scratch, spans) = (&scratch, &spans);
            scope.spawn(move || decide_in_turn(sets, input, scratch, spans))
        };
        let running: Vec<_> = sets.chunks(share).map(work).collect();
        running.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

fn decide_in_turn(
    sets: &[PolicySet],
    input: &Input,
    scratch: &Scratch,
    spans: &Path,
) -> Vec<Decisions> {
    sets.iter()
        .map(|set| {
            let output = run(set, scratch, spans);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: tailsieve decide fails: {errors}", set.name);
            parse(&String::from_utf8(output.stdout).unwrap(), set, input)
        })
        .collect()
}

/// No trace is decided before its last span is read.
fn run(set: &PolicySet, scratch: &Scratch, spans: &Path) -> Output {
    let file = json!({
        "decision_wait": "1h",
        "decision_wait_after_root_received": "1h",
        "policies": set.policies,
    });
    let policies = scratch.write(&format!("{}.yaml", set.name), &file.to_string());
    let mut command = tailsieve();
    command.arg("decide").arg("--policies").arg(&policies).arg(spans).args(["--output", "json"]);
    let output = command.output().unwrap();
    fs::remove_file(policies).unwrap();
    output
}

fn parse(output: &str, set: &PolicySet, input: &Input) -> Decisions {
    let mut by_id: HashMap<String, (bool, &str)> = HashMap::new();
    for line in output.lines() {
        let said: Value = serde_json::from_str(line).unwrap_or_default();
        let Some(id) = said["traceId"].as_str() else { continue };
        let is_kept = match said["decision"].as_str() {
            Some("keep") => true,
            Some("drop") => false,
            other => panic!("{}: the decision is {other:?}: {line}", set.name),
        };
        let earlier = by_id.insert(id.to_owned(), (is_kept, line));
        assert!(earlier.is_none(), "{}: {id} is decided twice", set.name);
    }
    let said_of =
        |id: &String| *by_id.get(id).unwrap_or_else(|| panic!("{}: {id} is not decided", set.name));
    Decisions {
        kept: input.ids.iter().map(|id| said_of(id).0).collect(),
        said: input.ids.iter().map(|id| said_of(id).1.to_owned()).collect(),
    }
}
