//! The accounts: what came in and what became of it, in traces, spans and bytes.
//!
//! Owns the metrics that have to balance:
//!
//! received = kept + dropped + open + late + invalid + revoked + replayed.
//!
//! A worker has [`Counts`] of its own and posts them after each batch. Posting and reading
//! exclude each other ([`Accounts::read`]), so a scrape never sees half of a posting. Bytes are the
//! wire bytes of spans, with their tag and length; a record that cannot be parsed counts whole.
//! What is counted by policy goes to the [`PolicyCounters`] of the set that was in force.

mod counters;
mod counts;
mod policies;

use std::sync::{PoisonError, RwLock};

use metrics::{Counter, Gauge, Histogram};

use crate::telemetry::metrics::table;

use counters::{AmountCounters, SpanCounters, post_all, post_spans};

pub use counts::{Amount, Counts};
pub use policies::{CountedLeaf, CountedPolicy, PolicyCounters};

/// The accounts of the process. All series exist, at 0, from the start.
#[derive(Debug)]
pub struct Accounts {
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
    /// Of kept traces, and of dropped ones.
    late: Vec<SpanCounters>,
    replayed: Vec<SpanCounters>,
    revoked: AmountCounters,
    reopened: AmountCounters,
    reopen_failures: Vec<Counter>,
    restored: AmountCounters,
    restore_failures: Vec<Counter>,
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

impl Default for Accounts {
    fn default() -> Self {
        Self::new()
    }
}

impl Accounts {
    /// Registers every series with the installed recorder.
    pub fn new() -> Self {
        let received = [&table::RECEIVED_TRACES, &table::RECEIVED_SPANS, &table::RECEIVED_BYTES];
        let reopened = [&table::REOPENED_TRACES, &table::REOPENED_SPANS, &table::REOPENED_BYTES];
        let restored = [&table::RESTORED_TRACES, &table::RESTORED_SPANS, &table::RESTORED_BYTES];
        let revoked = [&table::REVOKED_TRACES, &table::REVOKED_SPANS, &table::REVOKED_BYTES];
        Self {
            gate: RwLock::new(()),
            records: table::RECORDS.handle(),
            record_bytes: table::RECORD_BYTES.handle(),
            encoded: table::ENCODED_RECORDS.each(&[]),
            compressed: table::COMPRESSED_RECORDS.each(&[]),
            received: AmountCounters::new(received, &[]),
            invalid: SpanCounters::each(&table::INVALID_SPANS, &table::INVALID_BYTES),
            invalid_records: table::INVALID_RECORDS.each(&[]),
            misrouted: table::MISROUTED_RECORDS.each(&[]),
            cache_lookups: table::CACHE_LOOKUPS.each(&[]),
            cache_entries: table::CACHE_ENTRIES.handle(),
            cache_bytes: table::CACHE_BYTES.handle(),
            late: SpanCounters::each(&table::LATE_SPANS, &table::LATE_BYTES),
            replayed: SpanCounters::each(&table::REPLAYED_SPANS, &table::REPLAYED_BYTES),
            reopened: AmountCounters::new(reopened, &[]),
            reopen_failures: table::REOPEN_FAILURES.each(&[]),
            restored: AmountCounters::new(restored, &[]),
            restore_failures: table::RESTORE_FAILURES.each(&[]),
            revoked: AmountCounters::new(revoked, &[]),
            triggers: table::DECISION_TRIGGERS.each(&[]),
            oversized_spans: table::OVERSIZED_SPANS.handle(),
            malformed_tracestate: table::MALFORMED_TRACESTATE.handle(),
            not_utf8_spans: table::NOT_UTF8_SPANS.handle(),
            empty_records: table::EMPTY_RECORDS.handle(),
            repeated_records: table::REPEATED_RECORDS.handle(),
            open_traces: table::OPEN_TRACES.handle(),
            open_spans: table::OPEN_SPANS.handle(),
            open_bytes: table::OPEN_BYTES.handle(),
            late_age: table::LATE_AGE.handle(),
            decision_delay: table::DECISION_DELAY.handle(),
            trace_spans: table::TRACE_SPANS.handle(),
            trace_bytes: table::TRACE_BYTES.handle(),
            trace_duration: table::TRACE_DURATION.handle(),
        }
    }

    /// Posts what a worker counted, and how what it holds open changed: the two must be posted
    /// as one for the accounts to balance. `policies` are those of the set that the counts are of.
    pub fn post(
        &self,
        policies: &PolicyCounters,
        counts: &mut Counts,
        opened: Amount,
        closed: Amount,
    ) {
        let _posting = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        self.records.increment(counts.records);
        self.record_bytes.increment(counts.record_bytes);
        post_all(&self.encoded, &counts.encoded);
        post_all(&self.compressed, &counts.compressed);
        self.received.post(counts.received);
        post_spans(&self.invalid, &counts.invalid);
        post_all(&self.invalid_records, &counts.invalid_records);
        post_all(&self.misrouted, &counts.misrouted);
        policies.post(counts);
        post_spans(&self.late, &[counts.late_kept, counts.late_dropped]);
        post_spans(&self.replayed, &counts.replayed);
        self.reopened.post(counts.reopened);
        post_all(&self.reopen_failures, &counts.reopen_failures);
        self.restored.post(counts.restored);
        post_all(&self.restore_failures, &counts.restore_failures);
        self.revoked.post(counts.revoked);
        post_all(&self.triggers, &counts.triggers);
        post_all(&self.cache_lookups, &counts.cache_lookups);
        self.oversized_spans.increment(counts.oversized_spans);
        self.malformed_tracestate.increment(counts.malformed_tracestate);
        self.not_utf8_spans.increment(counts.not_utf8_spans);
        self.empty_records.increment(counts.empty_records);
        self.repeated_records.increment(counts.repeated_records);
        let change = |to: &Gauge, more: u64, less: u64| to.increment(more as f64 - less as f64);
        change(&self.open_traces, opened.traces, closed.traces);
        change(&self.open_spans, opened.spans, closed.spans);
        change(&self.open_bytes, opened.bytes, closed.bytes);
        counts.clear();
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
