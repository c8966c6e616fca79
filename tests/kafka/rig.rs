//! What every test here is made of: a topic, traffic with its ledger, members, and a backend
//! that takes in everything for the check.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use prost::Message as _;
use tailsieve::testing::ids::TraceId;
use tailsieve::testing::kafka::source;
use tailsieve::testing::testbed::generator::{
    Counters, Model, ModelSettings, ProducerSettings, produce,
};
use tailsieve::testing::testbed::ledger::{
    Check, Expectation, Ledger, TraceEntry, Verdict, sampling_threshold,
};
use tailsieve::testing::testbed::receiver::Receiver;
use tokio::runtime::Runtime;

use crate::support::{
    Kafka, Member, Scrape, Scratch, Topic, check_accounts, check_table, eventually,
    promtool_check_metrics,
};

const LOCALHOST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// How long the last decisions, deliveries and commits may take on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// The policies that a ledger's default expectation knows, with a wait that is longer than any
/// trace of the generator and no longer than a test needs.
pub const POLICIES: &str = "
decision_wait: 8s
decision_wait_after_root_received: 3s
policies:
  - name: errors
    type: status_code
    status_code: {status_codes: [ERROR]}
  - name: slow
    type: latency
    latency: {threshold_ms: 1000}
  - name: the-rest
    type: probabilistic
    probabilistic: {sampling_percentage: 10}
";

/// All errors, and a tenth of the others.
pub const ERRORS_AND_A_TENTH: &str = "
decision_wait: 8s
decision_wait_after_root_received: 3s
policies:
  - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
  - {name: the-rest, type: probabilistic, probabilistic: {sampling_percentage: 10}}
";

/// Keeps everything, so that every span has to arrive.
pub const KEEP_ALL: &str = "
decision_wait: 20s
decision_wait_after_root_received: 15s
policies:
  - {name: everything, type: always_sample}
";

/// True if a probabilistic policy of so many percent keeps the trace.
pub fn passes(percent: f64, trace: &TraceEntry) -> bool {
    sampling_threshold(percent).is_some_and(|threshold| trace.randomness >= threshold)
}

/// One test's world.
pub struct Rig {
    pub kafka: Kafka,
    pub topic: Topic,
    pub scratch: Scratch,
    pub receiver: Option<Receiver>,
    pub runtime: Runtime,
    check: Arc<Mutex<Check>>,
    backend: SocketAddr,
    /// Further sections of the static file.
    more: String,
    /// Further lines of its sections `kafka` and `export`.
    more_kafka: String,
    more_export: String,
}

impl Rig {
    /// A topic, a backend and the files of a member.
    pub fn new(test: &str, policies: &str) -> Self {
        Self::on(Kafka::from_env(), test, policies)
    }

    /// As [`new`](Self::new), on a Kafka that the test started.
    pub fn on(kafka: Kafka, test: &str, policies: &str) -> Self {
        let topic = kafka.topic(test, 12, &[("max.message.bytes", "16777216")]);
        let scratch = Scratch::new(test);
        scratch.write("policies.yaml", policies);
        let expectation = match policies == POLICIES {
            true => Expectation::default(),
            false => Expectation::WholeOnly,
        };
        let check = Arc::new(Mutex::new(Check::new(expectation)));
        let runtime = Runtime::new().unwrap();
        let mut rig = Self {
            kafka,
            topic,
            scratch,
            receiver: None,
            runtime,
            check,
            backend: LOCALHOST,
            more: String::new(),
            more_kafka: String::new(),
            more_export: String::new(),
        };
        rig.bring_backend(LOCALHOST);
        rig
    }

    /// Starts the backend on `address`; port 0 takes a free one.
    pub fn bring_backend(&mut self, address: SocketAddr) {
        let check = Arc::clone(&self.check);
        let sink = move |request: Bytes| check.lock().unwrap().observe_bytes(&request).unwrap();
        let receiver = Receiver::start(address, Box::new(sink));
        let receiver = self.runtime.block_on(receiver).unwrap();
        self.backend = receiver.local_addr();
        self.receiver = Some(receiver);
    }

    /// Puts a backend in place of the one that checks: it keeps all requests as they are.
    pub fn keep_requests(&mut self) -> Arc<Mutex<Vec<Bytes>>> {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        let sink = move |request: Bytes| kept.lock().unwrap().push(request);
        let receiver = self.runtime.block_on(Receiver::start(LOCALHOST, Box::new(sink))).unwrap();
        self.backend = receiver.local_addr();
        self.receiver = Some(receiver);
        requests
    }

    /// Members send to this address, which passes it on to the backend; returns that of the backend.
    pub fn behind(&mut self, proxy: SocketAddr) -> SocketAddr {
        std::mem::replace(&mut self.backend, proxy)
    }

    /// Adds sections to the static file.
    pub fn with(mut self, sections: &str) -> Self {
        self.more.push_str(sections);
        self
    }

    /// Adds lines to the section `kafka`.
    pub fn with_kafka(mut self, line: &str) -> Self {
        self.more_kafka.push_str(&format!("  {line}\n"));
        self
    }

    /// Adds a line to the section `export`.
    pub fn with_export(mut self, line: &str) -> Self {
        self.more_export.push_str(&format!("  {line}\n"));
        self
    }

    /// The static file of a member.
    pub fn config(&self) -> String {
        let topic = self.topic.name();
        let Self { backend, more, more_kafka, more_export, .. } = self;
        let brokers = self.kafka.address();
        format!(
            "kafka:
  brokers: {brokers}
  topic: {topic}
  group_id: {topic}
  idle_grace: 1s
{more_kafka}export:
  endpoint: {backend}
  sending_queue: {{queue_size_bytes: 8MiB}}
  retry_on_failure: {{initial_interval: 200ms, max_interval: 2s, refuse_after_attempts: 3, refuse_after_time: 1s}}
{more_export}admin:
  listen: $ADMIN
policies: policies.yaml
{more}"
        )
    }

    /// Starts a member that need not be ready yet.
    pub fn start(&self, name: &str) -> Member {
        Member::start(self.scratch.path(), name, &self.config())
    }

    /// Starts a member, and waits until it is ready.
    pub fn member(&self, name: &str) -> Member {
        let mut member = self.start(name);
        member.wait_ready();
        member
    }

    /// Starts writing traffic: in its own time, or as fast as it goes without `pace`.
    pub fn write(&self, settings: ModelSettings, pace: bool) -> Writing {
        self.write_to(&self.topic, settings, pace)
    }

    /// As [`write`](Self::write), to another topic.
    pub fn write_to(&self, topic: &Topic, settings: ModelSettings, pace: bool) -> Writing {
        let producer = ProducerSettings {
            pace_from: pace.then_some(settings.start),
            ..ProducerSettings::new(self.kafka.address(), topic.name())
        };
        let ledger = Arc::new(Mutex::new(Ledger::new(settings.describe())));
        let counters = Arc::new(Counters::default());
        let (entries, counted) = (Arc::clone(&ledger), Arc::clone(&counters));
        let thread = thread::spawn(move || {
            let enter = move |record: tailsieve::testing::testbed::generator::Acknowledged| {
                entries.lock().unwrap().record(&record.spans);
            };
            produce(Model::new(settings), &producer, &counted, &AtomicBool::new(false), enter)
                .unwrap();
        });
        Writing { thread, ledger, counters }
    }

    /// Waits until everything on the topic is decided, delivered and committed.
    pub fn settle(&self) {
        let ends = self.topic.end_offsets();
        eventually("everything to be committed", PATIENCE, || {
            self.is_committed(&ends).then_some(())
        });
    }

    /// Whether everything on the topic is decided, delivered and committed.
    pub fn is_settled(&self) -> bool {
        self.is_committed(&self.topic.end_offsets())
    }

    fn is_committed(&self, ends: &BTreeMap<i32, i64>) -> bool {
        let committed = self.kafka.committed(self.topic.name(), &self.topic);
        let is_done = |(partition, end): (&i32, &i64)| {
            *end == 0 || committed.get(partition) == Some(&Some(*end))
        };
        ends.iter().all(is_done)
    }

    /// The policies that the spans of a trace were kept by; none if none were.
    pub fn policies_of(&self, trace: TraceId) -> Vec<String> {
        let check = self.check.lock().unwrap();
        check.policies_of(trace).iter().map(|it| it.clone().unwrap_or_default()).collect()
    }

    /// Adds a request that went elsewhere than to the backend.
    pub fn observe(&self, request: &Bytes) {
        self.check.lock().unwrap().observe_bytes(request).unwrap();
    }

    /// Judges what the backend took.
    pub fn verdict(&self, ledger: &Ledger) -> Verdict {
        self.check.lock().unwrap().verdict(ledger)
    }
}

/// Traffic that is being written.
pub struct Writing {
    thread: JoinHandle<()>,
    ledger: Arc<Mutex<Ledger>>,
    counters: Arc<Counters>,
}

impl Writing {
    /// Waits until this many spans are on the topic.
    pub fn wait_for(&self, spans: u64) {
        eventually(&format!("{spans} spans to be written"), PATIENCE, || {
            let written = self.counters.spans_acknowledged.load(Ordering::Relaxed);
            (written >= spans || self.thread.is_finished()).then_some(())
        });
    }

    /// Waits for the end, and returns what was written.
    pub fn finish(self) -> Ledger {
        self.thread.join().unwrap();
        Arc::into_inner(self.ledger).unwrap().into_inner().unwrap()
    }
}

/// A record of one span: the root of its trace, or a child of the given span.
pub fn one_span(trace: TraceId, span: u8, parent: Option<u8>) -> Vec<u8> {
    let span = Span {
        trace_id: trace.as_bytes().to_vec(),
        span_id: vec![span; 8],
        parent_span_id: parent.map(|parent| vec![parent; 8]).unwrap_or_default(),
        name: "step".into(),
        ..Span::default()
    };
    let scope = ScopeSpans { spans: vec![span], ..ScopeSpans::default() };
    let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
    TracesData { resource_spans: vec![resource] }.encode_to_vec()
}

/// Traffic of 210 000 spans at 6 000 a second, from now on.
pub fn traffic(seed: u64) -> ModelSettings {
    ModelSettings {
        seed,
        start: source::now(),
        rate: 6000.0,
        max_spans: Some(210_000),
        ..ModelSettings::default()
    }
}

/// The metrics of a member, which balance, are as the table says, and of which promtool has nothing to
/// say.
pub fn checked_scrape(member: &Member) -> Scrape {
    let scrape = member.scrape();
    check_accounts(&scrape).unwrap();
    check_table(&scrape).unwrap();
    promtool_check_metrics(&scrape).unwrap();
    scrape
}
