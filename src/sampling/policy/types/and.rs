//! `and`

use super::{
    Asked, Asking, CompileError, Compiler, Expression, Matching, PolicyKind, PolicySpec, PolicyType,
};
use crate::options::options;
use crate::sampling::policy::explain::reason;
use crate::sampling::policy::vote::Vote;
use crate::sampling::policy::written::{Level, policies};

options! {
    /// Keeps a trace if all of its policies do.
    pub struct And {
        /// The policies.
        and_sub_policy: Vec<PolicySpec> =
            policies(Level::Part).required("[{name: errors, type: status_code, ...}]"),
    }
}

impl PolicyType for And {
    fn compile(&self, compiler: &mut Compiler) -> Result<Asking, CompileError> {
        compile_all(&self.and_sub_policy, compiler).map(Asking::Whole)
    }

    fn reason(&self, expression: &Expression, asked: &mut Asked<'_>) -> String {
        reason_of_all(&self.and_sub_policy, expression, asked)
    }

    fn matching(&self, parts: &[Matching]) -> Matching {
        Matching::all(parts)
    }

    fn covers(&self, other: &PolicyKind) -> bool {
        all_cover(&self.and_sub_policy, other)
    }

    fn parts(&self) -> (&'static str, Vec<&PolicySpec>) {
        ("and_sub_policy", self.and_sub_policy.iter().collect())
    }
}

/// The policies as they are asked: those that spend budgets last, so that nothing is spent in vain.
fn as_asked(all: &[PolicySpec]) -> Vec<&PolicySpec> {
    let mut all: Vec<&PolicySpec> = all.iter().collect();
    all.sort_by_key(|part| part.kind.spends());
    all
}

pub(super) fn compile_all(
    all: &[PolicySpec],
    compiler: &mut Compiler,
) -> Result<Expression, CompileError> {
    let all = as_asked(all).into_iter().map(|part| compiler.expression(part));
    all.collect::<Result<_, _>>().map(Expression::All)
}

/// The first that does not vote keep; all of them if there is none.
pub(super) fn reason_of_all(
    all: &[PolicySpec],
    expression: &Expression,
    asked: &mut Asked<'_>,
) -> String {
    let Expression::All(expressions) = expression else { return String::new() };
    let mut reasons = Vec::new();
    for (part, expression) in as_asked(all).into_iter().zip(expressions) {
        let why = format!("{}: {}", part.name, reason(part, expression, asked));
        if matches!(expression.evaluate(asked), Vote::None | Vote::Failed) {
            return why;
        }
        reasons.push(why);
    }
    reasons.join("; ")
}

/// Whether all parts vote where `other` does, whose parts all have to vote, too, if it has some.
pub(super) fn all_cover(all: &[PolicySpec], other: &PolicyKind) -> bool {
    match other {
        PolicyKind::And(And { and_sub_policy: others })
        | PolicyKind::Drop(super::Drop { drop_sub_policy: others }) => {
            all.iter().all(|part| others.iter().any(|other| part.kind.covers(&other.kind)))
        }
        other => all.iter().all(|part| part.kind.covers(other)),
    }
}
