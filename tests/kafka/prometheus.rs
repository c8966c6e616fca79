//! A real Prometheus, with the alerts, the rules and the expressions of the dashboard that we ship, in
//! front of real members.
//!
//! What is shipped thinks in minutes; here a minute is a second, and the objectives are shorter.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::Value;
use tailsieve::testing::ids::TraceId;
use tailsieve::testing::testbed::receiver::Behaviour;

use crate::rig::{Rig, one_span};
use crate::support::{Member, Process, Prometheus, eventually, tailsieve};

const PATIENCE: Duration = Duration::from_secs(60);

/// A policy of each kind that has metrics of its own.
const POLICIES: &str = "
decision_wait: 2s
decision_wait_after_root_received: 1s
policies:
  - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
  - {name: tried, mode: shadow, type: always_sample}
  - {name: sampled, type: probabilistic, probabilistic: {sampling_percentage: 10}}
  - name: shared
    type: composite
    composite:
      max_total_spans_per_second: 60
      policy_order: [rest]
      composite_sub_policy: [{name: rest, type: always_sample}]
";

/// Decides later than the objective has it, and has a condition that cannot be evaluated.
const SLOW_POLICIES: &str = "
decision_wait: 8s
decision_wait_after_root_received: 8s
policies:
  - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
  - {name: odd, type: ottl_condition, ottl_condition: {span: ['attributes[\"missing\"] * 2 > 1']}}
  - {name: sampled, type: probabilistic, probabilistic: {sampling_percentage: 10}}
";

/// Alerts for what cannot be brought about here; their tests are those of promtool, in
/// `tests/deploy/alerts`.
const NOT_PROVOKED: [(&str, &str); 4] = [
    ("TailsieveRecordsSkipped", "only a defect does that"),
    ("TailsieveDecisionLogFailing", "the Kafka of the tests would have to fail"),
    ("TailsieveCommitsFailing", "the Kafka of the tests would have to fail"),
    (
        "TailsieveKafkaDenied",
        "the Kafka of this test refuses nobody; that of `acl` does, and it is counted",
    ),
];

/// Prometheus, and the expressions that had no value yet.
struct Watch {
    prometheus: Prometheus,
    /// Where they are from.
    unanswered: BTreeMap<String, String>,
    /// The alerts that are to fire and have not.
    unprovoked: BTreeSet<String>,
    since: Instant,
}

impl Watch {
    fn start(rig: &Rig) -> Self {
        let prometheus = Prometheus::start(rig.scratch.path());
        let mut unanswered = of_dashboard();
        let mut unprovoked = BTreeSet::new();
        for (name, expr, _) in prometheus.rules() {
            if name.starts_with("Tailsieve") {
                unprovoked.insert(name);
            } else {
                unanswered.insert(expr, format!("rule {name}"));
                unanswered.insert(name.clone(), format!("record {name}"));
            }
        }
        assert!(unanswered.len() > 100 && unprovoked.len() > 20, "all of them are looked at");
        Self { prometheus, unanswered, unprovoked, since: Instant::now() }
    }

    /// Asks for every expression that had no value yet.
    fn look(&mut self) {
        let prometheus = &self.prometheus;
        self.unanswered.retain(|expr, whence| {
            let values =
                prometheus.query(expr).unwrap_or_else(|error| panic!("{whence}: {expr}: {error}"));
            assert!(!values.iter().any(|value| value.is_nan()), "{whence}: {expr} is NaN");
            values.is_empty()
        });
        for (name, expr, error) in prometheus.rules() {
            assert_eq!(error, "", "{name}: {expr}");
        }
    }

    /// Waits until all these alerts have fired.
    fn wait_firing(&mut self, alerts: &[&str]) {
        for alert in alerts {
            eventually(&format!("{alert} to fire"), PATIENCE, || {
                let firing = self.prometheus.firing();
                self.unprovoked.retain(|alert| !firing.contains(alert));
                (!self.unprovoked.contains(*alert)).then_some(())
            });
            println!("{:5.1} s: {alert} fires", self.since.elapsed().as_secs_f64());
            self.look();
        }
    }

    /// Waits until no alert fires.
    fn wait_quiet(&self) {
        eventually("all alerts to end", PATIENCE, || {
            self.prometheus.firing().is_empty().then_some(())
        });
    }
}

/// The expressions of the dashboard, and where they are.
fn of_dashboard() -> BTreeMap<String, String> {
    let file = "deploy/grafana/dashboards/tailsieve.json";
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let mut found = BTreeMap::new();
    collect(&serde_json::from_str(&text).unwrap(), "", &mut found);
    found
}

fn collect(value: &Value, title: &str, found: &mut BTreeMap<String, String>) {
    let named = |key: &str| value[key].as_str().map(str::to_owned);
    match value {
        Value::Object(fields) => {
            let title = named("title").or_else(|| named("name")).unwrap_or(title.to_owned());
            if let Some(expr) = named("expr") {
                found.insert(filled_in(&expr), format!("{title:?} of the dashboard"));
            }
            fields.values().for_each(|field| collect(field, &title, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, title, found)),
        _ => {}
    }
}

/// An expression with what Grafana puts in the place of its variables.
fn filled_in(expr: &str) -> String {
    let values = [
        ("$__rate_interval", "10s"),
        ("$__range", "1m"),
        ("$price", "0.5"),
        ("$job", ".+"),
        ("$instance", ".+"),
    ];
    let filled =
        values.iter().fold(expr.to_owned(), |expr, (name, value)| expr.replace(name, value));
    assert!(!filled.contains('$'), "a variable is left in {filled}");
    filled
}

/// Traffic, by `tailsieve generate`, until it is told to end.
fn generate(rig: &Rig) -> Process {
    let mut command = tailsieve();
    command
        .args(["generate", "--rate", "500", "--late-fraction", "0.05", "--late-by", "3s"])
        .args(["--brokers", rig.kafka.address(), "--topic", rig.topic.name()]);
    Process::spawn(command, rig.scratch.path(), "generate")
}

/// A record that cannot be read, a span without an id, and one without a key.
fn write_nonsense(rig: &Rig) {
    let producer: BaseProducer = rig.kafka.client().create().unwrap();
    let span = |span| one_span(TraceId::from_slice(&[7; 16]).unwrap(), span, None);
    for payload in [b"\xff\xff nonsense".as_slice(), &span(0), &span(1)] {
        let record = BaseRecord::<[u8], [u8]>::to(rig.topic.name()).payload(payload);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

/// Scenario: two members with traffic; the backend goes away, and retention overtakes them; it comes back,
/// and is slow; policies are reloaded, badly and well; nonsense is written; beside them are a member
/// without Kafka and one with little memory; the traffic ends; a member freezes, comes back and leaves;
/// the topic is made anew.
/// Guarantees: while all is well no alert fires; each alert fires in the situation that it is for; every
/// expression of the dashboard and of the rules has a value at some time, and never an error or NaN.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn prometheus_shows_and_tells_what_happens() {
    let mut rig = Rig::new("prometheus", POLICIES)
        .with_kafka("properties: {session.timeout.ms: 6000, heartbeat.interval.ms: 500}");
    let dead = rig.kafka.topic("prometheus-dead", 1, &[]);
    rig = rig.with(&format!("dead_letter: {{topic: {}}}\n", dead.name()));
    // Small queues: lag shows soon after the backend is away.
    rig = rig.with("buffer: {queue_bytes: 64KiB, max_bytes: 1GiB}\n");
    let config = rig.config().replace("8MiB", "128KiB");
    let start = |name: &str, config: &str| Member::start(rig.scratch.path(), name, config);
    let backend = rig.receiver.as_ref().unwrap();
    let mut watch = Watch::start(&rig);
    watch.wait_firing(&["TailsieveAbsent"]);

    let (mut first, mut second) = (start("first", &config), start("second", &config));
    first.wait_ready();
    second.wait_ready();
    watch.prometheus.scrape(&[first.admin(), second.admin()]);
    let mut traffic = generate(&rig);
    first.wait_for_metrics("kept spans", |it| it.sum("tailsieve_kept_spans_total") > 100.0);
    watch.wait_quiet();
    watch.look();

    backend.behave(Behaviour::Unavailable);
    watch.wait_firing(&["TailsieveBackendDown", "TailsieveOffsetHeldBack", "TailsieveBehind"]);
    rig.topic.delete_records(&rig.topic.end_offsets());
    backend.behave(Behaviour::PartialSuccess { rejected: 1 });
    watch.wait_firing(&["TailsieveRecordsLost", "TailsieveSpansRefused"]);

    backend.behave(Behaviour::Accept);
    rig.scratch.write("policies.yaml", "policies: [{name: bad, type: guess}]\n");
    write_nonsense(&rig);
    let bad = ["TailsievePoliciesNotReloaded", "TailsieveDeadLetters", "TailsieveMisrouted"];
    watch.wait_firing(&bad);
    backend.behave(Behaviour::Delay(Duration::from_millis(1500)));
    rig.scratch.write("policies.yaml", SLOW_POLICIES);
    let no_kafka = config.replace(rig.kafka.address(), "127.0.0.1:1");
    let little = config.replace("group_id: ", "group_id: little-").replace("1GiB", "100KiB");
    let (lonely, little) = (start("lonely", &no_kafka), start("little", &little));
    watch.prometheus.scrape(&[first.admin(), second.admin(), lonely.admin(), little.admin()]);
    watch.wait_firing(&["TailsieveExportSlow", "TailsieveDecisionsSlow", "TailsievePolicyErrors"]);
    watch.wait_firing(&["TailsieveNotReady", "TailsieveMemoryPressure"]);
    backend.behave(Behaviour::Accept);
    watch.prometheus.scrape(&[first.admin(), second.admin()]);
    drop((lonely, little));

    traffic.terminate();
    second.process.signal("STOP");
    watch.wait_firing(&["TailsieveMemberDown"]);
    first.wait_for_metrics("all partitions", |it| {
        it.sum("tailsieve_kafka_owned_partitions") == 12.0
    });
    second.process.signal("CONT");
    watch.wait_firing(&["TailsievePartitionsLost"]);
    assert!(second.process.terminate().success());
    rig.topic.recreate();
    watch.wait_firing(&["TailsieveTopicRecreated", "TailsieveInputDriedUp"]);
    first.process.kill();

    assert!(watch.unanswered.is_empty(), "without a value all the time: {:#?}", watch.unanswered);
    assert_eq!(
        watch.unprovoked,
        NOT_PROVOKED.map(|(alert, _)| alert.to_owned()).into(),
        "did not fire"
    );
}
