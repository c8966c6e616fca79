//! Asks the admin pages of a member, which may be another process or another machine.
//!
//! Promises an answer or an error within the time that is given, and that no page, however long, is
//! taken in whole. Leaves to others what the pages say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use thiserror::Error;

use crate::config::{self, Diagnostics};

/// A longer page is none of a member's.
const MAX_PAGE_BYTES: usize = 16 * 1024 * 1024;

/// Where the admin pages of a member are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AdminUrl {
    /// Without a slash at its end.
    base: String,
}

impl AdminUrl {
    /// Those that this machine reaches when a member listens on `listen`.
    pub(super) fn of(listen: SocketAddr) -> Self {
        let ip = match listen.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        Self { base: format!("http://{}", SocketAddr::new(ip, listen.port())) }
    }

    /// Those of a member with this static file.
    ///
    /// # Errors
    /// When the file is wrong.
    pub(super) fn of_file(file: &Path) -> Result<Self, Diagnostics> {
        Ok(Self::of(config::load(file)?.admin.listen))
    }

    /// Host and port.
    pub(super) fn authority(&self) -> &str {
        self.base.split_once("://").map_or(self.base.as_str(), |(_, authority)| authority)
    }

    /// The address as people write it.
    pub(super) fn as_str(&self) -> &str {
        &self.base
    }
}

impl FromStr for AdminUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected the address of the admin pages, such as http://localhost:9464";
        let with_scheme =
            if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = with_scheme.parse().map_err(|error| format!("{error}; {expected}"))?;
        match uri.scheme_str() {
            Some("http") if uri.host().is_some_and(|host| !host.is_empty()) => {}
            Some("https") => return Err(format!("members serve them over http; {expected}")),
            _ => return Err(expected.to_owned()),
        }
        // Not repeated: there may be a password in it.
        if uri.authority().is_some_and(|it| it.as_str().contains('@')) {
            return Err(format!("it names a user, and the admin pages have no login; {expected}"));
        }
        if uri.query().is_some() {
            return Err(format!("it ends in a query; {expected}"));
        }
        Ok(Self { base: with_scheme.trim_end_matches('/').to_owned() })
    }
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub(super) enum AskError {
    /// Nothing listens there, or what listens is no HTTP server.
    #[error("{url} does not answer: {reason}")]
    NoAnswer { url: String, reason: String },
    /// The time is over.
    #[error("{url} does not answer within {}", humantime::format_duration(*.timeout))]
    TimeOut { url: String, timeout: Duration },
}

/// A page.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) text: String,
}

/// Asks for pages.
#[derive(Clone)]
pub(super) struct AdminClient {
    client: Client<HttpConnector, Empty<Bytes>>,
    timeout: Duration,
}

impl AdminClient {
    /// A client each of whose questions may take `timeout`.
    pub(super) fn new(timeout: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(timeout));
        Self { client: Client::builder(TokioExecutor::new()).build(connector), timeout }
    }

    /// The page at `path`, whatever its status is.
    pub(super) async fn get(&self, url: &AdminUrl, path: &str) -> Result<Page, AskError> {
        let url = format!("{}{path}", url.base);
        match tokio::time::timeout(self.timeout, self.ask(&url)).await {
            Ok(Ok(page)) => Ok(page),
            Ok(Err(reason)) => Err(AskError::NoAnswer { url, reason }),
            Err(_) => Err(AskError::TimeOut { url, timeout: self.timeout }),
        }
    }

    async fn ask(&self, url: &str) -> Result<Page, String> {
        let request = Request::get(url).body(Empty::new()).map_err(|error| error.to_string())?;
        let response = self.client.request(request).await.map_err(|error| innermost(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_PAGE_BYTES).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        Ok(Page { status, text: String::from_utf8_lossy(&body).into_owned() })
    }
}

/// What went wrong, without what surrounds it.
fn innermost(error: &hyper_util::client::legacy::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_listens_everywhere_is_asked_on_this_machine() {
        let of = |listen: &str| AdminUrl::of(listen.parse().unwrap()).base;
        assert_eq!(of("0.0.0.0:9464"), "http://127.0.0.1:9464");
        assert_eq!(of("[::]:9464"), "http://[::1]:9464");
        assert_eq!(of("10.0.0.7:80"), "http://10.0.0.7:80");
    }

    #[test]
    fn addresses_are_read_as_people_write_them() {
        let read = |text: &str| text.parse::<AdminUrl>().map(|url| url.base);
        assert_eq!(read("http://localhost:9464/"), Ok("http://localhost:9464".to_owned()));
        assert_eq!(read("member-0:9464"), Ok("http://member-0:9464".to_owned()));
        assert_eq!(read("http://proxy/members/0"), Ok("http://proxy/members/0".to_owned()));
        let wrong = ["", "https://localhost", "ftp://localhost", "http://a b", "http://a?x"];
        for wrong in wrong.into_iter().chain(["http://me:hunter2@localhost"]) {
            let error = read(wrong).unwrap_err();
            assert!(error.contains("http://localhost:9464"), "{wrong}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
