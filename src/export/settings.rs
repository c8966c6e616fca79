//! The settings of an exporter, under the names that the Collector's exporters use.
//!
//! [`Exporter::start`](super::Exporter::start) accepts a value that passes `garde::Validate`, if the
//! files that it names can be read: the endpoint and the headers are checked by the same functions
//! that use them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::credentials;
use super::endpoint::Endpoint;
use super::secret::Secret;

/// gRPC receivers accept 4 MiB after decompression by default; 64 KiB are left as a margin.
const DEFAULT_MAX_REQUEST_BYTES: usize = 4 * 1024 * 1024 - 64 * 1024;

/// Brokers accept a little over 1 000 000 bytes in one record batch by default.
const DEFAULT_MAX_RECORD_BYTES: usize = 1_000_000 - 16 * 1024;

/// Where kept traces go, and how.
#[derive(Clone, Debug, PartialEq, garde::Validate)]
#[garde(allow_unvalidated)]
pub struct ExportSettings {
    /// Its name in metrics, logs and policies.
    pub name: String,
    /// The protocol.
    pub protocol: Protocol,
    /// OTLP receiver: `host:port` or a URL. Not used for [`Protocol::Kafka`].
    #[garde(custom(valid_endpoint(self.protocol, self.tls.as_ref())))]
    pub endpoint: String,
    /// The topic, which [`Protocol::Kafka`] needs.
    #[garde(custom(there_for_kafka(self.protocol)))]
    pub kafka: Option<KafkaTarget>,
    /// How connections are encrypted, unless the endpoint says that they are not.
    #[garde(custom(valid_tls))]
    pub tls: Option<TlsSettings>,
    /// What is sent in the header `authorization`.
    #[garde(custom(only_authorization(&self.headers)))]
    pub auth: Option<Auth>,
    /// Sent with every request, for example `X-Scope-OrgID`. Values are never logged.
    #[garde(custom(valid_headers))]
    pub headers: BTreeMap<String, Secret>,
    /// Headers of records are forwarded, and `headers` has no default for some of them, so that a
    /// request without spans lacks a header that the backend may need.
    pub forwards_without_default: bool,
    /// How requests are compressed.
    pub compression: Compression,
    /// How long one attempt may take before it is given up and retried.
    #[garde(custom(not_zero))]
    pub timeout: Duration,
    /// Connections that requests are spread over. One connection stays on one pod.
    #[garde(range(min = 1, max = 64))]
    pub connections: usize,
    /// The age at which a connection is replaced by a new one, for which the name is resolved again;
    /// zero is never.
    pub connection_max_age: Duration,
    /// Largest request in bytes before compression; stay below the receiver's limit (usually 4 MiB).
    #[garde(range(min = 1024, max = 1024 * 1024 * 1024))]
    pub max_request_bytes: usize,
    /// A request that is not full is sent when its oldest trace has waited this long.
    pub flush_interval: Duration,
    /// When to try again after a failure.
    #[garde(dive)]
    pub retry_on_failure: RetrySettings,
    /// How much may wait, and how much may be in flight.
    #[garde(dive)]
    pub sending_queue: QueueSettings,
}

impl Default for ExportSettings {
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            protocol: Protocol::Grpc,
            endpoint: "localhost:4317".to_owned(),
            kafka: None,
            tls: None,
            auth: None,
            headers: BTreeMap::new(),
            forwards_without_default: false,
            compression: Compression::default(),
            timeout: Duration::from_secs(5),
            connections: 2,
            connection_max_age: Duration::from_secs(300),
            max_request_bytes: DEFAULT_MAX_REQUEST_BYTES,
            flush_interval: Duration::from_millis(200),
            retry_on_failure: RetrySettings::default(),
            sending_queue: QueueSettings::default(),
        }
    }
}

impl ExportSettings {
    /// Where it sends to, for the log.
    pub fn target(&self) -> String {
        match &self.kafka {
            Some(target) => target.to_string(),
            None => self.endpoint.clone(),
        }
    }

    /// The defaults of a protocol.
    pub fn of(protocol: Protocol) -> Self {
        let default = Self { protocol, ..Self::default() };
        match protocol {
            Protocol::Grpc => default,
            Protocol::Http => Self {
                endpoint: "http://localhost:4318".to_owned(),
                timeout: Duration::from_secs(30),
                ..default
            },
            Protocol::Kafka => Self {
                endpoint: String::new(),
                timeout: Duration::from_secs(30),
                max_request_bytes: DEFAULT_MAX_RECORD_BYTES,
                ..default
            },
        }
    }
}

/// The protocol of the backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP over gRPC.
    #[default]
    Grpc,
    /// OTLP over HTTP/1.1, protobuf.
    Http,
    /// Records of OTLP protobuf on a Kafka topic.
    Kafka,
}

/// Where a Kafka exporter writes.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaTarget {
    /// `bootstrap.servers`.
    pub brokers: String,
    /// The topic.
    pub topic: String,
    /// Further settings of librdkafka; they may hold passwords.
    pub properties: Vec<(String, String)>,
}

impl std::fmt::Display for KafkaTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "kafka://{}/{}", self.brokers, self.topic)
    }
}

impl std::fmt::Debug for KafkaTarget {
    /// Without the values of properties: passwords may be among them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaTarget")
            .field("brokers", &self.brokers)
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

/// What goes into the header `authorization`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// A name and a password (RFC 7617).
    Basic {
        /// The name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// A token (RFC 6750).
    Bearer(Secret),
    /// A token in a file, which is read again when it changes.
    BearerFile(PathBuf),
}

/// How connections are encrypted, under the names of the Collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// They are not encrypted.
    pub insecure: bool,
    /// The certificate of the backend is not verified.
    pub insecure_skip_verify: bool,
    /// Whose certificates are trusted, PEM; by default those the system trusts.
    pub ca_file: Option<PathBuf>,
    /// Trust those that the system trusts, beside those of `ca_file`.
    pub include_system_ca_certs_pool: bool,
    /// The exporter's own certificate, PEM, for backends that ask for one.
    pub cert_file: Option<PathBuf>,
    /// Its key, PEM.
    pub key_file: Option<PathBuf>,
    /// The name that the certificate of the backend must have, if it is not that of the endpoint.
    pub server_name_override: Option<String>,
    /// The oldest version that is used.
    pub min_version: TlsVersion,
    /// How often the files are read again even if they look unchanged; zero is never.
    pub reload_interval: Duration,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            insecure: false,
            insecure_skip_verify: false,
            ca_file: None,
            include_system_ca_certs_pool: false,
            cert_file: None,
            key_file: None,
            server_name_override: None,
            min_version: TlsVersion::Tls12,
            reload_interval: Duration::from_secs(300),
        }
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
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
    /// A request is given up, and lost, after this long; `0s` is never.
    pub max_elapsed_time: Duration,
    /// A trace that is alone in its request is refused after so many failed attempts between which
    /// others were accepted; ten times as many if the code is retryable.
    #[garde(range(min = 1, max = 1_000_000))]
    pub refuse_after_attempts: u32,
    /// And not before this long after the first of these.
    pub refuse_after_time: Duration,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            initial_interval: Duration::from_secs(5),
            multiplier: 1.5,
            randomization_factor: 0.5,
            max_interval: Duration::from_secs(30),
            max_elapsed_time: Duration::ZERO,
            refuse_after_attempts: 8,
            refuse_after_time: Duration::from_secs(60),
        }
    }
}

/// The queue between deciding and sending.
#[derive(Clone, Debug, PartialEq, garde::Validate)]
pub struct QueueSettings {
    /// Bytes that may wait or be in flight. When it is full, no more is read from Kafka.
    #[garde(range(min = 1))]
    pub queue_size_bytes: usize,
    /// Requests that may be in flight at once.
    #[garde(range(min = 1, max = 1024))]
    pub num_consumers: usize,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self { queue_size_bytes: 64 * 1024 * 1024, num_consumers: 4 }
    }
}

fn valid_endpoint<'a>(
    protocol: Protocol,
    tls: Option<&'a TlsSettings>,
) -> impl FnOnce(&String, &()) -> garde::Result + 'a {
    move |text, _context| match protocol {
        Protocol::Kafka => Ok(()),
        _ => Endpoint::parse(text, protocol, tls).map(drop).map_err(garde::Error::new),
    }
}

fn there_for_kafka(protocol: Protocol) -> impl FnOnce(&Option<KafkaTarget>, &()) -> garde::Result {
    move |target, _context| match (protocol, target) {
        (Protocol::Kafka, None) => Err(garde::Error::new("a topic is needed")),
        _ => Ok(()),
    }
}

fn valid_tls(tls: &Option<TlsSettings>, _context: &()) -> garde::Result {
    match tls {
        Some(tls) if tls.cert_file.is_some() != tls.key_file.is_some() => {
            Err(garde::Error::new("cert_file and key_file are needed together"))
        }
        _ => Ok(()),
    }
}

fn only_authorization(
    headers: &BTreeMap<String, Secret>,
) -> impl FnOnce(&Option<Auth>, &()) -> garde::Result + '_ {
    move |auth, _context| {
        let has_header = headers.keys().any(|name| name.eq_ignore_ascii_case("authorization"));
        if auth.is_some() && has_header {
            return Err(garde::Error::new("`headers` has an authorization already"));
        }
        Ok(())
    }
}

fn valid_headers(headers: &BTreeMap<String, Secret>, _context: &()) -> garde::Result {
    credentials::header_map(headers).map_err(garde::Error::new)?;
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
            endpoint: "tempo:4317/path".to_owned(),
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
