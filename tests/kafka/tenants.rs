//! Headers of records that go along: to the backend, into dead letters and back, through `rekey`.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message as _;
use rdkafka::Message as _;
use rdkafka::message::{Header, Headers as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tailsieve::testing::ids::TraceId;

use crate::rig::{Rig, checked_scrape, one_span};
use crate::support::{Process, Topic, eventually, free_address, tailsieve};

const KEEP_ALL: &str = "
decision_wait: 5s
decision_wait_after_root_received: 500ms
policies:
  - {name: everything, type: always_sample}
";

const PATIENCE: Duration = Duration::from_secs(60);
const HEADER: &str = "X-Scope-OrgID";

fn id(number: u8) -> TraceId {
    TraceId::from_slice(&[number; 16]).unwrap()
}

fn write(rig: &Rig, topic: &Topic, records: &[(u8, u8, Option<&str>)]) {
    let producer: BaseProducer = rig.kafka.client().create().unwrap();
    for (trace, span, tenant) in records {
        let (key, value) = (id(*trace).to_string(), one_span(id(*trace), *span, None));
        let mut headers = OwnedHeaders::new().insert(Header { key: "other", value: Some("x") });
        if let Some(tenant) = tenant {
            // Names are compared regardless of case.
            headers = headers.insert(Header { key: "x-scope-orgid", value: Some(*tenant) });
        }
        let partition = i32::from(*trace) % topic.partitions();
        let record = BaseRecord::to(topic.name()).partition(partition).headers(headers);
        producer.send(record.key(&key).payload(&value)).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

/// Spans that came, by tenant; of the ones without a header, that of the settings.
type Came = Arc<Mutex<BTreeMap<String, Vec<(u8, u8)>>>>;

/// A backend of several tenants, of which it takes all but `refused`.
fn backend(rig: &Rig, refused: &'static str) -> (String, Came) {
    let came = Came::default();
    let book = Arc::clone(&came);
    let take = move |headers: HeaderMap, body: Bytes| async move {
        let tenant = headers.get(HEADER).map_or("none", |value| value.to_str().unwrap());
        if tenant == refused {
            return StatusCode::UNPROCESSABLE_ENTITY;
        }
        let request = TracesData::decode(body).unwrap();
        let scopes = request.resource_spans.into_iter().flat_map(|it| it.scope_spans);
        let spans = scopes.flat_map(|it| it.spans).map(|it| (it.trace_id[0], it.span_id[0]));
        book.lock().unwrap().entry(tenant.to_owned()).or_default().extend(spans);
        StatusCode::OK
    };
    let address = rig.runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/v1/traces", post(take));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        address
    });
    (format!("http://{address}"), came)
}

fn config(rig: &Rig, backend: &str) -> String {
    let retries = "retry_on_failure: {initial_interval: 100ms, max_interval: 300ms, \
                   refuse_after_attempts: 2, refuse_after_time: 500ms}";
    let config = rig.config();
    let (kafka, rest) = config.split_once("export:").unwrap();
    let (_, rest) = rest.split_once("admin:").unwrap();
    format!(
        "{kafka}  forward_headers: [{HEADER}]\nexport:\n  protocol: http\n  endpoint: {backend}\n  \
         compression: none\n  headers: {{{HEADER}: default}}\n  {retries}\nadmin:{rest}"
    )
}

fn sorted(came: &Came) -> BTreeMap<String, Vec<(u8, u8)>> {
    let mut came = came.lock().unwrap().clone();
    // A request without spans asks whether the backend is there.
    came.retain(|_, spans| !spans.is_empty());
    came.values_mut().for_each(|spans| spans.sort_unstable());
    came
}

fn tenant_of(record: &OwnedMessage, name: &str) -> Option<String> {
    let headers = record.headers()?;
    let header = headers.iter().find(|header| header.key == name)?;
    Some(String::from_utf8(header.value?.to_vec()).unwrap())
}

/// Scenario: a topic of several tenants, one trace of which is of two; one tenant is refused, and
/// later not.
/// Guarantees: each span goes to its tenant and to no other, and those without one to that of the
/// settings; what is refused is a dead letter that says whose it is, and goes there when it is fed back.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn spans_go_to_the_tenant_that_their_records_name() {
    let rig = Rig::new("tenants", KEEP_ALL);
    let dead = rig.kafka.topic("tenants-dead", 3, &[]);
    let rig = rig.with(&format!("dead_letter: {{topic: {}}}\n", dead.name()));
    let (address, came) = backend(&rig, "red");
    let config = config(&rig, &address);
    let file = rig.scratch.path().join("tenants.yaml");
    fs::write(&file, config.replace("$ADMIN", &free_address())).unwrap();
    let mut member = crate::support::Member::start(rig.scratch.path(), "member", &config);
    member.wait_ready();
    let records = [
        (1, 1, Some("blue")),
        (2, 1, Some("green")),
        (3, 1, None),
        // Of one trace, whose parts belong to two.
        (4, 1, Some("blue")),
        (4, 2, Some("green")),
        (5, 1, Some("red")),
    ];
    write(&rig, &rig.topic, &records);
    // What others have accepted meanwhile is what speaks against a request.
    let mut more = 10;
    eventually("the letter of the refused tenant", PATIENCE, || {
        more += 1;
        write(&rig, &rig.topic, &[(more, 1, Some("more"))]);
        (dead.end_offsets().values().sum::<i64>() > 0).then_some(())
    });
    rig.settle();
    checked_scrape(&member);
    let expected = |tenant: &str| sorted(&came).get(tenant).cloned().unwrap_or_default();
    assert_eq!(expected("blue"), [(1, 1), (4, 1)]);
    assert_eq!(expected("green"), [(2, 1), (4, 2)]);
    assert_eq!(expected("default"), [(3, 1)]);
    assert_eq!((expected("red"), expected("none")), (vec![], vec![]));
    let letters = dead.records();
    assert_eq!(letters.len(), 1);
    assert_eq!(tenant_of(&letters[0], HEADER).as_deref(), Some("red"));
    assert_eq!(tenant_of(&letters[0], "other"), None);

    let (address, came) = backend(&rig, "nobody");
    let text = fs::read_to_string(&file).unwrap();
    let before = text.lines().find(|line| line.contains("endpoint:")).unwrap();
    fs::write(&file, text.replace(before, &format!("  endpoint: {address}"))).unwrap();
    let output = tailsieve().args(["replay-dead-letters", "--config"]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(sorted(&came), BTreeMap::from([("red".to_owned(), vec![(5, 1)])]));
}

/// Guarantees: of a record that is split, each part has all of its headers.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn rekey_keeps_headers() {
    let rig = Rig::new("headers", KEEP_ALL);
    let from = rig.kafka.topic("headers-from", 2, &[]);
    write(&rig, &from, &[(1, 1, Some("blue")), (2, 1, None)]);
    let file = rig.scratch.path().join("rekey.yaml");
    fs::write(&file, rig.config().replace("$ADMIN", &free_address())).unwrap();
    let mut command = tailsieve();
    command.args(["rekey", "--from", from.name(), "--config"]).arg(file);
    let _rekey = Process::spawn(command, rig.scratch.path(), "rekey");
    eventually("both records to be rekeyed", PATIENCE, || {
        (rig.topic.end_offsets().values().sum::<i64>() == 2).then_some(())
    });
    let tenants: BTreeMap<_, _> = (rig.topic.records().iter())
        .map(|record| {
            assert_eq!(tenant_of(record, "other").as_deref(), Some("x"));
            (record.key().unwrap().to_vec(), tenant_of(record, "x-scope-orgid"))
        })
        .collect();
    let key = |number: u8| id(number).to_string().into_bytes();
    let expected = [(key(1), Some("blue".to_owned())), (key(2), None)];
    assert_eq!(tenants, BTreeMap::from(expected));
}
