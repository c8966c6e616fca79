//! The traffic as a stream of records in the order of their time.
//!
//! Traces start at random; each span leaves its service with the first batch after its end, so
//! the records of a trace are spread over its time and mixed with those of others. Promises that
//! equal settings give equal bytes, and that memory holds only open traces.

use std::collections::{BTreeMap, VecDeque};
use std::mem::take;

use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, TracesData};
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::plan::Plan;
use super::render::{Rendered, render};
use super::services::{INSTANCES, SERVICES};
use super::settings::{Layout, MEAN_TRACE_SPANS, ModelSettings};
use crate::ids::{Timestamp, TraceId};
use crate::testbed::ledger::SpanFact;

/// The most spans that a Collector puts into one of its batches.
const MAX_BATCH_SPANS: usize = 512;

/// How often a Collector sends its batches in [`Layout::Batched`], in milliseconds.
const COLLECTOR_PERIOD: i64 = 200;

/// How long a gateway holds spans back in [`Layout::Service`], in milliseconds.
const GATEWAY_PERIOD: i64 = 1000;

/// The longest time until a record that is produced twice comes again, in milliseconds.
const MAX_REPEAT_DELAY: i64 = 2000;

/// A record for the topic.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneratedRecord {
    /// When the producer sends it, which is also the record's timestamp.
    pub at: Timestamp,
    /// The record's key; none in [`Layout::Batched`].
    pub key: Option<Vec<u8>>,
    /// The trace it belongs to, if it is known to be of one trace only.
    pub trace_id: Option<TraceId>,
    /// An encoded `TracesData`.
    pub payload: Vec<u8>,
    /// What its spans are, in the order of the payload.
    pub spans: Vec<SpanFact>,
}

/// The spans that leave one place at one time. Ordered by time first: that is the order in which
/// records are made.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Departure {
    at: Timestamp,
    /// A service's instance ([`Layout::Keyed`]), a service ([`Layout::Service`]) or a Collector
    /// ([`Layout::Batched`]).
    from: u32,
}

/// The traffic that [`ModelSettings`] ask for: an iterator of records in the order of their time.
pub struct Model {
    settings: ModelSettings,
    rng: StdRng,
    /// When the next trace starts, in nanoseconds since the Unix epoch. None: no more start.
    next_start: Option<u64>,
    /// Resources by service and instance.
    resources: Vec<Resource>,
    waiting: BTreeMap<Departure, Vec<Rendered>>,
    /// Records that are to be produced a second time, by time, and by a number for those of the same
    /// time.
    repeats: BTreeMap<(Timestamp, u64), GeneratedRecord>,
    ready: VecDeque<GeneratedRecord>,
    traces: u64,
    spans: u64,
    records: u64,
}

impl Model {
    /// The traffic of `settings`.
    pub fn new(settings: ModelSettings) -> Self {
        let resources = SERVICES
            .iter()
            .flat_map(|service| (0..INSTANCES).map(|instance| service.resource(instance)));
        Self {
            rng: StdRng::seed_from_u64(settings.seed),
            next_start: Some(u64::try_from(settings.start.0).unwrap_or(0) * 1_000_000),
            resources: resources.collect(),
            waiting: BTreeMap::new(),
            repeats: BTreeMap::new(),
            ready: VecDeque::new(),
            traces: 0,
            spans: 0,
            records: 0,
            settings,
        }
    }

    /// Number of traces that have started so far. Some of their records may be still to come.
    pub fn traces_started(&self) -> u64 {
        self.traces
    }

    fn start_trace(&mut self, start_unix_nano: u64) {
        let plan = Plan::new(&mut self.rng, &self.settings);
        let spans = render(&mut self.rng, &plan, start_unix_nano, &self.settings);
        self.traces += 1;
        self.spans += spans.len() as u64;
        for rendered in spans {
            let departure = self.departure(&rendered);
            self.waiting.entry(departure).or_default().push(rendered);
        }
        self.next_start = self.start_after(start_unix_nano);
    }

    /// Traces arrive independently of each other (a Poisson process).
    fn start_after(&mut self, previous: u64) -> Option<u64> {
        let seconds_between = MEAN_TRACE_SPANS / self.settings.rate;
        let gap = -(1.0 - self.rng.random::<f64>()).ln() * seconds_between;
        let next = previous + (gap * 1e9) as u64;
        let settings = &self.settings;
        let end = settings.duration.map(|d| settings.start.after(d));
        let over = end.is_some_and(|end| millis(next) > end)
            || settings.max_spans.is_some_and(|max| self.spans >= max)
            || settings.max_traces.is_some_and(|max| self.traces >= max);
        (!over).then_some(next)
    }

    fn departure(&self, rendered: &Rendered) -> Departure {
        let instance = resource_index(rendered) as u32;
        let (period, from) = match self.settings.layout {
            // Batch delays from 200 to 980 ms, each instance at its own beat.
            Layout::Keyed => (200 + 60 * i64::from(instance), instance),
            Layout::Service => (GATEWAY_PERIOD, rendered.service as u32),
            Layout::Batched => (COLLECTOR_PERIOD, rendered.instance),
        };
        let end = millis(rendered.fact.end_unix_nano).0 + 1;
        let mut at = Timestamp((end + period - 1) / period * period);
        if rendered.fact.late {
            at = at.after(self.settings.late_by);
        }
        Departure { at, from }
    }

    /// Makes records of the spans that leave next. False if nothing is left.
    fn fill_ready(&mut self) -> bool {
        let leaving = self.waiting.keys().next().map(|departure| departure.at);
        let repeat = self.repeats.keys().next().map(|(at, _)| *at);
        let next = leaving.into_iter().chain(repeat).min();
        if let Some(start) = self.next_start
            && next.is_none_or(|at| millis(start) <= at)
        {
            self.start_trace(start);
            return true;
        }
        if repeat.is_some() && repeat == next {
            let repeat = self.repeats.pop_first().map(|(_, record)| record);
            self.ready.extend(repeat);
            return true;
        }
        let Some((departure, spans)) = self.waiting.pop_first() else {
            return false;
        };
        match self.settings.layout {
            Layout::Keyed => self.fill_keyed(departure.at, spans),
            Layout::Service => self.fill_by_service(departure.at, spans),
            Layout::Batched => self.fill_batched(departure.at, spans),
        }
        true
    }

    /// One record per resource, scope and trace; `spans` are of one resource.
    fn fill_keyed(&mut self, at: Timestamp, mut spans: Vec<Rendered>) {
        spans.sort_by_key(|rendered| (rendered.fact.trace_id, rendered.library));
        self.add_keyed(at, &mut spans, |a, b| {
            (a.fact.trace_id, a.library) == (b.fact.trace_id, b.library)
        });
    }

    /// One record per trace; `spans` are of one service.
    fn fill_by_service(&mut self, at: Timestamp, mut spans: Vec<Rendered>) {
        spans.sort_by_key(|it| (it.fact.trace_id, resource_index(it), it.library));
        self.add_keyed(at, &mut spans, |a, b| a.fact.trace_id == b.fact.trace_id);
    }

    /// One record for each run of spans that are the `same`, which is at least one trace.
    fn add_keyed(
        &mut self,
        at: Timestamp,
        spans: &mut [Rendered],
        same: impl Fn(&Rendered, &Rendered) -> bool,
    ) {
        for group in spans.chunk_by_mut(same) {
            for part in group.chunks_mut(MAX_BATCH_SPANS) {
                let trace_id = part[0].fact.trace_id;
                let key = Some(trace_id.to_string().into_bytes());
                self.add_record(at, key, Some(trace_id), part);
            }
        }
    }

    fn fill_batched(&mut self, at: Timestamp, mut spans: Vec<Rendered>) {
        for batch in spans.chunks_mut(MAX_BATCH_SPANS) {
            batch.sort_by_key(|rendered| (resource_index(rendered), rendered.library));
            self.add_record(at, None, None, batch);
        }
    }

    fn add_record(
        &mut self,
        at: Timestamp,
        key: Option<Vec<u8>>,
        trace_id: Option<TraceId>,
        spans: &mut [Rendered],
    ) {
        let record = GeneratedRecord {
            at,
            key,
            trace_id,
            spans: spans.iter().map(|span| span.fact.clone()).collect(),
            payload: self.encode(spans),
        };
        self.records += 1;
        if self.rng.random_bool(self.settings.duplicate_fraction) {
            let delay = self.rng.random_range(0..=MAX_REPEAT_DELAY);
            let again = GeneratedRecord { at: Timestamp(at.0 + delay), ..record.clone() };
            self.repeats.insert((again.at, self.records), again);
        }
        self.ready.push_back(record);
    }

    /// Encodes `spans`, in order, under as few resources and scopes as that order allows. Moves the
    /// spans out of the slice.
    fn encode(&self, spans: &mut [Rendered]) -> Vec<u8> {
        let same_resource = |a: &Rendered, b: &Rendered| resource_index(a) == resource_index(b);
        let resource_spans = spans.chunk_by_mut(same_resource).map(|of_resource| {
            let service = &SERVICES[of_resource[0].service];
            let resource = self.resources[resource_index(&of_resource[0])].clone();
            let scopes = of_resource.chunk_by_mut(|a, b| a.library == b.library);
            let scope_spans = scopes.map(|of_scope| ScopeSpans {
                scope: Some(service.scope(of_scope[0].library)),
                spans: of_scope.iter_mut().map(|r| take(&mut r.span)).collect(),
                schema_url: service.schema_url().into(),
            });
            ResourceSpans {
                resource: Some(resource),
                scope_spans: scope_spans.collect(),
                schema_url: service.schema_url().into(),
            }
        });
        let resource_spans = resource_spans.collect();
        TracesData { resource_spans }.encode_to_vec()
    }
}

impl Iterator for Model {
    type Item = GeneratedRecord;

    fn next(&mut self) -> Option<GeneratedRecord> {
        while self.ready.is_empty() {
            if !self.fill_ready() {
                return None;
            }
        }
        self.ready.pop_front()
    }
}

fn resource_index(rendered: &Rendered) -> usize {
    rendered.service * INSTANCES as usize + rendered.instance as usize
}

fn millis(unix_nano: u64) -> Timestamp {
    Timestamp((unix_nano / 1_000_000) as i64)
}
