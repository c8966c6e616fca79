//! The wire: tonic against a real receiver on a socket.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;

use metrics_exporter_prometheus::PrometheusBuilder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tokio::sync::mpsc;
use tonic::Code;

use super::super::testing::{self, Log, TestFence, ack_channel, chunk};
use super::super::*;
use crate::secret::Secret;
use crate::testbed::receiver::{Behaviour, Receiver};

pub(super) const LOCALHOST: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A receiver that keeps what it took.
pub(super) async fn receiver_at(addr: SocketAddr) -> (Receiver, Log<Bytes>) {
    let taken: Log<Bytes> = Arc::default();
    let log = taken.clone();
    let sink = Box::new(move |bytes| log.lock().unwrap().push(bytes));
    (Receiver::start(addr, sink).await.unwrap(), taken)
}

/// Settings that retry within milliseconds.
pub(super) fn settings(addr: SocketAddr) -> ExportSettings {
    let mut settings = ExportSettings {
        endpoint: addr.to_string(),
        flush_interval: Duration::from_millis(1),
        ..ExportSettings::default()
    };
    settings.retry_on_failure.initial_interval = Duration::from_millis(5);
    settings.retry_on_failure.max_interval = Duration::from_millis(20);
    settings.retry_on_failure.refuse_after_attempts = 3;
    settings.retry_on_failure.refuse_after_time = Duration::from_millis(50);
    settings
}

pub(super) fn start(settings: &ExportSettings) -> (Exporter, mpsc::UnboundedReceiver<Vec<Ack>>) {
    let (sink, acks) = ack_channel();
    let exporter = Exporter::start(
        settings,
        &Handle::current(),
        Arc::new(TestFence::default()),
        vec![sink],
        ExportMetrics::new(settings),
    );
    (exporter.unwrap(), acks)
}

/// A chunk of one trace with one span whose name is the pin, padded to about `size` bytes.
pub(super) fn trace(pin: u64, size: usize) -> Chunk {
    let span = Span { name: format!("{pin}"), trace_state: "x".repeat(size), ..Span::default() };
    let resource_spans = ResourceSpans {
        scope_spans: vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    };
    let request = ExportTraceServiceRequest { resource_spans: vec![resource_spans] };
    Chunk { bytes: request.encode_to_vec().into(), ..chunk(pin, 0) }
}

/// The names of all spans in the requests, sorted.
pub(super) fn names(taken: &Log<Bytes>) -> Vec<u64> {
    let mut names = Vec::new();
    for bytes in taken.lock().unwrap().iter() {
        let request = ExportTraceServiceRequest::decode(bytes.clone()).unwrap();
        let scopes = request.resource_spans.iter().flat_map(|r| &r.scope_spans);
        let spans = scopes.flat_map(|scope| &scope.spans);
        names.extend(spans.map(|span| span.name.parse::<u64>().unwrap()));
    }
    names.sort_unstable();
    names
}

/// The next `count` acks, or a failure when a busy machine would have brought them long ago.
pub(super) async fn acks(
    receiver: &mut mpsc::UnboundedReceiver<Vec<Ack>>,
    count: usize,
) -> Vec<(u64, Outcome)> {
    testing::acks(receiver, count, Duration::from_secs(60)).await
}

async fn requests(receiver: &Receiver, count: u64) {
    while receiver.requests() < count {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn traces_arrive_byte_for_byte_with_every_compression() {
    for compression in [Compression::Gzip, Compression::Zstd, Compression::None] {
        let (receiver, taken) = receiver_at(LOCALHOST).await;
        let mut settings = settings(receiver.local_addr());
        settings.compression = compression;
        settings.headers = BTreeMap::from([("X-Scope-OrgID".to_owned(), Secret::new("team"))]);
        let (exporter, mut ack_receiver) = start(&settings);
        let chunks: Vec<_> = (0..20).map(|pin| trace(pin, 1000)).collect();
        let sent: Vec<u8> = chunks.iter().flat_map(|c| c.bytes.to_vec()).collect();
        for chunk in chunks {
            exporter.try_send(chunk).unwrap();
        }
        let settled = acks(&mut ack_receiver, 20).await;
        let is_delivered = |(_, outcome): &(u64, Outcome)| *outcome == Outcome::Delivered;
        assert!(settled.iter().all(is_delivered), "{compression:?}: {settled:?}");
        assert_eq!(names(&taken), (0..20).collect::<Vec<_>>());
        let received: usize = taken.lock().unwrap().iter().map(Bytes::len).sum();
        assert_eq!(received, sent.len());
        let first = taken.lock().unwrap()[0].clone();
        assert!(sent.windows(first.len()).any(|window| window == first));
        let user_agent = receiver.header("user-agent").unwrap();
        assert!(user_agent.starts_with(concat!("tailsieve/", env!("CARGO_PKG_VERSION"))));
        assert_eq!(receiver.header("x-scope-orgid").unwrap(), "team");
        let encoding = match compression {
            Compression::Gzip => Some("gzip"),
            Compression::Zstd => Some("zstd"),
            Compression::None => None,
        };
        assert_eq!(receiver.header("grpc-encoding").as_deref(), encoding);
    }
}

#[tokio::test]
async fn the_largest_request_fits_a_default_receiver() {
    let (receiver, taken) = receiver_at(LOCALHOST).await;
    let mut settings = settings(receiver.local_addr());
    settings.flush_interval = Duration::from_secs(3600);
    let (exporter, mut ack_receiver) = start(&settings);
    for pin in 0..10 {
        exporter.try_send(trace(pin, 1_000_000)).unwrap();
    }
    assert_eq!(exporter.drain(Duration::from_secs(60)).await, 0);
    let acks = acks(&mut ack_receiver, 10).await;
    assert!(acks.iter().all(|(_, outcome)| *outcome == Outcome::Delivered));
    assert_eq!(names(&taken), (0..10).collect::<Vec<_>>());
    assert_eq!(receiver.requests(), 3);
}

#[tokio::test]
async fn every_code_is_tried_again_over_the_wire_too() {
    for code in (1..=16).map(Code::from_i32) {
        let (receiver, taken) = receiver_at(LOCALHOST).await;
        receiver.behave(Behaviour::Code(code, None));
        let (exporter, mut ack_receiver) = start(&settings(receiver.local_addr()));
        exporter.try_send(trace(1, 10)).unwrap();
        requests(&receiver, 4).await;
        assert!(!exporter.reachable(), "{code:?}");
        receiver.behave(Behaviour::Accept);
        assert_eq!(acks(&mut ack_receiver, 1).await, [(1, Outcome::Delivered)], "{code:?}");
        assert_eq!(names(&taken), [1]);
    }
}

#[tokio::test]
async fn retry_info_makes_resource_exhausted_pass() {
    let (receiver, taken) = receiver_at(LOCALHOST).await;
    let delay = Duration::from_millis(3);
    receiver.behave(Behaviour::Code(Code::ResourceExhausted, Some(delay)));
    let (exporter, mut ack_receiver) = start(&settings(receiver.local_addr()));
    exporter.try_send(trace(1, 10)).unwrap();
    requests(&receiver, 3).await;
    receiver.behave(Behaviour::Accept);
    assert_eq!(acks(&mut ack_receiver, 1).await, [(1, Outcome::Delivered)]);
    assert_eq!(names(&taken), [1]);
}

#[tokio::test]
async fn the_culprit_alone_is_refused() {
    let (receiver, taken) = receiver_at(LOCALHOST).await;
    receiver.behave(Behaviour::Judge(Arc::new(|bytes| {
        let log: Log<Bytes> = Arc::new(Mutex::new(vec![bytes.clone()]));
        if names(&log).contains(&7) {
            Behaviour::Code(Code::InvalidArgument, None)
        } else {
            Behaviour::Accept
        }
    })));
    let mut settings = settings(receiver.local_addr());
    settings.flush_interval = Duration::from_secs(3600);
    let (exporter, mut ack_receiver) = start(&settings);
    for pin in 0..10 {
        exporter.try_send(trace(pin, 10)).unwrap();
    }
    exporter.hurry();
    let delivered = acks(&mut ack_receiver, 9).await;
    assert!(delivered.iter().all(|(pin, outcome)| *pin != 7 && *outcome == Outcome::Delivered));
    assert_eq!(names(&taken), [0, 1, 2, 3, 4, 5, 6, 8, 9]);
    let refused = loop {
        exporter.try_send(trace(8, 10)).unwrap();
        let ack = acks(&mut ack_receiver, 1).await[0];
        if ack.1 == Outcome::Refused {
            break ack.0;
        }
    };
    assert_eq!(refused, 7);
}

#[tokio::test]
async fn partial_success_is_delivered() {
    let (receiver, taken) = receiver_at(LOCALHOST).await;
    receiver.behave(Behaviour::PartialSuccess { rejected: 1 });
    let (exporter, mut ack_receiver) = start(&settings(receiver.local_addr()));
    exporter.try_send(trace(1, 10)).unwrap();
    assert_eq!(acks(&mut ack_receiver, 1).await, [(1, Outcome::Delivered)]);
    assert_eq!(names(&taken), [1]);
    assert_eq!(receiver.requests(), 1);
}

#[tokio::test]
async fn a_broken_connection_is_retried() {
    let broken = [Behaviour::CloseConnection, Behaviour::NoStatus];
    for behaviour in broken {
        let (receiver, taken) = receiver_at(LOCALHOST).await;
        receiver.behave(behaviour);
        let (exporter, mut ack_receiver) = start(&settings(receiver.local_addr()));
        for pin in 0..3 {
            exporter.try_send(trace(pin, 10)).unwrap();
        }
        requests(&receiver, 4).await;
        assert!(!exporter.reachable());
        receiver.behave(Behaviour::Accept);
        let acks = acks(&mut ack_receiver, 3).await;
        assert!(acks.iter().all(|(_, outcome)| *outcome == Outcome::Delivered));
        assert_eq!(names(&taken), [0, 1, 2]);
        assert!(exporter.reachable());
    }
}

/// Scenario: a proxy stands before a backend that restarts, and answers for it with a page.
/// Guarantees: that is a backend that is away, and the spans arrive when it is back.
#[tokio::test]
async fn the_page_of_a_proxy_is_a_backend_that_is_away() {
    for status in [502, 503, 504, 429] {
        let (receiver, taken) = receiver_at(LOCALHOST).await;
        receiver.behave(Behaviour::Page(status));
        let (exporter, mut ack_receiver) = start(&settings(receiver.local_addr()));
        exporter.try_send(trace(1, 10)).unwrap();
        requests(&receiver, 3).await;
        assert!(!exporter.reachable());
        let trouble = exporter.trouble().unwrap();
        assert!(trouble.starts_with("UNAVAILABLE: ") && trouble.contains("text/html"), "{trouble}");
        receiver.behave(Behaviour::Accept);
        assert_eq!(acks(&mut ack_receiver, 1).await, [(1, Outcome::Delivered)], "{status}");
        assert_eq!(names(&taken), [1]);
    }
}

#[tokio::test]
async fn an_ack_that_is_lost_costs_a_duplicate_and_no_trace() {
    let (receiver, taken) = receiver_at(LOCALHOST).await;
    receiver.behave(Behaviour::AcceptThenFail);
    let (exporter, mut ack_receiver) = start(&settings(receiver.local_addr()));
    exporter.try_send(trace(1, 10)).unwrap();
    requests(&receiver, 1).await;
    receiver.behave(Behaviour::Accept);
    assert_eq!(acks(&mut ack_receiver, 1).await, [(1, Outcome::Delivered)]);
    assert!(names(&taken).len() >= 2);
}

#[tokio::test]
async fn no_answer_within_the_timeout_is_retried() {
    let (receiver, taken) = receiver_at(LOCALHOST).await;
    receiver.behave(Behaviour::Delay(Duration::from_secs(3600)));
    let mut settings = settings(receiver.local_addr());
    settings.timeout = Duration::from_millis(50);
    let (exporter, mut ack_receiver) = start(&settings);
    exporter.try_send(trace(1, 10)).unwrap();
    requests(&receiver, 2).await;
    receiver.behave(Behaviour::Accept);
    assert_eq!(acks(&mut ack_receiver, 1).await, [(1, Outcome::Delivered)]);
    assert!(names(&taken).iter().all(|name| *name == 1));
}

#[tokio::test]
async fn a_connection_whose_peer_is_gone_without_a_word_is_replaced() {
    let listener = tokio::net::TcpListener::bind(LOCALHOST).await.unwrap();
    let mut settings = settings(listener.local_addr().unwrap());
    settings.connections = 1;
    settings.timeout = Duration::from_millis(20);
    let (exporter, _acks) = start(&settings);
    exporter.try_send(trace(1, 10)).unwrap();
    // Accepted and held, but nobody reads or answers: the probe, the first attempt, and others.
    let mut silent = Vec::new();
    while silent.len() < 4 {
        silent.push(listener.accept().await.unwrap());
    }
}

#[tokio::test]
async fn a_backend_that_comes_late_gets_everything() {
    // A port that was free a moment ago and where nobody listens yet.
    let (receiver, _) = receiver_at(LOCALHOST).await;
    let addr = receiver.local_addr();
    receiver.kill().await;
    let recorder = PrometheusBuilder::new().build_recorder();
    let (exporter, mut ack_receiver) =
        ::metrics::with_local_recorder(&recorder, || start(&settings(addr)));
    for pin in 0..10 {
        exporter.try_send(trace(pin, 10)).unwrap();
    }
    let no_retry = "tailsieve_export_retries_total{exporter=\"default\"} 0\n";
    while recorder.handle().render().contains(no_retry) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(!exporter.reachable());
    let (_receiver, taken) = receiver_at(addr).await;
    acks(&mut ack_receiver, 10).await;
    assert_eq!(names(&taken), (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_backend_that_goes_and_comes_again_gets_everything() {
    let (receiver, first_taken) = receiver_at(LOCALHOST).await;
    let addr = receiver.local_addr();
    let (exporter, mut ack_receiver) = start(&settings(addr));
    for pin in 0..10 {
        exporter.try_send(trace(pin, 10)).unwrap();
    }
    acks(&mut ack_receiver, 10).await;
    receiver.kill().await;
    for pin in 10..20 {
        exporter.try_send(trace(pin, 10)).unwrap();
    }
    while exporter.reachable() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (_receiver, second_taken) = receiver_at(addr).await;
    acks(&mut ack_receiver, 10).await;
    assert_eq!(names(&first_taken), (0..10).collect::<Vec<_>>());
    assert_eq!(names(&second_taken), (10..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn reachable_without_traffic_once_the_backend_takes_requests() {
    let (receiver, _) = receiver_at(LOCALHOST).await;
    receiver.behave(Behaviour::Page(502));
    let (exporter, _acks) = start(&settings(receiver.local_addr()));
    while exporter.trouble().is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(!exporter.reachable(), "that it listens is not enough");
    receiver.behave(Behaviour::Accept);
    while !exporter.reachable() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(receiver.requests(), 0, "with spans");
}

#[tokio::test]
async fn an_exporter_that_cannot_work_does_not_start() {
    let settings = ExportSettings { endpoint: "tempo".to_owned(), ..ExportSettings::default() };
    let result = Exporter::start(
        &settings,
        &Handle::current(),
        Arc::new(TestFence::default()),
        Vec::new(),
        ExportMetrics::new(&settings),
    );
    assert!(matches!(result, Err(ExportError::Endpoint { .. })));
}
