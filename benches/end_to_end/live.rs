//! Live traffic, read by tailsieve and the Collector at the same time, each in a group and with a
//! sink of its own (or by tailsieve alone): what a span costs, how soon a kept trace arrives, what a
//! buffered span costs in memory, and what is lost when both are killed by `kill -9` in the middle of
//! it and started again at once.
//!
//! A buffered span is one whose trace is not decided yet. What it takes is the resident memory when
//! most were buffered, less that before there was traffic. A span is lost if the policies keep its
//! trace for sure, as one with an error or longer than a second, and it never arrives: which of the
//! others are kept, both choose in ways of their own.

use std::fs;
use std::iter;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::Serialize;
use tailsieve::testing::config;
use tailsieve::testing::ids::Timestamp;
use tailsieve::testing::kafka::source;
use tailsieve::testing::member::reload;
use tailsieve::testing::testbed::generator::{
    Counters, Model, ModelSettings, ProducerSettings, produce,
};
use tailsieve::testing::testbed::ledger::{Check, Expectation, Ledger};
use tailsieve::testing::testbed::receiver::Receiver;
use tokio::runtime::Runtime;

use crate::collector::{self, Progress, Settled};
use crate::delay::{Arrivals, Due};
use crate::kafka::{Commits, Kafka};
use crate::lane::{self, GLANCE, PATIENCE, Processes, Turn};
use crate::options::Options;
use crate::probe;
use crate::support::free_address;
use crate::topic::{self, Topic};

/// How long they stand idle before there is traffic: until their group has settled.
const IDLE: Duration = Duration::from_secs(5);

/// How often both are looked at: seldom, since each answer costs CPU, which counts.
const LOOK: Duration = Duration::from_secs(1);

/// That of the Collector. The dead are members for that long, which those that follow them wait for.
const PROPERTIES: &str = "{session.timeout.ms: 10000}";

/// What is due in the last moments before the kill arrives after it, and at the end of the traffic
/// partitions wait to be sure that they are quiet: neither is the usual delay.
const BEFORE_KILL: Duration = Duration::from_secs(2);

/// What one of both came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Live {
    pub lane: &'static str,
    /// CPU time of a span in microseconds, from a quarter of the time until the kill.
    pub cpu_us_per_span: f64,
    /// How long after it was due a kept trace arrived.
    pub delay_p50_ms: f64,
    pub delay_p99_ms: f64,
    /// Before there was traffic.
    pub idle_rss_bytes: u64,
    /// When most spans were buffered.
    pub rss_bytes: u64,
    pub buffered_spans: u64,
    /// Of traces that are kept for sure.
    pub expected_traces: u64,
    pub expected_spans: u64,
    pub lost_spans: u64,
    /// Traces of which nothing arrived, and those of which a part did.
    pub lost_traces: u64,
    pub cut_traces: u64,
    /// Deliveries of spans that had been delivered before.
    pub duplicates: u64,
}

impl Live {
    /// Memory of a buffered span.
    pub fn bytes_per_buffered_span(&self) -> f64 {
        let grown = self.rss_bytes.saturating_sub(self.idle_rss_bytes);
        grown as f64 / self.buffered_spans as f64
    }
}

/// Runs tailsieve, and the Collector if there is one; tailsieve comes first.
pub fn run(kafka: &Kafka, options: &Options) -> Vec<Live> {
    let topic = Topic {
        name: format!("live-{}", std::process::id()),
        partitions: options.partitions,
        ..Topic::default()
    };
    topic::create(kafka, &topic.name, topic.partitions);
    let runtime = Runtime::new().expect("a runtime");
    let dir = tempfile::tempdir().expect("a folder");
    let collector = options.collector.as_ref().map(|binary| ("Collector", Some(binary)));
    let lanes = iter::once(("tailsieve", None)).chain(collector);
    let start = |(lane, collector): (&'static str, Option<&PathBuf>)| {
        let group = format!("{}-{lane}", topic.name);
        let (sink, address) = (Backend::start(&runtime), free_address());
        let endpoint = sink.receiver.local_addr().to_string();
        let turn = Turn { kafka, topic: &topic, options, group: &group, properties: PROPERTIES };
        let command = if let Some(binary) = collector {
            collector::command(&turn, binary, &endpoint, "none", &address)
        } else {
            let file = dir.path().join("live.yaml");
            fs::write(&file, turn.config(&endpoint, "none", &address)).expect("written");
            lane::tailsieve(Path::new(env!("CARGO_BIN_EXE_tailsieve")), &file)
        };
        Subject::start(lane, group, command, address, sink)
    };
    let mut all: Vec<Subject> = lanes.map(start).collect();
    thread::sleep(IDLE);
    all.iter_mut().for_each(Subject::stands_idle);
    let traffic = Traffic::start(kafka, &topic, options);
    let seconds = Duration::from_secs(options.live);
    watch(&mut all, &traffic, seconds);
    let usual_until = source::now().before(BEFORE_KILL);
    if !options.no_kill {
        all.iter_mut().for_each(Subject::kill_and_restart);
    }
    let (mut ledger, due, records) = traffic.finish();
    ledger.traces.retain(|_, trace| trace.error || trace.duration_ms() > 1000);
    for subject in &mut all {
        subject
            .settle(&Commits::new(kafka, &subject.group, &topic.name, topic.partitions), records);
    }
    let figures = all.into_iter().map(|subject| {
        topic::delete(kafka, &lane::decision_log(&subject.group));
        subject.figures(&ledger, &due, usual_until)
    });
    let figures = figures.collect();
    topic::delete(kafka, &topic.name);
    figures
}

/// Looks at both until it is time to kill them.
fn watch(all: &mut [Subject], traffic: &Traffic, whole: Duration) {
    let start = Instant::now();
    let mut from = None;
    while start.elapsed() < whole / 2 {
        thread::sleep(LOOK);
        all.iter_mut().for_each(Subject::look);
        if from.is_none() && start.elapsed() >= whole / 4 {
            from = Some((traffic.spans(), cpu_of(all)));
        }
    }
    let Some((spans, before)) = from else { return };
    let spans = (traffic.spans() - spans) as f64;
    let now = cpu_of(all);
    for (subject, (before, now)) in all.iter_mut().zip(before.into_iter().zip(now)) {
        subject.figures.cpu_us_per_span = (now - before).as_secs_f64() * 1e6 / spans;
    }
}

fn cpu_of(all: &[Subject]) -> Vec<Duration> {
    all.iter().map(|subject| probe::cpu(&subject.process.0)).collect()
}

/// A sink that remembers what it was sent.
struct Backend {
    receiver: Receiver,
    taken: Arc<Mutex<(Check, Arrivals)>>,
}

impl Backend {
    fn start(runtime: &Runtime) -> Self {
        let nothing = (Check::new(Expectation::default()), Arrivals::default());
        let taken = Arc::new(Mutex::new(nothing));
        let entries = Arc::clone(&taken);
        let take = move |request: bytes::Bytes| {
            let (check, arrivals) = &mut *entries.lock().expect("unharmed");
            arrivals.observe(&request, source::now());
            check.observe_bytes(&request).expect("OTLP");
        };
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let receiver = runtime.block_on(Receiver::start(any_port, Box::new(take)));
        Self { receiver: receiver.expect("a free port"), taken }
    }
}

/// One of both.
struct Subject {
    group: String,
    command: Command,
    process: Processes,
    /// Where its metrics are.
    metrics: String,
    backend: Backend,
    figures: Live,
}

impl Subject {
    fn start(
        lane: &'static str,
        group: String,
        mut command: Command,
        metrics: String,
        backend: Backend,
    ) -> Self {
        let process = Processes(vec![command.spawn().expect("it starts")]);
        let figures = Live { lane, ..Live::default() };
        Self { group, command, process, metrics, backend, figures }
    }

    fn is_collector(&self) -> bool {
        self.figures.lane == "Collector"
    }

    fn stands_idle(&mut self) {
        lane::check_running(&mut self.process.0);
        self.figures.idle_rss_bytes = probe::rss(&self.process.0);
    }

    fn look(&mut self) {
        lane::check_running(&mut self.process.0);
        let Some(scrape) = lane::scrape(&self.metrics) else { return };
        let buffered = if self.is_collector() {
            Progress::of(&scrape).open_spans()
        } else {
            scrape.sum("tailsieve_open_spans")
        };
        if buffered as u64 > self.figures.buffered_spans {
            self.figures.buffered_spans = buffered as u64;
            self.figures.rss_bytes = probe::rss(&self.process.0);
        }
    }

    /// `Child::kill` is `kill -9`.
    fn kill_and_restart(&mut self) {
        let child = &mut self.process.0[0];
        child.kill().expect("it runs");
        child.wait().expect("it has ended");
        *child = self.command.spawn().expect("it starts again");
    }

    /// Waits until it has nothing left to do.
    fn settle(&mut self, commits: &Commits, records: u64) {
        let deadline = Instant::now() + PATIENCE;
        let mut settled = Settled::default();
        loop {
            lane::check_running(&mut self.process.0);
            let scrape = lane::scrape(&self.metrics);
            // What tailsieve has committed is delivered; of the Collector's own it says nothing.
            let is_done = commits.records() >= records
                && (!self.is_collector()
                    || scrape.is_some_and(|it| settled.look(Progress::of(&it))));
            if is_done {
                return;
            }
            assert!(Instant::now() < deadline, "{} does not come to an end", self.figures.lane);
            thread::sleep(GLANCE);
        }
    }

    fn figures(self, expected: &Ledger, due: &Due, usual_until: Timestamp) -> Live {
        let (check, arrivals) = &*self.backend.taken.lock().expect("unharmed");
        let (p50, p99) = arrivals.delays(due, usual_until);
        let verdict = check.verdict(expected);
        Live {
            expected_traces: verdict.traces,
            expected_spans: verdict.spans,
            lost_spans: verdict.missing_spans,
            lost_traces: verdict.missing_traces,
            cut_traces: verdict.partial_traces,
            duplicates: verdict.duplicates,
            delay_p50_ms: p50.as_secs_f64() * 1e3,
            delay_p99_ms: p99.as_secs_f64() * 1e3,
            ..self.figures
        }
    }
}

/// Traffic that is being written, in its own time.
struct Traffic {
    thread: JoinHandle<()>,
    ledger: Arc<Mutex<(Ledger, Due)>>,
    counters: Arc<Counters>,
}

impl Traffic {
    fn start(kafka: &Kafka, topic: &Topic, options: &Options) -> Self {
        let settings = ModelSettings {
            start: source::now(),
            rate: options.live_rate as f64,
            max_spans: Some(options.live_rate * options.live),
            layout: options.shape,
            ..ModelSettings::default()
        };
        let producer = ProducerSettings {
            pace_from: Some(settings.start),
            compression: options.codec.clone(),
            ..ProducerSettings::new(kafka.address(), &topic.name)
        };
        let file = config::load_policies(&options.policies).expect("a policy file");
        let due = Due::new(reload::policies(&file).expect("policies that compile").limits);
        let ledger = Arc::new(Mutex::new((Ledger::new(settings.describe()), due)));
        let counters = Arc::new(Counters::default());
        let (entries, counted) = (Arc::clone(&ledger), Arc::clone(&counters));
        let thread = thread::spawn(move || {
            let enter = move |record: tailsieve::testing::testbed::generator::Acknowledged| {
                let (ledger, due) = &mut *entries.lock().expect("unharmed");
                due.produced(&record);
                ledger.record(&record.spans);
            };
            let never = AtomicBool::new(false);
            produce(Model::new(settings), &producer, &counted, &never, enter).expect("produced");
        });
        Self { thread, ledger, counters }
    }

    /// Spans that are on the topic.
    fn spans(&self) -> u64 {
        self.counters.spans_acknowledged.load(Ordering::Relaxed)
    }

    /// Waits for the end; returns what was written, when it is due, and in how many records it is.
    fn finish(self) -> (Ledger, Due, u64) {
        self.thread.join().expect("all is produced");
        let records = self.counters.records_acknowledged.load(Ordering::Relaxed);
        let ledger = Arc::into_inner(self.ledger).expect("the writer is gone");
        let (ledger, due) = ledger.into_inner().expect("unharmed");
        (ledger, due, records)
    }
}
