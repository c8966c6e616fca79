//! What is sent, as messages of OTLP.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;

use crate::telemetry::trace_context::TraceContext;

/// The flag of W3C Trace Context for what is recorded; the low byte of `flags`.
const SAMPLED: u32 = 1;

/// An ended span of tailsieve's own.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OwnSpan {
    pub(super) context: TraceContext,
    pub(super) parent: Option<[u8; 8]>,
    pub(super) name: &'static str,
    pub(super) start: SystemTime,
    pub(super) end: SystemTime,
    pub(super) attributes: Vec<KeyValue>,
    /// Why it failed, if it did.
    pub(super) error: Option<String>,
}

/// A log record of tailsieve's own.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OwnLog {
    pub(super) at: SystemTime,
    /// The module.
    pub(super) target: &'static str,
    pub(super) level: tracing::Level,
    pub(super) body: String,
    pub(super) attributes: Vec<KeyValue>,
    /// The span that it was logged in.
    pub(super) context: Option<TraceContext>,
}

/// An attribute with a text.
pub(super) fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

/// An attribute.
pub(super) fn attribute(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// Where it is from: a module of tailsieve.
pub(super) fn scope(name: &str) -> InstrumentationScope {
    InstrumentationScope {
        name: name.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

pub(super) fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// An encoded `ExportTraceServiceRequest`.
pub(super) fn spans(resource: &Resource, spans: Vec<OwnSpan>) -> Vec<u8> {
    let spans = spans.into_iter().map(span).collect();
    let scope = Some(scope(env!("CARGO_PKG_NAME")));
    let scope_spans = vec![ScopeSpans { scope, spans, ..ScopeSpans::default() }];
    let resource = Some(resource.clone());
    let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn span(span: OwnSpan) -> Span {
    let OwnSpan { context, parent, name, start, end, attributes, error } = span;
    let status = error.map(|message| Status { message, code: StatusCode::Error.into() });
    Span {
        trace_id: context.trace_id.to_vec(),
        span_id: context.span_id.to_vec(),
        parent_span_id: parent.map(Vec::from).unwrap_or_default(),
        flags: SAMPLED,
        name: name.to_owned(),
        kind: opentelemetry_proto::tonic::trace::v1::span::SpanKind::Internal.into(),
        start_time_unix_nano: nanos(start),
        // A clock may be set back.
        end_time_unix_nano: nanos(end.max(start)),
        attributes,
        status,
        ..Span::default()
    }
}

/// An encoded `ExportLogsServiceRequest`.
pub(super) fn logs(resource: &Resource, logs: Vec<OwnLog>) -> Vec<u8> {
    let mut scope_logs: Vec<ScopeLogs> = Vec::new();
    for log in logs {
        let target = log.target;
        let is_its = |known: &ScopeLogs| known.scope.as_ref().is_some_and(|it| it.name == target);
        let place = scope_logs.iter().position(is_its).unwrap_or_else(|| {
            scope_logs.push(ScopeLogs { scope: Some(scope(target)), ..ScopeLogs::default() });
            scope_logs.len() - 1
        });
        scope_logs[place].log_records.push(record(log));
    }
    let resource = Some(resource.clone());
    let resource_logs = vec![ResourceLogs { resource, scope_logs, ..ResourceLogs::default() }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

fn record(log: OwnLog) -> LogRecord {
    let time = nanos(log.at);
    let flags = log.context.map_or(0, |context| u32::from(context.is_sampled) * SAMPLED);
    LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: time,
        severity_number: severity(log.level),
        severity_text: log.level.as_str().to_owned(),
        event_name: event_name(&log.body).unwrap_or_default().to_owned(),
        body: Some(AnyValue { value: Some(Value::StringValue(log.body)) }),
        attributes: log.attributes,
        flags,
        trace_id: log.context.map(|context| context.trace_id.to_vec()).unwrap_or_default(),
        span_id: log.context.map(|context| context.span_id.to_vec()).unwrap_or_default(),
        ..LogRecord::default()
    }
}

/// The severity number of a level (OpenTelemetry specification, "Logs Data Model").
fn severity(level: tracing::Level) -> i32 {
    match level {
        tracing::Level::TRACE => 1,
        tracing::Level::DEBUG => 5,
        tracing::Level::INFO => 9,
        tracing::Level::WARN => 13,
        tracing::Level::ERROR => 17,
    }
}

/// The stable name that a log line begins with, such as `policies.reloaded`.
pub(super) fn event_name(body: &str) -> Option<&str> {
    let name = body.split_once(": ").map_or(body, |(name, _)| name);
    let is_name = |part: &str| {
        let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        !part.is_empty() && part.chars().all(is_part)
    };
    (name.contains('.') && name.split('.').all(is_name)).then_some(name)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An attribute as `key=value`.
    pub(in super::super) fn shown(attribute: &KeyValue) -> String {
        let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
        let value = match value.unwrap() {
            Value::StringValue(text) => text.clone(),
            Value::IntValue(number) => number.to_string(),
            Value::DoubleValue(number) => number.to_string(),
            Value::BoolValue(is_true) => is_true.to_string(),
            other => format!("{other:?}"),
        };
        format!("{}={value}", attribute.key)
    }

    #[test]
    fn a_log_line_that_begins_with_a_name_is_that_event() {
        let names = [
            "policies.reloaded",
            "policies.reload_failed: the policies in force stay",
            "a b.c",
            "plain",
            "a..b",
            "Kafka.x",
        ];
        let found = names.map(event_name);
        assert_eq!(
            found,
            [Some("policies.reloaded"), Some("policies.reload_failed"), None, None, None, None]
        );
    }

    #[test]
    fn records_of_a_module_are_under_its_scope_with_their_context() {
        let context = TraceContext { trace_id: [1; 16], span_id: [2; 8], is_sampled: true };
        let log = |target, context| OwnLog {
            at: UNIX_EPOCH + Duration::from_nanos(5),
            target,
            level: tracing::Level::WARN,
            body: "a.b: text".to_owned(),
            attributes: vec![text("k", "v")],
            context,
        };
        let request = logs(
            &Resource::default(),
            vec![log("x", Some(context)), log("y", None), log("x", None)],
        );
        let request = ExportLogsServiceRequest::decode(&*request).unwrap();
        let scopes = &request.resource_logs[0].scope_logs;
        let sizes: Vec<_> = scopes
            .iter()
            .map(|it| (&*it.scope.as_ref().unwrap().name, it.log_records.len()))
            .collect();
        assert_eq!(sizes, [("x", 2), ("y", 1)]);
        let first = &scopes[0].log_records[0];
        assert_eq!(
            (first.severity_number, &*first.severity_text, &*first.event_name),
            (13, "WARN", "a.b")
        );
        assert_eq!((first.time_unix_nano, first.flags), (5, 1));
        assert_eq!((&*first.trace_id, &*first.span_id), (&[1; 16][..], &[2; 8][..]));
        assert_eq!(scopes[0].log_records[1].trace_id, [0; 0]);
    }

    #[test]
    fn a_span_says_where_it_belongs_and_why_it_failed() {
        let span = OwnSpan {
            context: TraceContext { trace_id: [1; 16], span_id: [2; 8], is_sampled: true },
            parent: Some([3; 8]),
            name: "policies.reload",
            start: UNIX_EPOCH + Duration::from_secs(2),
            end: UNIX_EPOCH + Duration::from_secs(1),
            attributes: Vec::new(),
            error: Some("why".to_owned()),
        };
        let request = spans(&Resource::default(), vec![span]);
        let request = ExportTraceServiceRequest::decode(&*request).unwrap();
        let span = &request.resource_spans[0].scope_spans[0].spans[0];
        assert_eq!((&*span.name, &*span.parent_span_id), ("policies.reload", &[3; 8][..]));
        assert_eq!(span.end_time_unix_nano, span.start_time_unix_nano, "the clock was set back");
        let status = span.status.as_ref().unwrap();
        assert_eq!((status.code, &*status.message), (StatusCode::Error.into(), "why"));
    }
}
