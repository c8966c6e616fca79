//! The bound on memory.

use std::cell::Cell;
use std::time::Duration;

use tailsieve::generate::ModelSettings;
use tailsieve::source;

use crate::rig::{KEEP_ALL, Rig, checked_scrape};
use crate::support::{eventually, http_get};

/// What may lie in queues besides open traces: towards the workers and the backend, and what the
/// Kafka client has fetched; each is bounded by the file or by the client's settings.
const QUEUES: f64 = (8 + 8 + 32) as f64 * MIB;
const MIB: f64 = 1024.0 * 1024.0;

/// Scenario: traces stay open for a minute, and far more comes than the bound of 16 MiB.
/// Guarantees: what is accounted for stays near the bound, and so does the process; traces are
/// decided early and counted as such; nothing is lost.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn memory_stays_near_its_bound_and_nothing_is_lost() {
    let rig = Rig::new("memory", KEEP_ALL).with("buffer: {max_bytes: 16MiB, queue_bytes: 8MiB}\n");
    // Written before anything reads, so that it comes as fast as it can be read.
    let settings = ModelSettings {
        start: source::now(),
        rate: 50_000.0,
        max_spans: Some(300_000),
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
        "wire bytes {:.0} MiB; accounted at most {:.1} MiB; resident {:.1} MiB at the start, {:.1} MiB at most",
        scrape.sum("tailsieve_received_bytes_total") / MIB,
        buffer / MIB,
        idle / MIB,
        resident / MIB,
    );
    let early = scrape.get("tailsieve_decision_triggers_total{trigger=\"memory\"}");
    assert!(early.unwrap() > 1000.0, "decided early: {early:?}");
    assert!(buffer < 2.0 * 16.0 * MIB, "accounted: {buffer}");
    assert!(resident < idle + QUEUES + 2.0 * 16.0 * MIB, "resident: {resident}, {idle} at first");
    let verdict = rig.verdict(&ledger);
    println!("{verdict}");
    assert!(verdict.is_balanced());
    assert_eq!(verdict.received_spans, verdict.spans, "everything was to be kept");
}
