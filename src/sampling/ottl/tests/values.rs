//! What tailsieve makes of a span that the Collector's conditions cannot say, or that the traces of
//! `tests/policies/ottl.yaml` do not have.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use opentelemetry_proto::tonic::trace::v1::span::Link;
use prost::Message;

use super::{SUMS, answers, world};
use crate::sampling::ottl::{Context, EvalError, Needs, compile};

const TIMED: &str = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[
    {"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"00f067aa0ba90201","name":"root",
     "startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000001999999999"},
    {"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"00f067aa0ba90202","name":"child",
     "parentSpanId":"00f067aa0ba90201","startTimeUnixNano":"1700000002000000000",
     "endTimeUnixNano":"1700000001000000000"}]}]}]}"#;

fn holds(text: &str, record: &[u8]) -> Vec<bool> {
    let condition = compile(text, Context::Span).unwrap_or_else(|error| panic!("{text}: {error}"));
    world::answers(condition, record, SUMS).into_iter().map(|answer| answer == Ok(true)).collect()
}

#[test]
fn a_span_lasts_whole_milliseconds_from_its_start_to_its_end() {
    let record = world::record(TIMED);
    let cases = [
        ("span.duration_ms == 1999", [true, false]),
        ("duration_ms > 1998.5", [true, false]),
        ("duration_ms * 2 == 3998", [true, false]),
        // It ends before it starts.
        ("span.duration_ms == 0", [false, true]),
        ("end_time_unix_nano - start_time_unix_nano == -1000000000", [false, true]),
        ("end_time_unix_nano - start_time_unix_nano > 1999999998", [true, false]),
        ("end_time - start_time == Duration(\"-1s\")", [false, true]),
        ("root.duration_ms == 1999", [true, true]),
        ("root.end_time - root.start_time > Duration(\"1999ms\")", [true, true]),
    ];
    for (text, expected) in cases {
        assert_eq!(holds(text, &record), expected, "{text}");
    }
}

#[test]
fn links_are_counted() {
    let mut traces = TracesData::decode(&*world::record(TIMED)).unwrap();
    let span = &mut traces.resource_spans[0].scope_spans[0].spans[1];
    span.links = vec![Link::default(), Link { trace_state: "a=b".to_owned(), ..Link::default() }];
    let record = traces.encode_to_vec();
    assert_eq!(holds("Len(links) == 2", &record), [false, true]);
    assert_eq!(holds("Len(span.links) == 0", &record), [true, false]);
    assert_eq!(holds("Len(root.links) == 0", &record), [true, true]);
}

#[test]
fn all_attributes_of_a_span_are_a_map() {
    let cases = [
        ("Len(attributes) == 2", "tff"),
        ("attributes == {\"n\": 1, \"who\": \"root\"}", "tff"),
        ("ContainsValue(Keys(attributes), \"m\")", "fft"),
        ("ContainsValue(Values(root.attributes), 1)", "ttt"),
        ("Values(attributes)[0] == \"child\"", "ftf"),
    ];
    for (text, expected) in cases {
        assert_eq!(answers(text, Context::Span), expected, "{text}");
    }
}

/// The trace of [`TIMED`], whose root has this attribute `a`.
fn with_attribute(value: Value) -> Vec<u8> {
    let mut traces = TracesData::decode(&*world::record(TIMED)).unwrap();
    traces.resource_spans[0].scope_spans[0].spans[0].attributes = vec![pair("a", value)];
    traces.encode_to_vec()
}

fn pair(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn list(items: impl IntoIterator<Item = Value>) -> Value {
    let values = items.into_iter().map(|value| AnyValue { value: Some(value) }).collect();
    Value::ArrayValue(ArrayValue { values })
}

#[test]
fn lists_and_maps_are_equal_to_nothing_else() {
    let text = |text: &str| Value::StringValue(text.to_owned());
    let inner =
        vec![pair("l", list([text("x"), Value::IntValue(2), list([])])), pair("t", text("y"))];
    let record = with_attribute(Value::KvlistValue(KeyValueList { values: inner }));
    let literals = ["\"x\"", "2", "2.5", "true", "0x78", "nil"];
    for literal in literals {
        for path in ["attributes[\"a\"]", "attributes[\"a\"][\"l\"]", "attributes[\"a\"][\"l\"][2]"]
        {
            for (how, expected) in [("==", false), ("!=", true), ("<", false), (">=", false)] {
                for text in [format!("{path} {how} {literal}"), format!("{literal} {how} {path}")] {
                    assert_eq!(holds(&text, &record)[0], expected, "{text}");
                }
            }
        }
    }
    let cases = [
        ("attributes[\"a\"][\"l\"][0] == \"x\"", true),
        ("attributes[\"a\"][\"l\"][1] > 1", true),
        ("attributes[\"a\"][\"l\"] == [\"x\", 2, []]", true),
        ("attributes[\"a\"][\"l\"] != attributes[\"a\"][\"t\"]", true),
        ("attributes[\"a\"][\"l\"] == attributes[\"a\"][\"l\"]", true),
        ("attributes[\"a\"][\"n\"][0] == nil", true),
        ("attributes[\"a\"][\"n\"] != \"x\"", true),
        // There is no answer.
        ("attributes[\"a\"][\"l\"][3] != nil", false),
        ("attributes[\"a\"][\"t\"][0] != nil", false),
        ("attributes[\"a\"][0] != nil", false),
    ];
    for (text, expected) in cases {
        assert_eq!(holds(text, &record)[0], expected, "{text}");
    }
}

/// Nothing is made of a list that is only asked for an item, or compared with a literal.
#[test]
fn the_parts_of_a_value_are_bounded() {
    let record = with_attribute(list((0..100_001).map(Value::IntValue)));
    let too_many = Err(EvalError::TooManyParts);
    let cases = [
        ("attributes[\"a\"] == \"x\"", Ok(false)),
        ("\"x\" == attributes[\"a\"]", Ok(false)),
        ("attributes[\"a\"] != 1", Ok(true)),
        ("attributes[\"a\"] != nil", Ok(true)),
        ("attributes[\"a\"] == true", Ok(false)),
        ("attributes[\"a\"][100000] == 100000", Ok(true)),
        ("attributes[\"a\"][100000] == 1.5", Ok(false)),
        ("attributes[\"a\"] == attributes[\"a\"]", too_many),
        ("attributes == {}", too_many),
        ("Len(attributes[\"a\"]) == 1", too_many),
    ];
    for (text, expected) in cases {
        let condition = compile(text, Context::Span).unwrap();
        assert_eq!(world::answers(condition, &record, SUMS)[0], expected, "{text}");
    }
}

#[test]
fn texts_that_grow_are_bounded() {
    let record = with_attribute(Value::StringValue("\"".repeat(300_000)));
    let a = "attributes[\"a\"]";
    let too_long = Err(EvalError::TooLong);
    let cases = [
        (format!("Len(Concat([{a}, {a}, {a}], \"\")) == 900000"), Ok(true)),
        (format!("Len(Concat([{a}, {a}, {a}, {a}], \"\")) == 1200000"), too_long),
        (format!("Len(Concat([1, 2, 3, 4, 5], {a})) == 1200005"), too_long),
        (format!("Len(Hex({a})) == 600000"), Ok(true)),
        (format!("Len(Hex(Hex({a}))) == 1200000"), too_long),
        // As JSON it has a backslash before each quote, and then two more.
        ("Len(String(attributes)) == 600008".to_owned(), Ok(true)),
        ("Len(Concat([{\"a\": String(attributes)}], \"\")) == 1200019".to_owned(), too_long),
        (format!("Len(Split({a}, \"\")) == 300000"), Err(EvalError::TooManyParts)),
    ];
    for (text, expected) in cases {
        let condition = compile(&text, Context::Span).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(world::answers(condition, &record, SUMS)[0], expected, "{text}");
    }
    let json = format!("[{}0]", "0,".repeat(100_000));
    let record = with_attribute(Value::StringValue(json));
    let condition = compile(&format!("ParseJSON({a})[0] == 0"), Context::Span).unwrap();
    assert_eq!(world::answers(condition, &record, SUMS)[0], Err(EvalError::TooManyParts));
    let long = format!("Len({}\"a\"{}) == 0", "Hex(".repeat(21), ")".repeat(21));
    let error = compile(&long, Context::Span).unwrap_err();
    assert_eq!(error.message, "this has no value: a text that is made here has more than 1 MiB");
    assert_eq!((error.offset, error.length), (4, long.len() - "Len() == 0".len()));
}

#[test]
fn what_has_to_be_read_is_known() {
    let needs = |text| compile(text, Context::Span).unwrap().needs();
    let events = Needs { events: true, ..Needs::default() };
    assert_eq!(needs("Len(events) > 0"), events);
    assert_eq!(needs("Len(root.events) + 1 > 0"), events);
    assert_eq!(needs("Split(name, Concat([\"a\"], \"\"))[Len(events)] == \"b\""), events);
    assert_eq!(
        needs("Len(links) > 0 and end_time - start_time > Duration(\"1s\")"),
        Needs::default()
    );
    let condition = compile(
        "ContainsValue([attributes[\"a\"], {\"k\": attributes[\"b\"]}], -attributes[\"c\"])",
        Context::Span,
    );
    assert_eq!(condition.unwrap().attribute_keys(), ["a", "b", "c"]);
}

#[test]
fn comparisons_that_no_span_makes_true_are_known() {
    let cases = [
        ("end_time - start_time > 5", "a duration is compared with a number"),
        (
            "Duration(\"5s\") < end_time_unix_nano - start_time_unix_nano",
            "a duration is compared with a number",
        ),
        ("not (true and status.code == \"ERROR\")", "a number is compared with a text"),
        ("trace_id == 0x0102", "a trace id is compared with bytes"),
        ("parent_span_id == \"\"", "a span id is compared with a text"),
        ("start_time > 1700000000", "a time is compared with a number"),
        (
            "start_time + Duration(\"1s\") == end_time - start_time",
            "a time is compared with a duration",
        ),
        ("trace.duration_ms > \"5s\"", "a number is compared with a text"),
        ("attributes == []", "a map is compared with a list"),
    ];
    for (text, expected) in cases {
        let found = compile(text, Context::Span).unwrap().mistyped();
        assert_eq!(found.len(), 1, "{text}");
        assert!(found[0].message.starts_with(expected), "{text}: {}", found[0]);
    }
    let fine = [
        "end_time - start_time > Duration(\"5s\")",
        "kind * 1.5 > 2",
        "attributes[\"a\"] == \"1\" or attributes[\"a\"] == 1",
        "name != nil",
        "Int(attributes[\"a\"]) == 1.0",
        "trace_state[\"a\"] == nil",
    ];
    for text in fine {
        assert_eq!(compile(text, Context::Span).unwrap().mistyped(), [], "{text}");
    }
}

/// A text of the longest condition does not use up the stack.
#[test]
fn long_sums_are_no_deep_ones() {
    let sum = format!("kind{} == {}", " + 1".repeat(10_000), 10_002);
    assert_eq!(answers(&sum, Context::Span), "tff");
    let deep = format!("{}kind{} == 2", "(".repeat(63), ")".repeat(63));
    assert_eq!(answers(&deep, Context::Span), "tff");
    let signs = format!("{}1{} == 2", "-(".repeat(70), ")".repeat(70));
    assert!(compile(&signs, Context::Span).is_err());
}
