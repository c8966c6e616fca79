//! Other documents with spans than OTLP JSON: answers of Tempo and Jaeger, and lines of container logs.

use serde_json::{Value, json};

use super::jaeger;
use crate::otlp::json;

/// The kinds of documents.
pub(super) enum Contents {
    /// OTLP JSON.
    Otlp(Value),
    /// Encoded `TracesData`.
    Protobuf(Vec<u8>),
    /// A text with documents in it, as it was logged.
    Logged(String),
}

/// Recognises `document`. If it is not recognised it is returned as OTLP JSON, whose reader says what is
/// wrong with it.
pub(super) fn contents(document: Value) -> Result<Contents, String> {
    let Value::Object(mut fields) = document else { return Ok(Contents::Otlp(document)) };
    if let Some(batches) = fields.remove("batches") {
        // Tempo, /api/traces/ID.
        return Ok(Contents::Otlp(json!({ "resourceSpans": batches })));
    }
    // Tempo, /api/v2/traces/ID; Jaeger, /api/v3/traces/ID.
    for name in ["trace", "result"] {
        if fields.get(name).is_some_and(holds_traces) {
            return contents(fields.remove(name).unwrap_or_default());
        }
    }
    if let Some(Value::Array(traces)) = fields.get("data")
        && traces.iter().all(|trace| trace.get("spans").is_some())
    {
        // Jaeger, /api/traces/ID and files of its UI.
        return Ok(Contents::Protobuf(jaeger::to_protobuf(traces)?));
    }
    if let (Some(Value::String(line)), true) = (fields.get("log"), fields.contains_key("stream")) {
        // Docker's json-file.
        return Ok(Contents::Logged(line.clone()));
    }
    Ok(Contents::Otlp(Value::Object(fields)))
}

fn holds_traces(value: &Value) -> bool {
    json::is_traces(value) || value.get("batches").is_some()
}
