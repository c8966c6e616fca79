//! The OpenTelemetry Collector in the place of tailsieve: how it is started, and what its metrics
//! say of how far it is.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::lane::{self, Figures, Fullest, GLANCE, PATIENCE, Processes, Sample, Sink, Turn};
use crate::probe;
use crate::support::{Scrape, free_address};

/// How often its metrics must say the same before it has nothing left to do: what is between its
/// parts is counted nowhere.
const STILL: usize = 20;

/// The Collector `binary`, ready to be started: the policy file is its configuration, and what
/// differs from run to run is in its environment.
pub fn command(
    turn: &Turn<'_>,
    binary: &Path,
    sink: &str,
    compression: &str,
    metrics: &str,
) -> Command {
    let port = metrics.rsplit(':').next().unwrap_or_default();
    let mut command = Command::new(binary);
    command
        .arg("--config")
        .arg(&turn.options.policies)
        .envs([
            ("BROKERS", turn.kafka.address()),
            ("TOPIC", &turn.topic.name),
            ("GROUP", turn.group),
            ("SINK", sink),
            ("COMPRESSION", compression),
            ("METRICS_PORT", port),
        ])
        .stdin(Stdio::null());
    command
}

/// What a Collector says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// Spans it has read.
    pub read: f64,
    /// Traces it has seen, and how many of them it has decided.
    pub traces: f64,
    pub decided: f64,
    /// Spans in its sending queue, and those that were taken from it.
    pub queued: f64,
    pub sent: f64,
}

impl Progress {
    /// From its metrics.
    pub fn of(scrape: &Scrape) -> Self {
        let sampling = |what: &str| scrape.sum(&format!("otelcol_processor_tail_sampling_{what}"));
        Self {
            read: scrape.sum("otelcol_receiver_accepted_spans"),
            traces: sampling("new_trace_id_received"),
            decided: sampling("global_count_traces_sampled"),
            queued: scrape.sum("otelcol_exporter_queue_size"),
            sent: scrape.sum("otelcol_exporter_sent_spans"),
        }
    }

    /// Traces that wait for their decision.
    pub fn open_traces(&self) -> f64 {
        (self.traces - self.decided).max(0.0)
    }

    /// Spans that wait for a decision: the open traces, with as many spans as all have on average.
    pub fn open_spans(&self) -> f64 {
        if self.traces > 0.0 { self.open_traces() * self.read / self.traces } else { 0.0 }
    }

    fn is_idle(&self) -> bool {
        self.traces > 0.0 && self.open_traces() == 0.0 && self.queued == 0.0
    }
}

/// Finds out when a Collector has nothing left to do.
#[derive(Default)]
pub struct Settled {
    last: Progress,
    times: usize,
}

impl Settled {
    /// True if it is idle, and has been for a while.
    pub fn look(&mut self, now: Progress) -> bool {
        self.times = if now == self.last && now.is_idle() { self.times + 1 } else { 0 };
        self.last = now;
        self.times >= STILL
    }
}

/// A turn.
pub fn run(turn: &Turn<'_>, binary: &Path, compression: &str) -> Figures {
    let topic = turn.topic;
    let mut sink = Sink::start();
    let metrics = free_address();
    let start = Instant::now();
    let mut command = command(turn, binary, &sink.address, compression, &metrics);
    let mut children = Processes(vec![command.spawn().expect("the Collector starts")]);
    let mut most_open = 0.0_f64;
    let mut look = |children: &mut Processes| {
        lane::check_running(&mut children.0);
        std::thread::sleep(GLANCE);
        let progress = lane::scrape(&metrics).map_or(Progress::default(), |it| Progress::of(&it));
        most_open = most_open.max(progress.open_traces());
        progress
    };
    let mut read_up_to = |spans: f64, children: &mut Processes| loop {
        let read = look(children).read;
        if read >= spans {
            let records = read / topic.spans_per_record();
            break Sample { cpu: probe::cpu(&children.0), at: start.elapsed(), records };
        }
    };
    let third = read_up_to(topic.spans as f64 / 3.0, &mut children);
    let read = read_up_to(topic.spans as f64, &mut children);
    let deadline = Instant::now() + PATIENCE;
    let mut settled = Settled::default();
    let sent = loop {
        let progress = look(&mut children);
        if settled.look(progress) {
            break progress.sent;
        }
        assert!(Instant::now() < deadline, "the Collector does not come to an end: {progress:?}");
    };
    let delivered = sink.taken();
    let cpu = probe::cpu(&children.0);
    let (peak_rss, rss) = (probe::peak_rss(&children.0), probe::rss(&children.0));
    let fullest = Fullest { open_traces: most_open, ..Fullest::default() };
    Figures { third, read, cpu, peak_rss, rss, fullest, kept: sent as u64, delivered }
}
