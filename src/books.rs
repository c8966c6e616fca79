//! The books: what came in and what became of it, in traces, spans and bytes.
//!
//! Owns the names and handles of the metrics that have to balance:
//!
//! received = kept + dropped + open + late + invalid + revoked.
//!
//! A worker keeps a [`Tally`] of its own and posts it after each batch. Posting and reading
//! exclude each other ([`Books::read`]), so a scrape never sees half of a posting. Bytes are the
//! wire bytes of spans, with their tag and length; a record that cannot be parsed counts whole.

use std::sync::{PoisonError, RwLock};

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

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
    /// A span's trace id is not 16 bytes, or all zeros.
    TraceId,
    /// A span's id is not 8 bytes, or all zeros.
    SpanId,
}

impl Invalid {
    const ALL: [Self; 4] = [Self::NullValue, Self::Malformed, Self::TraceId, Self::SpanId];

    fn label(self) -> &'static str {
        match self {
            Self::NullValue => "null_value",
            Self::Malformed => "malformed",
            Self::TraceId => "trace_id",
            Self::SpanId => "span_id",
        }
    }
}

/// How a record's key fails to keep its trace in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Misrouted {
    /// The record has no key: the producer spreads its traces over all partitions.
    NullKey,
    /// The key is not the trace id, in hexadecimal or raw.
    ForeignKey,
    /// The record holds more than one trace.
    ManyTraces,
}

impl Misrouted {
    const ALL: [Self; 3] = [Self::NullKey, Self::ForeignKey, Self::ManyTraces];

    /// The value of the metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::NullKey => "null_key",
            Self::ForeignKey => "foreign_key",
            Self::ManyTraces => "many_traces",
        }
    }
}

/// What triggered a decision, as the metrics name it; in the order of the indices in a tally.
pub const TRIGGERS: [&str; 4] = ["root", "wait", "size", "memory"];

/// The policy label of what no policy voted to keep.
const NO_POLICY: &str = "none";

/// What one worker has counted and not posted yet.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Records read, and the bytes of their values.
    pub records: u64,
    /// Bytes of the values of the records read.
    pub record_bytes: u64,
    /// Spans read; their traces are counted when they are opened.
    pub received: Amount,
    /// Spans that were refused, by reason (see [`Invalid`]).
    pub invalid: [Amount; 4],
    /// Records that were refused whole, by reason.
    pub invalid_records: [u64; 4],
    /// Records whose keys are wrong (see [`Misrouted`]).
    pub misrouted: [u64; 3],
    /// By policy: what was kept on its account.
    pub kept: Vec<Amount>,
    /// By policy: what it dropped; the last entry is what no policy kept.
    pub dropped: Vec<Amount>,
    /// By policy: its votes.
    pub votes: Vec<u64>,
    /// Late spans of kept traces.
    pub late_kept: Amount,
    /// Late spans of dropped traces.
    pub late_dropped: Amount,
    /// Open traces whose partition was taken away.
    pub revoked: Amount,
    /// By trigger (see [`TRIGGERS`]): decisions.
    pub triggers: [u64; 4],
    /// Spans of kept traces that are larger than a request may be.
    pub oversized_spans: u64,
    /// Kept spans whose tracestate could not take a threshold and was left as it was.
    pub malformed_tracestate: u64,
    /// Records that lay below the position already read.
    pub repeated_records: u64,
}

impl Tally {
    /// Nothing counted, for a set of `policies` policies.
    pub fn new(policies: usize) -> Self {
        Self {
            kept: vec![Amount::default(); policies],
            dropped: vec![Amount::default(); policies + 1],
            votes: vec![0; policies],
            ..Self::default()
        }
    }

    /// Counts spans that are refused.
    pub fn refuse(&mut self, reason: Invalid, amount: Amount) {
        self.invalid[reason as usize].add(amount);
    }

    fn clear(&mut self) {
        let policies = self.votes.len();
        let (mut kept, mut dropped, mut votes) = (
            std::mem::take(&mut self.kept),
            std::mem::take(&mut self.dropped),
            std::mem::take(&mut self.votes),
        );
        kept.fill(Amount::default());
        dropped.fill(Amount::default());
        votes.fill(0);
        debug_assert_eq!(kept.len(), policies);
        *self = Self { kept, dropped, votes, ..Self::default() };
    }
}

#[derive(Debug)]
struct AmountCounters {
    traces: Counter,
    spans: Counter,
    bytes: Counter,
}

impl AmountCounters {
    /// The three counters `tailsieve_{what}_{traces,spans,bytes}_total` with one label.
    fn new(what: &str, label: &'static str, value: &str) -> Self {
        let one = |unit: &str| counter!(format!("tailsieve_{what}_{unit}_total"), label => value.to_owned());
        Self { traces: one("traces"), spans: one("spans"), bytes: one("bytes") }
    }

    fn post(&self, amount: Amount) {
        if amount != Amount::default() {
            self.traces.increment(amount.traces);
            self.spans.increment(amount.spans);
            self.bytes.increment(amount.bytes);
        }
    }
}

/// Spans and bytes that make no trace of their own.
#[derive(Debug)]
struct SpanCounters {
    spans: Counter,
    bytes: Counter,
}

impl SpanCounters {
    fn new(what: &str, label: &'static str, value: &'static str) -> Self {
        let one = |unit: &str| counter!(format!("tailsieve_{what}_{unit}_total"), label => value);
        Self { spans: one("spans"), bytes: one("bytes") }
    }

    fn post(&self, amount: Amount) {
        self.spans.increment(amount.spans);
        self.bytes.increment(amount.bytes);
    }
}

/// The process's books. All series exist, at 0, from the start.
#[derive(Debug)]
pub struct Books {
    gate: RwLock<()>,
    records: Counter,
    record_bytes: Counter,
    received: PlainCounters,
    invalid: Vec<SpanCounters>,
    invalid_records: Vec<Counter>,
    misrouted: Vec<Counter>,
    kept: Vec<AmountCounters>,
    dropped: Vec<AmountCounters>,
    votes: Vec<Counter>,
    late_kept: SpanCounters,
    late_dropped: SpanCounters,
    revoked: PlainCounters,
    triggers: Vec<Counter>,
    oversized_spans: Counter,
    malformed_tracestate: Counter,
    repeated_records: Counter,
    open_traces: Gauge,
    open_spans: Gauge,
    open_bytes: Gauge,
    /// From when a trace's first span was read to its decision, on the partition's clock.
    pub decision_delay: Histogram,
    /// Spans of a decided trace.
    pub trace_spans: Histogram,
    /// Wire bytes of a decided trace.
    pub trace_bytes: Histogram,
    /// Duration of a decided trace.
    pub trace_duration: Histogram,
}

/// Traces, spans and bytes without labels.
#[derive(Debug)]
struct PlainCounters {
    traces: Counter,
    spans: Counter,
    bytes: Counter,
}

impl PlainCounters {
    fn new(what: &str) -> Self {
        let one = |unit: &str| counter!(format!("tailsieve_{what}_{unit}_total"));
        Self { traces: one("traces"), spans: one("spans"), bytes: one("bytes") }
    }

    fn post(&self, amount: Amount) {
        self.traces.increment(amount.traces);
        self.spans.increment(amount.spans);
        self.bytes.increment(amount.bytes);
    }
}

impl Books {
    /// Registers every series with the installed recorder.
    pub fn new<'a>(policies: impl Iterator<Item = &'a str> + Clone) -> Self {
        describe();
        let by_policy = |what: &'static str| {
            let one = move |name: &str| AmountCounters::new(what, "policy", name);
            policies.clone().map(one).collect::<Vec<_>>()
        };
        let mut dropped = by_policy("dropped");
        dropped.push(AmountCounters::new("dropped", "policy", NO_POLICY));
        let vote =
            |name: &str| counter!("tailsieve_policy_votes_total", "policy" => name.to_owned());
        let refused = |reason: &Invalid| SpanCounters::new("invalid", "reason", reason.label());
        let refused_record = |reason: &Invalid| counter!("tailsieve_invalid_records_total", "reason" => reason.label());
        let misrouted = |kind: &Misrouted| counter!("tailsieve_misrouted_records_total", "kind" => kind.label());
        let trigger =
            |name: &&'static str| counter!("tailsieve_decision_triggers_total", "trigger" => *name);
        Self {
            gate: RwLock::new(()),
            records: counter!("tailsieve_received_records_total"),
            record_bytes: counter!("tailsieve_received_record_bytes_total"),
            received: PlainCounters::new("received"),
            invalid: Invalid::ALL.iter().map(refused).collect(),
            invalid_records: Invalid::ALL.iter().map(refused_record).collect(),
            misrouted: Misrouted::ALL.iter().map(misrouted).collect(),
            kept: by_policy("kept"),
            dropped,
            votes: policies.clone().map(vote).collect(),
            late_kept: SpanCounters::new("late", "decision", "keep"),
            late_dropped: SpanCounters::new("late", "decision", "drop"),
            revoked: PlainCounters::new("revoked"),
            triggers: TRIGGERS.iter().map(trigger).collect(),
            oversized_spans: counter!("tailsieve_oversized_spans_total"),
            malformed_tracestate: counter!("tailsieve_malformed_tracestate_spans_total"),
            repeated_records: counter!("tailsieve_repeated_records_total"),
            open_traces: gauge!("tailsieve_open_traces"),
            open_spans: gauge!("tailsieve_open_spans"),
            open_bytes: gauge!("tailsieve_open_bytes"),
            decision_delay: histogram!("tailsieve_decision_delay_seconds"),
            trace_spans: histogram!("tailsieve_trace_spans"),
            trace_bytes: histogram!("tailsieve_trace_size_bytes"),
            trace_duration: histogram!("tailsieve_trace_duration_seconds"),
        }
    }

    /// Posts what a worker counted, and how what it holds open changed: the two must be posted
    /// as one for the books to balance.
    pub fn post(&self, tally: &mut Tally, opened: Amount, closed: Amount) {
        let _posting = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        self.records.increment(tally.records);
        self.record_bytes.increment(tally.record_bytes);
        self.received.post(tally.received);
        self.invalid.iter().zip(tally.invalid).for_each(|(to, amount)| to.post(amount));
        post_all(&self.invalid_records, &tally.invalid_records);
        post_all(&self.misrouted, &tally.misrouted);
        self.kept.iter().zip(&tally.kept).for_each(|(to, amount)| to.post(*amount));
        self.dropped.iter().zip(&tally.dropped).for_each(|(to, amount)| to.post(*amount));
        post_all(&self.votes, &tally.votes);
        self.late_kept.post(tally.late_kept);
        self.late_dropped.post(tally.late_dropped);
        self.revoked.post(tally.revoked);
        post_all(&self.triggers, &tally.triggers);
        self.oversized_spans.increment(tally.oversized_spans);
        self.malformed_tracestate.increment(tally.malformed_tracestate);
        self.repeated_records.increment(tally.repeated_records);
        let change = |to: &Gauge, more: u64, less: u64| to.increment(more as f64 - less as f64);
        change(&self.open_traces, opened.traces, closed.traces);
        change(&self.open_spans, opened.spans, closed.spans);
        change(&self.open_bytes, opened.bytes, closed.bytes);
        tally.clear();
    }

    /// Runs `read` while nothing is posted: what it reads balances.
    pub fn read<T>(&self, read: impl FnOnce() -> T) -> T {
        let _reading = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        read()
    }
}

fn post_all(counters: &[Counter], counts: &[u64]) {
    let changed = counters.iter().zip(counts).filter(|(_, count)| **count > 0);
    changed.for_each(|(counter, count)| counter.increment(*count));
}

fn describe() {
    let spans = [
        ("received", "read from Kafka"),
        ("kept", "of traces that a policy kept, by the policy it is attributed to"),
        ("dropped", "of traces that were dropped, by the drop policy or none"),
        (
            "revoked",
            "of open traces whose partition was taken away; its next owner reads them again",
        ),
        ("invalid", "refused, by reason; a record that cannot be parsed counts its bytes"),
        ("late", "that came after their trace was decided, by that decision"),
    ];
    for (name, of) in spans {
        describe_counter!(format!("tailsieve_{name}_traces_total"), format!("traces {of}"));
        describe_counter!(format!("tailsieve_{name}_spans_total"), format!("spans {of}"));
        let bytes = format!("tailsieve_{name}_bytes_total");
        describe_counter!(bytes, Unit::Bytes, format!("wire bytes of spans {of}"));
    }
    describe_counter!("tailsieve_received_records_total", "records read from Kafka");
    let text = "bytes of the values of records read from Kafka";
    describe_counter!("tailsieve_received_record_bytes_total", Unit::Bytes, text);
    describe_counter!("tailsieve_invalid_records_total", "records refused whole, by reason");
    let text = "records whose key does not keep their trace in one partition, by kind";
    describe_counter!("tailsieve_misrouted_records_total", text);
    let text = "votes of a policy: to keep, or, for a drop policy, to drop";
    describe_counter!("tailsieve_policy_votes_total", text);
    describe_counter!("tailsieve_decision_triggers_total", "decisions by what triggered them");
    let text = "spans of kept traces that are larger than a request may be, and were left out";
    describe_counter!("tailsieve_oversized_spans_total", text);
    let text = "kept spans whose tracestate is malformed or full, and was left as it was";
    describe_counter!("tailsieve_malformed_tracestate_spans_total", text);
    describe_counter!("tailsieve_repeated_records_total", "records read before, and skipped");
    describe_gauge!("tailsieve_open_traces", "traces that are not decided yet");
    describe_gauge!("tailsieve_open_spans", "spans of traces that are not decided yet");
    describe_gauge!("tailsieve_open_bytes", Unit::Bytes, "wire bytes of spans of open traces");
    let text = "from a trace's first span to its decision, on the partition's clock";
    describe_histogram!("tailsieve_decision_delay_seconds", Unit::Seconds, text);
    describe_histogram!("tailsieve_trace_spans", "spans of a decided trace");
    describe_histogram!("tailsieve_trace_size_bytes", Unit::Bytes, "wire bytes of a decided trace");
    describe_histogram!("tailsieve_trace_duration_seconds", Unit::Seconds, "of a decided trace");
}
