use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use prost::Message;
use std::io::Write as _;

use super::*;

fn capture(bytes: impl Into<Vec<u8>>) -> Result<Capture, CaptureError> {
    Capture::new("spans".to_owned(), Box::new(io::Cursor::new(bytes.into())))
}

/// The time of a record and the names of its spans, or the error.
type Read = Result<(Option<i64>, Vec<String>), String>;

fn read(bytes: impl Into<Vec<u8>>) -> Vec<Read> {
    let names = |payload: &[u8]| -> Vec<String> {
        let data = TracesData::decode(payload).unwrap();
        let scopes = data.resource_spans.into_iter().flat_map(|it| it.scope_spans);
        scopes.flat_map(|it| it.spans).map(|span| span.name).collect()
    };
    let capture = match capture(bytes) {
        Ok(capture) => capture,
        Err(error) => return vec![Err(error.to_string())],
    };
    let records = capture.map(|record| match record {
        Ok(it) => Ok((it.timestamp.map(|time| time.0), names(&it.payload))),
        Err(error) => Err(error.to_string()),
    });
    records.collect()
}

fn record(time: Option<i64>, names: &[&str]) -> Read {
    Ok((time, names.iter().map(|name| (*name).to_owned()).collect()))
}

fn json(name: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"name":"{name}"}}]}}]}}]}}"#)
}

fn protobuf(names: &[&str]) -> Vec<u8> {
    let span = |name: &&str| Span { name: (*name).to_owned(), ..Span::default() };
    let spans = names.iter().map(span).collect();
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    TracesData { resource_spans }.encode_to_vec()
}

fn framed(messages: &[Vec<u8>]) -> Vec<u8> {
    let frame = |it: &Vec<u8>| [&(it.len() as u32).to_be_bytes()[..], it].concat();
    messages.iter().flat_map(frame).collect()
}

fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes.as_ref()).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    zstd::encode_all(bytes.as_ref(), 1).unwrap()
}

#[test]
fn formats_are_told_apart_by_content() {
    let (a, b) = (record(None, &["a"]), record(None, &["b"]));
    let both = [a.clone(), b.clone()];
    let lines = format!("{}\n\n{}\n", json("a"), json("b"));
    let pretty = |text: String| {
        let value: Value = serde_json::from_str(&text).unwrap();
        serde_json::to_string_pretty(&value).unwrap()
    };
    let messages = [protobuf(&["a"]), protobuf(&["b"])];
    let packed = [zstd(&messages[0]), zstd(&messages[1])];
    let documents = [json("a").into_bytes(), json("b").into_bytes()];
    let packed_documents = [zstd(&documents[0]), zstd(&documents[1])];
    let cases: [(&str, Vec<u8>, &[_]); 19] = [
        ("nothing", Vec::new(), &[]),
        ("a blank", b"\n ".to_vec(), &[]),
        ("JSON lines", lines.clone().into_bytes(), &both),
        ("lines of Windows", lines.replace('\n', "\r\n").into_bytes(), &both),
        ("a mark in front", format!("\u{feff}{lines}").into_bytes(), &both),
        ("one pretty document", pretty(json("a")).into_bytes(), &both[..1]),
        ("two", format!("{}{}", pretty(json("a")), pretty(json("b"))).into_bytes(), &both),
        ("protobuf", protobuf(&["a", "b"]), &[record(None, &["a", "b"])]),
        ("messages", framed(&messages), &both),
        ("packed messages", framed(&packed), &both),
        ("messages of JSON", framed(&documents), &both),
        ("packed messages of JSON", framed(&packed_documents), &both),
        ("packed lines", zstd(&lines), &both),
        ("a packed stream of messages", zstd(framed(&messages)), &both),
        ("gzip", gzip(&lines), &both),
        ("two members of gzip", [gzip(json("a")), gzip(json("b"))].concat(), &both),
        ("messages in gzip", framed(&[gzip(&messages[0]), gzip(&documents[1])]), &both),
        ("a list", format!("[{}]", json("a")).into_bytes(), &both[..1]),
        ("logged lines", format!("c1  | {}\nc1  | {}\n", json("a"), json("b")).into_bytes(), &both),
    ];
    for (what, bytes, expected) in cases {
        assert_eq!(read(bytes), expected, "{what}");
    }
    // An empty message is one of no spans.
    assert_eq!(read(framed(&[Vec::new()])), [record(None, &[])]);
}

#[test]
fn a_record_may_tell_its_time() {
    let with = |time: &str| json("a").replacen('{', &format!("{{{time},"), 1);
    let cases = [
        (r#""recordTimestampMs":1700000000123"#, Some(1_700_000_000_123)),
        (r#""recordTimestampMs":"-7""#, Some(-7)),
        (r#""record_timestamp_ms":0"#, Some(0)),
        (r#""recordTimestampMs":null"#, None),
        (r#""other":1"#, None),
    ];
    for (time, expected) in cases {
        assert_eq!(read(with(time)), [record(expected, &["a"])], "{time}");
    }
    // A record without spans has a time all the same.
    assert_eq!(read(r#"{"recordTimestampMs":5}"#), [record(Some(5), &[])]);
}

#[test]
fn what_is_broken_is_named_and_passed_over() {
    let (good, bad) = (json("a"), r#"{"resourceSpans":[{"scopeSpans":"#);
    let a = record(None, &["a"]);
    let error = |text: &str| Err(text.to_owned());
    let cases = [
        (
            format!("{good}\n{bad}\n{good}\n"),
            vec![
                a.clone(),
                error("spans:3:0: not valid JSON: EOF while parsing a value"),
                a.clone(),
            ],
        ),
        (
            format!("{good}\nx\n{good}\n"),
            vec![a.clone(), error("spans:2:1: not valid JSON: expected value"), a.clone()],
        ),
        (
            "{\"resourceLogs\":[]}\n".to_owned(),
            vec![error(
                "spans:1: expected `{\"resourceSpans\": [...]}`, found `resourceLogs` without \
                 it: only traces are read",
            )],
        ),
        (
            "\n{\"recordTimestampMs\":\"soon\",\"resourceSpans\":[]}".to_owned(),
            vec![error("spans:2: recordTimestampMs: expected whole milliseconds")],
        ),
        (
            "{\"resourceSpans\":[{\"scopeSpans\":7}]}".to_owned(),
            vec![error("spans:1: resourceSpans[0].scopeSpans: expected a list, found 7")],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(read(text.clone()), expected, "{text}");
    }
    let whole = framed(&[protobuf(&["a"]), protobuf(&["b"])]);
    let cut = |at: usize| read(&whole[..at]);
    let second = whole.len() / 2;
    let ends = |what: &str| Err(format!("spans:byte {second}: {what}"));
    assert_eq!(cut(second + 2), [a.clone(), ends("ends within the length of a message")]);
    let left = second - 4;
    let what = format!("ends after {} of {left} bytes of a message", left - 1);
    assert_eq!(cut(whole.len() - 1), [a.clone(), ends(&what)]);
    let huge = [&whole[..second], b"\x7f\xff\xff\xff", b"x"].concat();
    let what = "a message of 2147483647 bytes; expected no more than 256 MiB";
    assert_eq!(read(huge), [a.clone(), ends(what)]);
    let broken = framed(&[zstd(protobuf(&["x"]))[..12].to_vec(), protobuf(&["a"])]);
    let found = read(broken);
    let told = found[0].as_ref().unwrap_err();
    assert!(told.starts_with("spans:byte 0: it begins like zstd and cannot be unpacked"), "{told}");
    assert_eq!(found[1..], [a]);
}

#[test]
fn what_is_no_capture_is_refused() {
    let cases = [
        (b"hello\nworld".to_vec(), "it begins with `hello`"),
        (b"\x7fELF".to_vec(), "it begins with the bytes 7f 45 4c 46"),
        (zstd(zstd("{}")), "it is compressed twice"),
        (gzip(zstd("{}")), "it is compressed twice"),
    ];
    for (bytes, found) in cases {
        let error = capture(bytes).err().unwrap().to_string();
        assert!(error.starts_with(&format!("spans: {found}; expected OTLP JSON")), "{error}");
    }
    let error = Capture::open(Path::new("/nowhere/spans")).err().unwrap().to_string();
    assert!(error.starts_with("/nowhere/spans: cannot be read: "), "{error}");
}

#[test]
fn a_broken_line_costs_itself() {
    let a = record(None, &["a"]);
    let error = |text: &str| Err(text.to_owned());
    let (good, long) = (json("a"), "x".repeat(9000));
    for cut in ["lue\":\"1.2.3.4\"}}]}]}", "2026-01-01T00:00:00Z starting {1}", &long] {
        let found = read(format!("{cut}\n{good}\n"));
        let told = found[0].as_ref().unwrap_err();
        assert!(told.starts_with("spans:1:") && told.contains("not valid JSON"), "{told}");
        assert_eq!(found[1..], *std::slice::from_ref(&a), "{cut}");
    }
    // A dump of a topic with a record without a value, first or later.
    let (null, message) = (b"\xff\xff\xff\xff".to_vec(), framed(&[protobuf(&["a"])]));
    let told = |place| error(&format!("spans:byte {place}: a record without a value"));
    assert_eq!(read([&null[..], &message].concat()), [told(0), a.clone()]);
    assert_eq!(read([&message[..], &null, &message].concat()), [a.clone(), told(message.len()), a]);
}

#[test]
fn compressed_data_that_break_off_are_read_as_far_as_they_go() {
    // Of random names, so that there is something behind the first block.
    let name = |number: u64| format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let lines: String = (0..20_000).map(|number| json(&name(number)) + "\n").collect();
    for (packed, compression) in [(gzip(&lines), "gzip"), (zstd(&lines), "zstd")] {
        let found = read(&packed[..packed.len() * 3 / 4]);
        let good = found.iter().filter(|record| record.is_ok()).count();
        assert!(good > 1000, "{compression}: {good} of {}", found.len());
        let last = found.last().unwrap().as_ref().unwrap_err();
        let expected = format!("spans:its end: the {compression} data break off or are damaged");
        assert!(last.starts_with(&expected), "{last}");
    }
}

#[test]
fn answers_of_apis_are_read() {
    let a = [record(None, &["a"])];
    let inner = json("a");
    let resource = &inner["{\"resourceSpans\":[".len()..inner.len() - 2];
    let logged = serde_json::to_string(&format!("{inner}\n")).unwrap();
    let cases = [
        resource.to_owned(),
        format!("{{\"batches\":[{resource}]}}"),
        format!("{{\"trace\":{inner},\"metrics\":{{}}}}"),
        format!("{{\"trace\":{{\"batches\":[{resource}]}}}}"),
        format!("{{\"result\":{inner}}}"),
        format!("{{\"log\":{logged},\"stream\":\"stdout\",\"time\":\"t\"}}"),
        r#"{"data":[{"traceID":"1","spans":[{"traceID":"1","spanID":"2","operationName":"a",
            "startTime":1,"duration":2,"processID":"p1"}],"processes":{"p1":{}}}],"total":0}"#
            .to_owned(),
    ];
    for text in cases {
        assert_eq!(read(text.clone()), a, "{text}");
    }
    let old = r#"{"batches":[{"instrumentationLibrarySpans":[{"spans":[{"name":"a"}]}]}]}"#;
    let told = read(old).remove(0).unwrap_err();
    assert!(told.contains("`instrumentationLibrarySpans`, as OTLP called"), "{told}");
}

#[test]
fn traces_of_jaeger_become_those_that_they_were() {
    let text = r#"{"data":[{"traceID":"af7651916cd43dd8448eb211c803101","spans":[
        {"traceID":"af7651916cd43dd8448eb211c803101","spanID":"f067aa0ba90201","flags":1,
         "operationName":"GET /","startTime":1700000000000000,"duration":2500,
         "references":[
            {"refType":"CHILD_OF","traceID":"af7651916cd43dd8448eb211c803101","spanID":"2"},
            {"refType":"FOLLOWS_FROM","traceID":"3","spanID":"4"}],
         "tags":[
            {"key":"span.kind","type":"string","value":"server"},
            {"key":"error","type":"bool","value":true},
            {"key":"otel.status_description","type":"string","value":"boom"},
            {"key":"otel.scope.name","type":"string","value":"lib"},
            {"key":"w3c.tracestate","type":"string","value":"ot=th:8"},
            {"key":"http.status_code","type":"int64","value":500},
            {"key":"ratio","type":"float64","value":2}],
         "logs":[{"timestamp":1700000000000001,"fields":[
            {"key":"event","type":"string","value":"exception"},
            {"key":"exception.type","type":"string","value":"E"}]}],
         "processID":"p1"}],
        "processes":{"p1":{"serviceName":"shop","tags":[{"key":"host","type":"string","value":"h"}]}}}]}"#;
    let records: Vec<_> = capture(text).unwrap().collect();
    let payload = &records[0].as_ref().unwrap().payload;
    let data = TracesData::decode(payload.as_slice()).unwrap();
    let [resource] = &data.resource_spans[..] else { panic!("one resource") };
    let keys: Vec<_> =
        resource.resource.iter().flat_map(|it| &it.attributes).map(|it| it.key.as_str()).collect();
    assert_eq!(keys, ["host", "service.name"]);
    let [scope] = &resource.scope_spans[..] else { panic!("one scope") };
    assert_eq!(scope.scope.as_ref().unwrap().name, "lib");
    let span = &scope.spans[0];
    assert_eq!(span.trace_id[..2], [0x0a, 0xf7]);
    assert_eq!(span.span_id, [0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 2, 1]);
    assert_eq!(span.parent_span_id, [0, 0, 0, 0, 0, 0, 0, 2]);
    assert_eq!((span.links.len(), span.kind, span.trace_state.as_str()), (1, 2, "ot=th:8"));
    assert_eq!(span.start_time_unix_nano, 1_700_000_000_000_000_000);
    assert_eq!(span.end_time_unix_nano, 1_700_000_000_002_500_000);
    let status = span.status.as_ref().unwrap();
    assert_eq!((status.code, status.message.as_str()), (2, "boom"));
    let keys: Vec<_> = span.attributes.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(keys, ["http.status_code", "ratio"]);
    assert_eq!((span.events[0].name.as_str(), span.events[0].attributes.len()), ("exception", 1));
}
