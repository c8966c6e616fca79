//! From what some partitions have to what all have, with an interval.
//!
//! A partition is chosen by the hash of the trace id, so each trace is in those that were read with the same
//! chance, whatever becomes of the others: the sample is of single traces (Poisson sampling), not of
//! partitions. A sum over the sample divided by that chance estimates the sum over all (Horvitz and Thompson),
//! and its variance is estimated by the sum of squares over the sample. Intervals are those of a gamma
//! distribution (Fay and Feuer 1997), which hold for few traces, too, where a normal one would not.

use serde::{Deserialize, Serialize};

use super::figures::{Figures, Measure};

/// The quantile of the normal distribution at 97.5 %.
const Z: f64 = 1.959_964;

/// How many of the partitions were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// So many.
    pub read: u32,
    /// Of so many.
    pub of: u32,
}

/// What a figure is in all partitions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The best guess.
    pub value: f64,
    /// It is not less, with 97.5 %.
    pub low: f64,
    /// It is not more, with 97.5 %.
    pub high: f64,
}

impl Estimate {
    /// What is known.
    pub fn exact(value: f64) -> Self {
        Self { value, low: value, high: value }
    }
}

impl Sample {
    /// True if all was read.
    pub fn is_whole(self) -> bool {
        self.read >= self.of
    }

    /// The chance of a trace to be in it.
    pub fn chance(self) -> f64 {
        if self.is_whole() { 1.0 } else { f64::from(self.read) / f64::from(self.of) }
    }

    /// A figure, in all partitions.
    pub fn estimate(self, figures: &Figures, measure: Measure) -> Estimate {
        let (counted, squares) = (figures.get(measure) as f64, figures.squared(measure));
        if self.is_whole() || counted == 0.0 {
            return Estimate::exact(counted / self.chance());
        }
        let (chance, missing) = (self.chance(), 1.0 - self.chance());
        let value = counted / chance;
        let variance = missing * squares / chance.powi(2);
        // What one more trace would add, a large one rather than a small one.
        let step = missing * squares / counted / chance;
        let low = gamma_quantile(value, variance, -Z);
        let high = gamma_quantile(value + step, variance + step.powi(2), Z);
        // What was seen is there.
        Estimate { value, low: low.max(counted), high: high.max(counted) }
    }

    /// By how much one figure is more than another one, of disjoint traces.
    pub fn difference(self, more: &Figures, less: &Figures, measure: Measure) -> Estimate {
        let chance = self.chance();
        let value = (more.get(measure) as f64 - less.get(measure) as f64) / chance;
        let squares = more.squared(measure) + less.squared(measure);
        let margin = Z * ((1.0 - chance) * squares).sqrt() / chance;
        Estimate { value, low: value - margin, high: value + margin }
    }
}

/// Where the gamma distribution with this mean and variance has the quantile that the normal one has at `z`
/// (Wilson and Hilferty 1931).
fn gamma_quantile(mean: f64, variance: f64, z: f64) -> f64 {
    if mean <= 0.0 || variance <= 0.0 {
        return mean;
    }
    let shape = mean.powi(2) / variance;
    let root = 1.0 - 1.0 / (9.0 * shape) + z / (3.0 * shape.sqrt());
    mean * root.max(0.0).powi(3)
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng as _, SeedableRng as _};

    use super::*;

    #[test]
    fn what_was_read_wholly_is_exact() {
        let figures = Figures::of_trace(7, 900);
        let whole = Sample { read: 12, of: 12 };
        assert_eq!(whole.estimate(&figures, Measure::Spans), Estimate::exact(7.0));
        let difference = whole.difference(&figures, &Figures::of_trace(2, 1), Measure::Spans);
        assert_eq!(difference, Estimate::exact(5.0));
        let none = Sample { read: 3, of: 12 }.estimate(&Figures::default(), Measure::Bytes);
        assert_eq!(none, Estimate::exact(0.0));
    }

    /// How many of the intervals of many samples have the truth in them, of so many traces.
    fn coverage(traces: u32, sample: Sample, measure: Measure, rng: &mut StdRng) -> f64 {
        // Sizes differ as those of traces do: most are small, a few are a hundred times as large.
        let size = |rng: &mut StdRng| (rng.random_range(0.0_f64..5.0).exp()) as u64 + 1;
        let all: Vec<Figures> =
            (0..traces).map(|_| Figures::of_trace(size(rng), size(rng) * 300)).collect();
        let truth = Figures::sum(&all).get(measure) as f64;
        let runs = 500;
        let held = (0..runs).filter(|_| {
            let seen = all.iter().filter(|_| rng.random_bool(sample.chance()));
            let seen = Figures::sum(seen.collect::<Vec<_>>());
            let Estimate { low, high, .. } = sample.estimate(&seen, measure);
            low <= truth && truth <= high
        });
        held.count() as f64 / f64::from(runs)
    }

    /// Guarantee: 95 % intervals hold the truth in 92 to 98 % of all samples that have some traces.
    #[test]
    fn intervals_hold_as_often_as_they_say() {
        let mut rng = StdRng::seed_from_u64(7);
        for traces in [60, 300, 3000] {
            for (read, of) in [(1, 12), (4, 12), (9, 12)] {
                for measure in [Measure::Traces, Measure::Spans, Measure::Bytes] {
                    let sample = Sample { read, of };
                    let held = coverage(traces, sample, measure, &mut rng);
                    // Of a few traces of very different sizes nobody knows the largest.
                    let few = f64::from(traces) * sample.chance() < 20.0;
                    let range = if few { 0.84..=0.995 } else { 0.92..=0.98 };
                    assert!(range.contains(&held), "{traces} {read}/{of} {measure:?}: {held}");
                }
            }
        }
    }
}
