//! TLS of connections to the backend: turns the files of the settings into a configuration of rustls.
//!
//! Promises that a new connection uses the current files: they are checked for each one, and read
//! again when one of them has changed or `reload_interval` is over. Files that cannot be read or do not
//! fit together make the start fail; later the last good ones stay in use, with a warning.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{self, CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, version,
};

use super::ExportError;
use super::endpoint::Endpoint;
use super::settings::{TlsSettings, TlsVersion};
use crate::sync::lock;
use crate::telemetry::log_throttle::LogThrottle;

/// How often it is logged that the files cannot be used any more.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The TLS of one endpoint; see the module.
pub(super) struct Tls {
    files: Arc<Files>,
    server_name: ServerName<'static>,
    in_use: Mutex<Loaded>,
    trouble: LogThrottle,
}

struct Files {
    settings: TlsSettings,
    /// The application protocol, as ALPN names it.
    protocol: &'static [u8],
}

#[derive(Clone)]
struct Loaded {
    config: Arc<ClientConfig>,
    stamps: Vec<Stamp>,
    at: Instant,
}

/// Shows whether a file has changed.
type Stamp = Option<(SystemTime, u64)>;

impl Tls {
    /// Reads the files.
    pub(super) fn new(
        settings: &TlsSettings,
        endpoint: &Endpoint,
        protocol: &'static [u8],
    ) -> Result<Self, ExportError> {
        let name = settings.server_name_override.as_deref().unwrap_or(endpoint.host());
        let server_name = ServerName::try_from(name.to_owned()).map_err(|_| ExportError::Tls {
            what: format!("{name:?}"),
            reason: "not a name that a certificate could have; set tls.server_name_override"
                .to_owned(),
        })?;
        let files = Arc::new(Files { settings: settings.clone(), protocol });
        let in_use = Mutex::new(files.load()?);
        Ok(Self { files, server_name, in_use, trouble: LogThrottle::new(LOG_INTERVAL) })
    }

    /// The name that the certificate of the backend must have.
    pub(super) fn server_name(&self) -> ServerName<'static> {
        self.server_name.clone()
    }

    /// The connector for the next connection.
    pub(super) async fn connector(&self) -> TlsConnector {
        let loaded = self.in_use().clone();
        let files = Arc::clone(&self.files);
        // Loading the system's roots takes a while, and so may any file system.
        let renewed = tokio::task::spawn_blocking(move || files.renewed(&loaded)).await;
        match renewed {
            Ok(Ok(Some(loaded))) => *self.in_use() = loaded,
            Ok(Err(error)) => self.keep_last(&error),
            // Nothing changed, or the runtime shuts down.
            Ok(Ok(None)) | Err(_) => {}
        }
        TlsConnector::from(Arc::clone(&self.in_use().config))
    }

    fn keep_last(&self, error: &ExportError) {
        if let Some(suppressed) = self.trouble.allow_at(Instant::now().into_std()) {
            tracing::warn!(
                %error,
                suppressed,
                effect = "new connections use the certificates that were read last",
                "export.tls_reload_failed"
            );
        }
    }

    fn in_use(&self) -> std::sync::MutexGuard<'_, Loaded> {
        lock(&self.in_use)
    }
}

impl Files {
    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let TlsSettings { ca_file, cert_file, key_file, .. } = &self.settings;
        [ca_file, cert_file, key_file].into_iter().flatten()
    }

    fn stamps(&self) -> Vec<Stamp> {
        let stamp = |path: &PathBuf| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        self.paths().map(stamp).collect()
    }

    /// Reads the files, if they have to be read again.
    fn renewed(&self, loaded: &Loaded) -> Result<Option<Loaded>, ExportError> {
        let interval = self.settings.reload_interval;
        let is_old = !interval.is_zero() && loaded.at.elapsed() >= interval;
        if !is_old && self.stamps() == loaded.stamps {
            return Ok(None);
        }
        self.load().map(Some)
    }

    fn load(&self) -> Result<Loaded, ExportError> {
        // Before the files are read: a change in between is seen the next time.
        let stamps = self.stamps();
        let config = Arc::new(self.config()?);
        Ok(Loaded { config, stamps, at: Instant::now() })
    }

    fn config(&self) -> Result<ClientConfig, ExportError> {
        let settings = &self.settings;
        let versions: &[_] = match settings.min_version {
            TlsVersion::Tls12 => &[&version::TLS12, &version::TLS13],
            TlsVersion::Tls13 => &[&version::TLS13],
        };
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(|error| mistake("tls", error))?;
        let builder = if settings.insecure_skip_verify {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider)))
        } else {
            builder.with_root_certificates(self.roots()?)
        };
        let mut config = match (&settings.cert_file, &settings.key_file) {
            (Some(certificate), Some(key)) => {
                let chain = certificates(certificate)?;
                let key_der =
                    PrivateKeyDer::from_pem_file(key).map_err(|error| mistake(key, error))?;
                let fits = builder.with_client_auth_cert(chain, key_der);
                fits.map_err(|error| mistake(certificate, error))?
            }
            _ => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![self.protocol.to_vec()];
        Ok(config)
    }

    fn roots(&self) -> Result<RootCertStore, ExportError> {
        let settings = &self.settings;
        let mut roots = RootCertStore::empty();
        if let Some(file) = &settings.ca_file {
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|error| mistake(file, error))?;
            }
        }
        if settings.ca_file.is_none() || settings.include_system_ca_certs_pool {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        if roots.is_empty() {
            let reason = "this system has no certificates of authorities; set tls.ca_file";
            return Err(mistake("tls", reason));
        }
        Ok(roots)
    }
}

/// The certificates of a file; at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, ExportError> {
    let found = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let found: Vec<_> = found.map_err(|error| mistake(file, error))?;
    if found.is_empty() {
        return Err(mistake(file, "no certificate is in it (expected PEM)"));
    }
    Ok(found)
}

fn mistake(what: impl AsRef<Path>, reason: impl ToString) -> ExportError {
    let what = what.as_ref().display().to_string();
    ExportError::Tls { what, reason: reason.to_string() }
}

/// `insecure_skip_verify`: takes any server for the backend, as long as its signature fits the
/// certificate that it shows.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
