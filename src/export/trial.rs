//! One request without spans: whether the backend takes what the exporter would send.

use thiserror::Error;

use super::connect::system_resolver;
use super::credentials::Credentials;
use super::endpoint::Endpoint;
use super::grpc::GrpcTransport;
use super::http::HttpTransport;
use super::kafka::KafkaTransport;
use super::settings::{ExportSettings, Protocol};
use super::transport::{Failure, Transport as _};
use super::{ExportError, connector};

/// Why the backend would not take spans.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TrialError {
    /// It cannot be asked.
    #[error(transparent)]
    Settings(#[from] ExportError),
    /// It does not answer, or refuses.
    #[error("{code}: {message}")]
    Refused {
        /// The code of gRPC or HTTP, for example `UNAUTHENTICATED`; `UNAVAILABLE` if nobody
        /// answers.
        code: String,
        /// What it says.
        message: String,
    },
}

/// Sends one request without spans, as the exporter would send one with spans: connection, TLS,
/// credentials and all. Of a topic of Kafka it only asks whether it is there.
///
/// # Errors
/// When the backend does not take it.
pub async fn try_backend(settings: &ExportSettings) -> Result<(), TrialError> {
    let refused = |Failure { code, message, .. }: Failure| TrialError::Refused {
        code: code.name().to_owned(),
        message,
    };
    if settings.protocol == Protocol::Kafka {
        return KafkaTransport::new(settings)?.probe().await.map_err(refused);
    }
    let endpoint = Endpoint::parse(&settings.endpoint, settings.protocol, settings.tls.as_ref())?;
    let credentials = Credentials::new(&settings.headers, settings.auth.as_ref())?;
    let connector = connector(settings, &endpoint, system_resolver())?;
    let answer = if settings.protocol == Protocol::Http {
        HttpTransport::new(settings, &endpoint, connector, credentials).probe().await
    } else {
        GrpcTransport::new(settings, &endpoint, connector, credentials).probe().await
    };
    answer.map_err(refused)
}
