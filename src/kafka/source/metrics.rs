//! The metrics of the Kafka side.

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

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
        describe();
        let own = |name: &'static str| gauge!(name, "consumer" => consumer.to_owned());
        let rebalance =
            |kind| counter!("tailsieve_kafka_rebalanced_partitions_total", "kind" => kind);
        let commit = |outcome| counter!("tailsieve_kafka_commits_total", "outcome" => outcome);
        Self {
            owned_partitions: own("tailsieve_kafka_owned_partitions"),
            assigned: rebalance("assigned"),
            revoked: rebalance("revoked"),
            lost: rebalance("lost"),
            commits: commit("ok"),
            commit_failures: commit("failed"),
            poll_errors: counter!("tailsieve_kafka_errors_total"),
            clamped: counter!("tailsieve_kafka_future_timestamps_total"),
            lost_records: counter!("tailsieve_kafka_lost_records_total"),
            skipped_records: counter!("tailsieve_kafka_skipped_records_total"),
            topic_recreated: counter!("tailsieve_kafka_topic_recreations_total"),
            paused: counter!("tailsieve_kafka_pauses_total"),
            lag_records: own("tailsieve_kafka_lag_records"),
            lag_seconds: own("tailsieve_kafka_lag_seconds"),
            committed_lag_records: own("tailsieve_kafka_committed_lag_records"),
            held_back_seconds: own("tailsieve_kafka_held_back_seconds"),
            client_queue_bytes: own("tailsieve_kafka_client_queue_bytes"),
        }
    }
}

fn describe() {
    describe_gauge!("tailsieve_kafka_owned_partitions", "partitions this process owns");
    let text = "partitions that came, were given up in order, or were lost";
    describe_counter!("tailsieve_kafka_rebalanced_partitions_total", text);
    describe_counter!("tailsieve_kafka_commits_total", "offset commits by outcome");
    describe_counter!("tailsieve_kafka_errors_total", "errors that the Kafka client reported");
    let text = "records whose timestamp was ahead of the wall clock and was clamped";
    describe_counter!("tailsieve_kafka_future_timestamps_total", text);
    let text = "records that retention deleted before they were read";
    describe_counter!("tailsieve_kafka_lost_records_total", text);
    let text = "records that were read and not handed to their worker; it stays 0 unless there is a \
                defect, and then reading starts over at the committed offset";
    describe_counter!("tailsieve_kafka_skipped_records_total", text);
    let text = "times that a topic of this name with another id was found in the place of the one \
                that was read";
    describe_counter!("tailsieve_kafka_topic_recreations_total", text);
    let text = "times that fetching was paused because the workers were behind for seconds";
    describe_counter!("tailsieve_kafka_pauses_total", text);
    let text = "records between the position read and the end of the owned partitions: the backlog";
    describe_gauge!("tailsieve_kafka_lag_records", text);
    let text = "age of the last record read of the partition that is furthest behind";
    describe_gauge!("tailsieve_kafka_lag_seconds", Unit::Seconds, text);
    let text = "records between the committed position and the end: what a restart reads again";
    describe_gauge!("tailsieve_kafka_committed_lag_records", text);
    let text = "for how long the committable offset of a partition has not moved although records \
                behind it were read, of the partition where that is longest";
    describe_gauge!("tailsieve_kafka_held_back_seconds", Unit::Seconds, text);
    let text = "bytes that the Kafka client has fetched ahead";
    describe_gauge!("tailsieve_kafka_client_queue_bytes", Unit::Bytes, text);
}
