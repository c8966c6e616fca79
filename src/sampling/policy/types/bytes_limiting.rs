//! `bytes_limiting`

use super::rate_limiting::{Bucket, tokens};
use super::{
    Asked, Asking, CompileError, Compiler, Expression, PolicyKind, PolicyType, Spending, Unit,
    Verdict,
};
use crate::options::options;
use crate::sampling::policy::explain::budget_reason;

options! {
    /// Keeps traces within a budget of bytes. A trace passes whole or not at all.
    pub struct BytesLimiting {
        /// For the whole consumer group.
        bytes_per_second: u64 = tokens().required("1000000"),
        /// What the bucket holds; twice what comes in a second by default.
        burst_capacity: Option<u64> = tokens().unless_zero(),
    }
}

impl BytesLimiting {
    fn bucket(&self) -> Bucket {
        let Self { bytes_per_second: per_second, burst_capacity } = *self;
        Bucket { per_second, burst_capacity, option: "bytes_per_second", unit: Unit::Bytes }
    }
}

impl PolicyType for BytesLimiting {
    fn compile(&self, compiler: &mut Compiler) -> Result<Asking, CompileError> {
        self.bucket().compile(compiler)
    }

    fn reason(&self, expression: &Expression, asked: &mut Asked<'_>) -> String {
        budget_reason(expression, asked)
    }

    fn verdict(&self, _: &[Verdict]) -> Verdict {
        self.bucket().verdict()
    }

    fn covers(&self, _: &PolicyKind) -> bool {
        false
    }

    fn limits(&self) -> Vec<Spending<'_>> {
        vec![self.bucket().spending()]
    }
}
