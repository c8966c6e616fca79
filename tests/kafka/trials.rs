//! A policy file that is tried on the traffic of a real member.

use std::fs;
use std::time::Duration;

use serde_json::Value;
use tailsieve::testing::kafka::source;
use tailsieve::testing::testbed::generator::ModelSettings;

use crate::rig::{ERRORS_AND_A_TENTH, Rig, checked_scrape, passes};
use crate::support::{Member, eventually, http, http_post};

/// Errors are nothing to it. It asks for a service, which nobody asks for in force.
const TRIED: &str = "
decision_wait: 20s
policies:
  - {name: payment, type: string_attribute, string_attribute: {key: service.name, values: [payment]}}
  - {name: more, type: probabilistic, probabilistic: {sampling_percentage: 20}}
";

const PATIENCE: Duration = Duration::from_secs(60);

fn ask(member: &Member, method: &str, path: &str, body: &str) -> (u16, Value) {
    let path = format!("/api/v1/policies/trials{path}");
    let (status, text) = http(member.admin(), method, &path, body).expect("it answers");
    (status, serde_json::from_str(&text).unwrap())
}

fn begin(member: &Member, seconds: u32) -> String {
    let (status, trial) = ask(member, "POST", &format!("?seconds={seconds}"), TRIED);
    assert_eq!((status, &trial["state"]), (201, &Value::from("running")), "{trial}");
    trial["id"].as_str().unwrap().to_owned()
}

/// Scenario: a file is tried while traffic passes, cancelled, tried again until its time is over, and
/// once more until other policies come into force.
/// Guarantees: what was counted is, trace by trace and span by span, what the two files say of what was
/// written; nothing is decided, delivered or counted otherwise.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn a_trial_says_what_a_file_would_change_and_changes_nothing() {
    let rig = Rig::new("trials", ERRORS_AND_A_TENTH);
    let member = rig.member("one");
    let (status, wrong) = ask(&member, "POST", "", "policies: [{name: a, type: guess}]");
    assert_eq!((status, &wrong["errors"][0]["column"]), (422, &Value::from(28)), "{wrong}");
    let id = begin(&member, 600);
    let (status, busy) = ask(&member, "POST", "", TRIED);
    assert!(status == 409 && busy["error"].as_str().unwrap().contains(&id), "{busy}");
    let settings = ModelSettings {
        seed: 11,
        start: source::now(),
        rate: 3_000.0,
        max_spans: Some(20_000),
        // Late spans follow a decision, and are no part of one.
        late_fraction: 0.0,
        duplicate_fraction: 0.0,
        ..ModelSettings::default()
    };
    let ledger = rig.write(settings, true).finish();
    rig.settle();

    let (status, trial) = ask(&member, "DELETE", &format!("/{id}"), "");
    assert_eq!((status, &trial["state"]), (200, &Value::from("cancelled")), "{trial}");
    let mut expected = [[(0, 0); 2]; 2];
    for (id, trace) in &ledger.traces {
        let was_kept = trace.error || passes(10.0, trace);
        assert_eq!(!rig.policies_of(*id).is_empty(), was_kept, "{id}");
        let would_keep = trace.services.iter().any(|it| it == "payment") || passes(20.0, trace);
        let cell = &mut expected[usize::from(was_kept)][usize::from(would_keep)];
        *cell = (cell.0 + 1, cell.1 + trace.spans.len() as u64);
    }
    let cell = |name: &str| {
        let of = |unit: &str| trial[name][unit].as_u64().unwrap();
        (of("traces"), of("spans"))
    };
    let counted = [
        [cell("dropped_dropped"), cell("dropped_kept")],
        [cell("kept_dropped"), cell("kept_kept")],
    ];
    assert_eq!(counted, expected);
    assert!(expected.iter().flatten().all(|(traces, _)| *traces > 0), "{expected:?}");
    assert_eq!(cell("left_out"), (0, 0));
    assert_eq!(trial["not_tried"][0], "decision_wait");
    let examples = trial["newly_dropped"].as_array().unwrap();
    assert!(examples.iter().all(|it| it["trace"]["policy"] == "errors") && examples.len() == 10);

    let scrape = checked_scrape(&member);
    for unit in ["traces", "spans", "bytes"] {
        let metric = |what: &str| scrape.sum(&format!("tailsieve_{what}_{unit}_total"));
        let decided = trial["decided"][unit].as_f64().unwrap();
        assert_eq!(decided, metric("kept") + metric("dropped"), "{unit}");
    }
    assert!(!scrape.text().contains("payment") && !scrape.text().contains("policy=\"more\""));
    let state_of = |id: &str| ask(&member, "GET", &format!("/{id}"), "").1["state"].clone();
    let id = begin(&member, 1);
    eventually("its time to be over", PATIENCE, || (state_of(&id) == "done").then_some(()));
    let id = begin(&member, 600);
    fs::write(rig.scratch.join("policies.yaml"), ERRORS_AND_A_TENTH.replace("10}", "11}")).unwrap();
    assert_eq!(http_post(member.admin(), "/-/reload").unwrap().0, 200);
    eventually("the trial to be ended", PATIENCE, || (state_of(&id) == "replaced").then_some(()));
}
