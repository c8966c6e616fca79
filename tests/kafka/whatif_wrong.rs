//! `tailsieve whatif` where something is not there, or not as it should be.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

use rdkafka::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::Value;
use tailsieve::testing::kafka::source;
use tailsieve::testing::testbed::generator::{Layout, ModelSettings};

use crate::rig::{ERRORS_AND_A_TENTH, Rig};
use crate::support::{Kafka, Process, Scratch, eventually, tailsieve};
use crate::whatif::{Asked, PATIENCE, cells, decided};

/// Guarantees: who asks for what is not there is told so, and by exit codes.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn who_asks_for_what_is_not_there_is_told_so() {
    let (asked, _) = decided("whatif-missing");
    let good = asked.policies("good.yaml", ERRORS_AND_A_TENTH);
    let broken = asked.policies("broken.yaml", "policies: [{name: a, type: guess}]");
    asked.fails(&["--policies", &broken], 2, "broken.yaml:1:");
    let policies = ["--policies", &good];
    let fails =
        |more: &[&str], code, what: &str| asked.fails(&[&policies, more].concat(), code, what);
    fails(&["--from", "1h", "--to", "2h"], 2, "the range is empty");
    fails(&["--from", "10h", "--to", "9h"], 3, "has no records in that range");
    fails(&["--topic", "nowhere-to-be-found"], 2, "does not exist");
    fails(&["--decision-log", "nowhere-to-be-found"], 2, "in force with --baseline");
    fails(&["--partition", "99"], 2, "there is no partition 99");
    fails(&["--fail-if", "money > 3"], 2, "--price-per-gb");
    fails(&["--fail-if", "much"], 2, "lost(errors) > 0");

    let topic = &asked.rig.topic;
    let ends = topic.end_offsets();
    let half: BTreeMap<i32, i64> = ends.iter().map(|(it, end)| (*it, end / 2)).collect();
    topic.delete_records(&half);
    let (code, outcome) = asked.json(&good, &["--from", "10m"]);
    assert_eq!((code, &outcome["isCut"]), (Some(4), &Value::Bool(true)), "{outcome}");
    topic.delete_records(&ends);
    fails(&["--from", "10m"], 4, "Kafka has deleted those that it had");

    fails_without_log(&asked, &good);
    fails_without_kafka(&asked, &good);
}

/// So many traces of some minutes ago, which are all due.
fn due(traces: u64) -> ModelSettings {
    let start = source::now().before(Duration::from_secs(300));
    ModelSettings { start, max_traces: Some(traces), ..ModelSettings::default() }
}

/// Decisions are not on record: without a baseline that is told, and with one it is no matter.
fn fails_without_log(asked: &Asked, good: &str) {
    let config = fs::read_to_string(&asked.file).unwrap();
    let without =
        asked.policies("no-log.yaml", &format!("{config}decision_log: {{enabled: false}}\n"));
    let args = ["--policies", good, "--from", "10m"];
    asked.fails_with(&without, &args, 2, "name the policies that were in force with --baseline");
    // A log that nobody has written.
    let topic = asked.rig.kafka.topic("whatif-undecided", 4, &[]);
    let log = asked.rig.kafka.topic("whatif-undecided-log", 4, &[]);
    asked.rig.write_to(&topic, due(100), false).finish();
    let later = ["--to", "2100-01-01T00:00:00Z", "--warm-up", "0", "--topic", topic.name()];
    let args = ["--policies", good, "--decision-log", log.name()];
    let off_record =
        "100 have no decision on record; --baseline compares with a policy file instead";
    asked.fails(&[&args[..], &later].concat(), 3, off_record);
    let judged = ["--policies", good, "--baseline", good];
    for file in [&without, &asked.file] {
        let output = asked.run_with(file, &[&judged[..], &later].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
}

/// That Kafka does not answer is no condition that holds.
fn fails_without_kafka(asked: &Asked, good: &str) {
    let config = fs::read_to_string(&asked.file).unwrap();
    let away = config.replace(asked.rig.kafka.address(), "127.0.0.1:9");
    let away = asked.policies("away.yaml", &away);
    let args = ["--policies", good, "--from", "10m", "--fail-if", "lost > 0"];
    asked.fails_with(&away, &args, 5, "Kafka at 127.0.0.1:9");
}

/// Scenario: a topic of batches without keys; one whose records are keyed by something else, which scatters traces;
/// one on which some traces are scattered.
/// Guarantees: each is told of with what mends it, and none that is keyed wrongly is taken for a sample.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn a_topic_that_is_not_keyed_by_trace_id_is_told_of() {
    let asked = Asked::new(Rig::new("whatif-keys", ERRORS_AND_A_TENTH));
    let good = asked.policies("good.yaml", ERRORS_AND_A_TENTH);
    // Batches of several traces have no key.
    let keyless = asked.rig.kafka.topic("whatif-keyless", 4, &[]);
    let settings = ModelSettings { layout: Layout::Batched, ..due(100) };
    asked.rig.write_to(&keyless, settings, false).finish();
    let args = ["--topic", keyless.name(), "--baseline", &good, "--warm-up", "0"];
    let later = ["--to", "2100-01-01T00:00:00Z"];
    let part = ["--partitions", "2", "--policies", &good];
    asked.fails(&[&args[..], &later, &part].concat(), 2, "have no key");
    let notes = |topic: &str| {
        let args = ["--topic", topic, "--baseline", &good, "--warm-up", "0"];
        let (code, outcome) = asked.json(&good, &[&args[..], &later].concat());
        assert_eq!(code, Some(0), "{outcome}");
        let notes = outcome["notes"].as_array().unwrap().iter();
        (
            notes.map(|it| it.as_str().unwrap().to_owned()).collect::<Vec<_>>(),
            outcome["read"].clone(),
        )
    };
    let (told, _) = notes(keyless.name());
    assert!(told[0].contains("have no key") && told[0].contains("tailsieve rekey"), "{told:?}");

    asked.rig.write(due(3000), false).finish();
    let topic = asked.rig.topic.name();
    let (told, read) = notes(topic);
    assert_eq!((told.as_slice(), &read["foreignKey"]), (&[][..], &0.into()), "{read}");
    let looked_for = read["lookedFor"].as_u64().unwrap();
    assert!((10..150).contains(&looked_for) && read["scattered"] == 0, "{read}");

    // The same, keyed by services; and with some of the records on a partition of their own.
    let (foreign, moved) = (
        asked.rig.kafka.topic("whatif-foreign", 4, &[]),
        asked.rig.kafka.topic("whatif-moved", 4, &[]),
    );
    let producer: BaseProducer = asked.rig.kafka.client().create().unwrap();
    for (number, record) in asked.rig.topic.records().iter().enumerate() {
        let (key, payload) = (format!("shop-{}", number % 7), record.payload().unwrap());
        let at = record.timestamp().to_millis().unwrap();
        let keyed = BaseRecord::to(foreign.name()).key(&key).payload(payload);
        producer.send(keyed.timestamp(at)).map_err(|(error, _)| error).unwrap();
        let keyed = BaseRecord::<[u8], [u8]>::to(moved.name()).key(record.key().unwrap());
        let partition = if number.is_multiple_of(4) { 3 } else { record.partition() % 3 };
        let keyed = keyed.payload(payload).partition(partition).timestamp(at);
        producer.send(keyed).map_err(|(error, _)| error).unwrap();
        producer.poll(Duration::ZERO);
    }
    producer.flush(Duration::from_secs(60)).unwrap();
    let (told, read) = notes(foreign.name());
    assert!(told.len() == 2 && told[0].contains("a key that is not their trace id"), "{told:?}");
    assert!(told[1].contains("have spans on several partitions"), "{told:?}");
    assert_eq!(read["foreignKey"], read["records"], "{read}");
    let (told, read) = notes(moved.name());
    assert!(told.len() == 1 && told[0].contains("have spans on several partitions"), "{told:?}");
    assert!(read["foreignKey"] == 0 && read["scattered"].as_u64() <= read["lookedFor"].as_u64());
    let part =
        ["--topic", moved.name(), "--baseline", &good, "--warm-up", "0", "--partition", "0,3"];
    let policies = ["--policies", &good];
    asked.fails(&[&part[..], &policies, &later].concat(), 2, "is no sample of traces");
}

/// Runs a Kafka of its own in this folder: `serve`, or `resume` with the data and ports that it had.
fn broker(scratch: &Scratch, what: &str) -> Process {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/kafka"));
    command.arg(what).arg(scratch.path()).env("TAILSIEVE_KAFKA_HEAP", "384m");
    Process::spawn(command, scratch.path(), what)
}

/// Scenario: Kafka goes away while it is read, and comes back.
/// Guarantees: that is told, by an exit code of its own; what was read is in the state, and the next call comes to
/// the whole.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn kafka_that_goes_away_is_told_and_the_next_call_goes_on() {
    let scratch = Scratch::new("whatif-away");
    let mut serving = broker(&scratch, "serve");
    let address = eventually("Kafka to start", PATIENCE, || {
        assert!(serving.is_running(), "Kafka ended: {}", serving.log());
        fs::read_to_string(scratch.join("address")).ok()
    });
    let rig = Rig::on(Kafka::at(address.trim()), "whatif-away", ERRORS_AND_A_TENTH);
    rig.write(due(1500), false).finish();
    let asked = Asked::new(rig);
    let good = asked.policies("good.yaml", ERRORS_AND_A_TENTH);
    let state = asked.rig.scratch.join("state.json");
    let args = ["--policies", &good, "--baseline", &good, "--warm-up", "0"];
    let of_all = ["--output", "json", "--state", state.to_str().unwrap()];
    let whole = asked.run(&[&args[..], &of_all[..2]].concat());
    assert_eq!(whole.status.code(), Some(0), "{whole:?}");

    let mut command = tailsieve();
    command.args(["whatif", "--config", &asked.file]).args(args).args(of_all);
    command.args(["--threads", "1", "--bytes-per-second", "100kB"]);
    let mut slow = Process::spawn(command, asked.rig.scratch.path(), "slow");
    eventually("a partition to be read", PATIENCE, || state.exists().then_some(()));
    serving.terminate();
    let (status, log) = (slow.wait(), slow.log());
    assert_eq!(status.code(), Some(5), "{log}");
    assert!(log.contains(&format!("error: Kafka at {}", address.trim())), "{log}");
    let read: Value = serde_json::from_slice(&fs::read(&state).unwrap()).unwrap();
    assert!((1..12).contains(&read["partitions"].as_array().unwrap().len()), "{read}");

    let resumed = broker(&scratch, "resume");
    let rest = eventually("Kafka to be back", PATIENCE, || {
        let output = asked.run(&[&args[..], &of_all].concat());
        (output.status.code() == Some(0)).then_some(output)
    });
    let [whole, rest] =
        [whole, rest].map(|it| serde_json::from_slice::<Value>(&it.stdout).unwrap());
    assert_eq!(cells(&rest), cells(&whole));
    drop(asked);
    drop(resumed);
}
