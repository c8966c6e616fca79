//! Connections to the backend: resolves the name, opens TCP, and TLS if the endpoint needs it.
//!
//! Promises that the name is resolved for every new connection; that each one starts with another of
//! its addresses, so that several connections reach several pods; and that the certificates are read
//! from the files again. Leaves to others what is sent, and when a connection is replaced.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;
use tower_service::Service;

use super::endpoint::Endpoint;
use super::tls::Tls;

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Resolves a host and a port.
pub(super) type Resolve =
    Arc<dyn Fn(String, u16) -> BoxFuture<io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Asks the system, each time again.
pub(super) fn system_resolver() -> Resolve {
    Arc::new(|host, port| {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    })
}

/// Opens connections to one endpoint. Clones share the order in which addresses are tried.
#[derive(Clone)]
pub(super) struct Connector {
    shared: Arc<Shared>,
}

struct Shared {
    endpoint: Endpoint,
    tls: Option<Tls>,
    resolve: Resolve,
    timeout: Duration,
    turn: AtomicUsize,
}

impl Connector {
    /// A connector that spends `timeout` on one connection at most.
    pub(super) fn new(
        endpoint: Endpoint,
        tls: Option<Tls>,
        resolve: Resolve,
        timeout: Duration,
    ) -> Self {
        let turn = AtomicUsize::new(0);
        Self { shared: Arc::new(Shared { endpoint, tls, resolve, timeout, turn }) }
    }

    /// Opens a connection.
    pub(super) async fn connect(&self) -> io::Result<Stream> {
        let opened = tokio::time::timeout(self.shared.timeout, self.shared.connect()).await;
        opened.unwrap_or_else(|_elapsed| {
            Err(io::Error::new(io::ErrorKind::TimedOut, "no connection within the timeout"))
        })
    }
}

impl Shared {
    async fn connect(&self) -> io::Result<Stream> {
        let (host, port) = (self.endpoint.host(), self.endpoint.port());
        let addresses = (self.resolve)(host.to_owned(), port).await.map_err(|error| {
            io::Error::new(error.kind(), format!("{host} cannot be resolved: {error}"))
        })?;
        let tcp = self.any_of(&addresses).await?;
        let Some(tls) = &self.tls else { return Ok(Stream(Either::Left(tcp))) };
        let connector = tls.connector().await;
        let stream = connector
            .connect(tls.server_name(), tcp)
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("TLS with {host}: {error}")))?;
        Ok(Stream(Either::Right(Box::new(stream))))
    }

    /// A connection to one of the addresses: the next one in turn that can be reached.
    async fn any_of(&self, addresses: &[SocketAddr]) -> io::Result<TcpStream> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        // An address that swallows packets must not use up the time of the others.
        let each = self.timeout / u32::try_from(addresses.len().clamp(1, 3)).unwrap_or(1);
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for step in 0..addresses.len() {
            let address = addresses[first.wrapping_add(step) % addresses.len()];
            match tokio::time::timeout(each, open(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => {
                    failed = io::Error::new(error.kind(), format!("{address}: {error}"));
                }
                Err(_elapsed) => {
                    let text = format!("{address}: no answer");
                    failed = io::Error::new(io::ErrorKind::TimedOut, text);
                }
            }
        }
        Err(failed)
    }
}

async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_keepalive(true)?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = BoxFuture<io::Result<TokioIo<Stream>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Connects to the endpoint, whatever the URI is.
    fn call(&mut self, _: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect().await.map(TokioIo::new) })
    }
}

/// A connection, with or without TLS.
#[derive(Debug)]
pub(super) struct Stream(Either<TcpStream, Box<TlsStream<TcpStream>>>);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
