//! A small OTLP/gRPC receiver inside the process, for the demo and for tests.
//!
//! Accepts trace export requests with gzip, zstd or no compression, up to 4 MiB after decompression
//! as real receivers do, and hands the decompressed `ExportTraceServiceRequest` bytes to a sink.
//! Requests without spans are answered like all others, but neither counted nor handed on. It can
//! imitate the failures of backends. Leaves the contents of requests to the sink.

mod connection;
mod service;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::Code;
use tonic::metadata::MetadataMap;

use self::connection::{Cut, Incoming};
use self::service::TraceService;
use crate::sync::lock;

/// What the receiver does with a request.
#[derive(Clone, Default)]
pub enum Behaviour {
    /// Takes it.
    #[default]
    Accept,
    /// Does not take it and answers `UNAVAILABLE`.
    Unavailable,
    /// Does not take it and answers this code, with `RetryInfo` if a delay is given.
    Code(Code, Option<Duration>),
    /// Takes it and answers that so many spans of it were rejected.
    PartialSuccess {
        /// The number of rejected spans it claims.
        rejected: i64,
    },
    /// Does not take it and closes every open connection without an answer.
    CloseConnection,
    /// Does not take it and ends the answer without a gRPC status, as some proxies do.
    NoStatus,
    /// Does not take it and answers with this status of HTTP and a web page, as a proxy does whose
    /// backend is away.
    Page(u16),
    /// Takes it and answers `UNAVAILABLE`: the acknowledgement is lost.
    AcceptThenFail,
    /// Takes it and closes every open connection without an answer: the acknowledgement is lost.
    AcceptThenClose,
    /// Takes it and answers after this time.
    Delay(Duration),
    /// Looks at the request to decide.
    Judge(Arc<dyn Fn(&Bytes) -> Behaviour + Send + Sync>),
}

/// Where the requests go that were taken, decompressed and in the order they came.
pub type Sink = Box<dyn Fn(Bytes) + Send + Sync>;

/// A running receiver; it stops, with all its connections, when it is dropped.
pub struct Receiver {
    local_addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// What the receiver and the service that answers requests share.
struct Shared {
    behaviour: Mutex<Behaviour>,
    sink: Sink,
    requests: AtomicU64,
    taken: AtomicU64,
    /// The headers of the last request.
    headers: Mutex<MetadataMap>,
    cut: Cut,
}

impl Receiver {
    /// Listens on `addr`; port 0 takes a free one. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start(addr: SocketAddr, sink: Sink) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let local_addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            behaviour: Mutex::default(),
            sink,
            requests: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            headers: Mutex::default(),
            cut: Cut::default(),
        });
        let incoming = Incoming::new(listener, shared.cut.clone());
        let service = TraceService::new(shared.clone());
        let accepting = tokio::spawn(async move {
            let served = tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming)
                .await;
            if let Err(error) = served {
                tracing::error!(%error, "receiver.failed");
            }
        });
        Ok(Self { local_addr, shared, accepting })
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// From the next request on, behave like this.
    pub fn behave(&self, behaviour: Behaviour) {
        *lock(&self.shared.behaviour) = behaviour;
    }

    /// How many requests came, taken or not.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// How many requests were taken.
    pub fn taken(&self) -> u64 {
        self.shared.taken.load(Ordering::Relaxed)
    }

    /// A header of the last request, if it came with one of this name that is text.
    pub fn header(&self, name: &str) -> Option<String> {
        let headers = lock(&self.shared.headers);
        let value = headers.get(name)?.to_str().ok()?;
        Some(value.to_owned())
    }

    /// Stops listening and closes every connection, as if the process was killed; the port is free
    /// again when this returns.
    pub async fn kill(mut self) {
        self.accepting.abort();
        // The listener is closed when the task is gone; that it was cancelled is no news.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
        self.shared.cut.all();
    }
}
