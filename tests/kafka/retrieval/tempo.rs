//! Asked as Tempo asks it: by `run`, and as a process of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use prost::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use reqwest::header::{ACCEPT, AUTHORIZATION};
use serde_json::Value;
use tailsieve::testing::kafka::source;
use tailsieve::testing::testbed::generator::Model;

use super::jaeger::{Jaeger, wanted};
use super::{Decided, PATIENCE, Server, decided, service};
use crate::rig::{POLICIES, Rig};
use crate::starting::open_door;
use crate::support::{Member, check_table, eventually, free_address};
use crate::trace::{Contents, add, of_services};

/// How much Tempo takes.
const LARGEST: usize = 16 << 20;

/// Scenario: traces of several services and records, with late spans, are decided; Tempo asks for them, for
/// others and for what there is not, in both of its paths; then Kafka deletes the records, and the topic.
/// Guarantees: a dropped trace has just the spans that were sent, field by field; all else is an empty 404,
/// in time, and counted.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn tempo_opens_dropped_traces() {
    let listen = free_address();
    let rig = Rig::new("retrieval", POLICIES).with(&format!("retrieval: {{listen: {listen}}}\n"));
    let member = rig.member("member");
    let start = source::now().0 / 1000;
    let settings = of_services(27, 12_000);
    let mut sent = BTreeMap::new();
    Model::new(settings.clone()).for_each(|record| add(&mut sent, &record.payload));
    rig.write(settings, false).finish();
    rig.settle();
    let end = source::now().0 / 1000;
    let admin = member.admin().to_owned();
    let server = Server { rig: &rig, address: listen, admin, process: None };
    let file = rig.scratch.join("member.yaml");
    let Decided { dropped, kept, late } = decided(file.to_str().unwrap());
    let times = format!("?start={start}&end={end}");

    // Each dropped trace, by the path and the times of Tempo 2.10, of 3, and without times.
    assert!(dropped.len() > 100 && dropped.intersection(&late).count() > 10, "{}", dropped.len());
    let whole = |found: &BTreeMap<String, Contents>, id: &String| {
        assert_eq!(found.get(id), sent.get(id), "{id}");
        assert_eq!(found.len(), 1);
    };
    for (id, number) in dropped.iter().zip(0..) {
        let path = match number % 10 {
            0 => format!("/api/traces/{id}"),
            1..5 => format!("/api/v2/traces/{id}{times}"),
            _ => format!("/api/traces/{id}{times}"),
        };
        whole(&server.open(&path, &[]), id);
    }
    assert_eq!(server.outcomes("found"), dropped.len() as f64);

    // A kept one has the backend, unless somebody wants it all the same.
    let id = kept.first().unwrap();
    server.is_not_there(&format!("/api/v2/traces/{id}{times}"), &[]);
    assert_eq!(server.outcomes("kept"), 1.0);
    whole(&server.open(&format!("/api/v2/traces/{id}{times}&all"), &[]), id);

    // As people ask, and what is no question.
    let id = dropped.first().unwrap();
    whole(&server.open(&format!("/api/traces/{}", id.to_uppercase()), &[]), id);
    let json = server.get(&format!("/api/traces/{id}"), &[(ACCEPT.as_str(), "application/json")]);
    assert_eq!((json.status, &*json.content_type), (200, "application/json"));
    let json: Value = serde_json::from_slice(&json.body).unwrap();
    assert_eq!(json["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["traceId"], **id);
    server.is_not_there("/api/traces/00000000000000000000000000000001", &[]);
    server.is_not_there("/api/traces/8448eb211c80319c", &[]);
    server.is_not_there(&format!("/api/traces/{id}?start=1&end=2"), &[]);
    assert_eq!(server.outcomes("not_found"), 3.0);
    server.is_not_there(&format!("/api/traces/{id}?start={}", end + 1000), &[]);
    assert_eq!(server.outcomes("still_open"), 1.0);
    for path in ["/api/traces/xyz", "/api/v2/traces/1?start=soon", "/api/traces/%ff"] {
        server.is_not_there(path, &[]);
    }
    assert_eq!(server.outcomes("malformed"), 3.0);
    for path in ["/", "/api/traces/", "/api/search", "/api/echo"] {
        server.is_not_there(path, &[]);
    }
    server.is_not_there(&format!("/api/traces/{id}"), &[("host", "evil.example")]);
    assert_eq!(server.outcomes("unauthorized"), 1.0);

    tenants_see_their_own(&rig, (id, &sent[id]), &times);
    who_has_no_token_sees_nothing(&rig, id);
    nothing_takes_long(&rig, id);
    check_table(&member.scrape()).unwrap();

    // A process of its own, which remembers nothing of all that.
    let other = Server::start(&rig, "other", rig.kafka.address(), "");
    whole(&other.open(&format!("/api/traces/{id}{times}"), &[]), id);
    rig.topic.delete_records(&rig.topic.end_offsets());
    let second = dropped.iter().nth(1).unwrap();
    other.is_not_there(&format!("/api/traces/{second}{times}"), &[]);
    assert_eq!(other.outcomes("beyond_retention"), 1.0);
    drop(member);
    rig.topic.recreate();
    let third = dropped.iter().nth(2).unwrap();
    eventually("the new topic to be known", PATIENCE, || {
        other.is_not_there(&format!("/api/traces/{third}{times}"), &[]);
        (other.outcomes("beyond_retention") == 2.0).then_some(())
    });
}

/// Here each service is a tenant.
fn tenants_see_their_own(rig: &Rig, (id, sent): (&str, &Contents), times: &str) {
    let lines = "  tenant_attribute: service.name\n";
    let server = Server::start(rig, "tenants", rig.kafka.address(), lines);
    let path = format!("/api/traces/{id}{times}");
    let services: BTreeSet<String> = sent.iter().map(|span| service(span)).collect();
    let of = |some: &[&String]| -> Contents {
        sent.iter().filter(|span| some.contains(&&service(span))).cloned().collect()
    };
    server.is_not_there(&path, &[]);
    server.is_not_there(&path, &[("x-scope-orgid", "nobody")]);
    server.is_not_there(&path, &[("x-scope-orgid", "|")]);
    assert_eq!(server.outcomes("wrong_tenant"), 3.0);
    for service in &services {
        let found = server.open(&path, &[("x-scope-orgid", service)]);
        assert_eq!(found[id], of(&[service]));
    }
    let all: Vec<String> = services.iter().cloned().collect();
    let found = server.open(&path, &[("X-Scope-OrgID", &all.join("|"))]);
    assert_eq!(&found[id], sent);
}

fn who_has_no_token_sees_nothing(rig: &Rig, id: &str) {
    let server = Server::start(rig, "token", rig.kafka.address(), "  token: open-sesame\n");
    let path = format!("/api/traces/{id}");
    server.is_not_there(&path, &[]);
    server.is_not_there(&path, &[(AUTHORIZATION.as_str(), "Bearer simsalabim")]);
    assert_eq!(server.outcomes("unauthorized"), 2.0);
    let found = server.open(&path, &[(AUTHORIZATION.as_str(), "Bearer open-sesame")]);
    assert!(found.contains_key(id));
    // As Tempo sends what stands before the @ of its endpoint.
    let basic = "Basic dGVtcG86b3Blbi1zZXNhbWU=";
    assert!(server.open(&path, &[(AUTHORIZATION.as_str(), basic)]).contains_key(id));
}

/// Too little may be read, or Kafka is away.
fn nothing_takes_long(rig: &Rig, id: &str) {
    let path = format!("/api/traces/{id}");
    let slow = "  bytes_per_second: 512\n";
    let server = Server::start(rig, "slow", rig.kafka.address(), slow);
    server.is_not_there(&path, &[]);
    assert_eq!(server.outcomes("over_budget"), 1.0);
    let server = Server::start(rig, "away", &free_address(), "");
    server.is_not_there(&path, &[]);
    let since = Instant::now();
    server.is_not_there(&path, &[]);
    assert!(since.elapsed() < Duration::from_secs(1), "Kafka is not asked again and again");
    assert_eq!(server.outcomes("kafka_away"), 2.0);
}

/// Scenario: Kafka is away when a member is started that serves traces; Tempo asks at once, and Kafka comes.
/// Guarantees: it is told that the trace is not here, which is counted, before the member has given up to wait for
/// Kafka; when Kafka is there the trace is.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn tempo_is_answered_while_a_member_starts_without_kafka() {
    let listen = free_address();
    let rig =
        Rig::new("retrieval-early", POLICIES).with(&format!("retrieval: {{listen: {listen}}}\n"));
    let mut member = rig.member("decides");
    let settings = of_services(31, 2000);
    rig.write(settings, false).finish();
    rig.settle();
    let file = rig.scratch.join("decides.yaml");
    let Decided { dropped, .. } = decided(file.to_str().unwrap());
    assert!(member.process.terminate().success());

    let bootstrap = free_address();
    let config = rig.config().replace(rig.kafka.address(), &bootstrap);
    let mut member = Member::start(rig.scratch.path(), "early", &config);
    let admin = member.admin().to_owned();
    let server = Server { rig: &rig, address: listen, admin, process: None };
    member.process.wait_for_line("retrieval.listening");
    let path = format!("/api/traces/{}", dropped.first().unwrap());
    server.is_not_there("/api/traces/xyz", &[]);
    server.is_not_there(&path, &[]);
    member.process.wait_for_line("topics.unknown");
    let log = member.process.log();
    let [listens, waited] = ["retrieval.listening", "topics.unknown"].map(|it| log.find(it));
    assert!(listens < waited, "it listens first");
    assert_eq!((server.outcomes("malformed"), server.outcomes("kafka_away")), (1.0, 1.0));

    open_door(&bootstrap, rig.kafka.address());
    eventually("the trace to be found", PATIENCE, || {
        (server.get(&path, &[]).status == 200).then_some(())
    });
}

/// Scenario: a dropped trace is larger than Tempo takes, and than a message of Jaeger's may be.
/// Guarantees: Tempo gets as many whole spans as it takes, and that it is not all is counted; Jaeger gets all
/// of them.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn a_trace_that_is_too_large_is_cut_at_a_whole_span_or_sent_in_pieces() {
    const RECORDS: usize = 24;
    const SPANS: usize = 8;
    let listen = free_address();
    let policies = "
decision_wait: 3s
decision_wait_after_root_received: 2s
maximum_trace_size: 64MiB
policies:
  - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
";
    let rig =
        Rig::new("retrieval-large", policies).with(&format!("retrieval: {{listen: {listen}}}\n"));
    let member = rig.member("member");
    let (trace, start) = ([7u8; 16], source::now().0 / 1000);
    let span = |number: usize| Span {
        trace_id: trace.to_vec(),
        span_id: (number as u64 + 1).to_be_bytes().to_vec(),
        parent_span_id: vec![0xff; 8],
        name: "x".repeat(100_000),
        ..Span::default()
    };
    let mut client = rig.kafka.client();
    let producer: BaseProducer = client.set("message.max.bytes", "16777216").create().unwrap();
    for record in 0..RECORDS {
        let spans = (0..SPANS).map(|number| span(record * SPANS + number)).collect();
        let scope = ScopeSpans { spans, ..ScopeSpans::default() };
        let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
        let value = TracesData { resource_spans: vec![resource] }.encode_to_vec();
        let key = "07".repeat(16);
        let record = BaseRecord::to(rig.topic.name()).key(&key).payload(&value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    rig.settle();
    let end = source::now().0 / 1000;
    let server =
        Server { rig: &rig, address: listen, admin: member.admin().to_owned(), process: None };
    let path = format!("/api/v2/traces/{}?start={start}&end={end}", "07".repeat(16));
    let got = server.get(&path, &[]);
    assert_eq!(got.status, 200);
    assert!(got.body.len() < LARGEST, "{}", got.body.len());
    let data = TracesData::decode(got.body.as_slice()).unwrap();
    let scopes = data.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    let spans = scopes.flat_map(|scope| &scope.spans);
    assert!(spans.clone().all(|span| span.name.len() == 100_000));
    let fit = LARGEST / 100_100 - 2;
    assert!((fit..RECORDS * SPANS).contains(&spans.count()));
    assert_eq!(member.scrape().get("tailsieve_retrieval_cut_traces_total"), Some(1.0));

    let id = "07".repeat(16);
    let messages = Jaeger::of(&server).get(vec![wanted(&id)]).unwrap();
    assert!(messages.len() > 4, "{}", messages.len());
    let whole = Jaeger::of(&server).open(vec![wanted(&id)]);
    assert_eq!(whole[&id].len(), RECORDS * SPANS);
    assert_eq!(member.scrape().get("tailsieve_retrieval_cut_traces_total"), Some(1.0));
}
