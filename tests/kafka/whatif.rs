//! `tailsieve whatif`: policy files on traffic that real members have decided.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Output;
use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::Value;
use tailsieve::testing::ids::TraceId;
use tailsieve::testing::kafka::source;
use tailsieve::testing::testbed::generator::ModelSettings;
use tailsieve::testing::testbed::ledger::{Ledger, TraceEntry};

use crate::rig::{ERRORS_AND_A_TENTH, POLICIES, Rig, one_span, passes};
use crate::support::{Process, eventually, tailsieve};

/// How long it may take until the last traces are due.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Errors are nothing to it. The last two say nothing new, and nothing at all.
const CANDIDATE: &str = "
decision_wait: 20s
policies:
  - {name: payment, type: string_attribute, string_attribute: {key: service.name, values: [payment]}}
  - {name: more, type: probabilistic, probabilistic: {sampling_percentage: 20}}
  - {name: less, type: probabilistic, probabilistic: {sampling_percentage: 5}}
  - {name: nobody, type: string_attribute, string_attribute: {key: service.name, values: [nobody]}}
";

/// The command, and the static file that it is given.
pub struct Asked {
    pub rig: Rig,
    pub file: String,
}

impl Asked {
    pub fn new(rig: Rig) -> Self {
        let config = rig.config().replace("$ADMIN", "127.0.0.1:0");
        let file = rig.scratch.write("tailsieve.yaml", &config).to_str().unwrap().to_owned();
        Self { rig, file }
    }

    pub fn policies(&self, name: &str, text: &str) -> String {
        self.rig.scratch.write(name, text).to_str().unwrap().to_owned()
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.run_with(&self.file, args)
    }

    /// As [`run`](Self::run), with another static file.
    pub fn run_with(&self, file: &str, args: &[&str]) -> Output {
        tailsieve().args(["whatif", "--config", file]).args(args).output().unwrap()
    }

    /// The first decision of each trace, as the log has it: kept or not, and on whose account.
    pub fn on_record(&self) -> BTreeMap<String, (bool, Option<String>)> {
        let mut command = tailsieve();
        command.args(["decisions", "--config", &self.file, "--from", "beginning", "--no-follow"]);
        let output = command.args(["--output", "json"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let mut all = BTreeMap::new();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let entry: Value = serde_json::from_str(line).unwrap();
            if entry["delivered"] == true || entry["late"] == true || entry["formerOwner"] == true {
                continue;
            }
            let verdict = (entry["decision"] == "keep", entry["policy"].as_str().map(Into::into));
            let before = all.insert(entry["traceId"].as_str().unwrap().to_owned(), verdict.clone());
            assert!(before.is_none_or(|it| it == verdict), "it was decided twice: {entry}");
        }
        all
    }

    /// What it says of a policy file, and with which exit code it ends.
    pub fn json(&self, policies: &str, args: &[&str]) -> (Option<i32>, Value) {
        let args = [&["--policies", policies, "--output", "json"], args].concat();
        let output = self.run(&args);
        let said = String::from_utf8_lossy(&output.stderr);
        let json = serde_json::from_slice(&output.stdout);
        (output.status.code(), json.unwrap_or_else(|error| panic!("{args:?}: {error}: {said}")))
    }

    /// The same, once all traces are decided.
    pub fn whole(&self, policies: &str, args: &[&str]) -> Value {
        eventually("all traces to be due", PATIENCE, || {
            let (code, outcome) = self.json(policies, args);
            assert_eq!(code, Some(0), "{outcome}");
            let edges = &outcome["candidates"][0]["edges"];
            let is_over = edges["undecided"] == 0 && edges["notOnRecord"] == 0;
            is_over.then_some(outcome)
        })
    }

    pub fn fails(&self, args: &[&str], code: i32, what: &str) {
        self.fails_with(&self.file, args, code, what);
    }

    /// As [`fails`](Self::fails), with another static file.
    pub fn fails_with(&self, file: &str, args: &[&str], code: i32, what: &str) {
        let output = self.run_with(file, args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(what), "{args:?}: {said}");
    }
}

/// The cells of the first candidate: old and new verdict, with traces and spans.
pub fn cells(outcome: &Value) -> BTreeMap<(String, String), (u64, u64)> {
    let verdict = |it: &Value| match (it["kept"].as_bool().unwrap(), it["policy"].as_str()) {
        (true, policy) => format!("kept by {}", policy.unwrap()),
        (false, policy) => format!("dropped by {}", policy.unwrap_or("none")),
    };
    let cells = outcome["candidates"][0]["cells"].as_array().unwrap().iter();
    let cell = |it: &Value| {
        let count = |name: &str| it[name].as_u64().unwrap();
        ((verdict(&it["old"]), verdict(&it["new"])), (count("traces"), count("spans")))
    };
    cells.map(cell).collect()
}

pub fn spans(trace: &TraceEntry) -> u64 {
    trace.spans.iter().map(|span| u64::from(span.copies)).sum()
}

/// Scenario: traffic with late spans and duplicates is decided while members are killed and join; then the
/// file that was in force is asked about.
/// Guarantees: it changes nothing, and every trace and every span is counted.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn the_file_in_force_changes_nothing_whatever_happened() {
    let rig = Rig::new("whatif-same", POLICIES);
    let settings = ModelSettings {
        seed: 31,
        start: source::now(),
        rate: 2_000.0,
        max_spans: Some(24_000),
        late_fraction: 0.1,
        late_by: Duration::from_secs(12),
        ..ModelSettings::default()
    };
    let mut first = rig.member("first");
    let writing = rig.write(settings, true);
    writing.wait_for(6_000);
    let second = rig.member("second");
    writing.wait_for(12_000);
    first.process.kill();
    let third = rig.member("third");
    let ledger = writing.finish();
    rig.settle();
    drop((second, third));

    let asked = Asked::new(rig);
    let same = asked.policies("same.yaml", POLICIES);
    let outcome = asked.whole(&same, &["--from", "-10m"]);
    let cells = cells(&outcome);
    assert!(cells.keys().all(|(old, new)| old == new), "{cells:?}");
    assert!(cells.len() >= 3, "{cells:?}");
    let all = cells.values().fold((0, 0), |all, it| (all.0 + it.0, all.1 + it.1));
    let written = ledger.traces.values().map(spans).sum::<u64>();
    assert_eq!(all, (ledger.traces.len() as u64, written));
    let candidate = &outcome["candidates"][0];
    assert!(candidate["lateSpans"].as_u64().unwrap() > 0);
    assert_eq!(candidate["summary"]["change"]["bytes"]["value"], 0.0);
    assert_eq!(outcome["read"]["unreadable"], 0);
    let gate = ["--fail-if", "lost > 0", "--fail-if", "bytes > +0.01%", "--from", "10m"];
    assert_eq!(asked.json(&same, &gate).0, Some(0));
}

/// Traffic that one member has decided.
pub fn decided(test: &str) -> (Asked, Ledger) {
    let rig = Rig::new(test, ERRORS_AND_A_TENTH);
    let member = rig.member("member");
    let settings = ModelSettings {
        seed: 32,
        start: source::now(),
        rate: 3_000.0,
        max_spans: Some(15_000),
        duplicate_fraction: 0.0,
        ..ModelSettings::default()
    };
    let ledger = rig.write(settings, true).finish();
    rig.settle();
    drop(member);
    (Asked::new(rig), ledger)
}

/// Scenario: a file is asked about that keeps other traces.
/// Guarantees: each cell is what the two files say of what was written; examples open with `trace`; what two
/// processes find in other partitions adds up to what one finds in all; conditions decide the exit code.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn what_another_file_would_change_is_told_trace_by_trace() {
    let (asked, ledger) = decided("whatif-other");
    let candidate = asked.policies("candidate.yaml", CANDIDATE);
    let range = ["--from", "-10m", "--price-per-gb", "1000"];
    let outcome = asked.whole(&candidate, &range);
    let mut expected = BTreeMap::<(String, String), (u64, u64)>::new();
    let mut moved = BTreeMap::<bool, BTreeSet<String>>::new();
    for (id, trace) in &ledger.traces {
        let old = match (passes(10.0, trace), trace.error) {
            (_, true) => "kept by errors",
            (true, false) => "kept by the-rest",
            (false, false) => "dropped by none",
        };
        let is_payment = trace.services.iter().any(|it| it == "payment");
        let new = match (is_payment, passes(20.0, trace)) {
            (true, _) => "kept by payment",
            (false, true) => "kept by more",
            (false, false) => "dropped by none",
        };
        let cell = expected.entry((old.to_owned(), new.to_owned())).or_default();
        *cell = (cell.0 + 1, cell.1 + spans(trace));
        if old.starts_with("kept") != new.starts_with("kept") {
            moved.entry(new.starts_with("kept")).or_default().insert(id.to_string());
        }
    }
    assert_eq!(cells(&outcome), expected);
    let summary = &outcome["candidates"][0]["summary"];
    let lost = moved[&false].len();
    assert_eq!(summary["newlyLost"]["traces"]["value"], lost as f64);
    let remarks: BTreeMap<&str, &Value> = summary["policies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["name"].as_str().unwrap(), &row["remark"]))
        .collect();
    assert_eq!((remarks["less"], remarks["nobody"]), (&"redundant".into(), &"neverMatches".into()));
    assert_eq!((remarks["payment"], remarks["errors"]), (&Value::Null, &Value::Null));

    check_examples(&asked, summary, &moved);
    check_parts(&asked, &candidate, &outcome);
    let text = asked.run(&["--policies", &candidate, "--from", "10m"]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("kept by errors -> dropped") && text.contains('█'), "{text}");
    assert!(text.contains("matches no trace: nobody"), "{text}");

    let gate = |condition: &str| {
        let args = ["--from", "10m", "--policies", &candidate, "--fail-if", condition];
        asked.run(&args).status.code()
    };
    assert_eq!(gate("lost(errors) > 0"), Some(1));
    assert_eq!(gate(&format!("lost > {lost}")), Some(0));
    assert_eq!(gate("lost(erors) > 0"), Some(2), "a name that nobody has");
    let baseline = asked.policies("baseline.yaml", ERRORS_AND_A_TENTH);
    let judged = asked.whole(&candidate, &["--from", "10m", "--baseline", &baseline]);
    assert_eq!(cells(&judged), expected);
}

/// Examples are of the traces that moved, and can be opened.
fn check_examples(asked: &Asked, summary: &Value, moved: &BTreeMap<bool, BTreeSet<String>>) {
    let mut opened = 0;
    for change in summary["changes"].as_array().unwrap() {
        let is_kept = change["new"]["kept"].as_bool().unwrap();
        for example in change["examples"].as_array().unwrap() {
            let id = example["traceId"].as_str().unwrap();
            assert!(moved[&is_kept].contains(id), "{id}");
            if opened < 3 {
                let args = ["trace", id, "--config", &asked.file, "--output", "json"];
                let output = tailsieve().args(args).output().unwrap();
                assert!(output.status.success(), "{id}");
                opened += 1;
            }
        }
    }
    assert_eq!(opened, 3);
}

/// Parts of the partitions, each by a process of its own, and put together.
fn check_parts(asked: &Asked, candidate: &str, whole: &Value) {
    let time = |name: &str| {
        let millis = whole[name].as_u64().unwrap();
        humantime::format_rfc3339_millis(std::time::UNIX_EPOCH + Duration::from_millis(millis))
            .to_string()
    };
    let (from, to) = (time("fromUnixMilli"), time("toUnixMilli"));
    let part = |partitions: &str| {
        let args = ["--from", &from, "--to", &to, "--partition", partitions];
        let (code, part) = asked.json(candidate, &args);
        assert_eq!(code, Some(0), "{part}");
        part
    };
    let parts = [part("0,2,4,6,8,10"), part("1,3,5,7,9,11")];
    let files: Vec<String> = (parts.iter().enumerate())
        .map(|(number, part)| {
            asked.rig.scratch.write(&format!("{number}.json"), &part.to_string());
            asked.rig.scratch.join(&format!("{number}.json")).to_str().unwrap().to_owned()
        })
        .collect();
    let merge = |files: &[&str]| {
        let args = [&["whatif", "merge", "--output", "json"], files].concat();
        tailsieve().args(args).output().unwrap()
    };
    let merged = merge(&[&files[0], &files[1]]);
    let merged: Value = serde_json::from_slice(&merged.stdout).unwrap();
    assert_eq!(cells(&merged), cells(whole));
    assert_eq!(merged["partitions"], whole["partitions"]);
    let twice = merge(&[&files[0], &files[0]]);
    let said = String::from_utf8_lossy(&twice.stderr).into_owned();
    assert!(
        twice.status.code() == Some(2) && said.contains("both have read partition 0"),
        "{said}"
    );
    // One half is scaled up, and the truth is about there.
    let of = |outcome: &Value, what: &str| {
        outcome["candidates"][0]["summary"]["compared"]["traces"][what].as_f64().unwrap()
    };
    let (read, all) = (of(&parts[0], "value"), of(whole, "value"));
    assert!((0.7..1.3).contains(&(read / all)), "{read} of {all}");
    assert!(of(&parts[0], "low") < of(&parts[0], "high"));
}

/// Scenario: a comparison that reads slowly is told to stop when a part is read, and called again.
/// Guarantees: it says what it has, scaled up; the next call reads the rest, and comes to the whole.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn a_comparison_that_was_stopped_goes_on() {
    let (asked, ledger) = decided("whatif-state");
    let candidate = asked.policies("candidate.yaml", CANDIDATE);
    let whole = asked.whole(&candidate, &["--from", "10m"]);
    let state = asked.rig.scratch.join("state.json");
    let file = state.to_str().unwrap();
    let mut command = tailsieve();
    command.args(["whatif", "--config", &asked.file, "--policies", &candidate, "--from", "10m"]);
    command.args(["--state", file, "--threads", "1", "--bytes-per-second", "100kB"]);
    command.args(["--output", "json"]);
    let mut slow = Process::spawn(command, asked.rig.scratch.path(), "slow");
    eventually("a partition to be read", PATIENCE, || state.exists().then_some(()));
    let status = slow.terminate();
    let log = slow.log();
    assert!(status.success() && log.contains("of 12 partitions were read to their ends"), "{log}");
    let first: Value = serde_json::from_slice(&fs::read(&state).unwrap()).unwrap();
    let read = first["partitions"].as_array().unwrap().len();
    assert!((1..12).contains(&read), "{read}");

    let output = asked.run(&["--policies", &candidate, "--state", file, "--output", "json"]);
    let outcome: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{outcome}");
    assert_eq!(outcome["partitions"], whole["partitions"]);
    assert_eq!(outcome["fromUnixMilli"], first["fromUnixMilli"]);
    let all = cells(&outcome).values().map(|(traces, _)| traces).sum::<u64>();
    assert_eq!((cells(&outcome), all), (cells(&whole), ledger.traces.len() as u64));

    let other = asked.policies("other.yaml", ERRORS_AND_A_TENTH);
    asked.fails(&["--policies", &other, "--state", file], 2, "the state of another comparison");
}

/// Scenario: a trace begins before the range and has spans in it; another one begins in it and is open at
/// its end.
/// Guarantees: neither is compared, and both are counted.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn what_is_not_wholly_in_the_range_is_at_an_edge() {
    let rig = Rig::new("whatif-edges", ERRORS_AND_A_TENTH);
    let asked = Asked::new(rig);
    let now = source::now().0;
    let id = |number: u8| TraceId::from_slice(&[number; 16]).unwrap();
    let producer: BaseProducer = asked.rig.kafka.client().create().unwrap();
    let send = |trace: u8, span: u8, parent: Option<u8>, seconds_ago: i64| {
        let (id, payload) = (id(trace), one_span(id(trace), span, parent));
        let record = BaseRecord::to(asked.rig.topic.name()).key(id.as_bytes().as_slice());
        let record = record.payload(&payload).partition(0).timestamp(now - seconds_ago * 1000);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    };
    // The range is from 100 to 50 seconds ago.
    send(1, 1, Some(9), 103);
    send(1, 2, Some(9), 97);
    send(2, 1, None, 90);
    send(2, 2, Some(1), 89);
    // Late, of a trace that was decided before.
    send(1, 3, Some(9), 70);
    send(3, 1, Some(9), 55);
    send(3, 2, Some(9), 45);
    send(4, 1, None, 40);
    producer.flush(Duration::from_secs(30)).unwrap();
    let member = asked.rig.member("member");
    asked.rig.settle();
    drop(member);
    let good = asked.policies("good.yaml", ERRORS_AND_A_TENTH);
    let time = |seconds_ago: i64| {
        let at = Duration::from_millis((now - seconds_ago * 1000) as u64);
        humantime::format_rfc3339_millis(std::time::UNIX_EPOCH + at).to_string()
    };
    let (code, outcome) = asked.json(&good, &["--from", &time(100), "--to", &time(50)]);
    assert_eq!(code, Some(0), "{outcome}");
    let compared = cells(&outcome);
    assert!(compared.keys().all(|(old, new)| old == new), "{compared:?}");
    assert_eq!(compared.values().copied().collect::<Vec<_>>(), [(1, 2)]);
    let edges = &outcome["candidates"][0]["edges"];
    assert_eq!((&edges["beganBefore"], &edges["undecided"]), (&1.into(), &1.into()), "{edges}");
    assert_eq!((&edges["notOnRecord"], &edges["onlyOnRecord"]), (&0.into(), &0.into()), "{edges}");
    fs::remove_file(good).unwrap();
}
