//! One partition on a bench, and the spans that are put on it.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};
use prost::Message;

use crate::ids::{Offset, Partition, Position, Timestamp, TraceId};
use crate::kafka::dead_letters::DeadLetters;
use crate::kafka::decision_log::GroupHash;
use crate::kafka::decision_log::testing::ByHand;
use crate::kafka::source::{CommitMetadata, OwnershipTable, Record};
use crate::member::worker::context::Context;
use crate::member::worker::partition::PartitionState;
use crate::member::worker::{
    ActivePolicies, Annotations, DecisionRoom, PolicyWatch, Refusals, Shared, Stalls,
};
use crate::otlp::{Scan, scan};
use crate::sampling::decided::{DecisionRecord, SamplingDecision};
use crate::sampling::facts::Summary;
use crate::sampling::policy::spec::{
    AlwaysSample, Mode, PolicyKind, PolicySpec, RateLimiting, StatusCode, StatusCodes,
    StringAttribute,
};
use crate::sampling::policy::{self, Decision};
use crate::sampling::sampler::{Policies, Rescan, ask_resource, summarize};
use crate::sampling::trace::Limits;
use crate::telemetry::accounts::{Accounts, Counts};
use crate::telemetry::memory::Memory;

pub const LIMITS: Limits = Limits {
    decision_wait: Duration::from_secs(30),
    decision_wait_after_root_received: Duration::from_secs(3),
    maximum_trace_spans: 1000,
    maximum_trace_size: 1 << 20,
};

pub const MAX_CHUNK: usize = 1 << 20;

pub fn active_with(policies: &[PolicySpec], limits: Limits) -> ActivePolicies {
    let policies = policy::compile(policies).unwrap();
    let policies = Policies::new(policies, limits, Duration::from_secs(600));
    ActivePolicies::new(policies, "hash".to_owned())
}

pub fn active(policies: &[PolicySpec]) -> ActivePolicies {
    active_with(policies, LIMITS)
}

pub fn everything(name: &str) -> PolicySpec {
    PolicySpec::new(name, PolicyKind::AlwaysSample(AlwaysSample {}))
}

pub fn errors(name: &str) -> PolicySpec {
    let status_codes = vec![StatusCode::Error];
    PolicySpec::new(name, PolicyKind::StatusCode(StatusCodes { status_codes }))
}

pub fn attribute(name: &str, key: &str, value: &str) -> PolicySpec {
    let kind = PolicyKind::StringAttribute(StringAttribute {
        key: key.to_owned(),
        values: vec![value.to_owned()],
        enabled_regex_matching: false,
        invert_match: false,
    });
    PolicySpec::new(name, kind)
}

pub fn limited(name: &str, spans_per_second: u64) -> PolicySpec {
    let burst_capacity = Some(spans_per_second);
    PolicySpec::new(
        name,
        PolicyKind::RateLimiting(RateLimiting { spans_per_second, burst_capacity }),
    )
}

/// Makes policies ones without effect.
pub trait IntoShadow {
    fn into_shadow(self) -> Self;
}

impl IntoShadow for PolicySpec {
    fn into_shadow(self) -> Self {
        Self { mode: Mode::Shadow, ..self }
    }
}

pub fn id(trace: u8) -> TraceId {
    TraceId::from_slice(&[trace; 16]).unwrap()
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

/// A span of a trace, with a parent.
pub fn span(trace: u8) -> Span {
    Span {
        trace_id: vec![trace; 16],
        span_id: vec![trace; 8],
        parent_span_id: vec![9; 8],
        name: "work".into(),
        ..Span::default()
    }
}

pub fn root(trace: u8) -> Span {
    Span { parent_span_id: Vec::new(), ..span(trace) }
}

pub fn with(mut span: Span, key: &str, value: &str) -> Span {
    span.attributes.push(text(key, value));
    span
}

pub fn failed(span: Span) -> Span {
    Span { status: Some(Status { code: 2, ..Status::default() }), ..span }
}

/// A record of the spans of one service.
pub fn record(service: &str, spans: Vec<Span>) -> Vec<u8> {
    let resource =
        Resource { attributes: vec![text("service.name", service)], ..Resource::default() };
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource = ResourceSpans { resource: Some(resource), scope_spans, ..Default::default() };
    TracesData { resource_spans: vec![resource] }.encode_to_vec()
}

/// What a trace's records say to the policies of `active`, asked from the start.
pub fn asked_again(active: &ActivePolicies, trace: u8, records: &[Vec<u8>]) -> Summary {
    let mut summary = Summary::new(id(trace));
    let mut found = Scan::default();
    for record in records {
        scan(record, &active.policies.keys, &mut found).unwrap();
        let predicates = active.policies.set.predicates();
        let facts = ask_resource(predicates, record, &found, 0);
        summarize(predicates, &facts, record, &found, 0..found.spans.len(), &mut summary);
        summary.spans += found.spans.len() as u32;
    }
    summary
}

pub fn shared(policies: ActivePolicies) -> Shared {
    Shared {
        epoch: tokio::time::Instant::now(),
        policies: Arc::new(PolicyWatch::new(policies)),
        annotations: Annotations { policy: true, tracestate: true, sample_rate: true },
        idle_grace: Duration::from_secs(1),
        exporters: vec!["default".to_owned()],
        max_chunk_bytes: MAX_CHUNK,
        log: None,
        reread: None,
        max_unrecorded_bytes: 1 << 20,
        decision_room: DecisionRoom::new(1000),
        stalls: Stalls::default(),
        memory: Arc::new(Memory::new(1 << 30)),
        accounts: Arc::new(Accounts::new()),
        routing: Arc::default(),
        latest: Arc::default(),
        refusals: Refusals::default(),
        dead_letters: DeadLetters::default(),
    }
}

pub struct Bench {
    pub ctx: Context,
    pub state: PartitionState,
    offset: i64,
}

impl Bench {
    pub fn new(first: ActivePolicies) -> Self {
        Self::sharing(shared(first))
    }

    /// One whose members, of this group, have a decision log that takes nothing.
    pub fn with_log(first: ActivePolicies, group: GroupHash) -> Self {
        let mut shared = shared(first);
        shared.log = Some(Arc::new(ByHand(group)));
        Self::sharing(shared)
    }

    fn sharing(shared: Shared) -> Self {
        let shared = Arc::new(shared);
        let active = shared.policies.get();
        let ctx = Context::new(shared, active);
        let acquisition = OwnershipTable::default().acquire_for_test(Partition(0), Position(0));
        let acquired = (0, Partition(0), acquisition);
        let state =
            PartitionState::new(&ctx, acquired, (Position(0), CommitMetadata::default()), 1);
        Self { ctx, state, offset: 0 }
    }

    /// What all workers share, to be changed before anything happens.
    pub fn shared(&mut self) -> &mut Shared {
        Arc::get_mut(&mut self.ctx.shared).expect("nobody else has it")
    }

    /// What was counted.
    pub fn counts(&self) -> &Counts {
        &self.ctx.counting.counts
    }

    /// What may be committed.
    pub fn committable(&self) -> Position {
        self.state.settlement.watermark.committable().position
    }

    /// Puts a record on the bench; returns it.
    pub fn take_in(&mut self, at: i64, service: &str, spans: Vec<Span>) -> Vec<u8> {
        let value = record(service, spans);
        self.take_in_record(at, Some(&value));
        value
    }

    /// Puts any value on the bench.
    pub fn take_in_value(&mut self, value: Option<&[u8]>) {
        self.take_in_record(0, value);
    }

    fn take_in_record(&mut self, at: i64, value: Option<&[u8]>) {
        self.take_in_request(at, value, None);
    }

    /// Puts a record on the bench with this header that asks for a trace.
    pub fn take_in_request(&mut self, at: i64, value: Option<&[u8]>, keep: Option<&[u8]>) {
        let (offset, timestamp) = (Offset(self.offset), Timestamp(at));
        let record =
            Record { offset, timestamp, key: None, value, attempts: 0, headers: b"", keep };
        self.offset += 1;
        self.state.take_in(&mut self.ctx, &record);
    }

    pub fn run_clock_to(&mut self, at: i64) {
        self.state.advance_clock(&mut self.ctx, Timestamp(at));
        self.ctx.counting.enter_none_voted(&self.ctx.active.policies.set);
    }

    /// What a worker does to each of its partitions.
    pub fn switch(&mut self, to: ActivePolicies) {
        self.ctx.switch(Arc::new(to));
        let policies = &self.ctx.active.policies;
        self.state.sampler.switch(policies, 1, &mut Rescan::default());
        self.state.decide_due(&mut self.ctx);
    }

    /// True if a trace is not decided.
    pub fn is_open(&mut self, trace: u8) -> bool {
        self.state.sampler.open_trace(id(trace)).is_some()
    }

    /// What was decided of a trace; `None` while it is open.
    pub fn decided(&self, trace: u8) -> Option<DecisionRecord> {
        self.state.sampler.decision_memory().latest().get(id(trace))
    }

    /// The policy that kept a trace; `None` if it was dropped.
    #[track_caller]
    pub fn kept_by(&self, trace: u8) -> Option<String> {
        match self.decided(trace).expect("the trace is decided").decision {
            SamplingDecision::Kept(kept) => Some(kept.policy.to_string()),
            SamplingDecision::Dropped => None,
        }
    }

    /// The spans forwarded since the last call.
    pub fn forwarded(&mut self) -> Vec<Span> {
        let chunks = self.ctx.outbox.chunks.drain(..);
        let requests = chunks.map(|chunk| TracesData::decode(chunk.chunk.bytes).unwrap());
        let scopes = requests.flat_map(|it| it.resource_spans).flat_map(|it| it.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }
}

/// The policy that `decision` of `active` names.
pub fn name_of(active: &ActivePolicies, decision: Decision) -> Option<String> {
    match decision {
        Decision::Keep { policy, .. } => Some(active.policies.set.name(policy).to_string()),
        Decision::Drop { .. } => None,
    }
}

/// The value of a span's text attribute.
pub fn value_of(span: &Span, key: &str) -> Option<String> {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}
