//! Records tailsieve's own spans, and its log lines, for OTLP.
//!
//! Owns what a span is until it ends. Promises that what the sending thread does is not recorded, and
//! that a span or a line costs a push to a bounded queue. Only what is of tailsieve is recorded: its
//! libraries log each frame that they send, which would be sent again.
//!
//! Fields of spans with a meaning, as `tracing-opentelemetry` names them: `otel.status_description` is
//! why the span failed. `discarded = true` means that the span is not worth telling.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use rand::Rng as _;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FilterExt as _, FilterFn, LevelFilter, filter_fn};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::{LookupSpan, Registry};

use super::encode::{self, OwnLog, OwnSpan};
use super::queue::Queue;
use super::sampling;
use crate::clock;
use crate::telemetry::cut::beginning;
use crate::telemetry::logs::OwnLayer;
use crate::telemetry::trace_context::{self, TraceContext};

/// How many bytes of a value are recorded.
const LONGEST_VALUE: usize = 4096;

thread_local! {
    static IS_SENDER: Cell<bool> = const { Cell::new(false) };
}

/// What this thread does is not recorded from now on: it sends what is recorded.
pub(super) fn leave_this_thread_out() {
    IS_SENDER.set(true);
}

/// Layers that record spans and log records into these queues.
pub(super) fn of(
    spans: Option<Arc<Queue<OwnSpan>>>,
    ratio: f64,
    logs: Option<Arc<Queue<OwnLog>>>,
    filter: EnvFilter,
) -> OwnLayer {
    let is_span = |metadata: &Metadata<'_>| {
        metadata.is_span() && *metadata.level() <= Level::INFO && is_own(metadata)
    };
    let is_event = |metadata: &Metadata<'_>| metadata.is_event() && is_own(metadata);
    let spans = spans.map(|queue| {
        let filter: FilterFn<_> = filter_fn(is_span).with_max_level_hint(LevelFilter::INFO);
        Spans { queue, ratio }.with_filter(filter)
    });
    let logs = logs.map(|queue| {
        let events: FilterFn<_> = filter_fn(is_event).with_max_level_hint(LevelFilter::TRACE);
        Logs { queue }.with_filter(filter.and(events))
    });
    Layer::<Registry>::boxed(Layer::<Registry>::and_then(spans, logs))
}

fn is_own(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with(env!("CARGO_PKG_NAME"))
}

struct Spans {
    queue: Arc<Queue<OwnSpan>>,
    ratio: f64,
}

/// A span that has not ended.
struct Open {
    context: TraceContext,
    parent: Option<[u8; 8]>,
    start: SystemTime,
    fields: Fields,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id).filter(|_| !IS_SENDER.get()) else { return };
        let parent = span
            .parent()
            .and_then(|parent| parent.extensions().get::<Open>().map(|open| open.context));
        let trace_id = parent.map_or_else(random_id, |parent| parent.trace_id);
        let is_sampled = match parent {
            Some(parent) => parent.is_sampled,
            None => sampling::is_sampled(trace_id, self.ratio),
        };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let context = TraceContext { trace_id, span_id: random_id(), is_sampled };
        let (parent, start) = (parent.map(|parent| parent.span_id), clock::system_time());
        span.extensions_mut().insert(Open { context, parent, start, fields });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(open) = span.extensions_mut().get_mut::<Open>() {
            values.record(&mut open.fields);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(open) = span.extensions().get::<Open>() {
            trace_context::enter(open.context);
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(open) = span.extensions().get::<Open>() {
            trace_context::leave(open.context);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(open) = span.extensions_mut().remove::<Open>() else { return };
        let Open { context, parent, start, fields } = open;
        if !context.is_sampled || fields.is_discarded {
            return;
        }
        let (name, end) = (span.name(), clock::system_time());
        let Fields { attributes, error, .. } = fields;
        self.queue.push(OwnSpan { context, parent, name, start, end, attributes, error });
    }
}

struct Logs {
    queue: Arc<Queue<OwnLog>>,
}

impl<S: Subscriber> Layer<S> for Logs {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if IS_SENDER.get() {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level: Level = *event.metadata().level();
        self.queue.push(OwnLog {
            at: clock::system_time(),
            target: event.metadata().target(),
            level,
            body: fields.message,
            attributes: fields.attributes,
            context: trace_context::current(),
        });
    }
}

/// Random, and not zero, which would be no id.
fn random_id<const N: usize>() -> [u8; N] {
    loop {
        let mut id = [0; N];
        rand::rng().fill(&mut id[..]);
        if id != [0; N] {
            return id;
        }
    }
}

/// What a span or a line says.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    attributes: Vec<KeyValue>,
    error: Option<String>,
    is_discarded: bool,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.attributes.retain(|known| known.key != field.name());
        self.attributes.push(encode::attribute(field.name(), value));
    }

    fn put_text(&mut self, field: &Field, text: String) {
        let text = match beginning(&text, LONGEST_VALUE) {
            whole if whole.len() == text.len() => text,
            cut => format!("{cut}…"),
        };
        match field.name() {
            "message" => self.message = text,
            "otel.status_description" => self.error = Some(text),
            _ => self.put(field, Value::StringValue(text)),
        }
    }
}

impl Visit for Fields {
    fn record_bool(&mut self, field: &Field, value: bool) {
        match field.name() {
            "discarded" => self.is_discarded = value,
            _ => self.put(field, Value::BoolValue(value)),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::IntValue(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(
            field,
            i64::try_from(value)
                .map_or_else(|_| Value::StringValue(value.to_string()), Value::IntValue),
        );
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Value::DoubleValue(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field, format!("{value:?}"));
    }
}
