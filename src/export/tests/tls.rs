//! TLS and mutual TLS, in front of both kinds of receivers, with certificates that change.

use std::net::SocketAddr;
use std::path::Path;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::super::testing::Log;
use super::super::*;
use super::backend::{LOCALHOST, acks, names, receiver_at, start, trace};
use super::certificates::{Authority, Files, Leaf};
use super::http::HttpBackend;

/// What terminates TLS in front of a receiver.
struct Front {
    addr: SocketAddr,
    /// The certificates of the peers, in the order of their connections.
    peers: Log<Option<CertificateDer<'static>>>,
    /// Handshakes that failed.
    failed: Log<String>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Front {
    /// In front of `backend`, with this certificate; peers need one of `clients`, if it is given.
    async fn start(backend: SocketAddr, leaf: &Leaf, clients: Option<&Authority>) -> Self {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.certificate().clone()).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let chain = vec![leaf.certificate.clone()];
        let mut config = builder.with_single_cert(chain, leaf.key.clone_key()).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind(LOCALHOST).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (peers, failed) = (Log::default(), Log::default());
        let (seen, failures) = (Arc::clone(&peers), Arc::clone(&failed));
        let accepting = tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                let (seen, failures) = (Arc::clone(&seen), Arc::clone(&failures));
                tokio::spawn(async move {
                    match acceptor.accept(tcp).await {
                        Err(error) => failures.lock().unwrap().push(error.to_string()),
                        Ok(mut tls) => {
                            let peer = tls.get_ref().1.peer_certificates();
                            let peer = peer.map(|chain| chain[0].clone().into_owned());
                            seen.lock().unwrap().push(peer);
                            let mut tcp = tokio::net::TcpStream::connect(backend).await.unwrap();
                            // How a connection ends is of no interest.
                            let _ = tokio::io::copy_bidirectional(&mut tls, &mut tcp).await;
                        }
                    }
                });
            }
        });
        Self { addr, peers, failed, accepting }
    }

    async fn until_failed(&self) {
        while self.failed.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn grpc(front: &Front, tls: TlsSettings) -> ExportSettings {
    let endpoint = format!("https://{}", front.addr);
    ExportSettings { endpoint, tls: Some(tls), ..super::backend::settings(front.addr) }
}

fn http(front: &Front, tls: TlsSettings) -> ExportSettings {
    let endpoint = format!("https://{}", front.addr);
    ExportSettings { endpoint, tls: Some(tls), ..super::http::settings(front.addr) }
}

#[tokio::test]
async fn traces_travel_encrypted_to_a_backend_whose_authority_is_trusted() {
    let (authority, files) = (Authority::new(), Files::new());
    let leaf = authority.sign("127.0.0.1");
    let ca_file = Some(files.write("ca.pem", &authority.pem()));
    let tls = TlsSettings { ca_file, ..TlsSettings::default() };

    let (receiver, taken) = receiver_at(LOCALHOST).await;
    let front = Front::start(receiver.local_addr(), &leaf, None).await;
    let (exporter, mut ack_receiver) = start(&grpc(&front, tls.clone()));
    assert_eq!(exporter.endpoint(), format!("https://{}", front.addr));
    exporter.try_send(trace(1, 10)).unwrap();
    assert_eq!(acks(&mut ack_receiver, 1).await, [(1, Outcome::Delivered)]);
    assert_eq!(names(&taken), [1]);

    let backend = HttpBackend::start(LOCALHOST).await;
    let front = Front::start(backend.addr, &leaf, None).await;
    let (exporter, mut ack_receiver) = start(&http(&front, tls));
    exporter.try_send(trace(2, 10)).unwrap();
    assert_eq!(acks(&mut ack_receiver, 1).await, [(2, Outcome::Delivered)]);
    assert_eq!(names(&backend.taken), [2]);
}

#[tokio::test]
async fn nothing_goes_to_a_backend_that_cannot_show_who_it_is() {
    let (authority, stranger, files) = (Authority::new(), Authority::new(), Files::new());
    let ca_file = Some(files.write("ca.pem", &authority.pem()));
    let tls = TlsSettings { ca_file, ..TlsSettings::default() };
    let (receiver, taken) = receiver_at(LOCALHOST).await;
    for leaf in [stranger.sign("127.0.0.1"), authority.sign("other.example")] {
        let front = Front::start(receiver.local_addr(), &leaf, None).await;
        for settings in [grpc(&front, tls.clone()), http(&front, tls.clone())] {
            front.failed.lock().unwrap().clear();
            let (exporter, mut ack_receiver) = start(&settings);
            exporter.try_send(trace(1, 10)).unwrap();
            front.until_failed().await;
            assert!(!exporter.reachable());
            assert!(ack_receiver.try_recv().is_err());
        }
        assert_eq!(*front.peers.lock().unwrap(), []);
    }
    assert_eq!(names(&taken), [0; 0]);
}

#[tokio::test]
async fn another_name_or_no_verification_can_be_asked_for() {
    let (authority, files) = (Authority::new(), Files::new());
    let leaf = authority.sign("tempo.example");
    let (receiver, taken) = receiver_at(LOCALHOST).await;
    let front = Front::start(receiver.local_addr(), &leaf, None).await;
    let by_name = TlsSettings {
        ca_file: Some(files.write("ca.pem", &authority.pem())),
        server_name_override: Some("tempo.example".to_owned()),
        min_version: TlsVersion::Tls13,
        ..TlsSettings::default()
    };
    let unverified = TlsSettings { insecure_skip_verify: true, ..TlsSettings::default() };
    for (pin, tls) in [(1, by_name), (2, unverified)] {
        let (exporter, mut ack_receiver) = start(&grpc(&front, tls));
        exporter.try_send(trace(pin, 10)).unwrap();
        assert_eq!(acks(&mut ack_receiver, 1).await, [(pin, Outcome::Delivered)]);
    }
    assert_eq!(names(&taken), [1, 2]);
}

/// Scenario: the backend wants certificates of an authority of its own, and the exporter's is
/// replaced while it runs.
/// Guarantees: without a certificate nothing is delivered; new connections show the new one.
#[tokio::test]
async fn a_backend_that_asks_gets_the_certificate_that_the_files_hold_now() {
    let (authority, clients, files) = (Authority::new(), Authority::new(), Files::new());
    let leaf = authority.sign("127.0.0.1");
    let anonymous = TlsSettings {
        ca_file: Some(files.write("ca.pem", &authority.pem())),
        ..TlsSettings::default()
    };
    let backend = HttpBackend::start(LOCALHOST).await;
    let (receiver, _taken) = receiver_at(LOCALHOST).await;
    for (of, addr) in
        [(http as fn(&Front, TlsSettings) -> _, backend.addr), (grpc, receiver.local_addr())]
    {
        let front = Front::start(addr, &leaf, Some(&clients)).await;
        let (nobody, mut no_acks) = start(&of(&front, anonymous.clone()));
        nobody.try_send(trace(1, 10)).unwrap();
        front.until_failed().await;
        assert!(no_acks.try_recv().is_err());
        drop(nobody);

        let (first, second) = (clients.sign("first"), clients.sign("second"));
        let tls = TlsSettings {
            cert_file: Some(files.write("cert.pem", &first.certificate_pem)),
            key_file: Some(files.write("key.pem", &first.key_pem)),
            ..anonymous.clone()
        };
        let settings =
            ExportSettings { connection_max_age: Duration::from_millis(10), ..of(&front, tls) };
        let (exporter, mut ack_receiver) = start(&settings);
        exporter.try_send(trace(2, 10)).unwrap();
        assert_eq!(acks(&mut ack_receiver, 1).await, [(2, Outcome::Delivered)]);
        assert_eq!(*front.peers.lock().unwrap().last().unwrap(), Some(first.certificate));

        files.write("cert.pem", &second.certificate_pem);
        files.write("key.pem", &second.key_pem);
        let second = Some(second.certificate);
        while front.peers.lock().unwrap().last() != Some(&second) {
            exporter.try_send(trace(3, 10)).unwrap();
            assert_eq!(acks(&mut ack_receiver, 1).await, [(3, Outcome::Delivered)]);
        }
    }
}

#[tokio::test]
async fn files_that_cannot_be_used_stop_the_start_and_are_named() {
    let (authority, files) = (Authority::new(), Files::new());
    let (one, other) = (authority.sign("one"), authority.sign("other"));
    let certificate = Some(files.write("cert.pem", &one.certificate_pem));
    let of_other = Some(files.write("key.pem", &other.key_pem));
    let missing = Some(Path::new("/no/such/file.pem").to_owned());
    let empty = Some(files.write("empty.pem", "nothing\n"));
    let default = TlsSettings::default;
    let cases = [
        (TlsSettings { ca_file: missing, ..default() }, "/no/such/file.pem"),
        (TlsSettings { ca_file: empty, ..default() }, "empty.pem: no certificate"),
        (TlsSettings { cert_file: certificate, key_file: of_other, ..default() }, "cert.pem"),
    ];
    for (mut tls, told) in cases {
        tls.include_system_ca_certs_pool = true;
        let settings = ExportSettings {
            endpoint: "https://tempo:4317".to_owned(),
            tls: Some(TlsSettings { insecure_skip_verify: tls.ca_file.is_none(), ..tls }),
            ..ExportSettings::default()
        };
        let runtime = Handle::current();
        let fence = Arc::new(super::super::testing::TestFence::default());
        let metrics = ExportMetrics::new(&settings);
        let error = Exporter::start(&settings, &runtime, fence, Vec::new(), metrics).unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
    }
}
