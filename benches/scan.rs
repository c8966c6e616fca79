//! What one pass over a record costs, against `prost` decoding it, per span.
//!
//! `cargo bench --bench scan`

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;
use tailsieve::generate::{Model, ModelSettings};
use tailsieve::otlp::{AttributeKeys, Scan, scan};

fn per_span(criterion: &mut Criterion) {
    let settings = ModelSettings { max_spans: Some(20_000), ..ModelSettings::default() };
    let records: Vec<_> = Model::new(settings).collect();
    let spans: usize = records.iter().map(|record| record.spans.len()).sum();
    let mut group = criterion.benchmark_group("spans");
    group.throughput(Throughput::Elements(spans as u64));
    for (name, keys) in [("scan", vec![]), ("scan, two keys", vec!["http.route", "service.name"])] {
        let keys = AttributeKeys::new(keys.into_iter().map(str::to_owned));
        let mut found = Scan::default();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for record in &records {
                    scan(&record.payload, &keys, &mut found).expect("records are valid");
                    black_box(&found);
                }
            });
        });
    }
    group.bench_function("prost", |bencher| {
        bencher.iter(|| {
            for record in &records {
                black_box(TracesData::decode(&record.payload[..]).expect("records are valid"));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, per_span);
criterion_main!(benches);
