//! The gRPC service: `TraceService/Export` on raw bytes, answering as the behaviour says.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;
use tonic::body::Body;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::{self, header};
use tonic::codegen::{BoxFuture, Service};
use tonic::server::{Grpc, NamedService};
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{Behaviour, Shared};
use crate::sync::lock;

/// What gRPC receivers take by default, after decompression.
const MAX_REQUEST_BYTES: usize = 4 * 1024 * 1024;
const EXPORT_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// The service; clones share their state.
#[derive(Clone)]
pub(super) struct TraceService(Arc<Shared>);

impl TraceService {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }
}

impl NamedService for TraceService {
    const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
}

impl Service<http::Request<Body>> for TraceService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let shared = self.0.clone();
        Box::pin(async move {
            if request.uri().path() != EXPORT_PATH {
                return Ok(Status::unimplemented("no such method").into_http());
            }
            answer_as_asked(request.headers_mut());
            let instead = Arc::default();
            let export = Export { shared, instead: Arc::clone(&instead) };
            let response = Grpc::new(BytesCodec)
                .accept_compressed(CompressionEncoding::Gzip)
                .accept_compressed(CompressionEncoding::Zstd)
                .send_compressed(CompressionEncoding::Gzip)
                .send_compressed(CompressionEncoding::Zstd)
                .max_decoding_message_size(MAX_REQUEST_BYTES)
                .unary(export, request)
                .await;
            Ok(match *lock(&instead) {
                Instead::Nothing => response,
                Instead::NoStatus => without_status(),
                Instead::Page(status) => page(status),
            })
        })
    }
}

/// Answers in the encoding of the request, as grpc-go does and so every Collector, whatever the
/// client says it accepts.
fn answer_as_asked(headers: &mut http::HeaderMap) {
    if let Some(encoding) = headers.get("grpc-encoding").cloned() {
        headers.insert("grpc-accept-encoding", encoding);
    }
}

/// A gRPC answer that ends before its status.
fn without_status() -> http::Response<Body> {
    let mut response = http::Response::new(Body::empty());
    let content_type = header::HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// The page of a proxy.
fn page(status: u16) -> http::Response<Body> {
    let status = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::BAD_GATEWAY);
    let html = format!("<html><head><title>{status}</title></head><body>proxy</body></html>");
    let mut response = http::Response::new(Body::new(http_body_util::Full::new(html.into())));
    *response.status_mut() = status;
    let content_type = header::HeaderValue::from_static("text/html");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// What is answered in the place of an answer of gRPC.
#[derive(Default)]
enum Instead {
    #[default]
    Nothing,
    NoStatus,
    Page(u16),
}

/// One call.
struct Export {
    shared: Arc<Shared>,
    instead: Arc<Mutex<Instead>>,
}

impl Export {
    /// Has the call answered so; the answer of the gRPC library is dropped.
    fn answer_instead(&self, instead: Instead) {
        *lock(&self.instead) = instead;
    }
}

impl Service<Request<Bytes>> for Export {
    type Response = Response<ExportTraceServiceResponse>;
    type Error = Status;
    type Future = BoxFuture<Self::Response, Status>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let shared = self.shared.clone();
        let export = Self { shared: shared.clone(), instead: self.instead.clone() };
        Box::pin(async move {
            let bytes = request.get_ref().clone();
            if has_spans(&bytes) {
                shared.note(&request);
            }
            match shared.decide(&bytes) {
                // A judge that returns a judge has not decided; nothing is taken.
                Behaviour::Judge(_) | Behaviour::Unavailable => {
                    Err(Status::unavailable("told to be unavailable"))
                }
                Behaviour::Code(code, delay) => Err(status(code, delay)),
                Behaviour::CloseConnection => {
                    shared.cut.all();
                    Err(Status::unavailable("never seen, the connection is closed"))
                }
                Behaviour::NoStatus => {
                    export.answer_instead(Instead::NoStatus);
                    Err(Status::unknown("never seen, the answer is cut off"))
                }
                Behaviour::Page(status) => {
                    export.answer_instead(Instead::Page(status));
                    Err(Status::unknown("never seen, a page is answered"))
                }
                Behaviour::Accept => Ok(shared.take(bytes, 0)),
                Behaviour::PartialSuccess { rejected } => Ok(shared.take(bytes, rejected)),
                Behaviour::AcceptThenFail => {
                    shared.take(bytes, 0);
                    Err(Status::unavailable("told to fail after taking it"))
                }
                Behaviour::AcceptThenClose => {
                    shared.take(bytes, 0);
                    shared.cut.all();
                    Err(Status::unavailable("never seen, the connection is closed"))
                }
                Behaviour::Delay(delay) => {
                    let response = shared.take(bytes, 0);
                    tokio::time::sleep(delay).await;
                    Ok(response)
                }
            }
        })
    }
}

impl Shared {
    fn note(&self, request: &Request<Bytes>) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        *lock(&self.headers) = request.metadata().clone();
    }

    fn decide(&self, bytes: &Bytes) -> Behaviour {
        match lock(&self.behaviour).clone() {
            Behaviour::Judge(judge) => judge(bytes),
            behaviour => behaviour,
        }
    }

    fn take(&self, bytes: Bytes, rejected: i64) -> Response<ExportTraceServiceResponse> {
        if has_spans(&bytes) {
            (self.sink)(bytes);
            self.taken.fetch_add(1, Ordering::Relaxed);
        }
        let partial_success = (rejected != 0).then(|| ExportTracePartialSuccess {
            rejected_spans: rejected,
            error_message: "told to reject spans".to_owned(),
        });
        Response::new(ExportTraceServiceResponse { partial_success })
    }
}

/// Whether there is more in a request than the empty `ResourceSpans` by which clients find out
/// whether somebody takes them.
fn has_spans(request: &Bytes) -> bool {
    request.len() > 2
}

fn status(code: Code, delay: Option<Duration>) -> Status {
    let message = "told to answer so";
    match delay {
        Some(delay) => {
            let details = ErrorDetails::with_retry_info(Some(delay));
            Status::with_error_details(code, message, details)
        }
        None => Status::new(code, message),
    }
}

/// Takes requests as bytes, encodes answers.
struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = ExportTraceServiceResponse;
    type Decode = Bytes;
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
    type Item = ExportTraceServiceResponse;
    type Error = Status;

    fn encode(
        &mut self,
        response: ExportTraceServiceResponse,
        buffer: &mut EncodeBuf<'_>,
    ) -> Result<(), Status> {
        response.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
