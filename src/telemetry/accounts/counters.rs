//! Counters that come in threes: traces, spans and bytes.

use metrics::Counter;

use crate::telemetry::metrics::Metric;

use super::Amount;

/// Counters of traces, spans and bytes with the same labels.
#[derive(Debug)]
pub(super) struct AmountCounters {
    traces: Counter,
    spans: Counter,
    bytes: Counter,
}

impl AmountCounters {
    /// Those of traces, spans and bytes, whose labels have these values.
    pub(super) fn new(metrics: [&Metric<Counter>; 3], values: &[&str]) -> Self {
        let [traces, spans, bytes] = metrics.map(|metric| metric.with(values));
        Self { traces, spans, bytes }
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
    /// One of each value of the label, in their order.
    pub(super) fn each(spans: &Metric<Counter>, bytes: &Metric<Counter>) -> Vec<Self> {
        let pairs = spans.each(&[]).into_iter().zip(bytes.each(&[]));
        pairs.map(|(spans, bytes)| Self { spans, bytes }).collect()
    }

    pub(super) fn post(&self, amount: Amount) {
        self.spans.increment(amount.spans);
        self.bytes.increment(amount.bytes);
    }
}

/// Adds each amount to its counters.
pub(super) fn post_spans(counters: &[SpanCounters], amounts: &[Amount]) {
    counters.iter().zip(amounts).for_each(|(counters, amount)| counters.post(*amount));
}

/// Adds each count to its counter.
pub(super) fn post_all(counters: &[Counter], counts: &[u64]) {
    let changed = counters.iter().zip(counts).filter(|(_, count)| **count > 0);
    changed.for_each(|(counter, count)| counter.increment(*count));
}
