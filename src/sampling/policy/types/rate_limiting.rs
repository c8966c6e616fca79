//! `rate_limiting`

use super::{
    Asked, Asking, CompileError, Compiler, Expression, Matching, PolicyKind, PolicyType, Spending,
    Unit,
};
use crate::options::{Form, options, whole};
use crate::sampling::policy::explain::budget_reason;

/// How many times what comes in a second a bucket holds by default.
const DEFAULT_BURST: u64 = 2;

options! {
    /// Keeps traces within a budget of spans. A trace passes whole or not at all.
    pub struct RateLimiting {
        /// For the whole consumer group.
        spans_per_second: u64 = tokens().required("1000"),
        /// What the bucket holds; twice what comes in a second by default.
        burst_capacity: Option<u64> = tokens().unless_zero(),
    }
}

impl Budgeted for RateLimiting {
    fn bucket(&self) -> Bucket {
        let Self { spans_per_second: per_second, burst_capacity } = *self;
        Bucket { per_second, burst_capacity, option: "spans_per_second", unit: Unit::Spans }
    }
}

/// A policy that is a token bucket and nothing else.
pub(super) trait Budgeted {
    /// The bucket.
    fn bucket(&self) -> Bucket;
}

impl<T: Budgeted> PolicyType for T {
    fn compile(&self, compiler: &mut Compiler) -> Result<Asking, CompileError> {
        self.bucket().compile(compiler)
    }

    fn reason(&self, expression: &Expression, asked: &mut Asked<'_>) -> String {
        budget_reason(expression, asked)
    }

    fn matching(&self, _: &[Matching]) -> Matching {
        self.bucket().matching()
    }

    fn covers(&self, _: &PolicyKind) -> bool {
        false
    }

    fn limits(&self) -> Vec<Spending<'_>> {
        vec![self.bucket().spending()]
    }
}

/// A token bucket, of spans or of bytes.
pub(super) struct Bucket {
    pub(super) per_second: u64,
    pub(super) burst_capacity: Option<u64>,
    /// Where `per_second` stands.
    pub(super) option: &'static str,
    pub(super) unit: Unit,
}

impl Bucket {
    fn compile(&self, compiler: &mut Compiler) -> Result<Asking, CompileError> {
        let capacity = self.spending().capacity;
        let budget = compiler.bucket(self.per_second as f64, capacity)?;
        Ok(Asking::Whole(Expression::Budget { budget, unit: self.unit }))
    }

    fn matching(&self) -> Matching {
        match (self.per_second, self.burst_capacity) {
            (0, None) => Matching::never(self.option, "a budget of 0 lets nothing through"),
            _ => Matching::Sometimes,
        }
    }

    fn spending<'p>(&self) -> Spending<'p> {
        let (capacity, option) = match self.burst_capacity {
            Some(burst) => (burst as f64, "burst_capacity"),
            None => (self.per_second as f64 * DEFAULT_BURST as f64, self.option),
        };
        Spending { share_of: None, option, capacity, unit: self.unit }
    }
}

/// Tokens of a bucket: what the Collector's `int64` holds, and not below 0.
pub(super) fn tokens() -> Form<u64> {
    whole(0..=u64::MAX >> 1)
}
