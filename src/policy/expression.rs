//! What a policy asks of a whole trace.

use std::ops::RangeInclusive;

use crate::facts::Summary;
use crate::probability::Threshold;

/// A question about a trace, answered from its summary.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    Always,
    /// A span predicate was true for some span.
    Fact(u16),
    /// The expression does not hold.
    Not(Box<Expression>),
    /// The duration in whole milliseconds is above the one bound and not above the other.
    Latency {
        above_ms: u64,
        upto_ms: Option<u64>,
    },
    /// The number of spans is in this range.
    Spans(RangeInclusive<u32>),
    /// The trace's randomness passes the threshold.
    Passes(Threshold),
    /// The Collector's hash of salt and trace id is not above `limit`.
    Hashed {
        salt: Box<[u8]>,
        limit: u64,
        chance: Threshold,
    },
    /// All hold.
    All(Vec<Expression>),
}

/// A vote to keep (or, in a `drop` policy, to drop), with the chance that it was given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Vote {
    pub(super) threshold: Threshold,
    /// True as long as all chance involved is the trace's randomness.
    pub(super) consistent: bool,
}

impl Vote {
    const CERTAIN: Self = Self { threshold: Threshold::ALWAYS, consistent: true };

    /// The vote that something with this chance did not come about. Thresholds say which
    /// randomness is high enough, and here it was low enough: no threshold tells that.
    fn against(chance: f64) -> Self {
        if chance <= 0.0 {
            return Self::CERTAIN;
        }
        Self { threshold: Threshold::from_probability(1.0 - chance), consistent: false }
    }

    pub(super) fn probability(self) -> f64 {
        self.threshold.probability()
    }

    /// Both votes were needed. Thresholds over the same randomness nest, so the larger one
    /// stands for both.
    fn and(self, other: Self) -> Self {
        Self {
            threshold: self.threshold.max(other.threshold),
            consistent: self.consistent && other.consistent,
        }
    }
}

impl Expression {
    /// The chance that the answer is yes for a trace like this, with another randomness and id.
    fn chance(&self, trace: &Summary) -> f64 {
        match self {
            Self::Passes(threshold) | Self::Hashed { chance: threshold, .. } => {
                threshold.probability()
            }
            Self::Not(negated) => 1.0 - negated.chance(trace),
            Self::All(all) => all.iter().map(|one| one.chance(trace)).fold(1.0, f64::min),
            Self::Always | Self::Fact(_) | Self::Latency { .. } | Self::Spans(_) => {
                f64::from(u8::from(self.evaluate(trace).is_some()))
            }
        }
    }

    /// The vote, if the answer is yes.
    pub(super) fn evaluate(&self, trace: &Summary) -> Option<Vote> {
        match self {
            Self::Always => Some(Vote::CERTAIN),
            Self::Fact(fact) => trace.facts.contains(*fact).then_some(Vote::CERTAIN),
            Self::Not(negated) => match negated.evaluate(trace) {
                Some(_) => None,
                None => Some(Vote::against(negated.chance(trace))),
            },
            Self::Latency { above_ms, upto_ms } => {
                let millis = trace.duration().as_millis();
                let is_below = upto_ms.is_none_or(|upto| millis <= u128::from(upto));
                (millis > u128::from(*above_ms) && is_below).then_some(Vote::CERTAIN)
            }
            Self::Spans(range) => range.contains(&trace.spans).then_some(Vote::CERTAIN),
            Self::Passes(threshold) => threshold
                .keeps(trace.randomness())
                .then_some(Vote { threshold: *threshold, consistent: true }),
            Self::Hashed { salt, limit, chance } => (salted_hash(salt, trace) <= *limit)
                .then_some(Vote { threshold: *chance, consistent: false }),
            Self::All(all) => {
                all.iter().try_fold(Vote::CERTAIN, |vote, one| Some(vote.and(one.evaluate(trace)?)))
            }
        }
    }
}

/// FNV-1a, 64 bit, over the salt and then the trace id: the rule of the Collector's
/// `tail_sampling` processor.
fn salted_hash(salt: &[u8], trace: &Summary) -> u64 {
    let bytes = salt.iter().chain(trace.trace_id.as_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TraceId;

    #[test]
    fn the_salted_hash_is_fnv_1a() {
        // FNV-1a 64 of "foobar" is 0x85944171f73967e8 (the reference implementation's vectors);
        // the id's bytes continue it.
        let id = TraceId::from_slice(b"foobarfoobarfoob").expect("not all zero");
        let trace = Summary::new(id);
        let whole = salted_hash(b"", &trace);
        let mut expected = 0xcbf2_9ce4_8422_2325_u64;
        for byte in b"foobarfoobarfoob" {
            expected = (expected ^ u64::from(*byte)).wrapping_mul(1_099_511_628_211);
        }
        assert_eq!(whole, expected);
        assert_ne!(salted_hash(b"salt", &trace), whole);
    }
}
