//! The labels of metrics, and the values of those that have a fixed set of them.

use crate::otlp::encoding::{Compression, Encoding};

use super::family::{Label, Values};

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

/// What came of the question for a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retrieved {
    /// Its spans were sent.
    Found,
    /// It was kept, so the backend has it.
    Kept,
    /// No decision on it is on record.
    NotFound,
    /// Nothing is decided yet of the time that was asked for.
    StillOpen,
    /// Kafka does not have all of its records any more.
    BeyondRetention,
    /// It took too long, or too many others were looked up.
    OverBudget,
    /// Kafka does not answer.
    KafkaAway,
    /// It belongs to another tenant, or none was named.
    WrongTenant,
    /// The token was missing or wrong.
    Unauthorized,
    /// No trace id, or no time.
    Malformed,
}

impl Retrieved {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Found,
        Self::Kept,
        Self::NotFound,
        Self::StillOpen,
        Self::BeyondRetention,
        Self::OverBudget,
        Self::KafkaAway,
        Self::WrongTenant,
        Self::Unauthorized,
        Self::Malformed,
    ];

    /// The value of the metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Kept => "kept",
            Self::NotFound => "not_found",
            Self::StillOpen => "still_open",
            Self::BeyondRetention => "beyond_retention",
            Self::OverBudget => "over_budget",
            Self::KafkaAway => "kafka_away",
            Self::WrongTenant => "wrong_tenant",
            Self::Unauthorized => "unauthorized",
            Self::Malformed => "malformed",
        }
    }
}

/// What came of the question whether a dropped trace can be kept after all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeepAnswer {
    /// The group is asked to keep it.
    Requested,
    /// It is kept already.
    Kept,
    /// No decision on it is on record.
    NotFound,
    /// Kafka does not have all of its records any more.
    Incomplete,
    /// A policy drops it whatever others say.
    Vetoed,
    /// Too much was looked up.
    OverBudget,
    /// Kafka does not answer, or does not take the request.
    Failed,
    /// The token was missing or wrong.
    Unauthorized,
    /// A page of another site asked.
    CrossSite,
    /// No trace id.
    Malformed,
}

impl KeepAnswer {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Requested,
        Self::Kept,
        Self::NotFound,
        Self::Incomplete,
        Self::Vetoed,
        Self::OverBudget,
        Self::Failed,
        Self::Unauthorized,
        Self::CrossSite,
        Self::Malformed,
    ];

    /// The value of the metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Kept => "kept",
            Self::NotFound => "not_found",
            Self::Incomplete => "incomplete",
            Self::Vetoed => "vetoed",
            Self::OverBudget => "over_budget",
            Self::Failed => "failed",
            Self::Unauthorized => "unauthorized",
            Self::CrossSite => "cross_site",
            Self::Malformed => "malformed",
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
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 3] = [Self::Dropped, Self::Delivered, Self::Forwarded];

    /// The value of the metric's label.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Delivered => "delivered_before",
            Self::Forwarded => "forwarded",
        }
    }
}

/// Why a trace was not re-opened, or not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReopenFailure {
    /// Too many were.
    Budget,
    /// Kafka did not have all of its records any more.
    Expired,
}

impl ReopenFailure {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 2] = [Self::Budget, Self::Expired];

    /// The value of the metric's label.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Budget => "over_budget",
            Self::Expired => "expired",
        }
    }
}

/// Why a trace was not kept after all although somebody asked for it, or not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RestoreFailure {
    /// It is no request that is understood.
    Malformed,
    /// The trace is open.
    Open,
    /// It is kept already.
    Kept,
    /// A policy drops it whatever others say.
    Vetoed,
    /// Too many were asked for.
    Budget,
    /// Nothing is on record of it that was dropped and is not delivered.
    Nothing,
    /// Kafka did not have all of its records any more.
    Expired,
}

impl RestoreFailure {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 7] = [
        Self::Malformed,
        Self::Open,
        Self::Kept,
        Self::Vetoed,
        Self::Budget,
        Self::Nothing,
        Self::Expired,
    ];

    /// The value of the metric's label.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Open => "open",
            Self::Kept => "kept",
            Self::Vetoed => "vetoed",
            Self::Budget => "over_budget",
            Self::Nothing => "nothing_dropped",
            Self::Expired => "expired",
        }
    }
}

/// What triggered a decision, as the metrics name it; in the order of their indices in counts.
pub const TRIGGERS: [&str; 7] = ["root", "wait", "size", "memory", "log_gone", "late", "restored"];

/// What a look-up in the decision cache finds, as the metrics name it; in the order of their indices
/// in counts.
pub const LOOKUPS: [&str; 2] = ["hit", "miss"];

/// What a policy can say, as the metrics name it; in the order of their indices in counts.
pub const VOTES: [&str; 3] = ["none", "keep", "drop"];

/// What can become of own telemetry, as the metrics name it; in the order of their indices in counts.
pub const OWN_OUTCOMES: [&str; 4] = ["exported", "failed", "rejected", "dropped"];

const fn one_of(name: &'static str, values: fn() -> Vec<&'static str>) -> Label {
    Label { name, values: Values::OneOf(values) }
}

const fn any(name: &'static str, what: &'static str) -> Label {
    Label { name, values: Values::Any(what) }
}

pub(super) const VERSION: Label = any("version", "the version of tailsieve");
pub(super) const HASH: Label = any("hash", "a hash of the policy file");
pub(super) const POLICY: Label =
    any("policy", "the name of a policy; `none` for traces that no policy kept and none dropped");
pub(super) const SUB_POLICY: Label = any("sub_policy", "the name of a sub-policy");
pub(super) const CONSUMER: Label = any(
    "consumer",
    "a Kafka consumer of the process: `tailsieve-kafka-0`, `tailsieve-kafka-1` and on",
);
pub(super) const EXPORTER: Label = any(
    "exporter",
    "the name of the exporter; `default` if the static file has one without a name",
);
pub(super) const CODE: Label = any(
    "code",
    "the gRPC code or the HTTP status, a rare one by its class such as `4xx`; whatever the protocol, \
     `UNAVAILABLE` is a connection that is missing or broke, and `DEADLINE_EXCEEDED` a time-out",
);
pub(super) const ENCODING: Label =
    one_of("encoding", || Encoding::ALL.iter().map(|it| it.name()).collect());
pub(super) const COMPRESSION: Label =
    one_of("compression", || Compression::ALL.iter().map(|it| it.name()).collect());
pub(super) const REFUSED: Label =
    one_of("reason", || Invalid::ALL.iter().map(|it| it.label()).collect());
pub(super) const MISROUTED: Label =
    one_of("kind", || Misrouted::ALL.iter().map(|it| it.label()).collect());
pub(super) const REPLAYED: Label =
    one_of("outcome", || Replayed::ALL.iter().map(|it| it.label()).collect());
pub(super) const REOPEN_FAILURE: Label =
    one_of("reason", || ReopenFailure::ALL.iter().map(|it| it.label()).collect());
pub(super) const RESTORE_FAILURE: Label =
    one_of("cause", || RestoreFailure::ALL.iter().map(|it| it.label()).collect());
pub(super) const DECISION: Label = one_of("decision", || vec!["keep", "drop"]);
pub(super) const TRIGGER: Label = one_of("trigger", || TRIGGERS.to_vec());
pub(super) const LOOKUP: Label = one_of("result", || LOOKUPS.to_vec());
pub(super) const VOTE: Label = one_of("vote", || VOTES.to_vec());
pub(super) const RELOAD: Label = one_of("result", || vec!["success", "failure"]);
pub(super) const SENT: Label =
    one_of("outcome", || vec!["delivered", "refused", "rejected", "abandoned"]);
pub(super) const STALL: Label =
    one_of("reason", || vec!["export", "decision_log", "dead_letter", "lease"]);
pub(super) const CHECK: Label =
    one_of("check", || vec!["kafka", "decision_log", "backend", "running"]);
pub(super) const REBALANCED: Label = one_of("kind", || vec!["assigned", "revoked", "lost"]);
pub(super) const COMMIT: Label = one_of("outcome", || vec!["ok", "failed"]);
pub(super) const READ_BACK: Label =
    one_of("outcome", || vec!["read", "superseded", "not_understood"]);
pub(super) const RETRIEVED: Label =
    one_of("outcome", || Retrieved::ALL.map(Retrieved::label).to_vec());
pub(super) const KEPT: Label = one_of("answer", || KeepAnswer::ALL.map(KeepAnswer::label).to_vec());
pub(super) const LETTER: Label = one_of("outcome", || vec!["written", "failed"]);
pub(super) const FATE: Label =
    one_of("fate", || vec!["keyed", "split", "without_spans", "null_value", "unreadable"]);
pub(super) const SIGNAL: Label = one_of("signal", || vec!["traces", "metrics", "logs"]);
pub(super) const OWN_OUTCOME: Label = one_of("outcome", || OWN_OUTCOMES.to_vec());
