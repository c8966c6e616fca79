//! What the callbacks and the poll loop of one consumer share.
//!
//! Owns nothing by itself: the partitions, the client's reports and what is known of the topic have
//! a module each. All of it is used on the consumer's thread, and looked at from elsewhere now and then,
//! so the locks are hardly ever contended.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwapOption;
use rdkafka::TopicPartitionList;
use rdkafka::error::KafkaError;
use tracing::{debug, error};

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
use crate::kafka::access::Denied;
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
    /// The ACL that is missing, if one is, until the group answers.
    pub(super) denied: ArcSwapOption<Denied>,
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
            denied: ArcSwapOption::empty(),
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

    /// Takes note of an ACL that is missing, and logs it; false if an error is about something else.
    pub(super) fn note_denial(&self, error: &KafkaError) -> bool {
        let denied = self.settings.denied(error.rdkafka_error_code());
        let Some(denied) = denied else { return false };
        self.metrics.denied.increment(1);
        let is_news = self.denied.load().as_deref() != Some(&denied);
        if let Some(suppressed) = self.errors.allow().or(is_news.then_some(0)) {
            let (acl, grant) = (&denied.acl, denied.command());
            error!(grant, suppressed, "kafka.denied: {acl}; nothing is lost, it is tried again");
        }
        self.denied.store(Some(Arc::new(denied)));
        true
    }

    pub(super) fn send(&self, worker: usize, event: Rebalance) {
        if self.workers[worker].rebalance(event).is_err() {
            debug!(worker, "rebalance.worker_gone");
        }
    }
}
