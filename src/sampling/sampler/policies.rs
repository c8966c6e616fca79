//! One version of what the policy file says, as far as decisions depend on it.

use std::time::Duration;

use super::keys_for;
use crate::otlp::AttributeKeys;
use crate::sampling::policy::PolicySet;
use crate::sampling::trace::Limits;

/// What traces are judged by.
#[derive(Debug)]
pub struct Policies {
    /// The policies, compiled.
    pub set: PolicySet,
    /// When traces are complete.
    pub limits: Limits,
    /// For how long decisions are remembered, on the partition's clock.
    pub decision_cache_ttl: Duration,
    /// What a scan has to look at for these policies.
    pub keys: AttributeKeys,
}

impl Policies {
    /// Those of `set`.
    pub fn new(set: PolicySet, limits: Limits, decision_cache_ttl: Duration) -> Self {
        let keys = keys_for(set.predicates());
        Self { set, limits, decision_cache_ttl, keys }
    }
}
