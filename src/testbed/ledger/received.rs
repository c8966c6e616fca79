//! Reading what a backend received: OTLP requests as bytes or decoded, and the lines that the
//! Collector's file exporter writes (OTLP JSON, ids in hexadecimal).

use std::io::{self, BufRead};

use serde::Deserialize;
use thiserror::Error;

use super::check::{Check, POLICY_ATTRIBUTE};
use super::file::span_id_from_hex;
use crate::ids::TraceId;
use crate::otlp::span::ValueRef;
use crate::otlp::{AttributeKeys, Scan, ScanError, scan};

/// Why something received could not be read.
#[derive(Debug, Error)]
pub enum ReceivedError {
    /// The file could not be read.
    #[error("cannot read what was received: {0}")]
    Io(#[from] io::Error),
    /// The bytes are no OTLP request.
    #[error("what was received is not OTLP: {0}")]
    Protobuf(#[from] ScanError),
    /// A span has an id that no span may have; its bytes.
    #[error("a span with an invalid id was received: {0}")]
    InvalidSpan(String),
    /// A line is no OTLP JSON.
    #[error("line {line} of what was received is not OTLP JSON: {error}")]
    Json {
        /// Counted from 1.
        line: usize,
        /// What the JSON reader says.
        error: serde_json::Error,
    },
    /// A span has an id that no span may have.
    #[error("a span with the invalid trace id {trace_id:?} or span id {span_id:?} was received")]
    InvalidId {
        /// As received.
        trace_id: String,
        /// As received.
        span_id: String,
    },
}

impl Check {
    /// Takes in the body of an `ExportTraceServiceRequest` (the same message as `TracesData`). Its
    /// text need not be UTF-8.
    pub fn observe_bytes(&mut self, request: &[u8]) -> Result<(), ReceivedError> {
        let keys = AttributeKeys::new([POLICY_ATTRIBUTE.to_owned()]);
        let mut found = Scan::default();
        scan(request, &keys, &mut found)?;
        if let Some(invalid) = found.invalid.first() {
            let span = invalid.framed.of(request).escape_ascii().to_string();
            return Err(ReceivedError::InvalidSpan(span));
        }
        for span in &found.spans {
            let policy = span.attributes.of(&found.attributes).first();
            let policy = policy.and_then(|attribute| match attribute.value {
                ValueRef::String(text) => std::str::from_utf8(text.of(request)).ok(),
                _ => None,
            });
            self.observe_span(span.trace_id, span.span_id, policy);
        }
        Ok(())
    }

    /// Takes in what the Collector's file exporter wrote: one OTLP JSON request a line.
    pub fn observe_json_lines(&mut self, lines: impl BufRead) -> Result<(), ReceivedError> {
        for (line, text) in (1..).zip(lines.lines()) {
            let text = text?;
            if text.trim().is_empty() {
                continue;
            }
            let request: JsonRequest =
                serde_json::from_str(&text).map_err(|error| ReceivedError::Json { line, error })?;
            let scopes = request.resource_spans.iter().flat_map(|r| &r.scope_spans);
            for span in scopes.flat_map(|scope| &scope.spans) {
                self.observe_json(span)?;
            }
        }
        Ok(())
    }

    fn observe_json(&mut self, span: &JsonSpan) -> Result<(), ReceivedError> {
        let trace_id = TraceId::from_hex(span.trace_id.as_bytes());
        let ids = trace_id.zip(span_id_from_hex(&span.span_id));
        let (trace_id, span_id) = ids.ok_or_else(|| ReceivedError::InvalidId {
            trace_id: span.trace_id.clone(),
            span_id: span.span_id.clone(),
        })?;
        let policy = span.attributes.iter().find(|a| a.key == POLICY_ATTRIBUTE);
        let policy = policy.and_then(|a| a.value.string_value.as_deref());
        self.observe_span(trace_id, span_id, policy);
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonRequest {
    #[serde(default)]
    resource_spans: Vec<JsonResourceSpans>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonResourceSpans {
    #[serde(default)]
    scope_spans: Vec<JsonScopeSpans>,
}

#[derive(Deserialize)]
struct JsonScopeSpans {
    #[serde(default)]
    spans: Vec<JsonSpan>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonSpan {
    trace_id: String,
    span_id: String,
    #[serde(default)]
    attributes: Vec<JsonAttribute>,
}

#[derive(Deserialize)]
struct JsonAttribute {
    key: String,
    #[serde(default)]
    value: JsonValue,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct JsonValue {
    string_value: Option<String>,
}
