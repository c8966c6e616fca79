//! The policies in force: one value, put in place of the one before as a whole.
//!
//! A partition judges by the value that it holds and takes the next one between two records, so
//! no decision is ever made by parts of two.

use std::sync::Arc;

use tokio::sync::watch;

use super::outbound::Targets;
use crate::sampling::policy::PolicySet;
use crate::sampling::sampler::Policies;
use crate::telemetry::accounts::{CountedLeaf, CountedPolicy, Counts, PolicyCounters};

/// One version of what the policy file says.
#[derive(Debug)]
pub struct ActivePolicies {
    /// What decisions are made by.
    pub policies: Arc<Policies>,
    /// Names the contents of the file.
    pub hash: String,
    /// Where their counts are posted.
    pub(super) counters: PolicyCounters,
}

impl ActivePolicies {
    /// A version that is not in force yet. Its metrics are there from now on.
    pub fn new(policies: Policies, hash: String) -> Self {
        let counters = counters(&policies.set);
        Self { policies: Arc::new(policies), hash, counters }
    }

    /// Which of the exporters `all` get what the policy of that name keeps: what it says, or all
    /// if there is none of that name any more.
    pub(super) fn targets(&self, all: &[String], policy: &str) -> Targets {
        if all.len() == 1 {
            return Targets::of(all, &[]);
        }
        let named = self.policies.set.specs().find(|spec| spec.name == policy);
        Targets::of(all, named.map_or(&[], |spec| &spec.exporters))
    }

    /// Counts for these policies.
    pub(super) fn counts(&self) -> Counts {
        let policies = &self.policies.set;
        Counts::new(policies.names().count(), policies.leaves().len())
    }
}

fn counters(policies: &PolicySet) -> PolicyCounters {
    let counted = policies.specs().map(|spec| CountedPolicy {
        name: &spec.name,
        is_shadow: spec.mode == crate::sampling::policy::spec::Mode::Shadow,
    });
    let leaves = policies
        .leaves()
        .iter()
        .map(|leaf| CountedLeaf { policy: policies.name(leaf.policy), name: &leaf.name });
    PolicyCounters::new(counted, leaves)
}

/// The place where workers look for the version in force.
#[derive(Debug)]
pub struct PolicyWatch(watch::Sender<Arc<ActivePolicies>>);

impl PolicyWatch {
    /// Starts with `first`.
    pub fn new(first: ActivePolicies) -> Self {
        Self(watch::Sender::new(Arc::new(first)))
    }

    /// The version in force.
    pub fn get(&self) -> Arc<ActivePolicies> {
        Arc::clone(&self.0.borrow())
    }

    /// Puts `next` in force and wakes the workers, which take it before their next record.
    pub fn replace(&self, next: ActivePolicies) {
        self.0.send_replace(Arc::new(next));
    }

    /// Tells when others come into force.
    pub fn follow(&self) -> watch::Receiver<Arc<ActivePolicies>> {
        self.0.subscribe()
    }
}
