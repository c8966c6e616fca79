//! Where reading starts, and starting while Kafka or the backend is away.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use tailsieve::testing::kafka::source;
use tailsieve::testing::testbed::generator::ModelSettings;

use crate::rig::{POLICIES, Rig, checked_scrape};
use crate::support::{Member, free_address, http_get};

fn some(seed: u64) -> ModelSettings {
    ModelSettings {
        seed,
        start: source::now(),
        rate: 20_000.0,
        max_spans: Some(5_000),
        ..ModelSettings::default()
    }
}

fn received(member: &Member) -> f64 {
    member.scrape().sum("tailsieve_received_spans_total")
}

/// Scenario: retention overran a group that was away.
/// Guarantees: the lost range is logged and counted, and reading goes on at the log start.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn a_committed_offset_out_of_range_is_told_and_reading_goes_on() {
    let rig = Rig::new("out-of-range", POLICIES);
    let before = rig.write(some(1), true).finish();
    let mut member = rig.member("before");
    rig.settle();
    assert!(member.process.terminate().success());
    let committed = rig.topic.end_offsets();
    rig.write(some(2), true).finish();
    let lost_until = rig.topic.end_offsets();
    rig.topic.delete_records(&lost_until);
    let after = rig.write(some(3), true).finish();

    let mut member = rig.member("after");
    let line = member.process.wait_for_line("kafka.records_lost");
    rig.settle();
    let lost: i64 = lost_until.iter().map(|(partition, end)| end - committed[partition]).sum();
    let scrape = checked_scrape(&member);
    assert_eq!(scrape.get("tailsieve_kafka_lost_records_total"), Some(lost as f64), "{line}");
    let mut ledger = before;
    ledger.traces.extend(after.traces);
    let verdict = rig.verdict(&ledger);
    assert!(verdict.is_balanced(), "{verdict}");
}

/// Guarantees: without a committed offset, `latest` starts behind what is there, a time at the
/// first record that is not older, `earliest` at the first one.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn start_from_is_where_a_new_group_starts() {
    let rig = Rig::new("start-from", POLICIES);
    let old = ModelSettings { start: source::now().before(Duration::from_secs(600)), ..some(1) };
    let old = rig.write(old, false).finish();
    let new = rig.write(some(2), true).finish();
    let count = |ledger: &tailsieve::testing::testbed::ledger::Ledger| {
        (ledger.span_count() + ledger.produced_again()) as f64
    };
    let between = std::time::SystemTime::now() - Duration::from_secs(300);
    let between = humantime::format_rfc3339_seconds(between).to_string();
    let starts =
        [("latest", 0.0), ("earliest", count(&old) + count(&new)), (between.as_str(), count(&new))];
    let mut members = Vec::new();
    for (number, (start_from, _)) in starts.iter().enumerate() {
        let config = rig.config().replace(
            &format!("group_id: {}", rig.topic.name()),
            &format!("group_id: {}-{number}\n  start_from: {start_from}", rig.topic.name()),
        );
        let mut member = Member::start(rig.scratch.path(), &format!("start-{number}"), &config);
        member.wait_ready();
        members.push(member);
    }
    for (member, (start_from, expected)) in members.iter_mut().zip(starts) {
        member.wait_for_metrics(&format!("{expected} spans from {start_from}"), |scrape| {
            scrape.sum("tailsieve_received_spans_total") == expected
        });
    }
    // What is written now, every one of them reads.
    let more = rig.write(some(3), true).finish();
    for (member, (start_from, expected)) in members.iter_mut().zip(starts) {
        let expected = expected + count(&more);
        member.wait_for_metrics(&format!("{expected} spans from {start_from}"), |scrape| {
            scrape.sum("tailsieve_received_spans_total") == expected
        });
    }
}

/// Scenario: when the member is started, neither Kafka nor the backend can be reached.
/// Guarantees: it runs, says what is missing, is not ready, and works once both are there.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn kafka_and_the_backend_may_come_later() {
    let mut rig = Rig::new("later", POLICIES);
    let ledger = rig.write(some(1), true).finish();
    let backend = rig.receiver.as_ref().unwrap().local_addr();
    rig.runtime.block_on(rig.receiver.take().unwrap().kill());
    let bootstrap = free_address();
    let config = rig.config().replace(rig.kafka.address(), &bootstrap);
    let mut member = Member::start(rig.scratch.path(), "member", &config);
    let line = member.process.wait_for_line("member.not_ready");
    assert!(line.contains(&bootstrap) && line.contains(&backend.to_string()), "{line}");
    let (status, body) = http_get(member.admin(), "/readyz").unwrap();
    assert_eq!(status, 503);
    assert!(body.contains("kafka") && body.contains("backend"), "{body}");

    open_door(&bootstrap, rig.kafka.address());
    member.wait_for_metrics("spans", |scrape| scrape.sum("tailsieve_received_spans_total") > 0.0);
    let (status, _) = http_get(member.admin(), "/readyz").unwrap();
    assert_eq!(status, 503, "the backend is still away");
    rig.bring_backend(backend);
    member.wait_ready();
    rig.settle();
    let verdict = rig.verdict(&ledger);
    assert!(verdict.is_balanced(), "{verdict}");
    assert!(received(&member) > 0.0);
}

/// Kafka comes to where members look for it. Only the first contact goes through this door; Kafka then names its
/// own address.
pub fn open_door(bootstrap: &str, kafka: &str) {
    let (door, kafka) = (TcpListener::bind(bootstrap).unwrap(), kafka.to_owned());
    thread::spawn(move || {
        for client in door.incoming().map_while(Result::ok) {
            let broker = TcpStream::connect(&kafka).unwrap();
            pump(client.try_clone().unwrap(), broker.try_clone().unwrap());
            pump(broker, client);
        }
    });
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || io::copy(&mut from, &mut to));
}
