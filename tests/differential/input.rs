//! What both samplers are given: some OTLP JSON documents, each of which is one Kafka record.

use std::collections::HashMap;

use serde_json::Value;

/// Documents and the traces in them.
pub struct Input {
    /// One `TracesData` each; those of tailsieve may have a `recordTimestampMs`.
    pub documents: Vec<Value>,
    /// The trace ids, in the order in which they first occur.
    pub ids: Vec<String>,
    /// How many spans each trace has.
    pub spans: Vec<usize>,
}

impl Input {
    pub fn new(documents: Vec<Value>) -> Self {
        let mut input = Self { documents, ids: Vec::new(), spans: Vec::new() };
        let mut index_of = HashMap::new();
        for id in input.documents.iter().flat_map(trace_ids) {
            let index = *index_of.entry(id.to_owned()).or_insert(input.ids.len());
            if index == input.ids.len() {
                input.ids.push(id.to_owned());
                input.spans.push(0);
            }
            input.spans[index] += 1;
        }
        input
    }

    /// The documents as `tailsieve decide` reads them: one a line.
    pub fn lines(&self) -> String {
        self.documents.iter().map(|document| format!("{document}\n")).collect()
    }

    /// The index of each trace id.
    pub fn index_of(&self) -> HashMap<&str, usize> {
        self.ids.iter().enumerate().map(|(index, id)| (id.as_str(), index)).collect()
    }

    /// Names the contents.
    pub fn hash(&self) -> u64 {
        self.documents.iter().fold(0, hash_of)
    }
}

/// The elements of the list `key` of `value`; none where it has no such list.
pub fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// The spans of a document.
pub fn spans(document: &Value) -> impl Iterator<Item = &Value> {
    let scopes = list(document, "resourceSpans").iter().flat_map(|r| list(r, "scopeSpans"));
    scopes.flat_map(|scope| list(scope, "spans"))
}

/// The trace id of each span of a document.
fn trace_ids(document: &Value) -> impl Iterator<Item = &str> {
    spans(document).filter_map(|span| span["traceId"].as_str())
}

/// Names `value`, behind what `hash` names. The order of an object's keys does not matter, which
/// depends on how `serde_json` was built.
pub fn hash_of(hash: u64, value: &Value) -> u64 {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            fields.iter().fold(hash_text(hash, "{"), |hash, (key, value)| {
                hash_of(hash_text(hash, key), value)
            })
        }
        Value::Array(items) => items.iter().fold(hash_text(hash, "["), hash_of),
        scalar => hash_text(hash, &scalar.to_string()),
    }
}

/// FNV-1a, 64 bit, with the end of the text marked. By hand, since it goes on from what was hashed
/// before, and names files that were recorded.
fn hash_text(hash: u64, text: &str) -> u64 {
    let bytes = text.bytes().chain([0xff]);
    bytes.fold(hash ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
