//! ACLs that are withdrawn while a member runs, one after the other, and granted again: those of a member with
//! all that it may have, and that of an exporter that writes to a topic.

use std::fs;
use std::time::{Duration, Instant};

use super::broker::guarded;
use super::needs::{Acl, EXPORT, GROUP, INPUT, LETTERS, LOG, Need, RUN};
use super::{but, world::World};
use crate::support::{Member, Process, eventually, http_get};

pub const PATIENCE: Duration = Duration::from_secs(120);

/// How long an ACL stays away after that is noticed.
const AWAY: Duration = Duration::from_secs(4);

/// Lines that a member may write while it is away.
const FEW_LINES: usize = 60;

/// Processor time that it may take then, of what a thread that spins takes.
const LITTLE: f64 = 0.5;

/// Scenario: while traffic flows, each ACL of two members is withdrawn for some seconds; that to read the
/// decision log when one of them leaves.
/// Guarantees: each is named in the log and by `/readyz` or the metrics, nobody spins, and when all are
/// granted again every span arrives, and every letter.
#[test]
#[ignore = "starts Kafka: run ./tests/run"]
fn acl_withdrawn_and_granted_again_costs_nothing_but_time() {
    withdrawn("classic");
}

#[test]
#[ignore = "starts Kafka: run ./tests/run"]
fn acl_withdrawn_and_granted_again_with_the_consumer_protocol() {
    withdrawn("consumer");
}

fn withdrawn(protocol: &str) {
    let broker = guarded();
    let world = World::new("acl-withdrawn");
    let user = broker.user();
    let needs = but(RUN, &[EXPORT]);
    let acl = |need: &Need| need.on(|option| world.name(option));
    needs.iter().for_each(|need| user.grant(&acl(need)));
    let config = world.config(
        Some(&user),
        &format!("  group_protocol: {protocol}\n"),
        &world.with_letters(),
    );
    let start = |name| {
        let mut member = Member::start(world.rig.scratch.path(), name, &config);
        member.wait_ready();
        member
    };
    let mut first = start("first");
    let mut second = Some(start("second"));
    let mut ledger = world.traffic(1);
    let mut poisoned = 0;
    for (round, need) in needs.iter().enumerate() {
        let acl = acl(need);
        let before = first.process.log().len();
        user.withdraw(&acl);
        ledger.traces.extend(world.traffic(round as u64 + 2).traces);
        if (need.name, need.operation) == (LOG, "Read") {
            // Its partitions come to the first, which has to read their logs back.
            let mut second = second.take().expect("it runs until then");
            assert!(second.process.terminate().success());
        } else if need.name == LETTERS {
            world.poison();
            poisoned += 1;
        }
        is_named(&first.process, before, &acl);
        if need.name == INPUT || need.name == GROUP {
            // A rebalance that was under way may end well.
            is_not_ready(&first);
        }
        is_quiet(&first.process, &acl);
        user.grant(&acl);
        first.wait_ready();
    }
    world.rig.settle();
    world.expect_all(&ledger);
    assert_eq!(world.letters(), poisoned, "every letter is there");
    let denied = first.scrape().sum("tailsieve_kafka_denied_total");
    assert!(denied >= needs.len() as f64 - 1.0, "{denied} are counted");
}

/// Scenario: that to write to the topic of an exporter is withdrawn while traces come that are kept.
/// Guarantees: it is named in the log and by `/readyz`, and counted; nobody spins, and nothing is committed
/// that is not on the topic; when it is granted again every span is there.
#[test]
#[ignore = "starts Kafka: run ./tests/run"]
fn acl_of_an_exporter_withdrawn_and_granted_again_loses_nothing() {
    let broker = guarded();
    let world = World::new("acl-exporter");
    let user = broker.user();
    let acl = |need: &Need| need.on(|option| world.name(option));
    but(RUN, &[LETTERS]).iter().for_each(|need| user.grant(&acl(need)));
    let config = world.config_to_topic(&user, "", "");
    let mut member = Member::start(world.rig.scratch.path(), "member", &config);
    member.wait_ready();
    let mut ledger = world.traffic(1);
    world.rig.settle();

    let before = member.process.log().len();
    let write = RUN.iter().find(|need| need.name == EXPORT).map(acl).unwrap();
    user.withdraw(&write);
    ledger.traces.extend(world.traffic(2).traces);
    is_named(&member.process, before, &write);
    is_not_ready(&member);
    is_quiet(&member.process, &write);
    assert!(!world.rig.is_settled(), "what is not on the topic is not committed");
    assert!(member.scrape().sum("tailsieve_kafka_denied_total") > 0.0, "it is counted");

    user.grant(&write);
    member.wait_ready();
    world.rig.settle();
    world.expect_all_on_topic(&ledger);
}

/// Waits until `/readyz` says that an ACL is missing.
fn is_not_ready(member: &Member) {
    eventually("/readyz to say it", PATIENCE, || {
        let (status, said) = http_get(member.admin(), "/readyz?verbose")?;
        (status == 503 && said.contains("lacks the ACL")).then_some(())
    });
}

/// Waits until the log names the ACL, behind what it had before.
pub fn is_named(process: &Process, before: usize, acl: &Acl) {
    let [text, _] = acl.texts();
    eventually(&format!("the log to say {text:?}"), PATIENCE, || {
        process.log().get(before..).unwrap().contains(&text).then_some(())
    });
}

/// Nobody spins while an ACL is missing: neither the processor nor the log shows it.
pub fn is_quiet(process: &Process, acl: &Acl) {
    let (lines, ticks, since) =
        (process.log().lines().count(), ticks(process.id()), Instant::now());
    std::thread::sleep(AWAY);
    let lines = process.log().lines().count() - lines;
    assert!(lines < FEW_LINES, "{lines} lines without {acl:?}");
    // Ticks are hundredths of a second.
    let busy = (ticks_since(process.id(), ticks) as f64 / 100.0) / since.elapsed().as_secs_f64();
    assert!(busy < LITTLE, "it is busy for {busy:.2} of the time without {acl:?}");
}

fn ticks(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // Behind the name, which may hold anything: utime and stime are the 12th and 13th.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn ticks_since(process: u32, before: u64) -> u64 {
    ticks(process) - before
}
