//! One turn of one of those that are compared.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::collector;
use crate::kafka::{Commits, Kafka};
use crate::lookups::LookUps;
use crate::options::Options;
use crate::probe;
use crate::roles;
use crate::support::{Scrape, free_address, http_get};
use crate::topic::{self, Topic};
use crate::whatif::Tried;

/// How often a member is asked how far it is.
pub const GLANCE: Duration = Duration::from_millis(100);

/// How long the last traces may take to be decided, delivered and committed.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Enough for all traces that are open: nothing is decided early.
const BUFFER_BYTES: u64 = 16 << 30;

/// One of those that are compared.
#[derive(Clone, Debug)]
pub enum Lane {
    Bare {
        scans: bool,
    },
    Tailsieve {
        name: String,
        binary: PathBuf,
        compression: &'static str,
    },
    /// The first one, while traces are looked up by another process.
    LookUps {
        binary: PathBuf,
    },
    /// The first one, while another process reads the same topic.
    Neighbour {
        binary: PathBuf,
    },
    /// What the first one has decided is judged anew.
    WhatIf {
        binary: PathBuf,
        tried: Tried,
    },
    Collector {
        name: String,
        binary: PathBuf,
        compression: &'static str,
    },
}

/// What the lane is called that all others of tailsieve are compared with.
const FIRST: &str = "tailsieve";

/// What the sink has taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taken {
    pub spans: u64,
    pub requests: u64,
}

/// What was used when so many records had been read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    pub cpu: Duration,
    pub at: Duration,
    pub records: f64,
}

/// What was held when most traces were open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fullest {
    pub open_traces: f64,
    /// Bytes that their spans came in.
    pub open_bytes: f64,
    /// Resident memory, in bytes.
    pub rss: u64,
}

/// What a turn came to.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// About a third through.
    pub third: Sample,
    /// All records are read.
    pub read: Sample,
    /// CPU time when there was nothing left to do.
    pub cpu: Duration,
    /// In bytes.
    pub peak_rss: u64,
    /// When there was nothing left to do, in bytes.
    pub rss: u64,
    /// When most traces were open.
    pub fullest: Fullest,
    /// Spans that were kept, and what the sink counted.
    pub kept: u64,
    pub delivered: Taken,
}

impl Lane {
    /// All that have their turns.
    pub fn all(options: &Options) -> Vec<Self> {
        let tailsieve = |name: &str, binary: &Path, compression| Self::Tailsieve {
            name: name.to_owned(),
            binary: binary.to_owned(),
            compression,
        };
        let own = options.binary.as_path();
        let mut all = vec![
            Self::Bare { scans: false },
            Self::Bare { scans: true },
            tailsieve(FIRST, own, "none"),
            tailsieve("tailsieve, gzip", own, "gzip"),
        ];
        all.extend(options.other.iter().map(|it| tailsieve(&Options::name_of(it), it, "none")));
        if options.what_if {
            let what_if = |tried| Self::WhatIf { binary: own.to_owned(), tried };
            all.extend(Tried::ALL.map(what_if));
        }
        if options.lookups {
            all.push(Self::LookUps { binary: own.to_owned() });
            all.push(Self::Neighbour { binary: own.to_owned() });
        }
        let collector = |(name, compression): (&str, &'static str), binary: &PathBuf| {
            Self::Collector { name: name.to_owned(), binary: binary.clone(), compression }
        };
        for of_both in [("Collector", "none"), ("Collector, gzip", "gzip")] {
            all.extend(options.collector.iter().map(|binary| collector(of_both, binary)));
        }
        all
    }

    /// What the table calls it.
    pub fn name(&self) -> &str {
        match self {
            Self::Bare { scans: false } => "bare loop",
            Self::Bare { scans: true } => "bare loop, scan",
            Self::LookUps { .. } => "tailsieve, look-ups",
            Self::Neighbour { .. } => "tailsieve, neighbour",
            Self::WhatIf { tried, .. } => tried.name(),
            Self::Tailsieve { name, .. } | Self::Collector { name, .. } => name,
        }
    }

    /// A turn.
    pub fn run(&self, kafka: &Kafka, topic: &Topic, options: &Options, round: usize) -> Figures {
        let of_whom = if let Self::WhatIf { .. } = self { FIRST } else { self.name() };
        let name = of_whom.replace(|letter: char| !letter.is_ascii_alphanumeric(), "");
        let group = format!("{name}-{}-{round}", std::process::id());
        let properties = options.properties(&[]);
        let turn = Turn { kafka, topic, options, group: &group, properties };
        match self {
            Self::Bare { scans } => run_bare(kafka, topic, *scans),
            // What-if compares with what the first one has put on record.
            Self::Tailsieve { binary, compression, .. }
                if options.what_if && self.name() == FIRST =>
            {
                turn.run(binary, compression)
            }
            Self::Tailsieve { binary, compression, .. } => turn.run_and_clear(binary, compression),
            Self::WhatIf { binary, tried } => {
                let figures = tried.run(&turn, binary);
                if Tried::ALL.ends_with(&[*tried]) {
                    topic::delete(kafka, &decision_log(&group));
                }
                figures
            }
            Self::LookUps { binary } => turn.run_beside_lookups(binary),
            Self::Neighbour { binary } => {
                let partitions = topic.partitions.to_string();
                let arguments = ["as-neighbour", kafka.address(), &topic.name, &partitions];
                let _neighbour = Processes(vec![roles::start(&arguments)]);
                turn.run_and_clear(binary, "none")
            }
            Self::Collector { binary, compression, .. } => {
                collector::run(&turn, binary, compression)
            }
        }
    }
}

fn run_bare(kafka: &Kafka, topic: &Topic, scans: bool) -> Figures {
    let Topic { name, partitions, records, .. } = topic;
    let (partitions, scans) = (partitions.to_string(), scans.to_string());
    let records = records.to_string();
    let arguments = ["as-bare-loop", kafka.address(), name, &partitions, &records, &scans];
    let mut children = Processes(vec![roles::start(&arguments)]);
    let start = Instant::now();
    let mut lines = BufReader::new(children.0[0].stdout.take().expect("piped")).lines();
    let mut next = |children: &[Child]| {
        let records = lines.next().expect("a line").expect("a line");
        let records = records.parse().expect("a number");
        Sample { cpu: probe::cpu(children), at: start.elapsed(), records }
    };
    let third = next(&children.0);
    let read = next(&children.0);
    let (peak_rss, rss) = (probe::peak_rss(&children.0), probe::rss(&children.0));
    let delivered = Taken::default();
    let (cpu, fullest) = (read.cpu, Fullest::default());
    Figures { third, read, cpu, peak_rss, rss, fullest, kept: 0, delivered }
}

/// The decision log of a group.
pub fn decision_log(group: &str) -> String {
    format!("{group}-decisions")
}

/// tailsieve ready to be started on `config`.
pub fn tailsieve(binary: &Path, config: &Path) -> Command {
    let mut command = Command::new(binary);
    command.args(["--log", "warn", "run", "--create-topics", "--config"]).arg(config);
    command.stdin(Stdio::null());
    command
}

/// What a turn of tailsieve or of the Collector has to do with.
pub struct Turn<'a> {
    pub kafka: &'a Kafka,
    pub topic: &'a Topic,
    pub options: &'a Options,
    pub group: &'a str,
    /// Of tailsieve's Kafka client, as YAML.
    pub properties: String,
}

impl Turn<'_> {
    /// As [`run`](Self::run); nothing of it is left in Kafka.
    fn run_and_clear(&self, binary: &Path, compression: &str) -> Figures {
        let figures = self.run(binary, compression);
        topic::delete(self.kafka, &decision_log(self.group));
        figures
    }

    /// As [`run`](Self::run), while traces are opened that a turn before decided.
    fn run_beside_lookups(&self, binary: &Path) -> Figures {
        let before = format!("{}-before", self.group);
        let decided = Turn { group: &before, properties: self.properties.clone(), ..*self };
        decided.run(binary, "none");
        let mut lookups = LookUps::start(&decided, binary);
        lookups.wait();
        let figures = self.run(binary, "none");
        println!("beside it: {}", lookups.finish());
        for group in [self.group, &before] {
            topic::delete(self.kafka, &decision_log(group));
        }
        figures
    }

    fn run(&self, binary: &Path, compression: &str) -> Figures {
        let mut sink = Sink::start();
        let dir = tempfile::tempdir().expect("a folder");
        let admins: Vec<String> = (0..self.options.members).map(|_| free_address()).collect();
        let start = Instant::now();
        let started = admins.iter().enumerate().map(|(number, admin)| {
            let file = dir.path().join(format!("member-{number}.yaml"));
            fs::write(&file, self.config(&sink.address, compression, admin)).expect("written");
            tailsieve(binary, &file).spawn().expect("tailsieve starts")
        });
        let mut children = Processes(started.collect());
        let mut fullest = Fullest::default();
        let mut look = |children: &mut [Child]| {
            check_running(children);
            let all: Vec<Scrape> = admins.iter().filter_map(|admin| scrape(admin)).collect();
            let open_traces = sum(&all, "tailsieve_open_traces");
            if open_traces > fullest.open_traces {
                let open_bytes = sum(&all, "tailsieve_open_bytes");
                fullest = Fullest { open_traces, open_bytes, rss: probe::rss(children) };
            }
            all
        };
        let mut read_up_to = |records: u64, children: &mut [Child]| loop {
            let read = sum(&look(children), "tailsieve_received_records_total");
            if read >= records as f64 {
                break Sample { cpu: probe::cpu(children), at: start.elapsed(), records: read };
            }
            std::thread::sleep(GLANCE);
        };
        let third = read_up_to(self.topic.records / 3, &mut children.0);
        let read = read_up_to(self.topic.records, &mut children.0);
        let commits = Commits::new(self.kafka, self.group, &self.topic.name, self.topic.partitions);
        let deadline = Instant::now() + PATIENCE;
        let kept = loop {
            let all = look(&mut children.0);
            // An offset is committed when all below it is decided, recorded and delivered.
            if all.len() == admins.len() && commits.records() >= self.topic.records {
                break kept(&all);
            }
            assert!(Instant::now() < deadline, "tailsieve does not commit all that it has read");
            std::thread::sleep(GLANCE);
        };
        let delivered = sink.taken();
        assert!(delivered.spans >= kept, "{kept} spans were kept, the sink has {delivered:?}");
        let cpu = probe::cpu(&children.0);
        let (peak_rss, rss) = (probe::peak_rss(&children.0), probe::rss(&children.0));
        Figures { third, read, cpu, peak_rss, rss, fullest, kept, delivered }
    }

    /// The static file of a member.
    pub fn config(&self, sink: &str, compression: &str, admin: &str) -> String {
        let (brokers, topic) = (self.kafka.address(), &self.topic.name);
        let (group, policies) = (self.group, self.options.policies.display());
        let (log, properties) = (decision_log(group), &self.properties);
        format!(
            "policies: {policies}
kafka: {{brokers: ['{brokers}'], topic: {topic}, group_id: {group}, properties: {properties}}}
decision_log: {{topic: {log}}}
export: {{endpoint: '{sink}', compression: {compression}}}
admin: {{listen: '{admin}'}}
buffer: {{max_bytes: {BUFFER_BYTES}}}
"
        )
    }
}

/// Spans that were kept, with those that came late to a kept trace.
fn kept(all: &[Scrape]) -> u64 {
    let late = |scrape: &Scrape| scrape.get("tailsieve_late_spans_total{decision=\"keep\"}");
    let late: f64 = all.iter().filter_map(late).sum();
    (sum(all, "tailsieve_kept_spans_total") + late) as u64
}

fn sum(all: &[Scrape], name: &str) -> f64 {
    all.iter().map(|scrape| scrape.sum(name)).sum()
}

/// The metrics of a member, if it answers.
pub fn scrape(admin: &str) -> Option<Scrape> {
    let (status, text) = http_get(admin, "/metrics")?;
    (status == 200).then(|| Scrape::parse(&text))
}

/// Panics if one of them has ended.
pub fn check_running(children: &mut [Child]) {
    for child in children {
        let ended = child.try_wait().expect("it can be waited for");
        assert!(ended.is_none(), "a process that is measured ended by itself");
    }
}

/// Processes that end when they are dropped.
pub struct Processes(pub Vec<Child>);

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The backend.
pub struct Sink {
    process: Processes,
    answers: std::io::Lines<BufReader<ChildStdout>>,
    /// Where it listens.
    pub address: String,
}

impl Sink {
    /// In a process of its own.
    pub fn start() -> Self {
        let mut child = roles::start(&["as-sink"]);
        let mut answers = BufReader::new(child.stdout.take().expect("piped")).lines();
        let address = answers.next().expect("a line").expect("a line");
        Self { process: Processes(vec![child]), answers, address }
    }

    /// What it has taken so far.
    pub fn taken(&mut self) -> Taken {
        let questions = self.process.0[0].stdin.as_mut().expect("piped");
        writeln!(questions).expect("it listens");
        let answer = self.answers.next().expect("a line").expect("a line");
        let (spans, requests) = answer.split_once(' ').expect("two numbers");
        let number = |text: &str| text.parse().expect("a number");
        Taken { spans: number(spans), requests: number(requests) }
    }
}
