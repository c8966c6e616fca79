//! Content that nobody here understands: unknown fields where spans might be.

use serde_json::Value;

/// What `scopeSpans` was called until 2022, in JSON and in the proto file.
pub(super) const OLD_NAMES: [&str; 2] =
    ["instrumentationLibrarySpans", "instrumentation_library_spans"];

/// The levels of a message from the outside to its spans: the known fields, by the two names that
/// each has, and which of them leads on.
const LEVELS: [(&[&str], [&str; 2]); 3] = [
    (&[], ["resourceSpans", "resource_spans"]),
    (&["resource", "schemaUrl", "schema_url"], ["scopeSpans", "scope_spans"]),
    (&["scope", "schemaUrl", "schema_url"], ["spans", "spans"]),
];

/// The first field of `value`, a `TracesData`, a `ResourceSpans` or a list of them, that is not
/// known and is an object or a list with something in it.
pub(super) fn find(value: &Value) -> Option<String> {
    match value {
        Value::Array(items) => items.iter().find_map(find),
        Value::Object(fields) if super::is_resource_spans(fields) => of_level(value, &LEVELS[1..]),
        _ => of_level(value, &LEVELS),
    }
}

fn of_level(value: &Value, levels: &[(&[&str], [&str; 2])]) -> Option<String> {
    let ((known, inner), deeper) = levels.split_first()?;
    value.as_object()?.iter().find_map(|(key, value)| {
        let is_inner = inner.contains(&key.as_str());
        if !is_inner && !known.contains(&key.as_str()) {
            return has_content(value).then(|| named(key));
        }
        let items = value.as_array().filter(|_| is_inner)?;
        items.iter().find_map(|item| of_level(item, deeper))
    })
}

fn has_content(value: &Value) -> bool {
    match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => false,
    }
}

fn named(key: &str) -> String {
    if OLD_NAMES.contains(&key) {
        format!("`{key}`, as OTLP called scopeSpans until 2022: bring the sender up to date")
    } else {
        format!("`{}`", super::scalar::cut(key))
    }
}
