//! Who may ask for what on the admin server.
//!
//! Promises that what changes something happens only if the settings allow it, with the token if they
//! name one, and never because a page of another site sent the request; that a server on a loopback
//! address answers nobody who came to it by a foreign name, which is how a page of another site would
//! read it (DNS rebinding); and that browsers load nothing into our pages from elsewhere.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use axum::extract::{Request, State};
use axum::http::header::{self, AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::secret::Secret;
use crate::telemetry::log_throttle::LogThrottle;

/// How often it is logged that the token cannot be read.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Says in browsers from where a request comes (Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What every answer carries.
const PROTECTION: [(HeaderName, HeaderValue); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
             img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// Who may change something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    /// Nobody.
    Off,
    /// Whoever can reach the server.
    Open,
    /// Who has the token.
    WithToken(Token),
}

/// Where the token of requests that change something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// Here.
    Text(Secret),
    /// In a file, which is read for each request: it may be replaced at any time.
    File(PathBuf),
}

impl Token {
    /// The token itself, without the white space around it.
    pub(crate) fn read(&self) -> io::Result<Secret> {
        let file = match self {
            Self::Text(token) => return Ok(token.clone()),
            Self::File(file) => file,
        };
        let text = fs::read_to_string(file)?;
        match text.trim() {
            "" => Err(io::Error::new(io::ErrorKind::InvalidData, "it is empty")),
            token => Ok(Secret::new(token)),
        }
    }
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    ForeignHost,
    ChangesOff,
    CrossSite,
    NoToken,
    TokenUnreadable,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, why) = match self {
            Self::ForeignHost => (
                StatusCode::FORBIDDEN,
                "admin.listen is an address of this machine only, and answers to its names only, such \
                 as localhost; a proxy before it has to send one of them as Host\n",
            ),
            Self::ChangesOff => (
                StatusCode::FORBIDDEN,
                "requests that change something are switched off (admin.allow_changes)\n",
            ),
            Self::CrossSite => {
                (StatusCode::FORBIDDEN, "a page of another site may not change anything here\n")
            }
            Self::NoToken => (
                StatusCode::UNAUTHORIZED,
                "expected the header `Authorization: Bearer TOKEN` with the token of the \
                 configuration (admin.token, admin.token_file)\n",
            ),
            Self::TokenUnreadable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the token that is expected cannot be read (admin.token_file); the log says why\n",
            ),
        };
        let mut response = (status, why).into_response();
        if self == Self::NoToken {
            let scheme = HeaderValue::from_static("Bearer realm=\"tailsieve\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// Lets requests pass, or not.
#[derive(Debug)]
pub(super) struct Guard {
    is_loopback: bool,
    changes: Changes,
    unreadable: LogThrottle,
}

impl Guard {
    /// Of a server on `listen`.
    pub(super) fn new(listen: SocketAddr, changes: Changes) -> Self {
        let is_loopback = listen.ip().to_canonical().is_loopback();
        Self { is_loopback, changes, unreadable: LogThrottle::new(LOG_INTERVAL) }
    }

    /// Why the request is not answered; `None` if it is.
    fn refusal(&self, request: &Request) -> Option<Refusal> {
        let headers = request.headers();
        let hosts = headers.get_all(HOST).iter().map(|host| host.to_str().unwrap_or_default());
        let mut hosts = hosts.chain(request.uri().authority().map(Authority::as_str));
        if self.is_loopback && !hosts.all(is_local) {
            return Some(Refusal::ForeignHost);
        }
        // Nothing that is safe in the sense of HTTP changes anything.
        let is_change = ![Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
        if !is_change {
            return None;
        }
        if self.changes == Changes::Off {
            return Some(Refusal::ChangesOff);
        }
        if is_cross_site(headers) {
            return Some(Refusal::CrossSite);
        }
        if is_form(request.uri().path()) { None } else { self.refusal_of(bearer(headers)) }
    }

    /// Who may change something.
    pub(super) fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Why `token`, if there is one, is of no use; `None` if it is right, or none is expected.
    pub(super) fn refusal_of(&self, token: Option<&str>) -> Option<Refusal> {
        let Changes::WithToken(expected) = &self.changes else { return None };
        // A few bytes, seldom: not worth another thread.
        let expected = match expected.read() {
            Ok(expected) => expected,
            Err(error) => {
                if let Some(suppressed) = self.unreadable.allow() {
                    tracing::warn!(%error, suppressed, "admin.token_unreadable");
                }
                return Some(Refusal::TokenUnreadable);
            }
        };
        let is_it = token.is_some_and(|token| expected.is(token.as_bytes()));
        if is_it { None } else { Some(Refusal::NoToken) }
    }
}

/// True for the forms of pages. A form cannot send a header: it has a field for the token, at which
/// whoever answers it has to look with [`Guard::refusal_of`].
fn is_form(path: &str) -> bool {
    path == "/trials" || path.starts_with("/trials/")
}

/// Refuses the request, or has it answered; and protects the answer.
pub(super) async fn guard(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match guard.refusal(&request) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    };
    response.headers_mut().extend(PROTECTION.clone());
    response
}

/// The bearer token of a request (RFC 6750).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// True if a browser says that the request comes from a page of another site. Programs that are no
/// browsers say nothing.
pub(crate) fn is_cross_site(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|it| it.to_str().unwrap_or_default());
    if let Some(site) = text(SEC_FETCH_SITE) {
        return !["same-origin", "none"].contains(&site);
    }
    let Some(origin) = text(ORIGIN) else { return false };
    let host = origin.split_once("://").map(|(_, host)| host);
    !host.zip(text(HOST)).is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host))
}

/// Whether `host`, perhaps with a port, can be no other machine.
pub(crate) fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(address) => address.split_once(']').map_or("", |(address, _)| address),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    if let Ok(address) = name.parse::<IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn refusal(guard: &Guard, method: &str, headers: &[(&str, &str)]) -> Option<Refusal> {
        let request = Request::builder().method(method).uri("/-/reload");
        let request = headers.iter().fold(request, |it, (name, value)| it.header(*name, *value));
        guard.refusal(&request.body(Body::empty()).unwrap())
    }

    fn at(listen: &str, changes: Changes) -> Guard {
        Guard::new(listen.parse().unwrap(), changes)
    }

    #[test]
    fn a_server_on_loopback_answers_to_names_of_this_machine() {
        let here = at("127.0.0.1:9464", Changes::Open);
        for host in ["localhost:9464", "127.0.0.1", "[::1]:9464", "LocalHost.", "a.localhost:1"] {
            assert_eq!(refusal(&here, "GET", &[("host", host)]), None, "{host}");
        }
        let foreign =
            ["evil.example:9464", "10.0.0.1", "localhost.evil.example", "[fe80::1]", "", "[::1"];
        for host in foreign {
            for method in ["GET", "POST"] {
                let refused = refusal(&here, method, &[("host", host)]);
                assert_eq!(refused, Some(Refusal::ForeignHost), "{host}");
            }
            let everywhere = at("0.0.0.0:9464", Changes::Open);
            assert_eq!(refusal(&everywhere, "GET", &[("host", host)]), None, "{host}");
        }
        let both = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(refusal(&here, "GET", &both), Some(Refusal::ForeignHost));
        let absolute = Request::builder().uri("http://evil.example/").header("host", "localhost");
        let absolute = absolute.body(Body::empty()).unwrap();
        assert_eq!(here.refusal(&absolute), Some(Refusal::ForeignHost));
        for mapped in ["[::ffff:127.0.0.1]:9464", "[::1]:9464"] {
            let mapped = at(mapped, Changes::Open);
            assert_eq!(refusal(&mapped, "GET", &[("host", "e")]), Some(Refusal::ForeignHost));
        }
    }

    #[test]
    fn a_page_of_another_site_changes_nothing_and_reads_as_it_likes() {
        let open = at("0.0.0.0:9464", Changes::Open);
        let host = ("host", "sieve.example:9464");
        let foreign: &[&[(&str, &str)]] = &[
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site"), ("origin", "http://sieve.example:9464")],
            &[("origin", "http://evil.example")],
            &[("origin", "http://sieve.example")],
            &[("origin", "null")],
        ];
        for headers in foreign {
            let headers = [&[host], *headers].concat();
            assert_eq!(refusal(&open, "POST", &headers), Some(Refusal::CrossSite), "{headers:?}");
            assert_eq!(refusal(&open, "GET", &headers), None, "{headers:?}");
        }
        let own: &[&[(&str, &str)]] = &[
            &[],
            &[("sec-fetch-site", "none")],
            &[("origin", "http://Sieve.example:9464")],
            // A proxy may have changed the host.
            &[("sec-fetch-site", "same-origin"), ("origin", "https://elsewhere.example")],
        ];
        for headers in own {
            let headers = [&[host], *headers].concat();
            assert_eq!(refusal(&open, "POST", &headers), None, "{headers:?}");
        }
    }

    #[test]
    fn changes_can_be_switched_off_or_put_behind_a_token() {
        let off = at("0.0.0.0:1", Changes::Off);
        assert_eq!(refusal(&off, "POST", &[]), Some(Refusal::ChangesOff));
        assert_eq!(refusal(&off, "GET", &[]), None);
        let token = Token::Text(Secret::new("hunter2"));
        let guarded = at("0.0.0.0:1", Changes::WithToken(token));
        let with = |value| refusal(&guarded, "POST", &[("authorization", value)]);
        assert_eq!(refusal(&guarded, "POST", &[]), Some(Refusal::NoToken));
        assert_eq!(with("Bearer hunter2"), None);
        assert_eq!(with("bearer hunter2"), None);
        for wrong in ["Bearer hunter", "Bearer hunter22", "Bearer ", "hunter2", "Basic hunter2"] {
            assert_eq!(with(wrong), Some(Refusal::NoToken), "{wrong}");
        }
        assert_eq!(refusal(&guarded, "GET", &[]), None);
        assert!(!format!("{guarded:?}").contains("hunter2"));
    }

    #[test]
    fn a_token_file_may_be_replaced_at_any_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let guarded = at("0.0.0.0:1", Changes::WithToken(Token::File(file.clone())));
        let with = |value| refusal(&guarded, "POST", &[("authorization", value)]);
        assert_eq!(with("Bearer first"), Some(Refusal::TokenUnreadable));
        fs::write(&file, "first\n").unwrap();
        assert_eq!(with("Bearer first"), None);
        fs::write(&file, "second\n").unwrap();
        assert_eq!(with("Bearer first"), Some(Refusal::NoToken));
        assert_eq!(with("Bearer second"), None);
        fs::write(&file, "\n").unwrap();
        assert_eq!(with("Bearer "), Some(Refusal::TokenUnreadable));
    }
}
