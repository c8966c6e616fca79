//! The encodings that are told apart, by name, and what to do about those that are not read.

use std::fmt;

/// What a value is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// OTLP protobuf, or what was taken for it: nothing told otherwise.
    OtlpProto,
    /// OTLP JSON.
    OtlpJson,
    /// Logs in OTLP, protobuf or JSON.
    OtlpLogs,
    /// Metrics in OTLP, protobuf or JSON.
    OtlpMetrics,
    /// A single span of OTLP, without all that is around it.
    OtlpSpan,
    /// A single `ResourceSpans` of OTLP protobuf.
    OtlpResourceSpans,
    /// OpenTelemetry Arrow.
    Otap,
    /// A span of Jaeger's `model.proto`.
    JaegerProto,
    /// The same in JSON.
    JaegerJson,
    /// Zipkin's `ListOfSpans`.
    ZipkinProto,
    /// Zipkin's spans in JSON.
    ZipkinJson,
    /// JSON of none of these kinds.
    OtherJson,
    /// What a schema registry's serializer writes: a byte 0 and the number of a schema.
    SchemaRegistry,
    /// An Avro object container.
    Avro,
    /// A message behind the five bytes of a gRPC frame.
    GrpcFramed,
    /// An OTLP message behind its length.
    LengthDelimited,
    /// OTLP in base64.
    Base64,
    /// OTLP in hexadecimal digits.
    Hex,
    /// JSON in a string of JSON.
    JsonInText,
    /// Protobuf that was made text of, so that bytes of it are gone.
    MangledText,
}

impl Encoding {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 20] = [
        Self::OtlpProto,
        Self::OtlpJson,
        Self::OtlpLogs,
        Self::OtlpMetrics,
        Self::OtlpSpan,
        Self::OtlpResourceSpans,
        Self::Otap,
        Self::JaegerProto,
        Self::JaegerJson,
        Self::ZipkinProto,
        Self::ZipkinJson,
        Self::OtherJson,
        Self::SchemaRegistry,
        Self::Avro,
        Self::GrpcFramed,
        Self::LengthDelimited,
        Self::Base64,
        Self::Hex,
        Self::JsonInText,
        Self::MangledText,
    ];

    /// Its name; that of the Collector's Kafka exporter where that has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::OtlpProto => "otlp_proto",
            Self::OtlpJson => "otlp_json",
            Self::OtlpLogs => "otlp_logs",
            Self::OtlpMetrics => "otlp_metrics",
            Self::OtlpSpan => "otlp_span",
            Self::OtlpResourceSpans => "otlp_resource_spans",
            Self::Otap => "otap_proto",
            Self::JaegerProto => "jaeger_proto",
            Self::JaegerJson => "jaeger_json",
            Self::ZipkinProto => "zipkin_proto",
            Self::ZipkinJson => "zipkin_json",
            Self::OtherJson => "other_json",
            Self::SchemaRegistry => "schema_registry",
            Self::Avro => "avro",
            Self::GrpcFramed => "grpc_framed",
            Self::LengthDelimited => "length_delimited",
            Self::Base64 => "base64",
            Self::Hex => "hex",
            Self::JsonInText => "json_in_text",
            Self::MangledText => "mangled_text",
        }
    }

    /// What is to be known of it where it is refused: what it is, and what to send instead.
    pub fn hint(self) -> &'static str {
        self.own_hint()
            .unwrap_or("of which nothing is known here but the name; send otlp_proto or otlp_json")
    }

    /// The same, where there is more to say than that it should be OTLP.
    pub fn own_hint(self) -> Option<&'static str> {
        Some(match self {
            Self::OtlpSpan => {
                "one span of OTLP without its resource and scope; send it in a TracesData"
            }
            Self::OtlpResourceSpans => "one ResourceSpans by itself; send it in a TracesData",
            Self::Otap => {
                "OpenTelemetry Arrow; set `encoding: otlp_proto` on the exporter that writes it"
            }
            Self::SchemaRegistry => {
                "a value behind the number of its schema; use a serializer of plain bytes"
            }
            Self::GrpcFramed => {
                "a message behind the 5 bytes of a gRPC frame; send the message alone"
            }
            Self::LengthDelimited => {
                "an OTLP message behind its length; send one message a record, without its length"
            }
            Self::Base64 => "OTLP in base64; send the bytes themselves",
            Self::Hex => "OTLP in hexadecimal digits; send the bytes themselves",
            Self::JsonInText => "JSON in a string of JSON, encoded twice; send the inner JSON",
            Self::MangledText => {
                "protobuf that was made text of: bytes became U+FFFD and are lost; use a \
                 serializer of bytes, not of strings, on the whole way"
            }
            _ => return None,
        })
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
