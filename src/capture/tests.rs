use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use prost::Message;

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
    let cases: [(&str, Vec<u8>, &[_]); 14] = [
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
    let huge = [&whole[..second], b"\xff\xff\xff\xff", b"x"].concat();
    let what = "a message of 4294967295 bytes; expected no more than 256 MiB";
    assert_eq!(read(huge), [a.clone(), ends(what)]);
    let broken = framed(&[zstd(protobuf(&["x"]))[..12].to_vec(), protobuf(&["a"])]);
    let found = read(broken);
    assert!(found[0].as_ref().unwrap_err().starts_with("spans:byte 0: not valid zstd"));
    assert_eq!(found[1..], [a]);
}

#[test]
fn what_is_no_capture_is_refused() {
    let cases = [
        ("[{}]".as_bytes().to_vec(), "it is a JSON list (`jq -c '.[]'` makes lines of it)"),
        (b"hello\nworld".to_vec(), "it begins with `hello`"),
        (b"\x1f\x8b\x08".to_vec(), "it begins with the bytes 1f 8b 08"),
        (zstd(zstd("{}")), "it is compressed twice"),
    ];
    for (bytes, found) in cases {
        let error = capture(bytes).err().unwrap().to_string();
        assert!(error.starts_with(&format!("spans: {found}; expected OTLP JSON")), "{error}");
    }
    let error = Capture::open(Path::new("/nowhere/spans")).err().unwrap().to_string();
    assert!(error.starts_with("/nowhere/spans: cannot be read: "), "{error}");
}
