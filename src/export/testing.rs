//! What the tests of the exporter share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use tokio::sync::mpsc;
use tonic::Code;

use super::transport::{Failure, Reply, Request};
use super::*;

/// How long a test on a paused clock waits for acks that never come: an instant.
pub(super) const PAUSED_DAY: Duration = Duration::from_secs(86_400);

/// A chunk of one span and one trace, with `size` bytes that name its pin.
pub(super) fn chunk(pin: u64, size: usize) -> Chunk {
    let bytes = vec![u8::try_from(pin % 256).unwrap(); size];
    let mut trace_id = [0xee; 16];
    trace_id[8..].copy_from_slice(&pin.to_be_bytes());
    let trace_id = TraceId::from_slice(&trace_id).unwrap();
    Chunk {
        bytes: Bytes::from(bytes),
        forwarded: Bytes::new(),
        trace_id,
        spans: 1,
        traces: 1,
        since: Instant::now(),
        ticket: ticket(pin),
    }
}

pub(super) fn ticket(pin: u64) -> Ticket {
    let origin = Origin { worker: 0, partition: Partition(3), generation: Generation(1) };
    Ticket { origin, delivery: DeliveryId(pin) }
}

/// A fence whose current generation can be moved on; at 0 it does not know which one is current.
pub(super) struct TestFence(pub(super) AtomicU64);

impl TestFence {
    /// A generation of which it is never known whether it is current.
    pub(super) const SUSPENDED: Generation = Generation(u64::MAX);
}

impl Default for TestFence {
    fn default() -> Self {
        Self(AtomicU64::new(1))
    }
}

impl Fence for TestFence {
    fn status(&self, _partition: Partition, generation: Generation) -> GenerationStatus {
        match self.0.load(Ordering::Relaxed) {
            _ if generation == Self::SUSPENDED => GenerationStatus::Suspended,
            0 => GenerationStatus::Suspended,
            current if current == generation.0 => GenerationStatus::Current,
            _ => GenerationStatus::Ended,
        }
    }
}

/// The sink of one worker, and the end where its acks arrive.
pub(super) fn ack_channel() -> (AckSink, mpsc::UnboundedReceiver<Vec<Ack>>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let sink: AckSink = Box::new(move |acks| {
        // The test may be over and no longer listen.
        let _ = sender.send(acks);
    });
    (sink, receiver)
}

/// The next `count` acks as (pin, outcome), sorted by pin; each batch within `patience`.
pub(super) async fn acks(
    receiver: &mut mpsc::UnboundedReceiver<Vec<Ack>>,
    count: usize,
    patience: Duration,
) -> Vec<(u64, Outcome)> {
    let mut acks = Vec::new();
    while acks.len() < count {
        let batch = tokio::time::timeout(patience, receiver.recv()).await;
        let batch = batch.expect("acks are missing").unwrap();
        acks.extend(batch.iter().map(|ack| (ack.ticket.delivery.0, ack.outcome)));
    }
    assert_eq!(acks.len(), count, "too many acks: {acks:?}");
    acks.sort_by_key(|(pin, _)| *pin);
    acks
}

/// A list that tests and callbacks share.
pub(super) type Log<T> = Arc<Mutex<Vec<T>>>;

/// When an attempt ends that a [`Scripted`] transport answers with [`Failure::timed_out`].
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// A transport that answers as a function says, and remembers what it was asked and when.
pub(super) struct Scripted<F> {
    answer: F,
    sent: Log<Sent>,
    listens: Arc<AtomicBool>,
    probes: Arc<AtomicU64>,
    probed_forwarded: Log<Bytes>,
}

/// One attempt that a [`Scripted`] transport saw.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) at: tokio::time::Instant,
    /// The pins of the chunks in the request.
    pub(super) pins: Vec<u64>,
    pub(super) bytes: usize,
    /// The connection that it should not go over.
    pub(super) not_over: Option<usize>,
}

impl<F> Transport for Scripted<F>
where
    F: Fn(&Sent, usize) -> Result<Reply, Failure> + Send + Sync + 'static,
{
    async fn send(&self, request: Request) -> Result<Reply, Failure> {
        let sent = Sent {
            at: tokio::time::Instant::now(),
            pins: request.pieces.iter().map(|piece| piece.bytes[0].into()).collect(),
            bytes: request.len(),
            not_over: request.not_over,
        };
        let attempt = {
            let mut log = self.sent.lock().unwrap();
            log.push(sent.clone());
            log.len()
        };
        tokio::task::yield_now().await;
        let answer = (self.answer)(&sent, attempt);
        if answer == Err(Failure::timed_out()) {
            tokio::time::sleep(TIMEOUT).await;
        }
        answer
    }

    async fn probe(&self, forwarded: Bytes) -> Result<(), Failure> {
        self.probed_forwarded.lock().unwrap().push(forwarded);
        self.probes.fetch_add(1, Ordering::Relaxed);
        if self.listens.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(failure(Code::Unavailable))
    }
}

pub(super) fn failure(code: Code) -> Failure {
    Failure::new(code, "scripted")
}

/// An exporter on a scripted transport with everything a test wants to look at.
pub(super) struct Harness {
    pub(super) exporter: Exporter,
    pub(super) acks: mpsc::UnboundedReceiver<Vec<Ack>>,
    pub(super) fence: Arc<TestFence>,
    pub(super) sent: Log<Sent>,
    /// Whether requests without spans are accepted.
    pub(super) listens: Arc<AtomicBool>,
    /// How many there were.
    pub(super) probes: Arc<AtomicU64>,
    /// Their forwarded headers.
    pub(super) probed_forwarded: Log<Bytes>,
    recorder: PrometheusRecorder,
}

impl Harness {
    /// Starts it; `answer` gets what was sent and the number of the attempt, from 1.
    pub(super) fn start<F>(settings: &ExportSettings, answer: F) -> Self
    where
        F: Fn(&Sent, usize) -> Result<Reply, Failure> + Send + Sync + 'static,
    {
        Self::start_with(settings, Vec::new(), answer)
    }

    /// The same with sinks of workers 1 and up; worker 0 is the harness.
    pub(super) fn start_with<F>(
        settings: &ExportSettings,
        mut sinks: Vec<AckSink>,
        answer: F,
    ) -> Self
    where
        F: Fn(&Sent, usize) -> Result<Reply, Failure> + Send + Sync + 'static,
    {
        let recorder = PrometheusBuilder::new().build_recorder();
        let metrics = ::metrics::with_local_recorder(&recorder, || ExportMetrics::new(settings));
        let (sink, acks) = ack_channel();
        sinks.insert(0, sink);
        let fence = Arc::new(TestFence::default());
        let health =
            Health::new(&settings.name, "scripted".to_owned(), Target::TOPIC, metrics.up.clone());
        let shared = shared(settings, health, fence.clone(), sinks, metrics);
        let sent = Log::default();
        let (listens, probes, probed_forwarded) = (Arc::default(), Arc::default(), Log::default());
        let transport = Scripted {
            answer,
            sent: Arc::clone(&sent),
            listens: Arc::clone(&listens),
            probes: Arc::clone(&probes),
            probed_forwarded: Arc::clone(&probed_forwarded),
        };
        Self {
            exporter: Exporter::spawn(settings, &Handle::current(), shared, transport),
            acks,
            fence,
            sent,
            listens,
            probes,
            probed_forwarded,
            recorder,
        }
    }

    /// The next `count` acks as (pin, outcome), sorted by pin.
    pub(super) async fn acks(&mut self, count: usize) -> Vec<(u64, Outcome)> {
        acks(&mut self.acks, count, PAUSED_DAY).await
    }

    /// The attempts so far.
    pub(super) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    /// Whether the metrics hold this line.
    pub(super) fn assert_metric(&self, line: &str) {
        let text = self.recorder.handle().render();
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
}
