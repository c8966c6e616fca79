//! Being asked to stop: in the middle of deliveries, twice, and before there was anything to stop.

use std::fs;
use std::time::Duration;

use tailsieve::testing::cmd::process::EXIT_FORCED;
use tailsieve::testing::testbed::ledger::Verdict;
use tailsieve::testing::testbed::receiver::Behaviour;

use crate::rig::{POLICIES, Rig, Writing, traffic};
use crate::support::{Member, Process, Scratch, eventually, free_address, http_get, tailsieve};

/// How long a step may take on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the member says that it is not ready because it stops.
fn wait_stopping(member: &Member) {
    eventually("/readyz to say that it stops", PATIENCE, || {
        http_get(member.admin(), "/readyz")
            .filter(|(status, text)| *status == 503 && text.contains("shutting down"))
    });
}

/// Waits until requests have begun that nobody has answered.
fn wait_for_delivery(rig: &Rig, member: &mut Member) {
    let before = rig.receiver.as_ref().unwrap().requests();
    let in_flight = "tailsieve_export_in_flight_requests";
    member.wait_for_metrics("a delivery under way", |scrape| scrape.sum(in_flight) > 0.0);
    eventually("a request to arrive", PATIENCE, || {
        (rig.receiver.as_ref().unwrap().requests() > before).then_some(())
    });
}

/// Traffic for a member whose backend takes `delay` for each request, up to where a delivery is under
/// way and the member is asked to stop.
fn stop_in_mid_delivery(rig: &Rig, seed: u64, delay: Duration) -> (Member, Writing) {
    let mut member = rig.member("first");
    let writing = rig.write(traffic(seed), true);
    rig.receiver.as_ref().unwrap().behave(Behaviour::Delay(delay));
    wait_for_delivery(rig, &mut member);
    member.process.signal("TERM");
    wait_stopping(&member);
    (member, writing)
}

/// Another member comes after the one that ended, with a backend that takes everything: nothing is
/// lost. Returns what the backend got.
fn second_takes_over(rig: &Rig, writing: Writing) -> Verdict {
    rig.receiver.as_ref().unwrap().behave(Behaviour::Accept);
    let _second = rig.member("second");
    let ledger = writing.finish();
    rig.settle();
    let verdict = rig.verdict(&ledger);
    assert!(verdict.is_balanced(), "{verdict}");
    verdict
}

/// Scenario: SIGTERM while a backend takes two seconds for each request.
/// Guarantees: it is not ready from then on, ends by itself with 0, and what was under way is
/// neither lost nor delivered again by who comes after it.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn who_is_asked_to_stop_hands_over_what_a_slow_backend_has_in_hand() {
    let rig = Rig::new("stop-slow", POLICIES).with("shutdown_timeout: 60s\n");
    let (mut member, writing) = stop_in_mid_delivery(&rig, 71, Duration::from_secs(2));
    let status = member.process.wait();
    assert_eq!(status.code(), Some(0), "{}", member.process.log());
    assert!(member.process.log().contains("member.stopped"));
    let verdict = second_takes_over(&rig, writing);
    assert_eq!(verdict.duplicates, 0, "{verdict}");
}

/// Scenario: SIGTERM while a backend takes longer for a request than a lease runs.
/// Guarantees: it stays a member until it has handed over; nothing is lost or delivered again.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn who_hands_over_for_longer_than_its_lease_stays_a_member() {
    let rig = Rig::new("stop-lease", POLICIES).with("shutdown_timeout: 60s\n");
    let rig = rig.with_export("timeout: 60s");
    let (mut member, writing) = stop_in_mid_delivery(&rig, 74, Duration::from_secs(8));
    let status = member.process.wait();
    assert_eq!(status.code(), Some(0), "{}", member.process.log());
    assert!(!member.process.log().contains("revoke."), "{}", member.process.log());
    let verdict = second_takes_over(&rig, writing);
    assert_eq!(verdict.duplicates, 0, "{verdict}");
}

/// Scenario: a second SIGTERM while a backend answers nothing.
/// Guarantees: it ends at once, with a code of its own; the next owner delivers everything.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn a_second_signal_ends_it_at_once_and_loses_nothing() {
    let rig = Rig::new("stop-twice", POLICIES).with("shutdown_timeout: 600s\n");
    let (mut member, writing) = stop_in_mid_delivery(&rig, 72, Duration::from_secs(600));
    assert!(member.process.is_running(), "the deliveries under way are waited for");
    member.process.signal("TERM");
    let status = member.process.wait();
    assert_eq!(status.code(), Some(EXIT_FORCED.into()), "{}", member.process.log());
    assert!(member.process.log().contains("member.ended_by_force"));
    second_takes_over(&rig, writing);
}

/// Scenario: SIGTERM while a cluster is asked that is not there.
/// Guarantees: it ends by itself, with 0, and did not take part in anything.
#[test]
fn who_waits_for_a_cluster_ends_when_asked_to() {
    let scratch = Scratch::new("stop-early");
    scratch.write("policies.yaml", POLICIES);
    let config = format!(
        "kafka: {{brokers: {}, topic: none, group_id: none}}
export: {{endpoint: {}}}
admin: {{listen: $ADMIN}}
policies: policies.yaml
",
        free_address(),
        free_address()
    );
    let file = scratch.path().join("early.yaml");
    fs::write(&file, config.replace("$ADMIN", &free_address())).unwrap();
    for arguments in [&["run"][..], &["rekey", "--from", "unkeyed"]] {
        let mut command = tailsieve();
        command.arg("--log-format=json").args(arguments).arg("--config").arg(&file);
        let mut process = Process::spawn(command, scratch.path(), arguments[0]);
        process.wait_for_line("topics.checking");
        let status = process.terminate();
        assert_eq!(status.code(), Some(0), "{}", process.log());
        assert!(!process.log().contains(".starting"));
    }
}
