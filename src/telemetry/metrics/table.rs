//! The table: every metric, once, in the groups and the order of `docs/metrics.md`.
//!
//! A row is a name, a unit and a help text, and then, where it applies: the labels (`by`), the
//! condition under which the metric is there at all (`only`), that it stays 0 unless something is wrong
//! (`must_stay_zero`), and that it may change with any release (`in_development`).

use metrics::{Counter, Gauge, Histogram};

use super::family::{Group, Metric, counter, gauge, histogram};
use super::labels::*;

/// Makes a constant of each row, and [`GROUPS`] of all of them.
macro_rules! groups {
    ($($title:literal $text:literal { $($row:ident: $handle:ty = $metric:expr;)* })*) => {
        $($(
            #[doc = concat!("In the group “", $title, "”.")]
            pub const $row: Metric<$handle> = $metric;
        )*)*

        /// Every metric.
        pub const GROUPS: &[Group] =
            &[$(Group { title: $title, text: $text, families: &[$($row.family()),*] }),*];
    };
}

groups! {
"What came in, and what became of it"
"Bytes are the wire bytes of spans, with their tag and length. Spans of a trace count as open until the trace \
is decided." {
    RECEIVED_TRACES: Counter = counter("tailsieve_received_traces_total", "traces",
        "Traces of which a first span was read from Kafka.");
    RECEIVED_SPANS: Counter = counter("tailsieve_received_spans_total", "spans",
        "Spans read from Kafka.");
    RECEIVED_BYTES: Counter = counter("tailsieve_received_bytes_total", "bytes",
        "Wire bytes of the spans read from Kafka.");
    KEPT_TRACES: Counter = counter("tailsieve_kept_traces_total", "traces",
        "Traces kept, by the policy that they are attributed to.").by(&[POLICY]);
    KEPT_SPANS: Counter = counter("tailsieve_kept_spans_total", "spans",
        "Spans of the traces kept.").by(&[POLICY]);
    KEPT_BYTES: Counter = counter("tailsieve_kept_bytes_total", "bytes",
        "Wire bytes of the spans of the traces kept.").by(&[POLICY]);
    DROPPED_TRACES: Counter = counter("tailsieve_dropped_traces_total", "traces",
        "Traces dropped, by the policy that dropped them; by none if no policy kept them.").by(&[POLICY]);
    DROPPED_SPANS: Counter = counter("tailsieve_dropped_spans_total", "spans",
        "Spans of the traces dropped.").by(&[POLICY]);
    DROPPED_BYTES: Counter = counter("tailsieve_dropped_bytes_total", "bytes",
        "Wire bytes of the spans of the traces dropped.").by(&[POLICY]);
    OPEN_TRACES: Gauge = gauge("tailsieve_open_traces", "traces",
        "Traces that are not decided yet.");
    OPEN_SPANS: Gauge = gauge("tailsieve_open_spans", "spans",
        "Spans of the traces that are not decided yet.");
    OPEN_BYTES: Gauge = gauge("tailsieve_open_bytes", "bytes",
        "Wire bytes of the spans of the traces that are not decided yet.");
    LATE_SPANS: Counter = counter("tailsieve_late_spans_total", "spans",
        "Spans read after their trace was decided; they follow that decision.").by(&[DECISION]);
    LATE_BYTES: Counter = counter("tailsieve_late_bytes_total", "bytes",
        "Wire bytes of the late spans.").by(&[DECISION]);
    INVALID_SPANS: Counter = counter("tailsieve_invalid_spans_total", "spans",
        "Spans refused, by reason. Of a record that is refused whole the spans are not known.").by(&[REFUSED]);
    INVALID_BYTES: Counter = counter("tailsieve_invalid_bytes_total", "bytes",
        "Wire bytes of the spans refused; all bytes of a record that is refused whole.").by(&[REFUSED]);
    REVOKED_TRACES: Counter = counter("tailsieve_revoked_traces_total", "traces",
        "Open traces whose partition was taken away. Its next owner reads them again.");
    REVOKED_SPANS: Counter = counter("tailsieve_revoked_spans_total", "spans",
        "Spans of the open traces whose partition was taken away.");
    REVOKED_BYTES: Counter = counter("tailsieve_revoked_bytes_total", "bytes",
        "Wire bytes of the spans of the open traces whose partition was taken away.");
    REPLAYED_SPANS: Counter = counter("tailsieve_replayed_spans_total", "spans",
        "Spans read again, of traces whose decision is on record: dropped then, delivered then, or \
         forwarded now.").by(&[REPLAYED]);
    REPLAYED_BYTES: Counter = counter("tailsieve_replayed_bytes_total", "bytes",
        "Wire bytes of the spans read again.").by(&[REPLAYED]);
}

"Records"
"What the input consists of, what of it cannot be read ([dead letters](dead-letters.md)), and what is not keyed by \
trace ([doctor](doctor.md))." {
    RECORDS: Counter = counter("tailsieve_received_records_total", "records",
        "Records read from Kafka.");
    RECORD_BYTES: Counter = counter("tailsieve_received_record_bytes_total", "bytes",
        "Bytes of the values of the records read from Kafka.");
    ENCODED_RECORDS: Counter = counter("tailsieve_received_encoded_records_total", "records",
        "Records with a value, by its encoding below any compression.").by(&[ENCODING]);
    COMPRESSED_RECORDS: Counter = counter("tailsieve_received_compressed_records_total", "records",
        "Records whose value was compressed by its producer, beside any compression of Kafka's.")
        .by(&[COMPRESSION]);
    INVALID_RECORDS: Counter = counter("tailsieve_invalid_records_total", "records",
        "Records refused whole, by reason.").by(&[REFUSED]);
    MISROUTED_RECORDS: Counter = counter("tailsieve_misrouted_records_total", "records",
        "Signs that traces are spread over partitions and judged in parts, by kind. two_partitions and \
         two_partitioners are looked for in one trace of 64; partitions_added counts once for each change.")
        .by(&[MISROUTED]).must_stay_zero();
    EMPTY_RECORDS: Counter = counter("tailsieve_empty_records_total", "records",
        "Records that are in order and hold no span.");
    REPEATED_RECORDS: Counter = counter("tailsieve_repeated_records_total", "records",
        "Records that Kafka handed out a second time to the same owner. They are skipped, and count nowhere else.").in_development();
    DEAD_LETTERS: Counter = counter("tailsieve_dead_letters_total", "letters",
        "Dead letters: written to their topic, or given up because Kafka did not take them. 0 without a \
         dead-letter topic.").by(&[LETTER]).must_stay_zero();
}

"Decisions"
"Times are on the partition's clock, which record timestamps move." {
    DECISION_TRIGGERS: Counter = counter("tailsieve_decision_triggers_total", "traces",
        "Decisions by their trigger: quiet after the root span, the longest wait, the size of the trace, the \
         memory bound, or the end of the log that the trace came from. `late` is one more on a trace that was \
         dropped: a late span re-opened it; so is `restored`: somebody asked for it.").by(&[TRIGGER]);
    REOPENED_TRACES: Counter = counter("tailsieve_reopened_traces_total", "traces",
        "Traces that were dropped and are delivered after all, since a late span re-opened them.");
    REOPENED_SPANS: Counter = counter("tailsieve_reopened_spans_total", "spans",
        "Their spans that had been counted as dropped. The late ones that re-opened them are counted as such.");
    REOPENED_BYTES: Counter = counter("tailsieve_reopened_bytes_total", "bytes",
        "Wire bytes of these spans.");
    REOPEN_FAILURES: Counter = counter("tailsieve_reopen_failures_total", "traces",
        "Traces that a late span would have re-opened, had there been budget; and those that were re-opened when \
         Kafka did not have all of their records any more.").by(&[REOPEN_FAILURE]);
    RESTORED_TRACES: Counter = counter("tailsieve_restored_traces_total", "traces",
        "Traces that were dropped and are delivered after all, since somebody asked for it.");
    RESTORED_SPANS: Counter = counter("tailsieve_restored_spans_total", "spans",
        "Their spans that had been counted as dropped.");
    RESTORED_BYTES: Counter = counter("tailsieve_restored_bytes_total", "bytes",
        "Wire bytes of these spans.");
    RESTORE_FAILURES: Counter = counter("tailsieve_restore_failures_total", "requests",
        "Requests to keep a dropped trace that came to nothing, and those after which Kafka did not have all of \
         its records any more.").by(&[RESTORE_FAILURE]);
    DECISION_DELAY: Histogram = histogram("tailsieve_decision_delay_seconds", "seconds",
        "Time from the first span of a trace to its decision.");
    TRACE_SPANS: Histogram = histogram("tailsieve_trace_spans", "spans",
        "Spans of a trace when it was decided.");
    TRACE_BYTES: Histogram = histogram("tailsieve_trace_size_bytes", "bytes",
        "Wire bytes of a trace when it was decided.");
    TRACE_DURATION: Histogram = histogram("tailsieve_trace_duration_seconds", "seconds",
        "Duration of a trace, from its earliest start to its latest end, when it was decided.");
    LATE_AGE: Histogram = histogram("tailsieve_late_age_seconds", "seconds",
        "Time from the decision on a trace to a late span of it.");
    CACHE_LOOKUPS: Counter = counter("tailsieve_decision_cache_lookups_total", "look-ups",
        "Look-ups of prior decisions, one for each run of spans of a trace that is not open. A hit makes \
         them late spans, a miss opens the trace.").by(&[LOOKUP]).in_development();
    CACHE_ENTRIES: Gauge = gauge("tailsieve_decision_cache_entries", "traces",
        "Decisions remembered for late spans; decision_cache bounds them.");
    CACHE_BYTES: Gauge = gauge("tailsieve_decision_cache_bytes", "bytes",
        "Memory of the decisions remembered.");
}

"Policies"
"Every policy has its series from the start, at 0; `mode: shadow` is described in [policies](policies.md)." {
    POLICY_VOTES: Counter = counter("tailsieve_policy_votes_total", "traces",
        "Votes of a policy, also of one in shadow mode. A policy that is not asked does not vote.")
        .by(&[POLICY, VOTE]);
    POLICY_ERRORS: Counter = counter("tailsieve_policy_errors_total", "traces",
        "Traces of which a policy could not evaluate something, which is no vote.").by(&[POLICY]);
    ALONE_TRACES: Counter = counter("tailsieve_alone_traces_total", "traces",
        "Traces that a policy alone decided: no other one that was asked keeps them, or it drops what others would have kept.")
        .by(&[POLICY]);
    ALONE_SPANS: Counter = counter("tailsieve_alone_spans_total", "spans",
        "Spans of the traces that a policy alone decided.").by(&[POLICY]);
    ALONE_BYTES: Counter = counter("tailsieve_alone_bytes_total", "bytes",
        "Wire bytes of the spans of the traces that a policy alone decided.").by(&[POLICY]);
    SHADOW_KEPT_TRACES: Counter = counter("tailsieve_shadow_kept_traces_total", "traces",
        "Traces dropped that a policy in shadow mode would have kept.").by(&[POLICY]).only(SHADOW);
    SHADOW_KEPT_SPANS: Counter = counter("tailsieve_shadow_kept_spans_total", "spans",
        "Spans of the traces that a policy in shadow mode would have kept.").by(&[POLICY]).only(SHADOW);
    SHADOW_KEPT_BYTES: Counter = counter("tailsieve_shadow_kept_bytes_total", "bytes",
        "Wire bytes of the spans that a policy in shadow mode would have kept.").by(&[POLICY]).only(SHADOW);
    SHADOW_DROPPED_TRACES: Counter = counter("tailsieve_shadow_dropped_traces_total", "traces",
        "Traces kept that a policy in shadow mode would have dropped.").by(&[POLICY]).only(SHADOW);
    SHADOW_DROPPED_SPANS: Counter = counter("tailsieve_shadow_dropped_spans_total", "spans",
        "Spans of the traces that a policy in shadow mode would have dropped.").by(&[POLICY]).only(SHADOW);
    SHADOW_DROPPED_BYTES: Counter = counter("tailsieve_shadow_dropped_bytes_total", "bytes",
        "Wire bytes of the spans that a policy in shadow mode would have dropped.").by(&[POLICY]).only(SHADOW);
    COMPOSITE_VOTES: Counter = counter("tailsieve_composite_votes_total", "traces",
        "Times that a sub-policy of a composite policy voted keep and was within its share.")
        .by(&[POLICY, SUB_POLICY]).only(COMPOSITE).in_development();
    COMPOSITE_KEPT_TRACES: Counter = counter("tailsieve_composite_kept_traces_total", "traces",
        "Traces kept by a sub-policy of a composite policy.").by(&[POLICY, SUB_POLICY]).only(COMPOSITE);
    COMPOSITE_KEPT_SPANS: Counter = counter("tailsieve_composite_kept_spans_total", "spans",
        "Spans of the traces kept by a sub-policy of a composite policy.")
        .by(&[POLICY, SUB_POLICY]).only(COMPOSITE);
    COMPOSITE_KEPT_BYTES: Counter = counter("tailsieve_composite_kept_bytes_total", "bytes",
        "Wire bytes of the spans of the traces kept by a sub-policy of a composite policy.")
        .by(&[POLICY, SUB_POLICY]).only(COMPOSITE);
    POLICY_RELOADS: Counter = counter("tailsieve_policy_reloads_total", "reloads",
        "Times that the policy file was found changed, by whether it was good.").by(&[RELOAD]);
    LAST_RELOAD_SUCCESSFUL: Gauge = gauge("tailsieve_policy_last_reload_successful", "0 or 1",
        "Whether the policy file was good when it was last read: 1 or 0.");
    LAST_RELOAD_SUCCESS: Gauge = gauge("tailsieve_policy_last_reload_success_timestamp_seconds", "seconds",
        "Unix time at which a good policy file was last read.");
    POLICY_INFO: Gauge = gauge("tailsieve_policy_info", "info",
        "Always 1; the label names the contents of the policy file that traces are judged by.").by(&[HASH]);
}

"Export"
"Every [exporter](export.md) has its own series." {
    EXPORT_SPANS: Counter = counter("tailsieve_export_spans_total", "spans",
        "Spans that left the exporter: delivered, refused by a backend that takes others, rejected in a partial \
         success, or abandoned because their partition has a new owner.").by(&[EXPORTER, SENT]);
    EXPORT_REQUESTS: Counter = counter("tailsieve_export_requests_total", "requests",
        "Attempts to send a request, by the code that they ended with.").by(&[EXPORTER, CODE]);
    EXPORT_RETRIES: Counter = counter("tailsieve_export_retries_total", "requests",
        "Attempts that repeat a failed one.").by(&[EXPORTER]);
    EXPORT_DURATION: Histogram = histogram("tailsieve_export_request_duration_seconds", "seconds",
        "Duration of an attempt.").by(&[EXPORTER]);
    EXPORT_DELAY: Histogram = histogram("tailsieve_export_delay_seconds", "seconds",
        "Time from the decision to keep spans until the backend accepted them; of spans that follow a decision, from \
         when they were read.").by(&[EXPORTER]);
    EXPORT_SENT_BYTES: Counter = counter("tailsieve_export_sent_bytes_total", "bytes",
        "Bytes of all attempts, before compression.").by(&[EXPORTER]);
    EXPORT_IN_FLIGHT: Gauge = gauge("tailsieve_export_in_flight_requests", "requests",
        "Attempts that wait for an answer.").by(&[EXPORTER]);
    EXPORT_QUEUE: Gauge = gauge("tailsieve_export_queue_bytes", "bytes",
        "Bytes of kept traces that wait, are on their way, or wait for a retry.").by(&[EXPORTER]);
    EXPORT_QUEUE_CAPACITY: Gauge = gauge("tailsieve_export_queue_capacity_bytes", "bytes",
        "Queue bytes at which no more records are taken from Kafka.").by(&[EXPORTER]);
    EXPORT_UP: Gauge = gauge("tailsieve_export_up", "0 or 1",
        "Whether the backend accepted what it was last sent, if only a request without spans: 1 or 0.").by(&[EXPORTER]);
    OVERSIZED_SPANS: Counter = counter("tailsieve_oversized_spans_total", "spans",
        "Spans of kept traces that are larger than a request may be, and were left out.");
    MALFORMED_TRACESTATE: Counter = counter("tailsieve_malformed_tracestate_spans_total", "spans",
        "Kept spans whose tracestate is malformed or full, and stays as it was.");
    NOT_UTF8_SPANS: Counter = counter("tailsieve_not_utf8_spans_total", "spans",
        "Kept spans with text that is not UTF-8, in the span, its resource or its scope; they are forwarded as \
         they are.");
}

"Kafka"
"Counters are of the whole process; gauges are of each consumer." {
    OWNED_PARTITIONS: Gauge = gauge("tailsieve_kafka_owned_partitions", "partitions",
        "Partitions that the consumer owns.").by(&[CONSUMER]);
    REBALANCED_PARTITIONS: Counter = counter("tailsieve_kafka_rebalanced_partitions_total", "partitions",
        "Partitions assigned, revoked in order, or lost.").by(&[REBALANCED]);
    LAG_RECORDS: Gauge = gauge("tailsieve_kafka_lag_records", "records",
        "Records between the position read and the end of the owned partitions: the backlog.").by(&[CONSUMER]);
    LAG_SECONDS: Gauge = gauge("tailsieve_kafka_lag_seconds", "seconds",
        "Age of the last record read, of the partition that is furthest behind.").by(&[CONSUMER]);
    COMMITTED_LAG: Gauge = gauge("tailsieve_kafka_committed_lag_records", "records",
        "Records between the committed offset and the end: what a restart would read again.").by(&[CONSUMER]);
    HELD_BACK: Gauge = gauge("tailsieve_kafka_held_back_seconds", "seconds",
        "Time since the committable offset of a partition last moved, although records behind it were read; of \
         the partition where that is longest.").by(&[CONSUMER]);
    COMMITS: Counter = counter("tailsieve_kafka_commits_total", "commits",
        "Offset commits, by outcome.").by(&[COMMIT]);
    KAFKA_ERRORS: Counter = counter("tailsieve_kafka_errors_total", "errors",
        "Errors that the Kafka client reported.");
    KAFKA_DENIED: Counter = counter("tailsieve_kafka_denied_total", "errors",
        "What Kafka refused because the user lacks an ACL; the log names the ACL. It is tried again.");
    LOST_RECORDS: Counter = counter("tailsieve_kafka_lost_records_total", "records",
        "Records that retention deleted before they were read.").must_stay_zero();
    SKIPPED_RECORDS: Counter = counter("tailsieve_kafka_skipped_records_total", "records",
        "Records that were read and not handed to their worker, which only a defect can cause. Reading then \
         starts over at the committed offset.").must_stay_zero();
    TOPIC_RECREATIONS: Counter = counter("tailsieve_kafka_topic_recreations_total", "topics",
        "Times that the input topic was found deleted and created again.").must_stay_zero();
    FUTURE_TIMESTAMPS: Counter = counter("tailsieve_kafka_future_timestamps_total", "records",
        "Records whose timestamp was ahead of the wall clock, and was clamped.");
    KAFKA_PAUSES: Counter = counter("tailsieve_kafka_pauses_total", "pauses",
        "Times that fetching was paused because the workers were behind for seconds.");
    CLIENT_QUEUE: Gauge = gauge("tailsieve_kafka_client_queue_bytes", "bytes",
        "Bytes that the Kafka client has fetched ahead.").by(&[CONSUMER]).in_development();
}

"Decision log"
"Kept traces are delivered after their decision is on the log." {
    LOG_WRITTEN_RECORDS: Counter = counter("tailsieve_decision_log_written_records_total", "records",
        "Records written to the decision log and acknowledged. Each holds many decisions.").only(LOG);
    LOG_WRITTEN_DECISIONS: Counter = counter("tailsieve_decision_log_written_decisions_total", "decisions",
        "Decisions written to the decision log and acknowledged. A kept trace has a second one when it is \
         delivered.").only(LOG);
    LOG_FAILURES: Counter = counter("tailsieve_decision_log_failures_total", "records",
        "Records that the decision log did not take; they are written again.").only(LOG).must_stay_zero();
    LOG_READ_RECORDS: Counter = counter("tailsieve_decision_log_read_records_total", "records",
        "What was read back from the decision log when partitions came in: records read, decisions superseded by \
         a later owner, and records not understood.").by(&[READ_BACK]).only(LOG);
    LOG_READ_BACK: Histogram = histogram("tailsieve_decision_log_read_back_seconds", "seconds",
        "Time from the assignment of a partition until its decision log was read back.").only(LOG);
}

"Index of the decision log"
"It spares look-ups by trace id reading most of the log; nothing else depends on it." {
    INDEX_WRITTEN: Counter = counter("tailsieve_decision_index_written_records_total", "records",
        "Records written to the index and acknowledged: one for each shard of a stretch of the log.").only(INDEX);
    INDEX_BYTES: Counter = counter("tailsieve_decision_index_written_bytes_total", "bytes",
        "Their bytes.").only(INDEX);
    INDEX_FAILURES: Counter = counter("tailsieve_decision_index_failures_total", "records",
        "Records that the index did not take, or stretches, if its topic cannot be asked for. They are not written \
         again: look-ups read that part of the decision log.").only(INDEX);
    INDEX_BUFFER: Gauge = gauge("tailsieve_decision_index_buffer_bytes", "bytes",
        "Memory of what is collected for the index: 8 bytes for each decision of a stretch that has not ended.")
        .only(INDEX);
}

"Memory and waiting"
"What bounds a member, and what it waits for." {
    BUFFER_BYTES: Gauge = gauge("tailsieve_buffer_bytes", "bytes",
        "Memory that open traces and traces on their way are accounted with.");
    BUFFER_LIMIT: Gauge = gauge("tailsieve_buffer_limit_bytes", "bytes",
        "The bound on tailsieve_buffer_bytes, where traces are decided early.");
    STALLED_WORKERS: Gauge = gauge("tailsieve_stalled_workers", "workers",
        "Workers that take no records at the moment, by what they wait for: room in the queue of an exporter, the \
         decision log, room for dead letters, or proof that this process still is a member of its group.")
        .by(&[STALL]);
    READY: Gauge = gauge("tailsieve_ready", "0 or 1",
        "Whether a condition of being ready holds, as /readyz tells it: 1 or 0. running is 0 while the process is \
         shutting down.").by(&[CHECK]);
}

"Own telemetry"
"What became of it where it is sent over OTLP ([own telemetry](own-telemetry.md))." {
    OWN_ITEMS: Counter = counter("tailsieve_otel_items_total", "items",
        "Spans, data points and log records of tailsieve's own: exported, given up after failed attempts, rejected in \
         a partial success, or dropped because too many waited.").by(&[SIGNAL, OWN_OUTCOME]).only(OTEL).in_development();
}

"Rekey"
"What [`tailsieve rekey`](rekey.md) counts, beside the metrics of its Kafka consumer and of the process." {
    REKEY_READ_RECORDS: Counter = counter("tailsieve_rekey_read_records_total", "records",
        "Records read, by what became of them.").by(&[FATE]).only(REKEY).in_development();
    REKEY_READ_BYTES: Counter = counter("tailsieve_rekey_read_bytes_total", "bytes",
        "Bytes of the values of the records read.").only(REKEY).in_development();
    REKEY_WRITTEN_RECORDS: Counter = counter("tailsieve_rekey_written_records_total", "records",
        "Records written and acknowledged.").only(REKEY).in_development();
    REKEY_WRITTEN_BYTES: Counter = counter("tailsieve_rekey_written_bytes_total", "bytes",
        "Bytes of the values of the records written.").only(REKEY).in_development();
    REKEY_RETRIED_RECORDS: Counter = counter("tailsieve_rekey_retried_records_total", "records",
        "Records that Kafka did not take; they are written again.").only(REKEY).in_development();
}

"Retrieval"
"What was asked for by id, where [`retrieval.listen`](retrieval.md) is set." {
    RETRIEVAL_LOOKUPS: Counter = counter("tailsieve_retrieval_lookups_total", "lookups",
        "Traces that were asked for, by what came of it. All but found are answered to Tempo as not there.")
        .by(&[RETRIEVED]).only(RETRIEVAL).in_development();
    RETRIEVAL_CACHED: Counter = counter("tailsieve_retrieval_cached_lookups_total", "lookups",
        "Those of them that were answered from memory.").only(RETRIEVAL).in_development();
    RETRIEVAL_DURATION: Histogram = histogram("tailsieve_retrieval_lookup_seconds", "seconds",
        "How long an answer took.").only(RETRIEVAL).in_development();
    RETRIEVAL_READ_BYTES: Counter = counter("tailsieve_retrieval_read_bytes_total", "bytes",
        "Bytes of the records that were read for them, of the decision log and of the input topic.")
        .only(RETRIEVAL).in_development();
    RETRIEVAL_CUT: Counter = counter("tailsieve_retrieval_cut_traces_total", "traces",
        "Traces that were larger than an answer may be, and lack spans in it.").only(RETRIEVAL).in_development();
    RETRIEVAL_KEEPS: Counter = counter("tailsieve_retrieval_keep_requests_total", "requests",
        "Dropped traces that somebody asked to be kept, by what came of it; those that were opened, too, if that \
         has them kept.").by(&[KEPT]).only(RETRIEVAL).in_development();
}

"Process"
"Under the names that Prometheus client libraries use." {
    BUILD_INFO: Gauge = gauge("tailsieve_build_info", "info",
        "Always 1; the label has the version.").by(&[VERSION]);
    PROCESS_CPU: Counter = counter("process_cpu_seconds_total", "seconds",
        "Total user and system CPU time in seconds.").only(LINUX);
    PROCESS_MEMORY: Gauge = gauge("process_resident_memory_bytes", "bytes",
        "Resident memory in bytes.").only(LINUX);
    PROCESS_START: Gauge = gauge("process_start_time_seconds", "seconds",
        "Start of the process in seconds since the Unix epoch.").only(LINUX);
    PROCESS_FILES: Gauge = gauge("process_open_fds", "files",
        "Open file descriptors.").only(LINUX);
    PROCESS_THREADS: Gauge = gauge("process_threads", "threads",
        "Threads of the process.").only(LINUX);
}
}

const SHADOW: &str = "with a policy in `mode: shadow`";
const COMPOSITE: &str = "with a `composite` policy";
const LOG: &str = "with the decision log on";

const INDEX: &str = "with the decision log and its index on";
const OTEL: &str = "with own telemetry over OTLP";
const REKEY: &str = "of `tailsieve rekey`";
const RETRIEVAL: &str = "with `retrieval.listen`";
const LINUX: &str = "on Linux";
