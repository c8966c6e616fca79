//! The wall clock, at the edge where it is read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::ids::Timestamp;

/// The wall clock, in milliseconds.
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
