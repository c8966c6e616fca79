//! Exports kept traces to a backend: OTLP over gRPC or HTTP, or a Kafka topic.
//!
//! Owns the way from encoded chunks of traces to acknowledgements: a queue bounded in bytes,
//! requests under the backend's size limit, several in flight over several connections, retries,
//! and the backend's health. Promises that a chunk is retried until the backend has accepted it or has
//! refused it while it accepted others, or its partition was given up, and that exactly one [`Ack`]
//! tells which; if the exporter is stopped before, there is none. When the queue is full the chunk is
//! handed back.
//!
//! Leaves to others: what is in the bytes, what an ack releases, who owns a partition ([`Fence`]).

mod backend_check;
mod body;
mod circuit_breaker;
mod client;
mod code;
pub(crate) mod collector;
mod connect;
mod credentials;
mod delivery;
mod endpoint;
mod error_chain;
mod grpc;
mod health;
mod hint;
mod http;
mod kafka;
mod metrics;
mod monitor;
mod pending_request;
mod pool;
mod proxy_page;
mod queue;
mod retry;
mod scheduler;
mod settings;
mod settlement;
mod signal;
mod tls;
mod transport;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::ids::{Generation, Origin, Partition, TraceId};
use crate::kafka::publish::NoticeSink;

use crate::kafka::source::{GenerationStatus, OwnershipTable};

use self::connect::{Connector, Resolve, system_resolver};
use self::credentials::Credentials;
use self::delivery::Shared;
use self::endpoint::Endpoint;
use self::grpc::GrpcTransport;
use self::health::Health;
use self::hint::Target;
use self::http::HttpTransport;
use self::kafka::KafkaTransport;
use self::queue::{Limits, Queue};
use self::scheduler::Scheduler;
use self::settlement::LogLimits;
use self::tls::Tls;
use self::transport::Transport;

pub use self::backend_check::{BackendCheckError, check_backend};
pub use self::client::{Accepted, OtlpClient, Refused};
pub use self::credentials::forwardable;
pub use self::metrics::ExportMetrics;
#[cfg(test)]
pub use self::settings::TlsVersion;
pub use self::settings::{
    Auth, Compression, ExportSettings, KafkaTarget, Protocol, QueueSettings, RetrySettings,
    TlsSettings,
};
pub use self::signal::{Place, Signal};

/// Spans of one trace, all of them or a part, ready to be sent.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Encoded `ResourceSpans` fields: a valid `ExportTraceServiceRequest` by itself, and at most
    /// `max_request_bytes`.
    pub bytes: Bytes,
    /// Forwarded headers of the records that the spans were read from: see
    /// [`record_headers`](crate::kafka::record_headers). Chunks of one request have the same.
    pub forwarded: Bytes,
    /// The trace of the spans.
    pub trace_id: TraceId,
    /// How many spans are in it.
    pub spans: u32,
    /// 1, or 0 if it is not the first chunk of a large trace.
    pub traces: u32,
    /// When it was decided that its spans are kept; or, if they follow a decision, when they were read.
    pub since: Instant,
    /// Comes back when it is settled.
    pub ticket: Ticket,
}

/// What comes back in the [`Ack`] of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Where its spans were read. The worker is an index into the sinks given to
    /// [`Exporter::start`].
    pub origin: Origin,
    /// The delivery that it is a part of, as the worker numbers it.
    pub delivery: DeliveryId,
}

/// A worker's number for one delivery, of one or more chunks. Not used twice in a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeliveryId(pub u64);

/// A chunk is settled: its room in the queue is free again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The ticket of the chunk.
    pub ticket: Ticket,
    /// How it ended.
    pub outcome: Outcome,
    /// How many spans were in it.
    pub spans: u32,
    /// What was refused, and why. Present if and only if the outcome is [`Outcome::Refused`].
    pub refusal: Option<Box<Refusal>>,
}

/// The reason of a [`Refusal`] after `max_elapsed_time`.
pub const GIVEN_UP: &str = "max_elapsed_time";

/// A chunk that the backend will never take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The bytes of the chunk.
    pub bytes: Bytes,
    /// Its forwarded headers.
    pub forwarded: Bytes,
    /// The code of the backend, or the limit that was exceeded: one of a fixed set of names.
    pub reason: &'static str,
    /// What the backend said, shortened.
    pub message: String,
}

/// How a chunk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The backend accepted it, perhaps without some spans of the request (partial success).
    Delivered,
    /// The backend will never accept it. Counted and logged; the ack has the refusal.
    Refused,
    /// Its partition was given up before it was delivered; the next owner sends it again.
    Abandoned,
}

/// Is asked before each attempt whether this process may still send what it read of a partition.
pub trait Fence: Send + Sync {
    /// While the status is `Suspended` nothing is sent, and the fence is asked again. Must not block.
    fn status(&self, partition: Partition, generation: Generation) -> GenerationStatus;
}

/// For what is of no partition, or cannot be taken away.
pub struct Unfenced;

impl Fence for Unfenced {
    fn status(&self, _: Partition, _: Generation) -> GenerationStatus {
        GenerationStatus::Current
    }
}

impl Fence for OwnershipTable {
    fn status(&self, partition: Partition, generation: Generation) -> GenerationStatus {
        Self::status(self, partition, generation)
    }
}

/// Where the acks of one worker go, in batches.
pub type AckSink = NoticeSink<Vec<Ack>>;

/// Why an exporter cannot be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// The endpoint cannot be used.
    #[error("export endpoint {endpoint:?}: {reason}")]
    Endpoint {
        /// The endpoint, without credentials.
        endpoint: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A header cannot be sent.
    #[error("export header {name:?}: {reason}")]
    Header {
        /// The name of the header.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The TLS files cannot be used.
    #[error("export tls: {what}: {reason}")]
    Tls {
        /// The file or the name.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The value for the header `authorization` cannot be used.
    #[error("export auth: {reason}")]
    Auth {
        /// What is wrong with it.
        reason: String,
    },
    /// librdkafka does not accept the settings.
    #[error("export kafka: {reason}")]
    Kafka {
        /// What is wrong with them.
        reason: String,
    },
}

/// A running exporter. Clones are handles of the same one; it stops when the last is dropped.
#[derive(Clone)]
pub struct Exporter {
    shared: Arc<Shared>,
    tasks: Arc<Tasks>,
}

impl Exporter {
    /// Starts the exporter on `runtime`. It connects by itself, now or when the backend is up.
    ///
    /// `acks` holds one sink for each worker, at the index that [`Origin::worker`] names.
    ///
    /// # Errors
    /// When the endpoint, a header or a file that the settings name cannot be used.
    pub fn start(
        settings: &ExportSettings,
        runtime: &Handle,
        fence: Arc<dyn Fence>,
        acks: Vec<AckSink>,
        metrics: ExportMetrics,
    ) -> Result<Self, ExportError> {
        Self::start_resolving(settings, runtime, fence, acks, metrics, system_resolver())
    }

    /// The same with another way of resolving names.
    fn start_resolving(
        settings: &ExportSettings,
        runtime: &Handle,
        fence: Arc<dyn Fence>,
        acks: Vec<AckSink>,
        metrics: ExportMetrics,
        resolve: Resolve,
    ) -> Result<Self, ExportError> {
        let _context = runtime.enter();
        let shared = |endpoint: String, target: Target| {
            let health = Health::new(&settings.name, endpoint, target, metrics.up.clone());
            shared(settings, health, fence, acks, metrics)
        };
        if settings.protocol == Protocol::Kafka {
            let transport = KafkaTransport::new(settings)?;
            let shared = shared(transport.endpoint(), Target::TOPIC);
            return Ok(Self::spawn(settings, runtime, shared, transport));
        }
        let tls = settings.tls.as_ref();
        let endpoint = Endpoint::parse(&settings.endpoint, settings.protocol, tls)?;
        let credentials = Credentials::new(&settings.headers, settings.auth.as_ref())?;
        let connector = connector(settings, &endpoint, resolve)?;
        let shared = shared(endpoint.to_string(), Target::new(settings.protocol, &endpoint));
        Ok(if settings.protocol == Protocol::Http {
            let transport = HttpTransport::new(settings, &endpoint, connector, credentials);
            Self::spawn(settings, runtime, shared, transport)
        } else {
            let transport = GrpcTransport::new(settings, &endpoint, connector, credentials);
            Self::spawn(settings, runtime, shared, transport)
        })
    }

    fn spawn<T: Transport>(
        settings: &ExportSettings,
        runtime: &Handle,
        shared: Shared,
        transport: T,
    ) -> Self {
        let shared = Arc::new(shared);
        let transport = Arc::new(transport);
        let consumers = (0..settings.sending_queue.num_consumers.max(1))
            .map(|_| runtime.spawn(delivery::consume(shared.clone(), transport.clone())));
        let mut tasks: Vec<_> = consumers.collect();
        tasks.push(runtime.spawn(monitor::probe(shared.clone(), transport)));
        tasks.push(runtime.spawn(monitor::sweep(shared.clone())));
        Self { shared, tasks: Arc::new(Tasks(tasks)) }
    }

    /// Takes the chunk, or hands it back when the queue is full or the exporter was stopped. Never
    /// blocks; may be called from any thread.
    ///
    /// # Errors
    /// The chunk; [`room`](Self::room) returns when to try again.
    pub fn try_send(&self, chunk: Chunk) -> Result<(), Chunk> {
        let bytes = chunk.bytes.len() as f64;
        // Counted before it is taken, since it may be settled before this call returns.
        self.shared.metrics.queue_bytes.increment(bytes);
        self.shared.queue.push(chunk).inspect_err(|_| {
            self.shared.metrics.queue_bytes.decrement(bytes);
        })
    }

    /// Waits until there is room for a chunk of `bytes`. Another worker may take it first; then
    /// `try_send` fails again. Never returns once the exporter was stopped.
    pub async fn room(&self, bytes: usize) {
        self.shared.queue.room(bytes).await;
    }

    /// From now on requests are sent at once, full or not, because somebody waits for the last acks;
    /// until [`calm`](Self::calm) is called as often.
    pub fn hurry(&self) {
        self.shared.queue.hurry();
    }

    /// Undoes one [`hurry`](Self::hurry).
    pub fn calm(&self) {
        self.shared.queue.calm();
    }

    /// Whether the backend has accepted what it was sent last, if only a request without spans.
    pub fn reachable(&self) -> bool {
        self.shared.health.is_up()
    }

    /// Why it is not reachable: the last code and message, if there was an attempt.
    pub fn trouble(&self) -> Option<String> {
        self.shared.health.trouble()
    }

    /// Its name in the settings.
    pub fn name(&self) -> &str {
        self.shared.health.exporter()
    }

    /// Where it sends to, without credentials.
    pub fn endpoint(&self) -> &str {
        self.shared.health.endpoint()
    }

    /// Bytes that wait, are in flight or wait for a retry.
    pub fn held_bytes(&self) -> usize {
        self.shared.queue.held_bytes()
    }

    /// Sends at once all that waits, and waits until everything is settled, `deadline` at most; then
    /// stops. Chunks that are handed in meanwhile are taken too. Returns how many chunks are not
    /// settled; no ack will come for those.
    pub async fn drain(&self, deadline: Duration) -> usize {
        self.shared.queue.hurry();
        self.shared.scheduler.drain(&self.shared.queue);
        let settled = tokio::time::timeout(deadline, self.shared.queue.idle()).await;
        self.stop();
        match settled {
            Ok(()) => 0,
            Err(_elapsed) => self.shared.queue.held_chunks(),
        }
    }

    /// Stops at once, as a crash would: what is left is neither sent nor acknowledged.
    pub fn stop(&self) {
        self.shared.queue.close();
        self.tasks.abort();
    }
}

fn connector(
    settings: &ExportSettings,
    endpoint: &Endpoint,
    resolve: Resolve,
) -> Result<Connector, ExportError> {
    let protocol: &[u8] = if settings.protocol == Protocol::Http { b"http/1.1" } else { b"h2" };
    let default = TlsSettings::default();
    let tls = endpoint
        .is_tls()
        .then(|| Tls::new(settings.tls.as_ref().unwrap_or(&default), endpoint, protocol))
        .transpose()?;
    Ok(Connector::new(endpoint.clone(), tls, resolve, settings.timeout))
}

fn shared(
    settings: &ExportSettings,
    health: Health,
    fence: Arc<dyn Fence>,
    acks: Vec<AckSink>,
    metrics: ExportMetrics,
) -> Shared {
    let capacity = settings.sending_queue.queue_size_bytes;
    let consumers = settings.sending_queue.num_consumers.max(1);
    metrics.queue_capacity.set(capacity as f64);
    Shared {
        queue: Queue::new(Limits {
            capacity,
            max_batch: settings.max_request_bytes,
            // In a small queue a request must not wait for more bytes than a consumer's share of
            // it, or the queue is full before the request is.
            full_batch: settings.max_request_bytes.min(capacity / consumers),
            flush_interval: settings.flush_interval,
        }),
        health,
        metrics,
        fence,
        acks,
        scheduler: Scheduler::new(&settings.retry_on_failure, &settings.sending_queue),
        max_request_bytes: settings.max_request_bytes,
        log_limits: LogLimits::default(),
        forwards_without_default: settings.forwards_without_default,
        last_forwarded: Mutex::default(),
    }
}

impl std::fmt::Debug for Exporter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Exporter")
            .field("held_bytes", &self.held_bytes())
            .finish_non_exhaustive()
    }
}

/// The exporter's tasks; they end with it.
struct Tasks(Vec<JoinHandle<()>>);

impl Tasks {
    fn abort(&self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.abort();
    }
}
