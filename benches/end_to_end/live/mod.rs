//! Live traffic, read at the same time by tailsieve, a bare loop, and whoever else is compared, each in
//! a group and with a sink of its own: what a span costs, how often threads are switched, how soon a kept
//! trace arrives, what a buffered span costs in memory, and what is lost when all are killed by `kill -9`
//! in the middle of it and started again at once.
//!
//! A buffered span is one whose trace is not decided yet. What it takes is the resident memory when
//! most were buffered, less that before there was traffic. A span is lost if the policies keep its
//! trace for sure, as one with an error or longer than a second, and it never arrives: which of the
//! others are kept, tailsieve and the Collector choose in ways of their own.

mod subject;
mod traffic;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use tailsieve::testing::kafka::source;
use tokio::runtime::Runtime;

use crate::collector;
use crate::kafka::{Commits, Kafka};
use crate::lane::{self, Turn};
use crate::options::Options;
use crate::probe::Usage;
use crate::roles;
use crate::support::free_address;
use crate::topic::{self, Topic};

use subject::{Backend, Kind, Subject};
use traffic::Traffic;

/// How long they stand idle before there is traffic: until their group has settled.
const IDLE: Duration = Duration::from_secs(5);

/// How often they are looked at: seldom, since each answer costs CPU, which counts.
const LOOK: Duration = Duration::from_secs(1);

/// That of the Collector. The dead are members for that long, which those that follow them wait for.
const SESSION: (&str, &str) = ("session.timeout.ms", "10000");

/// What is due in the last moments before the kill arrives after it, and at the end of the traffic
/// partitions wait to be sure that they are quiet: neither is the usual delay.
const BEFORE_KILL: Duration = Duration::from_secs(2);

/// What one of those that are compared came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Live {
    pub lane: String,
    /// CPU time of a span in microseconds, from a quarter of the time until the kill or the end.
    pub cpu_us_per_span: f64,
    /// The same in percent of a core.
    pub core_percent: f64,
    /// Voluntary and involuntary context switches a second in that time.
    pub switches_per_second: f64,
    /// How long after it was due a kept trace arrived.
    pub delay_p50_ms: f64,
    pub delay_p99_ms: f64,
    /// Before there was traffic.
    pub idle_rss_bytes: u64,
    /// When most spans were buffered.
    pub rss_bytes: u64,
    pub buffered_spans: u64,
    /// The wire bytes of these, if it tells.
    pub buffered_bytes: u64,
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

/// Runs tailsieve, the bare loop, the other tailsieves and the Collector if there are.
pub fn run(kafka: &Kafka, options: &Options) -> Vec<Live> {
    let topic = Topic {
        name: format!("live-{}", std::process::id()),
        partitions: options.partitions,
        ..Topic::default()
    };
    topic::create(kafka, &topic.name, topic.partitions);
    let runtime = Runtime::new().expect("a runtime");
    let dir = tempfile::tempdir().expect("a folder");
    let mut all: Vec<Subject> = kinds(options)
        .into_iter()
        .map(|kind| start(kind, kafka, &topic, options, (&runtime, dir.path())))
        .collect();
    thread::sleep(IDLE);
    all.iter_mut().for_each(Subject::stands_idle);
    let traffic = Traffic::start(kafka, &topic, options);
    watch(&mut all, &traffic, options);
    let usual_until = source::now().before(BEFORE_KILL);
    if !options.no_kill {
        all.iter_mut().for_each(Subject::kill_and_restart);
    }
    let (mut ledger, due, records) = traffic.finish();
    ledger.traces.retain(|_, trace| trace.error || trace.duration_ms() > 1000);
    for subject in &mut all {
        let commits = Commits::new(kafka, &subject.group, &topic.name, topic.partitions);
        subject.settle(&commits, records);
    }
    let figures = all.into_iter().map(|subject| {
        if matches!(subject.kind, Kind::Tailsieve(..)) {
            topic::delete(kafka, &lane::decision_log(&subject.group));
        }
        subject.figures(&ledger, &due, usual_until)
    });
    let figures = figures.collect();
    topic::delete(kafka, &topic.name);
    figures
}

fn kinds(options: &Options) -> Vec<Kind> {
    let own = Kind::Tailsieve("tailsieve".to_owned(), options.binary.clone());
    let mut kinds = vec![own, Kind::BareLoop];
    let other = |it: &PathBuf| Kind::Tailsieve(Options::name_of(it), it.clone());
    kinds.extend(options.other.iter().map(other));
    kinds.extend(options.collector.iter().map(|binary| Kind::Collector(binary.clone())));
    kinds
}

fn start(
    kind: Kind,
    kafka: &Kafka,
    topic: &Topic,
    options: &Options,
    (runtime, dir): (&Runtime, &Path),
) -> Subject {
    let group = format!("{}-{}", topic.name, kind.lane().replace(' ', "-"));
    let (sink, address) = (Backend::start(runtime), free_address());
    let endpoint = sink.endpoint();
    let properties = options.properties(&[SESSION]);
    let turn = Turn { kafka, topic, options, group: &group, properties };
    let command = match &kind {
        Kind::Tailsieve(name, binary) => {
            let file = dir.join(format!("{name}.yaml"));
            fs::write(&file, turn.config(&endpoint, "none", &address)).expect("written");
            lane::tailsieve(binary, &file)
        }
        Kind::BareLoop => {
            let partitions = topic.partitions.to_string();
            roles::command(&["as-live-loop", kafka.address(), &topic.name, &partitions])
        }
        Kind::Collector(binary) => collector::command(&turn, binary, &endpoint, "none", &address),
    };
    Subject::start(kind, group, command, address, sink)
}

/// Looks at all until it is time to kill them, or until the traffic ends.
fn watch(all: &mut [Subject], traffic: &Traffic, options: &Options) {
    let whole = Duration::from_secs(options.live);
    let end = if options.no_kill { whole } else { whole / 2 };
    let start = Instant::now();
    let mut from = None;
    while start.elapsed() < end {
        thread::sleep(LOOK);
        all.iter_mut().for_each(Subject::look);
        if from.is_none() && start.elapsed() >= whole / 4 {
            from = Some((Instant::now(), traffic.spans(), usage_of(all)));
        }
    }
    let Some((since, spans, before)) = from else { return };
    let (spans, seconds) = ((traffic.spans() - spans) as f64, since.elapsed().as_secs_f64());
    let now = usage_of(all);
    for (subject, (before, now)) in all.iter_mut().zip(before.into_iter().zip(now)) {
        let cpu = (now.cpu - before.cpu).as_secs_f64();
        subject.figures.cpu_us_per_span = cpu * 1e6 / spans;
        subject.figures.core_percent = cpu * 100.0 / seconds;
        let switches = now.switches.saturating_sub(before.switches);
        subject.figures.switches_per_second = switches as f64 / seconds;
    }
}

fn usage_of(all: &[Subject]) -> Vec<Usage> {
    all.iter().map(Subject::usage).collect()
}
