//! The server of dropped traces: for Tempo, which asks it at every look-up of a trace by its id, and for
//! Jaeger, which asks it for those that it does not have.
//!
//! Owns the socket, its encryption, and who may ask. HTTP/1.1 and HTTP/2 come in on the same one. Promises
//! that whatever goes wrong, Tempo hears that the trace is not here, at once: any other answer would fail
//! the look-up of its user.

mod audit;
mod body;
mod guard;
mod jaeger;
mod keep;
mod stream;
mod tempo;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rdkafka::error::KafkaError;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::lookups::Lookups;
use super::{Asker, Keep, RetrievalSettings};
use crate::telemetry::admin::last_requests;
use guard::Guard;
use keep::Keeper;
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
    /// Nobody can be asked to keep a trace.
    #[error("traces cannot be kept (retrieval.keep): {0}")]
    Keep(KafkaError),
}

/// A server that listens and does not answer yet.
pub struct RetrievalServer {
    listener: TcpListener,
    tls: Option<Tls>,
    /// Unless traces are shown, and no more.
    asker: Option<Asker>,
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
        let asker = match settings.keep {
            Keep::Never => None,
            Keep::OnRequest | Keep::OnOpen => Some(Asker::new(&settings.origin)),
        };
        let asker = asker.transpose().map_err(ServerError::Keep)?;
        let listen = settings.listen;
        let listener = TcpListener::bind(listen).await;
        let listener = listener.map_err(|source| ServerError::Listen { listen, source })?;
        Ok(Self { listener, tls, asker, settings })
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
        let on_open = self.settings.keep == Keep::OnOpen;
        let lookups = Arc::new(Lookups::new(self.settings));
        let keeper = |asker| Arc::new(Keeper::new(Arc::clone(&lookups), asker, on_open));
        let keeper = self.asker.map(keeper);
        let router = router(Served { lookups, guard, keeper });
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
    /// Unless traces are shown, and no more.
    keeper: Option<Arc<Keeper>>,
}

fn router(served: Served) -> Router {
    let mut router = tempo::router().merge(jaeger::router());
    if let Some(keeper) = &served.keeper {
        router = router.merge(keep::router(Arc::clone(keeper)));
    }
    router.fallback(not_there).method_not_allowed_fallback(not_there).with_state(served)
}

async fn not_there(request: Request) -> Response {
    if jaeger::is_grpc(request.headers()) {
        return jaeger::unimplemented();
    }
    StatusCode::NOT_FOUND.into_response()
}
