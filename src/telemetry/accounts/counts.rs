//! What one worker has counted: plain numbers, until they are posted.
//!
//! Counting allocates nothing: the vectors are made for one policy set, and others for the
//! next one.

use serde::Serialize;

use crate::otlp::encoding::{Compression, Encoding};
use crate::telemetry::metrics::{
    Invalid, LOOKUPS, Misrouted, ReopenFailure, Replayed, RestoreFailure, TRIGGERS, VOTES,
};

/// An amount of spans: how many traces they belong to, how many they are, their wire bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Amount {
    /// Number of traces; zero where spans do not make a trace of their own.
    pub traces: u64,
    /// Number of spans.
    pub spans: u64,
    /// Their wire bytes.
    pub bytes: u64,
}

impl Amount {
    /// Adds `other`.
    pub fn add(&mut self, other: Self) {
        self.traces += other.traces;
        self.spans += other.spans;
        self.bytes += other.bytes;
    }
}

/// What one policy did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicyCounts {
    /// What was kept on its account.
    pub kept: Amount,
    /// What it dropped.
    pub dropped: Amount,
    /// What it alone decided.
    pub alone: Amount,
    /// Its votes (see [`VOTES`]).
    pub votes: [u64; VOTES.len()],
    /// Traces of which it could not evaluate something.
    pub errors: u64,
    /// Of a shadow policy: what was dropped and it would have kept.
    pub shadow_kept: Amount,
    /// Of a shadow policy: what was kept and it would have dropped.
    pub shadow_dropped: Amount,
}

/// What one child of a `composite` policy did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeafCounts {
    /// How often it voted keep and had budget.
    pub votes: u64,
    /// What was kept on its account.
    pub kept: Amount,
}

/// What one worker has counted and not posted yet.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Records read, and the bytes of their values.
    pub records: u64,
    /// Bytes of the values of the records read.
    pub record_bytes: u64,
    /// By [`Encoding`]: records read.
    pub encoded: [u64; Encoding::ALL.len()],
    /// By [`Compression`]: records read whose values are compressed.
    pub compressed: [u64; Compression::ALL.len()],
    /// Spans read; their traces are counted when they are opened.
    pub received: Amount,
    /// Spans that were refused, by reason (see [`Invalid`]).
    pub invalid: [Amount; Invalid::ALL.len()],
    /// Records that were refused whole, by reason.
    pub invalid_records: [u64; Invalid::ALL.len()],
    /// Records whose keys are wrong (see [`Misrouted`]).
    pub misrouted: [u64; Misrouted::ALL.len()],
    /// By policy, in the order of the set.
    pub policies: Vec<PolicyCounts>,
    /// By child of `composite` policies, in the order of the set.
    pub leaves: Vec<LeafCounts>,
    /// What no policy kept and none dropped.
    pub unwanted: Amount,
    /// Late spans of kept traces.
    pub late_kept: Amount,
    /// Late spans of dropped traces.
    pub late_dropped: Amount,
    /// Spans that were read again (see [`Replayed`]).
    pub replayed: [Amount; Replayed::ALL.len()],
    /// Look-ups in the decision cache (see [`LOOKUPS`]).
    pub cache_lookups: [u64; LOOKUPS.len()],
    /// Dropped traces that late spans re-opened, with the spans that had been dropped.
    pub reopened: Amount,
    /// Traces that were not re-opened, or not whole (see [`ReopenFailure`]).
    pub reopen_failures: [u64; ReopenFailure::ALL.len()],
    /// Dropped traces that are kept after all since somebody asked for it, with the spans that had been
    /// dropped.
    pub restored: Amount,
    /// Requests for that which came to nothing, or not to all (see [`RestoreFailure`]).
    pub restore_failures: [u64; RestoreFailure::ALL.len()],
    /// Open traces whose partition was taken away.
    pub revoked: Amount,
    /// By trigger (see [`TRIGGERS`]): decisions.
    pub triggers: [u64; TRIGGERS.len()],
    /// Spans of kept traces that are larger than a request may be.
    pub oversized_spans: u64,
    /// Kept spans whose tracestate could not take a threshold and was left as it was.
    pub malformed_tracestate: u64,
    /// Spans of kept traces with text that is not UTF-8.
    pub not_utf8_spans: u64,
    /// Records that are in order and hold nothing at all.
    pub empty_records: u64,
    /// Records that lay below the position already read.
    pub repeated_records: u64,
}

impl Counts {
    /// Nothing counted, for a set of so many policies and so many children of `composite` ones.
    pub fn new(policies: usize, leaves: usize) -> Self {
        Self {
            policies: vec![PolicyCounts::default(); policies],
            leaves: vec![LeafCounts::default(); leaves],
            ..Self::default()
        }
    }

    /// Counts spans that are refused.
    pub fn refuse(&mut self, reason: Invalid, amount: Amount) {
        self.invalid[reason as usize].add(amount);
    }

    /// Counts spans that were read again.
    pub fn replay(&mut self, outcome: Replayed, amount: Amount) {
        self.replayed[outcome as usize].add(amount);
    }

    pub(super) fn clear(&mut self) {
        let mut policies = std::mem::take(&mut self.policies);
        let mut leaves = std::mem::take(&mut self.leaves);
        policies.fill(PolicyCounts::default());
        leaves.fill(LeafCounts::default());
        *self = Self { policies, leaves, ..Self::default() };
    }
}
