//! `tailsieve doctor` on a set-up that is in order, and with one mistake after the other in it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;
use tailsieve::testing::kafka::cluster;
use tailsieve::testing::kafka::decision_log::{DecisionLogSettings, topic as log_topic};
use tailsieve::testing::kafka::source;
use tailsieve::testing::testbed::generator::{Layout, ModelSettings};

use crate::rig::{POLICIES, Rig};
use crate::support::{Topic, eventually, free_address, tailsieve};

const GOOD: (&str, &str) = ("message.timestamp.type", "LogAppendTime");

fn traffic(layout: Layout) -> ModelSettings {
    ModelSettings {
        seed: 1,
        start: source::now(),
        rate: 20_000.0,
        layout,
        max_spans: Some(10_000),
        ..ModelSettings::default()
    }
}

/// The findings of one run, by check: the worst one's state, text and fix.
struct Findings {
    code: Option<i32>,
    by_check: BTreeMap<String, (String, String)>,
    all: String,
}

/// Runs the doctor on `config`, in which `$ADMIN` stands for a free address.
fn doctor(rig: &Rig, config: &str) -> Findings {
    let file = rig.scratch.path().join("doctor.yaml");
    fs::write(&file, config.replace("$ADMIN", &free_address())).unwrap();
    let mut command = tailsieve();
    command.args(["doctor", "--output=json", "--config"]).arg(&file);
    let output = command.output().unwrap();
    let all = String::from_utf8(output.stdout).unwrap();
    let report: Value = serde_json::from_str(&all).unwrap();
    let mut by_check = BTreeMap::<String, (String, String)>::new();
    for finding in report["checks"].as_array().unwrap() {
        let get = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        let said = format!("{} -> {}", get("text"), get("fix"));
        let is_better = |(state, _): &(String, String)| state == "ok" || state == "skipped";
        if by_check.get(&get("check")).is_none_or(is_better) {
            by_check.insert(get("check"), (get("state"), said));
        }
    }
    Findings { code: output.status.code(), by_check, all }
}

impl Findings {
    /// Fails unless `check` came out as `state` and says `text`.
    fn assert(&self, check: &str, state: &str, text: &str) {
        let found = self.by_check.get(check);
        let is_so = found.is_some_and(|(found, said)| found == state && said.contains(text));
        assert!(is_so, "{check} is not {state} with {text:?} in\n{}", self.all);
        assert_eq!(self.code == Some(1), self.by_check.values().any(|(it, _)| it == "error"));
    }
}

/// A topic that the whole cluster knows of.
fn new_topic(rig: &Rig, name: &str, partitions: i32, configs: &[(&str, &str)]) -> Topic {
    let topic = rig.kafka.topic(name, partitions, configs);
    let client: BaseConsumer = rig.kafka.client().create().unwrap();
    eventually("the topic to be known", Duration::from_secs(30), || {
        cluster::partitions(&client, topic.name()).ok().flatten()
    });
    topic
}

fn make_decision_log(rig: &Rig, topic: &Topic) {
    let settings = DecisionLogSettings {
        topic: format!("{}_decisions", topic.name()),
        brokers: rig.kafka.address().to_owned(),
        group_id: "tailsieve".into(),
        client_id: "tailsieve-tests".into(),
        properties: Vec::new(),
        index: None,
    };
    log_topic::check(&settings, topic.name(), true).unwrap();
}

/// Writes keyed values, with a time of their own, by librdkafka's `partitioner`.
fn write(rig: &Rig, topic: &Topic, partitioner: &str, records: &[(Vec<u8>, Vec<u8>, i64)]) {
    let mut config = rig.kafka.client();
    let producer: BaseProducer = config.set("partitioner", partitioner).create().unwrap();
    for (key, value, timestamp) in records {
        let record = BaseRecord::<[u8], [u8]>::to(topic.name());
        let record = record.key(key).payload(value).timestamp(*timestamp);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(Duration::from_secs(60)).unwrap();
}

/// Scenario: all is as the documents say, and a member runs.
/// Guarantees: every check is ok, and nothing is skipped. Then a mistake is planted into the file,
/// one after the other, and each is named by the check it belongs to.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn doctor_is_content_with_what_is_well_and_names_what_is_not() {
    let mut rig = Rig::new("doctor", POLICIES);
    rig.topic = new_topic(&rig, "doctor", 12, &[GOOD]);
    make_decision_log(&rig, &rig.topic);
    let member = rig.member("member");
    rig.write(traffic(Layout::Keyed), true).finish();
    rig.settle();
    let config = rig.config();
    let healthy = doctor(&rig, &config);
    let is_ok = |(state, _): &(String, String)| state == "ok";
    assert!(healthy.by_check.values().all(is_ok), "{}", healthy.all);
    assert_eq!(healthy.code, Some(0));
    assert!(healthy.by_check.len() >= 14, "everything is looked at:\n{}", healthy.all);

    let topic = rig.topic.name();
    let typo = format!("topic: {}", topic.strip_suffix('0').unwrap_or(&topic[..topic.len() - 1]));
    let planted = [
        (rig.kafka.address().to_owned(), free_address(), "brokers", "error", "kafka.brokers"),
        (format!("topic: {topic}"), typo, "topic", "error", topic),
        ("idle_grace: 1s".into(), "consumers: 16".into(), "partitions", "warning", "--partitions"),
        ("endpoint: ".into(), "endpoint: nowhere.invalid:1 #".into(), "backend", "error", "export"),
        ("$ADMIN".into(), member.admin().to_owned(), "admin pages", "warning", "admin.listen"),
        ("policies.yaml".into(), "none.yaml".into(), "files", "error", "none.yaml"),
    ];
    for (right, wrong, check, state, text) in planted {
        assert!(config.contains(&right), "{right}");
        doctor(&rig, &config.replace(&right, &wrong)).assert(check, state, text);
    }
    healthy.assert("dropped traces", "ok", "can be opened for 1day");
    let serving = |listen: &str| format!("{config}retrieval: {{listen: '{listen}'}}\n");
    let nobody = doctor(&rig, &serving(&free_address()));
    nobody.assert("retrieval", "warning", "nothing answers");
    nobody.assert("dropped traces", "warning", "retention.ms=604800000");
    doctor(&rig, &serving(&page_of_another())).assert("retrieval", "error", "something else");
    foreign_groups(&rig, &config);
}

/// The address of a server that has a page for every path.
fn page_of_another() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
        }
    });
    address
}

/// Another application in the group, and offsets beyond the end.
fn foreign_groups(rig: &Rig, config: &str) {
    let topic = rig.topic.name();
    let of_group = |group: &str| {
        config.replace(&format!("group_id: {topic}"), &format!("group_id: {topic}-{group}"))
    };
    let consumer = |group: &str| -> BaseConsumer {
        let mut config = rig.kafka.client();
        config.set("client.id", "billing").set("group.id", format!("{topic}-{group}"));
        config.create().unwrap()
    };
    let foreign = consumer("foreign");
    foreign.subscribe(&[topic]).unwrap();
    eventually("the other application to join", Duration::from_secs(60), || {
        foreign.poll(Duration::from_millis(100));
        foreign.assignment().ok().filter(|list| list.count() > 0)
    });
    doctor(rig, &of_group("foreign")).assert("group", "error", "billing");

    let mut beyond = TopicPartitionList::new();
    beyond.add_partition_offset(topic, 0, Offset::Offset(1_000_000)).unwrap();
    consumer("beyond").commit(&beyond, CommitMode::Sync).unwrap();
    doctor(rig, &of_group("beyond")).assert("offsets", "error", "--reset-offsets");
}

/// Guarantees: each wrong setting of a topic is named, with the command.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn doctor_names_wrong_settings_of_topics() {
    let mut rig = Rig::new("doctor-settings", POLICIES);
    let settings = [("cleanup.policy", "compact"), ("retention.ms", "10000")];
    rig.topic = new_topic(&rig, "doctor-settings", 1, &settings);
    let found = doctor(&rig, &rig.config());
    found.assert("timestamps", "warning", "--add-config 'message.timestamp.type=LogAppendTime'");
    found.assert("retention", "error", "--add-config 'retention.ms=86400000'");
    found.assert("cleanup policy", "error", "--add-config 'cleanup.policy=delete'");
    found.assert("partitions", "warning", "--partitions 12");
    found.assert("decision log", "error", "kafka-topics.sh");
    found.assert("records", "skipped", "no records");
}

/// Guarantees: records that are not keyed by trace, not OTLP, from the future, or placed by two
/// partitioners are named.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn doctor_names_what_is_wrong_with_records() {
    let mut rig = Rig::new("doctor-records", POLICIES);
    rig.write(traffic(Layout::Batched), true).finish();
    let future = source::now().after(Duration::from_secs(3600)).0;
    let json = b"[{\"traceId\": \"1\"}]".to_vec();
    let records: Vec<_> = (0..100).map(|n| (vec![n], json.clone(), future)).collect();
    write(&rig, &rig.topic, "murmur2", &records);
    let found = doctor(&rig, &rig.config());
    found.assert("keys", "error", "partition_traces_by_id: true");
    found.assert("encoding", "error", "zipkin_json");
    found.assert("clocks", "error", "NTP");

    // The same records as the Collector placed them, placed by a Java producer.
    rig.topic = new_topic(&rig, "doctor-families", 12, &[GOOD]);
    rig.write(traffic(Layout::Keyed), true).finish();
    let placed: Vec<_> = rig.topic.records();
    let again = placed.iter().filter_map(|record| {
        let key = rdkafka::Message::key(record)?.to_vec();
        Some((key, rdkafka::Message::payload(record)?.to_vec(), source::now().0))
    });
    write(&rig, &rig.topic, "murmur2_random", &again.take(1000).collect::<Vec<_>>());
    doctor(&rig, &rig.config()).assert("partitioner", "error", "partitioner=fnv1a_random");
}
