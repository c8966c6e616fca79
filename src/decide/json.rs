//! Decisions as JSON: one object a line, the summary last.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Number, Value, json};

use super::offline::{Counts, Verdict};
use super::summary::{Share, Summary};
use crate::books::{Amount, TRIGGERS};
use crate::policy::{Decision, PolicyIndex, PolicySet, Said};
use crate::probability::Threshold;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
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

/// Writes one decision.
pub(super) fn write_verdict(
    out: &mut impl Write,
    policies: &PolicySet,
    verdict: &Verdict,
) -> io::Result<()> {
    let (policy, probability, threshold) = attribution(&verdict.decision);
    let votes = verdict.ballots.iter().map(|ballot| Vote {
        policy: policies.name(ballot.policy),
        vote: said(ballot.said),
        mode: mode(policies, ballot.policy),
        reason: &ballot.reason,
    });
    let line = Line {
        trace_id: verdict.trace_id.to_string(),
        decision: decision(verdict),
        policy: policy.map(|policy| &**policies.name(policy)),
        probability,
        threshold: threshold.map(|threshold| threshold.to_string()),
        trigger: TRIGGERS[verdict.trigger as usize],
        spans: verdict.amount.spans,
        duration_ms: millis(verdict),
        votes: votes.collect(),
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

/// Writes what all decisions came to.
pub(super) fn write_summary(
    out: &mut impl Write,
    policies: &PolicySet,
    summary: &Summary,
    counts: &Counts,
) -> io::Result<()> {
    let mut all = summary.kept;
    all.add(summary.dropped);
    let shares = (0..).map(PolicyIndex).zip(&summary.policies);
    let shares: Vec<Value> = shares.map(|(policy, it)| share(policies, policy, it)).collect();
    let summary = json!({ "summary": {
        "traces": all.traces,
        "spans": all.spans,
        "bytes": all.bytes,
        "kept": amount(summary.kept),
        "dropped": amount(summary.dropped),
        "droppedByNoPolicy": amount(summary.dropped_by_none),
        "late": {
            "kept": { "spans": counts.late_kept.spans, "bytes": counts.late_kept.bytes },
            "dropped": { "spans": counts.late_dropped.spans, "bytes": counts.late_dropped.bytes },
        },
        "records": counts.records,
        "malformedRecords": counts.malformed_records,
        "invalidSpans": counts.invalid_spans,
        "policies": shares,
    }});
    serde_json::to_writer(&mut *out, &summary)?;
    out.write_all(b"\n")
}

fn share(policies: &PolicySet, policy: PolicyIndex, share: &Share) -> Value {
    let mut value = json!({
        "policy": &**policies.name(policy),
        "mode": mode(policies, policy),
        "votes": share.votes,
        "errors": share.errors,
    });
    let mut set = |key: &str, it| value[key] = amount(it);
    if policies.is_shadow(policy) {
        set("wouldKeep", share.would_keep);
        set("wouldDrop", share.would_drop);
    } else {
        set("kept", share.kept);
        set("dropped", share.dropped);
        set("alone", share.alone);
    }
    value
}

fn amount(amount: Amount) -> Value {
    json!({ "traces": amount.traces, "spans": amount.spans, "bytes": amount.bytes })
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
pub(crate) fn decision(verdict: &Verdict) -> &'static str {
    if verdict.is_kept() { "keep" } else { "drop" }
}

/// `keep`, `none` or `drop`.
pub(crate) fn said(said: Said) -> &'static str {
    match said {
        Said::None => "none",
        Said::Keep => "keep",
        Said::Drop => "drop",
    }
}

fn mode(policies: &PolicySet, policy: PolicyIndex) -> &'static str {
    if policies.is_shadow(policy) { "shadow" } else { "enforce" }
}

/// The duration in milliseconds: a whole number if it is one.
fn millis(verdict: &Verdict) -> Number {
    let nanos = verdict.duration.as_nanos();
    let whole = u64::try_from(nanos / 1_000_000).expect("a duration in nanoseconds is of 64 bits");
    match nanos % 1_000_000 {
        0 => whole.into(),
        _ => Number::from_f64(nanos as f64 / 1e6).unwrap_or_else(|| whole.into()),
    }
}
