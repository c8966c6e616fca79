//! Reading what a backend received: OTLP requests as bytes.

use thiserror::Error;

use super::check::{Check, POLICY_ATTRIBUTE};
use crate::otlp::span::ValueRef;
use crate::otlp::{AttributeKeys, Scan, ScanError, scan};

/// Why something received could not be read.
#[derive(Debug, Error)]
pub enum ReceivedError {
    /// The bytes are no OTLP request.
    #[error("what was received is not OTLP: {0}")]
    Protobuf(#[from] ScanError),
    /// A span has an id that no span may have; its bytes.
    #[error("a span with an invalid id was received: {0}")]
    InvalidSpan(String),
}

impl Check {
    /// Takes in the body of an `ExportTraceServiceRequest` (the same message as `TracesData`). Its
    /// text need not be UTF-8.
    pub fn observe_bytes(&mut self, request: &[u8]) -> Result<(), ReceivedError> {
        let keys = AttributeKeys::new([POLICY_ATTRIBUTE.to_owned()]);
        let mut found = Scan::default();
        scan(request, &keys, &mut found)?;
        if let Some(invalid) = found.invalid.first() {
            let span = invalid.framed.of(request).escape_ascii().to_string();
            return Err(ReceivedError::InvalidSpan(span));
        }
        for span in &found.spans {
            let policy = span.attributes.of(&found.attributes).first();
            let policy = policy.and_then(|attribute| match attribute.value {
                ValueRef::String(text) => std::str::from_utf8(text.of(request)).ok(),
                _ => None,
            });
            self.observe_span(span.trace_id, span.span_id, policy);
        }
        Ok(())
    }
}
