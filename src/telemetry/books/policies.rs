//! The counters of a policy set.
//!
//! Made when the set comes into force: all its series are there, at 0, from then on, and those of
//! policies that were there before go on.

use metrics::{Counter, Label, Unit, counter, describe_counter};

use super::counters::{AmountCounters, post_all};
use super::{Tally, VOTES};

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

/// Where the tallies of a policy set are posted.
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
    /// In the order of [`VOTES`].
    votes: [Counter; 3],
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
        describe();
        Self {
            policies: policies.map(OnePolicy::new).collect(),
            leaves: leaves.map(OneLeaf::new).collect(),
            unwanted: AmountCounters::new("dropped", &[label("policy", NO_POLICY)]),
        }
    }

    pub(super) fn post(&self, tally: &Tally) {
        debug_assert_eq!(self.policies.len(), tally.policies.len(), "the tally is of this set");
        debug_assert_eq!(self.leaves.len(), tally.leaves.len(), "the tally is of this set");
        for (to, policy) in self.policies.iter().zip(&tally.policies) {
            to.kept.post(policy.kept);
            to.dropped.post(policy.dropped);
            post_all(&to.votes, &policy.votes);
            to.errors.increment(policy.errors);
            if let Some((kept, dropped)) = &to.shadow {
                kept.post(policy.shadow_kept);
                dropped.post(policy.shadow_dropped);
            }
        }
        for (to, leaf) in self.leaves.iter().zip(&tally.leaves) {
            to.votes.increment(leaf.votes);
            to.kept.post(leaf.kept);
        }
        self.unwanted.post(tally.unwanted);
    }
}

impl OnePolicy {
    fn new(policy: CountedPolicy<'_>) -> Self {
        let labels = [label("policy", policy.name)];
        let amounts = |what: &str| AmountCounters::new(what, &labels);
        let vote = |vote: &'static str| {
            let labels = vec![label("policy", policy.name), label("vote", vote)];
            counter!("tailsieve_policy_votes_total", labels)
        };
        Self {
            kept: amounts("kept"),
            dropped: amounts("dropped"),
            votes: VOTES.map(vote),
            errors: counter!("tailsieve_policy_errors_total", labels.to_vec()),
            shadow: policy.is_shadow.then(|| (amounts("shadow_kept"), amounts("shadow_dropped"))),
        }
    }
}

impl OneLeaf {
    fn new(leaf: CountedLeaf<'_>) -> Self {
        let labels = [label("policy", leaf.policy), label("sub_policy", leaf.name)];
        Self {
            votes: counter!("tailsieve_composite_votes_total", labels.to_vec()),
            kept: AmountCounters::new("composite_kept", &labels),
        }
    }
}

fn label(key: &'static str, value: &str) -> Label {
    Label::new(key, value.to_owned())
}

fn describe() {
    let amounts = [
        ("shadow_kept", "that were dropped and that a shadow policy would have kept"),
        ("shadow_dropped", "that were kept and that a shadow policy would have dropped"),
        ("composite_kept", "kept by a child of a composite policy"),
    ];
    for (name, of) in amounts {
        describe_counter!(format!("tailsieve_{name}_traces_total"), format!("traces {of}"));
        describe_counter!(format!("tailsieve_{name}_spans_total"), format!("spans of traces {of}"));
        let bytes = format!("tailsieve_{name}_bytes_total");
        let text = format!("wire bytes of spans of traces {of}");
        describe_counter!(bytes, Unit::Bytes, text);
    }
    let text = "what policies said when they were asked, shadow ones too";
    describe_counter!("tailsieve_policy_votes_total", text);
    let text = "traces of which a policy could not evaluate something";
    describe_counter!("tailsieve_policy_errors_total", text);
    let text = "times that a child of a composite policy voted keep and had budget";
    describe_counter!("tailsieve_composite_votes_total", text);
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::telemetry::books::{Amount, Books};

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
            let books = Books::new();
            let first = counters(&[("a", false), ("gone", false)], &[]);
            let mut tally = Tally::new(2, 0);
            tally.policies[0].votes = [0, 3, 0];
            tally.policies[0].kept = Amount { traces: 2, spans: 5, bytes: 70 };
            tally.policies[1].errors = 1;
            books.post(&first, &mut tally, Amount::default(), Amount::default());
            let next =
                counters(&[("new", true), ("a", false), ("shares", false)], &[("shares", "x")]);
            let mut tally = Tally::new(3, 1);
            tally.policies[1].votes = [1, 1, 0];
            tally.policies[0].shadow_kept = Amount { traces: 1, spans: 2, bytes: 3 };
            tally.leaves[0].votes = 4;
            books.post(&next, &mut tally, Amount::default(), Amount::default());
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
