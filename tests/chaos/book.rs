//! What the backend took and refused, span by span, with who brought it, when, and whether it was
//! told that it had arrived.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{Span, TracesData};
use prost::Message;
use tailsieve::testing::ids::{SpanId, TraceId};

/// A request that was taken.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    /// Since the start of the run.
    pub at: Duration,
    /// The slot of the member that brought it.
    pub slot: usize,
    /// Whether it was answered so that the member does not send it again, and in time.
    pub is_acknowledged: bool,
    /// How many spans it had.
    pub spans: u64,
}

/// What arrived of a trace.
#[derive(Debug, Default)]
pub struct Arrived {
    /// By span: the deliveries that brought it, in the order they came.
    pub spans: HashMap<SpanId, Vec<u32>>,
    /// The different values of `tailsieve.policy`, empty where there is none.
    pub policies: BTreeSet<String>,
}

/// The book of one backend.
#[derive(Debug, Default)]
pub struct Book {
    pub deliveries: Vec<Delivery>,
    pub traces: HashMap<TraceId, Arrived>,
    /// Traces of which something was refused for good.
    pub refused: HashSet<TraceId>,
    /// When the connections of a slot were closed, and with them answers on their way.
    pub closings: Vec<(Duration, usize)>,
}

impl Book {
    /// Enters a request that was taken.
    pub fn take(&mut self, request: &TracesData, mut delivery: Delivery) {
        let number = self.deliveries.len() as u32;
        delivery.spans = 0;
        for span in spans(request) {
            let (trace_id, span_id) = ids(span);
            let trace = self.traces.entry(trace_id).or_default();
            trace.spans.entry(span_id).or_default().push(number);
            let policy = policy_of(span);
            if !trace.policies.contains(policy) {
                trace.policies.insert(policy.to_owned());
            }
            delivery.spans += 1;
        }
        self.deliveries.push(delivery);
    }
}

/// The traces in a request.
pub fn traces(request: &TracesData) -> HashSet<TraceId> {
    spans(request).map(|span| ids(span).0).collect()
}

/// A request's bytes as what they mean.
pub fn decode(request: &[u8]) -> TracesData {
    TracesData::decode(request).expect("what members send is OTLP")
}

/// The spans in a request.
pub fn spans(request: &TracesData) -> impl Iterator<Item = &Span> {
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    scopes.flat_map(|scope| &scope.spans)
}

/// The ids of a span.
pub fn ids(span: &Span) -> (TraceId, SpanId) {
    let ids = TraceId::from_slice(&span.trace_id).zip(SpanId::from_slice(&span.span_id));
    ids.expect("members send only spans with valid ids")
}

fn policy_of(span: &Span) -> &str {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == "tailsieve.policy");
    let value = attribute.and_then(|attribute| attribute.value.as_ref()?.value.as_ref());
    match value {
        Some(Value::StringValue(policy)) => policy,
        _ => "",
    }
}
