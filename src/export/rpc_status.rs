//! `RetryInfo` in the details of a gRPC status (google/rpc/status.proto, error_details.proto).
//!
//! What else is in the details is skipped.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;

use crate::proto::{Delay, Detail, RetryInfo, RpcStatus};

const RETRY_INFO: &str = "google.rpc.RetryInfo";

/// The delay of the `RetryInfo` in `details` (`grpc-status-details-bin`), if there is one. A
/// missing or negative delay is zero; details that cannot be read hold no `RetryInfo`.
pub(super) fn retry_info(details: &[u8]) -> Option<Duration> {
    let status = RpcStatus::decode(details).ok()?;
    let any = status.details.iter().find(|any| {
        let type_name = any.type_url.rsplit('/').next();
        type_name == Some(RETRY_INFO)
    })?;
    let delay = RetryInfo::decode(any.value.as_slice()).ok()?.retry_delay;
    Some(delay.map_or(Duration::ZERO, |delay| {
        let seconds = u64::try_from(delay.seconds).ok();
        let nanos = u32::try_from(delay.nanos).ok().filter(|n| *n < 1_000_000_000);
        match (seconds, nanos) {
            (Some(seconds), Some(nanos)) => Duration::new(seconds, nanos),
            _ => Duration::ZERO,
        }
    }))
}

/// Details that hold nothing but a `RetryInfo` of this delay.
pub(super) fn with_retry_info(delay: Duration) -> Bytes {
    let seconds = i64::try_from(delay.as_secs()).unwrap_or(i64::MAX);
    let nanos = delay.subsec_nanos().cast_signed();
    let info = RetryInfo { retry_delay: Some(Delay { seconds, nanos }) };
    let type_url = format!("type.googleapis.com/{RETRY_INFO}");
    let detail = Detail { type_url, value: info.encode_to_vec() };
    RpcStatus { details: vec![detail], ..RpcStatus::default() }.encode_to_vec().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details(type_url: &str, delay: Option<Delay>) -> Vec<u8> {
        let other = Detail {
            type_url: "type.googleapis.com/google.rpc.DebugInfo".to_owned(),
            value: b"\x0a\x01x".to_vec(),
        };
        let info = Detail {
            type_url: type_url.to_owned(),
            value: RetryInfo { retry_delay: delay }.encode_to_vec(),
        };
        RpcStatus { details: vec![other, info], ..RpcStatus::default() }.encode_to_vec()
    }

    fn delay(seconds: i64, nanos: i32) -> Option<Delay> {
        Some(Delay { seconds, nanos })
    }

    const URL: &str = "type.googleapis.com/google.rpc.RetryInfo";

    #[test]
    fn the_delay_is_found_among_other_details() {
        let bytes = details(URL, delay(2, 500_000_000));
        assert_eq!(retry_info(&bytes), Some(Duration::from_millis(2500)));
    }

    #[test]
    fn presence_counts_even_without_a_usable_delay() {
        assert_eq!(retry_info(&details(URL, None)), Some(Duration::ZERO));
        assert_eq!(retry_info(&details(URL, delay(-1, 0))), Some(Duration::ZERO));
        assert_eq!(retry_info(&details(URL, delay(1, -1))), Some(Duration::ZERO));
    }

    #[test]
    fn other_details_garbage_and_nothing_hold_none() {
        let quota = details("type.googleapis.com/google.rpc.QuotaFailure", delay(1, 0));
        assert_eq!(retry_info(&quota), None);
        assert_eq!(retry_info(b"\xff\xff\xff"), None);
        assert_eq!(retry_info(b""), None);
    }
}
