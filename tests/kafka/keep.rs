//! Dropped traces that somebody asks for, over HTTP and on the command line.

use std::collections::BTreeMap;
use std::process::Output;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Attribute;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _};
use serde_json::Value;
use tailsieve::testing::ids::TraceId;

use crate::reopen::{Kind, PATIENCE, TRACES, Traffic, dropped, id, taken_as};
use crate::rig::{Rig, checked_scrape};
use crate::support::{Member, eventually, free_address, tailsieve};
use crate::trace::entries;

const POLICIES: &str = "
decision_wait: 2s
decision_wait_after_root_received: 500ms
policies:
  - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
  - name: never
    type: drop
    drop: {drop_sub_policy: [{name: it, type: string_attribute, string_attribute: {key: step, values: [secret]}}]}
";

const TOKEN: &str = "open-sesame";

/// A member that serves traces, its backend, and the traffic.
struct World {
    rig: Rig,
    address: String,
    requests: Arc<Mutex<Vec<Bytes>>>,
    traffic: Traffic,
}

impl World {
    fn new(name: &str, policies: &str, keep: &str) -> Self {
        let address = free_address();
        let section = format!("retrieval: {{listen: {address}, keep: {keep}, token: {TOKEN}}}\n");
        let mut rig = Rig::new(name, policies).with(&section);
        let requests = rig.keep_requests();
        let traffic = Traffic::new(&rig);
        Self { rig, address, requests, traffic }
    }

    /// What is answered to a request for a trace, with these headers.
    fn post(&self, trace: &str, headers: &[(&str, &str)]) -> (u16, Value) {
        let url = format!("http://{}/api/traces/{trace}/keep", self.address);
        let mut request = reqwest::Client::new().post(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.rig.runtime.block_on(async {
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            let body = response.bytes().await.unwrap();
            (status, serde_json::from_slice(&body).unwrap_or_default())
        })
    }

    fn ask(&self, trace: TraceId) -> (u16, String) {
        let (status, body) = self.post(&trace.to_string(), &[("authorization", BEARER)]);
        (status, body["outcome"].as_str().unwrap_or_default().to_owned())
    }

    fn requested(&self, trace: TraceId) {
        assert_eq!(self.ask(trace), (202, "requested".to_owned()));
    }

    fn command(&self, trace: TraceId) -> (i32, String) {
        let file = self.rig.scratch.join("first.yaml");
        let mut command = tailsieve();
        command.args(["trace", &trace.to_string(), "--keep", "--config"]).arg(file);
        let Output { status, stderr, .. } = command.output().unwrap();
        (status.code().unwrap(), String::from_utf8(stderr).unwrap())
    }

    /// The spans that were sent of these traces.
    fn sent(&self, traces: &[TraceId]) -> BTreeMap<Vec<u8>, Vec<ResourceSpans>> {
        let sent = self.traffic.sent.iter();
        let of = sent.filter(|(_, (trace, _))| traces.iter().any(|it| it.as_bytes() == &trace[..]));
        of.map(|(span, (_, sent))| (span.clone(), vec![sent.clone()])).collect()
    }

    fn taken(&self) -> BTreeMap<Vec<u8>, Vec<ResourceSpans>> {
        taken_as(&self.requests, is_restored)
    }

    /// Waits until the backend has these traces, which it has once and as they were sent, and no others.
    fn check(&self, traces: &[TraceId]) {
        let wanted = self.sent(traces);
        eventually("all spans of the restored traces", PATIENCE, || {
            (self.taken().len() >= wanted.len()).then_some(())
        });
        assert_eq!(self.taken(), wanted);
    }

    fn late(&mut self, trace: TraceId, number: u8) {
        let span = Span { name: "later".into(), ..Span::default() };
        self.traffic.send(&self.rig, trace, (number, "jobs"), span);
        self.traffic.producer.flush(PATIENCE).unwrap();
    }
}

const BEARER: &str = "Bearer open-sesame";

/// What every span of a restored trace says of itself.
fn is_restored(span: &Span) {
    let of = |key: &str| {
        let found = span.attributes.iter().find(|it| it.key == key);
        found.and_then(|it| it.value.as_ref().and_then(|value| value.value.clone()))
    };
    assert_eq!(of("tailsieve.restored"), Some(Attribute::BoolValue(true)), "{span:?}");
    assert_eq!(of("tailsieve.policy"), None, "{span:?}");
    assert!(!span.trace_state.contains("th:"), "{span:?}");
}

fn restored(member: &mut Member, count: u8) {
    let series = r#"tailsieve_decision_triggers_total{trigger="restored"}"#;
    member.wait_for_metrics("requests to be granted", |scrape| {
        scrape.get(series) >= Some(f64::from(count))
    });
}

/// The trace of this number.
fn fine(number: u8) -> TraceId {
    id(Kind::Fine, 0, number)
}

/// Scenario: traces of two services are dropped, late spans of some come; some are asked for: by requests that
/// may not, by requests that may, by two at once, on the command line, by records of somebody who makes up
/// what they say, and again under another owner.
/// Guarantees: those arrive whole, once, as they were sent and with the word that they are restored; what
/// comes of them later follows; who may not ask is told so, and who asks in vain why; the numbers balance.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn a_dropped_trace_is_kept_once_somebody_asks_for_it() {
    let mut world = World::new("keep", POLICIES, "on_request");
    let mut member = world.rig.member("first");
    world.traffic.begin(&world.rig, &[Kind::Fine], 0);
    let secret = id(Kind::Job, 0, 1);
    world.traffic.send(&world.rig, secret, (1, "secret"), Span::default());
    world.traffic.producer.flush(PATIENCE).unwrap();
    dropped(&mut member, TRACES + 1);
    world.late(fine(0), 3);
    world.rig.settle();

    // Who may not, and what cannot be had.
    let trace = fine(0).to_string();
    assert_eq!(world.post(&trace, &[]).0, 401);
    assert_eq!(world.post(&trace, &[("authorization", "Bearer simsalabim")]).0, 401);
    let (status, body) =
        world.post(&trace, &[("authorization", BEARER), ("sec-fetch-site", "cross-site")]);
    assert_eq!((status, &body["outcome"]), (403, &"cross_site".into()));
    assert_eq!(world.post("xyz", &[("authorization", BEARER)]).0, 400);
    assert_eq!(world.ask(id(Kind::Fine, 7, 0)), (404, "not_found".to_owned()));
    assert_eq!(world.ask(secret), (409, "vetoed".to_owned()));
    let (code, said) = world.command(secret);
    assert!(code == 5 && said.contains("never"), "{code}: {said}");
    assert_eq!(world.command(id(Kind::Fine, 7, 0)).0, 3);

    // Over HTTP, with the late span; again; by two at once; on the command line.
    world.requested(fine(0));
    world.check(&[fine(0)]);
    eventually("the trace to be kept on record", PATIENCE, || {
        (world.ask(fine(0)) == (200, "kept".to_owned())).then_some(())
    });
    let both = [(); 2].map(|()| {
        let (address, trace) = (world.address.clone(), fine(2).to_string());
        std::thread::spawn(move || {
            let url = format!("http://{address}/api/traces/{trace}/keep");
            let request = reqwest::Client::new().post(url).header("authorization", BEARER);
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(request.send()).unwrap().status().as_u16()
        })
    });
    let both = both.map(|asked| asked.join().unwrap());
    assert!(both.contains(&202) && both.iter().all(|status| [200, 202].contains(status)));
    let (code, said) = world.command(fine(1));
    assert!(code == 0 && said.contains("is kept, and was delivered"), "{code}: {said}");
    let (code, said) = world.command(fine(1));
    assert!(code == 0 && said.contains("kept already"), "{code}: {said}");
    world.check(&[fine(0), fine(1), fine(2)]);

    // What nobody asks for in this way.
    for header in ["", "1 nonsense", "2 00000000 0af7651916cd43dd8448eb211c80319c 0"] {
        let headers = OwnedHeaders::new();
        let headers = headers.insert(Header { key: "tailsieve.keep", value: Some(header) });
        let record = BaseRecord::<(), [u8]>::to(world.rig.topic.name()).partition(3);
        let record = record.payload(b"").headers(headers);
        world.traffic.producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    // What comes later follows.
    world.late(fine(0), 4);
    world.check(&[fine(0), fine(1), fine(2)]);
    world.rig.settle();
    let scrape = checked_scrape(&member);
    let of = |name: &str| scrape.get(name);
    assert_eq!(of("tailsieve_restored_traces_total"), Some(3.0));
    assert_eq!(of("tailsieve_restored_spans_total"), Some(7.0));
    assert_eq!(of(r#"tailsieve_restore_failures_total{cause="malformed"}"#), Some(3.0));
    assert_eq!(of(r#"tailsieve_restore_failures_total{cause="expired"}"#), Some(0.0));
    let file = world.rig.scratch.join("first.yaml");
    let entries = entries(file.to_str().unwrap());
    let by_trigger = entries.iter().filter(|entry| entry["trigger"] == "restored");
    assert!(by_trigger.count() >= 6, "each is decided and delivered");

    // Under another owner.
    assert!(member.process.terminate().success());
    let member = world.rig.member("second");
    world.late(fine(1), 4);
    world.requested(fine(3));
    let all = [fine(0), fine(1), fine(2), fine(3)];
    world.check(&all);
    world.rig.settle();
    checked_scrape(&member);
}

/// Scenario: the backend is away when all traces are asked for; the member is killed when that is on record.
/// Guarantees: the next owner delivers all of them, whole and once.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn a_restored_trace_outlives_the_member_that_decided_it() {
    let mut world = World::new("keep-killed", POLICIES, "on_request");
    let mut member = world.rig.member("first");
    world.traffic.begin(&world.rig, &[Kind::Fine], 0);
    dropped(&mut member, TRACES);
    world.rig.settle();
    world.rig.receiver = None;
    let all: Vec<TraceId> = (0..TRACES).map(fine).collect();
    all.iter().for_each(|trace| world.requested(*trace));
    restored(&mut member, TRACES);
    let file = world.rig.scratch.join("first.yaml");
    eventually("all to be on record as kept", PATIENCE, || {
        let entries = entries(file.to_str().unwrap());
        let kept = entries.iter().filter(|entry| entry["trigger"] == "restored").count();
        (kept >= usize::from(TRACES)).then_some(())
    });
    member.process.kill();
    assert!(world.taken().is_empty());
    world.requests = world.rig.keep_requests();
    let member = world.rig.member("third");
    world.check(&all);
    world.rig.settle();
    let scrape = checked_scrape(&member);
    assert_eq!(scrape.get("tailsieve_restored_traces_total"), Some(f64::from(TRACES)));
}

/// Scenario: traces are forgotten, then spans of some come and are dropped, too; all are asked for, and again
/// when that is forgotten as well.
/// Guarantees: all that was dropped arrives, once.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn what_members_have_forgotten_is_kept_too() {
    let policies = format!("{POLICIES}decision_cache: {{ttl: 1s}}\n");
    let mut world = World::new("keep-forgotten", &policies, "on_request");
    let mut member = world.rig.member("first");
    world.traffic.begin(&world.rig, &[Kind::Fine], 0);
    dropped(&mut member, TRACES);
    // A quiet partition's clock follows that of the machine.
    let forgotten = |member: &mut Member| {
        member.wait_for_metrics("decisions to be forgotten", |scrape| {
            scrape.get("tailsieve_decision_cache_entries") == Some(0.0)
        });
    };
    forgotten(&mut member);
    let again: Vec<TraceId> = (0..5).map(fine).collect();
    again.iter().for_each(|trace| world.late(*trace, 3));
    dropped(&mut member, TRACES + 5);
    forgotten(&mut member);
    let all: Vec<TraceId> = (0..10).map(fine).collect();
    all.iter().for_each(|trace| world.requested(*trace));
    world.check(&all);
    forgotten(&mut member);
    assert_eq!(world.ask(fine(0)), (200, "kept".to_owned()));
    world.rig.settle();
    world.check(&all);
    let scrape = checked_scrape(&member);
    assert_eq!(scrape.get("tailsieve_restored_spans_total"), Some(25.0));
}

/// Scenario: dropped traces are opened where that has them kept, one of them by a page of another site.
/// Guarantees: those that were opened arrive, once, but for that one.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn what_is_opened_is_kept_if_that_is_wanted() {
    let mut world = World::new("keep-opened", POLICIES, "on_open");
    let mut member = world.rig.member("first");
    world.traffic.begin(&world.rig, &[Kind::Fine], 0);
    dropped(&mut member, TRACES);
    world.rig.settle();
    let open = |trace: TraceId, site: &str| {
        let url = format!("http://{}/api/v2/traces/{trace}", world.address);
        let request = reqwest::Client::new().get(url).header("authorization", BEARER);
        let request = request.header("sec-fetch-site", site).send();
        world.rig.runtime.block_on(request).unwrap().status().as_u16()
    };
    assert_eq!(open(fine(0), "cross-site"), 200);
    for trace in [fine(1), fine(2), fine(1)] {
        assert_eq!(open(trace, "none"), 200);
    }
    world.check(&[fine(1), fine(2)]);
    world.rig.settle();
    world.check(&[fine(1), fine(2)]);
    let scrape = checked_scrape(&member);
    let asked = r#"tailsieve_retrieval_keep_requests_total{answer="requested"}"#;
    assert_eq!(scrape.get(asked), Some(2.0));
}
