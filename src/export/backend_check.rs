//! Sends one request without spans: whether the backend accepts what the exporter would send.

use bytes::Bytes;
use thiserror::Error;

use super::connect::system_resolver;
use super::credentials::Credentials;
use super::endpoint::Endpoint;
use super::grpc::GrpcTransport;
use super::hint::Target;
use super::http::HttpTransport;
use super::kafka::KafkaTransport;
use super::settings::{ExportSettings, Protocol};
use super::transport::{Failure, Transport as _};
use super::{ExportError, connector};

/// Why the backend would not accept spans.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BackendCheckError {
    /// The settings do not allow a connection.
    #[error(transparent)]
    Settings(#[from] ExportError),
    /// It does not answer, or refuses the request.
    #[error("{code}: {message}")]
    Refused {
        /// The code of gRPC or HTTP, for example `UNAUTHENTICATED`; `UNAVAILABLE` if there is no
        /// answer.
        code: String,
        /// What it says.
        message: String,
        /// What to do about it, if it is recognised.
        hint: Option<&'static str>,
    },
}

/// Sends one request without spans as the exporter would send one with spans: the same connection, TLS
/// and credentials, and these forwarded headers (see [`record_headers`](crate::kafka::record_headers)).
/// For a Kafka topic it only asks whether the topic exists.
///
/// # Errors
/// When the backend does not accept it.
pub async fn check_backend(
    settings: &ExportSettings,
    forwarded: Bytes,
) -> Result<(), BackendCheckError> {
    let refused = |failure: Failure, target: Target| BackendCheckError::Refused {
        code: failure.code.name().to_owned(),
        hint: target.hint(&failure),
        message: failure.message,
    };
    if settings.protocol == Protocol::Kafka {
        return KafkaTransport::new(settings)?
            .probe(forwarded)
            .await
            .map_err(|it| refused(it, Target::TOPIC));
    }
    let endpoint = Endpoint::parse(&settings.endpoint, settings.protocol, settings.tls.as_ref())?;
    let credentials = Credentials::new(&settings.headers, settings.auth.as_ref())?;
    let connector = connector(settings, &endpoint, system_resolver())?;
    let answer = if settings.protocol == Protocol::Http {
        HttpTransport::new(settings, &endpoint, connector, credentials).probe(forwarded).await
    } else {
        GrpcTransport::new(settings, &endpoint, connector, credentials).probe(forwarded).await
    };
    answer.map_err(|it| refused(it, Target::new(settings.protocol, &endpoint)))
}
