//! Hints for attempts that fail because the settings do not fit the backend.
//!
//! Goes by the messages of real backends and clients; gives no hint where they say nothing.

use tonic::Code as Grpc;

use super::code::Code;
use super::endpoint::Endpoint;
use super::settings::Protocol;
use super::transport::Failure;

/// The usual ports of OTLP.
const GRPC_PORT: u16 = 4317;
const HTTP_PORT: u16 = 4318;

/// Words for a compression that the backend does not know: of gRPC in Go, Java and C++, Rust, and of
/// OTLP receivers over HTTP.
const OF_COMPRESSION: [&str; 5] = [
    "decompressor",
    "compression algorithm",
    "content is compressed",
    "content-encoding",
    "content encoding",
];

/// Errors of an HTTP/2 client if the server speaks HTTP/1, and the other way round.
const NO_HTTP2: [&str; 4] =
    ["frame with invalid size", "frame_size_error", "http/1", "invalid http version"];
const NO_HTTP1: [&str; 3] = ["http2 preface", "unexpected message", "invalid http version"];

/// Where requests go, and over which protocol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    protocol: Protocol,
    port: u16,
}

impl Target {
    /// A topic of Kafka.
    pub(super) const TOPIC: Self = Self { protocol: Protocol::Kafka, port: 0 };

    pub(super) fn new(protocol: Protocol, endpoint: &Endpoint) -> Self {
        Self { protocol, port: endpoint.port() }
    }

    /// What to do about a failure, if it is recognised.
    pub(super) fn hint(self, failure: &Failure) -> Option<&'static str> {
        let said = failure.message.to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
        if self.protocol != Protocol::Kafka && says(&OF_COMPRESSION) {
            return Some(
                "the backend does not know this compression: set compression: none (or gzip)",
            );
        }
        match (self.protocol, failure.code) {
            (Protocol::Grpc, code) => self.hint_of_grpc(code, says(&NO_HTTP2), &said),
            (Protocol::Http, code) => self.hint_of_http(code, says(&NO_HTTP1), &said),
            (Protocol::Kafka, _) => None,
        }
    }

    fn hint_of_grpc(self, code: Code, is_http1: bool, said: &str) -> Option<&'static str> {
        let is_page = said.contains("no answer of grpc");
        let is_wrong_page = is_page && code != Code::Grpc(Grpc::Unavailable);
        let is_other_port = self.port == HTTP_PORT && !is_nobody_there(said);
        if is_http1 || is_other_port {
            return Some(
                "what listens there speaks HTTP/1, not gRPC (4318 is OTLP over HTTP): set protocol: http, \
                 or the endpoint's port to that of OTLP/gRPC (4317)",
            );
        }
        let is_wrong = is_wrong_page || code == Code::Grpc(Grpc::Unimplemented);
        is_wrong.then_some(
            "this is no OTLP receiver for traces over gRPC: correct the endpoint (4317 is gRPC), or set \
             protocol: http",
        )
    }

    fn hint_of_http(self, code: Code, is_http2: bool, said: &str) -> Option<&'static str> {
        let is_other_port = self.port == GRPC_PORT && code == Code::Grpc(Grpc::Unavailable);
        if is_http2 || (is_other_port && !is_nobody_there(said)) {
            return Some(
                "what listens there speaks HTTP/2, as gRPC does (4317 is OTLP over gRPC): set protocol: \
                 grpc, or the endpoint's port to that of OTLP/HTTP (4318)",
            );
        }
        match code {
            Code::Http(200..=399 | 404 | 405) => Some(
                "there is no OTLP receiver under this path: requests go to <endpoint>/v1/traces; correct \
                 the endpoint (of Grafana's cloud it ends in /otlp, for example)",
            ),
            Code::Http(415) => Some(
                "the backend takes no protobuf (content type application/x-protobuf) under this path, or \
                 does not know the compression: correct the endpoint, or set compression: none",
            ),
            _ => None,
        }
    }
}

/// Whether no server listens there, so that nothing is known about the protocol.
fn is_nobody_there(said: &str) -> bool {
    ["refused", "resolved", "no answer", "no connection", "unreachable", "tls with"]
        .iter()
        .any(|word| said.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(protocol: Protocol, port: u16, code: impl Into<Code>, said: &str) -> &'static str {
        let target = Target { protocol, port };
        target.hint(&Failure::new(code, said)).unwrap_or_default()
    }

    #[test]
    fn a_compression_that_is_not_known_is_told() {
        for said in [
            "grpc: Decompressor is not installed for grpc-encoding \"zstd\"",
            "Can't find decompressor for zstd",
            "Content is compressed with `zstd` which isn't supported",
        ] {
            let hint = hint(Protocol::Grpc, 4317, Grpc::Unimplemented, said);
            assert!(hint.contains("compression: none"), "{said}: {hint}");
        }
        let said = "400 Bad Request: unsupported Content-Encoding: zstd";
        assert!(hint(Protocol::Http, 4318, Code::Http(400), said).contains("compression: none"));
    }

    #[test]
    fn a_wrong_path_or_protocol_is_told() {
        let http = |status| hint(Protocol::Http, 4318, Code::Http(status), "");
        assert!(http(404).contains("/v1/traces"));
        assert!(http(200).contains("/v1/traces"));
        assert!(http(415).contains("application/x-protobuf"));
        assert_eq!(http(503), "");
        let grpc = |code, said| hint(Protocol::Grpc, 4317, code, said);
        assert!(grpc(Grpc::Unimplemented, "").contains("no OTLP receiver"));
        assert_eq!(grpc(Grpc::Unavailable, "this is no answer of gRPC but an HTTP 502"), "");
        let refused = "transport error: tcp connect error: Connection refused";
        assert_eq!(hint(Protocol::Grpc, 4318, Grpc::Unavailable, refused), "");
        assert!(hint(Protocol::Grpc, 4318, Grpc::Unavailable, "broken pipe").contains("protocol"));
        assert!(hint(Protocol::Http, 4317, Grpc::Unavailable, "closed").contains("protocol: grpc"));
    }
}
