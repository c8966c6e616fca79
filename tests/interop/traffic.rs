//! Traffic of which it is known how many spans each service made, also where a sampler in front
//! has let only a part of them through.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span, Status, TracesData, status::StatusCode,
};
use prost::Message;

use crate::random::Random;

const TRACES: u64 = 100_000;
const SEED: u64 = 0x0074_7275_7468;
/// 2^56: randomness and thresholds are below it.
pub const RANGE: f64 = (1_u64 << 56) as f64;
/// The thresholds of tests/interop/truth.yaml.
const HALF: u64 = 0x80_0000_0000_0000;
const TENTH: u64 = 0xe6_6600_0000_0000;
/// The threshold of the sampler in front.
const QUARTER: u64 = 0xc0_0000_0000_0000;

/// Usual services first, so that some are rare.
const SERVICES: [&str; 8] = [
    "frontend",
    "frontend",
    "frontend",
    "frontend",
    "checkout",
    "checkout",
    "inventory",
    "payment",
];

/// What is on the topic, and what is true.
#[derive(Default)]
pub struct Traffic {
    /// Trace id and record of each trace that the sampler in front let through.
    pub records: Vec<(String, Vec<u8>)>,
    /// By service.
    pub truth: BTreeMap<String, Truth>,
}

/// One service.
#[derive(Default)]
pub struct Truth {
    /// The spans that it made.
    pub spans: u64,
    /// The variance of an estimate of that from the kept ones.
    pub variance: f64,
}

/// How a trace came through the sampler in front.
struct Incoming {
    /// Its randomness.
    randomness: u64,
    /// Its threshold; 0 where there was no sampler.
    threshold: u64,
    trace_state: String,
}

impl Traffic {
    /// The same traffic always.
    pub fn generate() -> Self {
        let mut traffic = Self::default();
        for number in 0..TRACES {
            traffic.add_trace(&mut Random::new(SEED + number));
        }
        traffic
    }

    fn add_trace(&mut self, random: &mut Random) {
        let id = random.id(32);
        let spans = 1 + random.below(2);
        let services: Vec<&str> = (0..spans).map(|_| random.pick(&SERVICES)).collect();
        let is_error = random.percent(3);
        let incoming = incoming(random, &id);
        let policies = match (is_error, services.contains(&"checkout")) {
            (true, _) => 0,
            (false, true) => HALF,
            (false, false) => TENTH,
        };
        self.add_truth(&services, policies.max(incoming.threshold));
        if incoming.randomness >= incoming.threshold {
            let record = record(random, &id, &services, is_error, &incoming.trace_state);
            self.records.push((id, record));
        }
    }

    fn add_truth(&mut self, services: &[&str], threshold: u64) {
        let odds_against = threshold as f64 / (RANGE - threshold as f64);
        for service in services {
            let spans_of_service = services.iter().filter(|other| *other == service).count();
            let truth = self.truth.entry((*service).to_owned()).or_default();
            truth.spans += 1;
            // Spans of one trace are kept together: their number counts squared, here in parts.
            truth.variance += spans_of_service as f64 * odds_against;
        }
    }
}

/// Most traces come as they are, others from a sampler in front, with the randomness of their id
/// or with one of their own.
fn incoming(random: &mut Random, id: &str) -> Incoming {
    let of_id = u64::from_str_radix(&id[18..], 16).unwrap();
    match random.below(10) {
        0..=5 => Incoming { randomness: of_id, threshold: 0, trace_state: String::new() },
        6..=8 => {
            let trace_state = "acme=1,ot=th:c".to_owned();
            Incoming { randomness: of_id, threshold: QUARTER, trace_state }
        }
        _ => {
            let randomness = random.next() >> 8;
            let trace_state = format!("ot=th:8;rv:{randomness:014x}");
            Incoming { randomness, threshold: HALF, trace_state }
        }
    }
}

fn record(
    random: &mut Random,
    id: &str,
    services: &[&str],
    is_error: bool,
    trace_state: &str,
) -> Vec<u8> {
    let trace_id = bytes(id);
    let root_id = bytes(&random.id(16));
    let mut resource_spans = Vec::new();
    for (index, service) in services.iter().enumerate() {
        let is_root = index == 0;
        let code = if is_error && is_root { StatusCode::Error } else { StatusCode::Unset };
        let span = Span {
            trace_id: trace_id.clone(),
            span_id: if is_root { root_id.clone() } else { bytes(&random.id(16)) },
            parent_span_id: if is_root { Vec::new() } else { root_id.clone() },
            trace_state: trace_state.to_owned(),
            name: "work".to_owned(),
            start_time_unix_nano: 1_760_000_000_000_000_000,
            end_time_unix_nano: 1_760_000_000_001_000_000,
            status: Some(Status { code: code.into(), ..Status::default() }),
            ..Span::default()
        };
        let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
        let resource = Some(resource(service));
        resource_spans.push(ResourceSpans { resource, scope_spans, ..ResourceSpans::default() });
    }
    TracesData { resource_spans }.encode_to_vec()
}

fn resource(service: &str) -> Resource {
    let value = any_value::Value::StringValue(service.to_owned());
    let key = "service.name".to_owned();
    let value = Some(AnyValue { value: Some(value) });
    Resource {
        attributes: vec![KeyValue { key, value, ..KeyValue::default() }],
        ..Resource::default()
    }
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hexadecimal[at..at + 2], 16).unwrap();
    (0..hexadecimal.len()).step_by(2).map(byte).collect()
}
