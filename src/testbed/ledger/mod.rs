//! The ledger: what was really written to the topic, span by span, and what has to follow from it.
//!
//! Owns the facts of every produced trace ([`Ledger`], as JSON lines in [`Ledger::write`])
//! and the comparison with what a backend received ([`Check`], [`Verdict`]).
//! Promises independence: it derives expectations from these facts with a slow implementation of the
//! default policies that shares no code with the pipeline. Leaves producing to `generate`, and
//! receiving to the backend of the test.

mod check;
mod file;
mod received;
mod verdict;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use crate::ids::{SpanId, TraceId};

pub use check::{Check, Expectation, sampling_threshold};
pub use verdict::Verdict;

/// One span in one produced record.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanFact {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its own id.
    pub span_id: SpanId,
    /// `start_time_unix_nano`.
    pub start_unix_nano: u64,
    /// `end_time_unix_nano`.
    pub end_unix_nano: u64,
    /// True if its status is ERROR.
    pub error: bool,
    /// True if it has no parent.
    pub root: bool,
    /// True if it was held back until long after its trace.
    pub late: bool,
    /// `service.name` of its resource.
    pub service: &'static str,
    /// The 56-bit randomness R of its trace: `rv` of its tracestate, else the id's low 56 bits.
    pub randomness: u64,
}

/// A span of a trace in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanEntry {
    /// Its id.
    pub span_id: SpanId,
    /// True if it was held back until long after its trace.
    pub late: bool,
    /// How many times it was produced; above 1 for duplicates.
    pub copies: u32,
}

/// A produced trace. Every fact but the spans themselves, and `late_error`, is that of the spans that were not
/// late.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceEntry {
    /// Its spans, in the order they were first produced.
    pub spans: Vec<SpanEntry>,
    /// True if any span has status ERROR.
    pub error: bool,
    /// True if a late span has.
    pub late_error: bool,
    /// Earliest start of a span; `u64::MAX` while only late spans are known.
    pub start_unix_nano: u64,
    /// Latest end of a span.
    pub end_unix_nano: u64,
    /// True if no root span was produced.
    pub root_missing: bool,
    /// The services it went through, in order of appearance.
    pub services: Vec<Cow<'static, str>>,
    /// The 56-bit randomness R that probabilistic policies compare with their threshold.
    pub randomness: u64,
}

impl TraceEntry {
    fn new(randomness: u64) -> Self {
        Self {
            spans: Vec::new(),
            error: false,
            late_error: false,
            start_unix_nano: u64::MAX,
            end_unix_nano: 0,
            root_missing: true,
            services: Vec::new(),
            randomness,
        }
    }

    /// Latest end minus earliest start, in whole milliseconds.
    pub fn duration_ms(&self) -> u64 {
        self.end_unix_nano.saturating_sub(self.start_unix_nano) / 1_000_000
    }

    fn record(&mut self, fact: &SpanFact) {
        match self.spans.iter_mut().find(|s| s.span_id == fact.span_id) {
            Some(span) => {
                span.copies += 1;
                return;
            }
            None => {
                self.spans.push(SpanEntry { span_id: fact.span_id, late: fact.late, copies: 1 })
            }
        }
        if fact.late {
            self.late_error |= fact.error;
            return;
        }
        self.error |= fact.error;
        self.start_unix_nano = self.start_unix_nano.min(fact.start_unix_nano);
        self.end_unix_nano = self.end_unix_nano.max(fact.end_unix_nano);
        self.root_missing &= !fact.root;
        if !self.services.iter().any(|name| name == fact.service) {
            self.services.push(Cow::Borrowed(fact.service));
        }
    }
}

/// Everything that was produced, by trace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// The seed and settings that it came from, for people.
    pub settings: BTreeMap<String, String>,
    /// The traces.
    pub traces: HashMap<TraceId, TraceEntry>,
}

impl Ledger {
    /// An empty ledger of a run with these settings.
    pub fn new(settings: BTreeMap<String, String>) -> Self {
        Self { settings, traces: HashMap::new() }
    }

    /// Enters the spans of a record that was acknowledged. A span that is there already counts as
    /// one more copy.
    pub fn record(&mut self, spans: &[SpanFact]) {
        for fact in spans {
            self.traces
                .entry(fact.trace_id)
                .or_insert_with(|| TraceEntry::new(fact.randomness))
                .record(fact);
        }
    }

    /// Number of different spans.
    pub fn span_count(&self) -> u64 {
        self.traces.values().map(|t| t.spans.len() as u64).sum()
    }

    /// Number of productions of spans beyond the first of each.
    pub fn produced_again(&self) -> u64 {
        let spans = self.traces.values().flat_map(|trace| &trace.spans);
        spans.map(|span| u64::from(span.copies) - 1).sum()
    }
}

#[cfg(test)]
mod tests;
