//! The metrics of the Kafka side.

use metrics::{Counter, Gauge};

use crate::telemetry::metrics::table;

/// Handles of the source's metrics, taken once.
#[derive(Debug)]
pub(super) struct SourceMetrics {
    pub(super) owned_partitions: Gauge,
    pub(super) assigned: Counter,
    pub(super) revoked: Counter,
    pub(super) lost: Counter,
    pub(super) commits: Counter,
    pub(super) commit_failures: Counter,
    pub(super) poll_errors: Counter,
    pub(super) denied: Counter,
    pub(super) clamped: Counter,
    pub(super) lost_records: Counter,
    pub(super) skipped_records: Counter,
    pub(super) topic_recreated: Counter,
    pub(super) paused: Counter,
    pub(super) lag_records: Gauge,
    pub(super) lag_seconds: Gauge,
    pub(super) committed_lag_records: Gauge,
    pub(super) held_back_seconds: Gauge,
    pub(super) client_queue_bytes: Gauge,
}

impl SourceMetrics {
    /// What several consumers of a process count together has no label; what each has by itself
    /// is labelled with the consumer, so that a sum over it is right.
    pub(super) fn new(consumer: &str) -> Self {
        let rebalanced = |kind| table::REBALANCED_PARTITIONS.with(&[kind]);
        Self {
            owned_partitions: table::OWNED_PARTITIONS.with(&[consumer]),
            assigned: rebalanced("assigned"),
            revoked: rebalanced("revoked"),
            lost: rebalanced("lost"),
            commits: table::COMMITS.with(&["ok"]),
            commit_failures: table::COMMITS.with(&["failed"]),
            poll_errors: table::KAFKA_ERRORS.handle(),
            denied: table::KAFKA_DENIED.handle(),
            clamped: table::FUTURE_TIMESTAMPS.handle(),
            lost_records: table::LOST_RECORDS.handle(),
            skipped_records: table::SKIPPED_RECORDS.handle(),
            topic_recreated: table::TOPIC_RECREATIONS.handle(),
            paused: table::KAFKA_PAUSES.handle(),
            lag_records: table::LAG_RECORDS.with(&[consumer]),
            lag_seconds: table::LAG_SECONDS.with(&[consumer]),
            committed_lag_records: table::COMMITTED_LAG.with(&[consumer]),
            held_back_seconds: table::HELD_BACK.with(&[consumer]),
            client_queue_bytes: table::CLIENT_QUEUE.with(&[consumer]),
        }
    }
}
