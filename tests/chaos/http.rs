//! A backend that speaks OTLP/HTTP: the answers of a gRPC one, in the words of HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;
use tailsieve::testing::testbed::receiver::Behaviour;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::Code;

/// Says what to do with a request.
type Judge = Arc<dyn Fn(&Bytes) -> Behaviour + Send + Sync>;

/// A running server; it ends when it is dropped.
pub struct HttpServer {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl HttpServer {
    /// A server on a free port. Requests must not be compressed.
    pub async fn start(judge: Judge) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // What HTTP receivers take is more than axum does.
        let limit = DefaultBodyLimit::max(20 * 1024 * 1024);
        let router = Router::new().route("/v1/traces", post(export)).layer(limit).with_state(judge);
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self { address, serving }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn export(State(judge): State<Judge>, request: Bytes) -> Response {
    match judge(&request) {
        Behaviour::Accept => taken(0),
        Behaviour::PartialSuccess { rejected } => taken(rejected),
        Behaviour::Delay(delay) => {
            tokio::time::sleep(delay).await;
            taken(0)
        }
        Behaviour::Code(code, wait) => refused(code, wait),
        Behaviour::CloseConnection | Behaviour::AcceptThenClose => {
            // A task that ends so takes its connection with it, without a word to the client.
            std::panic::resume_unwind(Box::new("the connection is closed"))
        }
        // What a proxy says for a backend that says nothing.
        Behaviour::NoStatus => StatusCode::BAD_GATEWAY.into_response(),
        Behaviour::Page(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            (status, Html("<html><body>proxy</body></html>")).into_response()
        }
        Behaviour::Unavailable | Behaviour::AcceptThenFail | Behaviour::Judge(_) => {
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

fn taken(rejected_spans: i64) -> Response {
    let partial_success = (rejected_spans != 0).then(|| ExportTracePartialSuccess {
        rejected_spans,
        error_message: "told to reject spans".to_owned(),
    });
    let body = ExportTraceServiceResponse { partial_success }.encode_to_vec();
    ([(header::CONTENT_TYPE, "application/x-protobuf")], body).into_response()
}

fn refused(code: Code, wait: Option<Duration>) -> Response {
    let status = status(code);
    match wait {
        // Whole seconds are all that the header can say.
        Some(wait) => {
            let seconds = wait.as_secs().max(1).to_string();
            (status, [(header::RETRY_AFTER, seconds)]).into_response()
        }
        None => status.into_response(),
    }
}

/// The status for what a gRPC code says. Codes after which clients retry are all those of OTLP/HTTP
/// after which they do.
fn status(code: Code) -> StatusCode {
    match code {
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Aborted | Code::DataLoss => StatusCode::BAD_GATEWAY,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Unavailable | Code::Cancelled | Code::OutOfRange => StatusCode::SERVICE_UNAVAILABLE,
        Code::InvalidArgument | Code::FailedPrecondition => StatusCode::BAD_REQUEST,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_answers_as_it_is_told() {
        let judge = |request: &Bytes| match &request[..] {
            b"take" => Behaviour::Accept,
            b"wait" => Behaviour::Code(Code::ResourceExhausted, Some(Duration::from_millis(1))),
            _ => Behaviour::CloseConnection,
        };
        let server = HttpServer::start(Arc::new(judge)).await;
        let url = format!("http://{}/v1/traces", server.address());
        let ask = |body: &'static str| reqwest::Client::new().post(&url).body(body).send();
        assert_eq!(ask("take").await.unwrap().status().as_u16(), 200);
        let answer = ask("wait").await.unwrap();
        assert_eq!(answer.status().as_u16(), 429);
        assert_eq!(answer.headers()["retry-after"], "1");
        ask("close").await.unwrap_err();
    }
}
