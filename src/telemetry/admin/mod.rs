//! The admin pages: `/metrics`, `/livez`, `/readyz`, `/policies`, `/-/reload`, and a page with links to
//! them.
//!
//! Owns the HTTP server, and who may ask it for what. Promises that a page never blocks the
//! pipeline and shows nothing secret. Leaves to others what the metrics and the checks mean.

pub(crate) mod guard;
mod pages;
pub(crate) mod patience;
pub mod status;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::routing::{get, post};
use axum::{Router, middleware};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use guard::Guard;
use patience::PatientListener;
use status::{StatusSource, TraceUrl, View};

pub use guard::{Changes, Token};

/// How long to wait for open connections at the end.
const LAST_REQUESTS: Duration = Duration::from_secs(1);

/// Section `admin` of the static file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// Where the pages are served; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Who may change something.
    pub changes: Changes,
    /// Where kept traces can be looked at.
    pub trace_url: Option<TraceUrl>,
}

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
    /// What a status page and the API show, if the process is a member.
    pub status: Option<Arc<dyn StatusSource>>,
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
pub enum AdminError {
    /// Another process has the address, or it is none of this machine.
    #[error("the admin pages cannot be served on {listen} (admin.listen): {source}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The token is in a file that is of no use.
    #[error("the token of the admin pages cannot be read from its file (admin.token_file): {0}")]
    Token(io::Error),
}

/// A server that listens and does not answer yet.
#[derive(Debug)]
pub struct AdminServer {
    settings: AdminSettings,
    listener: TcpListener,
}

impl AdminServer {
    /// Listens.
    ///
    /// # Errors
    /// When the address cannot be listened on, or the token cannot be read.
    pub async fn bind(settings: AdminSettings) -> Result<Self, AdminError> {
        if let Changes::WithToken(token) = &settings.changes {
            token.read().map_err(AdminError::Token)?;
        }
        let listen = settings.listen;
        let listener = TcpListener::bind(listen).await;
        let listener = listener.map_err(|source| AdminError::Listen { listen, source })?;
        Ok(Self { settings, listener })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap_or(self.settings.listen)
    }

    /// Serves the pages until `stop` is cancelled.
    pub async fn serve(self, pages: Pages, stop: CancellationToken) {
        let guard = Arc::new(Guard::new(self.address(), self.settings.changes));
        let url = self.settings.trace_url;
        let looks = (url, Arc::clone(&guard));
        let view = pages.status.clone();
        let view = view.map(|it| View::new(it, pages.clone(), looks, stop.clone()));
        let view = view.map(Arc::new);
        let router =
            router(pages, view.clone()).layer(middleware::from_fn_with_state(guard, guard::guard));
        let stopping = stop.clone();
        let server = axum::serve(PatientListener(self.listener), router)
            .with_graceful_shutdown(async move { stopping.cancelled().await })
            .into_future();
        tokio::select! {
            served = server => if let Err(error) = served {
                tracing::error!(%error, "admin.failed");
            },
            () = last_requests(&stop) => {}
            () = watch(view) => {}
        }
    }
}

/// Ends a moment after `stop` is cancelled: so long do open connections have.
pub(crate) async fn last_requests(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(LAST_REQUESTS).await;
}

/// Looks at a member for ever.
async fn watch(view: Option<Arc<View>>) {
    match view {
        Some(view) => view.watch().await,
        None => std::future::pending().await,
    }
}

fn router(pages: Pages, view: Option<Arc<View>>) -> Router {
    let home = match view {
        Some(view) => status::router(view),
        None => Router::new().route("/", get(pages::home)).with_state(pages.clone()),
    };
    let pages = Router::new()
        .route("/livez", get(pages::livez))
        .route("/readyz", get(pages::readyz))
        .route("/metrics", get(pages::metrics))
        .route("/policies", get(pages::policies))
        .route("/-/reload", post(pages::reload))
        .with_state(pages);
    home.merge(pages)
}

#[cfg(test)]
mod tests;
