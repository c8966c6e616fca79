//! The wall clock, at the edge where it is read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
