use std::io::Write as _;

use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use proptest::prelude::*;
use prost::Message;

use super::*;

fn otlp() -> Vec<u8> {
    let span = Span { trace_id: vec![1; 16], span_id: vec![1; 8], ..Span::default() };
    let scope = ScopeSpans { spans: vec![span], ..ScopeSpans::default() };
    let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
    TracesData { resource_spans: vec![resource] }.encode_to_vec()
}

const JSON: &[u8] = br#" {"resourceSpans":[{"scopeSpans":[{"spans":[
    {"traceId":"01010101010101010101010101010101","spanId":"0101010101010101"}]}]}]}"#;

fn gzip(value: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(value).unwrap();
    encoder.finish().unwrap()
}

fn zstd(value: &[u8]) -> Vec<u8> {
    ::zstd::stream::encode_all(value, 1).unwrap()
}

/// A length-delimited field.
fn field(number: u8, contents: &[u8]) -> Vec<u8> {
    let length = u8::try_from(contents.len()).unwrap();
    assert!(length < 128, "a length of one byte");
    [&[number << 3 | 2, length], contents].concat()
}

/// What a second look says that a value is.
fn again(value: &[u8]) -> Option<Encoding> {
    look_again(value).map(|(encoding, _)| encoding)
}

#[test]
fn protobuf_is_handed_back_as_it_is() {
    let value = otlp();
    assert!(is_plain(&value));
    let mut decoder = Decoder::default();
    let decoded = decoder.decode(&value);
    assert_eq!((decoded.encoding, decoded.compression), (Encoding::OtlpProto, None));
    assert_eq!(decoded.protobuf.unwrap().as_ptr(), value.as_ptr());
}

#[test]
fn a_length_that_reads_as_a_brace_is_still_protobuf() {
    let value = field(1, &field(2, &[0; 121])[..123]);
    assert_eq!(value[..2], *b"\n{");
    assert!(is_plain(&value));
    let (mut decoder, packed) = (Decoder::default(), zstd(&value));
    assert_eq!(decoder.decode(&packed).encoding, Encoding::OtlpProto);
}

#[test]
fn what_is_understood_becomes_protobuf() {
    let expected = otlp();
    let cases = [
        (gzip(&expected), Encoding::OtlpProto, Some(Compression::Gzip)),
        (zstd(&expected), Encoding::OtlpProto, Some(Compression::Zstd)),
        (JSON.to_vec(), Encoding::OtlpJson, None),
        (gzip(JSON), Encoding::OtlpJson, Some(Compression::Gzip)),
        (zstd(JSON), Encoding::OtlpJson, Some(Compression::Zstd)),
    ];
    // One decoder for all: what a value leaves behind must not show in the next one.
    let mut decoder = Decoder::default();
    for (value, encoding, compression) in cases {
        assert!(!is_plain(&value));
        let decoded = decoder.decode(&value);
        assert_eq!((decoded.encoding, decoded.compression), (encoding, compression));
        assert_eq!(decoded.protobuf.unwrap(), expected, "{encoding} {compression:?}");
    }
}

#[test]
fn several_members_and_frames_are_one_value() {
    let value = otlp();
    let (first, second) = value.split_at(5);
    let mut decoder = Decoder::default();
    for packed in [[gzip(first), gzip(second)].concat(), [zstd(first), zstd(second)].concat()] {
        assert_eq!(decoder.decode(&packed).protobuf.unwrap(), value);
    }
}

#[test]
fn json_is_bounded_by_itself_since_it_takes_more_memory() {
    let mut decoder = Decoder::default();
    let mut json = br#"{"resourceSpans":[]}"#.to_vec();
    json.resize(MAX_JSON_BYTES, b' ');
    assert!(decoder.decode(&json).protobuf.is_ok());
    json.push(b' ');
    for value in [json.clone(), zstd(&json)] {
        assert!(matches!(decoder.decode(&value).protobuf, Err(DecodeError::TooLarge)));
    }
}

#[test]
fn bombs_and_damaged_values_are_refused() {
    let mut decoder = Decoder::default();
    let most = vec![0; MAX_UNPACKED_BYTES];
    let more = vec![0; MAX_UNPACKED_BYTES + 1];
    for pack in [gzip, zstd] {
        assert!(decoder.decode(&pack(&most)).protobuf.is_ok());
        let bomb = pack(&more);
        assert!(matches!(decoder.decode(&bomb).protobuf, Err(DecodeError::TooLarge)));
        assert!(decoder.unpacked.capacity() < 3 * MAX_UNPACKED_BYTES);
        let packed = pack(&otlp());
        for end in 5..packed.len() {
            let decoded = decoder.decode(&packed[..end]);
            let is_refused = matches!(decoded.protobuf, Err(DecodeError::Compressed { .. }));
            assert!(is_refused, "{end} bytes of {}", packed.len());
        }
    }
}

#[test]
fn others_are_known_by_name() {
    let jaeger = [field(1, &[7; 16]), field(2, &[7; 8]), field(3, b"operation")].concat();
    let zipkin = [field(1, &[7; 16]), field(3, &[7; 8]), field(5, b"name")].concat();
    let mut decoder = Decoder::default();
    let cases: [(&[u8], Encoding); 10] = [
        (&jaeger, Encoding::JaegerProto),
        (br#"{"traceId":"AQ==","operationName":"get"}"#, Encoding::JaegerJson),
        (br#"[{"traceId":"1","id":"1"}]"#, Encoding::ZipkinJson),
        (b"\r\n [{}]", Encoding::OtherJson),
        (br#"{"resourceLogs":[]}"#, Encoding::OtlpLogs),
        (br#"{"resource_metrics":[]}"#, Encoding::OtlpMetrics),
        (br#"{"level":"info"}"#, Encoding::OtherJson),
        (b"\0\0\0\0\x01\x00\x0a\x00", Encoding::SchemaRegistry),
        (b"Obj\x01\x04", Encoding::Avro),
        (&gzip(br#"[{"traceId":"1","id":"1"}]"#), Encoding::ZipkinJson),
    ];
    for (value, encoding) in cases {
        assert!(!is_plain(value), "{encoding}");
        let decoded = decoder.decode(value);
        assert_eq!(decoded.encoding, encoding);
        let refused =
            matches!(decoded.protobuf, Err(DecodeError::Unsupported(it)) if it == encoding);
        assert!(refused, "{encoding}");
    }
    assert_eq!(again(&field(1, &zipkin)), Some(Encoding::ZipkinProto));
}

#[test]
fn json_that_is_not_otlp_traces_is_refused() {
    let mut decoder = Decoder::default();
    let values = [
        &b"{"[..],
        b"\r\n [",
        br#"{"resourceSpans":7}"#,
        br#"{"resourceSpans":[{"scopeSpans":1}]}"#,
    ];
    for value in values {
        let decoded = decoder.decode(value);
        assert_eq!(decoded.encoding, Encoding::OtlpJson);
        assert!(matches!(decoded.protobuf, Err(DecodeError::Json(_))));
    }
    assert_eq!(decoder.decode(b"{}").protobuf.unwrap(), b"");
}

#[test]
fn logs_and_metrics_are_told_from_spans() {
    let fixed = |number: u8| [&[number << 3 | 1][..], &[1; 8]].concat();
    let request = |item: &[u8]| field(1, &field(2, &field(2, item)));
    let log = [fixed(1), field(5, b"body")].concat();
    let point = [fixed(3), fixed(4)].concat();
    let gauge = [field(1, b"a_name_of_16_byt"), field(5, &field(1, &point))].concat();
    let sum = [field(1, b"name"), field(2, b"for what"), field(7, &field(1, &point))].concat();
    assert_eq!(again(&request(&log)), Some(Encoding::OtlpLogs));
    assert_eq!(again(&request(&gauge)), Some(Encoding::OtlpMetrics));
    assert_eq!(again(&request(&sum)), Some(Encoding::OtlpMetrics));
    let span = [field(1, &[1; 15]), field(2, &[1; 8]), field(5, b"poisoned"), fixed(7)].concat();
    assert_eq!(again(&request(&span)), None);
    assert_eq!(again(&otlp()), None);
}

#[test]
fn what_is_nothing_known_is_left_to_the_scan() {
    let mut decoder = Decoder::default();
    for value in [&b""[..], b"\xff\xff", &[0; 64], b"plain text"] {
        let decoded = decoder.decode(value);
        assert_eq!(decoded.encoding, Encoding::OtlpProto);
        assert_eq!(decoded.protobuf.unwrap(), value);
        assert_eq!(again(value), None);
    }
}

/// A span with a name and times, as everybody sends it.
fn named_span() -> Span {
    Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: "GET /".into(),
        start_time_unix_nano: 1,
        end_time_unix_nano: 2,
        ..Span::default()
    }
}

fn named_traces() -> TracesData {
    let scope = ScopeSpans { spans: vec![named_span()], ..ScopeSpans::default() };
    let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
    TracesData { resource_spans: vec![resource] }
}

fn hex(value: &[u8]) -> String {
    value.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn base64(value: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(value)
}

#[test]
fn otlp_in_a_frame_in_text_or_in_part_is_told_by_name() {
    let traces = named_traces().encode_to_vec();
    let length = u32::try_from(traces.len()).unwrap().to_be_bytes();
    let grpc = [&[0][..], &length, &traces].concat();
    let behind_four = [&length[..], &traces].concat();
    let behind_varint = named_traces().encode_length_delimited_to_vec();
    let twice = [&behind_four[..], &behind_four].concat();
    let registry = [&b"\0\0\0\x01\x07\0"[..], &traces].concat();
    let text = String::from_utf8_lossy(&[&traces[..], &field(1, &[0xfe; 9])].concat()).into_owned();
    let quoted = serde_json::to_string(std::str::from_utf8(JSON).unwrap().trim()).unwrap();
    let otap = field(2, &field(3, b"\xff\xff\xff\xff\x10\0\0\0"));
    let otap_with_id = [&[8, 1][..], &otap].concat();
    let cases = [
        (grpc, Encoding::GrpcFramed),
        (behind_four, Encoding::LengthDelimited),
        (behind_varint, Encoding::LengthDelimited),
        (twice, Encoding::LengthDelimited),
        (registry, Encoding::SchemaRegistry),
        (named_span().encode_to_vec(), Encoding::OtlpSpan),
        (named_traces().resource_spans[0].encode_to_vec(), Encoding::OtlpResourceSpans),
        (base64(&traces).into_bytes(), Encoding::Base64),
        (base64(&gzip(&traces)).into_bytes(), Encoding::Base64),
        (hex(&traces).into_bytes(), Encoding::Hex),
        (quoted.into_bytes(), Encoding::JsonInText),
        (text.into_bytes(), Encoding::MangledText),
        (otap, Encoding::Otap),
        (otap_with_id, Encoding::Otap),
    ];
    let mut decoder = Decoder::default();
    for (value, expected) in cases {
        for value in [value.clone(), zstd(&value)] {
            let found = match decoder.decode(&value).protobuf {
                Err(DecodeError::Unsupported(found)) => Some(found),
                Ok(protobuf) => again(protobuf),
                Err(other) => panic!("{expected}: {other}"),
            };
            assert_eq!(found, Some(expected), "{}", value.escape_ascii());
        }
    }
    assert_eq!(again(&traces), None);
    let error = DecodeError::Unsupported(Encoding::GrpcFramed).to_string();
    assert!(error.starts_with("it is grpc_framed, a message behind the 5 bytes"), "{error}");
}

#[test]
fn json_behind_a_line_feed_is_read_and_old_names_are_told() {
    let (encoding, read) = look_again(&[b"\n", JSON].concat()).unwrap();
    assert_eq!((encoding, read.unwrap()), (Encoding::OtlpJson, otlp()));
    let mut decoder = Decoder::default();
    let old = br#"{"resourceSpans":[{"instrumentationLibrarySpans":[{"spans":[{}]}]}]}"#;
    let error = decoder.decode(old).protobuf.unwrap_err();
    assert!(matches!(error, DecodeError::NotUnderstood(_)));
    assert!(error.to_string().contains("`instrumentationLibrarySpans`, as OTLP"), "{error}");
    let list = br#"[{"scopeSpans":[{"spans":[
        {"traceId":"01010101010101010101010101010101","spanId":"0101010101010101"}]}]}]"#;
    assert_eq!(decoder.decode(list).protobuf.unwrap(), otlp());
}

proptest! {
    #[test]
    fn noise_has_no_name(value in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut decoder = Decoder::default();
        let named = match decoder.decode(&value).protobuf {
            Err(DecodeError::Unsupported(named)) => Some(named),
            Ok(protobuf) => again(protobuf),
            Err(_) => None,
        };
        // A byte 0 before a small number is what a schema registry writes, whatever follows.
        let is_registry = value.starts_with(&[0, 0]);
        prop_assert!(named.is_none() || is_registry, "{:?}", named);
    }
}
