//! `always_sample`

use super::{PolicyKind, PolicyType, Verdict};
use crate::options::options;
use crate::sampling::policy::Asking;
use crate::sampling::policy::compile::{CompileError, Compiler};
use crate::sampling::policy::expression::{Asked, Expression};

options! {
    /// Keeps every trace.
    pub struct AlwaysSample {}
}

impl PolicyType for AlwaysSample {
    fn compile(&self, _: &mut Compiler) -> Result<Asking, CompileError> {
        Ok(Asking::Whole(Expression::Always))
    }

    fn reason(&self, _: &Expression, _: &mut Asked<'_>) -> String {
        String::new()
    }

    fn verdict(&self, _: &[Verdict]) -> Verdict {
        Verdict::Always
    }

    fn covers(&self, _: &PolicyKind) -> bool {
        true
    }
}
