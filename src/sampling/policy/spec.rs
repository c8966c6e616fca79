//! A policy as it was written: checked, but not yet compiled.

use crate::options::choices;

pub use super::types::*;

/// One policy of the file, or one sub-policy.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicySpec {
    /// Its name, unique among the policies of the file.
    pub name: String,
    /// What it asks.
    pub kind: PolicyKind,
    /// Whether its votes count.
    pub mode: Mode,
    /// The names of the exporters that get what it keeps; empty: all.
    pub exporters: Vec<String>,
}

impl PolicySpec {
    /// A policy whose votes count.
    pub fn new(name: impl Into<String>, kind: impl Into<PolicyKind>) -> Self {
        Self { name: name.into(), kind: kind.into(), mode: Mode::Enforce, exporters: Vec::new() }
    }
}

impl Default for PolicySpec {
    /// Stands for one that could not be read, which is an error of the file.
    fn default() -> Self {
        Self::new("", AlwaysSample {})
    }
}

choices! {
    /// Whether a policy's votes count.
    pub enum Mode {
        /// They do.
        Enforce = "enforce",
        /// It is asked and counted, and has no effect.
        Shadow = "shadow",
    }
}
