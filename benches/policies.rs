//! What busy policy files cost, against the three default policies, in one run: scanning a
//! record and asking its spans, per span; and deciding, per trace.
//!
//! `cargo bench --bench policies`

use std::collections::HashMap;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tailsieve::testing::config;
use tailsieve::testing::ids::{Timestamp, TraceId};
use tailsieve::testing::otlp::{AttributeKeys, Scan, scan};
use tailsieve::testing::sampling::facts::Summary;
use tailsieve::testing::sampling::policy::{self, PolicySet};
use tailsieve::testing::sampling::sampler::{ask_resource, keys_for, summarize};
use tailsieve::testing::testbed::generator::{Model, ModelSettings};

const FILES: [(&str, &str); 3] = [
    ("three policies", include_str!("../config/policies.yaml")),
    ("thirty policies", include_str!("policies.yaml")),
    ("hundred policies", include_str!("hundred-policies.yaml")),
];

fn records() -> Vec<Vec<u8>> {
    let settings = ModelSettings { max_spans: Some(20_000), ..ModelSettings::default() };
    Model::new(settings).map(|record| record.payload.to_vec()).collect()
}

fn compiled(name: &str, text: &str) -> PolicySet {
    let file = config::parse_policies(name, text).expect("the file is right");
    policy::compile(&file.policies).expect("the file is right")
}

/// Scans a record and asks all that it holds, with summaries by trace.
fn take_in(
    record: &[u8],
    keys: &AttributeKeys,
    policies: &PolicySet,
    found: &mut Scan,
    traces: &mut HashMap<TraceId, Summary>,
) {
    scan(record, keys, found).expect("the record is valid");
    let mut asked = None;
    for index in 0..found.spans.len() {
        let span = &found.spans[index];
        let resource = found.scopes[span.scope as usize].resource as usize;
        if asked.as_ref().is_none_or(|(before, _)| *before != resource) {
            let facts = ask_resource(policies.predicates(), record, found, resource);
            asked = Some((resource, facts));
        }
        let (_, facts) = asked.as_ref().expect("it was just asked");
        let summary = traces.entry(span.trace_id).or_insert_with(|| Summary::new(span.trace_id));
        summary.spans += 1;
        summary.bytes += span.framed.len() as u64;
        summarize(policies.predicates(), facts, record, found, index..index + 1, summary);
    }
}

fn per_span(criterion: &mut Criterion) {
    let records = records();
    let mut group = criterion.benchmark_group("scan and ask, per span");
    let mut found = Scan::default();
    let spans: usize = records
        .iter()
        .map(|record| {
            scan(record, &AttributeKeys::default(), &mut found).expect("the record is valid");
            found.spans.len()
        })
        .sum();
    group.throughput(Throughput::Elements(spans as u64));
    for (name, text) in FILES {
        let policies = compiled(name, text);
        let keys = keys_for(policies.predicates());
        let mut traces = HashMap::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                traces.clear();
                for record in &records {
                    take_in(record, &keys, &policies, &mut found, &mut traces);
                }
                black_box(&traces);
            });
        });
    }
    group.finish();
}

fn per_trace(criterion: &mut Criterion) {
    let records = records();
    let mut group = criterion.benchmark_group("decide, per trace");
    for (name, text) in FILES {
        let policies = compiled(name, text);
        let keys = keys_for(policies.predicates());
        let (mut found, mut traces) = (Scan::default(), HashMap::new());
        for record in &records {
            take_in(record, &keys, &policies, &mut found, &mut traces);
        }
        let traces: Vec<Summary> = traces.into_values().collect();
        let mut budgets = policies.budgets(1);
        group.throughput(Throughput::Elements(traces.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for (now, trace) in (0..).zip(&traces) {
                    black_box(policies.decide(trace, Timestamp(now), &mut budgets, &mut ()));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, per_span, per_trace);
criterion_main!(benches);
