//! Connections, encrypted or not.
//!
//! Promises that one which does not get on with its handshake holds up no other, and that a new one uses the
//! certificate as it is in its file then.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

use crate::retrieval::TlsFiles;
use crate::sync::lock;
use crate::telemetry::admin::patience::Patient;
use crate::telemetry::log_throttle::LogThrottle;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// How many are under way at once; more connections wait.
const HANDSHAKES: usize = 64;

/// How often it is logged that the files cannot be used any more.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

impl Connected<IncomingStream<'_, Streams>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Streams>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// Takes connections.
pub(super) struct Streams {
    ready: mpsc::Receiver<(Patient<Stream>, SocketAddr)>,
    address: io::Result<SocketAddr>,
}

impl Streams {
    pub(super) fn new(listener: TcpListener, tls: Option<Tls>) -> Self {
        let address = listener.local_addr();
        let (hand_over, ready) = mpsc::channel(HANDSHAKES);
        tokio::spawn(accept(listener, tls.map(Arc::new), hand_over));
        Self { ready, address }
    }
}

impl Listener for Streams {
    type Io = Patient<Stream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // The runtime ends.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        match &self.address {
            Ok(address) => Ok(*address),
            Err(error) => Err(error.kind().into()),
        }
    }
}

/// Accepts until nobody takes connections any more.
async fn accept(
    mut listener: TcpListener,
    tls: Option<Arc<Tls>>,
    ready: mpsc::Sender<(Patient<Stream>, SocketAddr)>,
) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let Ok(place) = Arc::clone(&handshakes).acquire_owned().await else { return };
        let (stream, peer) = tokio::select! {
            accepted = Listener::accept(&mut listener) => accepted,
            () = ready.closed() => return,
        };
        let (tls, ready) = (tls.clone(), ready.clone());
        tokio::spawn(async move {
            let _place = place;
            let stream = match tls {
                None => Stream::Plain(stream),
                Some(tls) => {
                    let shaken = tls.acceptor().accept(stream);
                    match tokio::time::timeout(HANDSHAKE, shaken).await {
                        Ok(Ok(stream)) => Stream::Tls(Box::new(stream)),
                        Ok(Err(_)) | Err(_) => return,
                    }
                }
            };
            let _ = ready.send((Patient::new(stream), peer)).await;
        });
    }
}

/// The certificate, as it was read last.
pub(super) struct Tls {
    files: TlsFiles,
    in_use: Mutex<(Arc<ServerConfig>, Stamps)>,
    trouble: LogThrottle,
}

/// Shows whether files have changed.
type Stamps = Vec<Option<(SystemTime, u64)>>;

impl Tls {
    pub(super) fn new(files: TlsFiles) -> Result<Self, String> {
        let stamps = stamps(&files);
        let in_use = Mutex::new((Arc::new(config(&files)?), stamps));
        Ok(Self { files, in_use, trouble: LogThrottle::new(LOG_INTERVAL) })
    }

    /// A few small files: not worth another thread.
    fn acceptor(&self) -> TlsAcceptor {
        let mut in_use = lock(&self.in_use);
        let stamps = stamps(&self.files);
        if stamps != in_use.1 {
            match config(&self.files) {
                Ok(config) => *in_use = (Arc::new(config), stamps),
                Err(error) => {
                    if let Some(suppressed) = self.trouble.allow() {
                        tracing::warn!(error, suppressed, "retrieval.tls_reload_failed");
                    }
                }
            }
        }
        TlsAcceptor::from(Arc::clone(&in_use.0))
    }
}

fn stamps(TlsFiles { cert_file, key_file, client_ca_file }: &TlsFiles) -> Stamps {
    let stamp = |path: &Path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    [Some(cert_file), Some(key_file), client_ca_file.as_ref()]
        .into_iter()
        .flatten()
        .map(|path| stamp(path))
        .collect()
}

fn config(files: &TlsFiles) -> Result<ServerConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match &files.client_ca_file {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|error| mistake(file, error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = verifier.build().map_err(|error| mistake(file, error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key = PrivateKeyDer::from_pem_file(&files.key_file);
    let key = key.map_err(|error| mistake(&files.key_file, error))?;
    let mut config = builder
        .with_single_cert(certificates(&files.cert_file)?, key)
        .map_err(|error| mistake(&files.cert_file, error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The certificates of a file; at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let found: Vec<_> = found.map_err(|error| mistake(file, error))?;
    if found.is_empty() {
        return Err(mistake(file, "no certificate is in it (expected PEM)"));
    }
    Ok(found)
}

fn mistake(file: &Path, reason: impl std::fmt::Display) -> String {
    format!("{}: {reason}", file.display())
}

/// A connection.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
