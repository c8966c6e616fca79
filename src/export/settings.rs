//! The settings of an exporter, under the names that the Collector's exporters use.
//!
//! Settings without [`problems`](ExportSettings::problems) are accepted by
//! [`Exporter::start`](super::Exporter::start), if the files they name can be read: the endpoint and
//! the headers are checked by the same functions that use them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::endpoint::Endpoint;
use super::{collector, credentials};
use crate::options::{
    self, boolean, choice, choices, duration, name, number, options, path, size, wait, whole,
};
use crate::secret::Secret;

/// gRPC receivers accept 4 MiB after decompression by default; 64 KiB are left as a margin.
const DEFAULT_MAX_REQUEST_BYTES: usize = 4 * 1024 * 1024 - 64 * 1024;

/// Brokers accept a little over 1 000 000 bytes in one record batch by default.
const DEFAULT_MAX_RECORD_BYTES: usize = 1_000_000 - 16 * 1024;

/// Where kept traces go, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportSettings {
    /// Its name in metrics, logs and policies.
    pub name: String,
    /// The protocol.
    pub protocol: Protocol,
    /// OTLP receiver: `host:port` or a URL. Not used for [`Protocol::Kafka`].
    pub endpoint: String,
    /// The topic, which [`Protocol::Kafka`] needs.
    pub kafka: Option<KafkaTarget>,
    /// How connections are encrypted, unless the endpoint says that they are not.
    pub tls: Option<TlsSettings>,
    /// What is sent in the header `authorization`.
    pub auth: Option<Auth>,
    /// Sent with every request, for example `X-Scope-OrgID`. Values are never logged.
    pub headers: BTreeMap<String, Secret>,
    /// Headers of records are forwarded, and `headers` has no default for some of them, so that a
    /// request without spans lacks a header that the backend may need.
    pub forwards_without_default: bool,
    /// How requests are compressed.
    pub compression: Compression,
    /// How long one attempt may take before it is given up and retried.
    pub timeout: Duration,
    /// Connections that requests are spread over. One connection stays on one pod.
    pub connections: usize,
    /// The age at which a connection is replaced by a new one, for which the name is resolved again;
    /// zero is never.
    pub connection_max_age: Duration,
    /// Largest request in bytes before compression; stay below the receiver's limit (usually 4 MiB).
    pub max_request_bytes: usize,
    /// A request that is not full is sent when its oldest trace has waited this long.
    pub flush_interval: Duration,
    /// When to try again after a failure.
    pub retry_on_failure: RetrySettings,
    /// How much may wait, and how much may be in flight.
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
            flush_interval: Duration::from_millis(100),
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

    /// What is wrong with settings that are fine each by itself, and the key that it is about.
    pub(crate) fn problems(&self) -> Vec<(&'static str, String)> {
        let is_kafka = self.protocol == Protocol::Kafka;
        let endpoint = Endpoint::parse(&self.endpoint, self.protocol, self.tls.as_ref());
        let endpoint = endpoint.err().filter(|_| !is_kafka).map(|error| error.to_string());
        let has_half = |tls: &TlsSettings| tls.cert_file.is_some() != tls.key_file.is_some();
        let tls = self.tls.as_ref().is_some_and(has_half);
        let is_authorization = |name: &String| name.eq_ignore_ascii_case("authorization");
        let auth = self.auth.is_some() && self.headers.keys().any(is_authorization);
        let headers = credentials::header_map(&self.headers).err();
        let found = [
            ("endpoint", endpoint),
            ("kafka", (is_kafka && self.kafka.is_none()).then(|| "a topic is needed".to_owned())),
            ("tls", tls.then(|| "cert_file and key_file are needed together".to_owned())),
            ("auth", auth.then(|| "`headers` has an authorization already".to_owned())),
            ("headers", headers.map(|error| error.to_string())),
        ];
        found.into_iter().filter_map(|(key, problem)| Some((key, problem?))).collect()
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

choices! {
    /// The protocol of the backend.
    pub enum Protocol {
        /// OTLP over gRPC.
        Grpc = "grpc",
        /// OTLP over HTTP/1.1, protobuf.
        Http = "http",
        /// Records of OTLP protobuf on a Kafka topic.
        Kafka = "kafka",
    }
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

options! {
    /// How connections are encrypted, under the names of the Collector.
    pub struct TlsSettings {
        /// They are not encrypted.
        insecure: bool = boolean().or("false"),
        /// The certificate of the backend is not verified.
        insecure_skip_verify: bool = boolean().or("false"),
        /// The trusted certificate authorities, PEM; by default those that the system trusts.
        ca_file: Option<PathBuf> = path().optional(),
        /// With ca_file, those that the system trusts are trusted, too.
        include_system_ca_certs_pool: bool = boolean().or("false"),
        /// The client certificate, PEM, for backends that ask for one.
        cert_file: Option<PathBuf> = path().optional(),
        /// Its key, PEM.
        key_file: Option<PathBuf> = path().optional(),
        /// The name that the certificate of the backend has to have; that of the endpoint by
        /// default.
        server_name_override: Option<String> = name().optional(),
        /// The oldest version of TLS that is spoken.
        min_version: TlsVersion = choice().or("1.2"),
        /// The files are read again when they change; and this often, even if they look unchanged.
        /// 0 is never.
        reload_interval: Duration = duration().or("5m"),
    }
    then |section| { section.take_without_meaning(collector::OF_TLS) }
}

choices! {
    /// A version of TLS, in quotes.
    pub enum TlsVersion {
        /// TLS 1.2.
        Tls12 = "1.2",
        /// TLS 1.3.
        Tls13 = "1.3",
    }
}

choices! {
    /// How requests are compressed.
    pub enum Compression {
        /// Every OTLP receiver knows it.
        Gzip = "gzip",
        /// Faster and smaller where the receiver knows it.
        Zstd = "zstd",
        /// Not at all.
        None = "none",
    }
}

options! {
    /// Exponential backoff with jitter.
    pub struct RetrySettings {
        /// The first wait.
        initial_interval: Duration = wait().or("5s"),
        /// What each wait is multiplied by for the next one.
        multiplier: f64 = number(1.0..=100.0).or("1.5"),
        /// How much waits differ: from this share below to this share above their nominal length.
        randomization_factor: f64 = number(0.0..=1.0).or("0.5"),
        /// The longest wait.
        max_interval: Duration = wait().or("30s"),
        /// When a request is given up and its traces are lost; 0 is never: reading from Kafka
        /// waits.
        max_elapsed_time: Duration = duration().or("0s"),
        /// A trace that is alone in its request is refused after so many failed attempts between
        /// which others were accepted; ten times as many if the code is retryable (429, 503,
        /// UNAVAILABLE).
        refuse_after_attempts: u32 = whole(1..=1_000_000).or("8"),
        /// It is not refused before this time after the first of these attempts.
        refuse_after_time: Duration = duration().or("1m"),
    }
    then |section| {
        collector::always_enabled(section, "a trace that is not taken would be lost");
    }
}

options! {
    /// What may wait or be on its way.
    pub struct QueueSettings {
        /// What may wait or be in flight. When it is full, no more is read from Kafka.
        queue_size_bytes: usize = size().or("64MiB"),
        /// Requests in flight at once.
        num_consumers: usize = whole(1..=1024).or("4"),
    }
    then |section| {
        queue_size_bytes = collector::queue(section).unwrap_or(queue_size_bytes);
    }
}

impl Default for TlsSettings {
    fn default() -> Self {
        options::defaults()
    }
}

impl Default for RetrySettings {
    fn default() -> Self {
        options::defaults()
    }
}

impl Default for QueueSettings {
    fn default() -> Self {
        options::defaults()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_values_are_named_with_their_key() {
        let mut settings = ExportSettings {
            endpoint: "tempo:4317/path".to_owned(),
            auth: Some(Auth::Bearer(Secret::new("token"))),
            ..ExportSettings::default()
        };
        settings.headers.insert("Authorization".to_owned(), Secret::new("token"));
        let keys: Vec<&str> = settings.problems().iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, ["endpoint", "auth"]);
        assert_eq!(ExportSettings::default().problems(), []);
    }
}
