//! Static membership: members that the group does not let in, say so, and come in when they may.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;

use crate::rig::{KEEP_ALL, Rig};
use crate::support::{Member, eventually, http_get};

const PATIENCE: Duration = Duration::from_secs(90);

fn rig(test: &str, protocol: &str) -> Rig {
    Rig::new(test, KEEP_ALL)
        .with_kafka(&format!("group_protocol: {protocol}"))
        .with_kafka("group_instance_id: shop-0")
}

/// A session of 6 s for the group of a test with the protocol `consumer`.
fn shorten_session(rig: &Rig) {
    let admin: AdminClient<DefaultClientContext> = rig.kafka.client().create().unwrap();
    let group = ResourceSpecifier::Group(rig.topic.name());
    let config = AlterConfig::new(group).set("consumer.session.timeout.ms", "6000");
    let altered = rig.runtime.block_on(admin.alter_configs([&config], &AdminOptions::new()));
    assert!(altered.unwrap().iter().all(Result::is_ok));
}

/// Waits until a member is unready for this reason.
fn wait_unready(member: &Member, reason: &str) {
    eventually(&format!("to be unready: {reason}"), PATIENCE, || {
        let (status, body) = http_get(member.admin(), "/readyz?verbose")?;
        (status == 503 && body.contains(reason)).then_some(())
    });
}

fn count(member: &Member, message: &str) -> usize {
    member.process.log().lines().filter(|line| line.contains(message)).count()
}

/// Scenario: by the classic protocol two members have one `group_instance_id`; later the second one is
/// killed.
/// Guarantees: the first one is fenced once, is unready, says why in one line, and leaves the second
/// one alone; once that is gone it is back.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn two_members_with_one_instance_id_do_not_fence_each_other_for_ever() {
    let rig = rig("one-id", "classic");
    let mut first = rig.member("first");
    let mut second = rig.member("second");
    first.process.wait_for_line("kafka.not_let_in");
    wait_unready(&first, "another process has joined");
    second.wait_ready();
    second.process.kill();
    first.process.wait_for_line("kafka.joins_again");
    first.wait_ready();
    assert_eq!(count(&first, "kafka.not_let_in"), 1);
    assert_eq!(count(&second, "kafka.not_let_in"), 0);
}

/// Scenario: by the protocol `consumer` a member with a `group_instance_id` is killed, and started
/// again at once.
/// Guarantees: as long as the group holds its id it is unready, says why in one line, and is let in
/// when that is over.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn a_killed_static_member_says_what_it_waits_for() {
    let rig = rig("taken-id", "consumer");
    shorten_session(&rig);
    rig.member("before").process.kill();
    let mut after = rig.start("after");
    wait_unready(&after, "lets no other in");
    after.wait_ready();
    assert_eq!(count(&after, "kafka.not_let_in"), 1);
    let log = after.process.log();
    let is_loud = |line: &&str| line.contains("WARN") || line.contains("ERROR");
    let loud: Vec<&str> = log.lines().filter(is_loud).collect();
    assert!(loud.len() <= 4, "{}", loud.join("\n"));
}

/// Scenario: by either protocol a member with a `group_instance_id` is stopped by SIGTERM, and
/// started again.
/// Guarantees: the group lets it in at once.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn a_static_member_that_was_stopped_is_let_in_again() {
    for protocol in ["classic", "consumer"] {
        let rig = rig(&format!("stopped-{protocol}"), protocol);
        let mut before = rig.member("before");
        assert!(before.process.terminate().success());
        let after = rig.member("after");
        assert_eq!(count(&after, "kafka.not_let_in"), 0, "{protocol}");
    }
}
