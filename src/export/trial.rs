//! One request without spans: whether the backend takes what the exporter would send.

use bytes::Bytes;
use thiserror::Error;

use super::ExportError;
use super::endpoint::Endpoint;
use super::grpc::GrpcTransport;
use super::metrics::code_name;
use super::settings::ExportSettings;
use super::transport::{Failure, Request, Transport as _};

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
        /// The gRPC code, for example `UNAUTHENTICATED`; `UNAVAILABLE` if nobody answers.
        code: String,
        /// What it says.
        message: String,
    },
}

/// Sends one request without spans, as the exporter would send one with spans: connection,
/// headers and all. Takes `timeout` at most.
///
/// # Errors
/// When the backend does not take it.
pub async fn try_backend(settings: &ExportSettings) -> Result<(), TrialError> {
    let transport = GrpcTransport::new(settings, &Endpoint::parse(&settings.endpoint)?)?;
    let request = Request(vec![Bytes::from_static(NO_SPANS)]);
    match transport.send(request).await {
        Ok(_) => Ok(()),
        Err(Failure { code, message, .. }) => {
            Err(TrialError::Refused { code: code_name(code).to_owned(), message })
        }
    }
}
