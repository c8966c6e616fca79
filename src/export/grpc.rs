//! OTLP/gRPC over tonic, with requests that are already encoded.
//!
//! Owns several HTTP/2 connections to one endpoint and spreads attempts over them: round robin,
//! passing over those that broke a moment ago as long as another one has not. Connections open on
//! first use and again after they broke, and names are resolved anew each time. Tells apart what
//! the backend answered from what never reached it. Leaves retries to others.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BufMut;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use tokio::time::Instant;
use tonic::client::Grpc;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Code, Status, TimeoutExpired};

use super::ExportError;
use super::endpoint::{self, Endpoint};
use super::rpc_status::retry_info;
use super::settings::{Compression, ExportSettings};
use super::transport::{Failure, Reply, Request, Transport};

const PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const USER_AGENT: &str = concat!("tailsieve/", env!("CARGO_PKG_VERSION"));

/// How long a connection that broke is passed over while another one works.
const PASS_OVER: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// tonic's words for a stream that ended without the backend's verdict, cut by a proxy.
const NO_STATUS: &str = "missing grpc-status trailer";

/// An OTLP/gRPC client over several connections; see the module.
pub(super) struct GrpcTransport {
    endpoint: tonic::transport::Endpoint,
    connections: Vec<Mutex<Connection>>,
    next: AtomicUsize,
    compression: Option<CompressionEncoding>,
    metadata: MetadataMap,
    timeout: Duration,
}

struct Connection {
    channel: Channel,
    broke_at: Option<Instant>,
    answered_at: Option<Instant>,
}

impl GrpcTransport {
    /// A client for `endpoint`; nothing is connected yet. Must be called inside a tokio runtime.
    pub(super) fn new(settings: &ExportSettings, endpoint: &Endpoint) -> Result<Self, ExportError> {
        let metadata = endpoint::metadata(&settings.headers)?;
        let endpoint = tonic::transport::Endpoint::from(endpoint.uri())
            .user_agent(USER_AGENT)
            .expect("a user agent of a name and a version is a valid header value")
            .connect_timeout(settings.timeout)
            .tcp_nodelay(true)
            .tcp_keepalive(Some(KEEPALIVE_INTERVAL))
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT);
        let connections = (0..settings.connections.max(1))
            .map(|_| {
                Mutex::new(Connection {
                    channel: endpoint.connect_lazy(),
                    broke_at: None,
                    answered_at: None,
                })
            })
            .collect();
        Ok(Self {
            endpoint,
            connections,
            next: AtomicUsize::new(0),
            compression: match settings.compression {
                Compression::Gzip => Some(CompressionEncoding::Gzip),
                Compression::Zstd => Some(CompressionEncoding::Zstd),
                Compression::None => None,
            },
            metadata,
            timeout: settings.timeout,
        })
    }

    /// The next connection in turn that did not break a moment ago, or the next one anyway.
    fn pick(&self, now: Instant) -> &Mutex<Connection> {
        let count = self.connections.len();
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let in_turn = |step: usize| &self.connections[first.wrapping_add(step) % count];
        (0..count)
            .map(in_turn)
            .find(|connection| {
                let broke_at = lock(connection).broke_at;
                broke_at.is_none_or(|at| now.duration_since(at) >= PASS_OVER)
            })
            .unwrap_or_else(|| in_turn(0))
    }

    async fn call(&self, channel: Channel, request: Request) -> Result<Reply, Status> {
        let mut client = Grpc::new(channel);
        if let Some(encoding) = self.compression {
            client = client.send_compressed(encoding);
        }
        let mut request = tonic::Request::new(request);
        *request.metadata_mut() = self.metadata.clone();
        request.set_timeout(self.timeout);
        client.ready().await.map_err(|error| Status::from_error(error.into()))?;
        let response = client.unary(request, PathAndQuery::from_static(PATH), BytesCodec).await?;
        Ok(response.into_inner())
    }

    /// Notes what an attempt on `connection` says about it.
    fn note(&self, connection: &Mutex<Connection>, started: Instant, outcome: &Outcome) {
        let mut connection = lock(connection);
        match outcome {
            Outcome::Answered => {
                connection.broke_at = None;
                connection.answered_at = Some(Instant::now());
            }
            // tonic connects again by itself on the next use.
            Outcome::Broken => connection.broke_at = Some(Instant::now()),
            Outcome::TimedOut => {
                // If nothing came back since, the peer may be gone without a word; waiting for TCP
                // to notice takes many minutes.
                let is_silent = connection.answered_at.is_none_or(|at| at < started);
                if is_silent {
                    connection.broke_at = Some(Instant::now());
                    connection.channel = self.endpoint.connect_lazy();
                }
            }
        }
    }
}

impl Transport for GrpcTransport {
    async fn send(&self, request: Request) -> Result<Reply, Failure> {
        let started = Instant::now();
        let connection = self.pick(started);
        let channel = lock(connection).channel.clone();
        let result = tokio::time::timeout(self.timeout, self.call(channel, request)).await;
        let (outcome, result) = match result {
            Ok(Ok(reply)) => (Outcome::Answered, Ok(reply)),
            Ok(Err(status)) => {
                let (outcome, failure) = read_status(&status);
                (outcome, Err(failure))
            }
            Err(_elapsed) => (Outcome::TimedOut, Err(timed_out())),
        };
        self.note(connection, started, &outcome);
        result
    }

    async fn probe(&self) -> Result<(), Failure> {
        match self.endpoint.connect().await {
            Ok(_connection) => Ok(()),
            Err(error) => Err(Failure {
                code: Code::Unavailable,
                message: with_sources(&error),
                retry_after: None,
            }),
        }
    }
}

enum Outcome {
    Answered,
    Broken,
    TimedOut,
}

/// What a status that is not OK says: the backend's own answer, or an error on the way to it.
fn read_status(status: &Status) -> (Outcome, Failure) {
    // Only what tonic made out of a local error has a source.
    if let Some(source) = status.source() {
        if is_timeout(source) {
            return (Outcome::TimedOut, timed_out());
        }
        return (Outcome::Broken, unavailable(with_sources(source)));
    }
    if status.code() == Code::Unknown && status.message().contains(NO_STATUS) {
        return (Outcome::Broken, unavailable(status.message().to_owned()));
    }
    let failure = Failure {
        code: status.code(),
        message: status.message().to_owned(),
        retry_after: retry_info(status.details()),
    };
    (Outcome::Answered, failure)
}

fn unavailable(message: String) -> Failure {
    Failure { code: Code::Unavailable, message, retry_after: None }
}

fn timed_out() -> Failure {
    Failure {
        code: Code::DeadlineExceeded,
        message: "no answer within the timeout".to_owned(),
        retry_after: None,
    }
}

fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    sources(error).any(|error| error.is::<TimeoutExpired>())
}

/// The error and what caused it, as one line.
fn with_sources(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    for text in sources(error).map(ToString::to_string) {
        // Some errors already repeat the text of their source.
        if !texts.iter().any(|seen| seen.contains(&text)) {
            texts.push(text);
        }
    }
    texts.join(": ")
}

fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends encoded pieces as they are, and reads the answer.
struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Request;
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

impl Encoder for BytesCodec {
    type Item = Request;
    type Error = Status;

    fn encode(&mut self, request: Request, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(request.len());
        for piece in request.0 {
            buffer.put(piece);
        }
        Ok(())
    }
}

impl Decoder for BytesCodec {
    type Item = Reply;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Reply>, Status> {
        // The status says that the spans were taken; an answer that cannot be read must not have
        // them sent again.
        let response = ExportTraceServiceResponse::decode(buffer).unwrap_or_default();
        let partial = response.partial_success.unwrap_or_default();
        Ok(Some(Reply {
            rejected_spans: u64::try_from(partial.rejected_spans).unwrap_or(0),
            message: partial.error_message,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transport(connections: usize) -> GrpcTransport {
        let settings = ExportSettings { connections, ..ExportSettings::default() };
        let endpoint = Endpoint::parse(&settings.endpoint).unwrap();
        GrpcTransport::new(&settings, &endpoint).unwrap()
    }

    /// Which connection is picked.
    fn pick(transport: &GrpcTransport) -> usize {
        let picked = transport.pick(Instant::now());
        let mut connections = transport.connections.iter();
        connections.position(|c| std::ptr::eq(c, picked)).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn connections_take_turns() {
        let transport = transport(3);
        let picked: Vec<_> = (0..6).map(|_| pick(&transport)).collect();
        assert_eq!(picked, [0, 1, 2, 0, 1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_connection_is_passed_over_for_a_while() {
        let transport = transport(2);
        let note = |index: usize, outcome| {
            transport.note(&transport.connections[index], Instant::now(), &outcome);
        };
        note(0, Outcome::Broken);
        assert_eq!((pick(&transport), pick(&transport)), (1, 1));
        // With no other left the broken ones are tried again.
        note(1, Outcome::Broken);
        assert_eq!((pick(&transport), pick(&transport)), (0, 1));
        note(1, Outcome::Answered);
        assert_eq!((pick(&transport), pick(&transport)), (1, 1));
        tokio::time::advance(PASS_OVER).await;
        assert_eq!((pick(&transport), pick(&transport)), (0, 1));
    }

    #[test]
    fn sources_are_told_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("{text}")]
        struct Layer {
            text: &'static str,
            source: Option<Box<Layer>>,
        }
        let layer = |text, source| Layer { text, source };
        let refused = layer("connection refused", None);
        let repeated = layer("tcp: connection refused", Some(Box::new(refused)));
        let error = layer("transport error", Some(Box::new(repeated)));
        assert_eq!(with_sources(&error), "transport error: tcp: connection refused");
    }
}
