//! The settings of the exporter, under the names that the Collector's OTLP exporter uses.
//!
//! A value that passes `garde::Validate` is one that [`Exporter::start`](super::Exporter::start)
//! accepts: the endpoint and the headers are checked by the same functions that use them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::endpoint::{self, Endpoint};
use super::secret::Secret;

/// What gRPC receivers take by default is 4 MiB after decompression; 64 KiB are left as a margin.
const DEFAULT_MAX_REQUEST_BYTES: usize = 4 * 1024 * 1024 - 64 * 1024;

/// Where kept traces go, and how.
#[derive(Clone, Debug, PartialEq, garde::Validate)]
#[garde(allow_unvalidated)]
pub struct ExportSettings {
    /// OTLP/gRPC receiver: `host:port` or `http://host:port`.
    #[garde(custom(valid_endpoint))]
    pub endpoint: String,
    /// Sent with every request, for example `X-Scope-OrgID`. Values are never logged.
    #[garde(custom(valid_headers))]
    pub headers: BTreeMap<String, Secret>,
    /// How requests are compressed.
    pub compression: Compression,
    /// How long one attempt may take before it is given up and retried.
    #[garde(custom(not_zero))]
    pub timeout: Duration,
    /// HTTP/2 connections that requests are spread over. One connection stays on one pod.
    #[garde(range(min = 1, max = 64))]
    pub connections: usize,
    /// Largest request in bytes before compression; stay below the receiver's limit (usually 4 MiB).
    #[garde(range(min = 1024, max = 1024 * 1024 * 1024))]
    pub max_request_bytes: usize,
    /// A request that is not full is sent when its oldest trace has waited this long.
    pub flush_interval: Duration,
    /// When to try again after a failure that may pass.
    #[garde(dive)]
    pub retry_on_failure: RetrySettings,
    /// How much may wait, and how much may be on its way.
    #[garde(dive)]
    pub sending_queue: QueueSettings,
    /// Retry `RESOURCE_EXHAUSTED` even without `RetryInfo`, in smaller requests first. Strict OTLP
    /// says not to; Tempo 2.x answers so when it limits the rate.
    pub retry_on_resource_exhausted: bool,
}

impl Default for ExportSettings {
    fn default() -> Self {
        Self {
            endpoint: "localhost:4317".to_owned(),
            headers: BTreeMap::new(),
            compression: Compression::default(),
            timeout: Duration::from_secs(5),
            connections: 2,
            max_request_bytes: DEFAULT_MAX_REQUEST_BYTES,
            flush_interval: Duration::from_millis(200),
            retry_on_failure: RetrySettings::default(),
            sending_queue: QueueSettings::default(),
            retry_on_resource_exhausted: false,
        }
    }
}

/// Compression of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// gzip: every OTLP receiver knows it.
    #[default]
    Gzip,
    /// Zstandard: faster and smaller where the receiver knows it.
    Zstd,
    /// No compression.
    None,
}

/// Exponential backoff with jitter.
#[derive(Clone, Debug, PartialEq, garde::Validate)]
#[garde(allow_unvalidated)]
pub struct RetrySettings {
    /// The first wait.
    #[garde(custom(not_zero))]
    pub initial_interval: Duration,
    /// Each wait is this many times the one before.
    #[garde(range(min = 1.0, max = 100.0))]
    pub multiplier: f64,
    /// A wait is drawn evenly from this share below to this share above its nominal length.
    #[garde(range(min = 0.0, max = 1.0))]
    pub randomization_factor: f64,
    /// The nominal wait does not grow beyond this.
    #[garde(custom(not_zero))]
    pub max_interval: Duration,
    /// Give a request up, and lose it, after this long; `0s` never does.
    pub max_elapsed_time: Duration,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            initial_interval: Duration::from_secs(5),
            multiplier: 1.5,
            randomization_factor: 0.5,
            max_interval: Duration::from_secs(30),
            max_elapsed_time: Duration::ZERO,
        }
    }
}

/// The queue between deciding and sending.
#[derive(Clone, Debug, PartialEq, garde::Validate)]
pub struct QueueSettings {
    /// Bytes that may wait or be on their way; beyond them Kafka is held back.
    #[garde(range(min = 1))]
    pub queue_size_bytes: usize,
    /// Requests that may be on their way at once.
    #[garde(range(min = 1, max = 1024))]
    pub num_consumers: usize,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self { queue_size_bytes: 64 * 1024 * 1024, num_consumers: 4 }
    }
}

fn valid_endpoint(text: &str, _context: &()) -> garde::Result {
    Endpoint::parse(text).map_err(garde::Error::new)?;
    Ok(())
}

fn valid_headers(headers: &BTreeMap<String, Secret>, _context: &()) -> garde::Result {
    endpoint::metadata(headers).map_err(garde::Error::new)?;
    Ok(())
}

fn not_zero(duration: &Duration, _context: &()) -> garde::Result {
    if duration.is_zero() {
        return Err(garde::Error::new("must be longer than 0s"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use garde::Validate;

    use super::*;

    #[test]
    fn bad_values_are_named_with_their_path() {
        let mut settings = ExportSettings {
            endpoint: "https://tempo:4317".to_owned(),
            timeout: Duration::ZERO,
            ..ExportSettings::default()
        };
        settings.sending_queue.num_consumers = 0;
        let report = settings.validate().unwrap_err().to_string();
        for path in ["endpoint", "timeout", "sending_queue.num_consumers"] {
            assert!(report.contains(path), "{path} is not in {report}");
        }
    }
}
