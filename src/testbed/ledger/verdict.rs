//! The result of the comparison, in numbers and as a table.

use std::collections::BTreeMap;
use std::fmt;

use crate::ids::TraceId;

/// How many traces with a defect are named.
const EXAMPLES: usize = 10;

/// What a backend received, against what it should have. Spans are counted once however often
/// they were delivered, unless a field says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Traces produced.
    pub traces: u64,
    /// Different spans produced.
    pub spans: u64,
    /// Productions of spans beyond the first of each: the duplicates that were made on purpose.
    pub produced_again: u64,
    /// Traces that the policies keep; 0 if the policies are unknown.
    pub expected_traces: u64,
    /// Traces of which anything was delivered.
    pub received_traces: u64,
    /// Different spans delivered.
    pub received_spans: u64,
    /// Expected traces of which nothing was delivered.
    pub missing_traces: u64,
    /// Spans of expected traces that were not delivered, late ones not counted.
    pub missing_spans: u64,
    /// Traces of which some spans were delivered and others not, late ones not counted.
    pub partial_traces: u64,
    /// Traces that were delivered although the policies drop them, or that were never produced.
    pub extra_traces: u64,
    /// Spans delivered that were never produced.
    pub unknown_spans: u64,
    /// Deliveries of spans beyond the number of times they were produced.
    pub duplicates: u64,
    /// Deliveries of spans beyond the first, up to the number of times they were produced.
    pub copies_delivered: u64,
    /// Late spans of traces that were expected or delivered.
    pub late_expected: u64,
    /// Those of them that were not delivered.
    pub late_missing: u64,
    /// Traces with a span whose `tailsieve.policy` is not the policy that keeps the trace; of traces
    /// that were delivered again, those with no span that names that policy. Not counted if no span at all carries
    /// the attribute: then it is switched off.
    pub policy_mismatches: u64,
    /// Traces expected by policy.
    pub expected_by_policy: BTreeMap<String, u64>,
    /// Traces delivered by `tailsieve.policy`; `(none)` without it, `(several)` if spans differ.
    pub received_by_policy: BTreeMap<String, u64>,
    /// Some of the traces that have a defect.
    pub examples: Vec<TraceId>,
}

impl Verdict {
    /// True if every expected trace was delivered whole, nothing else was, and each was attributed
    /// to the right policy. Duplicates are allowed (delivery is at least once), and missing late spans
    /// count only in [`Verdict::late_missing`]: the caller has to check both.
    pub fn is_balanced(&self) -> bool {
        self.defects() == 0
    }

    /// Number of defects.
    pub(super) fn defects(&self) -> u64 {
        self.missing_traces
            + self.missing_spans
            + self.partial_traces
            + self.extra_traces
            + self.unknown_spans
            + self.policy_mismatches
    }

    pub(super) fn add_example(&mut self, trace_id: TraceId) {
        if self.examples.len() < EXAMPLES {
            self.examples.push(trace_id);
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            ("produced", self.traces, "traces"),
            ("", self.spans, "spans"),
            ("", self.produced_again, "spans produced again"),
            ("expected", self.expected_traces, "traces"),
            ("delivered", self.received_traces, "traces"),
            ("", self.received_spans, "spans"),
            ("", self.copies_delivered, "copies of spans produced again"),
            ("missing", self.missing_traces, "traces"),
            ("", self.missing_spans, "spans"),
            ("", self.late_missing, "late spans"),
            ("delivered in part", self.partial_traces, "traces"),
            ("not expected", self.extra_traces, "traces"),
            ("", self.unknown_spans, "spans"),
            ("wrong policy", self.policy_mismatches, "traces"),
            ("duplicates", self.duplicates, "deliveries of spans"),
        ];
        for (label, count, unit) in rows {
            writeln!(f, "{label:<18}{count:>12}  {unit}")?;
        }
        let expected = self.expected_by_policy.keys();
        let mut policies: Vec<_> = expected.chain(self.received_by_policy.keys()).collect();
        policies.sort_unstable();
        policies.dedup();
        for policy in policies {
            let count = |by: &BTreeMap<String, u64>| by.get(policy).copied().unwrap_or(0);
            let received = count(&self.received_by_policy);
            write!(f, "{:<18}{received:>12}  traces", format!("by {policy}"))?;
            match count(&self.expected_by_policy) {
                _ if self.expected_traces == 0 => writeln!(f)?,
                expected => writeln!(f, ", {expected} expected")?,
            }
        }
        for trace_id in &self.examples {
            writeln!(f, "for example        {trace_id}")?;
        }
        let balance = if self.is_balanced() { "balanced" } else { "NOT balanced" };
        write!(f, "ledger            {balance:>12}")
    }
}
