//! What was kept tells how much there was: counts adjusted by `ot=th` against the known truth, and
//! the Collector's `spanmetrics` connector against them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use serde_json::Value;

use crate::otlp_json::Traces;
use crate::pipeline::{collector, member, topic};
use crate::support::{
    Kafka, Member, Process, Scratch, Topic, check_accounts, eventually, free_address,
};
use crate::traffic::{RANGE, Traffic};

/// How long the last spans and metrics may take, on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Kafka -> tailsieve -> a Collector that counts. What is declared first is dropped first.
struct Measured {
    member: Member,
    backend: Process,
    spans: PathBuf,
    calls: PathBuf,
    _topic: Topic,
    _scratch: Scratch,
}

impl Measured {
    /// Starts everything, with the traffic on the topic.
    fn start(traffic: &Traffic) -> Self {
        let scratch = Scratch::new("truth");
        let kafka = Kafka::from_env();
        let topic = topic(&kafka, "truth");
        publish(&kafka, &topic, traffic);
        let (endpoint, spans) = (free_address(), scratch.join("kept.json"));
        let calls = scratch.join("calls.json");
        let environment = [
            ("OTLP", endpoint.as_str()),
            ("FILE", spans.to_str().unwrap()),
            ("CALLS", calls.to_str().unwrap()),
        ];
        let backend = collector(&scratch, "measure", &environment);
        scratch.write("policies.yaml", include_str!("truth.yaml"));
        let export = format!("export: {{endpoint: {endpoint}}}\n");
        let member = member(&scratch, &kafka, &topic, &export);
        Self { member, backend, spans, calls, _topic: topic, _scratch: scratch }
    }

    /// Waits until every trace is decided and what was kept has been counted; returns the calls
    /// by service that the connector counted, and what arrived.
    fn settle(&mut self, traffic: &Traffic) -> (BTreeMap<String, f64>, Traces) {
        let traces = traffic.records.len() as f64;
        let scrape = self.member.wait_for_metrics("every trace to be decided", |scrape| {
            let is_open = scrape.get("tailsieve_open_spans") != Some(0.0);
            !is_open && scrape.sum("tailsieve_received_traces_total") >= traces
        });
        check_accounts(&scrape).unwrap();
        let kept = scrape.sum("tailsieve_kept_spans_total") as usize;
        eventually("the kept spans to arrive", PATIENCE, || {
            (occurrences(&self.spans, "\"spanId\"") >= kept).then_some(())
        });
        let calls = self.calls_now();
        assert!(self.member.process.terminate().success(), "tailsieve ends well");
        assert!(self.backend.terminate().success(), "the Collector ends well");
        (calls, Traces::parse(&fs::read_to_string(&self.spans).unwrap()))
    }

    /// What the connector counted of all that has arrived: it tells its sums from time to time, and
    /// the ones after the next hold everything.
    fn calls_now(&self) -> BTreeMap<String, f64> {
        let told = occurrences(&self.calls, "\n");
        eventually("the connector to tell its sums", PATIENCE, || {
            (occurrences(&self.calls, "\n") >= told + 2).then_some(())
        });
        let text = fs::read_to_string(&self.calls).unwrap();
        let (whole, _) = text.rsplit_once('\n').unwrap();
        calls_of(&serde_json::from_str(whole.lines().last().unwrap()).unwrap())
    }
}

fn publish(kafka: &Kafka, topic: &Topic, traffic: &Traffic) {
    let producer: ThreadedProducer<_> =
        kafka.client().set("queue.buffering.max.messages", "1000000").create().unwrap();
    for (id, record) in &traffic.records {
        producer.send(BaseRecord::to(topic.name()).key(id).payload(record)).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

fn occurrences(file: &Path, text: &str) -> usize {
    fs::read_to_string(file).unwrap_or_default().matches(text).count()
}

/// By service: the sum of the connector's metric of calls.
fn calls_of(metrics: &Value) -> BTreeMap<String, f64> {
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let resources = list(metrics, "resourceMetrics").into_iter();
    let scopes = resources.flat_map(|resource| list(&resource, "scopeMetrics"));
    let metrics = scopes.flat_map(|scope| list(&scope, "metrics"));
    let calls = metrics.filter(|metric| metric["name"].as_str().unwrap().ends_with("calls"));
    let mut by_service = BTreeMap::new();
    for point in calls.flat_map(|metric| list(&metric["sum"], "dataPoints")) {
        let attributes = list(&point, "attributes");
        let service = attributes.iter().find(|attribute| attribute["key"] == "service.name");
        let service = service.unwrap()["value"]["stringValue"].as_str().unwrap().to_owned();
        let calls: f64 = point["asInt"].as_str().unwrap().parse().unwrap();
        *by_service.entry(service).or_insert(0.0) += calls;
    }
    by_service
}

/// By service: its kept spans, and how many those stand for.
fn adjusted(kept: Traces) -> BTreeMap<String, (u64, f64)> {
    let mut by_service: BTreeMap<String, (u64, f64)> = BTreeMap::new();
    for mut span in kept.by_id.into_values().flat_map(|trace| trace.spans) {
        let service = span.service().to_owned();
        let threshold = span.take_additions().threshold.unwrap_or_default();
        let threshold = u64::from_str_radix(&format!("{threshold:0<14}"), 16).unwrap();
        let (spans, sum) = by_service.entry(service).or_default();
        *spans += 1;
        *sum += RANGE / (RANGE - threshold as f64);
    }
    by_service
}

#[test]
#[ignore = "needs Kafka and the Collector: run ./tests/run interop"]
fn interop_adjusted_counts_tell_the_truth() {
    let traffic = Traffic::generate();
    let mut measured = Measured::start(&traffic);
    let (calls, kept) = measured.settle(&traffic);
    let adjusted = adjusted(kept);
    assert_eq!(adjusted.len(), traffic.truth.len(), "spans of every service are kept");
    for (service, truth) in &traffic.truth {
        let (kept, estimate) = adjusted[service];
        let standard_error = truth.variance.sqrt();
        let off = (estimate - truth.spans as f64) / standard_error;
        let calls = calls[service];
        println!(
            "{service}: {} spans, {kept} kept, they stand for {estimate:.0} ({off:+.2} standard errors), spanmetrics {calls}",
            truth.spans
        );
        assert!(off.abs() < 3.0, "{service}: {off} standard errors");
        assert!(kept * 2 < truth.spans, "{service}: most spans are not kept");
        // It rounds each span's count to a whole number, up or down by chance.
        let rounding = (kept as f64).sqrt() / 2.0;
        assert!((calls - estimate).abs() <= 5.0 * rounding, "{service}: {calls} calls");
    }
}
