//! Own telemetry of a real member at a real Collector.
//!
//! The Collector writes a file for each signal, and publishes the spans to the very topic that the member
//! reads. Metrics and spans go over HTTP, log records over gRPC.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use prost::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::Value;
use tailsieve::testing::telemetry::metrics::{Kind, table::GROUPS};
use tailsieve::testing::testbed::receiver::Receiver;
use tokio::runtime::Runtime;

use crate::support::{
    Kafka, Member, Process, Scrape, Scratch, Topic, collector_tool, eventually, free_address,
    tailsieve,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Keeps everything, so that own spans that come back are kept and delivered.
const POLICIES: &str = "
decision_wait: 2s
decision_wait_after_root_received: 1s
policies:
  - {name: everything, type: always_sample}
";

/// The Collector, a topic, a backend, and the files of members.
struct World {
    kafka: Kafka,
    topic: Topic,
    scratch: Scratch,
    collector: Process,
    http: String,
    grpc: String,
    runtime: Runtime,
    backend: SocketAddr,
    receiver: Option<Receiver>,
}

impl World {
    fn start(test: &str) -> Self {
        let (scratch, kafka) = (Scratch::new(test), Kafka::from_env());
        let topic = kafka.topic(test, 4, &[]);
        scratch.write("policies.yaml", POLICIES);
        let (http, grpc) = (free_address(), free_address());
        let collector = collector(&scratch, (&http, &grpc), &kafka, &topic);
        let runtime = Runtime::new().unwrap();
        let backend = "127.0.0.1:0".parse().unwrap();
        let mut world =
            Self { kafka, topic, scratch, collector, http, grpc, runtime, backend, receiver: None };
        world.bring_backend();
        world
    }

    fn bring_backend(&mut self) {
        let receiver = Receiver::start(self.backend, Box::new(|_| {}));
        let receiver = self.runtime.block_on(receiver).unwrap();
        self.backend = receiver.local_addr();
        self.receiver = Some(receiver);
    }

    fn member(&self, name: &str) -> Member {
        let (topic, brokers, backend) = (self.topic.name(), self.kafka.address(), self.backend);
        let config = format!(
            "kafka: {{brokers: {brokers}, topic: {topic}, group_id: {topic}, idle_grace: 1s}}
export: {{endpoint: {backend}, retry_on_failure: {{initial_interval: 100ms, max_interval: 500ms}}}}
admin: {{listen: $ADMIN}}
policies: policies.yaml
policies_poll_interval: 200ms
"
        );
        let http = format!("http://{}", self.http);
        let grpc = format!("http://{}", self.grpc);
        let attributes = format!("service.instance.id={name},deployment.environment.name=a%20test");
        let own = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*http),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-token=hunter2"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", &*grpc),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc"),
            ("OTEL_RESOURCE_ATTRIBUTES", &*attributes),
            ("OTEL_METRIC_EXPORT_INTERVAL", "500"),
            ("OTEL_BSP_SCHEDULE_DELAY", "200"),
            ("OTEL_BLRP_SCHEDULE_DELAY", "soon"),
        ];
        let own = own.map(|(variable, value)| (variable, OsStr::new(value)));
        let mut member = Member::start_with(self.scratch.path(), name, &config, &own);
        member.wait_ready();
        member
    }

    /// Writes traces of one span, with these ids.
    fn write_traces(&self, ids: impl Iterator<Item = u8>) {
        let producer: BaseProducer = self.kafka.client().create().unwrap();
        for id in ids {
            let span = Span {
                trace_id: vec![id; 16],
                span_id: vec![id; 8],
                name: "step".to_owned(),
                ..Span::default()
            };
            let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
            let spans = ResourceSpans { scope_spans, ..ResourceSpans::default() };
            let value = TracesData { resource_spans: vec![spans] }.encode_to_vec();
            let key = [id; 16];
            let record = BaseRecord::to(self.topic.name()).key(&key).payload(&value);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    /// The documents of a signal that the Collector has written so far; the last line may not be whole.
    fn documents(&self, signal: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.scratch.path().join(format!("{signal}.json")));
        let text = text.unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Those of one process: what is below `resource` and `scope` in the documents, with its resource.
    fn items(&self, signal: &str, keys: [&str; 3], instance: &str) -> Vec<Value> {
        let [resources, scopes, items] = keys;
        let mut all = Vec::new();
        for document in self.documents(signal) {
            for resource in array(&document[resources]) {
                let attributes = attributes(&resource["resource"]);
                if attributes["service.instance.id"] != instance {
                    continue;
                }
                assert_eq!(attributes["service.name"], "tailsieve");
                assert_eq!(attributes["service.version"], env!("CARGO_PKG_VERSION"));
                assert_eq!(attributes["deployment.environment.name"], "a test");
                let scopes = array(&resource[scopes]).iter();
                all.extend(scopes.flat_map(|scope| array(&scope[items]).to_vec()));
            }
        }
        all
    }

    fn spans(&self, instance: &str) -> Vec<Value> {
        self.items("traces", ["resourceSpans", "scopeSpans", "spans"], instance)
    }

    fn logs(&self, instance: &str) -> Vec<Value> {
        self.items("logs", ["resourceLogs", "scopeLogs", "logRecords"], instance)
    }

    fn metrics(&self, instance: &str) -> Vec<Value> {
        self.items("metrics", ["resourceMetrics", "scopeMetrics", "metrics"], instance)
    }

    /// How many requests with metrics a process has sent.
    fn exports(&self, instance: &str) -> usize {
        let metrics = self.metrics(instance);
        metrics.iter().filter(|metric| metric["name"] == "tailsieve_received_spans_total").count()
    }

    /// Waits until a process has sent its metrics so many times more.
    fn wait_for_exports(&self, instance: &str, more: usize) {
        let before = self.exports(instance);
        eventually("more metrics to be sent", PATIENCE, || {
            (self.exports(instance) >= before + more).then_some(())
        });
    }

    /// Waits for a span of a process, and returns it.
    fn span(&self, instance: &str, name: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("a span {name} of {instance}"), PATIENCE, || {
            self.spans(instance).into_iter().find(|span| span["name"] == name && is_it(span))
        })
    }
}

fn collector(scratch: &Scratch, addresses: (&str, &str), kafka: &Kafka, topic: &Topic) -> Process {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/own-telemetry.yaml");
    let mut command = Command::new(collector_tool("otelcol"));
    command
        .args(["--config", config])
        .env("HTTP", addresses.0)
        .env("GRPC", addresses.1)
        .env("FOLDER", scratch.path())
        .env("KAFKA", kafka.address())
        .env("TOPIC", topic.name());
    let mut collector = Process::spawn(command, scratch.path(), "collector");
    collector.wait_for_line("Everything is ready");
    collector
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Attributes as texts.
fn attributes(of: &Value) -> BTreeMap<String, String> {
    let attribute = |attribute: &Value| {
        let value = attribute["value"].as_object().unwrap().values().next().unwrap();
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (attribute["key"].as_str().unwrap().to_owned(), text)
    };
    array(&of["attributes"]).iter().map(attribute).collect()
}

/// A number as JSON of OTLP has it: integers of 64 bits are texts.
fn number(value: &Value) -> f64 {
    value.as_str().map_or_else(|| value.as_f64().unwrap_or(0.0), |text| text.parse().unwrap())
}

/// A series as a scrape writes it, with one more label if there is one.
fn series(name: &str, point: &Value, more: Option<(&str, &str)>) -> String {
    // In the order in which they are sent, which is that of the scrape.
    let sent = array(&point["attributes"]).iter();
    let sent =
        sent.map(|it| format!("{}={}", it["key"].as_str().unwrap(), it["value"]["stringValue"]));
    let more = more.map(|(label, value)| format!("{label}=\"{value}\""));
    let labels: Vec<String> = sent.chain(more).collect();
    if labels.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", labels.join(",")) }
}

/// All series of one metric, as a scrape would have them, after a check of its form.
fn as_scraped(metric: &Value) -> BTreeMap<String, f64> {
    let name = metric["name"].as_str().unwrap();
    let family = GROUPS.iter().flat_map(|group| group.families).find(|family| family.name == name);
    let family = family.unwrap_or_else(|| panic!("{name} is not in the table"));
    assert_eq!(metric["description"], family.help);
    let form = match family.kind {
        Kind::Counter => "sum",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let data = &metric[form];
    if family.kind != Kind::Gauge {
        assert_eq!(data["aggregationTemporality"], 2, "{name} is cumulative");
    }
    if family.kind == Kind::Counter {
        assert_eq!(data["isMonotonic"], true, "{name}");
    }
    let mut found = BTreeMap::new();
    for point in array(&data["dataPoints"]) {
        let times = ["startTimeUnixNano", "timeUnixNano"].map(|key| number(&point[key]));
        assert!(family.kind == Kind::Gauge || times[0] > 1e18 && times[0] <= times[1], "{name}");
        if family.kind != Kind::Histogram {
            let key = if point["asInt"].is_null() { "asDouble" } else { "asInt" };
            found.insert(series(name, point, None), number(&point[key]));
            continue;
        }
        found.insert(series(&format!("{name}_sum"), point, None), number(&point["sum"]));
        found.insert(series(&format!("{name}_count"), point, None), number(&point["count"]));
        let bounds = array(&point["explicitBounds"]).iter().map(|bound| number(bound).to_string());
        let mut below = 0.0;
        for (count, bound) in
            array(&point["bucketCounts"]).iter().zip(bounds.chain(["+Inf".to_owned()]))
        {
            below += number(count);
            found.insert(series(&format!("{name}_bucket"), point, Some(("le", &bound))), below);
        }
    }
    found
}

/// What differs between a scrape before and one after an export, and that export: of series that did not
/// change between the scrapes.
fn differences(before: &Scrape, after: &Scrape, export: &[Value]) -> (usize, Vec<String>) {
    let sent: BTreeMap<String, f64> = export.iter().flat_map(as_scraped).collect();
    let (mut same, mut wrong) = (0, Vec::new());
    for (series, value) in before.starting("") {
        // What is asked of the system differs each time: a scrape has a connection of its own.
        if after.get(series) != Some(value) || series.starts_with("process_") {
            continue;
        }
        match sent.get(series) {
            Some(found) if *found == value => same += 1,
            found => {
                wrong.push(format!("{series} is {value} in the scrape, and {found:?} was sent"))
            }
        }
    }
    (same, wrong)
}

/// Scenario: two members in turn, a reload that works and one that does not, an outage of the backend, a
/// stop; the Collector publishes their spans to their topic.
/// Guarantees: all three signals arrive, with their resource and as documented; metrics are those of
/// `/metrics`; log records are tied to their spans; and when nothing happens, nothing is told, although
/// own spans have come back as traces.
#[test]
#[ignore = "needs Kafka and the Collector: run ./tests/run interop"]
fn interop_own_telemetry_arrives_and_does_not_feed_itself() {
    let mut world = World::start("own-telemetry");
    let mut first = world.member("first");
    let second = world.member("second");
    world.span("first", "kafka.rebalance", |span| attributes(span)["kind"] == "revoked");

    world.scratch.write("policies.yaml", &POLICIES.replace("everything", "all"));
    world.span("first", "policies.reload", |span| attributes(span)["result"] == "success");
    world.scratch.write("policies.yaml", "policies: [{name: broken}]\n");
    world.span("first", "policies.reload", |span| attributes(span)["result"] == "failure");
    world.scratch.write("policies.yaml", &POLICIES.replace("everything", "all"));

    world.receiver = None;
    first.wait_for_metrics("the backend to be down", |scrape| {
        scrape.sum("tailsieve_export_up") == 0.0
    });
    first.process.wait_for_line("export.backend_down");
    world.bring_backend();
    world.span("first", "export.outage", |_| true);

    // Own spans came back, and were kept as any others.
    first.wait_for_metrics("own spans to be kept", |scrape| {
        scrape.sum("tailsieve_kept_spans_total") > 0.0 && scrape.sum("tailsieve_open_spans") == 0.0
    });
    check_metrics(&world, &first);
    check_spans(&world.spans("first"));
    check_logs(&world, &first);

    let told =
        || (world.spans("first").len(), world.logs("first").len(), world.spans("second").len());
    world.wait_for_exports("first", 2);
    let quiet = told();
    world.wait_for_exports("first", 8);
    assert_eq!(told(), quiet, "what comes back makes nothing new");

    check_doctor(&world);
    drop(second);
    assert!(first.process.terminate().success());
    world.span("first", "member.stop", |span| attributes(span)["signal"] == "SIGTERM");
    let last = world.logs("first").into_iter().filter(|log| log["eventName"] == "member.stopped");
    assert_eq!(last.count(), 1, "the last words are sent too");
    let log = first.process.log();
    assert!(!log.contains("hunter2"), "headers are secret");
    assert!(log.contains("OTEL_BLRP_SCHEDULE_DELAY=soon is ignored"), "{log}");
}

/// The real receiver accepts what `doctor` asks it with.
fn check_doctor(world: &World) {
    let (http, grpc) = (format!("http://{}", world.http), format!("http://{}", world.grpc));
    let mut doctor = tailsieve();
    doctor
        .args(["doctor", "--config", "first.yaml"])
        .current_dir(world.scratch.path())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &http)
        .env("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", &grpc)
        .env("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc");
    let output = String::from_utf8(doctor.output().unwrap().stdout).unwrap();
    for (signal, endpoint) in [("traces", &http), ("metrics", &http), ("logs", &grpc)] {
        let line = format!("{signal} to {endpoint} is accepted");
        assert!(output.contains(&line), "{line}: {output}");
    }
}

fn check_metrics(world: &World, member: &Member) {
    // A gauge may have gone away from its value and come back between two scrapes; not each time.
    eventually("the same values in /metrics and over OTLP", PATIENCE, || {
        let before = member.scrape();
        // The second of two was made after that scrape.
        world.wait_for_exports("first", 2);
        let metrics = world.metrics("first");
        let is_first = |metric: &Value| metric["name"] == metrics[0]["name"];
        let last = &metrics[metrics.iter().rposition(is_first).unwrap()..];
        let after = member.scrape();
        let (same, wrong) = differences(&before, &after, last);
        assert!(same > 200, "{same} series are the same; not so: {wrong:?}");
        let names = last.iter().map(|metric| metric["name"].as_str().unwrap());
        assert_eq!(names.collect::<BTreeSet<_>>(), after.names());
        wrong.iter().for_each(|wrong| eprintln!("{wrong}"));
        wrong.is_empty().then_some(())
    });
}

fn check_spans(spans: &[Value]) {
    let names: BTreeSet<&str> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
    let expected = [
        "export.outage",
        "kafka.rebalance",
        "member.start",
        "partition.takeover",
        "policies.reload",
    ];
    assert_eq!(names, BTreeSet::from(expected));
    let by_id: BTreeMap<&str, &Value> =
        spans.iter().map(|span| (span["spanId"].as_str().unwrap(), span)).collect();
    for span in spans {
        assert!(number(&span["endTimeUnixNano"]) >= number(&span["startTimeUnixNano"]), "{span}");
        let is_failed = span["status"]["code"] == 2;
        let attributes = attributes(span);
        let fails = span["name"] == "export.outage"
            || attributes.get("result").is_some_and(|result| result == "failure");
        assert_eq!(is_failed, fails, "{span}");
        if span["name"] == "partition.takeover" {
            let rebalance = by_id[span["parentSpanId"].as_str().unwrap()];
            assert_eq!(
                (&rebalance["name"], &rebalance["traceId"]),
                (&"kafka.rebalance".into(), &span["traceId"])
            );
        }
    }
}

fn check_logs(world: &World, member: &Member) {
    let spans = world.spans("first");
    for (event, span) in [
        ("policies.reloaded", "policies.reload"),
        ("policies.reload_failed", "policies.reload"),
        ("export.backend_down", "export.outage"),
        ("kafka.assigned", "kafka.rebalance"),
        ("partition.recovered", "partition.takeover"),
        ("member.ready", "member.start"),
    ] {
        let log = eventually(&format!("the event {event}"), PATIENCE, || {
            world.logs("first").into_iter().find(|log| log["eventName"] == event)
        });
        let its = spans.iter().find(|span| span["spanId"] == log["spanId"]);
        let its = its.unwrap_or_else(|| panic!("{event} is in no span that was sent"));
        assert_eq!((&its["name"], &its["traceId"]), (&span.into(), &log["traceId"]), "{event}");
        let id = log["traceId"].as_str().unwrap();
        let line = member.process.log();
        let line = line.lines().find(|line| line.contains(event)).unwrap().to_owned();
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["trace_id"], id, "the line on standard error says it too");
        assert_eq!(log["severityText"], line["level"]);
    }
}

/// Scenario: the Collector stands still in the middle of the work, then it is gone.
/// Guarantees: the member goes on as if nothing were, tells of it once a signal, and ends in time.
#[test]
#[ignore = "needs Kafka and the Collector: run ./tests/run interop"]
fn interop_a_collector_that_is_away_holds_nothing_up() {
    let mut world = World::start("own-telemetry-away");
    let mut member = world.member("only");
    world.wait_for_exports("only", 1);
    world.collector.signal("STOP");
    world.write_traces(1..=20);
    member.wait_for_metrics("traces to be delivered meanwhile", |scrape| {
        scrape.sum("tailsieve_export_spans_total") >= 20.0
    });
    world.collector.kill();
    world.write_traces(21..=40);
    let scrape = member.wait_for_metrics("traces to be delivered without it", |scrape| {
        let lost = scrape.starting("tailsieve_otel_items_total");
        let lost = lost.iter().filter(|(series, _)| series.contains("failed"));
        scrape.sum("tailsieve_export_spans_total") >= 40.0
            && lost.map(|(_, count)| count).sum::<f64>() > 0.0
    });
    assert_eq!(scrape.sum("tailsieve_stalled_workers"), 0.0);
    assert!(member.process.terminate().success(), "it ends well, and in time");
    let log = member.process.log();
    let told = log.lines().filter(|line| line.contains("otel.export_failed")).count();
    assert!((1..=3).contains(&told), "once for each signal at most: {told}");
}
