//! Section `admin` of the static file.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use serde_json::json;

use crate::options::{boolean, name, options, path};
use crate::secret::Secret;
use crate::telemetry::admin::status::TraceUrl;
use crate::telemetry::admin::{AdminSettings, Changes, Token};

/// Where the pages are served unless the file says otherwise: on this machine only, at the port that
/// OpenTelemetry's Prometheus exporters use.
const LISTEN: &str = "127.0.0.1:9464";

options! {
    /// The pages for operation.
    pub(super) struct Admin {
        /// Where they are served: host:port. Who can reach it sees all of them; 0.0.0.0:9464 opens
        /// them to other machines.
        listen: SocketAddr = name().try_map(address).or(LISTEN),
        /// Whether requests may change something (`POST /-/reload`), or try policies on what passes. SIGHUP
        /// and a change of the policy file always may.
        allow_changes: bool = boolean().or("true"),
        /// The bearer token that requests that change something need; none by default.
        token: Option<Secret> = name().map(Secret::new).optional(),
        /// A file with that token; it is read again for each such request.
        token_file: Option<PathBuf> = path().optional(),
        /// Makes links of kept traces on the status page: a URL in which `{traceId}` stands for the
        /// trace id.
        trace_url: Option<TraceUrl> = name().try_map(trace_url).optional(),
    }
    then |section| {
        section.rule("not", json!({ "required": ["token", "token_file"] }));
        if section.has("token") && section.has("token_file") {
            let message = "expected only one of `token` and `token_file`";
            section.problem(message, "token_file: /var/run/secrets/token");
        }
    }
}

impl Admin {
    pub(super) fn settings(self) -> AdminSettings {
        let token = self.token.map(Token::Text).or(self.token_file.map(Token::File));
        let changes = match (self.allow_changes, token) {
            (false, _) => Changes::Off,
            (true, None) => Changes::Open,
            (true, Some(token)) => Changes::WithToken(token),
        };
        AdminSettings { listen: self.listen, changes, trace_url: self.trace_url }
    }
}

fn trace_url(text: String) -> Result<TraceUrl, String> {
    TraceUrl::new(&text).map_err(|error| format!("{error}, found `{text}`"))
}

/// An address to listen on: `host:port`; a name is looked up.
pub(super) fn address(text: String) -> Result<SocketAddr, String> {
    let expected = || format!("expected an address such as `{LISTEN}`, found `{text}`");
    let mut found = text.to_socket_addrs().map_err(|_| expected())?;
    found.next().ok_or_else(expected)
}
