//! The smallest ACLs of each command, on a real Kafka with an authorizer: with exactly these it works
//! whole; without any one of them it says which is missing. And what happens when one is withdrawn while
//! a member runs.

mod broker;
mod login;
mod look_ups;
mod needs;
mod withdrawn;
mod world;

use std::thread;

use broker::{User, guarded};
use needs::{
    CAPTURE, CREATE_TOPICS, DECISIONS, DOCTOR, DRY_RUN, EXPORT, GENERATE, LETTERS, LOG, Need,
    REKEY, REPLAY, RUN, TRACE, WHATIF,
};
use world::World;

/// Attempts that run side by side.
const AT_ONCE: usize = 4;

/// What a command does with the ACLs that a user has; what it says if it cannot.
type Attempt = fn(&World, &User<'_>) -> Result<(), String>;

/// Tries a command with all that it needs, and without each one of it.
fn prove(needs: &[Need], make: fn() -> World, attempt: Attempt) {
    let without: Vec<Option<&Need>> = std::iter::once(None).chain(needs.iter().map(Some)).collect();
    for some in without.chunks(AT_ONCE) {
        thread::scope(|scope| {
            for left_out in some {
                scope.spawn(move || prove_one(needs, *left_out, make, attempt));
            }
        });
    }
}

fn prove_one(needs: &[Need], left_out: Option<&Need>, make: fn() -> World, attempt: Attempt) {
    let broker = guarded();
    let (world, user) = (make(), broker.user());
    for need in needs.iter().filter(|need| Some(*need) != left_out) {
        user.grant(&need.on(|option| world.name(option)));
    }
    let result = attempt(&world, &user);
    match (left_out, result) {
        (None, result) => result.unwrap_or_else(|said| panic!("with all ACLs: {said}")),
        (Some(need), Ok(())) => panic!("it works without {need:?}"),
        (Some(need), Err(said)) => {
            let missing = need.on(|option| world.name(option));
            for text in missing.texts() {
                assert!(said.contains(&text), "without {need:?} it does not say {text:?}:\n{said}");
            }
        }
    }
}

/// Those of `needs` that are about these.
fn but(needs: &[Need], left_out: &[&str]) -> Vec<Need> {
    needs.iter().filter(|need| !left_out.contains(&need.name)).copied().collect()
}

#[test]
#[ignore = "starts Kafka: run ./tests/run"]
fn acl_run_with_all_of_it_as_a_static_member() {
    prove(&but(RUN, &[EXPORT]), || World::new("acl-run"), World::run_classic);
}

#[test]
#[ignore = "starts Kafka: run ./tests/run"]
fn acl_run_without_a_decision_log_to_a_topic_with_the_consumer_protocol() {
    let needs = but(RUN, &[LOG, LETTERS]);
    prove(&needs, || World::new("acl-export"), World::run_consumer);
}

#[test]
#[ignore = "starts Kafka: run ./tests/run"]
fn acl_run_creates_topics() {
    let needs = [&but(RUN, &[EXPORT]), CREATE_TOPICS].concat();
    let broker = guarded();
    let (world, user) = (World::without_topics("acl-create"), broker.user());
    needs.iter().for_each(|need| user.grant(&need.on(|option| world.name(option))));
    world.run_classic(&user).unwrap();
    for need in CREATE_TOPICS {
        let (world, user) = (World::without_topics("acl-create"), broker.user());
        let granted = needs.iter().filter(|it| *it != need);
        granted.for_each(|need| user.grant(&need.on(|option| world.name(option))));
        let said = world.run_classic(&user).unwrap_err();
        let missing = need.on(|option| world.name(option)).texts();
        missing.iter().for_each(|text| assert!(said.contains(text), "no {text:?} in {said}"));
    }
}

#[test]
#[ignore = "starts Kafka: run ./tests/run"]
fn acl_doctor() {
    let needs = [&but(RUN, &[EXPORT]), DOCTOR].concat();
    prove(&needs, || World::new("acl-doctor"), World::doctor);
}

#[test]
#[ignore = "starts Kafka: run ./tests/run"]
fn acl_rekey() {
    prove(REKEY, || World::new("acl-rekey"), World::rekey);
}

#[test]
#[ignore = "starts Kafka: run ./tests/run"]
fn acl_replay_dead_letters() {
    prove(REPLAY, || World::new("acl-replay"), World::replay);
    prove(DRY_RUN, || World::new("acl-dry-run"), World::replay_dry_run);
}

#[test]
#[ignore = "starts Kafka: run ./tests/run"]
fn acl_commands_that_read_or_write_one_topic() {
    prove(CAPTURE, || World::new("acl-capture"), World::capture);
    prove(DECISIONS, || World::new("acl-decisions"), World::decisions);
    prove(TRACE, || World::new("acl-trace"), World::trace);
    prove(WHATIF, || World::new("acl-whatif"), World::whatif);
    prove(GENERATE, || World::new("acl-generate"), World::generate);
}
