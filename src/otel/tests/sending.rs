//! What is sent to a receiver that answers, that is away, and that does not answer.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::resource::v1::Resource;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::batch::Batches;
use super::super::client::{Client, Wire};
use super::super::counts::Counts;
use super::super::queue::Queue;
use super::super::settings::{Batch, OtelSettings};
use super::super::{Environment, Otel};
use crate::export::{Accepted, Refused, Signal};
use crate::telemetry::metrics::table;

/// Answers in turn, and then that all is well.
#[derive(Clone, Default)]
struct Receiver {
    answers: Arc<Mutex<Vec<Result<Accepted, Refused>>>>,
    received: Arc<Mutex<Vec<Bytes>>>,
    is_silent: bool,
}

impl Wire for Receiver {
    async fn send(&self, message: Bytes) -> Result<Accepted, Refused> {
        self.received.lock().unwrap().push(message);
        if self.is_silent {
            std::future::pending::<()>().await;
        }
        let well = || Ok(Accepted { rejected: 0, message: String::new() });
        let mut answers = self.answers.lock().unwrap();
        if answers.is_empty() { well() } else { answers.remove(0) }
    }
}

impl Receiver {
    fn answering(answers: Vec<Result<Accepted, Refused>>) -> Self {
        Self { answers: Arc::new(Mutex::new(answers)), ..Self::default() }
    }

    fn attempts(&self) -> usize {
        self.received.lock().unwrap().len()
    }
}

fn refused(may_pass: bool, retry_after: Option<Duration>) -> Refused {
    Refused { code: "UNAVAILABLE", message: "away".to_owned(), may_pass, retry_after }
}

fn settings() -> OtelSettings {
    let read =
        |name: &str| name.ends_with("OTLP_ENDPOINT").then(|| "http://127.0.0.1:1".to_owned());
    OtelSettings::from_env(&Environment::new(&read), None).unwrap().unwrap()
}

/// A client of `receiver`, the token that stops it, and what it counts: by outcome.
fn client(receiver: &Receiver) -> (Client<Receiver>, CancellationToken, impl Fn() -> [u64; 4]) {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let (scrape, counts) = (recorder.handle(), Arc::new(Counts::default()));
    metrics::with_local_recorder(&recorder, || counts.register(&settings()));
    let stop = CancellationToken::new();
    let client = Client::over(receiver.clone(), Signal::Logs, "x".to_owned(), counts, stop.clone());
    let counted = move || {
        let text = scrape.render();
        ["exported", "failed", "rejected", "dropped"].map(|outcome| {
            let name = table::OWN_ITEMS.family().name;
            let series = format!("{name}{{signal=\"logs\",outcome=\"{outcome}\"}} ");
            let line = text.lines().find_map(|line| line.strip_prefix(&series));
            line.expect("every series is there from the start").parse().unwrap()
        })
    };
    (client, stop, counted)
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_sent_again_when_the_receiver_wants_it() {
    let asked = Some(Duration::from_secs(7));
    let receiver = Receiver::answering(vec![Err(refused(true, None)), Err(refused(true, asked))]);
    let (client, _stop, counted) = client(&receiver);
    let start = Instant::now();
    assert!(client.export(vec![1], 5, MINUTE).await);
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(7500) && took < Duration::from_secs(9), "{took:?}");
    assert_eq!((receiver.attempts(), counted()), (3, [5, 0, 0, 0]));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_pass_or_takes_too_long_is_given_up_and_counted() {
    let receiver = Receiver::answering(vec![Err(refused(false, None))]);
    let (client, _stop, counted) = client(&receiver);
    assert!(!client.export(vec![1], 5, MINUTE).await);
    assert_eq!((receiver.attempts(), counted()), (1, [0, 5, 0, 0]));
    let silent = Receiver { is_silent: true, ..Receiver::default() };
    let (client, _stop, counted) = self::client(&silent);
    let start = Instant::now();
    assert!(!client.export(vec![1], 2, MINUTE).await);
    assert_eq!((start.elapsed(), counted()), (MINUTE, [0, 2, 0, 0]));
}

#[tokio::test(start_paused = true)]
async fn what_is_rejected_in_a_partial_success_is_counted() {
    let partial = Accepted { rejected: 2, message: "too old".to_owned() };
    let receiver = Receiver::answering(vec![Ok(partial)]);
    let (client, _stop, counted) = client(&receiver);
    assert!(client.export(vec![1], 5, MINUTE).await);
    assert_eq!(counted(), [3, 0, 2, 0]);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_nothing_is_waited_for() {
    let answers = (0..9).map(|_| Err(refused(true, None))).collect();
    let receiver = Receiver::answering(answers);
    let (client, stop, _) = client(&receiver);
    stop.cancel();
    let start = Instant::now();
    assert!(!client.export(vec![1], 1, MINUTE).await);
    assert_eq!((receiver.attempts(), start.elapsed()), (1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn what_waits_goes_in_batches_and_all_of_it_at_the_end() {
    let receiver = Receiver::default();
    let (client, stop, counted) = client(&receiver);
    let batch = Batch { max_queue: 5, max_batch: 2, ..Batch::SPANS };
    let queue = Arc::new(Queue::new(batch));
    (1..=8_u8).for_each(|item| queue.push(item));
    let encode = |_: &Resource, items: Vec<u8>| items;
    let resource = Resource::default();
    let batches =
        Batches { signal: Signal::Logs, queue: Arc::clone(&queue), batch, resource, encode };
    let counts = Arc::new(Counts::default());
    let work = tokio::spawn(batches.run(client, Arc::clone(&counts), stop.clone()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let received =
        || receiver.received.lock().unwrap().iter().map(|it| it.to_vec()).collect::<Vec<_>>();
    assert_eq!(received(), [vec![1, 2], vec![3, 4], vec![5]], "a full batch does not wait");
    queue.push(9);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(received().len(), 3, "one that is not full waits");
    stop.cancel();
    work.await.unwrap();
    assert_eq!(received().last(), Some(&vec![9]));
    assert_eq!(counted(), [6, 0, 0, 0]);
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || counts.register(&settings()));
    let text = recorder.handle().render();
    let dropped = "tailsieve_otel_items_total{signal=\"logs\",outcome=\"dropped\"} 3";
    assert!(text.contains(dropped), "also what was counted before there were metrics: {text}");
}

/// Scenario: the receiver is not there at all, and the process ends.
/// Guarantees: the end does not wait for it, and the thread is gone.
#[test]
fn the_end_does_not_wait_for_a_receiver_that_is_away() {
    let otel = Otel::new(settings());
    otel.start().unwrap();
    otel.observe(Arc::new(|| "tailsieve_received_spans_total 1\n".to_owned()));
    let start = std::time::Instant::now();
    otel.shut_down();
    assert!(start.elapsed() < super::super::FLUSH, "{:?}", start.elapsed());
    otel.shut_down();
}

#[test]
fn a_file_or_a_header_that_cannot_be_used_is_told_before_anything_starts() {
    let start = |variable: &'static str, value: &'static str| {
        let read = move |name: &str| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("https://127.0.0.1:1".to_owned()),
            name => (name == variable).then(|| value.to_owned()),
        };
        let settings = OtelSettings::from_env(&Environment::new(&read), None).unwrap().unwrap();
        Otel::new(settings).start().unwrap_err().to_string()
    };
    let error = start("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem");
    assert!(error.contains("CERTIFICATE") && error.contains("/nowhere/ca.pem"), "{error}");
    let error = start("OTEL_EXPORTER_OTLP_HEADERS", "content-type=hunter2");
    assert!(error.contains("HEADERS") && !error.contains("hunter2"), "{error}");
}
