//! The decision log, read by rules that are written down here once more: what was decided of each
//! trace, and whether anybody decided otherwise.

use std::collections::{BTreeSet, HashMap};

use prost::{Message, Oneof};
use rdkafka::Message as _;
use rdkafka::message::OwnedMessage;
use tailsieve::ids::TraceId;

use crate::support::{Kafka, Topic};
use crate::traffic::PARTITIONS;

/// A decision log's topic for a group, with settings as tailsieve asks for them.
pub fn decision_log_of(kafka: &Kafka, group: &str) -> Topic {
    let settings = [
        ("cleanup.policy", "compact,delete"),
        ("retention.ms", "86400000"),
        ("min.compaction.lag.ms", "3600000"),
        ("segment.ms", "3600000"),
    ];
    kafka.topic_named(&format!("{group}_decisions"), PARTITIONS, &settings)
}

/// As in `proto/tailsieve/v1/decision_log.proto`, as far as it is asked for here.
#[derive(Clone, PartialEq, Message)]
struct LogRecord {
    #[prost(fixed64, tag = "1")]
    owner: u64,
    #[prost(oneof = "Entry", tags = "3, 4")]
    entry: Option<Entry>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Entry {
    #[prost(message, tag = "3")]
    Decision(TraceDecision),
    #[prost(message, tag = "4")]
    Ownership(Ownership),
}

#[derive(Clone, PartialEq, Message)]
struct Ownership {
    #[prost(int64, tag = "1")]
    since_unix_milli: i64,
}

#[derive(Clone, PartialEq, Message)]
struct TraceDecision {
    #[prost(int32, tag = "1")]
    outcome: i32,
    #[prost(string, tag = "2")]
    policy: String,
    #[prost(uint64, tag = "3")]
    threshold: u64,
    #[prost(bool, tag = "9")]
    delivered: bool,
}

/// `TraceDecision.Outcome.KEPT`.
const KEPT: i32 = 2;

/// What was decided of a trace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decision {
    pub is_kept: bool,
    pub policy: String,
    pub threshold: u64,
}

/// What the log says of a trace.
#[derive(Debug, Default)]
pub struct Said {
    /// The different decisions of those who owned the partition when they wrote.
    pub decisions: BTreeSet<Decision>,
    /// Whether one of these records says that everything was delivered.
    pub is_delivered: bool,
}

/// A reading of the whole log.
#[derive(Debug, Default)]
pub struct Decisions {
    pub traces: HashMap<TraceId, Said>,
    /// Records of owners that somebody had followed when they wrote.
    pub superseded: u64,
}

impl Decisions {
    /// Reads records, which are in the order of each partition.
    pub fn read(records: &[OwnedMessage]) -> Self {
        let mut all = Self::default();
        let mut owners: HashMap<i32, u64> = HashMap::new();
        for message in records {
            let record = LogRecord::decode(message.payload().unwrap_or_default()).unwrap();
            let key = message.key().expect("the records are keyed");
            match record.entry.expect("a record says something") {
                Entry::Ownership(_) => {
                    owners.insert(message.partition(), record.owner);
                }
                Entry::Decision(_) if owners.get(&message.partition()) != Some(&record.owner) => {
                    all.superseded += 1;
                }
                Entry::Decision(decision) => all.take_in(key, decision),
            }
        }
        all
    }

    fn take_in(&mut self, key: &[u8], decision: TraceDecision) {
        let id = TraceId::from_hex(key).expect("the key is a trace id");
        let said = self.traces.entry(id).or_default();
        said.is_delivered |= decision.delivered;
        said.decisions.insert(Decision {
            is_kept: decision.outcome == KEPT,
            policy: decision.policy,
            threshold: decision.threshold,
        });
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::Timestamp;

    use super::*;

    fn message(owner: u64, key: &str, entry: Entry) -> OwnedMessage {
        let payload = LogRecord { owner, entry: Some(entry) }.encode_to_vec();
        let (time, key) = (Timestamp::NotAvailable, key.as_bytes().to_vec());
        OwnedMessage::new(Some(payload), Some(key), "log".into(), time, 0, 0, None)
    }

    fn decided(owner: u64, outcome: i32) -> OwnedMessage {
        let decision = TraceDecision { outcome, ..TraceDecision::default() };
        message(owner, &"7".repeat(32), Entry::Decision(decision))
    }

    #[test]
    fn who_owns_the_partition_has_the_word_and_must_not_contradict_others() {
        let owned = |owner| message(owner, "owner", Entry::Ownership(Ownership::default()));
        let judged = |records: &[OwnedMessage]| {
            let all = Decisions::read(records);
            let id = TraceId::from_hex("7".repeat(32).as_bytes()).unwrap();
            (all.traces[&id].decisions.len(), all.superseded)
        };
        assert_eq!(judged(&[owned(1), decided(1, KEPT), owned(2), decided(2, KEPT)]), (1, 0));
        assert_eq!(judged(&[owned(1), decided(1, KEPT), owned(2), decided(2, 1)]), (2, 0));
        assert_eq!(judged(&[owned(1), owned(2), decided(1, KEPT), decided(2, 1)]), (1, 1));
    }
}
