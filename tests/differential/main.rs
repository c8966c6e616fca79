//! tailsieve decides as the OpenTelemetry Collector's `tail_sampling` processor does: thousands of
//! generated traces, by many policy sets, trace by trace.
//!
//! What the Collector keeps was recorded, so that the comparison needs nothing but tailsieve.
//! `./tests/run interop` compares with the Collector itself, and
//! `./tests/run record-differential` records anew. Where the two differ on purpose,
//! tests/differential/deviations.rs says so, case by case.

// A test that cannot go on ends by a panic, also in helpers that clippy does not take for tests.
#![allow(clippy::unwrap_used)]
// Tests read the clock, and decode what arrived.
#![allow(clippy::disallowed_methods)]

mod alone;
mod attributes;
mod collector;
mod conditions;
mod consistent;
mod decide;
mod deviations;
mod input;
mod mixed;
mod ottl;
mod policies;
mod random;
mod recorded;
#[path = "../support/mod.rs"]
mod support;
mod traces;

use std::collections::BTreeSet;

use serde_json::Value;

use consistent::Ruled;
use decide::{Decisions, decide};
use deviations::{Deviation, Says, TRACES};
use input::Input;
use policies::PolicySet;

/// Every set on which the two must agree.
fn sets() -> Vec<PolicySet> {
    alone::sets().into_iter().chain(mixed::sets()).chain(conditions::sets()).collect()
}

/// The traces on which tailsieve and the Collector disagree, with all that tailsieve says; at most
/// a few of each set.
fn differences(
    sets: &[PolicySet],
    input: &Input,
    collector: &[Vec<bool>],
    tailsieve: &[Decisions],
) -> Vec<String> {
    let mut found = Vec::new();
    for ((set, collector), tailsieve) in sets.iter().zip(collector).zip(tailsieve) {
        let differs = |trace: &usize| collector[*trace] != tailsieve.kept[*trace];
        let traces: Vec<usize> = (0..input.ids.len()).filter(differs).collect();
        if traces.is_empty() {
            continue;
        }
        found.push(format!("{}: {} traces, policies {}", set.name, traces.len(), set.policies));
        for trace in traces.into_iter().take(3) {
            let should = if collector[trace] { "keeps" } else { "does not keep" };
            found.push(format!("    the Collector {should} it: {}", tailsieve.said[trace]));
        }
    }
    found
}

fn assert_agreement(collector: &[Vec<bool>], sets: &[PolicySet], input: &Input) {
    let wrong = differences(sets, input, collector, &decide(sets, input));
    assert!(wrong.is_empty(), "differences:\n{}", wrong.join("\n"));
}

#[test]
fn differential_recorded() {
    let (sets, input) = (sets(), traces::generate());
    assert_agreement(&recorded::read(&sets, &input), &sets, &input);
}

/// With `TAILSIEVE_RECORD` set, records instead of comparing.
#[test]
#[ignore = "needs the Collector: run ./tests/run interop"]
fn interop_differential_live() {
    let (sets, input) = (sets(), traces::generate());
    let collector = collector::kept(&sets, &input);
    if std::env::var_os("TAILSIEVE_RECORD").is_some() {
        recorded::write(&sets, &input, &collector);
    } else {
        assert_agreement(&collector, &sets, &input);
    }
}

#[test]
fn a_difference_is_found_and_explained() {
    let (sets, input) = (alone::sets(), deviations::input());
    let (sets, traces) = (&sets[..2], input.ids.len());
    let collector = vec![vec![true; traces]; 2];
    let said = vec!["what tailsieve says".to_owned(); traces];
    let decisions = || Decisions { kept: vec![true; traces], said: said.clone() };
    let mut tailsieve = [decisions(), decisions()];
    assert_eq!(differences(sets, &input, &collector, &tailsieve), Vec::<String>::new());
    tailsieve[1].kept[3] = false;
    let found = differences(sets, &input, &collector, &tailsieve).join("\n");
    assert!(found.contains(&sets[1].name) && found.contains("what tailsieve says"), "{found}");
}

/// A comparison is worth what it can tell apart.
#[test]
fn the_recorded_sets_tell_traces_apart() {
    let (sets, input) = (sets(), traces::generate());
    assert!(input.ids.len() >= 3000, "{} traces", input.ids.len());
    let names: BTreeSet<&str> = sets.iter().map(|set| set.name.as_str()).collect();
    assert_eq!(names.len(), sets.len(), "names are unique");
    let recorded = recorded::read(&sets, &input);
    let in_percent =
        |kept: &Vec<bool>| 100 * kept.iter().filter(|kept| **kept).count() / kept.len();
    let telling = recorded.iter().filter(|kept| (1..=98).contains(&in_percent(kept))).count();
    assert!(telling * 10 >= sets.len() * 7, "{telling} of {} sets", sets.len());
}

/// What was kept of the traces of deviations.rs, by name.
fn kept_names(kept: &[bool]) -> Vec<&'static str> {
    (0..).zip(kept).filter(|(_, kept)| **kept).map(|(index, _): (usize, _)| TRACES[index]).collect()
}

fn all_deviations() -> Vec<Deviation> {
    deviations::deviations().into_iter().chain(deviations::agreements()).collect()
}

#[test]
fn deviations_of_tailsieve_are_as_told() {
    let deviations = all_deviations();
    let (sets, expected): (Vec<_>, Vec<_>) =
        deviations.into_iter().map(|deviation| (deviation.set, deviation.tailsieve)).unzip();
    let decisions = decide(&sets, &deviations::input());
    let kept: Vec<_> = decisions.iter().map(|decisions| kept_names(&decisions.kept)).collect();
    let wrong: Vec<String> = (0..sets.len())
        .filter(|set| kept[*set] != expected[*set])
        .map(|set| format!("{}: {:?}, not {:?}", sets[set].name, kept[set], expected[set]))
        .collect();
    assert!(wrong.is_empty(), "tailsieve keeps\n{}", wrong.join("\n"));
}

#[test]
#[ignore = "needs the Collector: run ./tests/run interop"]
fn interop_deviations_of_the_collector_are_as_told() {
    let (sets, expected): (Vec<_>, Vec<_>) =
        all_deviations().into_iter().map(|deviation| (deviation.set, deviation.collector)).unzip();
    let outcomes = collector::kept_or_refused(&sets, &deviations::input());
    for ((set, expected), outcome) in sets.iter().zip(expected).zip(outcomes) {
        match (expected, outcome) {
            (Says::Keeps(names), Ok(kept)) => assert_eq!(kept_names(&kept), names, "{}", set.name),
            (Says::Refuses, Err(why)) => {
                assert!(why.contains("unknown sampling policy type"), "{}: {why}", set.name);
            }
            (_, outcome) => panic!("{}: {outcome:?}", set.name),
        }
    }
}

#[test]
fn ottl_conditions_keep_what_they_say() {
    let conditions = ottl::read();
    let decisions = decide(&conditions.sets, &conditions.input);
    let kept: Vec<_> = decisions.into_iter().map(|decisions| Ok(decisions.kept)).collect();
    let wrong = conditions.differences(&kept);
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
#[ignore = "needs the Collector: run ./tests/run interop"]
fn interop_ottl_conditions_keep_what_they_say() {
    let conditions = ottl::read();
    let kept = collector::kept_or_refused(&conditions.sets, &conditions.input);
    let wrong = conditions.differences(&kept);
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn consistent_probability_follows_the_rule() {
    let Ruled { sets, input, expected, .. } = consistent::ruled();
    for ((set, expected), decisions) in sets.iter().zip(expected).zip(decide(&sets, &input)) {
        for (trace, expected) in expected.into_iter().enumerate() {
            let said: Value = serde_json::from_str(&decisions.said[trace]).unwrap();
            let threshold = said["threshold"].as_str().map_or(0, consistent::threshold);
            let outcome = decisions.kept[trace].then_some(threshold);
            assert_eq!(outcome, expected, "{}: {said}", set.name);
        }
    }
}

#[test]
#[ignore = "needs the Collector: run ./tests/run interop"]
fn interop_consistent_probability_follows_the_rule() {
    let Ruled { sets, input, facts, expected } = consistent::ruled();
    let written = collector::written_with_gate(&sets, &input, consistent::GATE);
    for ((set, expected), written) in sets.iter().zip(expected).zip(written) {
        let written = consistent::thresholds(&written);
        for (trace, applied) in expected.into_iter().enumerate() {
            let id = &input.ids[trace];
            let expected = applied.map(|applied| applied.max(facts[trace].threshold));
            let is_close = match (written.get(id), expected) {
                (Some(is), Some(should)) => consistent::is_close(*is, should),
                (is, should) => is.is_none() && should.is_none(),
            };
            let (is, facts) = (written.get(id), &facts[trace]);
            assert!(is_close, "{}: {id}: {is:x?}, should be {expected:x?}: {facts:x?}", set.name);
        }
    }
}
