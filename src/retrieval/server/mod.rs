//! The server of dropped traces: for Tempo, which asks it at every look-up of a trace by its id.
//!
//! Owns the socket, its encryption, and who may ask. Promises that whatever goes wrong, Tempo hears that the
//! trace is not here, at once: any other answer would fail the look-up of its user.

mod guard;
mod stream;
mod tempo;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

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
        let guard = Guard::new(self.address(), self.settings.token.clone());
        let address = self.address();
        tracing::info!(%address, tls = self.tls.is_some(), "retrieval.listening");
        let router = tempo::router(Arc::new(Lookups::new(self.settings)), Arc::new(guard));
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
