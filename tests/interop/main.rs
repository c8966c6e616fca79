//! Spans of real SDKs through a real Collector and a real Kafka into tailsieve and out to a real
//! OTLP backend: what arrives equals what was sent, field by field.
//!
//! ```text
//! telemetrygen, shop.py -> Collector -> sent.json
//!                              |
//!                            Kafka -> tailsieve -> Collector -> kept.json
//! ```
//!
//! The same with the services of deploy/examples in place of the SDKs, and the Collector of
//! deploy/collector: [`examples`]. And tailsieve's own telemetry at a Collector: [`own_telemetry`].
//!
//! `./tests/run interop` builds the Collector and prepares the rest. All names of tests that need
//! it begin with `interop_`.

// A test that cannot go on ends by a panic, also in helpers that clippy does not take for tests.
#![allow(clippy::unwrap_used)]
// Tests read the clock, and decode what arrived.
#![allow(clippy::disallowed_methods)]

mod examples;
mod otlp_json;
mod own_telemetry;
mod pipeline;
#[path = "../differential/random.rs"]
mod random;
mod secure;
#[path = "../support/mod.rs"]
mod support;
mod traffic;
mod truth;

use std::collections::BTreeSet;
use std::time::Duration;

use otlp_json::Traces;
use pipeline::Pipeline;
use support::{check_accounts, eventually};

/// The 10 % of tests/interop/policies.yaml, as threshold of 56 bits and as written in `ot=th`.
const TENTH: (u64, &str) = (0xe6_6600_0000_0000, "e666");

/// What the policies of tests/interop/policies.yaml make of one trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// Kept by that policy, for certain.
    Certain(&'static str),
    /// Kept by the policy `the-rest`, one in ten.
    Tenth,
    Dropped,
}

fn expected(traces: &Traces, trace: &str) -> Expected {
    let trace = &traces.by_id[trace];
    if trace.has_error() {
        Expected::Certain("errors")
    } else if trace.duration_ms() > 1000 {
        Expected::Certain("slow")
    } else if trace.randomness() >= TENTH.0 {
        Expected::Tenth
    } else {
        Expected::Dropped
    }
}

/// Everything that is wrong with what the backend has of one trace, `kept`, by what was `sent`.
fn differences(id: &str, sent: &Traces, kept: &Traces) -> Vec<String> {
    let expected = expected(sent, id);
    let Some(arrived) = kept.by_id.get(id) else {
        let missing = format!("{id}: missing, {expected:?}");
        return Vec::from_iter((expected != Expected::Dropped).then_some(missing));
    };
    let (policy, sample_rate, threshold) = match expected {
        Expected::Dropped => return vec![format!("{id}: should have been dropped")],
        Expected::Certain(policy) => (policy, None, None),
        Expected::Tenth => ("the-rest", Some("10"), Some(TENTH.1)),
    };
    let mut arrived = arrived.clone();
    let mut wrong = Vec::new();
    for span in &mut arrived.spans {
        let added = span.take_additions();
        let mut check = |what: &str, is: Option<&str>, should: Option<&str>| {
            if is != should {
                wrong.push(format!("{id}: {what} is {is:?}, should be {should:?}"));
            }
        };
        check("attribute tailsieve.policy", added.policy.as_deref(), Some(policy));
        check("attribute SampleRate", added.sample_rate.as_deref(), sample_rate);
        check("ot=th in the tracestate", added.threshold.as_deref(), threshold);
    }
    wrong.extend(
        sent.by_id[id].differences(&arrived).map(|difference| format!("{id}: {difference}")),
    );
    wrong
}

/// Compares `traces` of what was sent with what arrived; panics with the first differences.
fn assert_arrived<'a>(traces: impl Iterator<Item = &'a String>, sent: &Traces, kept: &Traces) {
    let wrong: Vec<String> = traces.flat_map(|id| differences(id, sent, kept)).collect();
    assert!(
        wrong.is_empty(),
        "{} differences:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(10)].join("\n")
    );
}

/// Waits until every trace is decided and what was kept has arrived; returns what each backend has.
fn settle(pipeline: &mut Pipeline, sent: &Traces) -> Vec<Traces> {
    let spans = sent.spans() as f64;
    let scrape = pipeline.member.wait_for_metrics("every trace to be decided", |scrape| {
        let open = scrape.get("tailsieve_open_spans") != Some(0.0);
        !open && scrape.sum("tailsieve_received_spans_total") >= spans
    });
    check_accounts(&scrape).unwrap();
    assert_eq!(scrape.sum("tailsieve_received_spans_total"), spans);
    let late = scrape.get("tailsieve_late_spans_total{decision=\"keep\"}").unwrap_or(0.0);
    let kept = scrape.sum("tailsieve_kept_spans_total") + late;
    eventually("the kept spans to arrive", Duration::from_secs(60), || {
        pipeline.arrived().iter().all(|it| it.spans() as f64 >= kept).then_some(())
    });
    assert!(pipeline.member.process.terminate().success(), "tailsieve ends well");
    let arrived = pipeline.stop_backends();
    for it in &arrived {
        assert_eq!(it.spans() as f64, kept, "duplicates arrived");
    }
    arrived
}

#[test]
#[ignore = "needs Kafka and the Collector: run ./tests/run interop"]
fn interop_kept_traces_arrive_as_they_were_sent() {
    let mut pipeline = Pipeline::start("keyed", true);
    let sent = pipeline.send();
    let arrived = settle(&mut pipeline, &sent).remove(0);
    assert_arrived(sent.by_id.keys(), &sent, &arrived);
    let tenth = |id: &&String| expected(&sent, id) == Expected::Tenth;
    assert!(sent.by_id.keys().any(|id| tenth(&id)), "some traces are kept by chance");
    assert!(arrived.by_id.len() < sent.by_id.len(), "some traces are dropped");
}

/// Two exporters, gRPC with zstd and HTTP with gzip, each over TLS to a receiver that asks for a
/// certificate: both backends have every kept trace, once.
#[test]
#[ignore = "needs Kafka and the Collector: run ./tests/run interop"]
fn interop_secure_backends_each_have_what_was_kept() {
    let mut pipeline = Pipeline::start_secure("secure");
    let sent = pipeline.send();
    let arrived = settle(&mut pipeline, &sent);
    assert_eq!(arrived.len(), 2);
    for it in &arrived {
        assert_arrived(sent.by_id.keys(), &sent, it);
    }
}

#[test]
#[ignore = "needs Kafka and the Collector: run ./tests/run interop"]
fn interop_a_topic_without_keys_is_reported_and_whole_traces_are_right() {
    let mut pipeline = Pipeline::start("unkeyed", false);
    let sent = pipeline.send();
    let whole = pipeline.traces_in_one_partition();
    assert!(!whole.is_empty(), "some traces lie whole in one partition");
    let line = pipeline.member.process.wait_for_line("partition_traces_by_id");
    assert!(line.contains("key"), "the log says that the topic is not keyed: {line}");
    let misrouted = "tailsieve_misrouted_records_total{kind=\"null_key\"}";
    let scrape = pipeline.member.scrape();
    assert!(scrape.get(misrouted) > Some(0.0), "{misrouted} counts");
    let arrived = settle(&mut pipeline, &sent).remove(0);
    assert_arrived(whole.iter(), &sent, &arrived);
    let unknown: BTreeSet<_> =
        arrived.by_id.keys().filter(|id| !sent.by_id.contains_key(*id)).collect();
    assert!(unknown.is_empty(), "nothing arrives that was not sent: {unknown:?}");
}

#[test]
#[ignore = "needs Kafka and the Collector: run ./tests/run interop"]
fn interop_what_a_collector_forwards_is_found_equal() {
    let mut pipeline = pipeline::Forwarded::start();
    let sent = pipeline.send();
    let arrived = pipeline.arrived(sent.spans());
    let differences = |id| sent.by_id[id].differences(&arrived.by_id[id]);
    let wrong: Vec<String> = sent.by_id.keys().flat_map(differences).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// A trace of two spans: one OTLP JSON document as the Collector writes it.
const DOCUMENT: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},
    "scopeSpans":[{"scope":{"name":"lib","version":"1"},"spans":[
    {"traceId":"c7447122fa3b4e3a7ef89a679274d8a4","spanId":"47f6195def3276d7","name":"root","kind":2,
     "startTimeUnixNano":"1000000000","endTimeUnixNano":"1050000000","traceState":"acme=1",
     "attributes":[{"key":"a","value":{"arrayValue":{"values":[{"intValue":"1"}]}}}],"status":{}},
    {"traceId":"c7447122fa3b4e3a7ef89a679274d8a4","spanId":"47f6195def3276d8","parentSpanId":"47f6195def3276d7","name":"child",
     "startTimeUnixNano":"1010000000","endTimeUnixNano":"1020000000",
     "events":[{"timeUnixNano":"1011000000","name":"e"}],"links":[{"traceId":"00","spanId":"01","flags":1}],"status":{}}
    ],"schemaUrl":"https://scope"}],"schemaUrl":"https://resource"}]}"#;

/// What tailsieve should make of [`DOCUMENT`]: its randomness is above the threshold.
fn annotated() -> String {
    let added = r#"{"key":"tailsieve.policy","value":{"stringValue":"the-rest"}},{"key":"SampleRate","value":{"intValue":"10"}}"#;
    DOCUMENT
        .replace("\"traceState\":\"acme=1\"", "\"traceState\":\"ot=th:e666,acme=1\"")
        .replace(r#""1"}]}}}]"#, &format!(r#""1"}}]}}}}}},{added}]"#))
        .replace(
            "\"events\"",
            &format!("\"traceState\":\"ot=th:e666\",\"attributes\":[{added}],\"events\""),
        )
}

fn differences_of(kept: &str) -> Vec<String> {
    let (sent, kept) = (Traces::parse(DOCUMENT), Traces::parse(kept));
    sent.by_id.keys().flat_map(|id| differences(id, &sent, &kept)).collect()
}

#[test]
fn the_comparison_allows_what_tailsieve_adds() {
    assert_eq!(differences_of(&annotated()), Vec::<String>::new());
}

#[test]
fn the_comparison_finds_every_planted_difference() {
    let planted = [
        ("\"stringValue\":\"shop\"", "\"stringValue\":\"chop\""),
        ("\"name\":\"lib\"", "\"name\":\"lab\""),
        ("https://scope", "https://scape"),
        ("https://resource", "https://resourcf"),
        ("\"name\":\"root\"", "\"name\":\"toot\""),
        ("\"kind\":2", "\"kind\":3"),
        ("\"1050000000\"", "\"1050000001\""),
        ("acme=1", "acme=2"),
        ("\"intValue\":\"1\"}", "\"stringValue\":\"1\"}"),
        ("\"parentSpanId\":\"47f6195def3276d7\",", ""),
        ("\"name\":\"e\"", "\"name\":\"f\""),
        ("\"flags\":1", "\"flags\":0"),
        ("\"intValue\":\"10\"", "\"intValue\":\"11\""),
        ("\"stringValue\":\"the-rest\"", "\"stringValue\":\"errors\""),
        ("ot=th:e666,", ""),
        ("ot=th:e666,", "ot=th:e666;rv:00000000000000,"),
        ("47f6195def3276d8", "47f6195def3276d9"),
        ("c7447122fa3b4e3a7ef89a679274d8a4", "d7447122fa3b4e3a7ef89a679274d8a4"),
    ];
    let annotated = annotated();
    for (from, to) in planted {
        let kept = annotated.replacen(from, to, 1);
        assert_ne!(kept, annotated, "{from} is in the document");
        assert!(!differences_of(&kept).is_empty(), "{from} -> {to} is not found");
    }
    assert!(!differences_of("").is_empty(), "a missing trace is not found");
    assert!(
        !differences_of(&format!("{annotated}\n{annotated}")).is_empty(),
        "a duplicate is not found"
    );
    let unsampled = DOCUMENT.replace("7ef89a679274d8a4", "7e009a679274d8a4");
    let (sent, kept) = (Traces::parse(&unsampled), Traces::parse(&unsampled));
    let id = sent.by_id.keys().next().unwrap();
    assert!(!differences(id, &sent, &kept).is_empty(), "a trace to be dropped is not found");
}
