//! What the status page shows of the members in this process, beside their metrics.

use std::path::Path;
use std::sync::Arc;

use crate::config;
use crate::ids::TraceId;
use crate::member::observer::Observer;
use crate::member::reload::{Listed, ReloadStatus};
use crate::member::worker::ActivePolicies;
use crate::telemetry::admin::status::{
    Later, PartitionStatus, PoliciesStatus, PolicyStatus, Setting, StatusSource, TraceSearch,
    Trials,
};
use crate::telemetry::latest::LatestTrace;

/// Tells of the members of this process: one, or in the demo two.
pub struct Members {
    /// Those that run now.
    pub observers: Arc<dyn Fn() -> Vec<Observer> + Send + Sync>,
    /// Their policies.
    pub policies: Arc<dyn Fn() -> PoliciesStatus + Send + Sync>,
    /// Their static file.
    pub configuration: Vec<Setting>,
    /// Tries policies on what they decide.
    pub trials: Arc<dyn Trials>,
}

impl StatusSource for Members {
    fn renew(&self) {
        (self.observers)().iter().for_each(|observer| observer.latest().renew());
    }

    fn partitions(&self) -> Later<Vec<PartitionStatus>> {
        let observers = (self.observers)();
        Box::pin(async move {
            let mut partitions = Vec::new();
            for observer in observers {
                partitions.extend(observer.partitions().await);
            }
            partitions.sort_by_key(|partition| partition.partition);
            partitions
        })
    }

    fn search(&self, id: TraceId) -> Later<TraceSearch> {
        let observers = (self.observers)();
        Box::pin(async move {
            let mut all = TraceSearch {
                trace_id: id.to_string(),
                is_complete: true,
                ..TraceSearch::default()
            };
            for observer in observers {
                let search = observer.search(id).await;
                all.found.extend(search.found);
                all.partition = all.partition.or(search.partition);
                all.owned_partitions.extend(search.owned_partitions);
                all.is_complete &= search.is_complete;
            }
            all.owned_partitions.sort_unstable();
            all
        })
    }

    fn latest(&self, is_kept: bool) -> Vec<LatestTrace> {
        let observers = (self.observers)();
        let latest = observers.iter().flat_map(|observer| observer.latest().traces(is_kept));
        let mut latest: Vec<LatestTrace> = latest.collect();
        latest.sort_by_key(|trace| std::cmp::Reverse(trace.at));
        latest
    }

    fn policies(&self) -> PoliciesStatus {
        (self.policies)()
    }

    fn configuration(&self) -> Vec<Setting> {
        self.configuration.clone()
    }

    fn trials(&self) -> Arc<dyn Trials> {
        Arc::clone(&self.trials)
    }
}

/// The policies of a file that is read again when it changes.
pub fn reloaded(status: &ReloadStatus) -> PoliciesStatus {
    PoliciesStatus {
        file: Some(status.file.display().to_string()),
        hash: status.hash.clone(),
        since: Some(status.since.into()),
        failure: status.failure.as_ref().map(|failure| failure.errors.clone()),
        policies: status.policies.iter().map(policy).collect(),
        ..PoliciesStatus::default()
    }
}

/// The policies of a file that is not read again.
pub fn fixed(active: &ActivePolicies) -> PoliciesStatus {
    PoliciesStatus {
        hash: active.hash.clone(),
        policies: active.policies.set.specs().map(Listed::from).map(|it| policy(&it)).collect(),
        ..PoliciesStatus::default()
    }
}

fn policy(listed: &Listed) -> PolicyStatus {
    PolicyStatus {
        name: listed.name.clone(),
        kind: listed.kind.to_owned(),
        mode: listed.mode,
        ..PolicyStatus::default()
    }
}

/// The static file, without secrets. It was read before: what is wrong with it by now is no matter.
pub fn configuration(file: &Path) -> Vec<Setting> {
    config::shown(file).unwrap_or_default()
}
