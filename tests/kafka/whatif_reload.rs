//! `tailsieve whatif` on a range in which the policy file was reloaded, and members came and went.

use std::collections::BTreeMap;
use std::time::Duration;

use tailsieve::testing::kafka::source;
use tailsieve::testing::testbed::generator::ModelSettings;
use tailsieve::testing::testbed::ledger::TraceEntry;

use crate::rig::{Rig, passes};
use crate::support::http_post;
use crate::whatif::{Asked, cells, spans};

const FIRST: &str = "
decision_wait: 8s
decision_wait_after_root_received: 3s
policies:
  - {name: three-tenths-1, type: probabilistic, probabilistic: {sampling_percentage: 30}}
";

/// Drops a tenth that the first one keeps, and waits for another time.
const SECOND: &str = "
decision_wait: 6s
decision_wait_after_root_received: 2s
policies:
  - {name: a-tenth-2, type: drop, drop: {drop_sub_policy: [{name: a-tenth, type: probabilistic, probabilistic: {sampling_percentage: 10}}]}}
  - {name: six-tenths-2, type: probabilistic, probabilistic: {sampling_percentage: 60}}
";

/// What a version of the file says of a trace: kept or not, and on whose account.
type Said = (bool, Option<String>);

fn first(trace: &TraceEntry) -> Said {
    let kept = passes(30.0, trace);
    (kept, kept.then(|| "three-tenths-1".to_owned()))
}

fn second(trace: &TraceEntry) -> Said {
    match (passes(10.0, trace), passes(60.0, trace)) {
        (true, _) => (false, Some("a-tenth-2".to_owned())),
        (false, true) => (true, Some("six-tenths-2".to_owned())),
        (false, false) => (false, None),
    }
}

fn in_words((kept, policy): &Said) -> String {
    let word = if *kept { "kept" } else { "dropped" };
    format!("{word} by {}", policy.as_deref().unwrap_or("none"))
}

/// Scenario: traffic with late spans is decided under the first version of the policy file; a second member
/// joins; both reload the second version; a third joins and the first leaves; then the second version is asked about.
/// Guarantees: the old side is what the log has on record, trace by trace; of those that were decided under the
/// second version nothing changes, and of the others what the two versions say; every span is counted.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn a_reload_in_the_range_is_on_the_old_side_as_it_was() {
    let rig = Rig::new("whatif-reload", FIRST);
    let settings = ModelSettings {
        seed: 33,
        start: source::now(),
        rate: 2_000.0,
        max_spans: Some(36_000),
        late_fraction: 0.1,
        late_by: Duration::from_secs(10),
        ..ModelSettings::default()
    };
    let mut one = rig.member("first");
    let writing = rig.write(settings, true);
    writing.wait_for(6_000);
    let two = rig.member("second");
    writing.wait_for(16_000);
    rig.scratch.write("policies.yaml", SECOND);
    for member in [&one, &two] {
        let (status, said) = http_post(member.admin(), "/-/reload").unwrap();
        assert_eq!(status, 200, "{said}");
    }
    writing.wait_for(22_000);
    let three = rig.member("third");
    assert!(one.process.terminate().success());
    let ledger = writing.finish();
    rig.settle();
    drop((two, three));

    let asked = Asked::new(rig);
    let candidate = asked.policies("candidate.yaml", SECOND);
    let outcome = asked.whole(&candidate, &["--from", "10m"]);
    let on_record = asked.on_record();
    let mut expected = BTreeMap::<(String, String), (u64, u64)>::new();
    for (id, trace) in &ledger.traces {
        let old = &on_record[&id.to_string()];
        assert!([first(trace), second(trace)].contains(old), "{id}: {old:?}");
        let delivered = asked.rig.policies_of(*id);
        assert_eq!(delivered.first(), old.1.as_ref().filter(|_| old.0), "{id}");
        let cell = expected.entry((in_words(old), in_words(&second(trace)))).or_default();
        *cell = (cell.0 + 1, cell.1 + spans(trace));
    }
    assert_eq!(cells(&outcome), expected);

    // Those of the second version are where they were, and both versions have decided some.
    let traces = |old: &str, new: &str| {
        expected.get(&(old.to_owned(), new.to_owned())).map_or(0, |(traces, _)| *traces)
    };
    for (old, new) in expected.keys() {
        assert!(!old.ends_with("-2") || old == new, "{old} -> {new}");
    }
    for (old, new) in [
        ("kept by six-tenths-2", "kept by six-tenths-2"),
        ("dropped by a-tenth-2", "dropped by a-tenth-2"),
        ("kept by three-tenths-1", "dropped by a-tenth-2"),
        ("kept by three-tenths-1", "kept by six-tenths-2"),
        ("dropped by none", "kept by six-tenths-2"),
    ] {
        assert!(traces(old, new) > 20, "{old} -> {new}: {expected:?}");
    }
    let candidate = &outcome["candidates"][0];
    assert!(candidate["lateSpans"].as_u64().unwrap() > 0);
    let lost = traces("kept by three-tenths-1", "dropped by a-tenth-2");
    assert_eq!(candidate["summary"]["newlyLost"]["traces"]["value"], lost as f64);
}
