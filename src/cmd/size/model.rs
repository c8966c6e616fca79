//! What a load needs, as a function of it. Pure.
//!
//! The constants are measured; `docs/performance.md` says how, and on which builds. They hold for
//! spans of some hundred bytes. What is a rule of thumb, and not measured, says so.

use std::time::Duration;

use serde::Serialize;

/// CPU of a span, in seconds: live, at 20 000 spans a second on 8 partitions, with a decision log, and 14 %
/// of the spans delivered. A partition costs something by itself, which shows below some thousand spans a
/// second, where all of it is next to nothing.
const CPU_SECONDS_A_SPAN: f64 = 2.54e-6;

/// Cores that are planned for one that is busy: half as much again.
const CPU_RESERVE: f64 = 1.5;

/// Memory of a member that has nothing to do.
const IDLE_BYTES: u64 = 20 * MIB;

/// What the Kafka client fetches ahead (16 MiB), an answer of a broker (4 MiB), and as much again while
/// it is unpacked.
const FETCHED_BYTES: u64 = 24 * MIB;

/// Memory for each byte of open traces.
const MEMORY_A_BYTE: f64 = 1.3;

/// Memory for each decision that is remembered.
const DECISION_BYTES: u64 = 40;

/// How many times the open traces that are expected `buffer.max_bytes` leaves room for: a rule of thumb,
/// for bursts.
const BURST: f64 = 2.0;

/// Partitions for each worker: a rule of thumb. With more than one, those of a member that goes spread
/// evenly over the others.
const PARTITIONS_A_WORKER: u64 = 2;

/// What `buffer.max_bytes` and limits of memory are rounded up to.
const STEP_BYTES: u64 = 64 * MIB;

const MIB: u64 = 1 << 20;

/// A load, and what it has to fit into.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Load {
    /// Spans a second.
    pub(super) rate: f64,
    /// Bytes of a span on the wire.
    pub(super) span_bytes: f64,
    pub(super) spans_per_trace: f64,
    /// How long a trace is open.
    pub(super) wait: Duration,
    /// The share of traces that is kept, of 1.
    pub(super) kept: f64,
    /// `decision_cache.ttl` and `decision_cache.max_entries`.
    pub(super) cache_ttl: Duration,
    pub(super) cache_entries: u64,
    /// `buffer.queue_bytes`, and `sending_queue.queue_size_bytes` of all exporters.
    pub(super) queue_bytes: u64,
    pub(super) sending_queue_bytes: u64,
    /// Cores of a member.
    pub(super) member_cores: u64,
    /// How long the input stays on its topic, and in how many copies.
    pub(super) retention: Duration,
    pub(super) replication: f64,
    /// How long the decision log stays.
    pub(super) log_retention: Duration,
    pub(super) entry_bytes: EntryBytes,
}

/// Bytes of the entries of the decision log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct EntryBytes {
    pub(super) dropped: f64,
    pub(super) kept: f64,
    /// When a kept trace was delivered.
    pub(super) delivered: f64,
}

/// What it needs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Need {
    pub(super) cpu: Cpu,
    pub(super) members: u64,
    pub(super) partitions: u64,
    pub(super) member: Member,
    pub(super) kafka: Kafka,
    pub(super) backend: Backend,
}

/// Cores of all members.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cpu {
    pub(super) busy_cores: f64,
    pub(super) planned_cores: f64,
}

/// A member, while another one is away.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Member {
    pub(super) cores: u64,
    pub(super) spans_per_second: f64,
    pub(super) open_traces: f64,
    pub(super) open_bytes: u64,
    /// `buffer.max_bytes`.
    pub(super) buffer_max_bytes: u64,
    pub(super) decisions_bytes: u64,
    /// What its memory should be limited to.
    pub(super) memory_bytes: u64,
}

/// What its brokers take and give, before any compression.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Kafka {
    /// Of producers, without copies; members read the same.
    pub(super) input_bytes_per_second: f64,
    pub(super) input_stored_bytes: f64,
    pub(super) decision_log_entries_per_second: f64,
    pub(super) decision_log_bytes_per_second: f64,
    pub(super) decision_log_stored_bytes: f64,
}

/// What a backend gets, before any compression.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Backend {
    pub(super) spans_per_second: f64,
    pub(super) bytes_per_second: f64,
}

impl Load {
    pub(super) fn need(&self) -> Need {
        let busy_cores = self.rate * CPU_SECONDS_A_SPAN;
        let planned_cores = busy_cores * CPU_RESERVE;
        // One may be away: it is replaced, or it is taken out for an upgrade.
        let working = (planned_cores / self.member_cores as f64).ceil().max(1.0) as u64;
        let members = working + 1;
        let kafka = self.kafka();
        Need {
            cpu: Cpu { busy_cores, planned_cores },
            members,
            partitions: members * self.member_cores * PARTITIONS_A_WORKER,
            member: self.member(working),
            kafka,
            backend: Backend {
                spans_per_second: self.rate * self.kept,
                bytes_per_second: self.rate * self.span_bytes * self.kept,
            },
        }
    }

    /// One of the `working` members that have everything.
    fn member(&self, working: u64) -> Member {
        let rate = self.rate / working as f64;
        let traces_per_second = rate / self.spans_per_trace;
        let open_spans = rate * self.wait.as_secs_f64();
        let open_bytes = open_spans * self.span_bytes;
        let remembered = (traces_per_second * self.cache_ttl.as_secs_f64()).ceil() as u64;
        let decisions_bytes = remembered.min(self.cache_entries) * DECISION_BYTES;
        let buffer_max_bytes = step(open_bytes * MEMORY_A_BYTE * BURST);
        let others = IDLE_BYTES + FETCHED_BYTES + self.queue_bytes + self.sending_queue_bytes;
        Member {
            cores: self.member_cores,
            spans_per_second: rate,
            open_traces: open_spans / self.spans_per_trace,
            open_bytes: open_bytes.ceil() as u64,
            buffer_max_bytes,
            decisions_bytes,
            memory_bytes: step((others + buffer_max_bytes + decisions_bytes) as f64),
        }
    }

    fn kafka(&self) -> Kafka {
        let input = self.rate * self.span_bytes;
        let traces = self.rate / self.spans_per_trace;
        let (kept, dropped) = (traces * self.kept, traces * (1.0 - self.kept));
        let of = self.entry_bytes;
        let log = dropped * of.dropped + kept * (of.kept + of.delivered);
        Kafka {
            input_bytes_per_second: input,
            input_stored_bytes: input * self.retention.as_secs_f64() * self.replication,
            decision_log_entries_per_second: dropped + 2.0 * kept,
            decision_log_bytes_per_second: log,
            decision_log_stored_bytes: log * self.log_retention.as_secs_f64() * self.replication,
        }
    }
}

/// Rounded up, and never 0.
fn step(bytes: f64) -> u64 {
    (bytes / STEP_BYTES as f64).ceil().max(1.0) as u64 * STEP_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load() -> Load {
        Load {
            rate: 100_000.0,
            span_bytes: 600.0,
            spans_per_trace: 10.0,
            wait: Duration::from_secs(10),
            kept: 0.1,
            cache_ttl: Duration::from_secs(600),
            cache_entries: 1_000_000,
            queue_bytes: 8 * MIB,
            sending_queue_bytes: 64 * MIB,
            member_cores: 2,
            retention: Duration::from_secs(3600),
            replication: 3.0,
            log_retention: Duration::from_secs(86_400),
            entry_bytes: EntryBytes { dropped: 50.0, kept: 65.0, delivered: 55.0 },
        }
    }

    fn is_near(found: f64, expected: f64) {
        assert!((found - expected).abs() <= expected.abs() * 1e-9, "{found} is not {expected}");
    }

    /// By hand: 100 000 x 2.54 us = 0.254 cores, x 1.5 = 0.381, so one member of two cores works, and one
    /// may be away. 10 s of it are a million spans, 100 000 traces, 600 MB; x 1.3 x 2 = 1 560 000 000
    /// = 23.25 x 64 MiB, so 24 x 64 MiB = 1536 MiB. 10 000 traces a second x 600 s are more than the million
    /// decisions that are remembered, 40 MB. 20 + 24 + 8 + 64 + 1536 MiB + 40 MB = 1690.1 MiB = 26.4 x 64
    /// MiB, so 27 x 64 MiB = 1728 MiB.
    #[test]
    fn a_load_is_sized_as_by_hand() {
        let need = load().need();
        is_near(need.cpu.busy_cores, 0.254);
        is_near(need.cpu.planned_cores, 0.381);
        assert_eq!((need.members, need.partitions), (2, 8));
        is_near(need.member.open_traces, 100_000.0);
        assert_eq!(need.member.open_bytes, 600_000_000);
        assert_eq!(need.member.buffer_max_bytes, 1536 * MIB);
        assert_eq!(need.member.decisions_bytes, 40_000_000);
        assert_eq!(need.member.memory_bytes, 1728 * MIB);
        is_near(need.kafka.input_bytes_per_second, 60e6);
        is_near(need.kafka.input_stored_bytes, 648e9);
        is_near(need.kafka.decision_log_entries_per_second, 11_000.0);
        is_near(need.kafka.decision_log_bytes_per_second, 570_000.0);
        is_near(need.kafka.decision_log_stored_bytes, 147.744e9);
        is_near(need.backend.spans_per_second, 10_000.0);
        is_near(need.backend.bytes_per_second, 6e6);
    }

    /// By hand: 4 million x 2.54 us x 1.5 = 15.24 cores, so four members of four cores work, five are
    /// there, with 40 partitions. One of four has a million spans a second.
    #[test]
    fn a_large_load_is_shared() {
        let need = Load { rate: 4e6, member_cores: 4, ..load() }.need();
        assert_eq!((need.members, need.partitions), (5, 40));
        is_near(need.member.spans_per_second, 1e6);
    }

    #[test]
    fn next_to_nothing_needs_little() {
        let need = Load { rate: 1.0, ..load() }.need();
        assert_eq!((need.members, need.member.buffer_max_bytes), (2, 64 * MIB));
        // 6 decisions a minute for ten minutes.
        assert_eq!(need.member.decisions_bytes, 60 * DECISION_BYTES);
        assert_eq!(need.member.memory_bytes, 192 * MIB);
    }
}
