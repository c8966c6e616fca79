//! Spans in few words to the OTLP that would have come from Kafka.

use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};
use prost::Message;

use crate::config::policy_tests::{AttributeValue, EventSpec, SpanSpec};
use crate::ids::TraceId;

/// How long a span takes at least, unless the file gives its duration.
const SHORTEST: Duration = Duration::from_millis(1);

/// The record with all spans of a trace that begins at `start`.
pub(super) fn record(trace_id: TraceId, start: Duration, roots: &[SpanSpec]) -> Vec<u8> {
    let mut builder = Builder { trace_id, data: TracesData::default(), spans: 0 };
    for root in roots {
        let parent = if root.has_parent { u64::MAX } else { 0 };
        builder.add(root, parent, start, Surroundings::default());
    }
    builder.data.encode_to_vec()
}

struct Builder {
    trace_id: TraceId,
    data: TracesData,
    /// Number of spans so far: their ids.
    spans: u64,
}

/// What a span takes over from its parent.
#[derive(Clone, Copy, Default)]
struct Surroundings<'s> {
    service: Option<&'s str>,
    resource: Option<&'s [(String, AttributeValue)]>,
}

impl Builder {
    /// Adds a span, `count` times, and its children to the last of them. `parent` is 0 for none.
    fn add(&mut self, spec: &SpanSpec, parent: u64, base: Duration, around: Surroundings<'_>) {
        let around = Surroundings {
            service: spec.service.as_deref().or(around.service),
            resource: spec.resource.as_deref().or(around.resource),
        };
        let start = base.saturating_add(spec.start);
        let mut resource = around.resource.map(attributes).unwrap_or_default();
        if let Some(service) = around.service {
            resource.push(pair("service.name", Any::StringValue(service.to_owned())));
        }
        let mut spans = Vec::with_capacity(spec.count as usize);
        for _ in 0..spec.count {
            self.spans += 1;
            spans.push(self.span(spec, self.spans, parent, start));
        }
        let scope = InstrumentationScope { name: spec.scope.clone(), ..Default::default() };
        self.data.resource_spans.push(ResourceSpans {
            resource: Some(Resource { attributes: resource, ..Resource::default() }),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        });
        let this = self.spans;
        for child in &spec.children {
            self.add(child, this, start, around);
        }
    }

    fn span(&self, spec: &SpanSpec, id: u64, parent: u64, start: Duration) -> Span {
        let end = start.saturating_add(duration(spec));
        let parent = if parent == 0 { Vec::new() } else { parent.to_be_bytes().to_vec() };
        Span {
            trace_id: self.trace_id.as_bytes().to_vec(),
            span_id: id.to_be_bytes().to_vec(),
            parent_span_id: parent,
            trace_state: spec.trace_state.clone(),
            flags: spec.flags,
            name: spec.name.clone(),
            kind: spec.kind,
            start_time_unix_nano: nanos(start),
            end_time_unix_nano: nanos(end),
            attributes: attributes(&spec.attributes),
            events: spec.events.iter().map(|it| event(it, start)).collect(),
            status: Some(Status { code: spec.status, message: spec.status_message.clone() }),
            ..Span::default()
        }
    }
}

/// The duration that the file gives, or as long as the children take.
fn duration(spec: &SpanSpec) -> Duration {
    let end = |child: &SpanSpec| child.start.saturating_add(duration(child));
    let children = || spec.children.iter().map(end).max().unwrap_or_default().max(SHORTEST);
    spec.duration.unwrap_or_else(children)
}

fn event(spec: &EventSpec, time: Duration) -> Event {
    Event {
        time_unix_nano: nanos(time),
        name: spec.name.clone(),
        attributes: attributes(&spec.attributes),
        dropped_attributes_count: 0,
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn attributes(attributes: &[(String, AttributeValue)]) -> Vec<KeyValue> {
    let attribute = |(key, value): &(String, AttributeValue)| KeyValue {
        key: key.clone(),
        value: Some(any_value(value)),
        ..KeyValue::default()
    };
    attributes.iter().map(attribute).collect()
}

fn pair(key: &str, value: Any) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn any_value(value: &AttributeValue) -> AnyValue {
    let value = match value {
        AttributeValue::Empty => None,
        AttributeValue::Text(text) => Some(Any::StringValue(text.clone())),
        AttributeValue::Bool(value) => Some(Any::BoolValue(*value)),
        AttributeValue::Int(number) => Some(Any::IntValue(*number)),
        AttributeValue::Double(number) => Some(Any::DoubleValue(*number)),
        AttributeValue::List(items) => {
            Some(Any::ArrayValue(ArrayValue { values: items.iter().map(any_value).collect() }))
        }
        AttributeValue::Map(pairs) => {
            Some(Any::KvlistValue(KeyValueList { values: attributes(pairs) }))
        }
    };
    AnyValue { value }
}
