use std::io::Write as _;

use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
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
        (b"\r\n [", Encoding::ZipkinJson),
        (br#"{"resourceLogs":[]}"#, Encoding::OtlpLogs),
        (br#"{"resource_metrics":[]}"#, Encoding::OtlpMetrics),
        (br#"{"level":"info"}"#, Encoding::OtherJson),
        (b"\0\0\0\0\x01\x00\x0a\x00", Encoding::SchemaRegistry),
        (b"Obj\x01\x04", Encoding::Avro),
        (&gzip(b"[]"), Encoding::ZipkinJson),
    ];
    for (value, encoding) in cases {
        assert!(!is_plain(value), "{encoding}");
        let decoded = decoder.decode(value);
        assert_eq!(decoded.encoding, encoding);
        let refused =
            matches!(decoded.protobuf, Err(DecodeError::Unsupported(it)) if it == encoding);
        assert!(refused, "{encoding}");
    }
    assert_eq!(recognise(&field(1, &zipkin)), Some(Encoding::ZipkinProto));
}

#[test]
fn json_that_is_not_otlp_traces_is_refused() {
    let mut decoder = Decoder::default();
    for value in [&b"{"[..], br#"{"resourceSpans":7}"#, br#"{"resourceSpans":[{"scopeSpans":1}]}"#]
    {
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
    assert_eq!(recognise(&request(&log)), Some(Encoding::OtlpLogs));
    assert_eq!(recognise(&request(&gauge)), Some(Encoding::OtlpMetrics));
    assert_eq!(recognise(&request(&sum)), Some(Encoding::OtlpMetrics));
    let span = [field(1, &[1; 15]), field(2, &[1; 8]), field(5, b"poisoned"), fixed(7)].concat();
    assert_eq!(recognise(&request(&span)), None);
    assert_eq!(recognise(&otlp()), None);
}

#[test]
fn what_is_nothing_known_is_left_to_the_scan() {
    let mut decoder = Decoder::default();
    for value in [&b""[..], b"\xff\xff", &[0; 64], b"plain text"] {
        let decoded = decoder.decode(value);
        assert_eq!(decoded.encoding, Encoding::OtlpProto);
        assert_eq!(decoded.protobuf.unwrap(), value);
        assert_eq!(recognise(value), None);
    }
}
