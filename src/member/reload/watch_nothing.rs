//! Where the system has no inotify(7): changes are noticed at the next poll.

use std::path::Path;

/// Watches nothing.
pub(super) struct Watch;

impl Watch {
    pub(super) fn new() -> Self {
        Self
    }

    pub(super) fn arm(&mut self, _: &Path) {}

    pub(super) async fn event(&mut self) {
        std::future::pending().await
    }
}
