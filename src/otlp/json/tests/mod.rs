use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn decode(value: &Value) -> TracesData {
    let bytes = to_protobuf(value.to_string().as_bytes()).unwrap();
    TracesData::decode(&bytes[..]).unwrap()
}

fn error(value: &Value) -> String {
    read(value).unwrap_err().to_string()
}

/// A record with one span.
fn of_span(span: Value) -> Value {
    json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [span] }] }] })
}

fn span_of(value: &Value) -> Span {
    decode(value).resource_spans.remove(0).scope_spans.remove(0).spans.remove(0)
}

/// The value of an attribute that is written as `value`.
fn attribute(value: Value) -> Option<Any> {
    let span = span_of(&of_span(json!({ "attributes": [{ "key": "k", "value": value }] })));
    span.attributes.into_iter().next().unwrap().value.and_then(|value| value.value)
}

#[test]
fn everything_that_otlp_has_is_read() {
    let value = json!({ "resourceSpans": [{
        "resource": {
            "attributes": [{ "key": "service.name", "value": { "stringValue": "shop" } }],
            "droppedAttributesCount": 1,
            "entityRefs": [{
                "schemaUrl": "s", "type": "t", "idKeys": ["a", "b"], "descriptionKeys": ["c"],
            }],
        },
        "schemaUrl": "https://one",
        "scopeSpans": [{
            "scope": { "name": "n", "version": "v", "droppedAttributesCount": 2,
                "attributes": [{ "key": "x", "value": { "boolValue": true } }] },
            "schemaUrl": "https://two",
            "spans": [{
                "traceId": "0AF7651916CD43DD8448eb211c80319c",
                "spanId": "00f067aa0ba902b7",
                "parentSpanId": "b9c7c989f97918e1",
                "traceState": "ot=rv:1",
                "flags": 257,
                "name": "GET /",
                "kind": 2,
                "startTimeUnixNano": "18446744073709551615",
                "endTimeUnixNano": 1_700_000_000_000_000_001_u64,
                "droppedAttributesCount": 3,
                "droppedEventsCount": 4,
                "droppedLinksCount": 4_294_967_295_u32,
                "events": [{ "timeUnixNano": "7", "name": "e", "droppedAttributesCount": 5,
                    "attributes": [{ "key": "y", "value": { "intValue": "-9223372036854775808" } }],
                }],
                "links": [{ "traceId": "0af7651916cd43dd8448eb211c80319c",
                    "spanId": "00f067aa0ba902b7", "traceState": "a=b", "flags": 1,
                    "attributes": [{ "key": "z" }], "droppedAttributesCount": 6 }],
                "status": { "code": 2, "message": "no" },
            }],
        }],
    }]});
    let any = |value| Some(AnyValue { value: Some(value) });
    let pair = |key: &str, value| KeyValue { key: key.to_owned(), value, ..Default::default() };
    let trace_id = b"\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c".to_vec();
    let span_id = b"\x00\xf0\x67\xaa\x0b\xa9\x02\xb7".to_vec();
    let expected = TracesData {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![pair("service.name", any(Any::StringValue("shop".to_owned())))],
                dropped_attributes_count: 1,
                entity_refs: vec![EntityRef {
                    schema_url: "s".to_owned(),
                    r#type: "t".to_owned(),
                    id_keys: vec!["a".to_owned(), "b".to_owned()],
                    description_keys: vec!["c".to_owned()],
                }],
            }),
            schema_url: "https://one".to_owned(),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "n".to_owned(),
                    version: "v".to_owned(),
                    attributes: vec![pair("x", any(Any::BoolValue(true)))],
                    dropped_attributes_count: 2,
                }),
                schema_url: "https://two".to_owned(),
                spans: vec![Span {
                    trace_id: trace_id.clone(),
                    span_id: span_id.clone(),
                    parent_span_id: b"\xb9\xc7\xc9\x89\xf9\x79\x18\xe1".to_vec(),
                    trace_state: "ot=rv:1".to_owned(),
                    flags: 257,
                    name: "GET /".to_owned(),
                    kind: 2,
                    start_time_unix_nano: u64::MAX,
                    end_time_unix_nano: 1_700_000_000_000_000_001,
                    attributes: Vec::new(),
                    dropped_attributes_count: 3,
                    dropped_events_count: 4,
                    dropped_links_count: u32::MAX,
                    events: vec![Event {
                        time_unix_nano: 7,
                        name: "e".to_owned(),
                        attributes: vec![pair("y", any(Any::IntValue(i64::MIN)))],
                        dropped_attributes_count: 5,
                    }],
                    links: vec![Link {
                        trace_id,
                        span_id,
                        trace_state: "a=b".to_owned(),
                        flags: 1,
                        attributes: vec![pair("z", None)],
                        dropped_attributes_count: 6,
                    }],
                    status: Some(Status { code: 2, message: "no".to_owned() }),
                }],
            }],
        }],
    };
    assert_eq!(decode(&value), expected);
    assert_eq!(decode(&snake_case(value)), expected, "names as in the proto file");
}

/// The same with all names as the proto file has them.
fn snake_case(value: Value) -> Value {
    let snake = |name: String| -> String {
        let separated = |letter: char| match letter {
            'A'..='Z' => format!("_{}", letter.to_ascii_lowercase()),
            _ => letter.to_string(),
        };
        name.chars().map(separated).collect()
    };
    match value {
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (snake(name), snake_case(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(snake_case).collect(),
        other => other,
    }
}

#[test]
fn attribute_values_are_read_as_protobuf_json_has_them() {
    let text = |text: &str| Some(Any::StringValue(text.to_owned()));
    let bytes = |bytes: &[u8]| Some(Any::BytesValue(bytes.to_vec()));
    let cases = [
        (json!({ "stringValue": "" }), text("")),
        (json!({ "stringValue": "\u{1f980}\u{0}\"" }), text("\u{1f980}\u{0}\"")),
        (json!({ "boolValue": false }), Some(Any::BoolValue(false))),
        (json!({ "intValue": "9223372036854775807" }), Some(Any::IntValue(i64::MAX))),
        (json!({ "intValue": -9_223_372_036_854_775_808_i64 }), Some(Any::IntValue(i64::MIN))),
        (json!({ "intValue": 0 }), Some(Any::IntValue(0))),
        (json!({ "intValue": 1e3 }), Some(Any::IntValue(1000))),
        (json!({ "intValue": "-2.0" }), Some(Any::IntValue(-2))),
        (json!({ "doubleValue": 0.1 }), Some(Any::DoubleValue(0.1))),
        (json!({ "doubleValue": 75 }), Some(Any::DoubleValue(75.0))),
        (json!({ "doubleValue": "-1.5e300" }), Some(Any::DoubleValue(-1.5e300))),
        (json!({ "doubleValue": 5e-324 }), Some(Any::DoubleValue(5e-324))),
        (json!({ "doubleValue": "Infinity" }), Some(Any::DoubleValue(f64::INFINITY))),
        (json!({ "doubleValue": "-Infinity" }), Some(Any::DoubleValue(f64::NEG_INFINITY))),
        (json!({ "bytesValue": "" }), bytes(b"")),
        (json!({ "bytesValue": "AP+/" }), bytes(b"\x00\xff\xbf")),
        (json!({ "bytesValue": "AP-_" }), bytes(b"\x00\xff\xbf")),
        (json!({ "bytesValue": "aGk=" }), bytes(b"hi")),
        (json!({ "bytesValue": "aGk" }), bytes(b"hi")),
        (json!({ "bytesValue": "aA==" }), bytes(b"h")),
        (json!({ "arrayValue": {} }), Some(Any::ArrayValue(ArrayValue::default()))),
        (
            json!({ "arrayValue": { "values": [{ "intValue": "1" }, {}, null] } }),
            Some(Any::ArrayValue(ArrayValue {
                values: vec![
                    AnyValue { value: Some(Any::IntValue(1)) },
                    AnyValue::default(),
                    AnyValue::default(),
                ],
            })),
        ),
        (
            json!({ "kvlistValue": { "values": [{ "key": "a", "value": null }] } }),
            Some(Any::KvlistValue(KeyValueList {
                values: vec![KeyValue { key: "a".to_owned(), ..Default::default() }],
            })),
        ),
        (json!({}), None),
        (json!(null), None),
        (json!({ "stringValue": null, "intValue": "3" }), Some(Any::IntValue(3))),
        (json!({ "laterValue": 7 }), None),
    ];
    for (written, expected) in cases {
        assert_eq!(attribute(written.clone()), expected, "{written}");
    }
    let Some(Any::DoubleValue(nan)) = attribute(json!({ "doubleValue": "NaN" })) else { panic!() };
    assert!(nan.is_nan());
}

#[test]
fn enums_are_read_by_number_and_by_name() {
    let cases = [
        (json!({ "kind": "SPAN_KIND_CLIENT" }), (3, None)),
        (json!({ "kind": "3" }), (3, None)),
        (json!({ "kind": 77 }), (77, None)),
        (json!({ "kind": -1 }), (-1, None)),
        (json!({ "status": { "code": "STATUS_CODE_ERROR" } }), (0, Some(2))),
        (json!({ "status": { "code": 1 } }), (0, Some(1))),
        (json!({ "status": {} }), (0, Some(0))),
        (json!({ "kind": null, "status": null }), (0, None)),
    ];
    for (written, expected) in cases {
        let span = span_of(&of_span(written.clone()));
        assert_eq!((span.kind, span.status.map(|status| status.code)), expected, "{written}");
    }
}

#[test]
fn unknown_fields_and_nulls_are_passed_over() {
    let value = json!({ "later": [1, {}], "resourceSpans": [null, {
        "later": 1, "resource": null, "scopeSpans": [{ "spans": null, "scope": { "x": [] } }],
    }]});
    let data = decode(&value);
    assert_eq!(data.resource_spans.len(), 2);
    assert_eq!(data.resource_spans[0], ResourceSpans::default());
    assert_eq!(data.resource_spans[1].scope_spans.len(), 1);
    assert_eq!(decode(&json!({})), TracesData::default());
}

#[test]
fn errors_say_where_and_what_was_expected() {
    let at = "resourceSpans[0].scopeSpans[0].spans[0]";
    let cases = [
        (json!([7]), "[0]: expected an object, found 7".to_owned()),
        (json!({ "resourceSpans": {} }), "resourceSpans: expected a list, found an object".into()),
        (
            of_span(json!({ "traceId": "0g" })),
            format!("{at}.traceId: expected 32 hexadecimal digits, found \"0g\""),
        ),
        (
            of_span(json!({ "spanId": "abc" })),
            format!("{at}.spanId: expected 16 hexadecimal digits, found \"abc\""),
        ),
        (
            of_span(json!({ "endTimeUnixNano": "noon" })),
            format!("{at}.endTimeUnixNano: expected a whole number, found \"noon\""),
        ),
        (
            of_span(json!({ "kind": "SERVER" })),
            format!(
                "{at}.kind: expected the number or the name of an enum's value, \
                 found \"SERVER\""
            ),
        ),
        (
            of_span(json!({ "attributes": [7] })),
            format!("{at}.attributes[0]: expected an object, found 7"),
        ),
    ];
    for (written, expected) in cases {
        assert_eq!(error(&written), expected, "{written}");
    }
    let long = "é".repeat(100);
    assert!(error(&json!({ "resourceSpans": long })).ends_with("..."));
    assert!(to_protobuf(b"{").unwrap_err().to_string().starts_with("not valid JSON: EOF"));
}

#[test]
fn a_value_costs_at_most_itself() {
    let text = |text: &str| Some(Any::StringValue(text.to_owned()));
    let double = |value| Some(Any::DoubleValue(value));
    let cases = [
        // Node: large doubles, and what is beyond 64 bits.
        (json!({ "intValue": 1e300 }), double(1e300)),
        (json!({ "intValue": 9_223_372_036_854_775_808_u64 }), double(9_223_372_036_854_775_808.0)),
        (json!({ "intValue": "-9223372036854775809" }), double(-9_223_372_036_854_775_808.0)),
        (json!({ "intValue": "1e999" }), double(f64::INFINITY)),
        (json!({ "intValue": 1.5 }), double(1.5)),
        (json!({ "intValue": true }), text("true")),
        (json!({ "intValue": "many" }), text("many")),
        (json!({ "doubleValue": "inf" }), double(f64::INFINITY)),
        (json!({ "doubleValue": "-Inf" }), double(f64::NEG_INFINITY)),
        (json!({ "doubleValue": "12" }), double(12.0)),
        (json!({ "doubleValue": "a lot" }), text("a lot")),
        (json!({ "doubleValue": null }), None),
        (json!({ "boolValue": "True" }), Some(Any::BoolValue(true))),
        (json!({ "boolValue": 0 }), Some(Any::BoolValue(false))),
        (json!({ "boolValue": "yes" }), text("yes")),
        (json!({ "stringValue": 7 }), text("7")),
        (json!({ "stringValue": false }), text("false")),
        (json!({ "stringValue": ["a"] }), text("[\"a\"]")),
        (json!({ "bytesValue": { "0": 1, "1": 255 } }), Some(Any::BytesValue(vec![1, 255]))),
        (
            json!({ "bytesValue": { "type": "Buffer", "data": [1, 255] } }),
            Some(Any::BytesValue(vec![1, 255])),
        ),
        (json!({ "bytesValue": { "0": 256 } }), text("{\"0\":256}")),
        (json!({ "bytesValue": "a" }), text("a")),
        (json!({ "bytesValue": "aGk===" }), text("aGk===")),
        (json!({ "arrayValue": 7 }), text("7")),
        (json!({ "kvlistValue": { "values": [7] } }), text("{\"values\":[7]}")),
        (json!({ "arrayValue": { "values": null } }), Some(Any::ArrayValue(ArrayValue::default()))),
        // Without saying what it is.
        (json!("bare"), text("bare")),
        (json!(7), Some(Any::IntValue(7))),
        (json!(1e300), double(1e300)),
        (json!(true), Some(Any::BoolValue(true))),
    ];
    for (written, expected) in cases {
        assert_eq!(attribute(written.clone()), expected, "{written}");
    }
    for nan in ["NaN", "nan", "-nan"] {
        let value = attribute(json!({ "doubleValue": nan }));
        assert!(matches!(value, Some(Any::DoubleValue(it)) if it.is_nan()), "{nan}");
    }
}

/// The values of a span's attributes by key, as Rust shows them.
fn shown_attributes(span: &Span) -> Vec<(&str, String)> {
    let value = |it: &KeyValue| it.value.clone().and_then(|it| it.value);
    span.attributes.iter().map(|it| (it.key.as_str(), format!("{:?}", value(it)))).collect()
}

#[test]
fn what_node_writes_is_read() {
    // @opentelemetry/otlp-transformer 0.223: halves of surrogates, numbers beyond 64 bits, NaN.
    let span = span_of(&parse(include_bytes!("node.json")).unwrap().remove(0));
    assert_eq!((span.name.as_str(), span.flags), ("n\u{fffd}x", 257));
    assert_eq!(span.events[0].name, "e\u{fffd}");
    let double = |text: &str| format!("Some(DoubleValue({text}))");
    let attributes = shown_attributes(&span);
    let of = |key: &str| attributes.iter().find(|(it, _)| *it == key).unwrap().1.clone();
    assert_eq!(of("big"), double("1e300"));
    assert_eq!(of("two63"), double("9.223372036854776e18"));
    assert_eq!((of("nan"), of("inf"), of("nul")), ("None".into(), "None".into(), "None".into()));
    assert_eq!((of("neg0"), of("half")), ("Some(IntValue(0))".into(), double("0.5")));
    assert_eq!(of("k\u{fffd}"), "Some(StringValue(\"v\u{fffd}\"))");
    assert_eq!(of("bytes"), "Some(BytesValue([1, 255]))");
    assert!(of("nested").contains("DoubleValue(1e21)"), "{}", of("nested"));
    assert!(of("mixed").contains("DoubleValue(1e300)"), "{}", of("mixed"));
}

#[test]
fn what_python_writes_is_read() {
    // opentelemetry-exporter-otlp-json-common 0.66b1: whole numbers of any size, as text.
    let span = span_of(&parse(include_bytes!("python.json")).unwrap().remove(0));
    assert_eq!(span.name, "n\u{fffd}x");
    let expected = [
        ("big", "Some(DoubleValue(1e300))"),
        ("two63", "Some(DoubleValue(9.223372036854776e18))"),
        ("two64", "Some(DoubleValue(1.8446744073709552e19))"),
        ("nan", "Some(DoubleValue(NaN))"),
        ("inf", "Some(DoubleValue(inf))"),
        ("ninf", "Some(DoubleValue(-inf))"),
        ("b", "Some(BytesValue([1, 255]))"),
    ];
    for ((key, shown), expected) in shown_attributes(&span).into_iter().zip(expected) {
        assert_eq!((key, shown.as_str()), expected);
    }
}

#[test]
fn numbers_of_a_span_are_taken_as_far_as_they_go() {
    let span = span_of(&of_span(json!({
        "startTimeUnixNano": 1.7e18, "endTimeUnixNano": "-1", "flags": -1, "kind": "1e30",
        "droppedAttributesCount": 1e10, "droppedEventsCount": "7.0", "droppedLinksCount": -3,
        "name": 7, "traceState": null, "events": null, "links": [], "attributes": null,
    })));
    assert_eq!(span.start_time_unix_nano, 1_700_000_000_000_000_000);
    assert_eq!((span.end_time_unix_nano, span.flags, span.kind), (0, u32::MAX, i32::MAX));
    assert_eq!(span.dropped_attributes_count, u32::MAX);
    assert_eq!((span.dropped_events_count, span.dropped_links_count), (7, 0));
    assert_eq!((span.name.as_str(), span.attributes.len()), ("7", 0));
}

#[test]
fn ids_are_hexadecimal_or_base64() {
    let ids = |trace: &str, span: &str| {
        let span = span_of(&of_span(json!({ "traceId": trace, "spanId": span })));
        (span.trace_id, span.span_id)
    };
    let expected = ids("0af7651916cd43dd8448eb211c803101", "00f067aa0ba90201");
    assert_eq!((expected.0.len(), expected.1.len()), (16, 8));
    assert_eq!(ids("CvdlGRbNQ92ESOshHIAxAQ==", "APBnqgupAgE="), expected);
    assert_eq!(ids("CvdlGRbNQ92ESOshHIAxAQ", "APBnqgupAgE"), expected);
    // Of no valid length: what its digits say, for others to judge.
    assert_eq!(ids("0af765", "").0, [0x0a, 0xf7, 0x65]);
}

#[test]
fn several_documents_lists_and_parts_are_read() {
    let resource = json!({ "scopeSpans": [{ "spans": [{ "name": "a" }, { "name": "b" }] }] });
    let whole = json!({ "resourceSpans": [resource] });
    let cases = [
        (whole.to_string(), 1),
        (format!("\n{whole}"), 1),
        (format!("\u{feff}{whole}\r\n"), 1),
        (format!("{whole}\n{whole}\n"), 2),
        (resource.to_string(), 1),
        (json!([resource, resource]).to_string(), 2),
        (json!([whole, resource]).to_string(), 2),
        ("[]".to_owned(), 0),
        ("{}".to_owned(), 0),
    ];
    for (text, count) in cases {
        let data = TracesData::decode(&to_protobuf(text.as_bytes()).unwrap()[..]).unwrap();
        assert_eq!(data.resource_spans.len(), count, "{text}");
        let spans = |it: &ResourceSpans| it.scope_spans[0].spans.len();
        assert!(data.resource_spans.iter().all(|it| spans(it) == 2), "{text}");
    }
}

#[test]
fn what_is_passed_over_is_named() {
    let of = |value: Value| read(&value).unwrap().passed_over;
    let long = of(json!({"resourceSpans": [{"k".repeat(5000): [1]}]})).unwrap();
    assert_eq!(long, format!("`{}...`", "k".repeat(40)), "whoever sent it says how long it is");
    assert_eq!(of(json!({ "resourceSpans": [{ "resource": {}, "later": [] }] })), None);
    assert_eq!(
        of(json!({ "resourceSpans": [{ "scopeSpans": [{ "later": [1] }] }] })),
        Some("`later`".into())
    );
    for old in ["instrumentationLibrarySpans", "instrumentation_library_spans"] {
        let resource = json!({ "resource": {}, old: [{ "spans": [{ "name": "a" }] }] });
        for value in [json!({ "resourceSpans": [resource] }), json!([resource]), resource] {
            let traces = read(&value).unwrap();
            assert_eq!(traces.spans, 0);
            let passed_over = traces.passed_over.unwrap();
            assert!(passed_over.starts_with(&format!("`{old}`, as OTLP called")), "{passed_over}");
        }
    }
}

/// The JSON encoding of a value, as senders write it.
fn to_json(value: &AnyValue) -> Value {
    let Some(value) = &value.value else { return json!({}) };
    match value {
        Any::StringValue(text) => json!({ "stringValue": text }),
        Any::BoolValue(value) => json!({ "boolValue": value }),
        Any::IntValue(value) => json!({ "intValue": value.to_string() }),
        Any::DoubleValue(value) => json!({ "doubleValue": value }),
        Any::BytesValue(bytes) => json!({ "bytesValue": STANDARD.encode(bytes) }),
        Any::ArrayValue(array) => {
            let values: Vec<Value> = array.values.iter().map(to_json).collect();
            json!({ "arrayValue": { "values": values } })
        }
        Any::KvlistValue(list) => {
            let pair =
                |it: &KeyValue| json!({ "key": it.key, "value": it.value.as_ref().map(to_json) });
            let values: Vec<Value> = list.values.iter().map(pair).collect();
            json!({ "kvlistValue": { "values": values } })
        }
        Any::StringValueStrindex(_) => unreachable!("not of traces"),
    }
}

fn any_values() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        any::<String>().prop_map(Any::StringValue),
        any::<bool>().prop_map(Any::BoolValue),
        any::<i64>().prop_map(Any::IntValue),
        prop::num::f64::NORMAL.prop_map(Any::DoubleValue),
        prop::collection::vec(any::<u8>(), 0..9).prop_map(Any::BytesValue),
    ];
    let leaf = prop::option::of(leaf).prop_map(|value| AnyValue { value });
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|values| AnyValue {
                value: Some(Any::ArrayValue(ArrayValue { values }))
            }),
            prop::collection::vec((any::<String>(), prop::option::of(inner)), 0..4).prop_map(
                |pairs| {
                    let pair = |(key, value)| KeyValue { key, value, ..Default::default() };
                    let values = pairs.into_iter().map(pair).collect();
                    AnyValue { value: Some(Any::KvlistValue(KeyValueList { values })) }
                }
            ),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn values_come_through(value in any_values()) {
        let written = json!({ "key": "k", "value": to_json(&value) });
        let span = span_of(&of_span(json!({ "attributes": [written] })));
        prop_assert_eq!(span.attributes[0].value.as_ref(), Some(&value));
    }

    #[test]
    fn no_text_makes_it_panic(text in "[\\[\\]{}\":,0-9a-zA-Z.\\-\\\\]{0,60}") {
        let _ = to_protobuf(text.as_bytes());
    }
}
