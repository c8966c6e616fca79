//! What a record's value comes to, if it is decoded and split by trace: what members read, or nothing at
//! all.

use std::borrow::Cow;

use thiserror::Error;

use super::encoding::{self, DecodeError, Decoded, Decoder, Encoding};
use super::{AttributeKeys, Scan, ScanError, SplitRecord, Splitter, scan};

/// Why a value cannot be split.
#[derive(Debug, Error)]
pub(crate) enum Unreadable {
    /// It does not come to OTLP protobuf.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It is not in order.
    #[error("it is not OTLP protobuf: {0}")]
    Scan(#[from] ScanError),
}

/// Splits `value`; with it the OTLP protobuf that was split, which is `value` itself unless that
/// was JSON or compressed.
pub(crate) fn split<'v>(
    decoder: &'v mut Decoder,
    splitter: &mut Splitter,
    value: &'v [u8],
) -> Result<(Cow<'v, [u8]>, SplitRecord), Unreadable> {
    let Decoded { encoding, protobuf, .. } = decoder.decode(value);
    let protobuf = protobuf?;
    let split = splitter.split(protobuf);
    // What comes to nothing may be something else; JSON that was read is what it is.
    let is_doubtful = matches!(split, Err(_) | Ok(SplitRecord::Without));
    if is_doubtful
        && encoding == Encoding::OtlpProto
        && let Some((_, again)) = encoding::look_again(protobuf)
    {
        let protobuf = again?;
        let split = splitter.split(&protobuf)?;
        return Ok((Cow::Owned(protobuf), split));
    }
    Ok((Cow::Borrowed(protobuf), split?))
}

/// The OTLP protobuf of `value`, with what a scan finds in it.
pub(crate) fn read<'v>(
    decoder: &'v mut Decoder,
    keys: &AttributeKeys,
    found: &mut Scan,
    value: &'v [u8],
) -> Result<Cow<'v, [u8]>, Unreadable> {
    let Decoded { encoding, protobuf, .. } = decoder.decode(value);
    let protobuf = protobuf?;
    let scanned = scan(protobuf, keys, found);
    let is_doubtful = scanned.is_err() || found.spans.is_empty();
    if is_doubtful
        && encoding == Encoding::OtlpProto
        && let Some((_, again)) = encoding::look_again(protobuf)
    {
        let protobuf = again?;
        scan(&protobuf, keys, found)?;
        return Ok(Cow::Owned(protobuf));
    }
    scanned?;
    Ok(Cow::Borrowed(protobuf))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::write::GzEncoder;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
    use prost::Message as _;

    use super::*;
    use crate::ids::TraceId;

    /// A span of each of these traces.
    fn record(traces: &[u8]) -> Vec<u8> {
        let span =
            |id: &u8| Span { trace_id: vec![*id; 16], span_id: vec![*id; 8], ..Span::default() };
        let scope =
            ScopeSpans { spans: traces.iter().map(span).collect(), ..ScopeSpans::default() };
        let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
        TracesData { resource_spans: vec![resource] }.encode_to_vec()
    }

    fn gzip(value: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(value).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_members_read_is_split_whatever_it_is_written_in() {
        let json = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[
            {"traceId":"01010101010101010101010101010101","spanId":"0101010101010101"}]}]}]}"#;
        let plain = record(&[1]);
        let zstd = ::zstd::stream::encode_all(plain.as_slice(), 1).unwrap();
        let (mut decoder, mut splitter) = (Decoder::default(), Splitter::new(1 << 20));
        let behind_line_feed = [b"\n", &json[..]].concat();
        let values = [&plain, &gzip(&plain), &zstd, &json.to_vec(), &gzip(json), &behind_line_feed];
        for value in values {
            let (protobuf, split) = split(&mut decoder, &mut splitter, value).unwrap();
            assert_eq!(*protobuf, *plain, "{value:02x?}");
            assert_eq!(split, SplitRecord::Whole(TraceId::from_slice(&[1; 16]).unwrap()));
        }
        let (_, split) = split(&mut decoder, &mut splitter, &gzip(&record(&[1, 2]))).unwrap();
        assert!(matches!(split, SplitRecord::Parts(parts) if parts.len() == 2));
    }

    #[test]
    fn what_they_do_not_read_is_named() {
        let mut decoder = Decoder::default();
        let mut splitter = Splitter::new(1 << 20);
        let mut text =
            |value: &[u8]| split(&mut decoder, &mut splitter, value).unwrap_err().to_string();
        assert!(text(b"[{\"traceId\":\"1\"}]").contains("zipkin_json"));
        assert!(text(&gzip(&record(&[1]))[..20]).contains("gzip"));
        assert!(text(b"\xff\xff").contains("not OTLP protobuf"));
    }
}
