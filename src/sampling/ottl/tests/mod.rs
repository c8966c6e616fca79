//! The language as a whole. Answers are those of the Collector: `tests/policies/ottl.yaml` is run
//! against both.

mod errors;
mod fuzz;
mod json;
mod policies;
mod posted;
mod structure;
mod values;
mod world;

use super::{Context, TraceFields, compile};

/// A trace of three spans: `root`, `child` (an error) and `leaf` (with an event `log`).
const TRACE: &str = r#"{"resourceSpans":[{"resource":{"attributes":[
    {"key":"service.name","value":{"stringValue":"shop"}}]},
  "scopeSpans":[{"scope":{"name":"lib"},"spans":[
    {"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"00f067aa0ba90201","name":"root",
     "kind":2,"attributes":[{"key":"who","value":{"stringValue":"root"}},
       {"key":"n","value":{"intValue":"1"}}]},
    {"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"00f067aa0ba90202","name":"child",
     "parentSpanId":"00f067aa0ba90201","status":{"code":2,"message":"boom"},
     "attributes":[{"key":"who","value":{"stringValue":"child"}}]},
    {"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"00f067aa0ba90203","name":"leaf",
     "parentSpanId":"00f067aa0ba90202","events":[{"name":"log"}],
     "attributes":[{"key":"m","value":{"kvlistValue":{"values":[
       {"key":"k","value":{"stringValue":"v"}}]}}}]}]}]}]}"#;

const SUMS: TraceFields =
    TraceFields { duration_ms: 1500, span_count: 3, error_count: 1, service_count: 2, bytes: 900 };

/// The answers for each span or event of [`TRACE`]: `t`rue, `f`alse or `e`rror.
fn answers(text: &str, context: Context) -> String {
    let condition = compile(text, context).unwrap_or_else(|error| panic!("{text}: {error}"));
    let record = world::record(TRACE);
    let together = world::answers(condition.clone(), &record, SUMS);
    let apart = world::answers(condition.apart(), &record, SUMS);
    assert_eq!(together, apart, "{text}: the same, taken apart");
    let letter = |answer: &Result<bool, _>| match answer {
        Ok(true) => 't',
        Ok(false) => 'f',
        Err(_) => 'e',
    };
    together.iter().map(letter).collect()
}

#[test]
fn what_only_tailsieve_knows() {
    let cases = [
        (r#"root.attributes["who"] == "root""#, "ttt"),
        (r#"root.name == "root" and name == "leaf""#, "fft"),
        (r#"root.kind == SPAN_KIND_SERVER and attributes["who"] == "child""#, "ftf"),
        (r#"root.parent_span_id.string == "0000000000000000""#, "ttt"),
        (r#"root.attributes["m"]["k"] == nil"#, "ttt"),
        (r#"IsMatch(root.name, "^ro") and not IsRootSpan()"#, "ftt"),
        ("trace.duration_ms >= 1500", "ttt"),
        ("trace.duration_ms > 1500", "fff"),
        ("trace.span_count == 3 and status.code == 2", "ftf"),
        ("trace.error_count > 0 or name == \"x\"", "ttt"),
        ("trace.service_count == 2.0 and trace.bytes < 1000", "ttt"),
        ("not (trace.span_count > 3 or name == \"leaf\")", "ttf"),
        ("IsInt(trace.bytes)", "ttt"),
        (r#"attributes["m"]["k"] == "v" or trace.span_count == 3"#, "ttt"),
        (r#"attributes["who"]["k"] == "v" or trace.span_count == 3"#, "eet"),
        (r#"trace.span_count == 3 or attributes["who"]["k"] == "v""#, "ttt"),
        (r#"trace.span_count == 2 and attributes["who"]["k"] == "v""#, "fff"),
    ];
    for (text, expected) in cases {
        assert_eq!(answers(text, Context::Span), expected, "{text}");
    }
    assert_eq!(answers("trace.span_count == 3 and name == \"log\"", Context::SpanEvent), "t");
    assert_eq!(answers("root.name == \"root\"", Context::SpanEvent), "t");
}

#[test]
fn what_is_missing_is_nil() {
    use super::Fields;
    let texts = [
        "name == nil",
        "IsRootSpan() == false",
        "root.name == nil",
        r#"root.attributes["a"]["b"] == nil"#,
        "trace.span_count == nil",
        r#"resource.attributes["a"] == nil"#,
        "scope.name == nil",
    ];
    for text in texts {
        let condition = compile(text, Context::Span).unwrap();
        assert_eq!(condition.leaves()[0].evaluate(&Fields::default()), Ok(true), "{text}");
    }
}
