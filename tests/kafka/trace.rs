//! `tailsieve trace`: traces that were decided are read again from the topic.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;

use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, TracesData};
use prost::Message as _;
use serde_json::Value;
use tailsieve::testing::kafka::source;
use tailsieve::testing::testbed::generator::{Layout, Model, ModelSettings};

use crate::rig::{POLICIES, Rig};
use crate::support::tailsieve;

/// How many dropped and how many kept traces are opened.
const OPENED: usize = 12;

/// Each span with all that is around it, as bytes.
pub type Contents = BTreeSet<Vec<u8>>;

/// Enters the spans of a record.
pub fn add(contents: &mut BTreeMap<String, Contents>, record: &[u8]) {
    for resource in TracesData::decode(record).unwrap().resource_spans {
        for scope in &resource.scope_spans {
            for span in &scope.spans {
                let id: String = span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
                let scope = ScopeSpans { spans: vec![span.clone()], ..scope.clone() };
                let alone = ResourceSpans { scope_spans: vec![scope], ..resource.clone() };
                contents.entry(id).or_default().insert(alone.encode_to_vec());
            }
        }
    }
}

/// Traffic of several services, each with records of its own, with late spans.
pub fn of_services(seed: u64, spans: u64) -> ModelSettings {
    ModelSettings {
        seed,
        start: source::now(),
        rate: 5000.0,
        max_spans: Some(spans),
        layout: Layout::Service,
        duplicate_fraction: 0.0,
        late_fraction: 0.2,
        ..ModelSettings::default()
    }
}

/// The entries of the decision log of a static file, as `tailsieve decisions` prints them.
pub fn entries(file: &str) -> Vec<Value> {
    let mut command = tailsieve();
    command.args(["decisions", "--config", file, "--from", "beginning", "--no-follow"]);
    let output = command.args(["--output", "json"]).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

struct Opened {
    rig: Rig,
    file: String,
}

impl Opened {
    fn run(&self, args: &[&str]) -> Output {
        let mut command = tailsieve();
        command.args(["trace", "--config", &self.file]).args(args);
        command.output().unwrap()
    }

    /// What a command that succeeds prints.
    fn print(&self, args: &[&str]) -> Vec<u8> {
        let output = self.run(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {said}");
        output.stdout
    }

    fn fails(&self, args: &[&str], code: i32, what: &str) {
        let output = self.run(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(what), "{args:?}: {said}");
    }
}

/// Scenario: traces of several services and records, with late spans, are decided; some are opened
/// by their ids; then Kafka deletes the records.
/// Guarantees: each has just the spans that were sent, field by field; what is said of it is what the
/// log says; who asks for what is not there is told so, by exit codes, too.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn a_trace_is_opened_by_its_id() {
    let rig = Rig::new("trace", POLICIES);
    let member = rig.member("member");
    let settings = of_services(22, 6000);
    let mut sent = BTreeMap::new();
    Model::new(settings.clone()).for_each(|record| add(&mut sent, &record.payload));
    rig.write(settings, false).finish();
    rig.settle();
    let config = rig.config().replace("$ADMIN", "127.0.0.1:0");
    let file = rig.scratch.write("tailsieve.yaml", &config).to_str().unwrap().to_owned();
    drop(member);
    let opened = Opened { rig, file };

    let entries = entries(&opened.file);
    let id_of = |entry: &Value| entry["traceId"].as_str().unwrap().to_owned();
    let is_late = |entry: &&Value| entry["late"] == true;
    let late_ids: BTreeSet<String> = entries.iter().filter(is_late).map(id_of).collect();
    let decided = entries.iter().filter(|entry| entry["late"] == false);
    let of = |decision: &str, is_late: bool| -> BTreeSet<String> {
        let of_it = decided.clone().filter(|entry| entry["decision"] == decision).map(id_of);
        of_it.filter(|id| late_ids.contains(id) == is_late).take(OPENED).collect()
    };
    let wanted = [of("drop", false), of("drop", true), of("keep", false), of("keep", true)];
    assert!(wanted.iter().all(|some| !some.is_empty()), "{wanted:?}");
    for id in wanted.iter().flatten() {
        let bytes = opened.print(&[id, "--output", "otlp-proto"]);
        let mut found = BTreeMap::new();
        add(&mut found, &bytes);
        assert_eq!(found.get(id), sent.get(id), "{id}");
        assert_eq!(found.len(), 1);
    }

    // What is said of one of them.
    let id = wanted[1].first().unwrap();
    let object: Value = serde_json::from_slice(&opened.print(&[id, "--output", "json"])).unwrap();
    let spans = |object: &Value| -> u64 {
        let of_trace = object["entries"].as_array().unwrap().iter();
        of_trace.filter_map(|entry| entry["spanCount"].as_u64()).sum()
    };
    assert_eq!(spans(&object), sent[id].len() as u64, "{object}");
    assert_eq!(object["missingRecords"], 0);
    let text = String::from_utf8(opened.print(&[&id.to_uppercase(), "--from", "-1h"])).unwrap();
    assert!(text.contains("drop  by no policy") && text.contains("late spans"), "{text}");
    assert!(text.lines().count() >= sent[id].len() + 2, "{text}");
    let policies = opened.rig.scratch.join("policies.yaml");
    let explained = opened.print(&[id, "--policies", policies.to_str().unwrap()]);
    let explained = String::from_utf8(explained).unwrap();
    assert!(explained.contains("none  errors"), "{explained}");
    let json = opened.print(&[id, "--output", "otlp-json"]);
    let json: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["traceId"], **id);

    // Without the file.
    let mut command = tailsieve();
    command.args(["trace", id, "--brokers", opened.rig.kafka.address()]);
    command.args(["--topic", opened.rig.topic.name(), "--output", "otlp-proto"]);
    let mut found = BTreeMap::new();
    add(&mut found, &command.output().unwrap().stdout);
    assert_eq!(found.get(id), sent.get(id), "without a file");

    let nobody = "00000000000000000000000000000001";
    opened.fails(&[nobody], 3, "is not decided yet, was decided before");
    opened.fails(&["0000000000000001"], 3, nobody);
    opened.fails(&[id, "--to", "2020-01-01T00:00:00Z"], 3, "until 2020-01-01T00:00:00.000Z");
    opened.fails(&["xyz"], 2, "32 hexadecimal digits");
    opened.fails(&[id, "--decision-log", "nowhere-to-be-found"], 2, "does not exist");

    // One of two records next to each other is gone: that is told, though one read brings both.
    let offsets = |entry: &Value| -> Vec<i64> {
        let all = entry["recordOffsets"].as_array().into_iter().flatten();
        all.map(|offset| offset.as_i64().unwrap()).collect()
    };
    let has_neighbours = |entry: &&Value| offsets(entry).windows(2).any(|it| it[0] + 1 == it[1]);
    let entry = entries.iter().find(has_neighbours).expect("some records are next to each other");
    let all = offsets(entry);
    let second = all.windows(2).position(|it| it[0] + 1 == it[1]).unwrap() + 1;
    let partition = i32::try_from(entry["partition"].as_i64().unwrap()).unwrap();
    opened.rig.topic.delete_records(&BTreeMap::from([(partition, all[second])]));
    let output = opened.run(&[&id_of(entry), "--output", "json"]);
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["missingRecords"], second, "{object}");
    assert_eq!(output.status.code(), Some(4));

    opened.rig.topic.delete_records(&opened.rig.topic.end_offsets());
    opened.fails(&[id], 4, "any more");
}
