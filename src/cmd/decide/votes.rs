//! The votes of all policies on one trace, those that were not asked included.

use crate::sampling::policy::spec::PolicySpec;
use crate::sampling::policy::{
    Decision, ExplainedVote, Explanation, PolicyIndex, PolicySet, VoteKind,
};

/// The votes of all policies, in the order of the file.
pub(super) fn all_votes(policies: &PolicySet, explanation: Explanation) -> Vec<ExplainedVote> {
    let Explanation { decision, votes } = explanation;
    let last = votes.iter().find(|vote| {
        let has_effect = vote.vote != VoteKind::None && !policies.is_shadow(vote.policy);
        has_effect && policies.is_rule(vote.policy)
    });
    let last = last.map(|vote| vote.policy);
    let mut votes = votes.into_iter().peekable();
    let of = |(policy, _)| {
        votes.next_if(|vote| vote.policy == policy).unwrap_or_else(|| {
            let reason = not_asked(policies, policy, decision, last);
            ExplainedVote { policy, vote: VoteKind::None, reason, failed: false }
        })
    };
    (0..).map(PolicyIndex).zip(policies.names()).map(of).collect()
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

/// A policy as it was written.
pub(super) fn spec(policies: &PolicySet, policy: PolicyIndex) -> &PolicySpec {
    let mut specs = policies.specs();
    specs.nth(usize::from(policy.0)).expect("a policy's index is one of its set")
}
