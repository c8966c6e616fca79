//! Certificates, and the files that they are in.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// An authority, and what it signs.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key.
pub struct Leaf {
    pub certificate: CertificateDer<'static>,
    pub certificate_pem: String,
    pub key: PrivateKeyDer<'static>,
    pub key_pem: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn certificate(&self) -> &CertificateDer<'static> {
        self.0.der()
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn sign(&self, name: &str) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Leaf {
            certificate: certificate.der().clone(),
            certificate_pem: certificate.pem(),
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            key_pem: key.serialize_pem(),
        }
    }
}

/// A folder with files.
pub struct Files(tempfile::TempDir);

impl Files {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Replaces the file in one step, as those who rotate certificates do.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let (path, next) = (self.0.path().join(name), self.0.path().join("next"));
        fs::write(&next, text).unwrap();
        fs::rename(&next, &path).unwrap();
        path
    }
}
