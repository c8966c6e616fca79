//! Each mistake is planted into facts that are in order, and has to be named.

use std::collections::BTreeMap;
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use prost::Message as _;
use rdkafka::Timestamp as KafkaTimestamp;

use super::facts::{
    Brokers, Cluster, Facts, Group, Plan, Range, Reach, RetrievalServer, ServerReach,
};
use super::finding::{Finding, State};
use super::judge::judge;
use super::sample::{Sample, Seen};
use crate::export::BackendCheckError;
use crate::ids::{Partition, Timestamp};
use crate::kafka::access::{Acl, Denied, Operation};
use crate::kafka::cluster::describe::GroupMember;
use crate::kafka::decision_log::topic::TopicError;
use crate::kafka::partitioner::Family;

const NOW: Timestamp = Timestamp(1_750_000_000_000);
const PARTITIONS: u32 = 12;

fn plan() -> Plan {
    Plan {
        brokers: "kafka:9092".into(),
        topic: "otlp_spans".into(),
        group_id: "tailsieve".into(),
        group_instance_id: Some("shop-0".into()),
        consumer_protocol: false,
        consumers: 1,
        future_tolerance: Duration::from_secs(5),
        decision_wait: Duration::from_secs(20),
        decision_log: Some("otlp_spans_decisions".into()),
        decision_index: Some("otlp_spans_decisions_index".into()),
        retrieval: Some(RetrievalServer {
            listen: "127.0.0.1:9465".parse().unwrap(),
            is_encrypted: false,
        }),
        dead_letter: Some("dead".into()),
        needed: Vec::new(),
        admin_listen: "127.0.0.1:9464".parse().unwrap(),
    }
}

/// A record of these traces, whose spans ended 2 s before now.
fn record(traces: &[u128]) -> Vec<u8> {
    let span = |trace: &u128| Span {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: vec![1; 8],
        end_time_unix_nano: (NOW.0 as u64 - 2000) * 1_000_000,
        ..Span::default()
    };
    let spans = traces.iter().map(span).collect();
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource = ResourceSpans { scope_spans, ..ResourceSpans::default() };
    TracesData { resource_spans: vec![resource] }.encode_to_vec()
}

fn key(trace: u128) -> Vec<u8> {
    format!("{trace:032x}").into_bytes()
}

fn ids() -> impl Iterator<Item = u128> {
    (1..=200_u128).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

/// Looks at a record of its own for each of some traces.
fn look_at(sample: &mut Sample, family: Family, value: impl Fn(u128) -> Vec<u8>) {
    for id in ids() {
        let (key, value) = (key(id), value(id));
        let seen = Seen {
            partition: family.partition(&key, PARTITIONS),
            key: Some(&key),
            value: Some(&value),
            timestamp: KafkaTimestamp::LogAppendTime(NOW.0),
        };
        sample.look_at(seen, PARTITIONS, NOW);
    }
}

fn look_at_key(sample: &mut Sample, key: Option<&[u8]>, value: &[u8]) {
    let timestamp = KafkaTimestamp::LogAppendTime(NOW.0);
    let seen = Seen { partition: Partition(0), key, value: Some(value), timestamp };
    sample.look_at(seen, PARTITIONS, NOW);
}

fn healthy() -> Facts {
    let topics = [("otlp_spans", 12), ("otlp_logs", 12), ("dead", 1)];
    let configs = [
        ("message.timestamp.type", "LogAppendTime"),
        ("retention.ms", "86400000"),
        ("retention.bytes", "-1"),
        ("cleanup.policy", "delete"),
    ];
    let mut sample = Sample::default();
    look_at(&mut sample, Family::Fnv1a, |id| record(&[id]));
    let range = |partition| Range { partition, low: 10, high: 100, committed: Some(90) };
    Facts {
        brokers: Some(Brokers {
            contacts: vec![("kafka:9092".into(), Reach::Connected)],
            cluster: Ok(Cluster {
                brokers: vec![("kafka:9092".into(), Reach::Connected)],
                topics: topics.map(|(name, partitions)| (name.into(), partitions)).into(),
            }),
            complaints: Vec::new(),
        }),
        denied: Some(Vec::new()),
        configs: Some(Ok(configs.map(|(key, value)| (key.into(), value.into())).into())),
        log_configs: Some(Ok(configs.map(|(key, value)| (key.into(), value.into())).into())),
        decision_log: Some(Ok(Vec::new())),
        decision_index: Some(Ok(())),
        group: Some(Ok(Group {
            state: "Stable".into(),
            protocol: "cooperative-sticky".into(),
            protocol_type: "consumer".into(),
            members: vec![GroupMember {
                instance_id: None,
                client_id: "tailsieve".into(),
                host: "10.0.0.1".into(),
            }],
        })),
        ranges: Some(Ok((0..12).map(range).collect())),
        sample: Some(sample),
        backends: Some(vec![("tempo:4317".into(), Ok(()))]),
        own_telemetry: Some(Ok(Vec::new())),
        retrieval: Some(ServerReach::Answers),
        admin: Some(Ok(())),
    }
}

fn brokers(facts: &mut Facts) -> &mut Brokers {
    facts.brokers.as_mut().unwrap()
}

fn cluster(facts: &mut Facts) -> &mut Cluster {
    brokers(facts).cluster.as_mut().unwrap()
}

fn set(facts: &mut Facts, key: &str, value: &str) {
    let configs: &mut BTreeMap<_, _> = facts.configs.as_mut().unwrap().as_mut().unwrap();
    configs.insert(key.into(), value.into());
}

fn set_of_log(facts: &mut Facts, key: &str, value: &str) {
    let configs: &mut BTreeMap<_, _> = facts.log_configs.as_mut().unwrap().as_mut().unwrap();
    configs.insert(key.into(), value.into());
}

fn sample(facts: &mut Facts) -> &mut Sample {
    facts.sample.as_mut().unwrap()
}

fn ranges(facts: &mut Facts) -> &mut Vec<Range> {
    facts.ranges.as_mut().unwrap().as_mut().unwrap()
}

fn group(facts: &mut Facts) -> &mut Group {
    facts.group.as_mut().unwrap().as_mut().unwrap()
}

fn unreachable(facts: &mut Facts, reach: Reach, complaint: &str) {
    let found = brokers(facts);
    found.contacts[0].1 = reach;
    found.cluster = Err("Metadata fetch error: Broker transport failure".into());
    found.complaints = vec![complaint.into()];
}

fn lacks(operation: Operation, topic: &str) -> Denied {
    Denied { brokers: "kafka:9092".into(), acl: Acl::topic(operation, topic) }
}

/// Scenario: the user may not see the topic, or its settings.
/// Guarantees: nobody says that the topic is not there; settings that cannot be seen are no error.
#[test]
fn what_the_user_may_not_see_is_not_said_to_be_missing() {
    let mut facts = healthy();
    cluster(&mut facts).topics.clear();
    facts.denied = Some(vec![lacks(Operation::Read, "otlp_spans")]);
    let findings = judge(&plan(), &facts);
    assert!(findings.iter().all(|it| it.check != "topic"), "{findings:#?}");

    let mut facts = healthy();
    facts.denied = Some(vec![lacks(Operation::DescribeConfigs, "otlp_spans")]);
    let findings = judge(&plan(), &facts);
    let of_access = findings.iter().find(|it| it.check == "access").unwrap();
    assert_eq!(of_access.state, State::Skipped);
    assert!(of_access.text.contains("--operation DescribeConfigs"), "{of_access:?}");
}

fn refused(facts: &mut Facts, code: &str) {
    let (code, message) = (code.into(), "no".into());
    let refused = Err(BackendCheckError::Refused { code, message, hint: None });
    facts.backends = Some(vec![("tempo:4317".into(), refused)]);
}

#[test]
fn a_healthy_set_up_is_all_ok() {
    let findings = judge(&plan(), &healthy());
    assert!(findings.iter().all(|finding| finding.state == State::Ok), "{findings:#?}");
    assert!(findings.len() >= 15, "everything is looked at");
}

#[test]
fn own_telemetry_that_is_not_accepted_is_a_warning_and_wrong_variables_are_an_error() {
    let judged = |own| {
        let mut facts = healthy();
        facts.own_telemetry = Some(own);
        let findings = judge(&plan(), &facts);
        findings.into_iter().filter(|it| it.check == "own telemetry").collect::<Vec<_>>()
    };
    assert_eq!(judged(Ok(Vec::new())), [], "there is none");
    let answers = [
        ("traces to http://otel:4318", Ok(())),
        ("logs to http://otel:4317", Err("no".to_owned())),
    ];
    let found = judged(Ok(answers.map(|(target, answer)| (target.to_owned(), answer)).to_vec()));
    let states: Vec<State> = found.iter().map(|it| it.state).collect();
    assert_eq!(states, [State::Ok, State::Warning]);
    assert_eq!(found[1].text, "logs to http://otel:4317 is not accepted: no");
    let wrong = judged(Err("OTEL_EXPORTER_OTLP_HEADERS: entry 1 has no `=`".to_owned()));
    assert_eq!(wrong[0].state, State::Error);
}

#[test]
fn what_was_not_answered_is_skipped() {
    let findings = judge(&plan(), &Facts::default());
    assert!(findings.iter().all(|finding| finding.state == State::Skipped), "{findings:#?}");
    let mut facts = healthy();
    (facts.sample, facts.group, facts.configs) = (None, None, None);
    let skipped = judge(&plan(), &facts);
    let skipped = skipped.iter().filter(|finding| finding.state == State::Skipped);
    assert_eq!(skipped.count(), 3);
}

type Plant = fn(&mut Plan, &mut Facts);

/// What is planted, where it has to be named, as what, in which words, and with what to do.
type Mistake = (Plant, &'static str, State, &'static str, &'static str);

/// Brokers, ACLs, topic and partitions.
const CLUSTER: &[Mistake] = &[
    (
        |_, facts| facts.denied = Some(vec![lacks(Operation::Write, "dead")]),
        "access",
        State::Error,
        "lacks the ACL Write on the topic dead",
        "--operation Write --topic dead",
    ),
    (
        |_, facts| unreachable(facts, Reach::Refused("Connection refused".into()), ""),
        "brokers",
        State::Error,
        "kafka:9092 cannot be connected to (Connection refused)",
        "kafka.brokers",
    ),
    (
        |_, facts| unreachable(facts, Reach::Unresolved("unknown".into()), ""),
        "brokers",
        State::Error,
        "cannot be looked up",
        "DNS",
    ),
    (
        |_, facts| {
            let complaint = "Disconnected while requesting ApiVersion: might be caused by incorrect \
                             security.protocol configuration (connecting to a SSL listener?)";
            unreachable(facts, Reach::Connected, complaint);
        },
        "brokers",
        State::Error,
        "ApiVersion",
        "security.protocol to SSL",
    ),
    (
        |_, facts| unreachable(facts, Reach::Connected, "SASL authentication error: failed"),
        "brokers",
        State::Error,
        "SASL authentication error",
        "sasl.password",
    ),
    (
        |_, facts| {
            cluster(facts).brokers.push(("internal:9092".into(), Reach::TimedOut));
        },
        "brokers",
        State::Error,
        "internal:9092",
        "advertised.listeners",
    ),
    (
        |plan, _| plan.topic = "otlp_span".into(),
        "topic",
        State::Error,
        "there is no topic otlp_span",
        "did you mean kafka.topic: otlp_spans",
    ),
    (
        |_, facts| {
            cluster(facts).topics.insert("otlp_spans".into(), 1);
        },
        "partitions",
        State::Warning,
        "one partition",
        "--alter --topic otlp_spans --partitions 12",
    ),
    (
        |plan, _| plan.consumers = 16,
        "partitions",
        State::Warning,
        "12 partitions for 16 consumers",
        "--partitions 16",
    ),
    (
        |plan, _| plan.dead_letter = Some("dead-letters".into()),
        "dead letters",
        State::Error,
        "there is no topic dead-letters",
        "--create --topic dead-letters",
    ),
];

/// Settings of topics.
const SETTINGS: &[Mistake] = &[
    (
        |_, facts| set(facts, "message.timestamp.type", "CreateTime"),
        "timestamps",
        State::Warning,
        "CreateTime",
        "kafka-configs.sh --bootstrap-server kafka:9092 --alter --entity-type topics \
         --entity-name otlp_spans --add-config 'message.timestamp.type=LogAppendTime'",
    ),
    (
        |_, facts| set(facts, "retention.ms", "30000"),
        "retention",
        State::Error,
        "deleted before their traces are decided",
        "--add-config 'retention.ms=86400000'",
    ),
    (
        |_, facts| set(facts, "retention.ms", "600000"),
        "retention",
        State::Warning,
        "10m",
        "retention.ms",
    ),
    (
        |_, facts| set(facts, "retention.bytes", "1048576"),
        "retention",
        State::Warning,
        "1048576",
        "retention.bytes=-1",
    ),
    (
        |_, facts| set(facts, "cleanup.policy", "compact,delete"),
        "cleanup policy",
        State::Error,
        "only the last",
        "--add-config 'cleanup.policy=delete'",
    ),
    (
        |_, facts| {
            let (topic, command) = ("otlp_spans_decisions".into(), "kafka-topics.sh it".into());
            facts.decision_log = Some(Err(TopicError::Missing { topic, command }));
        },
        "decision log",
        State::Error,
        "otlp_spans_decisions does not exist",
        "kafka-topics.sh it",
    ),
];

/// Opening dropped traces.
const DROPPED: &[Mistake] = &[
    (
        |_, facts| set_of_log(facts, "retention.ms", "21600000"),
        "dropped traces",
        State::Warning,
        "opened for 6h, as long as otlp_spans_decisions has their decisions; otlp_spans has their \
         spans for 1day",
        "--entity-name otlp_spans_decisions --add-config 'retention.ms=86400000'",
    ),
    (
        |_, facts| set(facts, "retention.ms", "-1"),
        "dropped traces",
        State::Warning,
        "opened for 1day",
        "'retention.ms=-1'",
    ),
    (
        |_, facts| facts.retrieval = Some(ServerReach::Silent("Connection refused".into())),
        "retrieval",
        State::Warning,
        "127.0.0.1:9465 (Connection refused)",
        "tailsieve retrieval",
    ),
    (
        |_, facts| facts.retrieval = Some(ServerReach::Foreign("200 OK".into())),
        "retrieval",
        State::Error,
        "200 OK",
        "retrieval.listen",
    ),
];

#[test]
fn it_is_said_for_how_long_dropped_traces_can_be_opened() {
    let said = |change: fn(&mut Facts)| {
        let mut facts = healthy();
        change(&mut facts);
        let found = judge(&plan(), &facts).into_iter().find(|it| it.check == "dropped traces");
        found.map(|it| (it.state, it.text))
    };
    let words = "they can be opened for 1day (`tailsieve trace ID`)";
    assert_eq!(said(|_| {}), Some((State::Ok, words.to_owned())));
    let (state, text) = said(|facts| set_of_log(facts, "retention.bytes", "1000")).unwrap();
    let bounded = format!("{words}, or less: otlp_spans_decisions is bounded by retention.bytes");
    assert_eq!((state, text), (State::Ok, bounded));
    let longer = said(|facts| set_of_log(facts, "retention.ms", "-1"));
    assert_eq!(longer, Some((State::Ok, words.to_owned())));
    let mut facts = healthy();
    set_of_log(&mut facts, "retention.ms", "3600000");
    let findings = judge(&Plan { retrieval: None, ..plan() }, &facts);
    let shorter = findings.iter().find(|it| it.check == "dropped traces").unwrap();
    assert_eq!(shorter.state, State::Ok, "nobody serves them");
    assert!(shorter.text.contains("opened for 1h"), "{shorter:?}");
    assert_eq!(said(|facts| facts.log_configs = Some(Err("hidden".into()))), None);
}

/// Recent records.
const RECORDS: &[Mistake] = &[
    (
        |_, facts| look_at_key(sample(facts), None, &record(&[7])),
        "keys",
        State::Error,
        "have no key",
        "partition_traces_by_id: true",
    ),
    (
        |_, facts| look_at_key(sample(facts), Some(b"checkout"), &record(&[7])),
        "keys",
        State::Error,
        "keyed by something else",
        "tailsieve rekey",
    ),
    (
        |_, facts| look_at_key(sample(facts), Some(&key(7)), &record(&[7, 8])),
        "keys",
        State::Error,
        "hold several traces",
        "partition_traces_by_id: true",
    ),
    (
        |_, facts| look_at(sample(facts), Family::Murmur2, |id| record(&[id + 1000])),
        "keys",
        State::Error,
        "keyed by something else",
        "",
    ),
    (
        |_, facts| {
            let mut other = Sample::default();
            look_at(&mut other, Family::Murmur2, |id| record(&[id]));
            for (to, more) in sample(facts).placements.0.iter_mut().zip(other.placements.0) {
                *to += more / 2;
            }
        },
        "partitioner",
        State::Error,
        "FNV-1a",
        "partitioner=fnv1a_random",
    ),
    (
        |_, facts| look_at(sample(facts), Family::Crc32, |id| record(&[id])),
        "partitioner",
        State::Error,
        "CRC32",
        "partitioner=fnv1a_random",
    ),
    (
        |_, facts| look_at_key(sample(facts), None, b"[{\"traceId\":\"1\"}]"),
        "encoding",
        State::Error,
        "zipkin_json",
        "encoding: otlp_proto",
    ),
    (
        |_, facts| {
            let record = record(&[7]);
            let framed = [&[0][..], &(record.len() as u32).to_be_bytes(), &record].concat();
            look_at_key(sample(facts), None, &framed);
        },
        "encoding",
        State::Error,
        "grpc_framed",
        "send the message alone",
    ),
    (
        |_, facts| look_at_key(sample(facts), None, b"\x0a\x05\xc2\x3e\x02ab"),
        "encoding",
        State::Error,
        "no span is understood",
        "instrumentation_library_spans",
    ),
    (
        |_, facts| look_at_key(sample(facts), None, b"\x1f\x8b\x08\x00"),
        "encoding",
        State::Error,
        "gzip",
        "compression.type",
    ),
    (
        |_, facts| {
            let timestamp = KafkaTimestamp::CreateTime(NOW.0 + 3_600_000);
            let seen = Seen { partition: Partition(0), key: None, value: None, timestamp };
            let mut other = Sample::default();
            other.look_at(seen, PARTITIONS, NOW);
            facts.sample = Some(other);
        },
        "clocks",
        State::Error,
        "1h ahead of this machine's clock",
        "NTP",
    ),
    (
        |_, facts| sample(facts).delays_ms.fill(-10_000),
        "clocks",
        State::Warning,
        "10s after their record",
        "NTP",
    ),
    (
        |_, facts| sample(facts).errors.push("Decompression (codec 0x5) not implemented".into()),
        "records",
        State::Error,
        "codec 0x5",
        "compression.type",
    ),
];

/// The group, the backend, this machine.
const OTHERS: &[Mistake] = &[
    (
        |_, facts| {
            let (client_id, host) = ("billing".into(), "10.0.0.2".into());
            group(facts).members.push(GroupMember { instance_id: None, client_id, host });
        },
        "group",
        State::Error,
        "billing at 10.0.0.2",
        "kafka.group_id",
    ),
    (
        |_, facts| group(facts).members[0].instance_id = Some("shop-0".into()),
        "group",
        State::Warning,
        "group_instance_id shop-0 of this file, at 10.0.0.1",
        "of its own",
    ),
    (
        |_, facts| group(facts).protocol = "range".into(),
        "group",
        State::Error,
        "range",
        "kafka.group_id",
    ),
    (
        |_, facts| ranges(facts)[3].committed = Some(3),
        "offsets",
        State::Error,
        "deleted 7 records",
        "retention.ms",
    ),
    (
        |_, facts| ranges(facts)[3].committed = Some(101),
        "offsets",
        State::Error,
        "beyond the end of partitions [3]",
        "--reset-offsets --to-earliest",
    ),
    (
        |_, facts| refused(facts, "UNAVAILABLE"),
        "backend",
        State::Error,
        "tempo:4317 does not take spans",
        "export.endpoint",
    ),
    (
        |_, facts| refused(facts, "UNAUTHENTICATED"),
        "backend",
        State::Error,
        "UNAUTHENTICATED",
        "export.headers",
    ),
    (
        |_, facts| facts.admin = Some(Err("address in use".into())),
        "admin pages",
        State::Warning,
        "127.0.0.1:9464",
        "admin.listen",
    ),
];

#[test]
fn every_planted_mistake_is_named_with_what_mends_it_and_nothing_else_is() {
    let all = [CLUSTER, SETTINGS, DROPPED, RECORDS, OTHERS].into_iter().flatten();
    for (number, (plant, check, state, text, fix)) in all.enumerate() {
        let (mut plan, mut facts) = (plan(), healthy());
        plant(&mut plan, &mut facts);
        let findings = judge(&plan, &facts);
        let bad = |it: &&Finding| it.state == State::Error || it.state == State::Warning;
        let bad: Vec<&Finding> = findings.iter().filter(bad).collect();
        let named = bad.iter().find(|it| it.check == *check);
        let named = named.unwrap_or_else(|| panic!("{number}: {check} is well in {findings:#?}"));
        assert_eq!(named.state, *state, "{number}: {named:?}");
        assert!(named.text.contains(text), "{number}: {text:?} is not in {named:?}");
        let said = named.fix.as_deref().unwrap_or_default();
        assert!(said.contains(fix), "{number}: {fix:?} is not in {named:?}");
        // A record from the future without a value is two mistakes.
        assert!(bad.len() == 1 || *check == "clocks", "{number}: {bad:#?}");
    }
}

#[test]
fn what_members_read_is_in_order_whatever_it_is_written_in() {
    let mut facts = healthy();
    let json = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"spanId":"0101010101010101",
        "traceId":"00000000000000000000000000000001"}]}]}]}"#;
    let zstd = zstd::stream::encode_all(record(&[1]).as_slice(), 1).unwrap();
    for value in [json.as_slice(), &zstd] {
        look_at_key(sample(&mut facts), Some(&key(1)), value);
    }
    let findings = judge(&plan(), &facts);
    let encoding = findings.iter().find(|finding| finding.check == "encoding").unwrap();
    assert_eq!(encoding.state, State::Ok, "{}", encoding.text);
    for kind in ["otlp_proto", "otlp_json", "otlp_proto in zstd"] {
        assert!(encoding.text.contains(kind), "{}", encoding.text);
    }
    assert_eq!(sample(&mut facts).with_spans, 202, "their keys are looked at, too");
}
