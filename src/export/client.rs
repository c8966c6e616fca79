//! A client for single OTLP requests of any signal: for what is sent beside kept traces.
//!
//! Shares connections, TLS, headers and the reading of answers with the exporters. Has no queue and
//! does not retry: an attempt is an attempt.

use std::time::Duration;

use bytes::Bytes;

use super::connect::system_resolver;
use super::credentials::Credentials;
use super::endpoint::Endpoint;
use super::grpc::GrpcTransport;
use super::http::HttpTransport;
use super::retry::{Kind, kind};
use super::settings::{ExportSettings, Protocol};
use super::signal::{Place, Signal};
use super::transport::{Failure, Request, Transport as _};
use super::{ExportError, connector};

/// A client; see the module.
pub struct OtlpClient {
    wire: Wire,
    endpoint: String,
}

enum Wire {
    Grpc(GrpcTransport),
    Http(HttpTransport),
}

/// A request was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Items of it that were rejected nevertheless.
    pub rejected: u64,
    /// Why, or a warning.
    pub message: String,
}

/// A request was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refused {
    /// The code of gRPC or the status of HTTP; `UNAVAILABLE` if there is no connection.
    pub code: &'static str,
    /// What was said.
    pub message: String,
    /// Whether the specification allows to send it again.
    pub may_pass: bool,
    /// When the receiver wants it again, if it says so.
    pub retry_after: Option<Duration>,
}

impl OtlpClient {
    /// A client for requests of `signal`; nothing is connected yet. Must be called inside a tokio
    /// runtime. Of the settings it uses what is about the connection; the protocol is one of OTLP.
    ///
    /// # Errors
    /// When the endpoint, a header or a file that the settings name cannot be used.
    pub fn new(
        settings: &ExportSettings,
        signal: Signal,
        place: Place,
    ) -> Result<Self, ExportError> {
        let tls = settings.tls.as_ref();
        let endpoint = Endpoint::parse_at(&settings.endpoint, settings.protocol, tls, place)?;
        let credentials = Credentials::new(&settings.headers, settings.auth.as_ref())?;
        let connector = connector(settings, &endpoint, system_resolver())?;
        let origin = endpoint.origin();
        let wire = if settings.protocol == Protocol::Http {
            Wire::Http(HttpTransport::new(settings, &endpoint, connector, credentials))
        } else {
            let transport = GrpcTransport::new(settings, &endpoint, connector, credentials);
            Wire::Grpc(transport.of(signal))
        };
        Ok(Self { wire, endpoint: origin })
    }

    /// Where it sends to: scheme, host and port.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// One attempt to send an encoded request, within the time-out of the settings.
    ///
    /// # Errors
    /// When it is not known that the request was accepted.
    pub async fn send(&self, message: Bytes) -> Result<Accepted, Refused> {
        let request = Request::of(message);
        let answer = match &self.wire {
            Wire::Grpc(transport) => transport.send(request).await,
            Wire::Http(transport) => transport.send(request).await,
        };
        let reply = answer.map_err(Refused::from)?;
        // All signals have the number and the text in the same fields.
        Ok(Accepted { rejected: reply.rejected_spans, message: reply.message })
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self {
            code: failure.code.name(),
            may_pass: kind(&failure) == Kind::Passing,
            retry_after: failure.retry_after,
            message: failure.message,
        }
    }
}
