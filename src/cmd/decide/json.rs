//! Decisions as JSON: one object a line, the summary last.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Number;

use super::offline::{Counts, ExplainedDecision};
use super::summary::{Share, Summary};
use crate::otlp::probability::Threshold;
use crate::sampling::policy::{Decision, PolicyIndex, PolicySet, VoteKind};
use crate::telemetry::accounts::Amount;
use crate::telemetry::metrics::TRIGGERS;

/// A decision as JSON has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DecisionLine<'a> {
    trace_id: String,
    decision: &'static str,
    policy: Option<&'a str>,
    probability: Option<f64>,
    threshold: Option<String>,
    trigger: &'static str,
    spans: u64,
    duration_ms: Number,
    votes: Vec<Vote<'a>>,
}

#[derive(Serialize)]
struct Vote<'a> {
    policy: &'a str,
    vote: &'static str,
    mode: &'static str,
    reason: &'a str,
}

impl<'a> DecisionLine<'a> {
    /// The line of `explained`, which is by `policies`.
    pub(crate) fn new(policies: &'a PolicySet, explained: &'a ExplainedDecision) -> Self {
        let (policy, probability, threshold) = attribution(&explained.decision);
        let votes = explained.votes.iter().map(|vote| Vote {
            policy: policies.name(vote.policy),
            vote: vote_name(vote.vote),
            mode: mode(policies, vote.policy),
            reason: &vote.reason,
        });
        Self {
            trace_id: explained.trace_id.to_string(),
            decision: decision(explained),
            policy: policy.map(|policy| &**policies.name(policy)),
            probability,
            threshold: threshold.map(|threshold| threshold.to_string()),
            trigger: TRIGGERS[explained.trigger as usize],
            spans: explained.amount.spans,
            duration_ms: millis(explained),
            votes: votes.collect(),
        }
    }
}

/// Writes one decision.
pub(super) fn write_decision(
    out: &mut impl Write,
    policies: &PolicySet,
    explained: &ExplainedDecision,
) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &DecisionLine::new(policies, explained))?;
    out.write_all(b"\n")
}

#[derive(Serialize)]
struct LastLine<'a> {
    summary: Whole<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Whole<'a> {
    #[serde(flatten)]
    all: Amount,
    kept: Amount,
    dropped: Amount,
    dropped_by_no_policy: Amount,
    late: Late,
    reopened: u64,
    reopen_over_budget: u64,
    records: u64,
    malformed_records: u64,
    empty_records: u64,
    invalid_spans: u64,
    policies: Vec<OfPolicy<'a>>,
}

#[derive(Serialize)]
struct Late {
    kept: Spans,
    dropped: Spans,
}

#[derive(Serialize)]
struct Spans {
    spans: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct OfPolicy<'a> {
    policy: &'a str,
    mode: &'static str,
    votes: u64,
    errors: u64,
    #[serde(flatten)]
    effect: Effect,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Effect {
    Enforced {
        kept: Amount,
        dropped: Amount,
        alone: Amount,
    },
    #[serde(rename_all = "camelCase")]
    Shadow {
        would_keep: Amount,
        would_drop: Amount,
    },
}

/// Writes what all decisions came to.
pub(super) fn write_summary(
    out: &mut impl Write,
    policies: &PolicySet,
    summary: &Summary,
    counts: &Counts,
) -> io::Result<()> {
    let shares = (0..).map(PolicyIndex).zip(&summary.policies);
    let summary = Whole {
        all: summary.decided(),
        kept: summary.kept,
        dropped: summary.dropped,
        dropped_by_no_policy: summary.dropped_by_none,
        late: Late { kept: spans(counts.late_kept), dropped: spans(counts.late_dropped) },
        reopened: counts.reopened,
        reopen_over_budget: counts.reopen_over_budget,
        records: counts.records,
        malformed_records: counts.malformed_records,
        empty_records: counts.empty_records,
        invalid_spans: counts.invalid_spans,
        policies: shares.map(|(policy, share)| of_policy(policies, policy, share)).collect(),
    };
    serde_json::to_writer(&mut *out, &LastLine { summary })?;
    out.write_all(b"\n")
}

fn of_policy<'a>(policies: &'a PolicySet, policy: PolicyIndex, share: &Share) -> OfPolicy<'a> {
    let Share { votes, errors, kept, dropped, alone, would_keep, would_drop } = *share;
    let effect = match policies.is_shadow(policy) {
        true => Effect::Shadow { would_keep, would_drop },
        false => Effect::Enforced { kept, dropped, alone },
    };
    let (policy, mode) = (policies.name(policy), mode(policies, policy));
    OfPolicy { policy, mode, votes, errors, effect }
}

fn spans(amount: Amount) -> Spans {
    Spans { spans: amount.spans, bytes: amount.bytes }
}

/// The policy of a decision, the probability it was kept with and its threshold, as far as they
/// are known: a budget's probability is not, and what did not come from the trace's randomness
/// has no threshold.
pub(crate) fn attribution(
    decision: &Decision,
) -> (Option<PolicyIndex>, Option<f64>, Option<Threshold>) {
    match *decision {
        Decision::Drop { policy } => (policy, None, None),
        Decision::Keep { policy, threshold, consistent, .. } => {
            let is_known = consistent || threshold != Threshold::NEVER;
            let probability = is_known.then(|| threshold.probability());
            (Some(policy), probability, consistent.then_some(threshold))
        }
    }
}

/// `keep` or `drop`.
pub(crate) fn decision(explained: &ExplainedDecision) -> &'static str {
    if explained.is_kept() { "keep" } else { "drop" }
}

/// `keep`, `none` or `drop`.
pub(crate) fn vote_name(vote: VoteKind) -> &'static str {
    match vote {
        VoteKind::None => "none",
        VoteKind::Keep => "keep",
        VoteKind::Drop => "drop",
    }
}

fn mode(policies: &PolicySet, policy: PolicyIndex) -> &'static str {
    if policies.is_shadow(policy) { "shadow" } else { "enforce" }
}

/// The duration in milliseconds: a whole number if it is one.
fn millis(explained: &ExplainedDecision) -> Number {
    let nanos = explained.duration.as_nanos();
    let whole = u64::try_from(nanos / 1_000_000).expect("a duration in nanoseconds is of 64 bits");
    match nanos % 1_000_000 {
        0 => whole.into(),
        _ => Number::from_f64(nanos as f64 / 1e6).unwrap_or_else(|| whole.into()),
    }
}
