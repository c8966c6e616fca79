//! The server with certificates: over HTTP/1.1, HTTP/2 and gRPC on one port.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::client::conn::{http1, http2};
use hyper::header::HOST;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tailsieve::testing::testbed::generator::Model;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tonic::transport::Endpoint;
use tower_service::Service;

use super::jaeger::{Jaeger, wanted};
use super::{Server, decided};
use crate::rig::{POLICIES, Rig};
use crate::support::{Authority, Files, Leaf, http_get};
use crate::trace::{Contents, add, of_services};

const HTTP_1: &str = "http/1.1";
const HTTP_2: &str = "h2";

/// Somebody who trusts an authority, and may have a certificate.
#[derive(Clone)]
struct Client {
    address: String,
    config: Arc<ClientConfig>,
}

/// What came back, and who has shown which certificate.
struct Answer {
    status: u16,
    body: Bytes,
    certificate: CertificateDer<'static>,
}

impl Client {
    fn new(server: &Server<'_>, authority: &Authority, own: Option<&Leaf>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match own {
            None => config.with_no_client_auth(),
            Some(own) => config
                .with_client_auth_cert(vec![own.certificate.clone()], own.key.clone_key())
                .unwrap(),
        };
        Self { address: server.address.clone(), config: Arc::new(config) }
    }

    async fn connect(&self, protocol: &str) -> io::Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(&self.address).await?;
        let mut config = (*self.config).clone();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
        Ok(stream)
    }

    /// Over a connection of its own.
    async fn get(&self, path: &str, protocol: &str) -> Result<Answer, Box<dyn Error>> {
        let stream = self.connect(protocol).await?;
        let certificate = stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned();
        let io = TokioIo::new(stream);
        let response = if protocol == HTTP_2 {
            let uri = format!("https://{}{path}", self.address);
            let request = Request::get(uri).body(Empty::<Bytes>::new())?;
            let (mut requests, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(connection);
            requests.send_request(request).await?
        } else {
            let request = Request::get(path).header(HOST, &self.address);
            let (mut requests, connection) = http1::handshake(io).await?;
            tokio::spawn(connection);
            requests.send_request(request.body(Empty::<Bytes>::new())?).await?
        };
        let status = response.status().as_u16();
        Ok(Answer { status, body: response.into_body().collect().await?.to_bytes(), certificate })
    }
}

/// Connects for gRPC.
impl Service<Uri> for Client {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let client = self.clone();
        Box::pin(async move { client.connect(HTTP_2).await.map(TokioIo::new) })
    }
}

/// A trace that was dropped, and a server of it.
struct Encrypted<'a> {
    rig: &'a Rig,
    server: Server<'a>,
    id: &'a str,
    spans: &'a Contents,
}

impl Encrypted<'_> {
    fn get(&self, client: &Client, protocol: &str) -> Result<Answer, Box<dyn Error>> {
        self.rig.runtime.block_on(client.get(&format!("/api/traces/{}", self.id), protocol))
    }

    fn jaeger(&self, client: &Client) -> Jaeger<'_> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.server.address)).unwrap();
        let _context = self.rig.runtime.enter();
        Jaeger::over(self.rig, endpoint.connect_with_connector_lazy(client.clone()))
    }

    /// Returns the certificate that the server has shown.
    fn serves(&self, client: &Client) -> CertificateDer<'static> {
        let trace = BTreeMap::from([(self.id.to_owned(), self.spans.clone())]);
        let [of_http_1, of_http_2] = [HTTP_1, HTTP_2].map(|protocol| {
            let answer = self.get(client, protocol).unwrap();
            assert_eq!(answer.status, 200, "{protocol}");
            let mut found = BTreeMap::new();
            add(&mut found, &answer.body);
            assert!(found == trace, "{protocol}");
            answer.certificate
        });
        assert!(self.jaeger(client).open(vec![wanted(self.id)]) == trace);
        assert_eq!(of_http_1, of_http_2);
        of_http_2
    }

    /// No request comes in.
    fn refuses(&self, client: &Client) {
        let requests = || self.server.log().matches("retrieval.lookup").count();
        let before = requests();
        for protocol in [HTTP_1, HTTP_2] {
            assert!(self.get(client, protocol).is_err(), "{protocol}");
        }
        assert!(self.jaeger(client).get(vec![wanted(self.id)]).is_err());
        assert_eq!(requests(), before);
    }
}

fn put(files: &Files, leaf: &Leaf) {
    files.write("tls.crt", &leaf.certificate_pem);
    files.write("tls.key", &leaf.key_pem);
}

/// Scenario: the server has a certificate, which is replaced, also by files that are of no use; another
/// server asks its clients for one.
/// Guarantees: Tempo, over either HTTP, and Jaeger get the trace by the same port, encrypted; who connects
/// next sees the certificate that is in the files; one that cannot be used changes nothing, and is told; who
/// shows no certificate of the right authority gets nothing.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn traces_travel_encrypted_to_those_who_may_have_them() {
    let rig = Rig::new("retrieval-tls", POLICIES);
    let member = rig.member("member");
    let settings = of_services(31, 500);
    let mut sent = BTreeMap::new();
    Model::new(settings.clone()).for_each(|record| add(&mut sent, &record.payload));
    rig.write(settings, false).finish();
    rig.settle();
    drop(member);
    let file = rig.scratch.join("member.yaml");
    let id = decided(file.to_str().unwrap()).dropped.pop_first().unwrap();

    let (authority, stranger, files) = (Authority::new(), Authority::new(), Files::new());
    let [first, second] = [(); 2].map(|()| authority.sign("localhost"));
    put(&files, &first);
    let folder = files.write("clients.pem", &stranger.pem());
    let folder = folder.parent().unwrap().display();
    let tls = format!("cert_file: {folder}/tls.crt, key_file: {folder}/tls.key");
    let start = |name: &str, more: &str| {
        let lines = format!("  tls: {{{tls}{more}}}\n");
        let server = Server::start(&rig, name, rig.kafka.address(), &lines);
        Encrypted { rig: &rig, server, id: &id, spans: &sent[&id] }
    };

    let server = start("encrypted", "");
    let client = Client::new(&server.server, &authority, None);
    assert_eq!(server.serves(&client), first.certificate);
    server.refuses(&Client::new(&server.server, &stranger, None));
    assert_eq!(http_get(&server.server.address, &format!("/api/traces/{id}")), None);
    put(&files, &second);
    assert_eq!(server.serves(&client), second.certificate);
    files.write("tls.key", "-----BEGIN nothing");
    assert_eq!(server.serves(&client), second.certificate);
    assert!(server.server.log().contains("retrieval.tls_reload_failed"));

    put(&files, &first);
    let asking = start("asking", &format!(", client_ca_file: {folder}/clients.pem"));
    let (known, unknown) = (stranger.sign("tempo"), authority.sign("tempo"));
    asking.refuses(&Client::new(&asking.server, &authority, None));
    asking.refuses(&Client::new(&asking.server, &authority, Some(&unknown)));
    asking.serves(&Client::new(&asking.server, &authority, Some(&known)));
    files.write("clients.pem", &authority.pem());
    asking.refuses(&Client::new(&asking.server, &authority, Some(&known)));
    asking.serves(&Client::new(&asking.server, &authority, Some(&unknown)));
}
