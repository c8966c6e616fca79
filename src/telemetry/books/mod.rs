//! The books: what came in and what became of it, in traces, spans and bytes.
//!
//! Owns the names and handles of the metrics that have to balance:
//!
//! received = kept + dropped + open + late + invalid + revoked + replayed.
//!
//! A worker keeps a [`Tally`] of its own and posts it after each batch. Posting and reading
//! exclude each other ([`Books::read`]), so a scrape never sees half of a posting. Bytes are the
//! wire bytes of spans, with their tag and length; a record that cannot be parsed counts whole.
//! What is counted by policy goes to the [`PolicyCounters`] of the set that was in force.

mod counters;
mod policies;
mod tally;

use std::sync::{PoisonError, RwLock};

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

use crate::otlp::encoding::{Compression, Encoding};

use counters::{AmountCounters, SpanCounters, post_all};

pub use policies::{CountedLeaf, CountedPolicy, PolicyCounters};
pub use tally::{
    Amount, Invalid, LOOKUPS, LeafTally, Misrouted, PolicyTally, Replayed, TRIGGERS, Tally, VOTES,
};

/// The process's books. All series exist, at 0, from the start.
#[derive(Debug)]
pub struct Books {
    gate: RwLock<()>,
    records: Counter,
    record_bytes: Counter,
    encoded: Vec<Counter>,
    compressed: Vec<Counter>,
    received: AmountCounters,
    invalid: Vec<SpanCounters>,
    invalid_records: Vec<Counter>,
    misrouted: Vec<Counter>,
    cache_lookups: Vec<Counter>,
    cache_entries: Gauge,
    cache_bytes: Gauge,
    late_kept: SpanCounters,
    late_dropped: SpanCounters,
    replayed: Vec<SpanCounters>,
    revoked: AmountCounters,
    triggers: Vec<Counter>,
    oversized_spans: Counter,
    malformed_tracestate: Counter,
    not_utf8_spans: Counter,
    empty_records: Counter,
    repeated_records: Counter,
    open_traces: Gauge,
    open_spans: Gauge,
    open_bytes: Gauge,
    /// From a trace's decision to when a late span of it was read, on the partition's clock.
    pub late_age: Histogram,
    /// From when a trace's first span was read to its decision, on the partition's clock.
    pub decision_delay: Histogram,
    /// Spans of a decided trace.
    pub trace_spans: Histogram,
    /// Wire bytes of a decided trace.
    pub trace_bytes: Histogram,
    /// Duration of a decided trace.
    pub trace_duration: Histogram,
}

impl Default for Books {
    fn default() -> Self {
        Self::new()
    }
}

impl Books {
    /// Registers every series with the installed recorder.
    pub fn new() -> Self {
        describe();
        let refused = |reason: &Invalid| SpanCounters::new("invalid", "reason", reason.label());
        let replayed =
            |outcome: &Replayed| SpanCounters::new("replayed", "outcome", outcome.label());
        let refused_record = |reason: &Invalid| counter!("tailsieve_invalid_records_total", "reason" => reason.label());
        let encoded = |it: &Encoding| counter!("tailsieve_received_encoded_records_total", "encoding" => it.name());
        let compressed = |it: &Compression| counter!("tailsieve_received_compressed_records_total", "compression" => it.name());
        let misrouted = |kind: &Misrouted| counter!("tailsieve_misrouted_records_total", "kind" => kind.label());
        let lookup = |result: &&'static str| counter!("tailsieve_decision_cache_lookups_total", "result" => *result);
        let trigger =
            |name: &&'static str| counter!("tailsieve_decision_triggers_total", "trigger" => *name);
        Self {
            gate: RwLock::new(()),
            records: counter!("tailsieve_received_records_total"),
            record_bytes: counter!("tailsieve_received_record_bytes_total"),
            encoded: Encoding::ALL.iter().map(encoded).collect(),
            compressed: Compression::ALL.iter().map(compressed).collect(),
            received: AmountCounters::new("received", &[]),
            invalid: Invalid::ALL.iter().map(refused).collect(),
            invalid_records: Invalid::ALL.iter().map(refused_record).collect(),
            misrouted: Misrouted::ALL.iter().map(misrouted).collect(),
            cache_lookups: LOOKUPS.iter().map(lookup).collect(),
            cache_entries: gauge!("tailsieve_decision_cache_entries"),
            cache_bytes: gauge!("tailsieve_decision_cache_bytes"),
            late_kept: SpanCounters::new("late", "decision", "keep"),
            late_dropped: SpanCounters::new("late", "decision", "drop"),
            replayed: Replayed::ALL.iter().map(replayed).collect(),
            revoked: AmountCounters::new("revoked", &[]),
            triggers: TRIGGERS.iter().map(trigger).collect(),
            oversized_spans: counter!("tailsieve_oversized_spans_total"),
            malformed_tracestate: counter!("tailsieve_malformed_tracestate_spans_total"),
            not_utf8_spans: counter!("tailsieve_not_utf8_spans_total"),
            empty_records: counter!("tailsieve_empty_records_total"),
            repeated_records: counter!("tailsieve_repeated_records_total"),
            open_traces: gauge!("tailsieve_open_traces"),
            open_spans: gauge!("tailsieve_open_spans"),
            open_bytes: gauge!("tailsieve_open_bytes"),
            late_age: histogram!("tailsieve_late_age_seconds"),
            decision_delay: histogram!("tailsieve_decision_delay_seconds"),
            trace_spans: histogram!("tailsieve_trace_spans"),
            trace_bytes: histogram!("tailsieve_trace_size_bytes"),
            trace_duration: histogram!("tailsieve_trace_duration_seconds"),
        }
    }

    /// Posts what a worker counted, and how what it holds open changed: the two must be posted
    /// as one for the books to balance. `policies` are the counters of the set that the tally is of.
    pub fn post(
        &self,
        policies: &PolicyCounters,
        tally: &mut Tally,
        opened: Amount,
        closed: Amount,
    ) {
        let _posting = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        self.records.increment(tally.records);
        self.record_bytes.increment(tally.record_bytes);
        post_all(&self.encoded, &tally.encoded);
        post_all(&self.compressed, &tally.compressed);
        self.received.post(tally.received);
        self.invalid.iter().zip(tally.invalid).for_each(|(to, amount)| to.post(amount));
        post_all(&self.invalid_records, &tally.invalid_records);
        post_all(&self.misrouted, &tally.misrouted);
        policies.post(tally);
        self.late_kept.post(tally.late_kept);
        self.late_dropped.post(tally.late_dropped);
        self.replayed.iter().zip(tally.replayed).for_each(|(to, amount)| to.post(amount));
        self.revoked.post(tally.revoked);
        post_all(&self.triggers, &tally.triggers);
        post_all(&self.cache_lookups, &tally.cache_lookups);
        self.oversized_spans.increment(tally.oversized_spans);
        self.malformed_tracestate.increment(tally.malformed_tracestate);
        self.not_utf8_spans.increment(tally.not_utf8_spans);
        self.empty_records.increment(tally.empty_records);
        self.repeated_records.increment(tally.repeated_records);
        let change = |to: &Gauge, more: u64, less: u64| to.increment(more as f64 - less as f64);
        change(&self.open_traces, opened.traces, closed.traces);
        change(&self.open_spans, opened.spans, closed.spans);
        change(&self.open_bytes, opened.bytes, closed.bytes);
        tally.clear();
    }

    /// How large the decision cache is.
    pub fn cache(&self, entries: u64, bytes: u64) {
        self.cache_entries.set(entries as f64);
        self.cache_bytes.set(bytes as f64);
    }

    /// Runs `read` while nothing is posted: what it reads balances.
    pub fn read<T>(&self, read: impl FnOnce() -> T) -> T {
        let _reading = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        read()
    }
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
        (
            "replayed",
            "that were read again and whose trace had been decided before: by whether it was \
             dropped, they were delivered before, or are forwarded now",
        ),
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
    let text = "records with a value, by what it is written in, below its compression";
    describe_counter!("tailsieve_received_encoded_records_total", text);
    let text = "records whose values are compressed by themselves, by how";
    describe_counter!("tailsieve_received_compressed_records_total", text);
    describe_counter!("tailsieve_invalid_records_total", "records refused whole, by reason");
    let text = "records that do not keep their trace in one partition, by kind; two_partitions and \
                two_partitioners of one trace in 64; partitions_added once each time";
    describe_counter!("tailsieve_misrouted_records_total", text);
    let text = "look-ups in the decision cache, one for each run of spans of a trace that is not open: \
                a hit is a late span";
    describe_counter!("tailsieve_decision_cache_lookups_total", text);
    let text = "decisions remembered for late spans; the bound is decision_cache";
    describe_gauge!("tailsieve_decision_cache_entries", text);
    let text = "bytes of the decisions remembered";
    describe_gauge!("tailsieve_decision_cache_bytes", Unit::Bytes, text);
    describe_counter!("tailsieve_decision_triggers_total", "decisions by what triggered them");
    let text = "spans of kept traces that are larger than a request may be, and were left out";
    describe_counter!("tailsieve_oversized_spans_total", text);
    let text = "kept spans whose tracestate is malformed or full, and was left as it was";
    describe_counter!("tailsieve_malformed_tracestate_spans_total", text);
    let text = "spans of kept traces with text that is not UTF-8, in the span itself or in its \
                resource or scope; they are forwarded as they are";
    describe_counter!("tailsieve_not_utf8_spans_total", text);
    let text = "records that are in order and hold no span, nor anything else but a resource";
    describe_counter!("tailsieve_empty_records_total", text);
    describe_counter!("tailsieve_repeated_records_total", "records read before, and skipped");
    describe_gauge!("tailsieve_open_traces", "traces that are not decided yet");
    describe_gauge!("tailsieve_open_spans", "spans of traces that are not decided yet");
    describe_gauge!("tailsieve_open_bytes", Unit::Bytes, "wire bytes of spans of open traces");
    let text =
        "from a trace's decision to when a late span of it was read, on the partition's clock";
    describe_histogram!("tailsieve_late_age_seconds", Unit::Seconds, text);
    let text = "from a trace's first span to its decision, on the partition's clock";
    describe_histogram!("tailsieve_decision_delay_seconds", Unit::Seconds, text);
    describe_histogram!("tailsieve_trace_spans", "spans of a decided trace");
    describe_histogram!("tailsieve_trace_size_bytes", Unit::Bytes, "wire bytes of a decided trace");
    describe_histogram!("tailsieve_trace_duration_seconds", Unit::Seconds, "of a decided trace");
}
