//! Asked as Jaeger asks its archive: over gRPC, for traces that its own storage lacks.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;
use prost_types::Timestamp;
use serde_json::Value;
use tailsieve::testing::ids::TraceId;
use tailsieve::testing::kafka::source;
use tailsieve::testing::testbed::generator::Model;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::{Decided, Server, decided};
use crate::rig::{POLICIES, Rig};
use crate::support::{check_table, free_address};
use crate::trace::{Contents, add, of_services};

/// How many traces are asked for in one call.
const TOGETHER: usize = 40;

/// How large a message a client of gRPC takes.
const LARGEST: usize = 4 << 20;

const READER: &str = "/jaeger.storage.v2.TraceReader";

/// As in `jaeger-idl`, `proto/storage/v2/trace_storage.proto`.
#[derive(Clone, PartialEq, Message)]
struct GetTracesRequest {
    #[prost(message, repeated, tag = "1")]
    query: Vec<GetTraceParams>,
}

#[derive(Clone, PartialEq, Message)]
pub struct GetTraceParams {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    start_time: Option<Timestamp>,
    #[prost(message, optional, tag = "3")]
    end_time: Option<Timestamp>,
}

/// Without times, which Jaeger says as Go does.
pub fn wanted(id: &str) -> GetTraceParams {
    let trace_id = TraceId::from_hex(id.as_bytes()).unwrap().as_bytes().to_vec();
    let year_one = Some(Timestamp { seconds: -62_135_596_800, nanos: 0 });
    GetTraceParams { trace_id, start_time: year_one, end_time: year_one }
}

fn wanted_between(id: &str, start: i64, end: i64) -> GetTraceParams {
    let at = |seconds| Some(Timestamp { seconds, nanos: 500_000_000 });
    GetTraceParams { start_time: at(start), end_time: at(end), ..wanted(id) }
}

/// The client.
pub struct Jaeger<'a> {
    rig: &'a Rig,
    channel: Channel,
    headers: Vec<(&'static str, String)>,
}

impl<'a> Jaeger<'a> {
    pub fn of(server: &Server<'a>) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
        let _context = server.rig.runtime.enter();
        Self::over(server.rig, endpoint.connect_lazy())
    }

    pub fn over(rig: &'a Rig, channel: Channel) -> Self {
        Self { rig, channel, headers: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// The messages of the answer.
    pub fn get(&self, query: Vec<GetTraceParams>) -> Result<Vec<TracesData>, Status> {
        self.call(&format!("{READER}/GetTraces"), GetTracesRequest { query })
    }

    /// Calls any method, with that request.
    fn call(&self, path: &str, request: GetTracesRequest) -> Result<Vec<TracesData>, Status> {
        let path: PathAndQuery = path.parse().unwrap();
        let mut request = Request::new(request);
        for (name, value) in &self.headers {
            let value: MetadataValue<_> = value.parse().unwrap();
            request.metadata_mut().insert(*name, value);
        }
        self.rig.runtime.block_on(async {
            let mut client = Grpc::new(self.channel.clone());
            client.ready().await.map_err(|error| Status::from_error(error.into()))?;
            let codec = ProstCodec::<GetTracesRequest, TracesData>::default();
            let mut stream = client.server_streaming(request, path, codec).await?.into_inner();
            let mut messages = Vec::new();
            while let Some(message) = stream.message().await? {
                messages.push(message);
            }
            Ok(messages)
        })
    }

    /// The traces of an answer, of which each message holds spans of one.
    pub fn open(&self, query: Vec<GetTraceParams>) -> BTreeMap<String, Contents> {
        let mut traces = BTreeMap::new();
        for message in self.get(query).unwrap() {
            let (mut alone, bytes) = (BTreeMap::new(), message.encode_to_vec());
            add(&mut alone, &bytes);
            assert!(alone.len() == 1 && bytes.len() <= LARGEST, "{} traces", alone.len());
            add(&mut traces, &bytes);
        }
        traces
    }

    fn finds_nothing(&self, query: Vec<GetTraceParams>) {
        assert_eq!(self.get(query).unwrap(), []);
    }

    fn fails(&self, query: Vec<GetTraceParams>, code: Code) {
        let status = self.get(query).unwrap_err();
        assert_eq!(status.code(), code, "{status}");
    }
}

/// What was written: the spans of each trace, and how many records they are in.
#[derive(Default)]
struct Sent {
    spans: BTreeMap<String, Contents>,
    records: BTreeMap<String, usize>,
}

impl Sent {
    fn add(&mut self, record: &[u8]) {
        let mut of_record = BTreeMap::new();
        add(&mut of_record, record);
        for (id, spans) in of_record {
            self.spans.entry(id.clone()).or_default().extend(spans);
            *self.records.entry(id).or_default() += 1;
        }
    }

    fn only(&self, ids: &[&String]) -> BTreeMap<String, Contents> {
        ids.iter().map(|id| ((*id).clone(), self.spans[*id].clone())).collect()
    }
}

/// Scenario: Jaeger asks for more than a thousand dropped traces of several services and records, with late
/// spans, many in one call, with and without times; for kept ones, for others and for what there is not;
/// then Kafka deletes the records.
/// Guarantees: each trace has just the spans that were sent, field by field, in messages of its own; one that
/// is not here is left out; what cannot be answered is an error that says why.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn jaeger_opens_the_traces_that_its_storage_lacks() {
    let listen = free_address();
    let rig =
        Rig::new("retrieval-jaeger", POLICIES).with(&format!("retrieval: {{listen: {listen}}}\n"));
    let member = rig.member("member");
    let start = source::now().0 / 1000;
    let settings = of_services(29, 40_000);
    let mut sent = Sent::default();
    Model::new(settings.clone()).for_each(|record| sent.add(&record.payload));
    rig.write(settings, false).finish();
    rig.settle();
    let end = source::now().0 / 1000;
    let admin = member.admin().to_owned();
    let server = Server { rig: &rig, address: listen, admin, process: None };
    let jaeger = Jaeger::of(&server);
    let file = rig.scratch.join("member.yaml");
    let Decided { dropped, kept, late } = decided(file.to_str().unwrap());

    let of_several_records = dropped.iter().filter(|id| sent.records[*id] > 2).count();
    let with_late_spans = dropped.intersection(&late).count();
    assert!(dropped.len() >= 1000, "{}", dropped.len());
    assert!(of_several_records > 300 && with_late_spans > 100, "{with_late_spans}");
    let dropped: Vec<&String> = dropped.iter().collect();
    for (ids, number) in dropped.chunks(TOGETHER).zip(0..) {
        let query = ids.iter().map(|id| match number % 4 {
            0 => wanted(id),
            _ => wanted_between(id, start, end),
        });
        assert!(jaeger.open(query.collect()) == sent.only(ids), "{ids:?}");
    }
    assert_eq!(server.outcomes("found"), dropped.len() as f64);
    let lines = member.process.log();
    let lines = lines.lines().filter(|line| line.contains("retrieval.lookup"));
    let asked: BTreeSet<String> = lines.map(|line| audited(line, "found")).collect();
    assert_eq!(asked, dropped.iter().map(|id| (*id).clone()).collect());

    // Jaeger asks for a kept one only if it does not have it.
    let few: Vec<&String> = kept.iter().take(TOGETHER).collect();
    let query = few.iter().map(|id| wanted_between(id, start, end)).collect();
    assert!(jaeger.open(query) == sent.only(&few));

    // What is not here does not hinder the others.
    let [first, second, third] = [dropped[0], dropped[1], dropped[2]];
    let nobody = &"1".repeat(32);
    let query = vec![wanted(first), wanted(nobody), wanted_between(second, 1, 2), wanted(third)];
    assert!(jaeger.open(query) == sent.only(&[first, third]));
    jaeger.finds_nothing(vec![wanted(nobody)]);
    jaeger.finds_nothing(vec![wanted_between(first, end + 1000, end + 2000)]);
    jaeger.finds_nothing(Vec::new());
    let wrong = GetTraceParams { trace_id: vec![7; 8], ..wanted(first) };
    jaeger.fails(vec![wanted(first), wrong], Code::InvalidArgument);
    assert_eq!(server.outcomes("malformed"), 1.0);
    not_implemented(&jaeger);

    tenants_see_their_own(&rig, (first, &sent.spans[first]));
    who_has_no_token_is_told_so(&rig, (first, &sent.spans[first]));
    what_went_wrong_is_said(&rig, first);
    check_table(&member.scrape()).unwrap();

    let other = Server::start(&rig, "other", rig.kafka.address(), "");
    let jaeger = Jaeger::of(&other);
    assert!(jaeger.open(vec![wanted(first)]) == sent.only(&[first]));
    rig.topic.delete_records(&rig.topic.end_offsets());
    jaeger.finds_nothing(vec![wanted_between(second, start, end)]);
    assert_eq!(other.outcomes("beyond_retention"), 1.0);
}

/// The trace of a line of the audit, which has all that there is to say.
fn audited(line: &str, outcome: &str) -> String {
    let line: Value = serde_json::from_str(line).unwrap();
    let fields = line.get("fields").unwrap_or(&line);
    assert_eq!(fields["outcome"], outcome, "{line}");
    assert!(fields["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    assert!(fields["answer_bytes"].as_u64().unwrap() > 0, "{line}");
    fields["trace_id"].as_str().unwrap().to_owned()
}

/// Searching, and the archiving of a trace.
fn not_implemented(jaeger: &Jaeger<'_>) {
    let archive = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let methods = ["GetServices", "GetOperations", "FindTraces", "FindTraceIDs"];
    let methods = methods.map(|name| format!("{READER}/{name}"));
    for path in methods.iter().map(String::as_str).chain([archive]) {
        let status = jaeger.call(path, GetTracesRequest::default()).unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{path}: {status}");
        assert!(status.message().contains("tailsieve"), "{status}");
    }
}

/// Here each service is a tenant.
fn tenants_see_their_own(rig: &Rig, (id, sent): (&String, &Contents)) {
    let lines = "  tenant_attribute: service.name\n";
    let server = Server::start(rig, "tenants", rig.kafka.address(), lines);
    Jaeger::of(&server).finds_nothing(vec![wanted(id)]);
    Jaeger::of(&server).with("x-tenant", "nobody").finds_nothing(vec![wanted(id)]);
    assert_eq!(server.outcomes("wrong_tenant"), 2.0);
    let service = super::service(sent.first().unwrap());
    let theirs = sent.iter().filter(|span| super::service(span) == service).cloned().collect();
    let jaeger = Jaeger::of(&server).with("x-tenant", &service);
    assert!(jaeger.open(vec![wanted(id)]) == BTreeMap::from([(id.clone(), theirs)]));
    // Jaeger knows one tenant at a time, which may be called so.
    let both = format!("{service}|{service}");
    Jaeger::of(&server).with("x-tenant", &both).finds_nothing(vec![wanted(id)]);
}

fn who_has_no_token_is_told_so(rig: &Rig, (id, sent): (&String, &Contents)) {
    let lines = "  token: open-sesame\n";
    let server = Server::start(rig, "token", rig.kafka.address(), lines);
    Jaeger::of(&server).fails(vec![wanted(id)], Code::Unauthenticated);
    let wrong = Jaeger::of(&server).with("authorization", "Bearer simsalabim");
    wrong.fails(vec![wanted(id)], Code::Unauthenticated);
    assert_eq!(server.outcomes("unauthorized"), 2.0);
    let jaeger = Jaeger::of(&server).with("authorization", "Bearer open-sesame");
    assert!(jaeger.open(vec![wanted(id)]) == BTreeMap::from([(id.clone(), sent.clone())]));
}

/// Too little may be read, or Kafka is away.
fn what_went_wrong_is_said(rig: &Rig, id: &str) {
    let slow = "  bytes_per_second: 512\n";
    let server = Server::start(rig, "slow", rig.kafka.address(), slow);
    Jaeger::of(&server).fails(vec![wanted(id)], Code::ResourceExhausted);
    let server = Server::start(rig, "away", &free_address(), "");
    Jaeger::of(&server).fails(vec![wanted(id)], Code::Unavailable);
    assert_eq!(server.outcomes("kafka_away"), 1.0);
}
