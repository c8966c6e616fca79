//! `drop`

use super::and::{all_cover, compile_all, reason_of_all};
use super::{
    Asked, Asking, CompileError, Compiler, Expression, Matching, PolicyKind, PolicySpec, PolicyType,
};
use crate::options::options;
use crate::sampling::policy::written::{Level, policies};

options! {
    /// Drops a trace, whatever the others say, if all of its policies would keep it.
    pub struct Drop {
        /// The policies.
        drop_sub_policy: Vec<PolicySpec> =
            policies(Level::Part).required("[{name: errors, type: status_code, ...}]"),
    }
}

impl PolicyType for Drop {
    fn compile(&self, compiler: &mut Compiler) -> Result<Asking, CompileError> {
        let all = compile_all(&self.drop_sub_policy, compiler)?;
        Ok(Asking::Whole(Expression::Drops(Box::new(all))))
    }

    fn reason(&self, expression: &Expression, asked: &mut Asked<'_>) -> String {
        let Expression::Drops(all) = expression else { return String::new() };
        reason_of_all(&self.drop_sub_policy, all, asked)
    }

    fn matching(&self, parts: &[Matching]) -> Matching {
        Matching::all(parts)
    }

    fn covers(&self, other: &PolicyKind) -> bool {
        all_cover(&self.drop_sub_policy, other)
    }

    fn parts(&self) -> (&'static str, Vec<&PolicySpec>) {
        ("drop_sub_policy", self.drop_sub_policy.iter().collect())
    }
}
