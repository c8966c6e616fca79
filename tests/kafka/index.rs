//! The index of the decision log: look-ups by trace id read little of the log, and miss nothing, whatever
//! the index lacks.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use serde_json::Value;
use tailsieve::testing::kafka::source;
use tailsieve::testing::testbed::generator::ModelSettings;

use crate::rig::{POLICIES, Rig, checked_scrape};
use crate::support::{eventually, tailsieve};
use crate::trace;

/// How many traces are looked up each time.
const LOOKED_UP: usize = 8;

const SHORT_STRETCHES: &str = "decision_log: {index: {max_entries: 64, max_age: 2s}}\n";

/// The entries of each trace, by where they are in the log.
type Entries = BTreeMap<String, BTreeSet<(i64, i64)>>;

struct LookUp {
    log: u64,
    index: u64,
}

struct World {
    rig: Rig,
    file: String,
    file_without: String,
}

impl World {
    fn run(&self, args: &[&str]) -> Output {
        tailsieve().args(args).output().unwrap()
    }

    fn entries(&self) -> Entries {
        let mut entries = Entries::new();
        for entry in trace::entries(&self.file) {
            if entry["formerOwner"] == false {
                let id = entry["traceId"].as_str().unwrap().to_owned();
                entries.entry(id).or_default().insert(place(&entry));
            }
        }
        entries
    }

    /// Looks traces up, which have to have all of their entries, and sums up what was read.
    fn look_up<'a>(
        &self,
        file: &str,
        traces: impl Iterator<Item = (&'a String, &'a BTreeSet<(i64, i64)>)>,
    ) -> LookUp {
        let mut read = LookUp { log: 0, index: 0 };
        for (id, entries) in traces {
            let output = self.run(&["trace", id, "--config", file, "--output", "json"]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{id}: {said}");
            let object: Value = serde_json::from_slice(&output.stdout).unwrap();
            let found = object["entries"].as_array().unwrap().iter().map(place);
            assert_eq!(found.collect::<BTreeSet<_>>(), *entries, "{id}");
            read.log += object["readBytes"]["decisionLog"].as_u64().unwrap();
            read.index += object["readBytes"]["decisionIndex"].as_u64().unwrap();
        }
        read
    }

    fn delete(&self, topic: &str) {
        let admin: AdminClient<DefaultClientContext> = self.rig.kafka.client().create().unwrap();
        let deleted = admin.delete_topics(&[topic], &AdminOptions::new());
        let deleted = self.rig.runtime.block_on(deleted).unwrap();
        assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    }
}

fn place(entry: &Value) -> (i64, i64) {
    (entry["partition"].as_i64().unwrap(), entry["logOffset"].as_i64().unwrap())
}

/// Scenario: a member writes many stretches and is killed; a second one takes over, and stops in good
/// order. Traces are looked up while the index is there, without it, and after its topic was deleted.
/// Guarantees: each has all of its entries each time; with the index a small part of the log is read,
/// also for a trace that is not there.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn a_look_up_by_id_reads_a_small_part_of_the_log_and_misses_nothing() {
    let rig = Rig::new("index", POLICIES).with(SHORT_STRETCHES);
    let index = format!("{}_decisions_index", rig.topic.name());
    let file = |name: &str, text: &str| {
        let text = text.replace("$ADMIN", "127.0.0.1:0");
        rig.scratch.write(name, &text).to_str().unwrap().to_owned()
    };
    let config = rig.config();
    let off = "decision_log: {index: {enabled: false}}\n";
    let (with, without) = (file("with.yaml", &config), config.replace(SHORT_STRETCHES, off));
    let without = file("without.yaml", &without);
    let world = World { rig, file: with, file_without: without };
    let rig = &world.rig;

    let mut first = rig.member("first");
    let settings = ModelSettings {
        seed: 22,
        start: source::now(),
        rate: 4000.0,
        max_spans: Some(100_000),
        late_fraction: 0.05,
        duplicate_fraction: 0.0,
        ..ModelSettings::default()
    };
    let writing = rig.write(settings, true);
    writing.wait_for(50_000);
    eventually("the first member to write stretches", std::time::Duration::from_secs(60), || {
        let scrape = checked_scrape(&first);
        let written = scrape.sum("tailsieve_decision_index_written_records_total");
        (written > 100.0).then_some(())
    });
    first.process.kill();
    let mut second = rig.member("second");
    writing.finish();
    rig.settle();
    let scrape = checked_scrape(&second);
    assert_eq!(scrape.sum("tailsieve_decision_index_failures_total"), 0.0);
    assert!(scrape.sum("tailsieve_decision_index_written_bytes_total") > 0.0);
    second.process.terminate();

    let entries = world.entries();
    assert!(entries.len() > 1000, "{}", entries.len());
    let step = entries.len() / LOOKED_UP;
    let some = || entries.iter().step_by(step);
    let read = world.look_up(&world.file, some());
    let all = world.look_up(&world.file_without, some());
    eprintln!(
        "{} look-ups: {} bytes of the log and {} of the index; {} bytes without",
        some().count(),
        read.log,
        read.index,
        all.log
    );
    assert_eq!(all.index, 0);
    assert!(read.index > 0 && (read.log + read.index) * 4 < all.log);

    world.delete(&index);
    let read = world.look_up(&world.file, some().take(2));
    assert_eq!(read.index, 0);
}
