//! What each stage of a span's way costs, on records of six shapes. Three are generated: small ones
//! (one trace, one resource, one batch of an instance), those of one service's part of a trace, and
//! large ones that a Collector batched. Three are captured, from an OpenTelemetry SDK: a span a
//! record, 512 spans of many traces a record, and spans with many attributes
//! (`benches/captured/record` records them again).
//!
//! `cargo bench --bench stages`; `-- --quick` for a first look, `-- frame` for one stage. Scanning,
//! assembling, framing and compressing are per span; records of the decision log and the decision
//! cache per trace. What policies cost is in the bench `policies`.

// Tests read the clock, and decode what arrived.
#![allow(clippy::disallowed_methods)]

use std::hint::black_box;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Bencher, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;
use tailsieve::testing::ids::{Offset, Pin, Timestamp, TraceId};
use tailsieve::testing::kafka::decision_log::{GroupHash, LogBatch, OwnerId};
use tailsieve::testing::otlp::probability::Threshold;
use tailsieve::testing::otlp::{Additions, AttributeKeys, Chance, Framer, Scan, SpanSegment, scan};
use tailsieve::testing::sampling::decided::{
    DecidedTraces, DecisionRecord, Kept, SamplingDecision, TraceDetails,
};
use tailsieve::testing::sampling::sampler::runs;
use tailsieve::testing::sampling::trace::{
    Headers, Limits, OpenTrace, OpenTraces, RecordOffsets, Segment, Trigger,
};
use tailsieve::testing::testbed::captures::Capture;
use tailsieve::testing::testbed::generator::{Layout, Model, ModelSettings};

const SPANS: u64 = 20_000;

/// The default of `max_request_bytes`.
const MAX_CHUNK_BYTES: usize = 4032 << 10;

/// Records of one shape, with what is in them.
struct Records {
    shape: &'static str,
    values: Vec<Vec<u8>>,
    spans: u64,
}

impl Records {
    fn all() -> Vec<Self> {
        let generated =
            [("small", Layout::Keyed), ("service", Layout::Service), ("batched", Layout::Batched)]
                .map(|(shape, layout)| Self::generated(shape, layout));
        let captured = [
            ("small, captured", include_bytes!("captured/small.otlp.zst").as_slice()),
            ("batched, captured", include_bytes!("captured/batched.otlp.zst")),
            ("wide, captured", include_bytes!("captured/wide.otlp.zst")),
        ]
        .map(|(shape, file)| Self::captured(shape, file));
        generated.into_iter().chain(captured).collect()
    }

    fn generated(shape: &'static str, layout: Layout) -> Self {
        let settings = ModelSettings { max_spans: Some(SPANS), layout, ..ModelSettings::default() };
        Self::of(shape, Model::new(settings).map(|record| record.payload))
    }

    fn captured(shape: &'static str, file: &'static [u8]) -> Self {
        let capture = Capture::new(shape.to_owned(), Box::new(file)).expect("it is a capture");
        Self::of(shape, capture.map(|record| record.expect("it was written by an SDK").payload))
    }

    /// Traces of 64 spans, each of them in a record of its own and from one of so many services.
    fn of_services(shape: &'static str, services: u64) -> Self {
        let traces = SPANS / 64;
        let settings = ModelSettings { max_spans: Some(2 * SPANS), ..ModelSettings::default() };
        let mut first = None;
        let records = (0..64 * traces).zip(Model::new(settings)).map(|(number, record)| {
            let mut data = TracesData::decode(&record.payload[..]).expect("records are valid");
            let spans = &mut data.resource_spans[0];
            spans.scope_spans[0].spans.truncate(1);
            let trace_id = u128::from(1 + number % traces);
            spans.scope_spans[0].spans[0].trace_id = trace_id.to_be_bytes().to_vec();
            spans.scope_spans[0].scope = None;
            let resource = first.get_or_insert_with(|| spans.resource.clone().expect("it has one"));
            resource.attributes[0].value = Some(AnyValue {
                value: Some(Value::StringValue(format!(
                    "service-{:02}",
                    number / traces % services
                ))),
            });
            spans.resource = Some(resource.clone());
            data.encode_to_vec()
        });
        Self::of(shape, records)
    }

    fn of(shape: &'static str, values: impl Iterator<Item = Vec<u8>>) -> Self {
        let values: Vec<_> = values.collect();
        let mut found = Scan::default();
        let spans = values.iter().map(|record| {
            scan(record, &AttributeKeys::default(), &mut found).expect("records are valid");
            found.spans.len() as u64
        });
        let spans = spans.sum();
        Self { shape, values, spans }
    }
}

/// A benchmark for each shape, of so many spans.
fn of_spans(
    criterion: &mut Criterion,
    stage: &str,
    variant: &str,
    measure: impl FnMut(&Records, &mut Bencher<'_>),
) {
    of_spans_of(Records::all(), criterion, stage, variant, measure);
}

fn of_spans_of(
    all: Vec<Records>,
    criterion: &mut Criterion,
    stage: &str,
    variant: &str,
    mut measure: impl FnMut(&Records, &mut Bencher<'_>),
) {
    let mut group = criterion.benchmark_group(format!("{stage}, per span"));
    for records in all {
        group.throughput(Throughput::Elements(records.spans));
        let id = BenchmarkId::new(variant, records.shape);
        group.bench_function(id, |bencher| measure(&records, bencher));
    }
    group.finish();
}

fn scanning(criterion: &mut Criterion) {
    for (variant, keys) in [("no keys", vec![]), ("two keys", vec!["http.route", "service.name"])] {
        let keys = AttributeKeys::new(keys.into_iter().map(str::to_owned));
        let mut found = Scan::default();
        of_spans(criterion, "scan", variant, |records, bencher| {
            bencher.iter(|| {
                for record in &records.values {
                    scan(record, &keys, &mut found).expect("records are valid");
                    black_box(&found);
                }
            });
        });
    }
    of_spans(criterion, "scan", "prost", |records, bencher| {
        bencher.iter(|| {
            for record in &records.values {
                black_box(TracesData::decode(&record[..]).expect("records are valid"));
            }
        });
    });
}

/// Spans into open traces, as a worker does it, without asking them anything.
fn assemble(records: &Records, scans: &[Scan]) -> (OpenTraces, Headers) {
    let mut traces = OpenTraces::new(Limits {
        decision_wait: Duration::from_secs(20),
        decision_wait_after_root_received: Duration::from_secs(3),
        maximum_trace_spans: 50_000,
        maximum_trace_size: 16 << 20,
    });
    let mut headers = Headers::default();
    traces.advance_clock(Timestamp(0));
    for (number, (record, found)) in records.values.iter().zip(scans).enumerate() {
        let offset = Offset(number as i64);
        for run in runs(&found.spans) {
            let scope = &found.scopes[run.spans[0].scope as usize];
            let resource = &found.resources[scope.resource as usize];
            let mut hold = |header: tailsieve::testing::otlp::span::Run| {
                headers.hold(header.of(&found.pieces).iter().map(|piece| piece.of(record)))
            };
            let segment = Segment { resource: hold(resource.header), scope: hold(scope.header) };
            let id = run.trace_id();
            let slot =
                traces.find(id).unwrap_or_else(|| traces.open(id, offset, Pin(number as u64)));
            let count = run.spans.len() as u32;
            traces.append(slot, offset, segment, run.framed.of(record), count);
        }
    }
    (traces, headers)
}

fn scans(records: &Records) -> Vec<Scan> {
    let keys = AttributeKeys::default();
    let scanned = records.values.iter().map(|record| {
        let mut found = Scan::default();
        scan(record, &keys, &mut found).expect("records are valid");
        found
    });
    scanned.collect()
}

fn assembling(criterion: &mut Criterion) {
    let measure = |records: &Records, bencher: &mut Bencher<'_>| {
        let scans = scans(records);
        bencher.iter(|| black_box(assemble(records, &scans)));
    };
    of_spans(criterion, "assemble", "and free", measure);
    let services = [("1 service", 1), ("64 services", 64)];
    let services = services.map(|(shape, services)| Records::of_services(shape, services));
    of_spans_of(services.into(), criterion, "assemble", "traces of", measure);
}

/// The traces of `records`, one after the other, with what is needed to frame them.
fn traces(records: &Records) -> (Vec<OpenTrace>, Headers) {
    let (mut traces, headers) = assemble(records, &scans(records));
    traces.advance_clock(Timestamp(3_600_000));
    (std::iter::from_fn(|| traces.take_due().map(|(trace, _)| trace)).collect(), headers)
}

/// Frames a trace, and does something with each chunk.
fn frame(
    framer: &mut Framer,
    headers: &Headers,
    trace: &OpenTrace,
    additions: &Additions<'_>,
    mut take: impl FnMut(Vec<u8>),
) {
    let segments = trace.payload.segments().map(|(segment, spans)| SpanSegment {
        resource: headers.get(segment.resource),
        scope: headers.get(segment.scope),
        spans,
    });
    for chunk in framer.frame(segments, additions).chunks {
        take(chunk.bytes);
    }
}

fn framing(criterion: &mut Criterion) {
    let threshold = Threshold::new(0xe6_6600_0000_0000).expect("below 2^56");
    let certain = Additions {
        policy: Some("errors"),
        restored: false,
        chance: Chance::Certain,
        tracestate: true,
        sample_rate: true,
    };
    let passed =
        Additions { policy: Some("the-rest"), chance: Chance::Passed(threshold), ..certain };
    for (variant, additions) in [("kept for certain", certain), ("one in ten", passed)] {
        let mut framer = Framer::new(MAX_CHUNK_BYTES);
        of_spans(criterion, "frame", variant, |records, bencher| {
            let (traces, headers) = traces(records);
            bencher.iter(|| {
                for trace in &traces {
                    frame(&mut framer, &headers, trace, &additions, |chunk| {
                        black_box(chunk);
                    });
                }
            });
        });
    }
}

fn gzip(request: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(request).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

/// Compresses a request.
type Compress = fn(&[u8]) -> Vec<u8>;

/// `gzip` is what the exporter does; level 6 is the usual one elsewhere.
const CODECS: [(&str, Compress); 3] = [
    ("gzip", |request| gzip(request, Compression::fast())),
    ("gzip, level 6", |request| gzip(request, Compression::default())),
    ("zstd", |request| zstd::bulk::compress(request, 0).expect("memory takes it")),
];

/// What is kept of `records`, in requests.
fn requests(records: &Records) -> Vec<Vec<u8>> {
    let (traces, headers) = traces(records);
    let mut all = Vec::new();
    let mut framer = Framer::new(MAX_CHUNK_BYTES);
    let nothing = Additions::default();
    for trace in &traces {
        frame(&mut framer, &headers, trace, &nothing, |chunk| all.extend(chunk));
    }
    all.chunks(MAX_CHUNK_BYTES).map(<[u8]>::to_vec).collect()
}

fn compressing(criterion: &mut Criterion) {
    for (codec, compress) in CODECS {
        for records in Records::all() {
            let requests = requests(&records);
            let before: usize = requests.iter().map(Vec::len).sum();
            let after: usize = requests.iter().map(|request| compress(request).len()).sum();
            let percent = 100.0 * after as f64 / before as f64;
            println!("{codec} leaves {percent:.1} % of {before} bytes: {}", records.shape);
        }
        of_spans(criterion, "compress", codec, |records, bencher| {
            let requests = requests(records);
            bencher.iter(|| {
                for request in &requests {
                    black_box(compress(request));
                }
            });
        });
    }
}

fn ids() -> Vec<TraceId> {
    let settings = ModelSettings { max_traces: Some(SPANS / 12), ..ModelSettings::default() };
    let ids = Model::new(settings).filter_map(|record| record.trace_id);
    let ids: std::collections::BTreeSet<TraceId> = ids.collect();
    ids.into_iter().collect()
}

fn recorded(number: i64, trace_id: TraceId, policy: &Arc<str>) -> DecisionRecord {
    let (policy, threshold) = (Arc::clone(policy), Threshold::ALWAYS);
    DecisionRecord {
        trace_id,
        decision: SamplingDecision::Kept(Kept { policy, threshold, consistent: true }),
        dropped_by: None,
        first: Offset(number),
        last: Offset(number + 9),
        at: Timestamp(number),
        trigger: Trigger::Root,
        delivered: false,
    }
}

fn recording(criterion: &mut Criterion) {
    let ids = ids();
    let (group_hash, owner) = (GroupHash::of("tailsieve"), OwnerId::draw());
    let policy = Arc::from("errors");
    let mut records = RecordOffsets::one(Offset(0));
    (1..4).for_each(|offset| records.add(Offset(offset * 3)));
    let details = TraceDetails {
        duration: Some(Duration::from_millis(300)),
        errors: Some(0),
        service: "checkout".into(),
        name: "POST /checkout".into(),
        ..TraceDetails::late(records, 20, 12_000)
    };
    let mut group = criterion.benchmark_group("decision record, per trace");
    group.throughput(Throughput::Elements(ids.len() as u64));
    group.bench_function("encode", |bencher| {
        bencher.iter(|| {
            let mut line = LogBatch::new(group_hash, owner);
            for (number, trace_id) in (0..).zip(&ids) {
                line.push(&recorded(number, *trace_id, &policy), Some(&details));
                if line.is_full() {
                    black_box(std::mem::replace(&mut line, LogBatch::new(group_hash, owner)));
                }
            }
        });
    });
    group.finish();
}

fn remembering(criterion: &mut Criterion) {
    let ids = ids();
    let (ids, others) = ids.split_at(ids.len() / 2);
    let mut group = criterion.benchmark_group("remembered decisions, per trace");
    group.throughput(Throughput::Elements(ids.len() as u64));
    let mut decided = DecidedTraces::default();
    decided.set_room(1_000_000);
    let policy = Arc::from("errors");
    group.bench_function("insert", |bencher| {
        bencher.iter(|| ids.iter().for_each(|id| decided.insert(&recorded(0, *id, &policy))));
    });
    for (name, ids) in [("find", ids), ("find nothing", others)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| ids.iter().for_each(|id| drop(black_box(decided.get(*id)))));
        });
    }
    group.finish();
}

criterion_group!(benches, scanning, assembling, framing, compressing, recording, remembering);
criterion_main!(benches);
