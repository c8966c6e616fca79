//! The counters of a policy set.
//!
//! Made when the set comes into force: all its series are there, at 0, from then on, and those of
//! policies that were there before go on.

use metrics::Counter;

use crate::telemetry::metrics::table;

use super::Counts;
use super::counters::{AmountCounters, post_all};

/// The policy label of what no policy voted to keep and none dropped.
const NO_POLICY: &str = "none";

/// A policy, as far as its metrics go.
#[derive(Clone, Copy, Debug)]
pub struct CountedPolicy<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its votes have no effect.
    pub is_shadow: bool,
}

/// A child of a `composite` policy, as far as its metrics go.
#[derive(Clone, Copy, Debug)]
pub struct CountedLeaf<'a> {
    /// The policy.
    pub policy: &'a str,
    /// The child.
    pub name: &'a str,
}

/// Where the counts of a policy set are posted.
#[derive(Debug)]
pub struct PolicyCounters {
    policies: Vec<OnePolicy>,
    leaves: Vec<OneLeaf>,
    unwanted: AmountCounters,
}

#[derive(Debug)]
struct OnePolicy {
    kept: AmountCounters,
    dropped: AmountCounters,
    alone: AmountCounters,
    /// In the order of [`VOTES`](crate::telemetry::metrics::VOTES).
    votes: Vec<Counter>,
    errors: Counter,
    /// What would have been kept and dropped, if the policy is a shadow one.
    shadow: Option<(AmountCounters, AmountCounters)>,
}

#[derive(Debug)]
struct OneLeaf {
    votes: Counter,
    kept: AmountCounters,
}

impl PolicyCounters {
    /// Registers every series with the installed recorder.
    pub fn new<'a>(
        policies: impl Iterator<Item = CountedPolicy<'a>>,
        leaves: impl Iterator<Item = CountedLeaf<'a>>,
    ) -> Self {
        let dropped = [&table::DROPPED_TRACES, &table::DROPPED_SPANS, &table::DROPPED_BYTES];
        Self {
            policies: policies.map(OnePolicy::new).collect(),
            leaves: leaves.map(OneLeaf::new).collect(),
            unwanted: AmountCounters::new(dropped, &[NO_POLICY]),
        }
    }

    pub(super) fn post(&self, counts: &Counts) {
        debug_assert_eq!(self.policies.len(), counts.policies.len(), "the counts are of this set");
        debug_assert_eq!(self.leaves.len(), counts.leaves.len(), "the counts are of this set");
        for (to, policy) in self.policies.iter().zip(&counts.policies) {
            to.kept.post(policy.kept);
            to.dropped.post(policy.dropped);
            to.alone.post(policy.alone);
            post_all(&to.votes, &policy.votes);
            to.errors.increment(policy.errors);
            if let Some((kept, dropped)) = &to.shadow {
                kept.post(policy.shadow_kept);
                dropped.post(policy.shadow_dropped);
            }
        }
        for (to, leaf) in self.leaves.iter().zip(&counts.leaves) {
            to.votes.increment(leaf.votes);
            to.kept.post(leaf.kept);
        }
        self.unwanted.post(counts.unwanted);
    }
}

impl OnePolicy {
    fn new(policy: CountedPolicy<'_>) -> Self {
        let name = [policy.name];
        let amounts = |metrics| AmountCounters::new(metrics, &name);
        let shadow = || {
            let kept =
                [&table::SHADOW_KEPT_TRACES, &table::SHADOW_KEPT_SPANS, &table::SHADOW_KEPT_BYTES];
            let dropped = [
                &table::SHADOW_DROPPED_TRACES,
                &table::SHADOW_DROPPED_SPANS,
                &table::SHADOW_DROPPED_BYTES,
            ];
            (amounts(kept), amounts(dropped))
        };
        Self {
            kept: amounts([&table::KEPT_TRACES, &table::KEPT_SPANS, &table::KEPT_BYTES]),
            dropped: amounts([
                &table::DROPPED_TRACES,
                &table::DROPPED_SPANS,
                &table::DROPPED_BYTES,
            ]),
            alone: amounts([&table::ALONE_TRACES, &table::ALONE_SPANS, &table::ALONE_BYTES]),
            votes: table::POLICY_VOTES.each(&name),
            errors: table::POLICY_ERRORS.with(&name),
            shadow: policy.is_shadow.then(shadow),
        }
    }
}

impl OneLeaf {
    fn new(leaf: CountedLeaf<'_>) -> Self {
        let names = [leaf.policy, leaf.name];
        let kept = [
            &table::COMPOSITE_KEPT_TRACES,
            &table::COMPOSITE_KEPT_SPANS,
            &table::COMPOSITE_KEPT_BYTES,
        ];
        Self { votes: table::COMPOSITE_VOTES.with(&names), kept: AmountCounters::new(kept, &names) }
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::telemetry::accounts::{Accounts, Amount};

    fn counters(policies: &[(&str, bool)], leaves: &[(&str, &str)]) -> PolicyCounters {
        let policies =
            policies.iter().map(|(name, is_shadow)| CountedPolicy { name, is_shadow: *is_shadow });
        let leaves = leaves.iter().map(|(policy, name)| CountedLeaf { policy, name });
        PolicyCounters::new(policies, leaves)
    }

    /// The lines of a scrape that are about `policy`.
    fn series(scrape: &str, policy: &str) -> Vec<String> {
        let label = format!("{{policy=\"{policy}\"");
        let mut series: Vec<String> =
            scrape.lines().filter(|line| line.contains(&label)).map(str::to_owned).collect();
        series.sort();
        series
    }

    #[test]
    fn every_series_is_there_from_the_start_and_goes_on_after_a_change() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let scrape = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            let accounts = Accounts::new();
            let first = counters(&[("a", false), ("gone", false)], &[]);
            let mut counts = Counts::new(2, 0);
            counts.policies[0].votes = [0, 3, 0];
            counts.policies[0].kept = Amount { traces: 2, spans: 5, bytes: 70 };
            counts.policies[1].errors = 1;
            accounts.post(&first, &mut counts, Amount::default(), Amount::default());
            let next =
                counters(&[("new", true), ("a", false), ("shares", false)], &[("shares", "x")]);
            let mut counts = Counts::new(3, 1);
            counts.policies[1].votes = [1, 1, 0];
            counts.policies[0].shadow_kept = Amount { traces: 1, spans: 2, bytes: 3 };
            counts.leaves[0].votes = 4;
            accounts.post(&next, &mut counts, Amount::default(), Amount::default());
        });
        let scrape = scrape.render();
        let votes = |policy| {
            let all = series(&scrape, policy).into_iter();
            all.filter(|line| line.contains("votes")).collect::<Vec<_>>()
        };
        let vote = |vote: &str, count| {
            format!("tailsieve_policy_votes_total{{policy=\"a\",vote=\"{vote}\"}} {count}")
        };
        assert_eq!(votes("a"), [vote("drop", 0), vote("keep", 4), vote("none", 1)]);
        let expected = [
            "tailsieve_alone_bytes_total{policy=\"new\"} 0",
            "tailsieve_alone_spans_total{policy=\"new\"} 0",
            "tailsieve_alone_traces_total{policy=\"new\"} 0",
            "tailsieve_dropped_bytes_total{policy=\"new\"} 0",
            "tailsieve_dropped_spans_total{policy=\"new\"} 0",
            "tailsieve_dropped_traces_total{policy=\"new\"} 0",
            "tailsieve_kept_bytes_total{policy=\"new\"} 0",
            "tailsieve_kept_spans_total{policy=\"new\"} 0",
            "tailsieve_kept_traces_total{policy=\"new\"} 0",
            "tailsieve_policy_errors_total{policy=\"new\"} 0",
            "tailsieve_policy_votes_total{policy=\"new\",vote=\"drop\"} 0",
            "tailsieve_policy_votes_total{policy=\"new\",vote=\"keep\"} 0",
            "tailsieve_policy_votes_total{policy=\"new\",vote=\"none\"} 0",
            "tailsieve_shadow_dropped_bytes_total{policy=\"new\"} 0",
            "tailsieve_shadow_dropped_spans_total{policy=\"new\"} 0",
            "tailsieve_shadow_dropped_traces_total{policy=\"new\"} 0",
            "tailsieve_shadow_kept_bytes_total{policy=\"new\"} 3",
            "tailsieve_shadow_kept_spans_total{policy=\"new\"} 2",
            "tailsieve_shadow_kept_traces_total{policy=\"new\"} 1",
        ];
        assert_eq!(series(&scrape, "new"), expected);
        for line in [
            "tailsieve_kept_spans_total{policy=\"a\"} 5",
            "tailsieve_policy_errors_total{policy=\"gone\"} 1",
            "tailsieve_composite_votes_total{policy=\"shares\",sub_policy=\"x\"} 4",
            "tailsieve_composite_kept_spans_total{policy=\"shares\",sub_policy=\"x\"} 0",
        ] {
            assert!(scrape.lines().any(|found| found == line), "{line} in {scrape}");
        }
    }
}
