//! What delivery needs of a transport, so that its rules can be tested without sockets.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use tonic::Code;

/// One way of getting a request to the backend and an answer back.
pub(super) trait Transport: Send + Sync + 'static {
    /// One attempt, with whatever time limit the transport has.
    fn send(&self, request: Request) -> impl Future<Output = Result<Reply, Failure>> + Send;

    /// Opens and closes a connection: whether somebody listens.
    fn probe(&self) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// The pieces of one `ExportTraceServiceRequest`: their concatenation is the message.
#[derive(Clone, Debug)]
pub(super) struct Request(pub(super) Vec<Bytes>);

impl Request {
    /// The size of the message in bytes, before compression.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
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

/// The backend did not take the request, or nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// The gRPC code. A broken or missing connection is `Unavailable`, a time-out of ours
    /// `DeadlineExceeded`.
    pub(super) code: Code,
    /// The reason, for the log.
    pub(super) message: String,
    /// `RetryInfo` in the status details: that it is there, and the delay it asks for.
    pub(super) retry_after: Option<Duration>,
}
