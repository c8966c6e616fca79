//! Metrics: one table of all families, and the handles that come from it.
//!
//! Owns the name, kind, unit, labels and help of every metric ([`table`]), the values of labels that
//! have a fixed set of them, and the recorder of the process. Promises that a series is what the
//! table says it is, and that each full name stands in the table and nowhere else; `docs/metrics.md`
//! is printed from it. Leaves to others what is counted when.

mod family;
mod labels;
#[cfg(test)]
mod own;
#[cfg(test)]
mod page;
mod process;
mod recorder;
pub mod table;
pub mod text;

pub use family::{Family, Kind, Metric};
pub use labels::{
    Invalid, KeepAnswer, LOOKUPS, Misrouted, OWN_OUTCOMES, ReopenFailure, Replayed, RestoreFailure,
    Retrieved, TRIGGERS, VOTES,
};
pub use recorder::{Recorder, install};
