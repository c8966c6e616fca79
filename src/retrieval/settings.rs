//! What section `retrieval` of the static file says.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::Origin;
use crate::telemetry::admin::Token;

/// Section `retrieval`, where it says that traces are served.
#[derive(Clone, Debug, PartialEq)]
pub struct RetrievalSettings {
    /// Where the traces are.
    pub origin: Origin,
    /// Where they are served; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The certificate of the server; without, nothing is encrypted.
    pub tls: Option<TlsFiles>,
    /// What requests have to show.
    pub token: Option<Token>,
    /// The resource attribute that names whose a span is.
    pub tenant_attribute: Option<String>,
    /// Whether dropped traces may be kept after all.
    pub keep: Keep,
    /// How many traces are looked up at once.
    pub lookups: usize,
    /// How much is read for all of them together.
    pub bytes_per_second: u64,
    /// How much of what was found is remembered for a while.
    pub cache_bytes: u64,
}

/// When a dropped trace is kept after all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Never: traces are shown, and no more.
    Never,
    /// When somebody asks for it.
    OnRequest,
    /// When somebody opens it, too.
    OnOpen,
}

/// Files in PEM, which are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and those up to the authority.
    pub cert_file: PathBuf,
    /// Its key.
    pub key_file: PathBuf,
    /// The authorities of whose certificates clients have to show one, if they have to.
    pub client_ca_file: Option<PathBuf>,
}
