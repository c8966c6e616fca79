//! Members that answer, start anew, go away, and are of other versions.

use serde_json::{Value, json};

use super::fixture::{fleet, report, status, time};
use crate::cmd::top::fleet::{Contact, Fleet};
use crate::cmd::top::report::Report;
use crate::cmd::top::snapshot::{CHART_LENGTH, Snapshot, State};
use crate::cmd::top::stop::{SPANS, Stop};

fn one() -> Fleet {
    Fleet::new(["a:1".to_owned()])
}

fn rate(fleet: &Fleet, stop: Stop) -> Option<f64> {
    Snapshot::of_stop(&Snapshot::of(fleet, time(104)).rates, stop, SPANS)
}

fn total(fleet: &Fleet, stop: Stop) -> Option<u64> {
    Snapshot::of_stop(&Snapshot::of(fleet, time(104)).totals, stop, SPANS)
}

/// A member whose totals are those of so many seconds, at another time.
fn at(totals: i64, seconds: i64) -> Report {
    let mut json = status(0, totals);
    json["member"]["at"] = status(0, seconds)["member"]["at"].clone();
    report(&json)
}

#[test]
fn sums_are_those_of_the_members() {
    let fleet = fleet();
    let sum = |field: &str| 2 * status(0, 104)["flow"][field]["spans"].as_u64().unwrap();
    for (stop, field) in [
        (Stop::In, "received"),
        (Stop::Open, "open"),
        (Stop::Kept, "kept"),
        (Stop::Dropped, "dropped"),
        (Stop::Invalid, "invalid"),
    ] {
        assert_eq!(total(&fleet, stop), Some(sum(field)), "{field}");
    }
    assert_eq!(rate(&fleet, Stop::In), Some(2000.0));
    assert_eq!(rate(&fleet, Stop::Refused), Some(0.0));
    let snapshot = Snapshot::of(&fleet, time(104));
    assert_eq!(snapshot.partitions.len(), 12);
    let errors = &snapshot.policies[0].figures;
    assert_eq!((errors.kept, errors.votes_to_keep), (Some(416), Some(416)));
    assert_eq!(snapshot.dropped_by_none, Some(18_720));
}

#[test]
fn a_rate_is_the_members_own_until_there_are_two_answers() {
    let mut fleet = one();
    fleet.take(0, time(100), Ok(report(&status(0, 100))));
    assert_eq!(rate(&fleet, Stop::In), Some(1000.0));
    assert_eq!(rate(&fleet, Stop::Invalid), None, "members do not say it");
    fleet.take(0, time(101), Ok(at(100, 100)));
    assert_eq!(rate(&fleet, Stop::In), Some(1000.0), "the same answer again");
    fleet.take(0, time(102), Ok(at(108, 102)));
    assert_eq!(rate(&fleet, Stop::In), Some(4000.0));
    assert_eq!(rate(&fleet, Stop::Invalid), Some(0.0));
}

#[test]
fn a_rate_is_that_of_the_last_seconds() {
    let mut fleet = one();
    for (totals, seconds) in [(0, 0), (1000, 50), (1010, 60), (1030, 70)] {
        fleet.take(0, time(seconds), Ok(at(totals, seconds)));
    }
    assert_eq!(rate(&fleet, Stop::In), Some(2000.0));
}

#[test]
fn a_member_that_started_anew_counts_from_its_start() {
    let mut restarted = status(0, 3);
    restarted["member"]["started_at"] = json!("2026-11-30T09:01:41Z");
    for restarted in [report(&restarted), at(3, 104)] {
        let mut fleet = one();
        fleet.take(0, time(100), Ok(at(100, 100)));
        fleet.take(0, time(102), Ok(at(102, 102)));
        fleet.take(0, time(104), Ok(restarted));
        assert_eq!(rate(&fleet, Stop::In), Some(1000.0), "its own account");
        assert_eq!(total(&fleet, Stop::In), Some(3000));
    }
}

#[test]
fn a_member_that_goes_away_is_named_with_the_reason_and_taken_up_again() {
    let mut fleet = fleet();
    fleet.take(0, time(90), Err("no answer within 3s".to_owned()));
    fleet.take(0, time(92), Err("Connection refused".to_owned()));
    let away = Snapshot::of(&fleet, time(104));
    assert_eq!(away.members[0].state, State::Away);
    let problem = away.problems.iter().find(|it| it.member.as_deref() == Some("tailsieve-0"));
    assert_eq!(problem.unwrap().text, "away for 14s: Connection refused");
    assert_eq!((away.partitions.len(), total(&fleet, Stop::In)), (6, Some(104_000)));
    assert!(!fleet.all_answer());
    assert!(away.logs.iter().any(|log| log.member == "tailsieve-0"), "the last it said");
    fleet.take(0, time(106), Ok(at(106, 106)));
    let back = Snapshot::of(&fleet, time(106));
    assert_eq!((&back.members[0].state, back.partitions.len()), (&State::Ready, 12));
    assert_eq!(fleet.members()[0].contact, Contact::Answers);
}

#[test]
fn charts_are_added_up_and_remember_those_that_are_away() {
    let chart = |fleet: &Fleet, seconds| {
        Snapshot::of(fleet, time(seconds)).charts[Stop::In as usize].clone()
    };
    let mut fleet = one();
    fleet.take(0, time(20), Ok(report(&status(0, 20))));
    let values = chart(&fleet, 24);
    assert_eq!(values.len(), CHART_LENGTH);
    assert_eq!(
        values[CHART_LENGTH - 5..],
        [None, Some(970.0), Some(980.0), Some(990.0), Some(1000.0)]
    );
    fleet.take(0, time(22), Err("gone".to_owned()));
    let values = chart(&fleet, 30);
    assert_eq!(values[CHART_LENGTH - 4..], [Some(990.0), Some(1000.0), None, None]);
    let both = chart(&super::fixture::fleet(), 104);
    assert_eq!(both[CHART_LENGTH - 2..], [Some(1980.0), Some(2000.0)]);
}

#[test]
fn what_is_wrong_is_named() {
    let mut json = status(0, 100);
    json["member"]["is_ready"] = json!(false);
    json["member"]["checks"] = json!([{"name": "kafka", "missing": "the group is not joined"}]);
    json["member"]["exporters"][0]["is_up"] = json!(false);
    json["member"]["stalled_workers"] = json!([{"reason": "export", "workers": 2}]);
    json["member"]["notes"] = json!(["records are not keyed by trace id"]);
    json["policies"]["failure"] = json!("policies.yaml:3:1\n  unknown type");
    let mut other = status(1, 100);
    other["policies"]["hash"] = json!("another");
    other["partitions"][0]["partition"] = json!(0);
    let mut fleet = Fleet::new(["a:1", "b:1"].map(str::to_owned));
    fleet.take(0, time(100), Ok(report(&json)));
    fleet.take(1, time(100), Ok(report(&other)));
    let texts: Vec<String> =
        Snapshot::of(&fleet, time(100)).problems.into_iter().map(|it| it.text).collect();
    assert_eq!(
        texts,
        [
            "policies differ: a:1 has 02af9f5d82892b93, b:1 has another",
            "a:1 and b:1 both have partition 0: a rebalance, or two groups",
            "not ready: kafka: the group is not joined",
            "exporter default: its backend does not accept",
            "workers that take no records: 2, waiting for export",
            "the policy file is not in force: policies.yaml:3:1 unknown type",
            "records are not keyed by trace id",
        ]
    );
}

#[test]
fn two_addresses_of_one_member_are_found() {
    let mut fleet = Fleet::new(["a:1", "localhost:1"].map(str::to_owned));
    fleet.take(0, time(100), Ok(report(&status(0, 100))));
    fleet.take(1, time(100), Ok(report(&status(0, 100))));
    let problems = Snapshot::of(&fleet, time(100)).problems;
    let texts: Vec<&str> = problems.iter().map(|it| &*it.text).collect();
    assert_eq!(texts, ["a:1 and localhost:1 are one member, which is counted twice"]);
}

#[test]
fn an_answer_that_is_no_status_says_so() {
    for (text, says) in
        [("<html>", "not JSON"), ("[]", "no member"), ("{\"member\": {}}", "no member")]
    {
        let error = Report::read(text).unwrap_err();
        assert!(error.contains(says) && error.contains("admin.listen"), "{error}");
    }
}

/// Takes each field away, or puts something else in its place.
fn changed(json: &Value, with: &Value, made: &mut Vec<Value>, root: &dyn Fn(Value) -> Value) {
    match json {
        Value::Object(fields) => {
            for (name, value) in fields {
                let put = |value: Option<Value>| {
                    let mut fields = fields.clone();
                    match value {
                        Some(value) => drop(fields.insert(name.clone(), value)),
                        None => drop(fields.remove(name)),
                    }
                    root(Value::Object(fields))
                };
                made.push(put(None));
                made.push(put(Some(with.clone())));
                changed(value, with, made, &|value| put(Some(value)));
            }
        }
        Value::Array(items) if !items.is_empty() => {
            changed(&items[0], with, made, &|value| root(json!([value])));
        }
        _ => {}
    }
}

#[test]
fn members_of_other_versions_are_read_as_far_as_they_are_understood() {
    let json = status(0, 10);
    for with in [json!(null), json!({"new": [1]}), json!("text"), json!(-1), json!([[]])] {
        let mut made = Vec::new();
        changed(&json, &with, &mut made, &|value| value);
        assert!(made.len() > 200);
        for json in made {
            let Ok(report) = Report::read(&json.to_string()) else {
                assert!(!json["member"].is_object() || !json["flow"].is_object());
                continue;
            };
            let mut fleet = one();
            fleet.take(0, time(10), Ok(report));
            let snapshot = Snapshot::of(&fleet, time(11));
            assert_ne!(snapshot.members[0].state, State::Away);
        }
    }
}
