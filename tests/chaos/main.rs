//! The promises under fire: members, Kafka, the network between and the backend fail again and
//! again, as a seed says, while a ledger of every span is kept and held against what arrived.
//!
//! `./tests/run chaos` runs it in its short form, `./tests/run chaos --long` with a million spans.
//! Each run prints its seed, what it did and when; the same seed plans the same faults and traffic.

// A test that cannot go on ends by a panic, also in helpers that clippy does not take for tests.
#![allow(clippy::unwrap_used)]
// Tests read the clock, and decode what arrived.
#![allow(clippy::disallowed_methods)]

mod asker;
mod backend;
mod book;
mod broker;
mod commits;
mod decisions;
mod disturbance;
mod drill;
mod fault;
mod http;
mod letters;
mod member;
mod options;
mod plan;
mod proxy;
mod renewal;
mod reproduce;
mod rules;
mod slot;
mod soak;
#[path = "../support/mod.rs"]
mod support;
mod traffic;
mod verdict;
mod world;

use std::sync::{Mutex, PoisonError};

use crate::fault::Fault;
use crate::options::Options;
use crate::world::World;

/// Each test has a Kafka and several members: one after the other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Scenario: one to four members, and everything that a [`fault::Fault`] can be, drawn from a seed.
/// Guarantees: those of [`verdict::Verdict::defects`]; the accounts of the members that are left
/// balance, and what is committed is the end of the log.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn chaos_loses_nothing_and_judges_once() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let options = Options::from_env();
    let mut spans = 0;
    for (seed, protocol) in (options.seed..).zip(options.protocols()) {
        // Each with faults of its own.
        let options = options.with_seed(seed);
        println!("--- chaos, seed {seed}, group protocol {}", protocol.name());
        // It is there until the end of the judgement: a failed one leaves its files behind.
        let mut world = World::new(&options, *protocol);
        let verdict = world.run(&plan::plan(seed, options.lasts, options::DECISION_LOG));
        println!("{verdict}");
        let defects = verdict.defects(options::DECISION_LOG);
        assert!(defects.is_empty(), "seed {seed}: {}", defects.join("; "));
        spans += verdict.spans;
    }
    assert!(spans >= options.least_spans(), "only {spans} spans");
}

/// Scenario: as above, but Kafka itself is always there; meanwhile somebody asks for traces that were dropped,
/// for each of them twice.
/// Guarantees: as above, where a trace that was asked for is one that is kept: in the end it is whole, with its
/// late spans, by one request. What is answered to requests is counted and printed.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn chaos_a_trace_that_somebody_asks_for_comes_whole() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let options = Options::from_env().asking();
    for (seed, protocol) in (options.seed..).zip(options.protocols()) {
        let options = options.with_seed(seed);
        println!("--- requests, seed {seed}, group protocol {}", protocol.name());
        let mut world = World::new(&options, *protocol);
        let mut plan = plan::plan(seed, options.lasts, options::DECISION_LOG);
        // A request does not wait for Kafka with the spans. It would move the clock on before they are there.
        plan.retain(|event| event.fault != Fault::KafkaDies);
        let verdict = world.run(&plan);
        println!("{verdict}");
        let defects = verdict.defects(options::DECISION_LOG);
        assert!(defects.is_empty(), "seed {seed}: {}", defects.join("; "));
    }
}

/// Scenario: a member that has traces open and requests to repeat is stopped for longer than its
/// session, and goes on; another is killed while the decision log takes nothing. Each time those
/// who follow have other policies.
/// Guarantees: as above; what the stopped one held back stays where it is, and nothing was
/// delivered whose decision was not on record.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn chaos_zombies_and_unrecorded_decisions_change_nothing() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let options = Options::from_env().lasting(drill::LASTS);
    for protocol in options.protocols() {
        println!("--- drill, seed {}, group protocol {}", options.seed, protocol.name());
        let mut world = World::new(&options, *protocol);
        let verdict = world.run(&drill::plan());
        println!("{verdict}");
        let defects = verdict.defects(options::DECISION_LOG);
        assert!(defects.is_empty(), "{}", defects.join("; "));
    }
}

/// Scenario: the topic is deleted and created again under two members, with nothing left to read on
/// it; then a member is killed, another one joins. The new log is shorter than the old one was, or
/// in a moment longer.
/// Guarantees: nothing is missing. Where it is shorter, which Kafka says, all of the above; where it is
/// longer it is read in the middle until that is noticed, and then all of it again.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn chaos_a_recreated_topic_loses_nothing() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for (name, before, rate) in [("shorter", 3000.0, 600.0), ("longer", 400.0, 4000.0)] {
        let options = Options::from_env().with_kafka_there();
        let options = options.lasting(renewal::LASTS).at_rate(rate);
        for protocol in options.protocols() {
            let (seed, protocol_name) = (options.seed, protocol.name());
            println!("--- a {name} topic, seed {seed}, group protocol {protocol_name}");
            let mut world = World::new(&options, *protocol);
            let verdict = world.run_on_another_topic((before, renewal::FIRST), &renewal::plan());
            println!("{verdict}");
            let defects = match name {
                "shorter" => verdict.defects(options::DECISION_LOG),
                _ => verdict.losses(),
            };
            assert!(defects.is_empty(), "{name}: {}", defects.join("; "));
        }
    }
}

/// Scenario: hours of traffic, by the policies of the day, while members join, leave and die and
/// policies are replaced; one member stays.
/// Guarantees: as above; and its memory, open files and threads are at the end what they were after
/// the first quarter.
#[test]
#[ignore = "takes its time: run ./tests/run soak"]
fn soak_what_a_member_holds_stays_the_same() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let options = Options::from_env();
    let protocol = options.protocols()[0];
    println!("--- soak, seed {}, {:?}, {}", options.seed, options.lasts, protocol.name());
    let mut world = World::new(&options, protocol);
    let verdict = world.run(&soak::plan(options.seed, options.lasts));
    println!("{verdict}");
    let growth = soak::Growth::of(world.vitals()).expect("it took long enough");
    println!("{growth}");
    let defects = [verdict.defects(options::DECISION_LOG), growth.defects()].concat();
    assert!(defects.is_empty(), "{}", defects.join("; "));
}
