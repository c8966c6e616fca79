//! `tailsieve decisions`, and the example that goes by it: logs of kept traces only.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rdkafka::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::Value;
use tailsieve::testing::ids::TraceId;
use tailsieve::testing::kafka::source;
use tailsieve::testing::testbed::generator::ModelSettings;

use crate::rig::{POLICIES, Rig};
use crate::support::{Member, Process, Topic, eventually, tailsieve};

const PATIENCE: Duration = Duration::from_secs(120);

/// A topic of traffic, all of it decided and delivered, and its decision log.
struct Decided {
    rig: Rig,
    log: String,
    file: String,
    /// By trace: whether it was kept, as the log has it.
    kept: BTreeMap<String, bool>,
    _member: Member,
}

impl Decided {
    fn new(test: &str) -> Self {
        let rig = Rig::new(test, POLICIES);
        let member = rig.member("member");
        let settings = ModelSettings {
            seed: 8,
            start: source::now(),
            rate: 5000.0,
            max_spans: Some(5000),
            late_fraction: 0.0,
            ..ModelSettings::default()
        };
        rig.write(settings, false).finish();
        rig.settle();
        let config = rig.config().replace("$ADMIN", "127.0.0.1:0");
        let file = rig.scratch.write("tailsieve.yaml", &config).to_str().unwrap().to_owned();
        let log = format!("{}_decisions", rig.topic.name());
        let mut decided = Self { rig, log, file, kept: BTreeMap::new(), _member: member };
        let entries = decided.lines(&["--from", "beginning", "--no-follow", "--entry", "decided"]);
        for entry in &entries {
            let kept = entry["decision"] == "keep";
            decided.kept.insert(entry["traceId"].as_str().unwrap().to_owned(), kept);
        }
        assert_eq!(decided.kept.len(), entries.len(), "each trace is decided once");
        decided
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = tailsieve();
        command.args(["decisions", "--config", &self.file]).args(args);
        command
    }

    /// What is printed as JSON.
    fn lines(&self, args: &[&str]) -> Vec<Value> {
        let output = self.command(args).args(["--output", "json"]).output().unwrap();
        let (code, said) = told(&output);
        assert_eq!(code, 0, "{args:?}: {said}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn told(output: &Output) -> (i32, String) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), said)
}

/// Scenario: a member decides some hundred traces, and its log is read in all ways.
/// Guarantees: each trace has its entry, each kept one a second; filters leave what they say; a range
/// without entries and wrong arguments end with other exit codes; no group is there.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn the_decision_log_is_shown_as_it_is() {
    let decided = Decided::new("decisions");
    let kept = decided.kept.values().filter(|kept| **kept).count();
    assert!(kept > 0 && kept < decided.kept.len(), "{kept} of {}", decided.kept.len());
    let all = ["--from", "-1h", "--no-follow"];
    let with = |more: &[&str]| decided.lines(&[&all[..], more].concat());

    assert_eq!(with(&[]).len(), decided.kept.len() + kept, "a second entry of each kept trace");
    let until_now = decided.lines(&["--from", "beginning", "--until", "0s"]);
    assert_eq!(until_now.len(), with(&[]).len(), "it ends when the time is over");
    let delivered = with(&["--entry", "delivered"]);
    assert!(
        delivered.iter().all(|entry| entry["delivered"] == true && entry["decision"] == "keep")
    );
    assert_eq!(delivered.len(), kept);
    assert_eq!(with(&["--dropped"]).len(), decided.kept.len() - kept);
    let errors = with(&["--policy", "errors", "--kept"]);
    assert!(!errors.is_empty() && errors.iter().all(|entry| entry["policy"] == "errors"));
    let by_root = with(&["--trigger", "root", "--entry", "decided"]);
    assert!(by_root.iter().all(|entry| entry["trigger"] == "root"));
    let (trace, _) = decided.kept.iter().find(|(_, kept)| **kept).unwrap();
    let of_trace = with(&["--trace", trace]);
    assert_eq!(of_trace.len(), 2, "{of_trace:?}");

    let run = |args: &[&str]| told(&decided.command(args).output().unwrap());
    let (code, said) = run(&["--no-follow"]);
    assert_eq!(code, 1, "the log ends where reading begins: {said}");
    let (code, said) = run(&["--from", "beginning", "--until", "2020-01-01T00:00:00Z"]);
    assert_eq!(code, 1, "{said}");
    let (code, said) = run(&["--topic", "nowhere-to-be-found"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("the topic nowhere-to-be-found does not exist"), "{said}");
    for wrong in [&["--kept", "--dropped"][..], &["--trace", "12"], &["--from", "soon"]] {
        let (code, said) = run(wrong);
        assert_eq!(code, 2, "{said}");
    }

    let mut without_file = tailsieve();
    without_file.args(["decisions", "--brokers", decided.rig.kafka.address(), "--no-follow"]);
    without_file.args(["--topic", &decided.log, "--from", "beginning", "--output", "json"]);
    let of = |more: &[&str], command: &mut Command| {
        let output = command.args(more).output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().count()
    };
    assert_eq!(of(&[], &mut without_file), decided.kept.len() + kept, "all groups");
    assert_eq!(of(&["--group", "nobody"], &mut without_file), 0);
    let committed = decided.rig.kafka.committed("tailsieve-decisions", &decided.rig.topic);
    assert!(committed.values().all(Option::is_none), "{committed:?}");
}

/// Guarantees: what is decided while it is followed is shown at once; a signal ends it in good order;
/// so does a reader that leaves.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn the_decision_log_is_followed() {
    let decided = Decided::new("decisions-follow");
    let mut followed = decided.command(&[]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(followed.stdout.take().unwrap()).lines();
    // From when on it reads is not to be seen: traffic goes on until something is shown.
    let is_shown = AtomicBool::new(false);
    let line = thread::scope(|scope| {
        scope.spawn(|| {
            while !is_shown.load(Ordering::Relaxed) {
                let settings = ModelSettings {
                    start: source::now(),
                    max_spans: Some(500),
                    ..ModelSettings::default()
                };
                decided.rig.write(settings, false).finish();
            }
        });
        let line = lines.next().unwrap().unwrap();
        is_shown.store(true, Ordering::Relaxed);
        line
    });
    assert!(line.contains("  keep  by ") || line.contains("  drop  by "), "{line}");
    let id = followed.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(followed.wait().unwrap().code(), Some(0));

    let mut all = decided.command(&["--from", "beginning", "--no-follow"]);
    let mut all = all.stdout(Stdio::piped()).spawn().unwrap();
    drop(all.stdout.take());
    assert_eq!(all.wait().unwrap().code(), Some(0), "the reader has seen enough");
}

/// Writes a log record of each trace, and one without a trace.
fn write_logs(decided: &Decided, topic: &Topic) {
    let producer: BaseProducer = decided.rig.kafka.client().create().unwrap();
    let send = |key: &str, value: &str| {
        let record = BaseRecord::to(topic.name()).payload(value);
        let record = if key.is_empty() { record } else { record.key(key) };
        producer.send(record).unwrap();
    };
    for trace in decided.kept.keys() {
        send(trace, trace);
    }
    send("", "without a trace");
    send(UNDECIDED, "undecided");
    producer.flush(PATIENCE).unwrap();
}

const UNDECIDED: &str = "ffffffffffffffffffffffffffffffff";

/// Scenario: logs of kept and of dropped traces, of none, and of one that nobody decides.
/// Guarantees: the example passes on the first, the third and, as it is told to, the last; it commits
/// all of them; and what was dropped stays away.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn logs_of_kept_traces_are_passed_on() {
    assert!(TraceId::from_hex(UNDECIDED.as_bytes()).is_some());
    let decided = Decided::new("decisions-logs");
    let kafka = &decided.rig.kafka;
    let (logs, out) = (kafka.topic("logs", 3, &[]), kafka.topic("logs-kept", 3, &[]));
    write_logs(&decided, &logs);
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/");
    let python = Command::new(format!("{root}tests/support/python-kafka")).output().unwrap();
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
    let mut example = Command::new(String::from_utf8(python.stdout).unwrap().trim());
    let tailsieve = tailsieve().get_program().to_str().unwrap().to_owned();
    example.arg(format!("{root}deploy/examples/logs/keep_logs_of_kept_traces.py"));
    example.args(["--brokers", kafka.address(), "--logs", logs.name(), "--out", out.name()]);
    example.args(["--group", logs.name(), "--decisions", &decided.log, "--wait", "5"]);
    example.args(["--tailsieve", &tailsieve, "--sampler-group", decided.rig.topic.name()]);
    let mut example = Process::spawn(example, decided.rig.scratch.path(), "example");
    let ends = logs.end_offsets();
    eventually("all logs to be committed", PATIENCE, || {
        assert!(example.is_running(), "{}", example.log());
        let committed = kafka.committed(logs.name(), &logs);
        ends.iter().all(|(it, end)| committed.get(it) == Some(&Some(*end))).then_some(())
    });
    assert!(example.terminate().success(), "{}", example.log());

    let payload = |record: &rdkafka::message::OwnedMessage| {
        String::from_utf8(record.payload().unwrap().to_vec()).unwrap()
    };
    let passed: Vec<String> = out.records().iter().map(payload).collect();
    let kept = decided.kept.iter().filter(|(_, kept)| **kept).map(|(trace, _)| trace.clone());
    let expected: BTreeSet<_> =
        kept.chain(["without a trace".to_owned(), "undecided".to_owned()]).collect();
    assert_eq!(passed.iter().cloned().collect::<BTreeSet<_>>(), expected);
    assert_eq!(passed.len(), expected.len(), "each once");
}
