//! What every policy has to say of one decision, those that were not asked included.

use crate::sampling::policy::spec::PolicySpec;
use crate::sampling::policy::{Decision, Explanation, PolicyIndex, PolicySet, Said};

/// What one policy said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ballot {
    /// Which one.
    pub policy: PolicyIndex,
    /// What it said; nothing if it was not asked.
    pub said: Said,
    /// Why, in a few words.
    pub reason: String,
    /// Some condition of it could not be evaluated.
    pub failed: bool,
}

/// What all policies said, in the order of the file.
pub(super) fn ballots(policies: &PolicySet, explanation: Explanation) -> Vec<Ballot> {
    let Explanation { decision, votes } = explanation;
    let last = votes.iter().find(|vote| {
        let said_something = vote.said != Said::None && !policies.is_shadow(vote.policy);
        said_something && policies.is_rule(vote.policy)
    });
    let last = last.map(|vote| vote.policy);
    let mut votes = votes.into_iter().peekable();
    let ballot = |(policy, _)| match votes.next_if(|vote| vote.policy == policy) {
        Some(vote) => Ballot { policy, said: vote.said, reason: vote.reason, failed: vote.failed },
        None => {
            let reason = not_asked(policies, policy, decision, last);
            Ballot { policy, said: Said::None, reason, failed: false }
        }
    };
    (0..).map(PolicyIndex).zip(policies.names()).map(ballot).collect()
}

/// Why a policy was not asked: only a rule that matched, or that it costs budget, can be.
fn not_asked(
    policies: &PolicySet,
    policy: PolicyIndex,
    decision: Decision,
    last: Option<PolicyIndex>,
) -> String {
    let why = match (last, decision) {
        (Some(rule), _) if rule < policy => {
            format!("rule {} matched and is final", policies.name(rule))
        }
        (_, Decision::Keep { policy, .. }) => {
            format!("it spends a budget, and {} keeps the trace", policies.name(policy))
        }
        (_, Decision::Drop { policy: Some(policy) }) => {
            format!("it spends a budget, and {} drops the trace", policies.name(policy))
        }
        (_, Decision::Drop { policy: None }) => "the trace is dropped without it".to_owned(),
    };
    format!("not asked: {why}")
}

/// As it was written.
pub(super) fn spec(policies: &PolicySet, policy: PolicyIndex) -> &PolicySpec {
    let mut specs = policies.specs();
    specs.nth(usize::from(policy.0)).expect("a policy's index is one of its set")
}
