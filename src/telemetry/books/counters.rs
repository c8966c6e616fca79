//! Counters that come in threes: traces, spans and bytes.

use metrics::{Counter, Label, counter};

use super::Amount;

/// The counters `tailsieve_{what}_{traces,spans,bytes}_total` with the same labels.
#[derive(Debug)]
pub(super) struct AmountCounters {
    traces: Counter,
    spans: Counter,
    bytes: Counter,
}

impl AmountCounters {
    pub(super) fn new(what: &str, labels: &[Label]) -> Self {
        let one = |unit: &str| counter!(format!("tailsieve_{what}_{unit}_total"), labels.to_vec());
        Self { traces: one("traces"), spans: one("spans"), bytes: one("bytes") }
    }

    pub(super) fn post(&self, amount: Amount) {
        if amount != Amount::default() {
            self.traces.increment(amount.traces);
            self.spans.increment(amount.spans);
            self.bytes.increment(amount.bytes);
        }
    }
}

/// Spans and bytes that make no trace of their own.
#[derive(Debug)]
pub(super) struct SpanCounters {
    spans: Counter,
    bytes: Counter,
}

impl SpanCounters {
    pub(super) fn new(what: &str, label: &'static str, value: &'static str) -> Self {
        let one = |unit: &str| counter!(format!("tailsieve_{what}_{unit}_total"), label => value);
        Self { spans: one("spans"), bytes: one("bytes") }
    }

    pub(super) fn post(&self, amount: Amount) {
        self.spans.increment(amount.spans);
        self.bytes.increment(amount.bytes);
    }
}

/// Adds each count to its counter.
pub(super) fn post_all(counters: &[Counter], counts: &[u64]) {
    let changed = counters.iter().zip(counts).filter(|(_, count)| **count > 0);
    changed.for_each(|(counter, count)| counter.increment(*count));
}
