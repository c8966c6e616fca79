//! Dropped traces that late spans re-open: a retry that fails after the wait, and a job that outlives it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};
use prost::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tailsieve::testing::ids::TraceId;
use tailsieve::testing::kafka::source;

use crate::rig::{Rig, checked_scrape};
use crate::support::{Member, eventually};

const POLICIES: &str = "
decision_wait: 2s
decision_wait_after_root_received: 500ms
reopen: {policies: [errors, slow]}
policies:
  - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
  - {name: slow, type: latency, latency: {threshold_ms: 1000}}
";

/// Traces of each kind.
pub const TRACES: u8 = 20;
pub const PATIENCE: Duration = Duration::from_secs(120);

/// What a trace is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A retry fails after the wait.
    Retry,
    /// Its root, which took long, ends after the wait.
    Job,
    /// What comes late is in order.
    Fine,
}

/// One test's traffic: each trace has spans of two services in records of their own, then a late one.
pub struct Traffic {
    pub producer: BaseProducer,
    /// By span id: the trace, and the span with all that is around it.
    pub sent: BTreeMap<Vec<u8>, (Vec<u8>, ResourceSpans)>,
}

pub fn id(kind: Kind, phase: u8, number: u8) -> TraceId {
    let mut bytes = [7; 16];
    (bytes[0], bytes[1], bytes[15]) = (kind as u8 + 1, phase, number);
    TraceId::from_slice(&bytes).unwrap()
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

impl Traffic {
    pub fn new(rig: &Rig) -> Self {
        Self { producer: rig.kafka.client().create().unwrap(), sent: BTreeMap::new() }
    }

    pub fn send(&mut self, rig: &Rig, trace: TraceId, (number, service): (u8, &str), span: Span) {
        let mut span_id = trace.as_bytes()[..7].to_vec();
        (span_id[3], span_id[4]) = (trace.as_bytes()[15], number);
        span_id.push(number);
        let attributes = vec![text("step", service)];
        let trace_id = trace.as_bytes().to_vec();
        let span = Span { trace_id, span_id: span_id.clone(), attributes, ..span };
        let scope = ScopeSpans { spans: vec![span], ..ScopeSpans::default() };
        let resource =
            Resource { attributes: vec![text("service.name", service)], ..Default::default() };
        let resource = ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![scope],
            ..Default::default()
        };
        self.sent.insert(span_id, (trace.as_bytes().to_vec(), resource.clone()));
        let value = TracesData { resource_spans: vec![resource] }.encode_to_vec();
        let (key, partition) = (trace.to_string(), i32::from(trace.as_bytes()[15]));
        let record = BaseRecord::to(rig.topic.name()).partition(partition % rig.topic.partitions());
        self.producer.send(record.key(&key).payload(&value)).map_err(|(error, _)| error).unwrap();
    }

    /// What comes in time: nothing about it is worth keeping.
    pub fn begin(&mut self, rig: &Rig, kinds: &[Kind], phase: u8) {
        for (number, kind) in each(kinds) {
            let (start, trace) = (nanos(), id(kind, phase, number));
            let span = |name: &str, parent: &[u8]| Span {
                name: name.to_owned(),
                parent_span_id: parent.to_vec(),
                start_time_unix_nano: start,
                end_time_unix_nano: start + 1_000_000,
                ..Span::default()
            };
            self.send(rig, trace, (1, "shop"), span("POST /cart", &[9; 8]));
            self.send(rig, trace, (2, "cart"), span("add", &[8; 8]));
        }
        self.producer.flush(PATIENCE).unwrap();
    }

    /// What comes late.
    pub fn end(&mut self, rig: &Rig, kinds: &[Kind], phase: u8) {
        for (number, kind) in each(kinds) {
            let (end, trace) = (nanos(), id(kind, phase, number));
            let millis = if kind == Kind::Job { 5000 } else { 5 };
            let status = (kind == Kind::Retry).then(|| Status { code: 2, ..Status::default() });
            let span = Span {
                name: "late".to_owned(),
                parent_span_id: if kind == Kind::Job { Vec::new() } else { vec![9; 8] },
                start_time_unix_nano: end - millis * 1_000_000,
                end_time_unix_nano: end,
                status,
                ..Span::default()
            };
            self.send(rig, trace, (3, "jobs"), span);
        }
        self.producer.flush(PATIENCE).unwrap();
    }
}

fn each(kinds: &[Kind]) -> Vec<(u8, Kind)> {
    (0..TRACES).flat_map(|number| kinds.iter().map(move |kind| (number, *kind))).collect()
}

fn nanos() -> u64 {
    u64::try_from(source::now().0).unwrap() * 1_000_000
}

/// The spans that a backend took, as they were sent: without what members add, which `check` looks at.
pub fn taken_as(
    requests: &Mutex<Vec<Bytes>>,
    check: impl Fn(&Span),
) -> BTreeMap<Vec<u8>, Vec<ResourceSpans>> {
    let mut taken: BTreeMap<Vec<u8>, Vec<ResourceSpans>> = BTreeMap::new();
    for request in requests.lock().unwrap().iter() {
        for resource in TracesData::decode(&**request).unwrap().resource_spans {
            for scope in &resource.scope_spans {
                for span in &scope.spans {
                    check(span);
                    let mut span = span.clone();
                    span.attributes.retain(|it| it.key == "step");
                    span.trace_state.clear();
                    let id = span.span_id.clone();
                    let scope = ScopeSpans { spans: vec![span], ..scope.clone() };
                    let alone = ResourceSpans { scope_spans: vec![scope], ..resource.clone() };
                    taken.entry(id).or_default().push(alone);
                }
            }
        }
    }
    taken
}

fn taken(requests: &Mutex<Vec<Bytes>>) -> BTreeMap<Vec<u8>, Vec<ResourceSpans>> {
    taken_as(requests, |span| {
        let policy = span.attributes.iter().find(|it| it.key == "tailsieve.policy");
        assert!(policy.is_some(), "{span:?} does not say why it was kept");
    })
}

/// Waits until the backend has all spans of the traces of these kinds; none of others may be there.
fn check(traffic: &Traffic, requests: &Arc<Mutex<Vec<Bytes>>>, phase: u8) {
    let is_of = |trace: &[u8], kind: Kind| trace[0] == kind as u8 + 1;
    let wanted = traffic.sent.iter().filter(|(_, (trace, _))| {
        trace[1] <= phase && (is_of(trace, Kind::Retry) || is_of(trace, Kind::Job))
    });
    let wanted: BTreeMap<Vec<u8>, Vec<ResourceSpans>> =
        wanted.map(|(span, (_, sent))| (span.clone(), vec![sent.clone()])).collect();
    eventually("all spans of the re-opened traces", PATIENCE, || {
        (taken(requests).len() >= wanted.len()).then_some(())
    });
    assert_eq!(taken(requests), wanted);
}

fn late_decisions(member: &mut Member, count: u8) {
    let series = r#"tailsieve_decision_triggers_total{trigger="late"}"#;
    member.wait_for_metrics("dropped traces to be re-opened", |scrape| {
        scrape.get(series) >= Some(f64::from(count))
    });
}

pub fn dropped(member: &mut Member, traces: u8) {
    member.wait_for_metrics("traces to be dropped", |scrape| {
        scrape.sum("tailsieve_dropped_traces_total") >= f64::from(traces)
    });
}

/// Scenario: traces of two services are dropped; then a retry of some fails, the root of others comes
/// at last and took long, and what comes late of the rest is in order. With others the same happens
/// while the backend is away, and the member is killed before it is back.
/// Guarantees: the first two kinds arrive whole, each span once and as it was sent, and with the policy;
/// nothing of the third does; what comes later still follows; the numbers balance.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn what_fails_or_ends_late_brings_its_dropped_trace_back() {
    let mut rig = Rig::new("reopen", POLICIES);
    let requests = rig.keep_requests();
    let mut member = rig.member("first");
    let mut traffic = Traffic::new(&rig);
    let all = [Kind::Retry, Kind::Job, Kind::Fine];
    traffic.begin(&rig, &all, 0);
    dropped(&mut member, 3 * TRACES);
    assert!(requests.lock().unwrap().is_empty(), "nothing was worth keeping");
    traffic.end(&rig, &all, 0);
    check(&traffic, &requests, 0);
    rig.settle();
    let scrape = checked_scrape(&member);
    let reopened = f64::from(2 * TRACES);
    assert_eq!(scrape.get("tailsieve_reopened_traces_total"), Some(reopened));
    assert_eq!(scrape.get("tailsieve_reopened_spans_total"), Some(2.0 * reopened));
    assert_eq!(scrape.sum("tailsieve_reopen_failures_total"), 0.0);

    // What comes of them later follows, and so it does under another owner.
    assert!(member.process.terminate().success());
    let mut member = rig.member("second");
    let trace = id(Kind::Retry, 0, 3);
    traffic.send(&rig, trace, (4, "jobs"), Span { name: "later".into(), ..Span::default() });
    traffic.producer.flush(PATIENCE).unwrap();
    check(&traffic, &requests, 0);

    traffic.begin(&rig, &all, 1);
    dropped(&mut member, 3 * TRACES);
    rig.receiver = None;
    traffic.end(&rig, &all, 1);
    late_decisions(&mut member, 2 * TRACES);
    member.process.kill();
    let more = rig.keep_requests();
    let member = rig.member("third");
    eventually("the traces that the killed member had not delivered", PATIENCE, || {
        let all = taken(&more).len() + taken(&requests).len();
        (all > 12 * usize::from(TRACES)).then_some(())
    });
    requests.lock().unwrap().extend(more.lock().unwrap().drain(..));
    check(&traffic, &requests, 1);
    rig.settle();
    checked_scrape(&member);
}
