//! OTLP JSON as the Collector's file exporter writes it, by trace; and what differs between two.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The spans of some documents, by trace id in hexadecimal.
#[derive(Clone, Default)]
pub struct Traces {
    pub by_id: BTreeMap<String, Trace>,
}

/// One trace.
#[derive(Clone, Default)]
pub struct Trace {
    /// Its spans, in the order in which they were written.
    pub spans: Vec<Span>,
}

/// One span with all that it was sent with.
#[derive(Clone)]
pub struct Span {
    /// The span itself, as an object.
    span: Value,
    /// Resource, scope and their schema urls: everything around the span.
    around: BTreeMap<&'static str, Value>,
    /// Whether the tracestate was rewritten, so that its `ot` entry may have moved.
    ot_moved: bool,
}

/// What tailsieve adds to a span of a kept trace.
pub struct Additions {
    /// Attribute `tailsieve.policy`, a string.
    pub policy: Option<String>,
    /// Attribute `SampleRate`, an integer.
    pub sample_rate: Option<String>,
    /// `th` of the tracestate's `ot` entry.
    pub threshold: Option<String>,
}

impl Traces {
    /// Reads documents, one after the other. One that is cut off at the end is still being
    /// written, and is left out.
    pub fn parse(documents: &str) -> Self {
        let mut traces = Self::default();
        for document in serde_json::Deserializer::from_str(documents).into_iter::<Value>() {
            match document {
                Ok(document) => traces.add(&document),
                Err(error) if error.is_eof() => break,
                Err(error) => panic!("not JSON: {error}"),
            }
        }
        traces
    }

    fn add(&mut self, document: &Value) {
        for resource_spans in list(document, "resourceSpans") {
            for scope_spans in list(resource_spans, "scopeSpans") {
                let around = BTreeMap::from([
                    ("resource", resource_spans["resource"].clone()),
                    ("resource schema url", resource_spans["schemaUrl"].clone()),
                    ("scope", scope_spans["scope"].clone()),
                    ("scope schema url", scope_spans["schemaUrl"].clone()),
                ]);
                for span in list(scope_spans, "spans") {
                    let id = text(span, "traceId").to_owned();
                    let span = Span { span: span.clone(), around: around.clone(), ot_moved: false };
                    self.by_id.entry(id).or_default().spans.push(span);
                }
            }
        }
    }

    /// Number of spans of all traces.
    pub fn spans(&self) -> usize {
        self.by_id.values().map(|trace| trace.spans.len()).sum()
    }
}

impl Trace {
    /// Whether a span has the status ERROR.
    pub fn has_error(&self) -> bool {
        self.spans.iter().any(|span| span.span["status"]["code"] == 2)
    }

    /// The services that have a span in it.
    pub fn services(&self) -> BTreeSet<&str> {
        self.spans.iter().map(Span::service).collect()
    }

    /// Whether it has one root, and the parent of every other span.
    pub fn is_whole(&self) -> bool {
        let ids: BTreeSet<&str> =
            self.spans.iter().map(|span| text(&span.span, "spanId")).collect();
        let parents = self.spans.iter().map(|span| text(&span.span, "parentSpanId"));
        let (roots, parents): (Vec<&str>, Vec<&str>) = parents.partition(|id| id.is_empty());
        roots.len() == 1 && parents.iter().all(|parent| ids.contains(parent))
    }

    /// From the earliest start to the latest end.
    pub fn duration_ms(&self) -> u64 {
        let nanos = |span: &Span, key| text(&span.span, key).parse::<u64>().unwrap();
        let start = self.spans.iter().map(|span| nanos(span, "startTimeUnixNano")).min();
        let end = self.spans.iter().map(|span| nanos(span, "endTimeUnixNano")).max();
        (end.unwrap() - start.unwrap()) / 1_000_000
    }

    /// `rv` of the tracestate, else the low 56 bits of the trace id.
    pub fn randomness(&self) -> u64 {
        let explicit = self
            .spans
            .iter()
            .find_map(|span| ot_entry(text(&span.span, "traceState")).remove("rv"));
        let id = text(&self.spans[0].span, "traceId");
        u64::from_str_radix(explicit.as_deref().unwrap_or(&id[18..]), 16).unwrap()
    }

    /// In what `other` differs from this trace; the order of spans does not matter.
    pub fn differences(&self, other: &Self) -> impl Iterator<Item = String> + use<> {
        let (sent, arrived) = (self.sorted(), other.sorted());
        let ids = |spans: &[Span]| spans.iter().map(Span::id).collect::<Vec<_>>();
        let (sent_ids, arrived_ids) = (ids(&sent), ids(&arrived));
        let other_spans = sent_ids != arrived_ids;
        let spans = other_spans.then(|| format!("spans {arrived_ids:?}, sent {sent_ids:?}"));
        let pairs = sent.into_iter().zip(arrived).filter(move |_| !other_spans);
        spans.into_iter().chain(pairs.flat_map(|(sent, arrived)| sent.differences(&arrived)))
    }

    fn sorted(&self) -> Vec<Span> {
        let mut spans = self.spans.clone();
        spans.sort_by_key(Span::id);
        spans
    }
}

impl Span {
    fn id(&self) -> String {
        text(&self.span, "spanId").to_owned()
    }

    fn differences(mut self, arrived: &Self) -> Vec<String> {
        if arrived.ot_moved {
            self.put_ot_first(ot_entry(text(&self.span, "traceState")));
        }
        let mut keys: Vec<&String> = [&self.span, &arrived.span]
            .into_iter()
            .flat_map(|span| span.as_object().expect("a span is an object").keys())
            .collect();
        keys.sort();
        keys.dedup();
        let fields =
            keys.into_iter().map(|key| (key.as_str(), &self.span[key], &arrived.span[key]));
        let around = self.around.iter().map(|(key, sent)| (*key, sent, &arrived.around[key]));
        fields
            .chain(around)
            .filter(|(_, sent, arrived)| sent != arrived)
            .map(|(what, sent, arrived)| {
                format!("span {}: {what} is {arrived}, sent {sent}", self.id())
            })
            .collect()
    }

    /// The resource's `service.name`; empty if it has none.
    pub fn service(&self) -> &str {
        let mut attributes = list(&self.around["resource"], "attributes");
        let name = attributes.find(|attribute| attribute["key"] == "service.name");
        name.map_or("", |name| text(&name["value"], "stringValue"))
    }

    /// Removes what tailsieve adds, so that what is left should be what was sent.
    pub fn take_additions(&mut self) -> Additions {
        let policy = self.take_attribute("tailsieve.policy", "stringValue");
        let sample_rate = self.take_attribute("SampleRate", "intValue");
        let threshold = self.take_threshold();
        Additions { policy, sample_rate, threshold }
    }

    fn take_attribute(&mut self, key: &str, kind: &str) -> Option<String> {
        let attributes = self.span.get_mut("attributes")?.as_array_mut()?;
        let place = attributes.iter().position(|attribute| attribute["key"] == key)?;
        let attribute = attributes.remove(place);
        if attributes.is_empty() {
            self.span.as_object_mut()?.remove("attributes");
        }
        attribute["value"][kind].as_str().map(str::to_owned)
    }

    /// Removes `th`, with what it leaves empty. Whoever changes an entry of a tracestate may move
    /// it to the front (W3C), so from here on the place of `ot` says nothing.
    fn take_threshold(&mut self) -> Option<String> {
        let mut ot = ot_entry(text(&self.span, "traceState"));
        let threshold = ot.remove("th")?;
        self.put_ot_first(ot);
        self.ot_moved = true;
        Some(threshold)
    }

    fn put_ot_first(&mut self, ot: BTreeMap<String, String>) {
        let ot: Vec<String> = ot.iter().map(|(key, value)| format!("{key}:{value}")).collect();
        let ot = (!ot.is_empty()).then(|| format!("ot={}", ot.join(";")));
        let entries = text(&self.span, "traceState").split(',').filter(|entry| !entry.is_empty());
        let others = entries.filter(|entry| !entry.starts_with("ot=")).map(str::to_owned);
        let entries: Vec<String> = ot.into_iter().chain(others).collect();
        let span = self.span.as_object_mut().expect("a span is an object");
        if entries.is_empty() {
            span.remove("traceState");
        } else {
            span.insert("traceState".to_owned(), Value::String(entries.join(",")));
        }
    }
}

/// The sub-keys of the `ot` entry of a tracestate.
fn ot_entry(tracestate: &str) -> BTreeMap<String, String> {
    let entry = tracestate.split(',').find_map(|entry| entry.strip_prefix("ot="));
    let pairs = entry.into_iter().flat_map(|entry| entry.split(';'));
    pairs.filter_map(|pair| pair.split_once(':')).map(|(k, v)| (k.into(), v.into())).collect()
}

fn list<'a>(object: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    object[key].as_array().into_iter().flatten()
}

/// A string, or "" if it is not there.
fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or("")
}
