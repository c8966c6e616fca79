//! What a record's value is, named for people.

use crate::otlp::{self, AttributeKeys, Scan};
use crate::otlp_json;

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Encoding {
    /// `otlp_proto`: what is expected.
    OtlpProto,
    /// `otlp_json`.
    OtlpJson,
    /// OTLP logs instead of traces.
    OtlpLogs,
    /// `jaeger_proto`.
    Jaeger,
    /// `zipkin_json`.
    Zipkin,
    /// Other JSON.
    Json,
    /// gzip around it.
    Gzip,
    /// zstd around it.
    Zstd,
    /// Behind the header of a schema registry.
    SchemaRegistry,
    /// No value.
    Null,
    /// None of these.
    Unknown,
}

impl Encoding {
    /// Its name, as the Collector's Kafka exporter calls it where it does.
    pub fn name(self) -> &'static str {
        match self {
            Self::OtlpProto => "otlp_proto",
            Self::OtlpJson => "otlp_json",
            Self::OtlpLogs => "OTLP logs, not traces",
            Self::Jaeger => "jaeger_proto",
            Self::Zipkin => "zipkin_json",
            Self::Json => "JSON that is not OTLP",
            Self::Gzip => "a value compressed by gzip (before Kafka's own compression)",
            Self::Zstd => "a value compressed by zstd (before Kafka's own compression)",
            Self::SchemaRegistry => "a value behind a schema registry's header (magic byte 0)",
            Self::Null => "no value",
            Self::Unknown => "no format that is known here",
        }
    }
}

/// Reads values. Its buffers are used again.
#[derive(Debug, Default)]
pub struct Reader {
    keys: AttributeKeys,
    found: Scan,
}

impl Reader {
    /// What `value` is, and its spans if it is what is expected.
    pub fn read(&mut self, value: Option<&[u8]>) -> (Encoding, Option<&Scan>) {
        let Some(value) = value else { return (Encoding::Null, None) };
        match otlp::scan(value, &self.keys, &mut self.found) {
            Ok(()) if !looks_like_jaeger(value) => (Encoding::OtlpProto, Some(&self.found)),
            _ => (other(value), None),
        }
    }
}

fn other(value: &[u8]) -> Encoding {
    match value {
        [0x1f, 0x8b, ..] => return Encoding::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => return Encoding::Zstd,
        [0, _, _, _, _, _, ..] => return Encoding::SchemaRegistry,
        _ => {}
    }
    match value.trim_ascii_start() {
        [b'[', ..] => return Encoding::Zipkin,
        [b'{', ..] if otlp_json::to_protobuf(value).is_ok() => return Encoding::OtlpJson,
        [b'{', ..] => return Encoding::Json,
        _ => {}
    }
    if looks_like_jaeger(value) {
        Encoding::Jaeger
    } else if looks_like_logs(value) {
        Encoding::OtlpLogs
    } else {
        Encoding::Unknown
    }
}

/// Jaeger's `Span` begins with a trace id of 16 bytes and a span id of 8.
fn looks_like_jaeger(value: &[u8]) -> bool {
    value.starts_with(&[0x0a, 16]) && value.get(18..20) == Some(&[0x12, 8])
}

/// A `LogRecord` has a fixed64 where a span has its trace id. The messages around are as long as
/// what they hold, so the first one is found by its tags.
fn looks_like_logs(value: &[u8]) -> bool {
    use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use prost::Message;

    /// As much of OTLP logs as tells them from others.
    #[derive(Clone, PartialEq, Message)]
    struct LogsData {
        #[prost(message, repeated, tag = "1")]
        resource_logs: Vec<ResourceLogs>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct ResourceLogs {
        #[prost(message, optional, tag = "1")]
        resource: Option<Resource>,
        #[prost(message, repeated, tag = "2")]
        scope_logs: Vec<ScopeLogs>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct ScopeLogs {
        #[prost(message, optional, tag = "1")]
        scope: Option<InstrumentationScope>,
        #[prost(message, repeated, tag = "2")]
        log_records: Vec<LogRecord>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct LogRecord {
        #[prost(fixed64, tag = "1")]
        time_unix_nano: u64,
        #[prost(fixed64, tag = "11")]
        observed_time_unix_nano: u64,
        #[prost(int32, tag = "2")]
        severity_number: i32,
    }
    LogsData::decode(value).is_ok_and(|logs| {
        logs.resource_logs
            .iter()
            .any(|resource| resource.scope_logs.iter().any(|scope| !scope.log_records.is_empty()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_apart() {
        let mut jaeger = vec![0x0a, 16];
        jaeger.extend([7; 16]);
        jaeger.extend([0x12, 8]);
        jaeger.extend([7; 8]);
        // One log record with a time and a severity.
        let logs = b"\x0a\x0f\x12\x0d\x12\x0b\x09\x01\x02\x03\x04\x05\x06\x07\x08\x10\x09";
        let cases: [(Option<&[u8]>, Encoding); 11] = [
            (None, Encoding::Null),
            (Some(b"\x0a\x00"), Encoding::OtlpProto),
            (Some(b"{\"resourceSpans\":[]}"), Encoding::OtlpJson),
            (Some(b"{\"hello\": [1"), Encoding::Json),
            (Some(b"[{\"traceId\":\"1\"}]"), Encoding::Zipkin),
            (Some(&jaeger), Encoding::Jaeger),
            (Some(b"\x1f\x8b\x08\x00"), Encoding::Gzip),
            (Some(b"\x28\xb5\x2f\xfd\x00"), Encoding::Zstd),
            (Some(b"\x00\x00\x00\x00\x05\x0a\x00"), Encoding::SchemaRegistry),
            (Some(logs), Encoding::OtlpLogs),
            (Some(b"hello"), Encoding::Unknown),
        ];
        let mut reader = Reader::default();
        for (value, encoding) in cases {
            assert_eq!(reader.read(value).0, encoding, "{value:02x?}");
        }
    }
}
