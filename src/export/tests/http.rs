//! OTLP/HTTP against a real server.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::Mutex;

use ::http::{HeaderMap, Response, StatusCode, Uri};
use axum::body::Body;
use axum::extract::State;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;

use super::super::testing::Log;
use super::super::*;
use super::backend::{LOCALHOST, acks, names, start, trace};
use crate::secret::Secret;

type Answer = Box<dyn Fn(&HeaderMap, &Bytes) -> Response<Body> + Send>;

/// A server that answers as it is told, and keeps what it answered 200 to.
pub(super) struct HttpBackend {
    pub(super) addr: SocketAddr,
    pub(super) taken: Log<Bytes>,
    state: Arc<Shared>,
    serving: tokio::task::JoinHandle<()>,
}

struct Shared {
    answer: Mutex<Answer>,
    taken: Log<Bytes>,
    seen: Log<(Uri, HeaderMap)>,
}

impl HttpBackend {
    pub(super) async fn start(addr: SocketAddr) -> Self {
        let listener = tokio::net::TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let taken: Log<Bytes> = Arc::default();
        let answer: Mutex<Answer> = Mutex::new(Box::new(|_, _| answer(200)));
        let state = Arc::new(Shared { answer, taken: taken.clone(), seen: Arc::default() });
        let app = axum::Router::new()
            .fallback(handle)
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(state.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { addr, taken, state, serving }
    }

    pub(super) fn behave(
        &self,
        answer: impl Fn(&HeaderMap, &Bytes) -> Response<Body> + Send + 'static,
    ) {
        *self.state.answer.lock().unwrap() = Box::new(answer);
    }

    pub(super) fn requests(&self) -> usize {
        self.state.seen.lock().unwrap().len()
    }

    pub(super) async fn until_requests(&self, count: usize) {
        while self.requests() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn last(&self) -> (Uri, HeaderMap) {
        self.state.seen.lock().unwrap().last().unwrap().clone()
    }
}

impl Drop for HttpBackend {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn handle(
    State(state): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let bytes = match headers.get("content-encoding").map(|value| value.to_str().unwrap()) {
        Some("gzip") => {
            let mut bytes = Vec::new();
            flate2::read::GzDecoder::new(&*body).read_to_end(&mut bytes).unwrap();
            bytes.into()
        }
        Some("zstd") => zstd::decode_all(&*body).unwrap().into(),
        encoding => {
            assert_eq!(encoding, None);
            body
        }
    };
    let response = (state.answer.lock().unwrap())(&headers, &bytes);
    if bytes.len() <= 2 {
        // Without spans it only finds out whether somebody takes them.
        return response;
    }
    if response.status().is_success() {
        state.taken.lock().unwrap().push(bytes);
    }
    state.seen.lock().unwrap().push((uri, headers));
    response
}

pub(super) fn answer(status: u16) -> Response<Body> {
    Response::builder().status(status).body(Body::empty()).unwrap()
}

/// The page of a web server.
fn page(status: u16) -> Response<Body> {
    let response = Response::builder().status(status).header("content-type", "text/html");
    response.body(Body::from("<html><body>Hello</body></html>")).unwrap()
}

/// Settings that retry within milliseconds.
pub(super) fn settings(addr: SocketAddr) -> ExportSettings {
    let of_grpc = super::backend::settings(addr);
    ExportSettings {
        endpoint: format!("http://{addr}"),
        flush_interval: of_grpc.flush_interval,
        retry_on_failure: of_grpc.retry_on_failure,
        ..ExportSettings::of(Protocol::Http)
    }
}

#[tokio::test]
async fn traces_arrive_byte_for_byte_with_every_compression() {
    for compression in [Compression::Gzip, Compression::Zstd, Compression::None] {
        let backend = HttpBackend::start(LOCALHOST).await;
        let mut settings = settings(backend.addr);
        settings.compression = compression;
        settings.headers = BTreeMap::from([("X-Scope-OrgID".to_owned(), Secret::new("team"))]);
        settings.flush_interval = Duration::from_secs(3600);
        let (exporter, mut ack_receiver) = start(&settings);
        let chunks: Vec<_> = (0..20).map(|pin| trace(pin, 1000)).collect();
        let sent: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.bytes.to_vec()).collect();
        for chunk in chunks {
            exporter.try_send(chunk).unwrap();
        }
        assert_eq!(exporter.drain(Duration::from_secs(60)).await, 0);
        acks(&mut ack_receiver, 20).await;
        assert_eq!(*backend.taken.lock().unwrap(), [Bytes::from(sent.clone())]);
        let (uri, headers) = backend.last();
        assert_eq!(uri.path(), "/v1/traces");
        let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(header("content-type"), Some("application/x-protobuf"));
        assert_eq!(header("user-agent"), Some(concat!("tailsieve/", env!("CARGO_PKG_VERSION"))));
        assert_eq!(header("x-scope-orgid"), Some("team"));
        assert_eq!(header("transfer-encoding"), None);
        let encoding = match compression {
            Compression::Gzip => Some("gzip"),
            Compression::Zstd => Some("zstd"),
            Compression::None => {
                assert_eq!(header("content-length"), Some(&*sent.len().to_string()));
                None
            }
        };
        assert_eq!(header("content-encoding"), encoding);
    }
}

#[tokio::test]
async fn every_status_is_tried_again_and_a_page_acknowledges_nothing() {
    for status in [200, 300, 308, 400, 401, 403, 404, 408, 415, 422, 429, 499]
        .into_iter()
        .chain([500, 501, 502, 503, 504, 505, 520, 530])
    {
        let backend = HttpBackend::start(LOCALHOST).await;
        backend.behave(move |_, _| page(status));
        let (exporter, mut ack_receiver) = start(&settings(backend.addr));
        exporter.try_send(trace(1, 10)).unwrap();
        backend.until_requests(4).await;
        assert!(!exporter.reachable(), "{status}");
        assert!(ack_receiver.try_recv().is_err(), "{status}");
        backend.taken.lock().unwrap().clear();
        backend.behave(|_, _| answer(202));
        assert_eq!(acks(&mut ack_receiver, 1).await, [(1, Outcome::Delivered)]);
        assert_eq!(names(&backend.taken), [1]);
    }
}

/// Scenario: the endpoint is a web server that answers everything with its page.
/// Guarantees: it is not taken for a backend, and what is wrong is said.
#[tokio::test]
async fn a_web_server_is_no_backend() {
    let backend = HttpBackend::start(LOCALHOST).await;
    backend.behave(|_, _| page(200));
    let (exporter, _acks) = start(&settings(backend.addr));
    while exporter.trouble().is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(!exporter.reachable());
    let trouble = exporter.trouble().unwrap();
    assert!(trouble.contains("text/html") && trouble.contains("URL"), "{trouble}");
    let trial = check_backend(&settings(backend.addr), Bytes::new()).await.unwrap_err().to_string();
    assert!(trial.contains("text/html"), "{trial}");
}

/// Scenario: whoever answers 200 sends a page that is longer than what is read.
/// Guarantees: it acknowledges nothing; what was sent is sent again.
#[tokio::test]
async fn a_page_that_is_too_long_acknowledges_nothing() {
    let backend = HttpBackend::start(LOCALHOST).await;
    backend.behave(|_, _| {
        let page = format!("<html>{}</html>", "Hello ".repeat(50_000));
        Response::builder().header("content-type", "text/html").body(Body::from(page)).unwrap()
    });
    let (exporter, mut ack_receiver) = start(&settings(backend.addr));
    exporter.try_send(trace(1, 10)).unwrap();
    tokio::select! {
        () = backend.until_requests(2) => {}
        acks = ack_receiver.recv() => panic!("it was acknowledged: {acks:?}"),
    }
    backend.taken.lock().unwrap().clear();
    backend.behave(|_, _| answer(200));
    assert_eq!(acks(&mut ack_receiver, 1).await, [(1, Outcome::Delivered)]);
    assert_eq!(names(&backend.taken), [1]);
}

/// Scenario: a proxy answers 200, and its page breaks off before anything of it came.
/// Guarantees: it acknowledges nothing; what was sent is sent again.
#[tokio::test]
async fn a_page_that_breaks_off_acknowledges_nothing() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let listener = tokio::net::TcpListener::bind(LOCALHOST).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut settings = settings(addr);
    settings.compression = Compression::None;
    let (exporter, mut ack_receiver) = start(&settings);
    exporter.try_send(trace(1, 10)).unwrap();
    let mut with_spans = 0;
    while with_spans < 2 {
        let (mut peer, _) = tokio::select! {
            accepted = listener.accept() => accepted.unwrap(),
            acks = ack_receiver.recv() => panic!("it was acknowledged: {acks:?}"),
        };
        let mut read = Vec::new();
        while !read.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            assert_ne!(peer.read_buf(&mut read).await.unwrap(), 0);
        }
        let head = String::from_utf8_lossy(&read).to_ascii_lowercase();
        with_spans += usize::from(!head.contains("content-length: 2\r\n"));
        let page = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 100\r\n\r\n";
        peer.write_all(page).await.unwrap();
        peer.shutdown().await.unwrap();
        // Until the other side hangs up as well, or what it sent would cut the answer short.
        let _ = peer.read_to_end(&mut read).await;
    }
    assert!(ack_receiver.try_recv().is_err());
    drop(listener);
    let backend = HttpBackend::start(addr).await;
    assert_eq!(acks(&mut ack_receiver, 1).await, [(1, Outcome::Delivered)]);
    assert_eq!(names(&backend.taken), [1]);
}

/// Scenario: a record has a header to be forwarded that no header of HTTP can be.
/// Guarantees: it is refused once others pass, under a code of HTTP, and the exporter goes on.
#[tokio::test]
async fn a_value_that_no_header_can_have_ends_under_a_status_of_http() {
    let backend = HttpBackend::start(LOCALHOST).await;
    let mut settings = settings(backend.addr);
    settings.retry_on_failure.refuse_after_attempts = 1;
    settings.retry_on_failure.refuse_after_time = Duration::ZERO;
    settings.sending_queue.num_consumers = 1;
    let (exporter, mut ack_receiver) = start(&settings);
    let mut forwarded = Vec::new();
    crate::kafka::record_headers::push(&mut forwarded, "X-Scope-OrgID", b"team\n1");
    exporter.try_send(Chunk { forwarded: forwarded.into(), ..trace(1, 10) }).unwrap();
    for pin in 2.. {
        exporter.try_send(trace(pin, 10)).unwrap();
        let batch = ack_receiver.recv().await.expect("the exporter is alive");
        if let Some(refusal) = batch.iter().find_map(|ack| ack.refusal.as_deref()) {
            assert_eq!(refusal.reason, "400");
            assert!(refusal.message.contains("X-Scope-OrgID"), "{}", refusal.message);
            break;
        }
    }
}

/// Scenario: a backend takes only what names its tenant, which records say, and nothing is kept yet.
/// Guarantees: it counts as reachable if headers of records are forwarded, and only then; a trial
/// in the name of a tenant succeeds.
#[tokio::test]
async fn a_backend_of_tenants_is_there_before_there_is_a_tenant() {
    let backend = HttpBackend::start(LOCALHOST).await;
    backend.behave(|headers, _| answer(if headers.contains_key("tenant") { 200 } else { 401 }));
    let mut settings = settings(backend.addr);
    let (exporter, _acks) = start(&settings);
    while exporter.trouble().is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(!exporter.reachable());
    settings.forwards_without_default = true;
    let (exporter, _acks) = start(&settings);
    while !exporter.reachable() {
        assert_eq!(exporter.trouble(), None);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut forwarded = Vec::new();
    crate::kafka::record_headers::push(&mut forwarded, "tenant", b"blue");
    assert_eq!(check_backend(&settings, forwarded.into()).await, Ok(()));
    assert!(check_backend(&settings, Bytes::new()).await.is_err());
}

#[tokio::test]
async fn a_request_that_is_too_large_is_sent_in_parts_and_only_what_cannot_be_is_refused() {
    let backend = HttpBackend::start(LOCALHOST).await;
    backend.behave(|_, bytes| answer(if bytes.len() > 3000 { 413 } else { 200 }));
    let mut settings = settings(backend.addr);
    settings.flush_interval = Duration::from_secs(3600);
    let (exporter, mut ack_receiver) = start(&settings);
    for pin in 0..10 {
        exporter.try_send(trace(pin, if pin == 4 { 5000 } else { 1000 })).unwrap();
    }
    assert_eq!(exporter.drain(Duration::from_secs(60)).await, 0);
    for (pin, outcome) in acks(&mut ack_receiver, 10).await {
        assert_eq!(outcome == Outcome::Refused, pin == 4, "pin {pin}");
    }
    assert_eq!(names(&backend.taken), [0, 1, 2, 3, 5, 6, 7, 8, 9]);
}

/// Scenario: the backend says when to come again, and the settings would not wait for so long.
/// Guarantees: what the backend says counts.
#[tokio::test]
async fn retry_after_says_when() {
    let backend = HttpBackend::start(LOCALHOST).await;
    backend.behave(|_, _| {
        let response = Response::builder().status(StatusCode::SERVICE_UNAVAILABLE);
        response.header("retry-after", "1").body(Body::empty()).unwrap()
    });
    let (exporter, mut ack_receiver) = start(&settings(backend.addr));
    exporter.try_send(trace(1, 10)).unwrap();
    backend.until_requests(1).await;
    let asked_at = std::time::Instant::now();
    backend.behave(|_, _| answer(200));
    assert_eq!(acks(&mut ack_receiver, 1).await, [(1, Outcome::Delivered)]);
    assert!(asked_at.elapsed() > Duration::from_millis(900), "{:?}", asked_at.elapsed());
    assert!(exporter.reachable());
}

#[tokio::test]
async fn partial_success_is_delivered_and_what_was_rejected_is_counted() {
    let backend = HttpBackend::start(LOCALHOST).await;
    backend.behave(|_, _| {
        let partial_success = Some(ExportTracePartialSuccess {
            rejected_spans: 1,
            error_message: "too old".to_owned(),
        });
        let body = ExportTraceServiceResponse { partial_success }.encode_to_vec();
        let response = Response::builder().header("content-type", "application/x-protobuf");
        response.body(Body::from(body)).unwrap()
    });
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let settings = settings(backend.addr);
    let (exporter, mut ack_receiver) =
        ::metrics::with_local_recorder(&recorder, || start(&settings));
    exporter.try_send(trace(1, 10)).unwrap();
    assert_eq!(acks(&mut ack_receiver, 1).await, [(1, Outcome::Delivered)]);
    assert_eq!(backend.requests(), 1);
    let text = recorder.handle().render();
    for line in [
        "spans_total{exporter=\"default\",outcome=\"rejected\"} 1",
        "requests_total{exporter=\"default\",code=\"200\"} 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn a_refusal_carries_the_status_and_what_was_said() {
    let backend = HttpBackend::start(LOCALHOST).await;
    backend.behave(|_, _| {
        let response = Response::builder().status(StatusCode::PAYLOAD_TOO_LARGE);
        let response = response.header("content-type", "application/json");
        response.body(Body::from(r#"{"message":"more than 1 MB"}"#)).unwrap()
    });
    let (exporter, mut ack_receiver) = start(&settings(backend.addr));
    exporter.try_send(trace(1, 10)).unwrap();
    let acks = ack_receiver.recv().await.unwrap();
    let refusal = acks[0].refusal.as_deref().unwrap();
    assert_eq!(refusal.reason, "413");
    assert_eq!(refusal.message, "413 Payload Too Large: more than 1 MB");
    assert_eq!(refusal.bytes, trace(1, 10).bytes);
}

#[tokio::test]
async fn connections_that_are_closed_without_an_answer_are_tried_again() {
    let listener = tokio::net::TcpListener::bind(LOCALHOST).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (exporter, mut ack_receiver) = start(&settings(addr));
    exporter.try_send(trace(1, 10)).unwrap();
    for _ in 0..4 {
        drop(listener.accept().await.unwrap());
    }
    drop(listener);
    let backend = HttpBackend::start(addr).await;
    assert_eq!(acks(&mut ack_receiver, 1).await, [(1, Outcome::Delivered)]);
    assert_eq!(names(&backend.taken), [1]);
}

#[tokio::test]
async fn no_answer_within_the_timeout_is_tried_again() {
    let listener = tokio::net::TcpListener::bind(LOCALHOST).await.unwrap();
    let mut settings = settings(listener.local_addr().unwrap());
    settings.timeout = Duration::from_millis(20);
    let (exporter, _acks) = start(&settings);
    exporter.try_send(trace(1, 10)).unwrap();
    // Accepted and held, but nobody answers: the probe, the first attempt, and others.
    let mut silent = Vec::new();
    while silent.len() < 4 {
        silent.push(listener.accept().await.unwrap());
    }
}
