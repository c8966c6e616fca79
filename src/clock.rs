//! The wall clock, at the edge where it is read; and waiting for a point in time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::ids::Timestamp;

/// The wall clock.
#[expect(clippy::disallowed_methods, reason = "this is where it is read")]
pub fn system_time() -> SystemTime {
    SystemTime::now()
}

/// The wall clock, in milliseconds.
pub fn now() -> Timestamp {
    let since_epoch = system_time().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// Waits until `deadline`; for ever if there is none.
pub async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
