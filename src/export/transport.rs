//! What delivery needs of a transport, so that its rules can be tested without sockets.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;

use super::code::Code;
use crate::ids::TraceId;

/// What the exporter calls itself.
pub(super) const USER_AGENT: &str = concat!("tailsieve/", env!("CARGO_PKG_VERSION"));

/// One way of getting a request to the backend and an answer back.
pub(super) trait Transport: Send + Sync + 'static {
    /// One attempt, with whatever time limit the transport has.
    fn send(&self, request: Request) -> impl Future<Output = Result<Reply, Failure>> + Send;

    /// Whether the backend takes requests: sends one without spans, with all that belongs to it and
    /// with what goes `forwarded`.
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
    /// What goes along with all of them: see [`record_headers`](crate::kafka::record_headers).
    pub(super) forwarded: Bytes,
    /// The connection not to be sent over, if there is another one that works.
    pub(super) not_over: Option<usize>,
}

/// A chunk as the wire sees it.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    /// The trace that its spans are of.
    pub(super) trace_id: TraceId,
    /// The encoded spans.
    pub(super) bytes: Bytes,
}

impl Request {
    /// A request that holds no spans.
    fn without_spans(forwarded: Bytes) -> Self {
        let trace_id = TraceId::from_slice(&[1; 16]).expect("it is not zero");
        let piece = Piece { trace_id, bytes: Bytes::from_static(NO_SPANS) };
        Self { pieces: vec![piece], forwarded, not_over: None }
    }

    /// The size of the message in bytes, before compression.
    pub(super) fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.bytes.len()).sum()
    }
}

/// The backend took the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reply {
    /// Spans it took and threw away nevertheless (`partial_success.rejected_spans`).
    pub(super) rejected_spans: u64,
    /// What it has to say about that, or a warning without rejected spans.
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

/// The backend did not take the request, or nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// The code. Whatever the protocol, a broken or missing connection is `Unavailable` of gRPC, and
    /// a time-out of ours `DeadlineExceeded`.
    pub(super) code: Code,
    /// The reason, for the log.
    pub(super) message: String,
    /// `RetryInfo` or `Retry-After`: that it is there, and the delay it asks for.
    pub(super) retry_after: Option<Duration>,
    /// Whether it is clearly about the size of the request.
    pub(super) is_too_large: bool,
    /// The connection that it was sent over.
    pub(super) over: Option<usize>,
    /// The pieces, by their index, that were taken nevertheless. Only where pieces travel apart.
    pub(super) taken: Vec<usize>,
}

impl Failure {
    /// A failure that says no more than its code.
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

    /// Nobody answered.
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(tonic::Code::Unavailable, message)
    }

    /// Whether it is what is answered to who does not say who he is.
    pub(super) fn is_for_want_of_identity(&self) -> bool {
        use tonic::Code as Grpc;
        let grpc = [Grpc::Unauthenticated, Grpc::PermissionDenied, Grpc::InvalidArgument];
        match self.code {
            Code::Grpc(code) => grpc.contains(&code),
            Code::Http(status) => matches!(status, 400 | 401 | 403),
        }
    }

    /// The time is over.
    pub(super) fn timed_out() -> Self {
        Self::new(tonic::Code::DeadlineExceeded, "no answer within the timeout")
    }
}
