//! OTLP/HTTP: `POST` of protobuf over HTTP/1.1, with requests that are already encoded.
//!
//! Owns a pool of clients, each with connections of its own: with HTTP/1.1 as many as there are
//! requests in flight. Tells apart whether the backend answered or the request never reached it.
//! Leaves retries to others.

mod answer;

use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use http::{Method, Response, Uri};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::Instant;

use self::answer::Answer;
use super::body::Pieces;
use super::code::Code;
use super::connect::Connector;
use super::credentials::Credentials;
use super::endpoint::Endpoint;
use super::error_chain::with_sources;
use super::pool::{Condition, Pool};
use super::settings::{Compression, ExportSettings};
use super::transport::{self, Failure, Reply, Request, Transport};

const PROTOBUF: &str = "application/x-protobuf";

/// Connections that are unused for this long are closed, before a proxy closes them.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How much of an answer is read.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

type HttpClient = Client<Connector, Pieces>;

/// An OTLP/HTTP client; see the module.
pub(super) struct HttpTransport {
    uri: Uri,
    pool: Pool<HttpClient>,
    compression: Compression,
    credentials: Credentials,
    timeout: Duration,
}

impl HttpTransport {
    /// A client for `endpoint`; nothing is connected yet.
    pub(super) fn new(
        settings: &ExportSettings,
        endpoint: &Endpoint,
        connector: Connector,
        credentials: Credentials,
    ) -> Self {
        let client = move || {
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE_TIMEOUT)
                .build(connector.clone())
        };
        Self {
            uri: endpoint.uri(),
            pool: Pool::new(settings.connections, settings.connection_max_age, client),
            compression: settings.compression,
            credentials,
            timeout: settings.timeout,
        }
    }

    async fn attempt(
        &self,
        body: Pieces,
        headers: HeaderMap,
        not_over: Option<usize>,
    ) -> Result<Reply, Failure> {
        let request = self.request(body, headers);
        let picked = self.pool.pick(Instant::now(), not_over);
        let call = async {
            let response = picked.connection.request(request).await?;
            Ok::<_, hyper_util::client::legacy::Error>(read(response).await)
        };
        let (condition, result) = match tokio::time::timeout(self.timeout, call).await {
            Ok(Ok(answer)) => match answer.into_result() {
                Err(failure) if !failure.is_too_large => (Condition::Refused, Err(failure)),
                result => (Condition::Answered, result),
            },
            Ok(Err(error)) => (Condition::Broken, Err(Failure::unavailable(with_sources(&error)))),
            Err(_elapsed) => (Condition::TimedOut, Err(Failure::timed_out())),
        };
        self.pool.note(&picked, condition);
        result.map_err(|failure| Failure { over: Some(picked.slot()), ..failure })
    }

    /// The headers of a request with these forwarded headers. If one cannot be sent, the code is that
    /// of a bad request, since metrics and logs know only HTTP statuses here.
    fn headers(&self, forwarded: &[u8]) -> Result<HeaderMap, Failure> {
        let headers = self.credentials.headers_with(forwarded);
        headers.map_err(|failure| Failure { code: Code::Http(400), ..failure })
    }

    fn request(&self, body: Pieces, headers: HeaderMap) -> http::Request<Pieces> {
        let mut request = http::Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
        headers.insert(USER_AGENT, HeaderValue::from_static(transport::USER_AGENT));
        let encoding = match self.compression {
            Compression::Gzip => Some("gzip"),
            Compression::Zstd => Some("zstd"),
            Compression::None => None,
        };
        if let Some(encoding) = encoding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        request
    }
}

impl Transport for HttpTransport {
    async fn send(&self, request: Request) -> Result<Reply, Failure> {
        let (not_over, forwarded) = (request.not_over, request.forwarded.clone());
        let headers = self.headers(&forwarded)?;
        let body = Pieces::packed(request, self.compression).await?;
        let result = self.attempt(body.clone(), headers.clone(), not_over).await;
        match result {
            Err(Failure { code: Code::Http(401), .. }) if self.credentials.renewed(&headers) => {
                self.attempt(body, self.headers(&forwarded)?, not_over).await
            }
            result => result,
        }
    }
}

/// Reads the answer up to the limit. If it is longer or breaks off, keeps what was read.
async fn read(response: Response<Incoming>) -> Answer {
    let (parts, mut body) = response.into_parts();
    let mut read = Vec::new();
    let is_whole = loop {
        match body.frame().await {
            _ if read.len() >= MAX_ANSWER_BYTES => break false,
            Some(Ok(frame)) => {
                read.extend(frame.into_data().into_iter().flatten());
            }
            Some(Err(_)) => break false,
            None => break true,
        }
    };
    Answer { status: parts.status, headers: parts.headers, body: read.into(), is_whole }
}
