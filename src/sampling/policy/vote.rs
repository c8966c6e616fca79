//! What a policy says of a trace.

use crate::otlp::probability::Threshold;

/// Which child of a `composite` policy, counted over all of a policy set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeafIndex(pub u16);

/// What a policy says of a trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Vote {
    /// Nothing.
    None,
    /// It is to be kept.
    Keep(Odds),
    /// It is to be dropped, whatever the others say.
    Drop,
    /// A condition could not be evaluated. Neither this nor its contrary is known.
    Failed,
}

impl Vote {
    /// A vote to keep with certainty, or none.
    pub(super) fn certain_if(holds: bool) -> Self {
        if holds { Self::Keep(Odds::CERTAIN) } else { Self::None }
    }
}

/// The chance that a vote to keep was given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Odds {
    pub(super) threshold: Threshold,
    /// True as long as all chance involved is the trace's randomness.
    pub(super) consistent: bool,
    /// The child of a `composite` policy that gave it.
    pub(super) leaf: Option<LeafIndex>,
}

impl Odds {
    /// No chance was involved.
    pub(super) const CERTAIN: Self =
        Self { threshold: Threshold::ALWAYS, consistent: true, leaf: None };

    /// A budget decided: what else came at the time, which nobody can tell a chance from. Anything
    /// known is better.
    pub(super) const UNKNOWN: Self =
        Self { threshold: Threshold::NEVER, consistent: false, leaf: None };

    /// The trace's randomness passed a threshold.
    pub(super) fn passed(threshold: Threshold) -> Self {
        Self { threshold, ..Self::CERTAIN }
    }

    /// Something with this chance came about that has nothing to do with the trace's randomness.
    pub(super) fn apart(threshold: Threshold) -> Self {
        Self { threshold, consistent: false, leaf: None }
    }

    /// Something with this chance did not come about. Thresholds say which randomness is high
    /// enough, and here it was low enough: no threshold tells that.
    pub(super) fn against(chance: f64) -> Self {
        if chance <= 0.0 {
            return Self::CERTAIN;
        }
        Self::apart(Threshold::from_probability(1.0 - chance))
    }

    pub(super) fn probability(self) -> f64 {
        self.threshold.probability()
    }

    /// Both votes were needed. Thresholds over the same randomness nest, so the larger one stands
    /// for both; other chances have nothing to do with each other.
    pub(super) fn and(self, other: Self) -> Self {
        let consistent = self.consistent && other.consistent;
        let threshold = match (self.threshold, other.threshold) {
            (Threshold::ALWAYS, one) | (one, Threshold::ALWAYS) => one,
            (one, other) if consistent => one.max(other),
            _ => Threshold::from_probability(self.probability() * other.probability()),
        };
        Self { threshold, consistent, leaf: self.leaf.or(other.leaf) }
    }
}
