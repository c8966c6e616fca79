//! Connections that can be cut from outside, which a gRPC server by itself does not offer.

use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use crate::sync::lock;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::codegen::tokio_stream::Stream;
use tonic::transport::server::Connected;

/// Cuts connections.
#[derive(Clone, Default)]
pub(super) struct Cut(Arc<Mutex<CancellationToken>>);

impl Cut {
    /// Cuts every connection that is open now, not later ones.
    pub(super) fn all(&self) {
        let mut token = lock(&self.0);
        std::mem::take(&mut *token).cancel();
    }

    fn token(&self) -> CancellationToken {
        lock(&self.0).clone()
    }
}

/// The connections that come in on a listener.
pub(super) struct Incoming {
    listener: TcpListener,
    cut: Cut,
}

impl Incoming {
    pub(super) fn new(listener: TcpListener, cut: Cut) -> Self {
        Self { listener, cut }
    }
}

impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.listener.poll_accept(context).map(|accepted| {
            Some(accepted.map(|(tcp, _peer)| Connection {
                tcp,
                cut: Box::pin(self.cut.token().cancelled_owned()),
            }))
        })
    }
}

/// A TCP connection until it is cut, then one that fails.
pub(super) struct Connection {
    tcp: TcpStream,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Connection {
    /// Fails if the connection was cut, and makes sure that the task is woken when it is cut.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionReset.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        pin!(&mut self.tcp).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        pin!(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.tcp).poll_shutdown(context)
    }
}

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}
