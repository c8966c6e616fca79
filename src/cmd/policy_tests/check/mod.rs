//! One test: its traces through a partition of their own, and what came out against what was
//! expected.

use std::time::Duration;

use super::spans;
use crate::cmd::decide::{ExplainedDecision, Offline, attribution, decision, vote_name};
use crate::config::PolicyFile;
use crate::config::policy_tests::{Expected, ExpectedVote, PolicyTest, TraceCase};
use crate::ids::{Timestamp, TraceId};
use crate::otlp::probability::RANGE;
use crate::sampling::policy::{CompileError, ExplainedVote, PolicySet, VoteKind};

/// When every test begins, from the Unix epoch: no clock is read.
const ORIGIN: Duration = Duration::from_secs(1_700_000_000);

/// What a test came to.
#[derive(Debug)]
pub struct Outcome {
    /// By trace, in the order of the file.
    pub traces: Vec<TraceOutcome>,
    /// The policies that were asked.
    pub offline: Offline,
}

/// What became of one trace.
#[derive(Debug)]
pub struct TraceOutcome {
    /// The decision, and how it came about.
    pub explained: ExplainedDecision,
    /// What is not as expected.
    pub differences: Vec<Difference>,
}

/// Something that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `decision`, `policy`, `threshold`, or `vote of NAME`.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What came out.
    pub got: String,
}

impl Outcome {
    /// True if everything is as expected.
    pub fn passed(&self) -> bool {
        self.traces.iter().all(|trace| trace.differences.is_empty())
    }

    /// The policies that were asked.
    pub fn policies(&self) -> &PolicySet {
        self.offline.policies()
    }
}

/// Why a test cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The policies cannot be compiled.
    #[error(transparent)]
    Policies(#[from] CompileError),
    /// Two traces have the same id, so they are one.
    #[error("two of its traces have the id {0}")]
    SameId(TraceId),
}

/// Runs a test.
///
/// # Errors
/// If the policies cannot be compiled, or two traces of the test are one.
pub fn check(file: &PolicyFile, test: &PolicyTest) -> Result<Outcome, CheckError> {
    let mut offline = Offline::new(file)?;
    let mut decisions: Vec<ExplainedDecision> = Vec::with_capacity(test.traces.len());
    let mut in_order: Vec<(TraceId, &TraceCase)> = Vec::with_capacity(test.traces.len());
    for (number, case) in (1..).zip(&test.traces) {
        let id = case.trace_id.unwrap_or_else(|| trace_id(number, case.randomness));
        if in_order.iter().any(|(other, _)| *other == id) {
            return Err(CheckError::SameId(id));
        }
        in_order.push((id, case));
    }
    let ids: Vec<TraceId> = in_order.iter().map(|(id, _)| *id).collect();
    in_order.sort_by_key(|(_, case)| case.at);
    for (id, case) in in_order {
        let (time, mut out) = (ORIGIN.saturating_add(case.at), |decision| decisions.push(decision));
        let record = spans::record(id, time, &case.roots);
        let now = Timestamp(0).after(time);
        // Time passes evenly between traces: each is decided when its time comes.
        offline.run_on(Some(now), &mut out);
        offline.take_in(Some(now), &record, &mut out).expect("what was encoded can be read");
    }
    offline.run_on(None, &mut |decision| decisions.push(decision));
    let outcome = |(id, case): (&TraceId, &TraceCase)| {
        let at = decisions.iter().position(|decision| decision.trace_id == *id);
        let explained = decisions.swap_remove(at.expect("every trace is decided"));
        let differences = compare(offline.policies(), &case.expected, &explained);
        TraceOutcome { explained, differences }
    };
    let traces = ids.iter().zip(&test.traces).map(outcome).collect();
    Ok(Outcome { traces, offline })
}

/// The id of the trace with this number, from 1: its low 56 bits are the randomness.
fn trace_id(number: u64, randomness: f64) -> TraceId {
    let randomness = ((randomness * RANGE as f64) as u64).min(RANGE - 1);
    let id = u128::from(number) << 64 | u128::from(randomness);
    TraceId::from_slice(&id.to_be_bytes()).expect("16 bytes, and the number is not 0")
}

fn compare(
    policies: &PolicySet,
    expected: &Expected,
    explained: &ExplainedDecision,
) -> Vec<Difference> {
    let (policy, _, threshold) = attribution(&explained.decision);
    let mut differences = Vec::new();
    let mut differ = |what: String, expected: &str, got: String| {
        if expected != got {
            differences.push(Difference { what, expected: expected.to_owned(), got });
        }
    };
    if let Some(kept) = expected.kept {
        let expected = if kept { "keep" } else { "drop" };
        differ("decision".to_owned(), expected, decision(explained).to_owned());
    }
    if let Some(name) = &expected.policy {
        let expected = if name.is_empty() { "none" } else { name };
        let got = policy.map_or("none", |policy| policies.name(policy));
        differ("policy".to_owned(), expected, got.to_owned());
    }
    if let Some(expected) = &expected.threshold {
        let got = threshold.map_or_else(|| "none".to_owned(), |threshold| threshold.to_string());
        differ("threshold".to_owned(), expected, got);
    }
    for (name, vote) in &expected.votes {
        let is_it = |it: &&ExplainedVote| **policies.name(it.policy) == **name;
        let got = explained.votes.iter().find(is_it).map_or(VoteKind::None, |it| it.vote);
        let vote = match vote {
            ExpectedVote::Keep => VoteKind::Keep,
            ExpectedVote::None => VoteKind::None,
            ExpectedVote::Drop => VoteKind::Drop,
        };
        differ(format!("vote of {name}"), vote_name(vote), vote_name(got).to_owned());
    }
    differences
}

#[cfg(test)]
mod tests;
