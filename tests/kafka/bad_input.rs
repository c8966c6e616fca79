//! Records that are not what they should be, between good ones.

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tailsieve::generate::ModelSettings;
use tailsieve::source;

use crate::rig::{POLICIES, Rig, checked_scrape};
use crate::support::{Kafka, Topic};

use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use prost::Message;
use std::time::Duration;

fn traces(spans: Vec<Span>) -> Vec<u8> {
    let scope = ScopeSpans { spans, ..ScopeSpans::default() };
    let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
    TracesData { resource_spans: vec![resource] }.encode_to_vec()
}

fn span(trace_id: &[u8], span_id: &[u8]) -> Span {
    Span {
        trace_id: trace_id.to_vec(),
        span_id: span_id.to_vec(),
        name: "poisoned".into(),
        ..Span::default()
    }
}

/// Writes each payload to every partition.
fn write(kafka: &Kafka, topic: &Topic, payloads: &[Option<Vec<u8>>]) {
    let mut config = kafka.client();
    let producer: BaseProducer = config.set("message.max.bytes", "16777216").create().unwrap();
    for partition in 0..topic.partitions() {
        for payload in payloads {
            let mut record = BaseRecord::<[u8], [u8]>::to(topic.name()).partition(partition);
            record.payload = payload.as_deref();
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(Duration::from_secs(60)).unwrap();
    }
}

/// Scenario: garbage, a truncated record, 10 MB of zeros, ids of wrong lengths and a null value
/// stand between good records, in every partition.
/// Guarantees: the good ones come through, each bad one is counted by its reason, the offset
/// moves on.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn poisoned_records_are_counted_and_cost_nothing_else() {
    let rig = Rig::new("poison", POLICIES);
    let mut member = rig.member("member");
    let settings = |seed| ModelSettings {
        seed,
        start: source::now(),
        rate: 20_000.0,
        max_spans: Some(20_000),
        ..ModelSettings::default()
    };
    let mut ledger = rig.write(settings(1), true).finish();
    let good = traces(vec![span(&[1; 16], &[1; 8])]);
    write(
        &rig.kafka,
        &rig.topic,
        &[
            Some(b"\xff\xff\xff\xff this is not protobuf".to_vec()),
            Some(good[..good.len() - 3].to_vec()),
            Some(vec![0; 10 << 20]),
            Some(traces(vec![
                span(&[1; 15], &[1; 8]),
                span(&[], &[1; 8]),
                span(&[0; 16], &[1; 8]),
            ])),
            Some(traces(vec![span(&[1; 16], &[1; 9]), span(&[1; 16], &[0; 8])])),
            None,
        ],
    );
    let after = rig.write(settings(2), true).finish();
    ledger.traces.extend(after.traces);
    rig.settle();

    let verdict = rig.verdict(&ledger);
    println!("{verdict}");
    assert!(verdict.is_balanced());
    let scrape = checked_scrape(&member);
    let partitions = f64::from(rig.topic.partitions());
    let records =
        |reason| scrape.get(&format!("tailsieve_invalid_records_total{{reason=\"{reason}\"}}"));
    let spans =
        |reason| scrape.get(&format!("tailsieve_invalid_spans_total{{reason=\"{reason}\"}}"));
    assert_eq!(records("malformed"), Some(3.0 * partitions));
    assert_eq!(records("null_value"), Some(partitions));
    assert_eq!(spans("trace_id"), Some(3.0 * partitions));
    assert_eq!(spans("span_id"), Some(2.0 * partitions));
    let line = member.process.wait_for_line("record.malformed");
    assert!(line.contains("offset") && line.contains("partition"), "{line}");
}
