//! The scanner against `prost`: on every input they agree. The messages are those of OTLP, but with
//! strings as bytes, since text need not be UTF-8 here.

mod raw;
mod usual;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::prelude::*;
use prost::Message;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::wire::{Reader, WireType, write_delimited_head, write_varint};
use super::*;
use crate::otlp::probability::Threshold;
use crate::otlp::span::{SpanView, ValueRef};

const KEYS: [&str; 4] = ["asked", "k", "http.route", ""];

fn text(rng: &mut StdRng) -> String {
    let pool =
        ["", "a", "GET /cart", "größe", "日本", "asked", "k", "http.route", "x".repeat(130).leak()];
    pool[rng.random_range(0..pool.len())].to_owned()
}

fn any_value(rng: &mut StdRng, depth: u32) -> AnyValue {
    let kinds = if depth == 0 { 6 } else { 9 };
    let value = match rng.random_range(0..kinds) {
        0 => None,
        1 => Some(Value::StringValue(text(rng))),
        2 => Some(Value::BoolValue(rng.random())),
        3 => Some(Value::IntValue(rng.random())),
        4 => Some(Value::DoubleValue(rng.random())),
        5 => Some(Value::BytesValue(vec![rng.random(); rng.random_range(0..5)])),
        6 => Some(Value::StringValueStrindex(rng.random())),
        7 => {
            let values = (0..rng.random_range(0..3)).map(|_| any_value(rng, depth - 1)).collect();
            Some(Value::ArrayValue(ArrayValue { values }))
        }
        _ => Some(Value::KvlistValue(KeyValueList { values: attributes(rng, depth - 1) })),
    };
    AnyValue { value }
}

fn attributes(rng: &mut StdRng, depth: u32) -> Vec<KeyValue> {
    let count = rng.random_range(0..4);
    (0..count)
        .map(|_| KeyValue {
            key: text(rng),
            value: rng.random_bool(0.9).then(|| any_value(rng, depth)),
            key_strindex: rng.random_range(0..2),
        })
        .collect()
}

fn id(rng: &mut StdRng, length: usize) -> Vec<u8> {
    let length = if rng.random_bool(0.9) { length } else { rng.random_range(0..20) };
    let byte = if rng.random_bool(0.9) { rng.random() } else { 0 };
    (0..length).map(|n| if n == 0 { byte } else { byte / 2 }).collect()
}

fn trace_state(rng: &mut StdRng) -> String {
    let pool = ["", "ot=th:8;rv:80000000000000", "a=b", "ot=th:fd70a,c=d", "nonsense", "ot=rv:0"];
    pool[rng.random_range(0..pool.len())].to_owned()
}

fn span(rng: &mut StdRng) -> Span {
    let event = |rng: &mut StdRng| Event {
        time_unix_nano: rng.random(),
        name: text(rng),
        attributes: attributes(rng, 1),
        dropped_attributes_count: rng.random_range(0..2),
    };
    let link = |rng: &mut StdRng| Link {
        trace_id: id(rng, 16),
        span_id: id(rng, 8),
        trace_state: trace_state(rng),
        attributes: attributes(rng, 1),
        dropped_attributes_count: 0,
        flags: rng.random_range(0..3),
    };
    Span {
        trace_id: id(rng, 16),
        span_id: id(rng, 8),
        trace_state: trace_state(rng),
        parent_span_id: if rng.random() { Vec::new() } else { id(rng, 8) },
        flags: rng.random_range(0..0x400),
        name: text(rng),
        kind: rng.random_range(-1..7),
        start_time_unix_nano: rng.random(),
        end_time_unix_nano: rng.random(),
        attributes: attributes(rng, 3),
        dropped_attributes_count: rng.random_range(0..2),
        events: (0..rng.random_range(0..2)).map(|_| event(rng)).collect(),
        dropped_events_count: 0,
        links: (0..rng.random_range(0..2)).map(|_| link(rng)).collect(),
        dropped_links_count: 0,
        status: rng
            .random_bool(0.5)
            .then(|| Status { message: text(rng), code: rng.random_range(0..4) }),
    }
}

fn request(rng: &mut StdRng) -> ExportTraceServiceRequest {
    let scope_spans = |rng: &mut StdRng| ScopeSpans {
        scope: rng.random_bool(0.8).then(|| InstrumentationScope {
            name: text(rng),
            version: text(rng),
            attributes: attributes(rng, 1),
            dropped_attributes_count: 0,
        }),
        spans: (0..rng.random_range(0..4)).map(|_| span(rng)).collect(),
        schema_url: text(rng),
    };
    let entity = |rng: &mut StdRng| EntityRef {
        schema_url: text(rng),
        r#type: text(rng),
        id_keys: vec![text(rng)],
        description_keys: vec![text(rng)],
    };
    let resource_spans = |rng: &mut StdRng| ResourceSpans {
        resource: rng.random_bool(0.8).then(|| Resource {
            attributes: attributes(rng, 2),
            dropped_attributes_count: rng.random_range(0..2),
            entity_refs: (0..rng.random_range(0..2)).map(|_| entity(rng)).collect(),
        }),
        scope_spans: (0..rng.random_range(0..3)).map(|_| scope_spans(rng)).collect(),
        schema_url: text(rng),
    };
    let resource_spans = (0..rng.random_range(0..3)).map(|_| resource_spans(rng)).collect();
    ExportTraceServiceRequest { resource_spans }
}

/// Which fields of a message are messages, as deep as the mangling goes.
struct Shape(&'static [(u32, &'static Shape)]);
static LEAF: Shape = Shape(&[]);
static ANY: Shape = Shape(&[(5, &LEAF), (6, &LEAF)]);
static KEY_VALUE: Shape = Shape(&[(2, &ANY)]);
static RESOURCE: Shape = Shape(&[(1, &KEY_VALUE)]);
static EVENT: Shape = Shape(&[(3, &KEY_VALUE)]);
static LINK: Shape = Shape(&[(4, &KEY_VALUE)]);
static SPAN: Shape = Shape(&[(9, &KEY_VALUE), (11, &EVENT), (13, &LINK), (15, &LEAF)]);
static SCOPE_SPANS: Shape = Shape(&[(1, &LEAF), (2, &SPAN)]);
static RESOURCE_SPANS: Shape = Shape(&[(1, &RESOURCE), (2, &SCOPE_SPANS)]);
static TRACES_DATA: Shape = Shape(&[(1, &RESOURCE_SPANS)]);

/// Makes some of the text no UTF-8, in place: where the texts of the pool seem to stand.
fn spoil(record: &mut [u8], rng: &mut StdRng) {
    for at in 1..record.len() {
        if record[at - 1] == 1 && matches!(record[at], b'a' | b'k') && rng.random_bool(0.3) {
            record[at] = 0xe2;
        }
        if record[at..].starts_with(b"GET") && rng.random_bool(0.3) {
            record[at..at + 3].copy_from_slice(b"\xe2\x28\xa1");
        }
    }
}

/// The same fields in another order, some twice, messages cut into several occurrences, unknown
/// fields and groups in between: what protobuf allows.
fn mangle(message: &[u8], shape: &Shape, rng: &mut StdRng) -> Vec<u8> {
    let mut fields = Vec::new();
    let mut reader = Reader::new(message, 0);
    while !reader.is_at_end() {
        let start = reader.position();
        let tag = reader.tag().expect("prost wrote it");
        let nested = shape.0.iter().find(|(field, _)| *field == tag.field);
        let Some((_, shape)) = nested else {
            reader.skip(tag, 100).expect("prost wrote it");
            let field = message[start..reader.position()].to_vec();
            if rng.random_bool(0.1) {
                fields.push(field.clone());
            }
            fields.push(field);
            continue;
        };
        let (start, end) = reader.delimited().expect("prost wrote it");
        let inner = mangle(&message[start..end], shape, rng);
        let mut field = Vec::new();
        write_delimited_head(tag.field, inner.len(), &mut field);
        field.extend_from_slice(&inner);
        fields.push(field);
        if rng.random_bool(0.1) {
            let mut empty = Vec::new();
            write_delimited_head(tag.field, 0, &mut empty);
            fields.push(empty);
        }
    }
    if rng.random_bool(0.3) {
        fields.push(unknown(rng));
    }
    if rng.random_bool(0.5) {
        fields.shuffle(rng);
    }
    fields.concat()
}

fn unknown(rng: &mut StdRng) -> Vec<u8> {
    let mut field = Vec::new();
    let number = rng.random_range(20..3000_u64);
    match rng.random_range(0..4) {
        0 => {
            write_varint(number << 3, &mut field);
            write_varint(rng.random(), &mut field);
        }
        1 => {
            write_delimited_head(number as u32, 3, &mut field);
            field.extend_from_slice(b"\xff\0z");
        }
        2 => {
            write_varint(number << 3 | 5, &mut field);
            field.extend_from_slice(&[1, 2, 3, 4]);
        }
        _ => {
            write_varint(number << 3 | 3, &mut field);
            field.extend_from_slice(&unknown(rng));
            write_varint(number << 3 | 4, &mut field);
        }
    }
    field
}

fn keys() -> AttributeKeys {
    let extras = Extras { details: true, events: true, scopes: true };
    AttributeKeys::new(KEYS.map(str::to_owned)).with(extras)
}

/// The value as the scanner has it, of a value as `prost` has it.
fn is_same_value(value: ValueRef, expected: Option<&raw::AnyValue>, record: &[u8]) -> bool {
    match (value, expected.and_then(|value| value.value.as_ref())) {
        (ValueRef::Empty, None) => true,
        (ValueRef::String(text), Some(raw::Value::String(expected))) => text.of(record) == expected,
        (ValueRef::Bool(value), Some(raw::Value::Bool(expected))) => value == *expected,
        (ValueRef::Int(value), Some(raw::Value::Int(expected))) => value == *expected,
        (ValueRef::Double(value), Some(raw::Value::Double(expected))) => {
            value.to_bits() == expected.to_bits()
        }
        (ValueRef::Bytes(bytes), Some(raw::Value::Bytes(expected))) => bytes.of(record) == expected,
        (ValueRef::Other(_), Some(value)) => {
            matches!(value, raw::Value::Array(_) | raw::Value::Map(_) | raw::Value::StringIndex(_))
        }
        _ => false,
    }
}

fn same_attributes(
    found: &[crate::otlp::span::AttributeRef],
    expected: &[raw::KeyValue],
    record: &[u8],
) {
    let is_asked = |it: &&raw::KeyValue| KEYS.iter().any(|key| key.as_bytes() == it.key);
    let asked: Vec<&raw::KeyValue> = expected.iter().filter(is_asked).collect();
    assert_eq!(found.len(), asked.len());
    for (found, expected) in found.iter().zip(asked) {
        assert_eq!(KEYS[usize::from(found.key.0)].as_bytes(), expected.key);
        assert!(
            is_same_value(found.value, expected.value.as_ref(), record),
            "{found:?} {expected:?}"
        );
    }
}

fn same_span(found: &crate::otlp::span::SpanRef, scan: &Scan, expected: &raw::Span, record: &[u8]) {
    assert_eq!(found.trace_id.as_bytes().as_slice(), expected.trace_id);
    assert_eq!(found.span_id.as_bytes().as_slice(), expected.span_id);
    assert_eq!(found.is_root, expected.parent_span_id.iter().all(|byte| *byte == 0));
    assert_eq!(found.start_unix_nano, expected.start_time_unix_nano);
    assert_eq!(found.end_unix_nano, expected.end_time_unix_nano);
    assert_eq!(found.status, expected.status.as_ref().map_or(0, |status| status.code));
    assert_eq!((found.kind, found.flags), (expected.kind, expected.flags));
    assert_eq!(found.name.of(record), expected.name);
    assert_eq!(found.trace_state.of(record), expected.trace_state);
    same_attributes(found.attributes.of(&scan.attributes), &expected.attributes, record);
}

fn same_details(view: &SpanView<'_>, scan: &Scan, expected: &raw::Span) {
    let (details, record) = (view.details, view.record);
    let status = expected.status.clone().unwrap_or_default();
    assert_eq!(details.parent_span_id.of(record), expected.parent_span_id);
    assert_eq!(details.status_message.of(record), status.message);
    assert_eq!(details.dropped_attributes, expected.dropped_attributes_count);
    assert_eq!(details.dropped_events, expected.dropped_events_count);
    assert_eq!(details.dropped_links, expected.dropped_links_count);
    let events = details.events.of(&scan.events);
    assert_eq!(events.len(), expected.events.len());
    for (event, expected) in events.iter().zip(&expected.events) {
        assert_eq!(event.time_unix_nano, expected.time_unix_nano);
        assert_eq!(event.name.of(record), expected.name);
        assert_eq!(event.dropped_attributes, expected.dropped_attributes_count);
        same_attributes(event.attributes.of(&scan.attributes), &expected.attributes, record);
    }
}

fn same_scope(view: &SpanView<'_>, expected: &raw::ScopeSpans) {
    let expected = expected.scope.clone().unwrap_or_default();
    assert_eq!(view.scope.name.of(view.record), expected.name);
    assert_eq!(view.scope.version.of(view.record), expected.version);
    same_attributes(view.scope_attributes, &expected.attributes, view.record);
}

fn is_valid(span: &raw::Span) -> bool {
    let good = |id: &[u8], length| id.len() == length && id.iter().any(|byte| *byte != 0);
    good(&span.trace_id, 16) && good(&span.span_id, 8)
}

/// Holds a scan of `record` against `prost`.
fn agree(record: &[u8]) {
    let mut scan = Scan::default();
    let found = super::scan(record, &keys(), &mut scan);
    // What is asked for changes what is found, not what is accepted.
    let nothing_asked = super::scan(record, &AttributeKeys::default(), &mut Scan::default());
    assert_eq!(nothing_asked.is_ok(), found.is_ok(), "{record:02x?}");
    let expected = match (raw::Request::decode(record), found) {
        (Ok(expected), Ok(())) => expected,
        (Err(_), Err(_)) => return,
        (expected, found) => panic!("prost {expected:?}, scan {found:?}, of {record:02x?}"),
    };
    let (mut spans, mut scopes, mut invalid) = (scan.spans.iter(), scan.scopes.iter(), 0);
    let mut number = 0;
    assert_eq!(scan.resources.len(), expected.resource_spans.len());
    for (resource, wanted) in scan.resources.iter().zip(&expected.resource_spans) {
        let attributes = wanted.resource.as_ref().map_or(&[][..], |resource| &resource.attributes);
        same_attributes(resource.attributes.of(&scan.attributes), attributes, record);
        for wanted_scope in &wanted.scope_spans {
            let scope = scopes.next().expect("every scope is found");
            for wanted_span in &wanted_scope.spans {
                if !is_valid(wanted_span) {
                    invalid += 1;
                    continue;
                }
                let span = spans.next().expect("every valid span is found");
                same_span(span, &scan, wanted_span, record);
                let view = scan.view(number, record);
                number += 1;
                same_details(&view, &scan, wanted_span);
                same_attributes(view.resource, attributes, record);
                same_scope(&view, wanted_scope);
                let only = raw::ResourceSpans {
                    scope_spans: vec![raw::ScopeSpans {
                        spans: vec![wanted_span.clone()],
                        ..wanted_scope.clone()
                    }],
                    ..wanted.clone()
                };
                same_framed(&scan, resource, scope, span, &only, record);
            }
        }
    }
    assert!(spans.next().is_none() && scopes.next().is_none());
    assert_eq!(scan.invalid.len(), invalid);
}

fn joined(header: crate::otlp::span::Run, scan: &Scan, record: &[u8]) -> Vec<u8> {
    header.of(&scan.pieces).iter().flat_map(|piece| piece.of(record)).copied().collect()
}

/// A span framed by itself is the message that `prost` would have made of it.
fn same_framed(
    scan: &Scan,
    resource: &found::ResourceRef,
    scope: &found::ScopeRef,
    span: &crate::otlp::span::SpanRef,
    expected: &raw::ResourceSpans,
    record: &[u8],
) {
    let (resource, scope) =
        (joined(resource.header, scan, record), joined(scope.header, scan, record));
    let segment = SpanSegment { resource: &resource, scope: &scope, spans: span.framed.of(record) };
    let mut framer = Framer::new(1 << 20);
    let plain = framer.frame(std::iter::once(segment), &Additions::default());
    assert_eq!(plain.chunks.len(), 1);
    // The generated messages have strings, which `prost` takes only if they are UTF-8.
    let is_utf8 = ExportTraceServiceRequest::decode(plain.chunks[0].bytes.as_slice()).is_ok();
    assert_eq!(plain.not_utf8, u32::from(!is_utf8));
    let decoded = raw::Request::decode(plain.chunks[0].bytes.as_slice());
    let plain = decoded.expect("what is framed can be decoded");
    // NaN is not equal to itself; its encoding is.
    assert_eq!(plain.resource_spans[0].encode_to_vec(), expected.encode_to_vec());

    let additions = Additions {
        policy: Some("errors"),
        restored: true,
        chance: Chance::Passed(Threshold::from_probability(0.1)),
        tracestate: true,
        sample_rate: true,
    };
    let spliced = framer.frame(std::iter::once(segment), &additions);
    let decoded = raw::Request::decode(spliced.chunks[0].bytes.as_slice());
    let decoded = decoded.expect("what is spliced can be decoded");
    let mut wanted = expected.clone();
    let wanted_span = &mut wanted.scope_spans[0].spans[0];
    let (after, rate) = match std::str::from_utf8(&wanted_span.trace_state).unwrap_or("not UTF-8") {
        "" => ("ot=th:e666", 10),
        "ot=th:8;rv:80000000000000" => ("ot=th:e666;rv:80000000000000", 10),
        "a=b" => ("ot=th:e666,a=b", 10),
        "ot=th:fd70a,c=d" => ("ot=th:fd70a,c=d", 100),
        "nonsense" => ("nonsense", 10),
        "ot=rv:0" => ("ot=rv:0", 10),
        // Damaged ones are the tracestate's own tests' matter.
        _ => return,
    };
    wanted_span.trace_state = after.into();
    let add = |key: &str, value| raw::KeyValue {
        key: key.into(),
        value: Some(raw::AnyValue { value: Some(value) }),
        key_strindex: 0,
    };
    wanted_span.attributes.push(add("tailsieve.policy", raw::Value::String("errors".into())));
    wanted_span.attributes.push(add("tailsieve.restored", raw::Value::Bool(true)));
    wanted_span.attributes.push(add("SampleRate", raw::Value::Int(rate)));
    assert_eq!(decoded.resource_spans[0].encode_to_vec(), wanted.encode_to_vec());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn agrees_with_prost_on_valid_messages(seed in any::<u64>()) {
        let mut rng = StdRng::seed_from_u64(seed);
        let record = request(&mut rng).encode_to_vec();
        agree(&record);
        agree(&mangle(&record, &TRACES_DATA, &mut rng));
    }

    #[test]
    fn agrees_with_prost_on_text_that_is_not_utf8(seed in any::<u64>()) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut record = request(&mut rng).encode_to_vec();
        spoil(&mut record, &mut rng);
        agree(&record);
        agree(&mangle(&record, &TRACES_DATA, &mut rng));
    }

    #[test]
    fn agrees_with_prost_on_damaged_messages(seed in any::<u64>()) {
        let mut rng = StdRng::seed_from_u64(seed);
        let record = request(&mut rng).encode_to_vec();
        for _ in 0..8 {
            let mut damaged = record.clone();
            for _ in 0..rng.random_range(1..4) {
                if damaged.is_empty() {
                    continue;
                }
                let at = rng.random_range(0..damaged.len());
                match rng.random_range(0..4) {
                    0 => damaged[at] = rng.random(),
                    1 => damaged[at] ^= 1 << rng.random_range(0..8),
                    2 => damaged.truncate(at),
                    _ => damaged.insert(at, rng.random()),
                }
            }
            agree(&damaged);
        }
    }

    #[test]
    fn agrees_with_prost_on_noise(record in prop::collection::vec(any::<u8>(), 0..60)) {
        agree(&record);
    }
}

#[test]
fn the_depth_of_nesting_is_bounded_as_by_prost() {
    let attribute = |value| KeyValue { key: "k".into(), value: Some(value), key_strindex: 0 };
    let any = |value| AnyValue { value: Some(value) };
    let in_array = |value| any(Value::ArrayValue(ArrayValue { values: vec![value] }));
    let in_map = |value| any(Value::KvlistValue(KeyValueList { values: vec![attribute(value)] }));
    let innermost = [AnyValue { value: None }, any(Value::IntValue(1))];
    for (levels, inner) in (25..55).flat_map(|levels| innermost.iter().map(move |it| (levels, it)))
    {
        let arrays = (0..levels).fold(inner.clone(), |value, _| in_array(value));
        let maps = (0..levels).fold(inner.clone(), |value, _| in_map(value));
        let array_in_maps = (0..levels).fold(in_array(inner.clone()), |value, _| in_map(value));
        let deeper = in_array(in_array(array_in_maps.clone()));
        for value in [arrays, maps, array_in_maps, deeper] {
            let mut rng = StdRng::seed_from_u64(1);
            let span = Span { attributes: vec![attribute(value)], ..span(&mut rng) };
            let scope = ScopeSpans { spans: vec![span], ..ScopeSpans::default() };
            let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
            agree(&ExportTraceServiceRequest { resource_spans: vec![resource] }.encode_to_vec());
        }
    }
    let groups: Vec<u8> = std::iter::repeat_n(0x0b_u8 + 0x50, 200).collect();
    agree(&groups);
    assert_eq!(WireType::Varint, Reader::new(&[0x08], 0).tag().expect("a tag").wire_type);
}

#[test]
fn a_large_trace_comes_in_chunks_below_the_bound() {
    let mut rng = StdRng::seed_from_u64(7);
    let spans: Vec<Span> = (0..200)
        .map(|_| Span { trace_id: vec![1; 16], span_id: vec![2; 8], ..span(&mut rng) })
        .collect();
    let scope = ScopeSpans { spans, schema_url: "scope".into(), ..ScopeSpans::default() };
    let sent = ResourceSpans {
        scope_spans: vec![scope],
        schema_url: "resource".into(),
        ..Default::default()
    };
    let record = ExportTraceServiceRequest { resource_spans: vec![sent.clone()] }.encode_to_vec();
    let mut scan = Scan::default();
    super::scan(&record, &keys(), &mut scan).expect("valid");
    let framed: Vec<u8> =
        scan.spans.iter().flat_map(|span| span.framed.of(&record)).copied().collect();
    let resource = joined(scan.resources[0].header, &scan, &record);
    let scope = joined(scan.scopes[0].header, &scan, &record);
    let segment = SpanSegment { resource: &resource, scope: &scope, spans: &framed };
    let whole = Framer::new(5000).frame(std::iter::once(segment), &Additions::default());
    assert!(whole.chunks.len() > 3 && whole.oversized_spans == 0);
    let mut received = Vec::new();
    for chunk in &whole.chunks {
        assert!(chunk.bytes.len() <= 5000, "{}", chunk.bytes.len());
        let decoded = ExportTraceServiceRequest::decode(chunk.bytes.as_slice()).expect("valid");
        let [resource] = decoded.resource_spans.as_slice() else { panic!("one resource") };
        assert_eq!(resource.schema_url, "resource");
        let [scope] = resource.scope_spans.as_slice() else { panic!("one scope") };
        assert_eq!((scope.schema_url.as_str(), scope.spans.len()), ("scope", chunk.spans as usize));
        received.extend(scope.spans.clone());
    }
    let encode = |spans: &[Span]| spans.iter().map(Message::encode_to_vec).collect::<Vec<_>>();
    assert_eq!(encode(&received), encode(&sent.scope_spans[0].spans));
    let tiny = Framer::new(20).frame(std::iter::once(segment), &Additions::default());
    assert_eq!((tiny.chunks.len(), tiny.oversized_spans), (0, 200));
}

/// What a span with this tracestate and `SampleRate`, if it has one, becomes.
fn annotated(
    framer: &mut Framer,
    trace_state: &str,
    rate: Option<i64>,
    chance: Chance,
) -> (String, Vec<(String, Option<Value>)>) {
    let attribute = |key: &str, value| KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(value) }),
        key_strindex: 0,
    };
    let rate = rate.map(|rate| attribute("SampleRate", Value::IntValue(rate)));
    let mut attributes: Vec<KeyValue> = rate.into_iter().collect();
    attributes.push(attribute("other", Value::BoolValue(true)));
    attributes.push(attribute("tailsieve.policy", Value::BoolValue(true)));
    attributes.push(attribute("tailsieve.restored", Value::IntValue(7)));
    let mut rng = StdRng::seed_from_u64(3);
    let span = Span { attributes, trace_state: trace_state.into(), ..span(&mut rng) };
    let mut framed = Vec::new();
    write_delimited_head(2, span.encoded_len(), &mut framed);
    span.encode(&mut framed).expect("room");
    let segment = SpanSegment { resource: b"", scope: b"", spans: &framed };
    let (policy, restored) = (Some("p"), true);
    let additions = Additions { policy, restored, chance, tracestate: true, sample_rate: true };
    let chunk = framer.frame(std::iter::once(segment), &additions).chunks.remove(0);
    let decoded = ExportTraceServiceRequest::decode(chunk.bytes.as_slice()).expect("valid");
    let span = decoded.resource_spans[0].scope_spans[0].spans[0].clone();
    let pair = |it: KeyValue| (it.key, it.value.and_then(|value| value.value));
    (span.trace_state, span.attributes.into_iter().map(pair).collect())
}

#[test]
fn the_chance_is_written_as_the_policies_promise() {
    let th = |digits: &str| ot_member::threshold(format!("ot=th:{digits}").as_bytes()).unwrap();
    let (half, never) = (Chance::Passed(th("8")), Chance::Unknown);
    let apart = Chance::Apart(th("8"));
    let certain = Chance::Certain;
    let cases = [
        // Kept with certainty: left alone, and what is there says the rate.
        ("", None, certain, "", None),
        ("ot=th:c", None, certain, "ot=th:c", Some(4)),
        ("ot=th:c", Some(9), certain, "ot=th:c", Some(4)),
        ("", Some(9), certain, "", Some(9)),
        // By the trace's randomness: the larger threshold.
        ("", None, half, "ot=th:8", Some(2)),
        ("ot=th:c", None, half, "ot=th:c", Some(4)),
        ("ot=rv:80000000000000;th:4", Some(9), half, "ot=th:8;rv:80000000000000", Some(2)),
        // By a chance of its own: no threshold, but the rate is known.
        ("ot=th:c,a=b", None, apart, "a=b", Some(8)),
        ("a=b", Some(9), apart, "a=b", Some(2)),
        // By a budget: nothing is known any more.
        ("ot=th:c", Some(9), never, "", None),
        ("a=b", None, never, "a=b", None),
        // Malformed: left as it is.
        ("ot=th:c;", None, half, "ot=th:c;", Some(2)),
    ];
    // Each after each: what is remembered of the span before must not be taken for its own.
    let mut framer = Framer::new(1 << 20);
    let in_pairs = cases.iter().flat_map(|first| cases.iter().flat_map(move |next| [first, next]));
    for &(before, rate, chance, after, expected) in in_pairs {
        let (trace_state, attributes) = annotated(&mut framer, before, rate, chance);
        let case = format!("{before:?} {rate:?} {chance:?}");
        assert_eq!(trace_state, after, "{case}");
        let found: Vec<_> = attributes.iter().filter(|(key, _)| key == "SampleRate").collect();
        let values: Vec<_> = found.iter().map(|(_, value)| value.clone()).collect();
        let wanted: Vec<_> = expected.map(|rate| Some(Value::IntValue(rate))).into_iter().collect();
        assert_eq!(values, wanted, "{case}");
        let of = |wanted: &str| -> Vec<_> {
            let found = attributes.iter().filter(|(key, _)| key == wanted);
            found.map(|(_, value)| value.clone()).collect()
        };
        assert_eq!(of("tailsieve.policy"), [Some(Value::StringValue("p".into()))], "{case}");
        assert_eq!(of("tailsieve.restored"), [Some(Value::BoolValue(true))], "{case}");
        assert!(attributes.iter().any(|(key, _)| key == "other"), "{case}");
    }
}
