//! What Jaeger asks its archive, over gRPC: traces by their ids (`GetTraces` of the service
//! `jaeger.storage.v2.TraceReader`).
//!
//! Jaeger asks for traces that its own storage lacks, and shows what its archive says. So kept traces are
//! answered, too; one that is not here is left out; and where it cannot be said whether it is, that is an
//! error. Whatever else Jaeger asks of a storage is not implemented.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use axum::routing::post;
use bytes::{BufMut as _, Bytes};
use prost::Message as _;
use prost_types::Timestamp;
use tokio::sync::mpsc;
use tonic::Status;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::server::{Grpc, ServerStreamingService};

use super::Served;
use super::audit::{Caller, text};
use super::keep::Keeper;
use super::stream::Peer;
use crate::ids::TraceId;
use crate::proto::jaeger::{GetTraceParams, GetTracesRequest};
use crate::retrieval::lookups::{Lookups, Question};
use crate::retrieval::pieces;
use crate::telemetry::metrics::Retrieved;

const GET_TRACES: &str = "/jaeger.storage.v2.TraceReader/GetTraces";

/// Names the tenant who asks. Another name may be configured in Jaeger.
const TENANT: &str = "x-tenant";

/// What a client of gRPC takes by default.
const LARGEST_MESSAGE: usize = 4 << 20;

/// Some thousand ids.
const LARGEST_REQUEST: usize = 64 << 10;

/// How many messages wait until Jaeger takes them.
const WAITING: usize = 1;

/// How long it may take none.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn router() -> Router<Served> {
    Router::new().route(GET_TRACES, post(get_traces))
}

/// True for calls of gRPC, of whatever method.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|it| it.as_bytes().starts_with(b"application/grpc"))
}

/// The answer to other methods: those which search, and that which archives a trace.
pub(super) fn unimplemented() -> Response {
    Status::unimplemented(
        "tailsieve answers GetTraces of jaeger.storage.v2.TraceReader only: traces are found by their \
         id, and cannot be stored here",
    )
    .into_http()
}

async fn get_traces(
    State(Served { lookups, guard, keeper }): State<Served>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    request: Request,
) -> Response {
    let caller = Caller { peer, tenant: text(request.headers(), TENANT) };
    if !guard.lets_pass(&request) {
        caller.log("", &lookups.refuse(Retrieved::Unauthorized));
        return Status::unauthenticated(
            "tailsieve: expected the header `authorization: Bearer TOKEN` with the token of the \
             configuration (retrieval.token), and on a loopback address no foreign name",
        )
        .into_http();
    }
    let mut grpc = Grpc::new(TracesCodec)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .max_decoding_message_size(LARGEST_REQUEST);
    let call = GetTraces { lookups, keeper, caller: Arc::new(caller) };
    grpc.server_streaming(call, request).await.map(Body::new)
}

/// One call.
struct GetTraces {
    lookups: Arc<Lookups>,
    keeper: Option<Arc<Keeper>>,
    caller: Arc<Caller>,
}

type Messages = mpsc::Sender<Result<Bytes, Status>>;

impl ServerStreamingService<GetTracesRequest> for GetTraces {
    type Response = Bytes;
    type ResponseStream = ReceiverStream<Result<Bytes, Status>>;
    type Future = Ready<Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: tonic::Request<GetTracesRequest>) -> Self::Future {
        let (messages, stream) = mpsc::channel(WAITING);
        let call = Self {
            lookups: Arc::clone(&self.lookups),
            keeper: self.keeper.clone(),
            caller: Arc::clone(&self.caller),
        };
        tokio::spawn(call.answer(request.into_inner().query, messages));
        ready(Ok(tonic::Response::new(ReceiverStream::new(stream))))
    }
}

impl GetTraces {
    /// Sends one trace after the other, until nobody listens any more.
    async fn answer(self, wanted: Vec<GetTraceParams>, messages: Messages) {
        for params in wanted {
            if messages.is_closed() {
                return;
            }
            if self.send_trace(&params, &messages).await.is_none() {
                return;
            }
        }
    }

    /// `None` if nothing can be sent any more.
    async fn send_trace(&self, params: &GetTraceParams, messages: &Messages) -> Option<()> {
        let tenants: Vec<&str> = match &*self.caller.tenant {
            "" => Vec::new(),
            tenant => vec![tenant],
        };
        let question = question(params);
        let answer = match question {
            None => self.lookups.refuse(Retrieved::Malformed),
            // All of it is here already, and it is sent in pieces.
            Some(question) => self.lookups.look_up(question, &tenants, usize::MAX).await,
        };
        let id = question.map_or_else(|| hex(&params.trace_id), |question| question.id.to_string());
        self.caller.log(&id, &answer);
        if let (Some(keeper), Some(question), Retrieved::Found) =
            (&self.keeper, question, answer.outcome)
        {
            keeper.opened(question.id, &tenants);
        }
        if let Some(status) = error(answer.outcome) {
            let _ = messages.send(Err(status)).await;
            return None;
        }
        let (pieces, is_cut) = pieces::messages(&answer.data, LARGEST_MESSAGE);
        if is_cut {
            self.lookups.count_cut();
        }
        for piece in pieces {
            messages.send_timeout(Ok(piece), PATIENCE).await.ok()?;
        }
        Some(())
    }
}

/// What is asked for; `None` if the id is none.
fn question(params: &GetTraceParams) -> Option<Question> {
    let id = TraceId::from_slice(&params.trace_id)?;
    let (start, end) = (millis(params.start_time.as_ref()), millis(params.end_time.as_ref()));
    Some(Question { id, start, end, all: true })
}

/// Since the Unix epoch. What is before that is no time: Jaeger then sends the year 1.
fn millis(time: Option<&Timestamp>) -> Option<i64> {
    let time = time?;
    let millis = time.seconds.checked_mul(1000)?.checked_add(i64::from(time.nanos / 1_000_000))?;
    (millis > 0).then_some(millis)
}

/// As it came, as far as it may be an id.
fn hex(id: &[u8]) -> String {
    id.iter().take(size_of::<TraceId>()).map(|byte| format!("{byte:02x}")).collect()
}

/// Why it cannot be said whether the trace is here.
fn error(outcome: Retrieved) -> Option<Status> {
    match outcome {
        Retrieved::Found
        | Retrieved::Kept
        | Retrieved::NotFound
        | Retrieved::StillOpen
        | Retrieved::BeyondRetention
        | Retrieved::WrongTenant => None,
        Retrieved::OverBudget => Some(Status::resource_exhausted(
            "tailsieve: it took too long, or too many traces are looked up (retrieval.lookups, \
             retrieval.bytes_per_second)",
        )),
        Retrieved::KafkaAway => Some(Status::unavailable("tailsieve: Kafka does not answer")),
        Retrieved::Unauthorized => Some(Status::unauthenticated("tailsieve: no token")),
        Retrieved::Malformed => Some(Status::invalid_argument(
            "tailsieve: expected trace ids of 16 bytes that are not all zero",
        )),
    }
}

/// Reads the request, and sends messages that are encoded already.
struct TracesCodec;

impl Codec for TracesCodec {
    type Encode = Bytes;
    type Decode = GetTracesRequest;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for TracesCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for TracesCodec {
    type Item = GetTracesRequest;
    type Error = Status;

    #[expect(clippy::disallowed_methods, reason = "ids and times")]
    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<GetTracesRequest>, Status> {
        let request = GetTracesRequest::decode(buffer);
        request.map(Some).map_err(|error| Status::invalid_argument(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_jaeger() {
        let at = |seconds, nanos| millis(Some(&Timestamp { seconds, nanos }));
        assert_eq!(at(1_700_000_000, 123_456_789), Some(1_700_000_000_123));
        assert_eq!(at(-62_135_596_800, 0), None, "the zero of Go is no time");
        assert_eq!((at(0, 0), at(i64::MAX, 0), millis(None)), (None, None, None));
    }

    #[test]
    fn an_id_has_16_bytes() {
        let asked = |trace_id: &[u8]| {
            let params = GetTraceParams { trace_id: trace_id.to_vec(), ..Default::default() };
            question(&params).map(|question| (question.id.to_string(), question.all))
        };
        assert_eq!(asked(&[7; 16]), Some(("07".repeat(16), true)));
        for wrong in [&[0; 16][..], &[7; 8], &[7; 17], &[]] {
            assert_eq!(asked(wrong), None);
        }
        assert_eq!(hex(&[0xab; 100]), "ab".repeat(16));
    }
}
