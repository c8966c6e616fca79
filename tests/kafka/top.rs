//! `tailsieve top`, held against the metrics of two real members.

use std::time::Duration;

use tailsieve::testing::kafka::source;
use tailsieve::testing::testbed::generator::ModelSettings;

use crate::rig::{POLICIES, Rig, checked_scrape};
use crate::support::{Member, eventually, tailsieve};

const PATIENCE: Duration = Duration::from_secs(60);

/// What is printed of these members.
fn top(members: &[&Member]) -> (bool, String) {
    let addresses = members.iter().map(|member| member.admin());
    let output = tailsieve().args(["top", "--once"]).args(addresses).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

/// The number below a title, in the first line that begins with `name`.
fn number(text: &str, table: &str, (name, title): (&str, &str)) -> Option<u64> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with(table));
    let head = lines.next()?;
    let line = lines.find(|line| line.split_whitespace().next() == Some(name))?;
    let end = head.find(&format!(" {title} "))? + title.len() + 1;
    line.get(..end)?.split(' ').next_back()?.parse().ok()
}

/// Scenario: two members share a topic and decide its traffic; then one of them is killed.
/// Guarantees: the totals are the sums of both members' metrics, and balance; the one that is gone is
/// shown as away, with the reason, and the exit code says that somebody is missing.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn all_members_together_are_what_their_metrics_say() {
    let rig = Rig::new("top", POLICIES);
    let (one, mut two) = (rig.member("one"), rig.member("two"));
    let settings = ModelSettings {
        seed: 21,
        start: source::now(),
        rate: 3_000.0,
        max_spans: Some(9_000),
        ..ModelSettings::default()
    };
    rig.write(settings, true).finish();
    rig.settle();
    eventually("the numbers to be those of the metrics", PATIENCE, || {
        let before = [checked_scrape(&one), checked_scrape(&two)];
        let (is_complete, text) = top(&[&one, &two]);
        assert!(is_complete && text.starts_with("2 of 2 members ready, 12 partitions"), "{text}");
        let of = |stop: &str| number(&text, "FLOW", (stop, "SPANS")).expect("a number");
        let sum = |name: &str| {
            let name = format!("tailsieve_{name}_spans_total");
            before.iter().map(|scrape| scrape.sum(&name)).sum::<f64>() as u64
        };
        if of("in") != sum("received") || of("in") < 9_000 {
            return None;
        }
        let stops = ["kept", "dropped", "late", "invalid", "revoked", "replayed"];
        for stop in stops {
            assert_eq!(of(stop), sum(stop), "{stop} in {text}");
        }
        let accounted: u64 = stops.iter().map(|stop| of(stop)).sum();
        assert_eq!(of("in"), accounted + of("open"), "{text}");
        let kept = before.iter().map(|it| it.sum("tailsieve_kept_traces_total")).sum::<f64>();
        let of_policies = ["errors", "slow", "the-rest"]
            .map(|policy| number(&text, "POLICY", (policy, "KEPT")).expect("a number"));
        assert_eq!(of_policies.iter().sum::<u64>(), kept as u64, "{text}");
        Some(())
    });
    two.process.kill();
    let (is_complete, text) = top(&[&one, &two]);
    assert!(!is_complete && text.starts_with("1 of 2 members ready"), "{text}");
    assert!(text.contains("AWAY") && text.contains("Connection refused"), "{text}");
}
