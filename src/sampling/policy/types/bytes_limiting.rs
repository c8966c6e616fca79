//! `bytes_limiting`

use super::Unit;
use super::rate_limiting::{Bucket, Budgeted, tokens};
use crate::options::options;

options! {
    /// Keeps traces within a budget of bytes. A trace passes whole or not at all.
    pub struct BytesLimiting {
        /// For the whole consumer group.
        bytes_per_second: u64 = tokens().required("1000000"),
        /// What the bucket holds; twice what comes in a second by default.
        burst_capacity: Option<u64> = tokens().unless_zero(),
    }
}

impl Budgeted for BytesLimiting {
    fn bucket(&self) -> Bucket {
        let Self { bytes_per_second: per_second, burst_capacity } = *self;
        Bucket { per_second, burst_capacity, option: "bytes_per_second", unit: Unit::Bytes }
    }
}
