//! What the callbacks and the poll loop of one consumer share.
//!
//! Owns nothing by itself: the partitions, the client's reports and what is known of the topic have
//! a module each. All of it is used on the consumer's thread, and looked at from elsewhere now and then,
//! so the locks are hardly ever contended.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rdkafka::TopicPartitionList;
use tracing::debug;

use super::assignment::Assignment;
use super::client_reports::ClientReports;
use super::events::Rebalance;
use super::inbox::InboxSender;
use super::known_topic::KnownTopic;
use super::lease::Lease;
use super::metrics::SourceMetrics;
use super::ownership::OwnershipTable;
use super::settings::SourceSettings;
use crate::ids::Partition;
use crate::telemetry::log_throttle::LogThrottle;

/// What the callbacks and the poll loop of one consumer share.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) settings: SourceSettings,
    pub(super) ownership: Arc<OwnershipTable>,
    pub(super) workers: Vec<InboxSender>,
    pub(super) metrics: Arc<SourceMetrics>,
    /// How long this process may believe that it is a member.
    pub(super) lease: Arc<Lease>,
    pub(super) assignment: Assignment,
    pub(super) reports: ClientReports,
    pub(super) topic: KnownTopic,
    /// The member has had its first assignment, be it empty.
    pub(super) joined: AtomicBool,
    /// Set to leave as a crash would: waits for nothing, commits nothing.
    pub(super) crashed: AtomicBool,
    pub(super) trouble: Arc<LogThrottle>,
    pub(super) errors: Arc<LogThrottle>,
}

impl Context {
    pub(super) fn new(
        settings: SourceSettings,
        ownership: Arc<OwnershipTable>,
        workers: Vec<InboxSender>,
        metrics: Arc<SourceMetrics>,
        (trouble, errors): (Arc<LogThrottle>, Arc<LogThrottle>),
    ) -> Self {
        let lease = Arc::new(Lease::new(settings.lease_timeout));
        Self {
            settings,
            ownership,
            workers,
            metrics,
            lease,
            assignment: Assignment::default(),
            reports: ClientReports::new(),
            topic: KnownTopic::default(),
            joined: AtomicBool::new(false),
            crashed: AtomicBool::new(false),
            trouble,
            errors,
        }
    }

    /// The list of the given partitions of the topic.
    pub(super) fn list(
        &self,
        partitions: impl IntoIterator<Item = Partition>,
    ) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.settings.topic, partition.0);
        }
        list
    }

    pub(super) fn send(&self, worker: usize, event: Rebalance) {
        if self.workers[worker].rebalance(event).is_err() {
            debug!(worker, "rebalance.worker_gone");
        }
    }
}
