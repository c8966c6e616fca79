//! What `decide` takes for a capture, through the command: how people come by spans.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::notation::{capture, file, p};
use crate::rig::tailsieve;

/// What the command says of one capture: its summary, what it complained of, its exit code.
fn decide(capture: &[u8]) -> (Value, String, i32) {
    let policies = file(&[p("status_code", "status_codes: [ERROR]")]);
    let files = [("p.yaml", policies.as_bytes()), ("spans", capture)];
    let args = ["decide", "--policies", "p.yaml", "--output", "json", "spans"];
    let answer = tailsieve(&args, &files, b"");
    let summary = answer.out.lines().last().map(|line| serde_json::from_str(line).unwrap());
    (summary.unwrap_or_else(|| json!({})), answer.err, answer.code)
}

/// Asserts that a capture holds one trace of one span that is kept.
fn assert_one(what: &str, capture: &[u8]) {
    let (summary, err, code) = decide(capture);
    let kept = &summary["summary"]["kept"];
    assert_eq!((code, &kept["traces"], &kept["spans"]), (0, &json!(1), &json!(1)), "{what}: {err}");
}

fn span(name: &str) -> String {
    format!(
        r#"{{"traceId":"0af7651916cd43dd8448eb211c803101","spanId":"00f067aa0ba90201",
            "name":"{name}","kind":2,"startTimeUnixNano":"1700000000000000000",
            "endTimeUnixNano":"1700000000100000000","status":{{"code":2}}}}"#
    )
    .replace('\n', "")
}

/// A `ResourceSpans`, its spans under this name.
fn resource_spans(scopes: &str) -> String {
    format!(r#"{{"resource":{{}},"{scopes}":[{{"spans":[{}]}}]}}"#, span("a"))
}

fn whole() -> String {
    format!(r#"{{"resourceSpans":[{}]}}"#, resource_spans("scopeSpans"))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Values behind their lengths, as `kcat -f '%R%s'` writes them.
fn dumped(values: &[&[u8]]) -> Vec<u8> {
    let one = |value: &&[u8]| [&(value.len() as u32).to_be_bytes()[..], value].concat();
    values.iter().flat_map(one).collect()
}

#[test]
fn answers_dumps_and_compressed_files_are_read() {
    let (resource, whole) = (resource_spans("scopeSpans"), whole());
    let protobuf = tailsieve::testing::otlp::json::to_protobuf(whole.as_bytes()).unwrap();
    let base64 = whole
        .replace("0af7651916cd43dd8448eb211c803101", "CvdlGRbNQ92ESOshHIAxAQ==")
        .replace("00f067aa0ba90201", "APBnqgupAgE=")
        .replace("\"kind\":2", "\"kind\":\"SPAN_KIND_SERVER\"")
        .replace("\"code\":2", "\"code\":\"STATUS_CODE_ERROR\"");
    let jaeger = r#"{"data":[{"traceID":"1","spans":[{"traceID":"1","spanID":"2",
        "operationName":"a","startTime":1,"duration":2,"processID":"p1",
        "tags":[{"key":"error","type":"bool","value":true}]}],"processes":{"p1":{}}}]}"#;
    let cases: [(&str, Vec<u8>); 11] = [
        ("gzip", gzip(whole.as_bytes())),
        ("zstd", zstd::encode_all(whole.as_bytes(), 1).unwrap()),
        ("a ResourceSpans a line", format!("{resource}\n").into_bytes()),
        ("a list", format!("[{resource}]").into_bytes()),
        ("Tempo", format!("{{\"batches\":[{resource}]}}").into_bytes()),
        ("Tempo, v2, ids in base64", format!("{{\"trace\":{base64}}}").into_bytes()),
        ("Jaeger", jaeger.as_bytes().to_vec()),
        ("Jaeger, v3", format!("{{\"result\":{whole}}}").into_bytes()),
        ("a dump of a topic", dumped(&[&protobuf])),
        ("one of JSON in gzip", dumped(&[&gzip(whole.as_bytes())])),
        ("a line feed first", format!("\n{whole}").into_bytes()),
    ];
    for (what, capture) in cases {
        assert_one(what, &capture);
    }
}

#[test]
fn a_line_that_is_cut_or_no_record_costs_itself_and_is_told() {
    let whole = whole();
    for first in [&whole[70..], "Starting exporter {v1}", "2026-01-01 12:00 info"] {
        let (summary, err, code) = decide(format!("{first}\n{whole}\n").as_bytes());
        let summary = &summary["summary"];
        assert_eq!((code, &summary["malformedRecords"]), (0, &json!(1)), "{first}: {err}");
        assert_eq!(summary["kept"]["traces"], 1, "{first}");
        assert!(err.contains("warning: spans:1:"), "{err}");
    }
    // What a log puts in front of a record costs nothing.
    assert_one("kubectl logs", format!("2026-01-01T00:00:00Z stdout F {whole}\n").as_bytes());
    assert_one("docker compose", format!("collector-1  | {whole}\n").as_bytes());
}

#[test]
fn compressed_captures_that_break_off_still_have_a_summary() {
    let notation: Vec<String> =
        (0..4000).map(|number| format!("{number}..{} !", number + 7)).collect();
    let (lines, _) = capture(&notation.join(" | "));
    let packed = [gzip(lines.as_bytes()), zstd::encode_all(lines.as_bytes(), 1).unwrap()];
    for packed in packed {
        let (summary, err, code) = decide(&packed[..packed.len() * 9 / 10]);
        let traces = summary["summary"]["traces"].as_u64().unwrap_or_else(|| panic!("{err}"));
        assert!(code == 0 && (100..4000).contains(&traces), "{traces}: {err}");
        assert!(err.contains("break off or are damaged"), "{err}");
    }
}

#[test]
fn old_names_and_unknown_content_are_told_and_no_spans_end_with_1() {
    let old = format!("{{\"resourceSpans\":[{}]}}", resource_spans("instrumentationLibrarySpans"));
    let cases: [(&[u8], &str); 5] = [
        (old.as_bytes(), "`instrumentationLibrarySpans`, as OTLP called scopeSpans until 2022"),
        // In protobuf its number was 1000.
        (b"\x0a\x05\xc2\x3e\x02\x12\x00", "field 1000 of ResourceSpans, instrumentation_library"),
        (b"{\"resourceSpans\":[]}", "(1 record without any)"),
        (b"{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{}]}]}]}", "no valid ids"),
        (b"\x00\x00\x00\x00", "(1 record without any)"),
    ];
    for (capture, expected) in cases {
        let (_, err, code) = decide(capture);
        assert_eq!(code, 1, "{err}");
        assert!(err.contains("there are no spans in spans") && err.contains(expected), "{err}");
    }
    // Beside what is understood they cost themselves.
    let (summary, err, code) = decide(format!("{old}\n{}\n", whole()).as_bytes());
    assert_eq!((code, &summary["summary"]["malformedRecords"]), (0, &json!(1)), "{err}");
    assert!(err.contains("warning: spans:1: no span in it is understood"), "{err}");
}

/// A capture of one span with these names and attributes, in which `xxx` is no UTF-8.
fn spoiled(name: &str, attributes: &str) -> Vec<u8> {
    let json = whole()
        .replace(r#""name":"a""#, &format!(r#""name":"{name}""#))
        .replace(r#""kind":2"#, &format!(r#""attributes":[{attributes}]"#));
    let mut protobuf = tailsieve::testing::otlp::json::to_protobuf(json.as_bytes()).unwrap();
    while let Some(at) = protobuf.windows(3).position(|it| it == b"xxx") {
        protobuf[at..at + 3].copy_from_slice(b"\xe2\x28\xa1");
    }
    protobuf
}

#[test]
fn policies_have_answers_about_text_that_is_no_utf8() {
    let attributes = r#"{"key":"k","value":{"stringValue":"xxx-v"}},
        {"key":"l","value":{"arrayValue":{"values":[{"stringValue":"xxx-l"},{"intValue":"7"}]}}},
        {"key":"m","value":{"kvlistValue":{"values":[{"key":"xxx","value":{"stringValue":"q"}},
            {"key":"n","value":{"stringValue":"w"}}]}}}"#;
    let capture = spoiled("xxx-name", &attributes.replace('\n', ""));
    let cases = [
        // Bytes are compared; a byte that is no UTF-8 is one character to an expression.
        (r#"name == "\uFFFD(\uFFFD-name""#, false),
        (r#"name != "x""#, true),
        (r#"IsMatch(name, "^.[(].-name$")"#, true),
        (r#"IsMatch(attributes["k"], "-v$")"#, true),
        (r#"Len(attributes["k"]) == 5"#, true),
        (r#"Len(Substring(name, 1, 2)) == 2"#, true),
        (r#"Concat([name, attributes["k"]], "/") != """#, true),
        (r#"ToUpperCase(name) != "" or true"#, true),
        // Inside of lists and maps they are replaced; what is beside them is as it was.
        (r#"attributes["l"][1] == 7"#, true),
        (r#"IsMatch(attributes["l"][0], "-l$")"#, true),
        (r#"attributes["m"]["n"] == "w""#, true),
        (r#"attributes["m"]["xxx"] == nil"#, true),
    ];
    for (condition, expected) in cases {
        let policy = format!(
            "decision_wait: 1s\npolicies:\n  - name: p\n    type: ottl_condition\n    \
             ottl_condition: {{span: ['{condition}']}}\n"
        );
        let files = [("p.yaml", policy.as_bytes()), ("spans", &capture[..])];
        let args = ["decide", "--policies", "p.yaml", "--output", "json", "spans"];
        let answer = tailsieve(&args, &files, b"");
        assert_eq!(answer.code, 0, "{condition}: {}", answer.err);
        let line: Value = serde_json::from_str(answer.out.lines().next().unwrap()).unwrap();
        let vote = if expected { "keep" } else { "none" };
        assert_eq!(line["votes"][0]["vote"], vote, "{condition}: {line}");
    }
}

#[test]
fn values_out_of_range_and_text_that_is_no_utf8_cost_no_span() {
    let with =
        |attribute: &str| whole().replace(r#""kind":2"#, &format!(r#""attributes":[{attribute}]"#));
    for attribute in [
        r#"{"key":"n","value":{"intValue":1e300}}"#,
        r#"{"key":"n","value":{"intValue":9223372036854775808}}"#,
        r#"{"key":"n","value":{"doubleValue":NaN}}"#,
        r#"{"key":"n","value":{"doubleValue":1e999}}"#,
        r#"{"key":"n","value":{"doubleValue":"inf"}}"#,
        r#"{"key":"n","value":{"stringValue":"\ud800"}}"#,
        r#"{"key":"n","value":{"boolValue":"true"}}"#,
        r#"{"key":"n","value":null}"#,
    ] {
        assert_one(attribute, with(attribute).as_bytes());
    }
    let json = [whole().replace("\"a\"", "\"").as_bytes(), b""].concat();
    let at = json.windows(8).position(|it| it == b"\"name\":\"").unwrap() + 8;
    let json = [&json[..at], b"\xe2\x28\xa1\"", &json[at..]].concat();
    assert_one("JSON", &json);
    let mut protobuf =
        tailsieve::testing::otlp::json::to_protobuf(whole().replace("\"a\"", "\"xxx\"").as_bytes())
            .unwrap();
    let at = protobuf.windows(3).position(|it| it == b"xxx").unwrap();
    protobuf[at..at + 3].copy_from_slice(b"\xe2\x28\xa1");
    assert_one("protobuf", &protobuf);
}
