//! Who may ask for traces.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::uri::Authority;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::telemetry::admin::Token;
use crate::telemetry::admin::guard::{bearer, is_local};
use crate::telemetry::log_throttle::LogThrottle;

/// How often it is logged that the token cannot be read.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Lets requests pass, or not. On a loopback address nobody is answered who came by a foreign name, which
/// is how a page of another site would read what is here.
pub(super) struct Guard {
    is_loopback: bool,
    token: Option<Token>,
    unreadable: LogThrottle,
}

impl Guard {
    pub(super) fn new(listen: SocketAddr, token: Option<Token>) -> Self {
        let is_loopback = listen.ip().to_canonical().is_loopback();
        Self { is_loopback, token, unreadable: LogThrottle::new(LOG_INTERVAL) }
    }

    pub(super) fn lets_pass(&self, request: &Request) -> bool {
        let headers = request.headers();
        let hosts = headers.get_all(HOST).iter().map(|host| host.to_str().unwrap_or_default());
        // HTTP/2 has the name there.
        let mut hosts = hosts.chain(request.uri().authority().map(Authority::as_str));
        (!self.is_loopback || hosts.all(is_local)) && self.has_token(headers)
    }

    fn has_token(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        // A few bytes, seldom: not worth another thread.
        let expected = match token.read() {
            Ok(expected) => expected,
            Err(error) => {
                if let Some(suppressed) = self.unreadable.allow() {
                    tracing::warn!(%error, suppressed, "retrieval.token_unreadable");
                }
                return false;
            }
        };
        bearer(headers).is_some_and(|token| expected.is(token.as_bytes()))
            || password(headers).is_some_and(|password| expected.is(&password))
    }
}

/// The password of a request (RFC 7617): Tempo sends no bearer token, but what its URL has before the @.
fn password(headers: &HeaderMap) -> Option<Vec<u8>> {
    let (scheme, both) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let both = BASE64_STANDARD.decode(both.trim()).ok()?;
    let colon = both.iter().position(|byte| *byte == b':')?;
    scheme.eq_ignore_ascii_case("basic").then(|| both[colon + 1..].to_vec())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;
    use crate::secret::Secret;

    fn passes(guard: &Guard, headers: &[(&str, &str)]) -> bool {
        passes_to("/", guard, headers)
    }

    fn passes_to(uri: &str, guard: &Guard, headers: &[(&str, &str)]) -> bool {
        let request = Request::builder().uri(uri);
        let request = headers.iter().fold(request, |it, (name, value)| it.header(*name, *value));
        guard.lets_pass(&request.body(Body::empty()).unwrap())
    }

    #[test]
    fn who_has_no_token_or_came_by_a_foreign_name_does_not_pass() {
        let local = "127.0.0.1:1".parse().unwrap();
        let open = Guard::new(local, None);
        assert!(passes(&open, &[("host", "localhost:1")]));
        assert!(!passes(&open, &[("host", "evil.example:1")]));
        assert!(passes_to("http://localhost:1/", &open, &[]));
        assert!(!passes_to("http://evil.example:1/", &open, &[]));
        assert!(passes(&Guard::new("0.0.0.0:1".parse().unwrap(), None), &[("host", "a.example")]));
        let guard = Guard::new(local, Some(Token::Text(Secret::new("tok:en"))));
        assert!(!passes(&guard, &[]));
        assert!(!passes(&guard, &[("authorization", "Bearer token")]));
        assert!(passes(&guard, &[("authorization", "Bearer tok:en")]));
        let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        assert!(passes(&guard, &[("authorization", &basic("tempo:tok:en"))]));
        assert!(!passes(&guard, &[("authorization", &basic("tok:en"))]));
    }
}
