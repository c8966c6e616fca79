//! ACLs that only look-ups of traces, and requests to keep them, go by, withdrawn while a member runs: its
//! sampling does not depend on them.

use reqwest::header::AUTHORIZATION;
use serde_json::Value;
use tailsieve::testing::ids::TraceId;

use super::broker::guarded;
use super::needs::{EXPORT, INDEX, KEEP, LETTERS, Need, RUN, RUN_INDEX, TRACE};
use super::withdrawn::{PATIENCE, is_named, is_quiet};
use super::{but, world::World};
use crate::support::{Member, eventually, free_address, http_get};

/// Stretches that end soon.
const INDEXED: &str = "decision_log: {index: {max_entries: 64, max_age: 2s}}\n";

const FAILURES: &str = "tailsieve_decision_index_failures_total";

const DENIED: &str = "tailsieve_kafka_denied_total";

/// Keeps no trace without an error.
const ERRORS: &str = "
decision_wait: 3s
decision_wait_after_root_received: 500ms
policies:
  - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
";

fn is_ready(member: &Member) {
    let (status, said) = http_get(member.admin(), "/readyz?verbose").unwrap();
    assert_eq!(status, 200, "{said}");
}

/// Scenario: while traffic flows, the ACL to write the index of the decision log is withdrawn, and granted
/// again; then both that a member has on it.
/// Guarantees: that to write is named in the log and counted; nobody spins; the member is ready and delivers
/// every span meanwhile; when the ACL is granted again the index is written again.
#[test]
#[ignore = "starts Kafka: run ./tests/run"]
fn acl_of_the_index_withdrawn_costs_nothing_but_reading() {
    let broker = guarded();
    let world = World::new("acl-index");
    let _index = broker.kafka().topic_named(&world.name(INDEX), 3, &[]);
    let user = broker.user();
    let acl = |need: &Need| need.on(|option| world.name(option));
    let needs = [&but(RUN, &[EXPORT, LETTERS]), RUN_INDEX].concat();
    needs.iter().for_each(|need| user.grant(&acl(need)));
    let config = world.config(Some(&user), "", INDEXED);
    let mut member = Member::start(world.rig.scratch.path(), "member", &config);
    member.wait_ready();
    let mut ledger = world.traffic(1);
    member.wait_for_metrics("the index to be written", |scrape| {
        scrape.sum("tailsieve_decision_index_written_records_total") > 0.0
    });
    let [write, read] = [&RUN_INDEX[0], &RUN_INDEX[1]].map(acl);
    for (seed, withdrawn) in [(2, vec![&write]), (4, vec![&write, &read])] {
        let (before, scrape) = (member.process.log().len(), member.scrape());
        withdrawn.iter().for_each(|acl| user.withdraw(acl));
        ledger.traces.extend(world.traffic(seed).traces);
        is_named(&member.process, before, &write);
        for count in [FAILURES, DENIED] {
            let so_far = scrape.sum(count);
            member.wait_for_metrics(count, |scrape| scrape.sum(count) > so_far);
        }
        world.rig.settle();
        is_ready(&member);
        is_quiet(&member.process, &write);
        withdrawn.iter().for_each(|acl| user.grant(acl));
        ledger.traces.extend(world.traffic(seed + 1).traces);
        eventually("the index to be written again", PATIENCE, || {
            let log = member.process.log();
            log[before..].contains("decision_index.write_succeeded").then_some(())
        });
    }
    world.rig.settle();
    world.expect_all(&ledger);
}

/// Scenario: the ACL to write to the input topic is withdrawn from a member that takes requests to keep traces.
/// Somebody sends one, and one on the command line, and one as a user who never had it.
/// Guarantees: each is told which ACL is missing, and how it is granted; it is counted; the member is ready, and
/// decides and commits meanwhile; when the ACL is granted again the trace is kept.
#[test]
#[ignore = "starts Kafka: run ./tests/run"]
fn acl_of_requests_withdrawn_refuses_them_and_nothing_else() {
    let broker = guarded();
    let world = World::new("acl-keep");
    world.rig.scratch.write("policies.yaml", ERRORS);
    let (user, reader) = (broker.user(), broker.user());
    let acl = |need: &Need| need.on(|option| world.name(option));
    let needs = [&but(RUN, &[EXPORT]), KEEP].concat();
    needs.iter().for_each(|need| user.grant(&acl(need)));
    TRACE.iter().for_each(|need| reader.grant(&acl(need)));
    let listen = free_address();
    let section =
        format!("retrieval: {{listen: {listen}, keep: on_request, token: open-sesame}}\n");
    let sections = world.with_letters() + &section;
    let config = world.config(Some(&user), "", &sections);
    let mut member = Member::start(world.rig.scratch.path(), "member", &config);
    member.wait_ready();
    let ledger = world.traffic(1);
    world.rig.settle();
    let dropped: Vec<TraceId> =
        ledger.traces.iter().filter(|(_, trace)| !trace.error).map(|(id, _)| *id).collect();
    let ask = |trace: TraceId| {
        let url = format!("http://{listen}/api/traces/{trace}/keep");
        let request = reqwest::Client::new().post(url).header(AUTHORIZATION, "Bearer open-sesame");
        world.rig.runtime.block_on(async {
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
            (status, body["message"].as_str().unwrap().to_owned())
        })
    };
    assert_eq!(ask(dropped[0]).0, 202);

    let write = acl(&KEEP[0]);
    user.withdraw(&write);
    let names_it = |said: &str| {
        write.texts().iter().for_each(|text| assert!(said.contains(text), "no {text:?} in {said}"));
    };
    let (status, said) = ask(dropped[1]);
    assert_eq!(status, 503, "{said}");
    names_it(&said);
    for by in [&user, &reader] {
        let config = world.config(Some(by), "", &sections);
        let (code, said) = world.command(&["trace", &dropped[1].to_string(), "--keep"], &config);
        assert_eq!(code, Some(1), "{said}");
        names_it(&said);
    }
    let scrape = member.scrape();
    let failed = r#"tailsieve_retrieval_keep_requests_total{answer="failed"}"#;
    assert_eq!(scrape.get(failed), Some(1.0));
    assert!(scrape.sum(DENIED) > 0.0, "it is counted");
    world.traffic(2);
    world.rig.settle();
    is_ready(&member);
    is_quiet(&member.process, &write);

    user.grant(&write);
    eventually("a request to be taken", PATIENCE, || (ask(dropped[1]).0 == 202).then_some(()));
    for trace in &dropped[..2] {
        eventually("both to be kept", PATIENCE, || (ask(*trace).0 == 200).then_some(()));
        eventually("both to be at the backend, kept by no policy", PATIENCE, || {
            (world.rig.policies_of(*trace) == [""]).then_some(())
        });
    }
}
