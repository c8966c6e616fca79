//! Tests of the traffic model, through its records.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;

use super::*;
use crate::ids::{SpanId, TraceId};
use crate::testbed::ledger::{Ledger, SpanFact};

fn settings() -> ModelSettings {
    ModelSettings {
        max_traces: Some(5000),
        rate: 10_000.0,
        late_fraction: 0.01,
        ..ModelSettings::default()
    }
}

fn ledger_of(records: &[GeneratedRecord]) -> Ledger {
    let mut ledger = Ledger::default();
    for record in records {
        ledger.record(&record.spans);
    }
    ledger
}

/// What the payload itself says of its spans, besides `late`, which no payload says.
fn recount(record: &GeneratedRecord) -> Vec<SpanFact> {
    let data = TracesData::decode(record.payload.as_slice()).unwrap();
    let mut facts = Vec::new();
    for resource_spans in data.resource_spans {
        let resource = resource_spans.resource.unwrap();
        let name = resource.attributes.iter().find(|a| a.key == "service.name");
        let name = format!("{:?}", name.unwrap().value);
        let known = services::SERVICES.iter().map(|service| service.name);
        let service = known.into_iter().find(|s| name.contains(&format!("{s:?}")));
        for span in resource_spans.scope_spans.iter().flat_map(|s| &s.spans) {
            let trace_id = TraceId::from_slice(&span.trace_id).unwrap();
            let rv = span.trace_state.split_once("rv:");
            let rv = rv.map(|(_, rv)| u64::from_str_radix(&rv[..14], 16).unwrap());
            facts.push(SpanFact {
                trace_id,
                span_id: SpanId::from_slice(&span.span_id).unwrap(),
                start_unix_nano: span.start_time_unix_nano,
                end_unix_nano: span.end_time_unix_nano,
                error: span.status.as_ref().unwrap().code == 2,
                root: span.parent_span_id.is_empty(),
                late: false,
                service: service.unwrap(),
                randomness: rv.unwrap_or_else(|| trace_id.randomness()),
            });
        }
    }
    facts
}

#[test]
fn equal_settings_make_equal_records() {
    let records: Vec<_> = Model::new(settings()).collect();
    assert!(records == Model::new(settings()).collect::<Vec<_>>());
    let other = ModelSettings { seed: 2, ..settings() };
    assert!(records != Model::new(other).collect::<Vec<_>>());
}

#[test]
fn facts_are_what_the_payloads_say() {
    for layout in [Layout::Keyed, Layout::Service, Layout::Batched] {
        let settings = ModelSettings { layout, ..settings() };
        for record in Model::new(settings) {
            let mut said = record.spans.clone();
            said.iter_mut().for_each(|fact| fact.late = false);
            assert_eq!(said, recount(&record));
        }
    }
}

#[test]
fn what_fails_late_was_in_order_until_then_and_lasts_as_long() {
    let settings = ModelSettings { late_error_fraction: 0.2, late_fraction: 0.0, ..settings() };
    let ledger = ledger_of(&Model::new(settings.clone()).collect::<Vec<_>>());
    let in_time = ModelSettings { late_error_fraction: 0.0, ..settings };
    let all = ledger.traces.len() as f64;
    let failed = ledger.traces.values().filter(|trace| trace.late_error);
    let failed: Vec<_> = failed.inspect(|trace| assert!(!trace.error)).collect();
    // Not of those that have an error, or no span that could come late.
    let share = failed.len() as f64 / all;
    assert!((0.1..0.2).contains(&share), "{share}");
    assert!(failed.iter().all(|it| it.spans.iter().filter(|span| span.late).count() == 1));
    let other = ledger_of(&Model::new(in_time).collect::<Vec<_>>());
    assert!(other.traces.values().all(|trace| !trace.late_error));
}

#[test]
fn records_come_in_the_order_of_time_and_after_their_spans() {
    for layout in [Layout::Keyed, Layout::Service, Layout::Batched] {
        let mut last = ModelSettings::default().start;
        for record in Model::new(ModelSettings { layout, ..settings() }) {
            assert!(record.at >= last);
            last = record.at;
            for fact in &record.spans {
                assert!(fact.start_unix_nano <= fact.end_unix_nano);
                let after = record.at.0 - (fact.end_unix_nano / 1_000_000) as i64;
                let expected = if fact.late { 30_001..34_000 } else { 0..3_500 };
                assert!(expected.contains(&after), "{after} ms after its end");
            }
        }
    }
}

#[test]
fn the_shape_of_the_traffic_is_the_one_asked_for() {
    let settings = ModelSettings { max_traces: Some(20_000), ..settings() };
    let records: Vec<_> = Model::new(settings).collect();
    let ledger = ledger_of(&records);
    assert_eq!(ledger.traces.len(), 20_000);
    let mut counts: Vec<_> = ledger.traces.values().map(|t| t.spans.len()).collect();
    counts.sort_unstable();
    assert!((5..=7).contains(&counts[10_000]), "median {}", counts[10_000]);
    let p99 = counts[19_800];
    assert!((80..=110).contains(&p99), "99th percentile {p99}");
    let spans = ledger.span_count();
    assert!((11.0..13.0).contains(&(spans as f64 / 20_000.0)));
    let share = |n: usize| n as f64 / 20_000.0;
    let errors = ledger.traces.values().filter(|t| t.error).count();
    assert!((0.015..0.025).contains(&share(errors)));
    let slow = ledger.traces.values().filter(|t| t.duration_ms() > 1000);
    assert!((0.015..0.025).contains(&share(slow.count())));
    let between = ledger.traces.values().map(|t| t.duration_ms());
    assert_eq!(between.filter(|ms| (900..1100).contains(ms)).count(), 0);
    let lost = ledger.traces.values().filter(|t| t.root_missing).count();
    assert!((0.002..0.008).contains(&share(lost)));
    let late = ledger.traces.values().flat_map(|t| &t.spans);
    let late = late.filter(|span| span.late).count() as f64 / spans as f64;
    assert!((0.003..0.01).contains(&late), "late share {late}");
    assert!(ledger.produced_again() > 0);
    let bytes: usize = records.iter().map(|record| record.payload.len()).sum();
    let bytes_a_span = bytes as f64 / (spans + ledger.produced_again()) as f64;
    assert!((450.0..1100.0).contains(&bytes_a_span), "{bytes_a_span} B");
}

#[test]
fn late_spans_change_nothing_that_policies_ask_for() {
    let records: Vec<_> = Model::new(settings()).collect();
    let timely = ledger_of(&records);
    let mut all = records.clone();
    let facts = all.iter_mut().flat_map(|record| &mut record.spans);
    facts.for_each(|fact| fact.late = false);
    let all = ledger_of(&all);
    for (trace_id, trace) in &timely.traces {
        let other = &all.traces[trace_id];
        assert_eq!(trace.error, other.error);
        assert_eq!(trace.start_unix_nano, other.start_unix_nano);
        assert_eq!(trace.end_unix_nano, other.end_unix_nano);
        assert_eq!(trace.root_missing, other.root_missing);
    }
}

#[test]
fn keyed_records_hold_one_trace_resource_and_scope() {
    for record in Model::new(settings()) {
        let trace_id = record.trace_id.unwrap();
        assert_eq!(record.key.unwrap(), trace_id.to_string().into_bytes());
        let data = TracesData::decode(record.payload.as_slice()).unwrap();
        let [resource_spans] = data.resource_spans.as_slice() else {
            panic!("not one resource");
        };
        let [scope_spans] = resource_spans.scope_spans.as_slice() else {
            panic!("not one scope");
        };
        assert!(!scope_spans.spans.is_empty());
        for span in &scope_spans.spans {
            assert_eq!(span.trace_id, trace_id.as_bytes());
        }
    }
}

#[test]
fn records_by_service_hold_what_it_did_for_one_trace() {
    let settings = ModelSettings { layout: Layout::Service, ..settings() };
    let (mut spans, mut records) = (0, 0);
    for record in Model::new(settings) {
        let trace_id = record.trace_id.expect("one trace");
        assert_eq!(record.key, Some(trace_id.to_string().into_bytes()));
        assert!(record.spans.iter().all(|fact| fact.trace_id == trace_id));
        let services: HashSet<_> = record.spans.iter().map(|fact| fact.service).collect();
        assert_eq!(services.len(), 1);
        spans += record.spans.len();
        records += 1;
    }
    assert!(spans > 3 * records, "{spans} spans in {records} records");
}

#[test]
fn batched_records_mix_traces_and_spread_them() {
    let records: Vec<_> = Model::new(ModelSettings {
        layout: Layout::Batched,
        duplicate_fraction: 0.0,
        ..settings()
    })
    .collect();
    let mut records_of: HashMap<TraceId, usize> = HashMap::new();
    let mut mixed = 0;
    for record in &records {
        assert_eq!(record.key, None);
        assert!(record.spans.len() <= 512);
        let traces: HashSet<_> = record.spans.iter().map(|fact| fact.trace_id).collect();
        mixed += usize::from(traces.len() > 1);
        for trace_id in traces {
            *records_of.entry(trace_id).or_default() += 1;
        }
    }
    assert!(mixed * 10 > records.len() * 9);
    let spread = records_of.values().filter(|&&count| count > 1).count();
    assert!(spread * 2 > records_of.len());
}

#[test]
fn traces_are_trees_of_spans_within_their_parents() {
    let mut spans = BTreeMap::new();
    let mut seen = HashSet::new();
    for record in Model::new(ModelSettings { lost_root_fraction: 0.0, ..settings() }) {
        let data = TracesData::decode(record.payload.as_slice()).unwrap();
        let scopes = data.resource_spans.into_iter().flat_map(|r| r.scope_spans);
        for span in scopes.flat_map(|scope| scope.spans) {
            seen.extend([span.flags, 1000 + span.kind as u32]);
            seen.extend(span.events.iter().map(|_| 2000));
            seen.extend(span.links.iter().map(|_| 2001));
            seen.extend((!span.trace_state.is_empty()).then_some(2002));
            spans.insert((span.trace_id.clone(), span.span_id.clone()), span);
        }
    }
    for span in spans.values() {
        if span.parent_span_id.is_empty() {
            continue;
        }
        let parent = &spans[&(span.trace_id.clone(), span.parent_span_id.clone())];
        assert!(parent.start_time_unix_nano <= span.start_time_unix_nano);
        let consumer = span.kind == 5;
        assert!(consumer || span.end_time_unix_nano <= parent.end_time_unix_nano);
    }
    let flags = [0x01, 0x101, 0x301];
    let kinds = [1001, 1002, 1003, 1004, 1005];
    let events_links_and_tracestates = [2000, 2001, 2002];
    for what in flags.iter().chain(&kinds).chain(&events_links_and_tracestates) {
        assert!(seen.contains(what), "nothing with {what:#x}");
    }
}

#[test]
fn limits_end_the_traffic() {
    let limited = |limit: ModelSettings| {
        let records: Vec<_> = Model::new(limit).collect();
        ledger_of(&records)
    };
    let by_spans = limited(ModelSettings { max_spans: Some(3000), ..ModelSettings::default() });
    assert!((3000..5000).contains(&by_spans.span_count()));
    let by_duration = limited(ModelSettings {
        duration: Some(Duration::from_secs(60)),
        ..ModelSettings::default()
    });
    assert!((40_000..80_000).contains(&by_duration.span_count()));
    let largest = limited(ModelSettings { max_trace_spans: 3, ..settings() });
    assert!(largest.traces.values().all(|trace| trace.spans.len() <= 3));
}
