//! `not`

use super::{
    Asked, Asking, CompileError, Compiler, Expression, Matching, PolicyKind, PolicySpec, PolicyType,
};
use crate::options::options;
use crate::sampling::policy::explain::reason;
use crate::sampling::policy::written::{Level, policy};

options! {
    /// Keeps a trace if its policy does not.
    pub struct Not {
        /// The policy.
        not_sub_policy: Box<PolicySpec> =
            policy(Level::Part).required("{name: errors, type: status_code, ...}"),
    }
}

impl PolicyType for Not {
    fn compile(&self, compiler: &mut Compiler) -> Result<Asking, CompileError> {
        let negated = compiler.expression(&self.not_sub_policy)?;
        Ok(Asking::Whole(Expression::Not(Box::new(negated))))
    }

    fn reason(&self, expression: &Expression, asked: &mut Asked<'_>) -> String {
        let Expression::Not(negated) = expression else { return String::new() };
        reason(&self.not_sub_policy, negated, asked)
    }

    fn matching(&self, parts: &[Matching]) -> Matching {
        match parts {
            [Matching::Never(_)] => Matching::Always,
            [Matching::Always] => Matching::Never(None),
            _ => Matching::Sometimes,
        }
    }

    fn covers(&self, other: &PolicyKind) -> bool {
        let PolicyKind::Not(other) = other else { return false };
        let (own, other) = (&self.not_sub_policy.kind, &other.not_sub_policy.kind);
        other.covers(own) && !other.spends()
    }

    fn parts(&self) -> (&'static str, Vec<&PolicySpec>) {
        ("not_sub_policy", vec![&self.not_sub_policy])
    }
}
