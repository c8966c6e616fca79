//! The comparison of a ledger with what a backend received.
//!
//! Counts deliveries as they come in, in any order and number, and compares them with a ledger at the
//! end. Promises an implementation of the default policies that shares nothing with the pipeline.

use std::collections::HashMap;

use super::verdict::Verdict;
use super::{Ledger, TraceEntry};
use crate::ids::{SpanId, TraceId};

/// The attribute that names the policy a span was kept by.
pub(super) const POLICY_ATTRIBUTE: &str = "tailsieve.policy";

/// 2^56: how many values the randomness R can have.
const RANDOMNESS_RANGE: u64 = 1 << 56;

/// What a backend should have got.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Expectation {
    /// What the default policy file keeps: `errors`, `slow` and `the-rest`.
    Default {
        /// `sampling_percentage` of `the-rest`.
        percentage: f64,
        /// `threshold_ms` of `slow`.
        threshold_ms: u64,
    },
    /// Unknown policies: every trace that arrived must have arrived whole.
    WholeOnly,
}

impl Default for Expectation {
    fn default() -> Self {
        Self::Default { percentage: 10.0, threshold_ms: 1000 }
    }
}

/// What is expected of a trace.
enum Fate {
    KeptBy(&'static str),
    Dropped,
    Unknown,
}

impl Expectation {
    fn fate(self, trace: &TraceEntry) -> Fate {
        let Self::Default { percentage, threshold_ms } = self else {
            return Fate::Unknown;
        };
        if trace.error {
            Fate::KeptBy("errors")
        } else if trace.duration_ms() > threshold_ms {
            Fate::KeptBy("slow")
        } else if sampling_threshold(percentage).is_some_and(|t| trace.randomness >= t) {
            Fate::KeptBy("the-rest")
        } else {
            Fate::Dropped
        }
    }
}

/// The rejection threshold T of a percentage, 56 bits: a trace is kept if R >= T. None: never.
///
/// Four hexadecimal digits are significant, not counting leading `f`s or zeros (OpenTelemetry
/// specification, "TraceState: Probability Sampling", and the Collector's `pkg/sampling`).
pub fn sampling_threshold(percentage: f64) -> Option<u64> {
    let probability = percentage / 100.0;
    if probability.is_nan() || probability <= 0.0 {
        return None;
    }
    if probability >= 1.0 {
        return Some(0);
    }
    let leading_digits = |x: f64| (-(x.log2().floor() as i32 + 1) / 4).max(0) as u32;
    let digits = 4 + leading_digits(probability).max(leading_digits(1.0 - probability));
    let exact = RANDOMNESS_RANGE - (probability * RANDOMNESS_RANGE as f64).round() as u64;
    let shift = 4 * 14_u32.saturating_sub(digits);
    let half = (1 << shift) >> 1;
    Some((exact + half) >> shift << shift)
}

/// What arrived of a trace.
#[derive(Default)]
struct Received {
    spans: HashMap<SpanId, u32>,
    /// The different values of the policy attribute, `None` for a span without one.
    policies: Vec<Option<String>>,
}

impl Received {
    /// True if a span was delivered more often than it was produced.
    fn is_delivered_again(&self, trace: &TraceEntry) -> bool {
        trace.spans.iter().any(|span| {
            let deliveries = self.spans.get(&span.span_id).copied().unwrap_or(0);
            u64::from(deliveries) > u64::from(span.copies)
        })
    }
}

/// Collects what a backend received, then compares it with a ledger.
pub struct Check {
    expectation: Expectation,
    received: HashMap<TraceId, Received>,
}

impl Check {
    /// A check that has received nothing yet.
    pub fn new(expectation: Expectation) -> Self {
        Self { expectation, received: HashMap::new() }
    }

    /// Takes in one delivered span and the value of its `tailsieve.policy`.
    pub fn observe_span(&mut self, trace_id: TraceId, span_id: SpanId, policy: Option<&str>) {
        let trace = self.received.entry(trace_id).or_default();
        *trace.spans.entry(span_id).or_default() += 1;
        if !trace.policies.iter().any(|known| known.as_deref() == policy) {
            trace.policies.push(policy.map(str::to_owned));
        }
    }

    /// The different values of the policy attribute on what arrived of a trace, `None` for spans
    /// without one; empty if nothing did.
    pub fn policies_of(&self, trace_id: TraceId) -> &[Option<String>] {
        self.received.get(&trace_id).map_or(&[], |received| &received.policies)
    }

    /// Compares everything received so far with `ledger`.
    pub fn verdict(&self, ledger: &Ledger) -> Verdict {
        let mut verdict = Verdict {
            traces: ledger.traces.len() as u64,
            spans: ledger.span_count(),
            produced_again: ledger.produced_again(),
            received_traces: self.received.len() as u64,
            ..Verdict::default()
        };
        let attributed = self.received.values().flat_map(|r| &r.policies);
        let attributed = attributed.flatten().next().is_some();
        for (trace_id, trace) in &ledger.traces {
            let received = self.received.get(trace_id);
            let before = verdict.defects();
            judge(&mut verdict, trace, received, &self.expectation.fate(trace), attributed);
            if verdict.defects() > before {
                verdict.add_example(*trace_id);
            }
        }
        for (trace_id, received) in &self.received {
            count_policies(&mut verdict, received);
            if !ledger.traces.contains_key(trace_id) {
                verdict.extra_traces += 1;
                verdict.unknown_spans += received.spans.len() as u64;
                verdict.received_spans += received.spans.len() as u64;
                verdict.add_example(*trace_id);
            }
        }
        verdict
    }
}

fn judge(
    verdict: &mut Verdict,
    trace: &TraceEntry,
    received: Option<&Received>,
    fate: &Fate,
    attributed: bool,
) {
    if let Fate::KeptBy(policy) = fate {
        verdict.expected_traces += 1;
        *verdict.expected_by_policy.entry((*policy).into()).or_default() += 1;
    }
    let Some(received) = received else {
        if let Fate::KeptBy(_) = fate {
            let (late, timely): (Vec<_>, Vec<_>) = trace.spans.iter().partition(|span| span.late);
            verdict.missing_traces += 1;
            verdict.missing_spans += timely.len() as u64;
            verdict.late_expected += late.len() as u64;
            verdict.late_missing += late.len() as u64;
        }
        return;
    };
    count_deliveries(verdict, trace, received);
    if let Fate::Dropped = fate {
        verdict.extra_traces += 1;
        return;
    }
    count_missing(verdict, trace, received);
    if let Fate::KeptBy(expected) = fate {
        let as_expected = |policy: &Option<String>| policy.as_deref() == Some(*expected);
        let mut policies = received.policies.iter();
        // Spans that are delivered again may have been decided again, on a part of the trace. The
        // first decision was on the whole trace.
        let is_right = match received.is_delivered_again(trace) {
            true => policies.any(as_expected),
            false => policies.all(as_expected),
        };
        verdict.policy_mismatches += u64::from(attributed && !is_right);
    }
}

/// Counts the missing spans of a trace of which something was delivered.
fn count_missing(verdict: &mut Verdict, trace: &TraceEntry, received: &Received) {
    let mut missing = 0;
    for span in &trace.spans {
        let absent = u64::from(!received.spans.contains_key(&span.span_id));
        if span.late {
            verdict.late_expected += 1;
            verdict.late_missing += absent;
        } else {
            missing += absent;
        }
    }
    verdict.missing_spans += missing;
    verdict.partial_traces += u64::from(missing > 0);
}

/// Counts the delivered spans of a known trace, expected or not.
fn count_deliveries(verdict: &mut Verdict, trace: &TraceEntry, received: &Received) {
    let mut known = 0;
    for span in &trace.spans {
        if let Some(&delivered) = received.spans.get(&span.span_id) {
            known += 1;
            verdict.duplicates += u64::from(delivered.saturating_sub(span.copies));
            verdict.copies_delivered += u64::from(delivered.min(span.copies)) - 1;
        }
    }
    verdict.received_spans += received.spans.len() as u64;
    verdict.unknown_spans += received.spans.len() as u64 - known;
}

fn count_policies(verdict: &mut Verdict, received: &Received) {
    let name = match received.policies.as_slice() {
        [one] => one.clone().unwrap_or_else(|| "(none)".into()),
        _ => "(several)".into(),
    };
    *verdict.received_by_policy.entry(name).or_default() += 1;
}
