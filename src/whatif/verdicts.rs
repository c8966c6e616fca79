//! Verdicts by number: a side has a few of them, and many traces.

use super::tally::Verdict;

/// A place in [`Verdicts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct VerdictIndex(u32);

/// The verdicts of one side.
#[derive(Debug, Default)]
pub(super) struct Verdicts(Vec<Verdict>);

impl Verdicts {
    /// The number of a verdict.
    pub(super) fn index_of(&mut self, kept: bool, policy: Option<&str>) -> VerdictIndex {
        let is_it = |it: &Verdict| it.kept == kept && it.policy.as_deref() == policy;
        let place = self.0.iter().position(is_it).unwrap_or_else(|| {
            self.0.push(Verdict { kept, policy: policy.map(str::to_owned) });
            self.0.len() - 1
        });
        VerdictIndex(u32::try_from(place).expect("a side has no more verdicts than policies"))
    }

    /// The verdict with this number.
    pub(super) fn get(&self, index: VerdictIndex) -> &Verdict {
        &self.0[index.0 as usize]
    }
}
