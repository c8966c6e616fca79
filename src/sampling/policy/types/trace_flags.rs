//! `trace_flags`

use super::{
    Asked, Asking, CompileError, Compiler, Expression, Matching, PolicyKind, PolicyType, some_span,
};
use crate::options::options;

options! {
    /// Keeps a trace if a span has the sampled bit of the W3C trace flags.
    pub struct TraceFlags {}
}

impl PolicyType for TraceFlags {
    fn compile(&self, compiler: &mut Compiler) -> Result<Asking, CompileError> {
        compiler.fact(|predicates| predicates.sampled(), false)
    }

    fn reason(&self, expression: &Expression, asked: &mut Asked<'_>) -> String {
        some_span(expression, asked, "has the sampled flag")
    }

    fn matching(&self, _: &[Matching]) -> Matching {
        Matching::Sometimes
    }

    fn covers(&self, other: &PolicyKind) -> bool {
        matches!(other, PolicyKind::TraceFlags(_))
    }
}
