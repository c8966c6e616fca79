//! The admin pages: `/metrics`, `/livez`, `/readyz`, `/policies`, `/-/reload`, and a page with links to
//! them.
//!
//! Owns the HTTP server. Promises that a page never blocks the
//! pipeline and shows nothing secret. Leaves to others what the metrics and the checks mean.

mod pages;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long to wait for open connections at the end.
const LAST_REQUESTS: Duration = Duration::from_secs(1);

/// One condition of being ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is checked, for example `kafka`.
    pub name: &'static str,
    /// `Ok`, or what is missing.
    pub state: Result<(), String>,
}

/// What the pages show.
#[derive(Clone)]
pub struct Pages {
    /// Renders the metrics.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// The conditions of being ready, as they are now.
    pub readiness: Arc<dyn Fn() -> Vec<Check> + Send + Sync>,
    /// Current problems that do not stop spans.
    pub notes: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    /// The active policies, if the process reloads them.
    pub policies: Option<PolicyPages>,
}

/// The result of a reload: what changed, or every error in the file.
pub type Reloaded = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// What the pages of policies show and do.
#[derive(Clone)]
pub struct PolicyPages {
    /// The active policies, as text.
    pub text: Arc<dyn Fn() -> String + Send + Sync>,
    /// The same as a JSON object.
    pub json: Arc<dyn Fn() -> String + Send + Sync>,
    /// Reads the policy file again.
    pub reload: Arc<dyn Fn() -> Reloaded + Send + Sync>,
}

/// The server cannot be started.
#[derive(Debug, Error)]
#[error("the admin pages cannot be served on {listen} (admin.listen): {source}")]
pub struct AdminError {
    listen: SocketAddr,
    source: io::Error,
}

/// Listens on `listen`; port 0 takes a free one.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn bind(listen: SocketAddr) -> Result<TcpListener, AdminError> {
    TcpListener::bind(listen).await.map_err(|source| AdminError { listen, source })
}

/// Serves the pages until `stop` is cancelled.
pub async fn serve(listener: TcpListener, pages: Pages, stop: CancellationToken) {
    let router = Router::new()
        .route("/", get(pages::home))
        .route("/livez", get(pages::livez))
        .route("/readyz", get(pages::readyz))
        .route("/metrics", get(pages::metrics))
        .route("/policies", get(pages::policies))
        .route("/-/reload", post(pages::reload))
        .with_state(pages);
    let stopping = stop.clone();
    let server = axum::serve(listener, router)
        .with_graceful_shutdown(async move { stopping.cancelled().await })
        .into_future();
    let last_requests = async {
        stop.cancelled().await;
        tokio::time::sleep(LAST_REQUESTS).await;
    };
    tokio::select! {
        served = server => if let Err(error) = served {
            tracing::error!(%error, "admin.failed");
        },
        () = last_requests => {}
    }
}

#[cfg(test)]
mod tests;
