//! The span of a start: from the beginning of the process until the member is ready, or cannot start.

use std::fmt::Display;
use std::sync::{Arc, Mutex};

use tracing::{Span, field, info_span};

use crate::sync::lock;

/// It; clones are the same one.
#[derive(Clone)]
pub(super) struct Starting(Arc<Mutex<Span>>);

impl Starting {
    pub(super) fn begin() -> Self {
        let span = info_span!("member.start", otel.status_description = field::Empty);
        Self(Arc::new(Mutex::new(span)))
    }

    /// The span, to be entered. It must not be kept.
    pub(super) fn span(&self) -> Span {
        lock(&self.0).clone()
    }

    /// Ends it.
    pub(super) fn end(&self) {
        *lock(&self.0) = Span::none();
    }

    /// Ends it, unless it has ended, with what went wrong.
    pub(super) fn fail(&self, error: impl Display) {
        self.span().record("otel.status_description", error.to_string());
        self.end();
    }
}
