//! How spans flowed in the last minutes.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::model::{Flow, Rates, Time};

/// How often a sample is taken.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);

/// How many are kept: five minutes of them.
const SAMPLES: usize = 61;

/// The rates that are shown as those of now are over this time: a few samples, so that they do not
/// jump with each commit or batch.
const NOW: Duration = Duration::from_secs(15);

/// The totals at one time.
#[derive(Clone, Debug)]
struct Sample {
    taken: Instant,
    at: Time,
    flow: Flow,
}

/// Samples of the last minutes, the oldest first.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<Sample>);

impl History {
    /// Takes a sample in.
    pub(super) fn push(&mut self, taken: Instant, at: Time, flow: Flow) {
        if self.0.len() == SAMPLES {
            self.0.pop_front();
        }
        self.0.push_back(Sample { taken, at, flow });
    }

    /// How it went from sample to sample.
    pub(super) fn rates(&self) -> Vec<Rates> {
        let pairs = self.0.iter().zip(self.0.iter().skip(1));
        pairs.map(|(before, after)| rates(before, after)).collect()
    }

    /// How fast `flow` goes now.
    pub(super) fn rates_now(&self, taken: Instant, at: Time, flow: &Flow) -> Rates {
        let now = Sample { taken, at, flow: flow.clone() };
        let is_before = |sample: &&Sample| taken - sample.taken >= NOW;
        let before = self.0.iter().rev().find(is_before).or(self.0.front());
        before.map_or_else(|| rates(&now, &now), |before| rates(before, &now))
    }
}

fn rates(before: &Sample, after: &Sample) -> Rates {
    let seconds = (after.taken - before.taken).as_secs_f64();
    let rate = |total: fn(&Flow) -> u64| {
        let more = total(&after.flow).saturating_sub(total(&before.flow));
        if seconds > 0.0 { more as f64 / seconds } else { 0.0 }
    };
    Rates {
        at: after.at,
        seconds,
        received_spans_per_second: rate(|flow| flow.received.spans),
        received_bytes_per_second: rate(|flow| flow.received.bytes),
        received_traces_per_second: rate(|flow| flow.received.traces),
        kept_spans_per_second: rate(|flow| flow.kept.spans),
        kept_bytes_per_second: rate(|flow| flow.kept.bytes),
        kept_traces_per_second: rate(|flow| flow.kept.traces),
        dropped_spans_per_second: rate(|flow| flow.dropped.spans),
        dropped_bytes_per_second: rate(|flow| flow.dropped.bytes),
        dropped_traces_per_second: rate(|flow| flow.dropped.traces),
        delivered_spans_per_second: rate(|flow| flow.delivered_spans),
        open_traces: after.flow.open.traces,
        lag_seconds: after.flow.lag_seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::accounts::Amount;

    fn flow(spans: u64) -> Flow {
        let amount = Amount { traces: spans / 10, spans, bytes: spans * 100 };
        Flow { received: amount, open: amount, ..Flow::default() }
    }

    #[test]
    fn rates_are_those_between_samples_and_of_the_last_seconds() {
        let start = Instant::now();
        let mut history = History::default();
        let rates = history.rates_now(start, Time::default(), &flow(100));
        assert_eq!((rates.seconds, rates.received_spans_per_second), (0.0, 0.0));
        let total = |number: u64| if number < 10 { 100 * number } else { 1000 * number };
        for number in 0..100 {
            let at = start + INTERVAL * number as u32;
            history.push(at, Time::default(), flow(total(number)));
        }
        let all = history.rates();
        assert_eq!(all.len(), 60);
        assert!(all.iter().all(|rates| rates.received_spans_per_second == 200.0));
        assert_eq!(all[59].open_traces, 9900);
        let now = history.rates_now(start + INTERVAL * 100, Time::default(), &flow(127_000));
        assert_eq!((now.seconds, now.received_bytes_per_second), (15.0, 200_000.0));
    }
}
