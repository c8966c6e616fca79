//! What a record's value is, as members would find it.

use std::fmt;

use crate::otlp::encoding::{self, DecodeError, Decoded, Decoder, Encoding};
use crate::otlp::{self, AttributeKeys, Scan};

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contents {
    /// What members read: its encoding, and how it is compressed by itself.
    Read(&'static str, Option<&'static str>),
    /// Another encoding, which they refuse.
    Other(&'static str),
    /// It begins as this compression does, and cannot be unpacked.
    Packed(&'static str),
    /// It unpacks to more than is allowed.
    TooLarge,
    /// JSON that is not in order.
    Json,
    /// No value.
    Null,
    /// OTLP without a span that is understood, but with something else.
    NotUnderstood,
    /// None of these.
    Unknown,
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(encoding, None) => f.write_str(encoding),
            Self::Read(encoding, Some(compression)) => write!(f, "{encoding} in {compression}"),
            Self::Other(encoding) => f.write_str(encoding),
            Self::Packed(compression) => write!(f, "{compression} that cannot be unpacked"),
            Self::TooLarge => write!(f, "more than {} bytes", encoding::MAX_UNPACKED_BYTES),
            Self::Json => f.write_str("JSON that is not OTLP"),
            Self::NotUnderstood => f.write_str("OTLP of which no span is understood"),
            Self::Null => f.write_str("without a value"),
            Self::Unknown => f.write_str("of no format that is known here"),
        }
    }
}

impl Contents {
    /// True if members read it.
    pub fn is_read(self) -> bool {
        matches!(self, Self::Read(..))
    }
}

/// Reads values. Its buffers are used again.
#[derive(Debug, Default)]
pub struct Reader {
    decoder: Decoder,
    keys: AttributeKeys,
    found: Scan,
}

impl Reader {
    /// What `value` is, and its spans if members read it.
    pub fn read(&mut self, value: Option<&[u8]>) -> (Contents, Option<&Scan>) {
        let Some(value) = value else { return (Contents::Null, None) };
        let Decoded { encoding, compression, protobuf } = self.decoder.decode(value);
        let protobuf = match protobuf {
            Ok(protobuf) => protobuf,
            Err(error) => return (refused(&error), None),
        };
        let mut scanned = otlp::scan(protobuf, &self.keys, &mut self.found);
        let mut encoding = encoding;
        // JSON that was read is what it is.
        let is_doubtful = scanned.is_err() || self.found.spans.is_empty();
        if is_doubtful && encoding == Encoding::OtlpProto {
            match encoding::look_again(protobuf) {
                Some((_, Err(error))) => return (refused(&error), None),
                Some((other, Ok(json))) => {
                    encoding = other;
                    scanned = otlp::scan(&json, &self.keys, &mut self.found);
                }
                None if scanned.is_ok()
                    && self.found.invalid.is_empty()
                    && otlp::not_understood(protobuf).is_some() =>
                {
                    return (Contents::NotUnderstood, None);
                }
                None => {}
            }
        }
        match scanned {
            Err(_) => (Contents::Unknown, None),
            Ok(()) => {
                let compression = compression.map(encoding::Compression::name);
                (Contents::Read(encoding.name(), compression), Some(&self.found))
            }
        }
    }
}

fn refused(error: &DecodeError) -> Contents {
    match error {
        DecodeError::Compressed { compression, .. } => Contents::Packed(compression.name()),
        DecodeError::TooLarge => Contents::TooLarge,
        DecodeError::Json(_) => Contents::Json,
        DecodeError::Unsupported(other) => Contents::Other(other.name()),
        DecodeError::NotUnderstood(_) => Contents::NotUnderstood,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_apart() {
        let mut jaeger = vec![0x0a, 16];
        jaeger.extend([7; 16]);
        jaeger.extend([0x12, 8]);
        jaeger.extend([7; 9]);
        // One log record with a time and a severity.
        let logs = b"\x0a\x0f\x12\x0d\x12\x0b\x09\x01\x02\x03\x04\x05\x06\x07\x08\x10\x09";
        let zstd = ::zstd::stream::encode_all(&b"{\"resourceSpans\":[]}"[..], 1).unwrap();
        let cases: [(Option<&[u8]>, Contents); 15] = [
            (None, Contents::Null),
            (Some(b"\x0a\x00"), Contents::Read("otlp_proto", None)),
            (Some(b"{\"resourceSpans\":[]}"), Contents::Read("otlp_json", None)),
            (Some(&zstd), Contents::Read("otlp_json", Some("zstd"))),
            (Some(b"{\"hello\": [1"), Contents::Json),
            (Some(b"{\"hello\": [1]}"), Contents::Other("other_json")),
            (Some(b"[{\"traceId\":\"1\"}]"), Contents::Other("zipkin_json")),
            (Some(&jaeger), Contents::Other("jaeger_proto")),
            (Some(b"\x1f\x8b\x08\x00"), Contents::Packed("gzip")),
            (Some(b"\x28\xb5\x2f\xfd\x00"), Contents::Packed("zstd")),
            (Some(b"\x00\x00\x00\x00\x05\x0a\x00"), Contents::Other("schema_registry")),
            (Some(logs), Contents::Other("otlp_logs")),
            (Some(b"hello"), Contents::Unknown),
            (Some(b"\n{\"resourceSpans\":[]}"), Contents::Read("otlp_json", None)),
            (Some(b"\x0a\x04\xc2\x3e\x01a"), Contents::NotUnderstood),
        ];
        let mut reader = Reader::default();
        for (value, contents) in cases {
            assert_eq!(reader.read(value).0, contents, "{value:02x?}");
        }
    }
}
