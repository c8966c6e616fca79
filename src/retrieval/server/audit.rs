//! Who asked for which trace, and what came of it: a line in the log for each look-up.

use std::net::SocketAddr;

use axum::http::HeaderMap;

use crate::retrieval::lookups::Answer;

/// How much of what somebody sends is logged.
const LOGGED: usize = 200;

/// Who asks.
pub(super) struct Caller {
    pub(super) peer: SocketAddr,
    /// Its tenant, or tenants, in its own words.
    pub(super) tenant: String,
}

impl Caller {
    /// Writes the line.
    pub(super) fn log(&self, trace_id: &str, answer: &Answer) {
        let cut = |text: &str| text.chars().take(LOGGED).collect::<String>();
        tracing::info!(
            peer = %self.peer,
            tenant = cut(&self.tenant),
            trace_id = cut(trace_id),
            outcome = answer.outcome.label(),
            read_bytes = answer.read,
            answer_bytes = answer.data.len(),
            millis = answer.took.as_millis() as u64,
            "retrieval.lookup"
        );
    }
}

/// A header, empty if it is not there or no text.
pub(super) fn text(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default().to_owned()
}
