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
