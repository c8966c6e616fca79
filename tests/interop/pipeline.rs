//! The processes of one interop test: SDKs, the Collector before and behind, tailsieve between.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message as _;
use rdkafka::Message as _;

use crate::otlp_json::Traces;
use crate::secure::write_certificates;
use crate::support::{
    Kafka, Member, Process, Scratch, Topic, collector_tool, eventually, free_address,
};

/// Few enough that several traces share each, enough that a trace is easily torn apart.
const PARTITIONS: i32 = 8;

/// How long the last of the spans may take through the Collector, on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The Collector that publishes, with what it was sent.
struct Publisher {
    collector: Process,
    endpoint: String,
    file: PathBuf,
}

/// The Collector that stands for a backend, or for several, with what each was given.
struct Backend {
    collector: Process,
    files: Vec<PathBuf>,
}

/// SDKs -> Collector -> Kafka -> tailsieve -> Collector. What is declared first is dropped first.
pub struct Pipeline {
    /// The tailsieve under test.
    pub member: Member,
    publisher: Publisher,
    backend: Backend,
    topic: Topic,
    scratch: Scratch,
}

/// The same without tailsieve: a third Collector forwards all that is on the topic.
pub struct Forwarded {
    publisher: Publisher,
    _forwarder: Process,
    backend: Backend,
    _topic: Topic,
    scratch: Scratch,
}

impl Pipeline {
    /// Starts everything; `keyed` is `partition_traces_by_id` of the Collector that publishes.
    pub fn start(test: &str, keyed: bool) -> Self {
        Self::with(test, keyed, |scratch| {
            let (backend, endpoint) = Backend::start(scratch);
            (backend, format!("export: {{endpoint: {endpoint}}}\n"))
        })
    }

    /// The same with the Collector of deploy/collector/gateway, which takes OTLP over HTTP.
    pub fn start_gateway(test: &str) -> Self {
        let scratch = Scratch::new(test);
        let kafka = Kafka::from_env();
        let topic = topic(&kafka, test);
        let publisher = Publisher::start_gateway(&scratch, &kafka, &topic);
        let (backend, endpoint) = Backend::start(&scratch);
        scratch.write("policies.yaml", include_str!("examples.yaml"));
        let member =
            member(&scratch, &kafka, &topic, &format!("export: {{endpoint: {endpoint}}}\n"));
        Self { member, publisher, backend, topic, scratch }
    }

    /// Where the publishing Collector listens.
    pub fn endpoint(&self) -> &str {
        &self.publisher.endpoint
    }

    /// The folder of the test.
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// What the publishing Collector has been sent so far.
    pub fn sent(&self) -> Traces {
        read(&self.publisher.file)
    }

    /// Stops the publishing Collector: all that it was sent is on the topic then.
    pub fn stop_publisher(&mut self) -> Traces {
        assert!(self.publisher.collector.terminate().success());
        self.sent()
    }

    /// The same with two backends that ask for a certificate, one over gRPC and one over HTTP.
    pub fn start_secure(test: &str) -> Self {
        Self::with(test, true, Backend::start_secure)
    }

    /// Everything, with a backend and what the static file says of it.
    fn with(test: &str, keyed: bool, backend: impl FnOnce(&Scratch) -> (Backend, String)) -> Self {
        let scratch = Scratch::new(test);
        let kafka = Kafka::from_env();
        let topic = topic(&kafka, test);
        let publisher = Publisher::start(&scratch, &kafka, &topic, keyed);
        let (backend, export) = backend(&scratch);
        scratch.write("policies.yaml", include_str!("policies.yaml"));
        let member = member(&scratch, &kafka, &topic, &export);
        Self { member, publisher, backend, topic, scratch }
    }

    /// Makes the spans; when it returns, all of them are on the topic.
    pub fn send(&mut self) -> Traces {
        self.publisher.send(&self.scratch)
    }

    /// What each backend has written so far.
    pub fn arrived(&self) -> Vec<Traces> {
        self.backend.arrived()
    }

    /// Stops the backends, and returns all that each was given.
    pub fn stop_backends(&mut self) -> Vec<Traces> {
        assert!(self.backend.collector.terminate().success());
        self.backend.arrived()
    }

    /// Ids of the traces that the publishing Collector put whole into one partition.
    pub fn traces_in_one_partition(&self) -> Vec<String> {
        let mut partitions: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
        for record in self.topic.records() {
            let spans = TracesData::decode(record.payload().unwrap()).unwrap();
            let scopes = spans.resource_spans.iter().flat_map(|spans| &spans.scope_spans);
            for span in scopes.flat_map(|scope| &scope.spans) {
                let id: String = span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
                partitions.entry(id).or_default().insert(record.partition());
            }
        }
        let whole = partitions.into_iter().filter(|(_, partitions)| partitions.len() == 1);
        whole.map(|(id, _)| id).collect()
    }
}

impl Forwarded {
    /// Starts everything.
    pub fn start() -> Self {
        let scratch = Scratch::new("forwarded");
        let kafka = Kafka::from_env();
        let topic = topic(&kafka, "forwarded");
        let publisher = Publisher::start(&scratch, &kafka, &topic, true);
        let (backend, endpoint) = Backend::start(&scratch);
        let environment =
            [("KAFKA", kafka.address()), ("TOPIC", topic.name()), ("OTLP", &endpoint)];
        let forwarder = collector(&scratch, "forward", &environment);
        Self { publisher, _forwarder: forwarder, backend, _topic: topic, scratch }
    }

    /// Makes the spans; when it returns, all of them are on the topic.
    pub fn send(&mut self) -> Traces {
        self.publisher.send(&self.scratch)
    }

    /// What the backend has, once that is `spans` spans.
    pub fn arrived(&mut self, spans: usize) -> Traces {
        eventually("the spans to arrive", PATIENCE, || {
            let arrived = self.backend.arrived().pop().expect("there is one backend");
            Some(arrived).filter(|traces| traces.spans() >= spans)
        })
    }
}

impl Publisher {
    fn start(scratch: &Scratch, kafka: &Kafka, topic: &Topic, keyed: bool) -> Self {
        let (endpoint, file) = (free_address(), scratch.join("sent.json"));
        let environment = [
            ("OTLP", endpoint.as_str()),
            ("FILE", file.to_str().unwrap()),
            ("KAFKA", kafka.address()),
            ("TOPIC", topic.name()),
            ("KEYED", if keyed { "true" } else { "false" }),
        ];
        let collector = collector(scratch, "publish", &environment);
        Self { collector, endpoint, file }
    }

    /// The Collector of deploy/collector/gateway, with the addresses of this test.
    fn start_gateway(scratch: &Scratch, kafka: &Kafka, topic: &Topic) -> Self {
        let (endpoint, file) = (free_address(), scratch.join("sent.json"));
        let environment = [
            ("OTLP", endpoint.as_str()),
            ("GRPC", &free_address()),
            ("HEALTH", &free_address()),
            ("FILE", file.to_str().unwrap()),
            ("KAFKA", kafka.address()),
            ("TOPIC", topic.name()),
        ];
        let configs = ["deploy/collector/gateway/collector.yaml", "tests/interop/gateway.yaml"];
        let collector = collector_with(scratch, "gateway", &configs, &environment);
        Self { collector, endpoint, file }
    }

    /// Lets both SDKs send their spans, then stops the Collector, so that its file is complete.
    fn send(&mut self, scratch: &Scratch) -> Traces {
        self.telemetrygen(scratch, "quick", &["--traces=300", "--child-spans=2"]);
        self.telemetrygen(
            scratch,
            "failed",
            &["--traces=30", "--status-code=Error", "--span-links=2"],
        );
        self.telemetrygen(
            scratch,
            "long",
            &["--traces=30", "--span-duration=800ms", "--child-spans=2"],
        );
        let python = env::var_os("TAILSIEVE_TEST_PYTHON")
            .expect("TAILSIEVE_TEST_PYTHON names a Python with the SDK: run ./tests/run interop");
        let mut shop = Command::new(python);
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/shop.py");
        shop.arg(program).arg(&self.endpoint).arg("40");
        finish(shop, scratch, "shop");
        assert!(self.collector.terminate().success());
        let sent = read(&self.file);
        // telemetrygen: 300 of 3 spans, 30 of 2, 30 of 3; the shop: 40 of each of its 4 sorts.
        assert_eq!((sent.by_id.len(), sent.spans()), (520, 900 + 60 + 90 + 160 * 5));
        sent
    }

    fn telemetrygen(&self, scratch: &Scratch, service: &str, arguments: &[&str]) {
        let mut telemetrygen = Command::new(collector_tool("telemetrygen"));
        telemetrygen.args(["traces", "--otlp-insecure", "--rate=0"]);
        telemetrygen.args(["--otlp-endpoint", &self.endpoint, "--service", service]);
        telemetrygen.args(["--otlp-attributes=zone=\"a\"", "--telemetry-attributes=retries=3"]);
        telemetrygen.args(arguments);
        finish(telemetrygen, scratch, service);
    }
}

impl Backend {
    /// One, and where it listens.
    fn start(scratch: &Scratch) -> (Self, String) {
        let (endpoint, file) = (free_address(), scratch.join("kept.json"));
        let environment = [("OTLP", endpoint.as_str()), ("FILE", file.to_str().unwrap())];
        let collector = collector(scratch, "backend", &environment);
        (Self { collector, files: vec![file] }, endpoint)
    }

    /// Two that ask for a certificate, one over gRPC and one over HTTP, and what tailsieve's file says
    /// of them.
    fn start_secure(scratch: &Scratch) -> (Self, String) {
        write_certificates(scratch.path());
        let (grpc, http) = (free_address(), free_address());
        let dir = scratch.path().to_str().unwrap();
        let environment = [("GRPC", grpc.as_str()), ("HTTP", &http), ("DIR", dir)];
        let collector = collector(scratch, "secure", &environment);
        let files = ["grpc.json", "http.json"].map(|file| scratch.join(file)).into();
        let tls = format!(
            "{{ca_file: {dir}/ca.pem, cert_file: {dir}/client.pem, key_file: {dir}/client.key}}"
        );
        let export = format!(
            "exporters:
  grpc: {{endpoint: 'https://{grpc}', compression: zstd, tls: {tls}}}
  http: {{protocol: http, endpoint: 'https://{http}', compression: gzip, tls: {tls}}}
"
        );
        (Self { collector, files }, export)
    }

    fn arrived(&self) -> Vec<Traces> {
        self.files.iter().map(|file| read(file)).collect()
    }
}

/// A tailsieve that is ready, on the `policies.yaml` that is there; `export` is what its file says of
/// where traces go.
pub fn member(scratch: &Scratch, kafka: &Kafka, topic: &Topic, export: &str) -> Member {
    let config = include_str!("tailsieve.yaml")
        .replace("$KAFKA", kafka.address())
        .replace("$TOPIC", topic.name());
    let mut member = Member::start(scratch.path(), "tailsieve", &(config + export));
    member.wait_ready();
    member
}

/// A topic of its own for a test.
pub fn topic(kafka: &Kafka, test: &str) -> Topic {
    kafka.topic(test, PARTITIONS, &[("message.timestamp.type", "LogAppendTime")])
}

/// Starts the Collector on tests/interop/`name`.yaml and waits until it serves.
pub fn collector(scratch: &Scratch, name: &str, environment: &[(&str, &str)]) -> Process {
    collector_with(scratch, name, &[&format!("tests/interop/{name}.yaml")], environment)
}

/// The same with several files of the repository, of which each adds to those before it.
fn collector_with(
    scratch: &Scratch,
    name: &str,
    configs: &[&str],
    environment: &[(&str, &str)],
) -> Process {
    let mut command = Command::new(collector_tool("otelcol"));
    for config in configs {
        command.arg(format!("--config={}/{config}", env!("CARGO_MANIFEST_DIR")));
    }
    command.envs(environment.iter().copied());
    let mut process = Process::spawn(command, scratch.path(), name);
    process.wait_for_line("Everything is ready");
    process
}

/// Runs a command to its end, which must be a good one.
fn finish(command: Command, scratch: &Scratch, name: &str) {
    let mut process = Process::spawn(command, scratch.path(), name);
    let status = process.wait();
    assert!(status.success(), "{name} ended with {status}");
}

fn read(file: &Path) -> Traces {
    Traces::parse(&fs::read_to_string(file).unwrap_or_default())
}
