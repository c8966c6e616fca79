//! Members that die, come and go, and a backend that is away: nothing is lost, and what is
//! delivered twice is counted.
//!
//! What a new owner of a partition reads again may have been decided and delivered before: it is
//! delivered twice, and counted here. The traffic has no late spans, since the new owner does not
//! know what was decided, and would judge them by themselves.

use std::time::Duration;

use tailsieve::testing::testbed::ledger::Ledger;
use tailsieve::testing::testbed::receiver::Behaviour;
use tonic::Code;

use crate::rig::{POLICIES, Rig, checked_scrape, traffic};
use crate::support::Member;

/// Waits for the end of everything, checks the accounts of `members`, and that each trace that the
/// policies keep was delivered whole, and no other.
pub fn assert_nothing_lost(test: &str, rig: &Rig, ledger: &Ledger, members: &[&Member]) -> u64 {
    rig.settle();
    for member in members {
        checked_scrape(member);
    }
    assert!(ledger.span_count() >= 200_000, "only {} spans", ledger.span_count());
    let verdict = rig.verdict(ledger);
    println!("--- {test}\n{verdict}");
    assert!(verdict.is_balanced());
    assert!(verdict.expected_traces > 1000, "the test has something to lose");
    verdict.duplicates
}

/// Scenario: two members share the topic; one is killed in mid-stream, and restarted later.
/// Guarantees: what it held is read again; only what was on its way is delivered twice.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn kill_9_of_one_of_two_members_loses_nothing() {
    // A session of 6 s, the least that Kafka allows, so that the group notices soon.
    let rig = Rig::new("kill-9", POLICIES)
        .with_kafka("properties: {session.timeout.ms: 6000, heartbeat.interval.ms: 2000}");
    let first = rig.member("first");
    let mut second = rig.member("second");
    let writing = rig.write(traffic(1), true);
    writing.wait_for(70_000);
    second.process.kill();
    writing.wait_for(130_000);
    let second = rig.member("second-again");
    let ledger = writing.finish();
    assert_nothing_lost("kill -9", &rig, &ledger, &[&first, &second]);
}

/// Scenario: a third member joins in mid-stream, takes partitions over, and leaves by SIGTERM.
/// Guarantees: its partitions are handed over both times without loss.
fn join_and_leave(test: &str, rig: &Rig, seed: u64) {
    let first = rig.member("first");
    let second = rig.member("second");
    let writing = rig.write(traffic(seed), true);
    writing.wait_for(60_000);
    let mut third = rig.member("third");
    third.wait_for_metrics("to receive spans", |scrape| {
        scrape.sum("tailsieve_received_spans_total") > 10_000.0
    });
    checked_scrape(&third);
    assert!(third.process.terminate().success());
    let ledger = writing.finish();
    assert_nothing_lost(test, rig, &ledger, &[&first, &second]);
}

#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn a_third_member_joins_and_leaves() {
    join_and_leave("third member, classic", &Rig::new("join", POLICIES), 2);
}

#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn a_third_member_joins_and_leaves_with_the_consumer_protocol() {
    let rig = Rig::new("join-848", POLICIES).with_kafka("group_protocol: consumer");
    join_and_leave("third member, group.protocol=consumer", &rig, 3);
}

/// Scenario: all members end by SIGTERM in mid-stream, and are started again.
/// Guarantees: they end well, commit what is done, and the rest is read again.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn sigterm_of_all_and_a_restart_lose_nothing() {
    let rig = Rig::new("sigterm", POLICIES);
    let mut members = [rig.member("first"), rig.member("second")];
    let writing = rig.write(traffic(4), true);
    writing.wait_for(90_000);
    for member in &members {
        member.process.signal("TERM");
    }
    for member in &mut members {
        assert!(member.process.wait().success());
    }
    let committed = rig.kafka.committed(rig.topic.name(), &rig.topic);
    assert!(committed.values().any(Option::is_some), "something was committed");
    let members = [rig.member("first-again"), rig.member("second-again")];
    let ledger = writing.finish();
    assert_nothing_lost("SIGTERM", &rig, &ledger, &members.each_ref());
}

/// Scenario: the backend answers UNAVAILABLE for 20 s.
/// Guarantees: what is kept waits, Kafka is held back if need be, and nothing is given up.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn a_backend_that_is_unavailable_for_20_s_loses_nothing() {
    let rig = Rig::new("unavailable", POLICIES).with("buffer: {max_bytes: 256MiB}\n");
    let members = [rig.member("first"), rig.member("second")];
    let writing = rig.write(traffic(5), true);
    writing.wait_for(60_000);
    let receiver = rig.receiver.as_ref().unwrap();
    receiver.behave(Behaviour::Code(Code::Unavailable, None));
    // The length of the outage is what the test is about; there is no event to wait for.
    std::thread::sleep(Duration::from_secs(20));
    let while_away = receiver.taken();
    receiver.behave(Behaviour::Accept);
    let ledger = writing.finish();
    let duplicates = assert_nothing_lost("UNAVAILABLE", &rig, &ledger, &members.each_ref());
    assert!(receiver.taken() > while_away);
    assert_eq!(duplicates, 0, "what was not taken is not delivered twice");
}
