//! How much something is: traces, their spans and their bytes.

use serde::{Deserialize, Serialize};

/// A number of traces, with the sums of their spans and wire bytes, and of the squares of these. A trace is
/// counted with its late spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Traces.
    pub traces: u64,
    /// Their spans.
    pub spans: u64,
    /// The wire bytes of these, without the resource and scope that they share.
    pub bytes: u64,
    /// The sum of the squares of the traces' spans.
    pub spans_squared: f64,
    /// The sum of the squares of the traces' bytes.
    pub bytes_squared: f64,
}

/// In what is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Traces.
    Traces,
    /// Spans.
    Spans,
    /// Bytes.
    Bytes,
}

impl Figures {
    /// One trace.
    pub fn of_trace(spans: u64, bytes: u64) -> Self {
        let squared = |number: u64| (number as f64).powi(2);
        let (spans_squared, bytes_squared) = (squared(spans), squared(bytes));
        Self { traces: 1, spans, bytes, spans_squared, bytes_squared }
    }

    /// Adds more.
    pub fn add(&mut self, more: &Self) {
        self.traces += more.traces;
        self.spans += more.spans;
        self.bytes += more.bytes;
        self.spans_squared += more.spans_squared;
        self.bytes_squared += more.bytes_squared;
    }

    /// The sum.
    pub fn sum<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        all.into_iter().for_each(|figures| sum.add(figures));
        sum
    }

    /// How much it is in one measure.
    pub fn get(&self, measure: Measure) -> u64 {
        match measure {
            Measure::Traces => self.traces,
            Measure::Spans => self.spans,
            Measure::Bytes => self.bytes,
        }
    }

    /// The sum of the squares in one measure.
    pub fn squared(&self, measure: Measure) -> f64 {
        match measure {
            Measure::Traces => self.traces as f64,
            Measure::Spans => self.spans_squared,
            Measure::Bytes => self.bytes_squared,
        }
    }
}
