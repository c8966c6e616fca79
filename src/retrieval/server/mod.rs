//! The server of dropped traces: for Tempo, which asks it at every look-up of a trace by its id, and for
//! Jaeger, which asks it for those that it does not have.
//!
//! Owns the socket, its encryption, and who may ask. HTTP/1.1 and HTTP/2 come in on the same one. Promises
//! that whatever goes wrong, Tempo hears that the trace is not here, at once: any other answer would fail
//! the look-up of its user.

mod audit;
mod guard;
mod jaeger;
mod stream;
mod tempo;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::RetrievalSettings;
use super::lookups::Lookups;
use crate::telemetry::admin::last_requests;
use guard::Guard;
use stream::{Streams, Tls};

/// The server cannot be started.
#[derive(Debug, Error)]
pub enum ServerError {
    /// Another process has the address, or it is none of this machine.
    #[error("traces cannot be served on {listen} (retrieval.listen): {source}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The token is in a file that is of no use.
    #[error("the token of the traces cannot be read from its file (retrieval.token_file): {0}")]
    Token(io::Error),
    /// The certificate or its key is of no use.
    #[error("the certificate of the traces cannot be used (retrieval.tls): {0}")]
    Tls(String),
}

/// A server that listens and does not answer yet.
pub struct RetrievalServer {
    listener: TcpListener,
    tls: Option<Tls>,
    settings: RetrievalSettings,
}

impl RetrievalServer {
    /// Listens.
    ///
    /// # Errors
    /// When the address cannot be listened on, or a file cannot be used.
    pub async fn bind(settings: RetrievalSettings) -> Result<Self, ServerError> {
        if let Some(token) = &settings.token {
            token.read().map_err(ServerError::Token)?;
        }
        let tls = settings.tls.clone().map(Tls::new).transpose().map_err(ServerError::Tls)?;
        let listen = settings.listen;
        let listener = TcpListener::bind(listen).await;
        let listener = listener.map_err(|source| ServerError::Listen { listen, source })?;
        Ok(Self { listener, tls, settings })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap_or(self.settings.listen)
    }

    /// Serves until `stop` is cancelled.
    pub async fn serve(self, stop: CancellationToken) {
        let address = self.address();
        let guard = Arc::new(Guard::new(address, self.settings.token.clone()));
        tracing::info!(%address, tls = self.tls.is_some(), "retrieval.listening");
        let router = router(Served { lookups: Arc::new(Lookups::new(self.settings)), guard });
        let streams = Streams::new(self.listener, self.tls);
        let stopping = stop.clone();
        let service = router.into_make_service_with_connect_info::<stream::Peer>();
        let server = axum::serve(streams, service)
            .with_graceful_shutdown(async move { stopping.cancelled().await })
            .into_future();
        tokio::select! {
            served = server => if let Err(error) = served {
                tracing::error!(%error, "retrieval.failed");
            },
            () = last_requests(&stop) => {}
        }
    }
}

/// What all answers are made of.
#[derive(Clone)]
struct Served {
    lookups: Arc<Lookups>,
    guard: Arc<Guard>,
}

fn router(served: Served) -> Router {
    tempo::router()
        .merge(jaeger::router())
        .fallback(not_there)
        .method_not_allowed_fallback(not_there)
        .with_state(served)
}

async fn not_there(request: Request) -> Response {
    if jaeger::is_grpc(request.headers()) {
        return jaeger::unimplemented();
    }
    StatusCode::NOT_FOUND.into_response()
}
