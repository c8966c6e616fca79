//! `always_sample`

use super::{Asked, Asking, CompileError, Compiler, Expression, Matching, PolicyKind, PolicyType};
use crate::options::options;

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

    fn matching(&self, _: &[Matching]) -> Matching {
        Matching::Always
    }

    fn covers(&self, _: &PolicyKind) -> bool {
        true
    }
}
