//! Makes spans of the plan of a trace: ids, flags, tracestate, events, links, and the facts for the
//! ledger.

use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::{Span, Status, status::StatusCode};
use rand::Rng;
use rand::rngs::StdRng;

use super::attributes::{describe, int, string};
use super::plan::{Activity, Node, Plan};
use super::services::{Conventions, Library};
use super::settings::ModelSettings;
use crate::ids::{SpanId, TraceId};
use crate::testbed::ledger::SpanFact;

/// The W3C trace flag of a sampled trace.
const SAMPLED: u32 = 0x01;
/// `SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK`: the sender says whether the parent is remote.
const HAS_IS_REMOTE: u32 = 0x100;
/// `SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK`: it is.
const IS_REMOTE: u32 = 0x200;

/// A span, and where it comes from.
#[derive(Clone)]
pub(super) struct Rendered {
    pub(super) service: usize,
    pub(super) instance: u32,
    pub(super) library: Library,
    pub(super) span: Span,
    pub(super) fact: SpanFact,
}

/// The spans of a trace that starts at `start_unix_nano`, without the root if it is lost.
pub(super) fn render(
    rng: &mut StdRng,
    plan: &Plan,
    start_unix_nano: u64,
    settings: &ModelSettings,
) -> Vec<Rendered> {
    let late_fraction = settings.late_fraction;
    let trace_id = new_trace_id(rng);
    let (trace_state, randomness) = trace_state(rng, trace_id);
    let span_ids: Vec<_> = plan.nodes.iter().map(|_| new_span_id(rng)).collect();
    let mut spans = Vec::with_capacity(plan.nodes.len());
    for (index, node) in plan.nodes.iter().enumerate() {
        let (name, attributes) = describe(rng, node);
        let start = start_unix_nano + node.start;
        let end = start_unix_nano + node.end;
        let parent = node.parent.map(|parent| span_ids[parent]);
        let span = Span {
            trace_id: trace_id.as_bytes().to_vec(),
            span_id: span_ids[index].as_bytes().to_vec(),
            trace_state: trace_state.clone(),
            parent_span_id: parent.map_or_else(Vec::new, |id| id.as_bytes().to_vec()),
            flags: flags(node),
            name,
            kind: kind(node.activity) as i32,
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            attributes,
            events: events(rng, node, start, end),
            links: links(rng, node),
            status: status(node),
            ..Span::default()
        };
        let fact = SpanFact {
            trace_id,
            span_id: span_ids[index],
            start_unix_nano: start,
            end_unix_nano: end,
            error: node.error,
            root: node.parent.is_none(),
            late: !node.has_children && index > 0 && rng.random_bool(late_fraction),
            service: node.service().name,
            randomness,
        };
        spans.push(Rendered {
            service: node.service,
            instance: node.instance,
            library: library(node.activity),
            span,
            fact,
        });
    }
    if plan.root_lost {
        spans.remove(0);
    }
    keep_facts_on_time(&mut spans);
    if settings.late_error_fraction > 0.0 && rng.random_bool(settings.late_error_fraction) {
        fail_late(&mut spans);
    }
    spans
}

/// Has a span fail long after the others, of a trace without errors: where it is missed neither by the
/// duration of the trace nor as its root.
fn fail_late(spans: &mut [Rendered]) {
    let on_time = |left_out: usize| {
        let others = spans.iter().enumerate().filter(move |(index, _)| *index != left_out);
        facts(others.map(|(_, span)| span).filter(|span| !span.fact.late))
    };
    let whole = on_time(usize::MAX);
    let is_free = |index: &usize| !spans[*index].fact.root && on_time(*index) == whole;
    let free = (0..spans.len()).rev().find(is_free).filter(|_| !whole.0);
    if let Some(Rendered { fact, span, .. }) = free.map(|index| &mut spans[index]) {
        (fact.late, fact.error) = (true, true);
        span.status = Some(failed());
    }
}

/// Holds back only spans that no policy can notice: the decision is the same whether the late spans
/// come before or after it.
fn keep_facts_on_time(spans: &mut [Rendered]) {
    let whole = facts(spans.iter());
    for index in 0..spans.len() {
        if !spans[index].fact.late {
            continue;
        }
        if facts(spans.iter().filter(|span| !span.fact.late)) == whole {
            return;
        }
        spans[index].fact.late = false;
    }
}

/// Errors, earliest start and latest end.
fn facts<'a>(spans: impl Iterator<Item = &'a Rendered>) -> (bool, u64, u64) {
    spans.fold((false, u64::MAX, 0), |(error, start, end), span| {
        let fact = &span.fact;
        (error || fact.error, start.min(fact.start_unix_nano), end.max(fact.end_unix_nano))
    })
}

fn new_trace_id(rng: &mut StdRng) -> TraceId {
    loop {
        if let Some(id) = TraceId::from_slice(&rng.random::<[u8; 16]>()) {
            return id;
        }
    }
}

fn new_span_id(rng: &mut StdRng) -> SpanId {
    loop {
        if let Some(id) = SpanId::from_slice(&rng.random::<[u8; 8]>()) {
            return id;
        }
    }
}

/// The tracestate that all spans of a trace carry, and the randomness R that follows.
fn trace_state(rng: &mut StdRng, trace_id: TraceId) -> (String, u64) {
    let own = trace_id.randomness();
    let explicit = rng.random::<u64>() >> 8;
    match rng.random_range(0..100) {
        0..8 => (format!("shop={:08x}", rng.random::<u32>()), own),
        8..10 => (format!("ot=rv:{explicit:014x}"), explicit),
        10 => {
            // Head sampling at one half has let this trace through, so its R is in the upper half.
            let upper = explicit | 1 << 55;
            (format!("ot=th:8;rv:{upper:014x},shop=1"), upper)
        }
        _ => (String::new(), own),
    }
}

fn flags(node: &Node) -> u32 {
    let remote = match node.activity {
        Activity::Serve { .. } if node.parent.is_some() => IS_REMOTE,
        Activity::Consume => IS_REMOTE,
        _ => 0,
    };
    match node.service().conventions {
        Conventions::Old => SAMPLED,
        Conventions::New | Conventions::Both => SAMPLED | HAS_IS_REMOTE | remote,
    }
}

fn kind(activity: Activity) -> SpanKind {
    match activity {
        Activity::Serve { .. } => SpanKind::Server,
        Activity::Call { .. } | Activity::Query => SpanKind::Client,
        Activity::Work => SpanKind::Internal,
        Activity::Publish => SpanKind::Producer,
        Activity::Consume => SpanKind::Consumer,
    }
}

fn library(activity: Activity) -> Library {
    match activity {
        Activity::Serve { .. } | Activity::Call { .. } => Library::Remote,
        Activity::Query => Library::Database,
        Activity::Work => Library::Own,
        Activity::Publish | Activity::Consume => Library::Messaging,
    }
}

fn status(node: &Node) -> Option<Status> {
    Some(if node.error {
        failed()
    } else if node.activity == Activity::Work {
        Status { code: StatusCode::Ok as i32, ..Status::default() }
    } else {
        Status::default()
    })
}

fn failed() -> Status {
    Status { message: "upstream request timeout".into(), code: StatusCode::Error as i32 }
}

fn events(rng: &mut StdRng, node: &Node, start: u64, end: u64) -> Vec<Event> {
    let mut events = Vec::new();
    if rng.random_bool(0.1) {
        events.push(Event {
            time_unix_nano: start + (end - start) / 2,
            name: "cache.miss".into(),
            attributes: vec![string("cache.name", "products"), int("cache.size", 4096)],
            dropped_attributes_count: 0,
        });
    }
    if node.error {
        let stack = "java.net.SocketTimeoutException: Read timed out\n\
             \tat com.example.shop.Client.call(Client.java:118)\n\
             \tat com.example.shop.Handler.handle(Handler.java:42)";
        events.push(Event {
            time_unix_nano: end,
            name: "exception".into(),
            attributes: vec![
                string("exception.type", "java.net.SocketTimeoutException"),
                string("exception.message", "Read timed out"),
                string("exception.stacktrace", stack),
            ],
            dropped_attributes_count: 0,
        });
    }
    events
}

/// A consumer links to the traces of other messages that it took in the same batch.
fn links(rng: &mut StdRng, node: &Node) -> Vec<Link> {
    if node.activity != Activity::Consume || !rng.random_bool(0.3) {
        return Vec::new();
    }
    vec![Link {
        trace_id: new_trace_id(rng).as_bytes().to_vec(),
        span_id: new_span_id(rng).as_bytes().to_vec(),
        attributes: vec![int("messaging.batch.message_count", 2)],
        flags: SAMPLED | HAS_IS_REMOTE | IS_REMOTE,
        ..Link::default()
    }]
}
