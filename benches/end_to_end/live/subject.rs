//! One of those that read the live traffic, and its backend.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use tailsieve::testing::ids::Timestamp;
use tailsieve::testing::kafka::source;
use tailsieve::testing::testbed::ledger::{Check, Expectation, Ledger};
use tailsieve::testing::testbed::receiver::Receiver;
use tokio::runtime::Runtime;

use super::Live;
use crate::collector::{Progress, Settled};
use crate::delay::{Arrivals, Due};
use crate::kafka::Commits;
use crate::lane::{self, GLANCE, PATIENCE, Processes};
use crate::probe::{self, Usage};

/// What it is.
#[derive(Clone, Debug)]
pub enum Kind {
    Tailsieve(String, PathBuf),
    BareLoop,
    Collector(PathBuf),
}

impl Kind {
    /// What the table calls it.
    pub fn lane(&self) -> &str {
        match self {
            Self::Tailsieve(name, _) => name,
            Self::BareLoop => "bare loop",
            Self::Collector(_) => "Collector",
        }
    }
}

/// A sink that remembers what it was sent.
pub struct Backend {
    receiver: Receiver,
    taken: Arc<Mutex<(Check, Arrivals)>>,
}

impl Backend {
    pub fn start(runtime: &Runtime) -> Self {
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

    /// `host:port`.
    pub fn endpoint(&self) -> String {
        self.receiver.local_addr().to_string()
    }
}

/// One of those that are compared.
pub struct Subject {
    pub kind: Kind,
    pub group: String,
    command: Command,
    process: Processes,
    /// Where its metrics are.
    metrics: String,
    backend: Backend,
    pub figures: Live,
}

impl Subject {
    pub fn start(
        kind: Kind,
        group: String,
        mut command: Command,
        metrics: String,
        backend: Backend,
    ) -> Self {
        let process = Processes(vec![command.spawn().expect("it starts")]);
        let figures = Live { lane: kind.lane().to_owned(), ..Live::default() };
        Self { kind, group, command, process, metrics, backend, figures }
    }

    pub fn stands_idle(&mut self) {
        lane::check_running(&mut self.process.0);
        self.figures.idle_rss_bytes = probe::rss(&self.process.0);
    }

    /// What it has used so far.
    pub fn usage(&self) -> Usage {
        probe::usage(&self.process.0)
    }

    pub fn look(&mut self) {
        lane::check_running(&mut self.process.0);
        let scrape = match self.kind {
            Kind::BareLoop => None,
            _ => lane::scrape(&self.metrics),
        };
        let Some(scrape) = scrape else { return };
        let (buffered, bytes) = match self.kind {
            Kind::Collector(_) => (Progress::of(&scrape).open_spans(), 0.0),
            _ => (scrape.sum("tailsieve_open_spans"), scrape.sum("tailsieve_open_bytes")),
        };
        if buffered as u64 > self.figures.buffered_spans {
            self.figures.buffered_spans = buffered as u64;
            self.figures.buffered_bytes = bytes as u64;
            self.figures.rss_bytes = probe::rss(&self.process.0);
        }
    }

    /// `Child::kill` is `kill -9`.
    pub fn kill_and_restart(&mut self) {
        let child = &mut self.process.0[0];
        child.kill().expect("it runs");
        child.wait().expect("it has ended");
        *child = self.command.spawn().expect("it starts again");
    }

    /// Waits until it has nothing left to do.
    pub fn settle(&mut self, commits: &Commits, records: u64) {
        let deadline = Instant::now() + PATIENCE;
        let mut settled = Settled::default();
        loop {
            lane::check_running(&mut self.process.0);
            // What tailsieve has committed is delivered; of the Collector's own that says nothing.
            let is_done = match self.kind {
                Kind::BareLoop => true,
                Kind::Tailsieve(..) => commits.records() >= records,
                Kind::Collector(_) => {
                    let scrape = lane::scrape(&self.metrics);
                    commits.records() >= records
                        && scrape.is_some_and(|it| settled.look(Progress::of(&it)))
                }
            };
            if is_done {
                return;
            }
            assert!(Instant::now() < deadline, "{} does not come to an end", self.figures.lane);
            thread::sleep(GLANCE);
        }
    }

    pub fn figures(self, expected: &Ledger, due: &Due, usual_until: Timestamp) -> Live {
        if matches!(self.kind, Kind::BareLoop) {
            return self.figures;
        }
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
