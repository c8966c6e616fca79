//! Consistent probability: how a sampling probability becomes a rejection threshold and back.
//!
//! Owns the arithmetic of the OpenTelemetry specification "TraceState: Probability Sampling":
//! a trace with randomness R (56 bits) is kept if R >= T. All thresholds nest, because all
//! compare with the same R. Leaves reading and writing of the tracestate to others.

use std::fmt;

/// 2^56: thresholds and randomness are below it.
pub const RANGE: u64 = 1 << 56;

/// Hexadecimal digits of a threshold written in full.
const DIGITS: i32 = 14;

/// Significant digits that a configured probability is rounded to, as the Collector does.
const PRECISION: i32 = 4;

/// A rejection threshold T, 0 to 2^56 inclusive. Zero keeps everything, 2^56 nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Threshold(u64);

impl Threshold {
    /// Keeps everything: what a vote without randomness stands for.
    pub const ALWAYS: Self = Self(0);

    /// Keeps nothing.
    pub const NEVER: Self = Self(RANGE);

    /// The threshold `value`, unless it is above 2^56.
    pub fn new(value: u64) -> Option<Self> {
        (value <= RANGE).then_some(Self(value))
    }

    /// The threshold of a probability, rounded to four significant hexadecimal digits after
    /// leading `f`s or `0`s (`ProbabilityToThresholdWithPrecision` of the Collector's
    /// `pkg/sampling`). At or below 2^-56: never; at or above 1: always.
    pub fn from_probability(probability: f64) -> Self {
        if probability >= 1.0 {
            return Self::ALWAYS;
        }
        if probability.is_nan() || probability < 1.0 / RANGE as f64 {
            return Self::NEVER;
        }
        let digits = |value: f64| PRECISION - exponent(value) / 4;
        let precision = digits(probability).max(digits(1.0 - probability)).min(DIGITS);
        let exact = RANGE - (probability * RANGE as f64).round() as u64;
        let shift = 4 * (DIGITS - precision);
        if shift == 0 {
            return Self(exact);
        }
        let half = 1 << (shift - 1);
        Self(((exact + half) >> shift) << shift)
    }

    /// The threshold as a number.
    pub fn value(self) -> u64 {
        self.0
    }

    /// True if randomness `r` passes.
    pub fn keeps(self, r: u64) -> bool {
        r >= self.0
    }

    /// The probability with which a trace passes.
    pub fn probability(self) -> f64 {
        (RANGE - self.0) as f64 / RANGE as f64
    }

    /// How many spans one kept span stands for, rounded to a whole number; `None` where nothing
    /// is kept.
    pub fn adjusted_count(self) -> Option<i64> {
        self.adjusted_count_after(Self::ALWAYS)
    }

    /// The same of a span that passed `earlier` before, by chance of its own.
    pub fn adjusted_count_after(self, earlier: Self) -> Option<i64> {
        let chance = self.probability() * earlier.probability();
        (chance > 0.0).then(|| (1.0 / chance).round() as i64)
    }
}

/// As `th` writes it: hexadecimal, trailing zeros left out, at least one digit.
impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:014x}", self.0);
        let short = digits.trim_end_matches('0');
        f.write_str(if short.is_empty() { "0" } else { short })
    }
}

/// The binary exponent of `frexp`: `value` = m * 2^e with 0.5 <= m < 1.
fn exponent(value: f64) -> i32 {
    debug_assert!(value.is_normal() && value > 0.0);
    ((value.to_bits() >> 52) & 0x7ff) as i32 - 1022
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_written_as_the_specification_has_them() {
        let cases = [
            (1.0, "0"),
            (0.5, "8"),
            (0.25, "c"),
            (0.1, "e666"),
            (0.01, "fd70a"),
            (0.001, "ffbe77"),
            (0.3333, "aaad"),
            (0.99, "028f6"),
        ];
        for (probability, hex) in cases {
            assert_eq!(Threshold::from_probability(probability).to_string(), hex, "{probability}");
        }
    }

    #[test]
    fn the_ends_are_always_and_never() {
        assert_eq!(Threshold::from_probability(2.0), Threshold::ALWAYS);
        assert_eq!(Threshold::from_probability(0.0), Threshold::NEVER);
        assert_eq!(Threshold::from_probability(-1.0), Threshold::NEVER);
        assert_eq!(Threshold::from_probability(f64::NAN), Threshold::NEVER);
        assert!(!Threshold::NEVER.keeps(RANGE - 1));
        assert!(Threshold::ALWAYS.keeps(0));
    }

    #[test]
    fn a_kept_span_stands_for_one_over_p() {
        assert_eq!(Threshold::from_probability(0.1).adjusted_count(), Some(10));
        assert_eq!(Threshold::ALWAYS.adjusted_count(), Some(1));
        assert_eq!(Threshold::NEVER.adjusted_count(), None);
        let (tenth, quarter) =
            (Threshold::from_probability(0.1), Threshold::from_probability(0.25));
        assert_eq!(tenth.adjusted_count_after(quarter), Some(40));
        assert_eq!(tenth.adjusted_count_after(Threshold::NEVER), None);
    }
}
