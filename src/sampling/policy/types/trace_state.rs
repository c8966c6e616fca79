//! `trace_state`

use super::{
    Asked, Asking, CompileError, Compiler, Expression, Matching, PolicyKind, PolicyType, some_span,
};
use crate::options::{name, options, split_by_commas, text};

/// Key and value of a member that is looked for are shorter than this together: the Collector does
/// not look for longer ones.
const LONGEST_MEMBER: usize = 256;

options! {
    /// Keeps a trace if a span's tracestate is well-formed and has the member with one of the values.
    pub struct TraceState {
        /// The member's key.
        key: String = name().required("vendor"),
        /// The values.
        values: Vec<String> = split_by_commas(text()).some("[important]"),
    }
}

impl PolicyType for TraceState {
    fn compile(&self, compiler: &mut Compiler) -> Result<Asking, CompileError> {
        let is_short = |value: &&String| self.key.len() + value.len() < LONGEST_MEMBER;
        let values: Vec<String> = self.values.iter().filter(is_short).cloned().collect();
        compiler.fact(|predicates| predicates.trace_state(&self.key, &values), false)
    }

    fn reason(&self, expression: &Expression, asked: &mut Asked<'_>) -> String {
        let what = format!("has {} of {} in its tracestate", self.key, self.values.join(", "));
        some_span(expression, asked, &what)
    }

    fn matching(&self, _: &[Matching]) -> Matching {
        Matching::Sometimes
    }

    fn covers(&self, other: &PolicyKind) -> bool {
        let PolicyKind::TraceState(Self { key, values }) = other else { return false };
        self.key == *key && values.iter().all(|value| self.values.contains(value))
    }
}
