//! The bound on memory.

use std::cell::Cell;
use std::time::Duration;

use tailsieve::testing::kafka::source;
use tailsieve::testing::testbed::generator::ModelSettings;

use crate::rig::{KEEP_ALL, Rig, checked_scrape};
use crate::support::{eventually, http_get};

const MIB: f64 = 1024.0 * 1024.0;

/// The bound on open traces.
const BOUND: f64 = 16.0 * MIB;

/// What may be in memory besides open traces: the queues towards the workers and the backend (8 MiB
/// each), requests under way (4 of 1 MiB, as they are, compressed and in HTTP/2 frames), what the
/// Kafka client has fetched ahead (4 MiB, and as much again in a fetch, with some 400 bytes for
/// each record), what is remembered of 50 000 decided traces (9 MiB), and what the allocator keeps
/// for ten seconds before it gives it back. 111 to 115 MiB were measured; 248 MiB come in.
const BESIDES: f64 = 128.0 * MIB;

/// Scenario: traces stay open for 15 s or more, and in that time comes 16 times the bound.
/// Guarantees: what is accounted for stays near the bound, and so does the process; traces are
/// decided early and counted as such; nothing is lost.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn memory_stays_near_its_bound_and_nothing_is_lost() {
    let rig = Rig::new("memory", KEEP_ALL)
        .with("buffer: {max_bytes: 16MiB, queue_bytes: 8MiB}\n")
        .with_kafka(
            "properties: {fetch.message.max.bytes: 131072, queued.max.messages.kbytes: 4096}",
        )
        .with_export("max_request_bytes: 1MiB");
    // Written before anything reads, so that it comes as fast as it can be read.
    let settings = ModelSettings {
        start: source::now(),
        rate: 50_000.0,
        max_spans: Some(600_000),
        ..ModelSettings::default()
    };
    let ledger = rig.write(settings, false).finish();
    let mut member = rig.start("member");
    member.process.wait_for_line("member.starting");
    let idle = eventually("the admin page", Duration::from_secs(60), || {
        http_get(member.admin(), "/livez")?;
        member.scrape().get("process_resident_memory_bytes")
    });
    let most = Cell::new((0.0_f64, 0.0_f64));
    let spans = (ledger.span_count() + ledger.produced_again()) as f64;
    member.wait_for_metrics(&format!("{spans} spans to be read"), |scrape| {
        let buffer = scrape.get("tailsieve_buffer_bytes").unwrap();
        let resident = scrape.get("process_resident_memory_bytes").unwrap();
        let (most_buffer, most_resident) = most.get();
        most.set((most_buffer.max(buffer), most_resident.max(resident)));
        scrape.sum("tailsieve_received_spans_total") >= spans
    });
    let (buffer, resident) = most.get();
    rig.settle();
    let scrape = checked_scrape(&member);
    println!(
        "wire bytes {:.0} MiB; accounted at most {:.1} MiB; {:.1} MiB of remembered decisions; \
         resident {:.1} MiB at the start, {:.1} MiB at most",
        scrape.sum("tailsieve_received_bytes_total") / MIB,
        buffer / MIB,
        scrape.get("tailsieve_decision_cache_bytes").unwrap() / MIB,
        idle / MIB,
        resident / MIB,
    );
    let early = scrape.get("tailsieve_decision_triggers_total{trigger=\"memory\"}");
    assert!(early.unwrap() > 1000.0, "decided early: {early:?}");
    assert!(buffer < 1.5 * BOUND, "accounted: {buffer}");
    assert!(resident < idle + 1.5 * BOUND + BESIDES, "resident: {resident}, {idle} at first");
    let verdict = rig.verdict(&ledger);
    println!("{verdict}");
    assert!(verdict.is_balanced());
    assert_eq!(verdict.received_spans, verdict.spans, "everything was to be kept");
}
