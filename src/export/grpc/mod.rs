//! OTLP/gRPC over tonic, with requests that are already encoded.
//!
//! Owns a pool of HTTP/2 connections to one endpoint, which open on first use and again when they
//! broke. Tells apart whether the backend answered, a proxy answered, or the request never reached the
//! backend. Leaves retries to others.

mod proxy_answer;

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::Full;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Code as GrpcCode, Status, TimeoutExpired};
use tonic_types::StatusExt as _;
use tower_service::Service;

use super::body;
use super::code::Code;
use super::connect::Connector;
use super::credentials::Credentials;
use super::endpoint::Endpoint;
use super::error_chain::{sources, with_sources};
use super::pool::{Condition, Pool};
use super::settings::{Compression, ExportSettings};
use super::signal::Signal;
use super::transport::{Failure, Reply, Request, Transport, USER_AGENT};

const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// tonic's message for a stream that ended without a status of the backend, cut by a proxy.
const NO_STATUS: &str = "missing grpc-status trailer";

/// An OTLP/gRPC client over several connections; see the module.
pub(super) struct GrpcTransport {
    pool: Pool<Channel>,
    signal: Signal,
    compression: Compression,
    credentials: Credentials,
    timeout: Duration,
}

impl GrpcTransport {
    /// A client for `endpoint`; nothing is connected yet. Must be called inside a tokio runtime.
    pub(super) fn new(
        settings: &ExportSettings,
        endpoint: &Endpoint,
        connector: Connector,
        credentials: Credentials,
    ) -> Self {
        let endpoint = tonic::transport::Endpoint::from(endpoint.uri())
            .user_agent(USER_AGENT)
            .expect("a user agent of a name and a version is a valid header value")
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT);
        let open = move || endpoint.connect_with_connector_lazy(connector.clone());
        Self {
            pool: Pool::new(settings.connections, settings.connection_max_age, open),
            signal: Signal::Traces,
            compression: settings.compression,
            credentials,
            timeout: settings.timeout,
        }
    }

    /// The same for requests of another signal.
    pub(super) fn of(self, signal: Signal) -> Self {
        Self { signal, ..self }
    }

    async fn attempt(
        &self,
        message: Bytes,
        headers: HeaderMap,
        not_over: Option<usize>,
    ) -> Result<Reply, Failure> {
        let picked = self.pool.pick(Instant::now(), not_over);
        let call = self.call(picked.connection.clone(), message, headers);
        let (condition, result) = match tokio::time::timeout(self.timeout, call).await {
            Ok(Ok(reply)) => (Condition::Answered, Ok(reply)),
            Ok(Err(status)) => {
                let (condition, failure) = read_status(&status);
                (condition, Err(failure))
            }
            Err(_elapsed) => (Condition::TimedOut, Err(Failure::timed_out())),
        };
        self.pool.note(&picked, condition);
        result.map_err(|failure| Failure { over: Some(picked.slot()), ..failure })
    }

    async fn call(
        &self,
        channel: Channel,
        message: Bytes,
        headers: HeaderMap,
    ) -> Result<Reply, Status> {
        let mut client = Grpc::new(Sender { channel, message });
        let encoding = match self.compression {
            Compression::Gzip => Some(CompressionEncoding::Gzip),
            Compression::Zstd => Some(CompressionEncoding::Zstd),
            Compression::None => None,
        };
        if let Some(encoding) = encoding {
            // grpc-go answers in the encoding of the request, whatever the request accepts.
            client = client.send_compressed(encoding).accept_compressed(encoding);
        }
        let mut request = tonic::Request::new(());
        *request.metadata_mut() = MetadataMap::from_headers(headers);
        request.set_timeout(self.timeout);
        client.ready().await.map_err(|error| Status::from_error(error.into()))?;
        let path = PathAndQuery::from_static(self.signal.grpc_path());
        let response = client.unary(request, path, ReplyCodec).await?;
        Ok(response.into_inner())
    }
}

/// The message of a request in its gRPC frame: whether it is compressed, its length, its bytes.
///
/// # Errors
/// When it is 4 GiB or larger, or the runtime shuts down.
async fn framed(request: Request, compression: Compression) -> Result<Bytes, Failure> {
    let head = vec![u8::from(compression != Compression::None), 0, 0, 0, 0];
    let mut message = body::joined(head, request, compression).await?;
    let length = u32::try_from(message.len() - HEAD_BYTES);
    let length = length.map_err(|_| Failure::unavailable("a request of 4 GiB"))?;
    message[1..HEAD_BYTES].copy_from_slice(&length.to_be_bytes());
    Ok(message.into())
}

const HEAD_BYTES: usize = 5;

/// Sends the message instead of the body that tonic has made: tonic would compress it with a gzip level
/// that takes twice as long, on a thread that serves connections. And passes only gRPC answers on to
/// tonic, which turns others into `INTERNAL: invalid compression flag`.
struct Sender {
    channel: Channel,
    message: Bytes,
}

impl Service<http::Request<Body>> for Sender {
    type Response = http::Response<Body>;
    type Error = tonic::transport::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::poll_ready(&mut self.channel, context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let message = Full::new(self.message.clone());
        let answer = self.channel.call(request.map(|_| Body::new(message)));
        Box::pin(async { Ok(proxy_answer::translated(answer.await?).await) })
    }
}

impl Transport for GrpcTransport {
    async fn send(&self, request: Request) -> Result<Reply, Failure> {
        let (not_over, forwarded) = (request.not_over, request.forwarded.clone());
        let headers = self.credentials.headers_with(&forwarded)?;
        let message = framed(request, self.compression).await?;
        let result = self.attempt(message.clone(), headers.clone(), not_over).await;
        match result {
            Err(Failure { code: Code::Grpc(GrpcCode::Unauthenticated), .. })
                if self.credentials.renewed(&headers) =>
            {
                self.attempt(message, self.credentials.headers_with(&forwarded)?, not_over).await
            }
            result => result,
        }
    }
}

/// What a status that is not OK means: an answer of the backend, or an error on the way to it.
fn read_status(status: &Status) -> (Condition, Failure) {
    // Only a status that tonic has made from a local error has a source.
    if let Some(source) = status.source() {
        if is_timeout(source) {
            return (Condition::TimedOut, Failure::timed_out());
        }
        return (Condition::Broken, Failure::unavailable(with_sources(source)));
    }
    if status.code() == GrpcCode::Unknown && status.message().contains(NO_STATUS) {
        return (Condition::Broken, Failure::unavailable(status.message()));
    }
    let failure = Failure {
        retry_after: retry_info(status),
        is_too_large: is_too_large(status),
        ..Failure::new(status.code(), status.message())
    };
    let is_well = failure.is_too_large;
    (if is_well { Condition::Answered } else { Condition::Refused }, failure)
}

/// The delay of the `RetryInfo` in the details, zero if it has none or a negative one.
fn retry_info(status: &Status) -> Option<Duration> {
    status.get_details_retry_info().map(|info| info.retry_delay.unwrap_or_default())
}

/// Whether a receiver says that the message is too large, in the exact words of the gRPC libraries of
/// Go, C++, Java, .NET and Rust. Rate limits speak of messages and a maximum, too.
fn is_too_large(status: &Status) -> bool {
    const WORDS: [&str; 5] = [
        "message larger than max",
        "message after decompression larger than max",
        "message exceeds maximum size",
        "message exceeds the maximum configured message size",
        "message length too large",
    ];
    let message = status.message().to_lowercase();
    matches!(status.code(), GrpcCode::ResourceExhausted | GrpcCode::OutOfRange)
        && WORDS.iter().any(|words| message.contains(words))
}

fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    sources(error).any(|error| error.is::<TimeoutExpired>())
}

/// Reads the answer; [`Sender`] writes the request.
struct ReplyCodec;

impl Codec for ReplyCodec {
    type Encode = ();
    type Decode = Reply;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for ReplyCodec {
    type Item = ();
    type Error = Status;

    fn encode(&mut self, (): (), _: &mut EncodeBuf<'_>) -> Result<(), Status> {
        Ok(())
    }
}

impl Decoder for ReplyCodec {
    type Item = Reply;
    type Error = Status;

    #[expect(clippy::disallowed_methods, reason = "the backend's answer")]
    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Reply>, Status> {
        // The status says that the backend took the spans. They must not be sent again because the
        // rest of the answer cannot be read.
        let response = ExportTraceServiceResponse::decode(buffer).unwrap_or_default();
        Ok(Some(Reply::from(response)))
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn that_there_is_retry_info_counts_even_without_a_delay() {
        let asked =
            |details| retry_info(&Status::with_error_details(GrpcCode::Unavailable, "", details));
        let mut details = ErrorDetails::with_debug_info(vec!["x".to_owned()], "y");
        assert_eq!(asked(details.clone()), None);
        details.set_retry_info(None);
        assert_eq!(asked(details.clone()), Some(Duration::ZERO));
        details.set_retry_info(Some(Duration::from_millis(2500)));
        assert_eq!(asked(details), Some(Duration::from_millis(2500)));
        let garbage = Bytes::from_static(b"\xff\xff\xff");
        assert_eq!(retry_info(&Status::with_details(GrpcCode::Unavailable, "", garbage)), None);
    }

    #[test]
    fn only_the_words_of_grpc_itself_say_that_a_message_is_too_large() {
        let said = |text: &str| is_too_large(&Status::resource_exhausted(text));
        for text in [
            "grpc: received message larger than max (5000000 vs. 4194304)",
            "grpc: received message after decompression larger than max 4194304",
            "CLIENT: Received message larger than max (5 vs. 4)",
            "gRPC message exceeds maximum size 4194304: 5000000",
            "Received message exceeds the maximum configured message size.",
            "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes",
        ] {
            assert!(said(text), "{text}");
        }
        for text in [
            "message rate exceeds the maximum",
            "the number of messages per second is larger than max",
            "message quota exceeds maximum size of the tenant's bucket",
        ] {
            assert!(!said(text), "{text}");
        }
        let text = "grpc: received message larger than max (5 vs. 4)";
        assert!(is_too_large(&Status::out_of_range(text)));
        assert!(!is_too_large(&Status::internal(text)));
    }
}
