//! `tailsieve capture`: whole traces out of a topic, for `tailsieve decide`.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use serde_json::Value;
use tailsieve::testing::kafka::source;
use tailsieve::testing::testbed::generator::{Layout, ModelSettings};

use crate::rig::{POLICIES, Rig};
use crate::support::{Topic, tailsieve};

fn output(mut command: Command) -> Output {
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Captures a topic into a file of the rig; what was said about it.
fn capture(rig: &Rig, topic: &Topic, args: &[&str]) -> String {
    let mut command = tailsieve();
    command.args(["capture", "--brokers", rig.kafka.address(), "--topic", topic.name()]).args(args);
    let captured = output(command);
    let said = text(&captured.stderr);
    assert!(captured.status.success(), "{said}");
    std::fs::write(rig.scratch.path().join("spans.capture"), captured.stdout).unwrap();
    said
}

/// What `decide` finds in the file: by trace its number of spans, and the summary.
fn decided(rig: &Rig) -> (BTreeMap<String, u64>, Value) {
    let mut command = tailsieve();
    command.current_dir(rig.scratch.path());
    command.args(["decide", "--policies", "policies.yaml", "--output", "json", "spans.capture"]);
    let decided = output(command);
    assert!(decided.status.success(), "{}", text(&decided.stderr));
    let mut lines: Vec<Value> =
        text(&decided.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.pop().unwrap()["summary"].take();
    let spans = lines
        .iter()
        .map(|it| (it["traceId"].as_str().unwrap().to_owned(), it["spans"].as_u64().unwrap()));
    (spans.collect(), summary)
}

/// Scenario: a topic of traffic, keyed by trace in one rig and not keyed in the other.
/// Guarantees: all of it is captured and decided; of so many traces each has all of its spans; no
/// group is there and nothing is committed; what may not be whole is told.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn whole_traces_are_taken_for_decide() {
    for layout in [Layout::Keyed, Layout::Batched] {
        let rig = Rig::new("capture", POLICIES);
        let settings = ModelSettings {
            seed: 5,
            start: source::now(),
            rate: 5000.0,
            max_spans: Some(10_000),
            late_fraction: 0.0,
            duplicate_fraction: 0.0,
            layout,
            ..ModelSettings::default()
        };
        let ledger = rig.write(settings, false).finish();
        let spans_of = |trace: &str| {
            let entry = ledger.traces.iter().find(|(id, _)| id.to_string() == trace);
            entry.expect("it was written").1.spans.len() as u64
        };

        let said = capture(&rig, &rig.topic, &[]);
        let (traces, summary) = decided(&rig);
        assert_eq!(traces.len(), ledger.traces.len(), "{said}");
        let late = summary["late"]["kept"]["spans"].as_u64().unwrap()
            + summary["late"]["dropped"]["spans"].as_u64().unwrap();
        let written: usize = ledger.traces.values().map(|it| it.spans.len()).sum();
        assert_eq!(summary["spans"].as_u64().unwrap() + late, written as u64, "{said}");
        assert!(said.contains(&format!("captured {} traces", ledger.traces.len())), "{said}");
        assert!(said.contains("were still coming in at the end"), "{said}");

        let said = capture(&rig, &rig.topic, &["--traces", "20"]);
        let (traces, summary) = decided(&rig);
        assert!(said.contains("captured 20 traces"), "{said}");
        assert_eq!((traces.len(), summary["traces"].as_u64()), (20, Some(20)));
        for (trace, spans) in &traces {
            assert_eq!(*spans, spans_of(trace), "{layout:?} {trace}: {said}");
        }
        let committed = rig.kafka.committed("tailsieve-capture", &rig.topic);
        assert!(committed.values().all(Option::is_none), "{committed:?}");
    }
}

/// Guarantees: the static file says where the topic is; a topic that is not there, a range without
/// spans and wrong arguments end with what is wrong.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn what_cannot_be_captured_is_told() {
    let rig = Rig::new("capture-odd", POLICIES);
    let file = rig.scratch.write("tailsieve.yaml", &rig.config().replace("$ADMIN", "127.0.0.1:0"));
    let run = |args: &[&str]| {
        let mut command = tailsieve();
        let answer = output({
            command.arg("capture").args(args);
            command
        });
        (answer.status.code().unwrap(), text(&answer.stderr))
    };
    let file = file.to_str().unwrap();
    let (code, said) = run(&["--config", file]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("there are no spans in that range"), "{said}");
    let (code, said) = run(&["--config", file, "--topic", "nowhere-to-be-found"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("the topic nowhere-to-be-found does not exist"), "{said}");
    for wrong in [&["--brokers", "localhost:1"][..], &[], &["--config", file, "--traces", "0"]] {
        let (code, said) = run(wrong);
        assert_eq!(code, 2, "{said}");
    }
    rig.write(
        ModelSettings { start: source::now(), max_spans: Some(500), ..ModelSettings::default() },
        false,
    )
    .finish();
    let (code, said) = run(&["--config", file, "--last", "1h"]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = run(&["--config", file, "--from", "2100-01-01T00:00:00Z"]);
    assert_eq!(code, 1, "{said}");
}
