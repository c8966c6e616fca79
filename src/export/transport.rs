//! The interface between delivery and the wire, so that the rules can be tested without sockets.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;

use super::code::Code;
use crate::ids::TraceId;

/// The user agent of the exporter.
pub(super) const USER_AGENT: &str = concat!("tailsieve/", env!("CARGO_PKG_VERSION"));

/// A way to send requests to the backend.
pub(super) trait Transport: Send + Sync + 'static {
    /// One attempt, with the time limit of the transport.
    fn send(&self, request: Request) -> impl Future<Output = Result<Reply, Failure>> + Send;

    /// Whether the backend accepts requests: sends one without spans, with these forwarded headers.
    fn probe(&self, forwarded: Bytes) -> impl Future<Output = Result<(), Failure>> + Send {
        async { self.send(Request::without_spans(forwarded)).await.map(drop) }
    }
}

/// An `ExportTraceServiceRequest` with one empty `ResourceSpans`.
const NO_SPANS: &[u8] = &[0x0a, 0x00];

/// One `ExportTraceServiceRequest`.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// Their concatenation is the message.
    pub(super) pieces: Vec<Piece>,
    /// The forwarded headers: see [`record_headers`](crate::kafka::record_headers).
    pub(super) forwarded: Bytes,
    /// A connection not to use, if another one works.
    pub(super) not_over: Option<usize>,
}

/// A chunk, as a transport needs it.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    /// The trace of its spans.
    pub(super) trace_id: TraceId,
    /// The encoded spans.
    pub(super) bytes: Bytes,
}

impl Request {
    /// A request that holds no spans.
    fn without_spans(forwarded: Bytes) -> Self {
        Self { forwarded, ..Self::of(Bytes::from_static(NO_SPANS)) }
    }

    /// A request with this message, which is of no trace.
    pub(super) fn of(message: Bytes) -> Self {
        let trace_id = TraceId::from_slice(&[1; 16]).expect("it is not zero");
        let piece = Piece { trace_id, bytes: message };
        Self { pieces: vec![piece], forwarded: Bytes::new(), not_over: None }
    }

    /// The size of the message in bytes, before compression.
    pub(super) fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.bytes.len()).sum()
    }
}

/// The backend accepted the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reply {
    /// Spans that it rejected nevertheless (`partial_success.rejected_spans`).
    pub(super) rejected_spans: u64,
    /// Why it rejected them, or a warning.
    pub(super) message: String,
}

impl From<ExportTraceServiceResponse> for Reply {
    fn from(response: ExportTraceServiceResponse) -> Self {
        let partial = response.partial_success.unwrap_or_default();
        Self {
            rejected_spans: u64::try_from(partial.rejected_spans).unwrap_or(0),
            message: partial.error_message,
        }
    }
}

/// The backend did not accept the request, or this is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// The code. With every protocol, a broken or missing connection is `Unavailable` of gRPC, and a
    /// time-out `DeadlineExceeded`.
    pub(super) code: Code,
    /// The reason, for the log.
    pub(super) message: String,
    /// The delay of `RetryInfo` or `Retry-After`, if there is one of them.
    pub(super) retry_after: Option<Duration>,
    /// Whether it is clearly about the size of the request.
    pub(super) is_too_large: bool,
    /// The connection that it was sent over.
    pub(super) over: Option<usize>,
    /// The indexes of pieces that were accepted nevertheless, if pieces are sent one by one.
    pub(super) taken: Vec<usize>,
}

impl Failure {
    /// A failure with a code and a message.
    pub(super) fn new(code: impl Into<Code>, message: impl Into<String>) -> Self {
        let (code, message) = (code.into(), message.into());
        Self {
            code,
            message,
            retry_after: None,
            is_too_large: false,
            over: None,
            taken: Vec::new(),
        }
    }

    /// There was no answer.
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(tonic::Code::Unavailable, message)
    }

    /// Whether the answer may mean that the request does not name its tenant.
    pub(super) fn is_for_want_of_identity(&self) -> bool {
        use tonic::Code as Grpc;
        let grpc = [Grpc::Unauthenticated, Grpc::PermissionDenied, Grpc::InvalidArgument];
        match self.code {
            Code::Grpc(code) => grpc.contains(&code),
            Code::Http(status) => matches!(status, 400 | 401 | 403),
        }
    }

    /// There was no answer in time.
    pub(super) fn timed_out() -> Self {
        Self::new(tonic::Code::DeadlineExceeded, "no answer within the timeout")
    }
}
