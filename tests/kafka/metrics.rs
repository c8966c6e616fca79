//! The table of metrics, held against scrapes of real processes.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::time::Duration;

use tailsieve::testing::kafka::source;
use tailsieve::testing::telemetry::metrics::{Family, table::GROUPS};
use tailsieve::testing::testbed::generator::ModelSettings;

use crate::rekey::rekey;
use crate::rig::{KEEP_ALL, Rig, checked_scrape};
use crate::support::{Member, Scrape, check_table, eventually, http_get};

/// A policy of each kind that has metrics of its own.
const POLICIES: &str = "
decision_wait: 3s
decision_wait_after_root_received: 1s
policies:
  - {name: sampled, type: probabilistic, probabilistic: {sampling_percentage: 50}}
  - {name: tried, type: always_sample, mode: shadow}
  - name: shared
    type: composite
    composite:
      max_total_spans_per_second: 1000
      policy_order: [rest]
      composite_sub_policy: [{name: rest, type: always_sample}]
";

/// The names in the table that are chosen.
fn table(is_chosen: impl Fn(&Family) -> bool) -> BTreeSet<&'static str> {
    let families = GROUPS.iter().flat_map(|group| group.families);
    families.filter(|family| is_chosen(family)).map(|family| family.name).collect()
}

/// Scenario: a member that has everything, after traffic; `rekey`; and a member with one policy and
/// without a decision log, just started.
/// Guarantees: what is in a scrape is in the table, with its kind, help and labels; what is in the
/// table is in a scrape, and in that of the plain member too unless the table has a condition.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn every_metric_of_the_table_is_in_a_scrape_and_no_other() {
    let rig = Rig::new("metrics", POLICIES);
    let dead = rig.kafka.topic("metrics-dead", 1, &[]);
    let rig = rig.with(&format!("dead_letter: {{topic: {}}}\n", dead.name()));
    let rig = rig.with("retrieval: {listen: '127.0.0.1:0'}\n");
    // Own telemetry has metrics, whether or not anybody listens.
    let own = [("OTEL_EXPORTER_OTLP_ENDPOINT", OsStr::new("http://127.0.0.1:1"))];
    let mut member = Member::start_with(rig.scratch.path(), "member", &rig.config(), &own);
    member.wait_ready();
    let settings = ModelSettings {
        seed: 1,
        start: source::now(),
        rate: 5_000.0,
        max_spans: Some(5_000),
        ..ModelSettings::default()
    };
    rig.write(settings, true).finish();
    rig.settle();
    let whole = checked_scrape(&member);
    drop(member);

    let from = rig.kafka.topic("metrics-from", 1, &[]);
    let (_process, admin) = rekey(&rig, &from, "rekey");
    let rekey = eventually("rekey to be assigned its partition", Duration::from_secs(60), || {
        let scrape = Scrape::parse(&http_get(&admin, "/metrics")?.1);
        (scrape.sum("tailsieve_kafka_owned_partitions") > 0.0).then_some(scrape)
    });
    check_table(&rekey).unwrap();

    let all: BTreeSet<&str> = whole.names().union(&rekey.names()).copied().collect();
    assert_eq!(all, table(|_| true));

    let rig = Rig::new("metrics-plain", KEEP_ALL).with("decision_log: {enabled: false}\n");
    let plain = checked_scrape(&rig.member("member"));
    let is_there = |family: &Family| family.only.is_none_or(|condition| condition == "on Linux");
    assert_eq!(plain.names(), table(is_there));
}
