//! One request without spans: whether the backend takes what the exporter would send.

use bytes::Bytes;
use thiserror::Error;

use super::connect::system_resolver;
use super::credentials::Credentials;
use super::endpoint::Endpoint;
use super::grpc::GrpcTransport;
use super::http::HttpTransport;
use super::kafka::KafkaTransport;
use super::settings::{ExportSettings, Protocol};
use super::transport::{Failure, Piece, Reply, Request, Transport};
use super::{ExportError, connector};
use crate::ids::TraceId;

/// An `ExportTraceServiceRequest` with one empty `ResourceSpans`.
const NO_SPANS: &[u8] = &[0x0a, 0x00];

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
        send(&HttpTransport::new(settings, &endpoint, connector, credentials)).await
    } else {
        send(&GrpcTransport::new(settings, &endpoint, connector, credentials)).await
    };
    answer.map(|_| ()).map_err(refused)
}

async fn send(transport: &impl Transport) -> Result<Reply, Failure> {
    let bytes = Bytes::from_static(NO_SPANS);
    let trace_id = TraceId::from_slice(&[1; 16]).expect("it is not zero");
    transport.send(Request(vec![Piece { trace_id, bytes }])).await
}
