//! What one worker has counted: plain numbers, until they are posted.
//!
//! Counting allocates nothing: the vectors are made for one policy set, and made anew for the
//! next one.

use crate::otlp::encoding::{Compression, Encoding};

/// An amount of spans: how many traces they belong to, how many they are, their wire bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

/// Why spans or records were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Invalid {
    /// The record has no value.
    NullValue,
    /// The record is not a `TracesData` message.
    Malformed,
    /// The record begins like compressed data and cannot be unpacked.
    Compressed,
    /// The record unpacks to more than is allowed.
    TooLarge,
    /// The record is JSON, and not that of OTLP traces.
    Json,
    /// The record is in an encoding that is known by name only.
    Unsupported,
    /// The record has content, but no span that is understood.
    NotUnderstood,
    /// A span's trace id is not 16 bytes, or all zeros.
    TraceId,
    /// A span's id is not 8 bytes, or all zeros.
    SpanId,
}

impl Invalid {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::NullValue,
        Self::Malformed,
        Self::Compressed,
        Self::TooLarge,
        Self::Json,
        Self::Unsupported,
        Self::NotUnderstood,
        Self::TraceId,
        Self::SpanId,
    ];

    /// The value of the metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::NullValue => "null_value",
            Self::Malformed => "malformed",
            Self::Compressed => "decompression",
            Self::TooLarge => "too_large",
            Self::Json => "json",
            Self::Unsupported => "unsupported_encoding",
            Self::NotUnderstood => "not_understood",
            Self::TraceId => "trace_id",
            Self::SpanId => "span_id",
        }
    }
}

/// How a trace is not kept in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Misrouted {
    /// The record has no key: the producer spreads its traces over all partitions.
    NullKey,
    /// The key is not the trace id, in hexadecimal or raw.
    ForeignKey,
    /// The record holds more than one trace.
    ManyTraces,
    /// Spans of its trace came in on another partition too; of a sample of the traces.
    TwoPartitions,
    /// Another partitioner placed it than placed most; of a sample of the traces.
    TwoPartitioners,
    /// Partitions were added to the topic: once each time, not for each record.
    PartitionsAdded,
}

impl Misrouted {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::NullKey,
        Self::ForeignKey,
        Self::ManyTraces,
        Self::TwoPartitions,
        Self::TwoPartitioners,
        Self::PartitionsAdded,
    ];

    /// The value of the metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::NullKey => "null_key",
            Self::ForeignKey => "foreign_key",
            Self::ManyTraces => "many_traces",
            Self::TwoPartitions => "two_partitions",
            Self::TwoPartitioners => "two_partitioners",
            Self::PartitionsAdded => "partitions_added",
        }
    }
}

/// What became of spans that were read again, and whose trace was decided before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Replayed {
    /// Their trace was dropped.
    Dropped,
    /// Their trace was kept, and they were delivered before.
    Delivered,
    /// Their trace was kept, and they may not have been delivered: they are, with that decision.
    Forwarded,
}

impl Replayed {
    pub(super) const ALL: [Self; 3] = [Self::Dropped, Self::Delivered, Self::Forwarded];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Delivered => "delivered_before",
            Self::Forwarded => "forwarded",
        }
    }
}

/// What triggered a decision, as the metrics name it; in the order of the indices in a tally.
pub const TRIGGERS: [&str; 5] = ["root", "wait", "size", "memory", "log_gone"];

/// What a look-up in the decision cache finds, as the metrics name it; in the order of the indices
/// in a tally.
pub const LOOKUPS: [&str; 2] = ["hit", "miss"];

/// What a policy can say, as the metrics name it; in the order of the indices in a tally.
pub const VOTES: [&str; 3] = ["none", "keep", "drop"];

/// What one policy did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicyTally {
    /// What was kept on its account.
    pub kept: Amount,
    /// What it dropped.
    pub dropped: Amount,
    /// What it said (see [`VOTES`]).
    pub votes: [u64; 3],
    /// Traces of which it could not evaluate something.
    pub errors: u64,
    /// Of a shadow policy: what was dropped and it would have kept.
    pub shadow_kept: Amount,
    /// Of a shadow policy: what was kept and it would have dropped.
    pub shadow_dropped: Amount,
}

/// What one child of a `composite` policy did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeafTally {
    /// How often it voted keep and had budget.
    pub votes: u64,
    /// What was kept on its account.
    pub kept: Amount,
}

/// What one worker has counted and not posted yet.
#[derive(Clone, Debug, Default)]
pub struct Tally {
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
    pub policies: Vec<PolicyTally>,
    /// By child of `composite` policies, in the order of the set.
    pub leaves: Vec<LeafTally>,
    /// What no policy kept and none dropped.
    pub unwanted: Amount,
    /// Late spans of kept traces.
    pub late_kept: Amount,
    /// Late spans of dropped traces.
    pub late_dropped: Amount,
    /// Spans that were read again (see [`Replayed`]).
    pub replayed: [Amount; 3],
    /// Look-ups in the decision cache (see [`LOOKUPS`]).
    pub cache_lookups: [u64; 2],
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

impl Tally {
    /// Nothing counted, for a set of so many policies and so many children of `composite` ones.
    pub fn new(policies: usize, leaves: usize) -> Self {
        Self {
            policies: vec![PolicyTally::default(); policies],
            leaves: vec![LeafTally::default(); leaves],
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
        policies.fill(PolicyTally::default());
        leaves.fill(LeafTally::default());
        *self = Self { policies, leaves, ..Self::default() };
    }
}
