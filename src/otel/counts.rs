//! What became of own telemetry, for the metrics: also of what came before metrics were set up.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::Counter;

use super::settings::OtelSettings;
use crate::export::Signal;
use crate::telemetry::metrics::{OWN_OUTCOMES, table};

/// What became of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The receiver accepted them.
    Exported,
    /// They were given up after failed attempts.
    Failed,
    /// The receiver accepted their request without them.
    Rejected,
    /// There was no room for them.
    Dropped,
}

/// Counts by signal and outcome.
#[derive(Debug, Default)]
pub(super) struct Counts {
    early: [[AtomicU64; OWN_OUTCOMES.len()]; Signal::ALL.len()],
    counters: OnceLock<Vec<(Signal, Vec<Counter>)>>,
}

impl Counts {
    /// From now on there are metrics: of the signals that are sent.
    pub(super) fn register(&self, settings: &OtelSettings) {
        let of = |signal: Signal| (signal, table::OWN_ITEMS.each(&[signal.name()]));
        let counters = settings.signals().into_iter().map(|(signal, _)| of(signal)).collect();
        if self.counters.set(counters).is_err() {
            return;
        }
        for (signal, early) in Signal::ALL.into_iter().zip(&self.early) {
            for (count, outcome) in early.iter().zip(0..) {
                self.post(signal, outcome, count.swap(0, Ordering::Relaxed));
            }
        }
    }

    /// Counts items.
    pub(super) fn count(&self, signal: Signal, outcome: Outcome, items: u64) {
        if self.counters.get().is_some() {
            self.post(signal, outcome as usize, items);
        } else {
            let early = Signal::ALL.into_iter().zip(&self.early).find(|(of, _)| *of == signal);
            early.inspect(|(_, early)| {
                early[outcome as usize].fetch_add(items, Ordering::Relaxed);
            });
        }
    }

    fn post(&self, signal: Signal, outcome: usize, items: u64) {
        let counters = self.counters.get().into_iter().flatten();
        let counters = counters.filter(|(of, _)| *of == signal);
        counters.for_each(|(_, counters)| counters[outcome].increment(items));
    }
}
