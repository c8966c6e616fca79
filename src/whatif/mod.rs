//! What policies would have done with traffic that was recorded, beside what was done.
//!
//! The old side is what the decision log has on record, or what other policies say; the new side is what
//! candidates say, by the same [`Sampler`](crate::sampling::sampler::Sampler) that members have, in the time
//! of the records. Joins no group and commits nothing. Promises that each trace whose first record is in the
//! range is counted once, in a cell or at an edge, and that tallies of disjoint partitions add up. Leaves to
//! others what is printed, and whether it is good.

mod book;
mod estimate;
mod figures;
mod join;
mod lane;
mod on_record;
mod outcome;
mod panel;
mod plan;
mod routing;
mod run;
mod side;
mod stream;
mod tally;
mod verdicts;

pub use estimate::{Estimate, Sample};
pub use figures::{Figures, Measure};
pub use join::Scope;
pub use lane::{Lane, ReadCounts};
pub use outcome::{Candidate, Outcome};
pub use panel::{Baseline, Judge, Question};
pub use plan::{Choice, Plan, PlanError, TimeSpan};
pub use routing::RoutingCounts;
pub use run::{Compared, Reading, read};
pub use tally::{Cell, Edges, Example, PolicyTally, RootTally, Square, Tally, Verdict};

#[cfg(test)]
mod tests;
