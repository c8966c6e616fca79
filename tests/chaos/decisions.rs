//! The decision log, read by rules that are written down here once more: what was decided of each
//! trace, and whether anybody decided otherwise.

use std::collections::{BTreeSet, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::{Message, Oneof};
use rdkafka::Message as _;
use rdkafka::message::OwnedMessage;
use tailsieve::ids::TraceId;

use crate::support::{Kafka, Topic};
use crate::traffic::PARTITIONS;

/// A decision log's topic for a group, as tailsieve asks for it; with the time of the broker, by
/// which it is known when something was written.
pub fn decision_log_of(kafka: &Kafka, group: &str) -> Topic {
    let settings = [
        ("cleanup.policy", "delete"),
        ("retention.ms", "86400000"),
        ("segment.ms", "3600000"),
        ("message.timestamp.type", "LogAppendTime"),
    ];
    kafka.topic_named(&format!("{group}_decisions"), PARTITIONS, &settings)
}

/// How many of the records were written from `from` to `to`.
pub fn written_between(records: &[OwnedMessage], from: SystemTime, to: SystemTime) -> usize {
    let millis = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let times = records.iter().filter_map(|record| record.timestamp().to_millis());
    times.filter(|at| (millis(from)..millis(to)).contains(at)).count()
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
    /// The different decisions of those who owned the partition when they wrote; if these said
    /// nothing, those of who had owned it before.
    pub decisions: BTreeSet<Decision>,
    pub superseded: BTreeSet<Decision>,
    pub partition: i32,
    /// How many ownerships of the partition had begun when the first record of the trace was
    /// written, and the first and the last of those that say that it was delivered.
    pub decided_in: u32,
    pub delivered_in: Option<(u32, u32)>,
    /// How many had begun at the end.
    pub ended_in: u32,
}

impl Said {
    /// Whether it is on record that everything was delivered.
    pub fn is_delivered(&self) -> bool {
        self.delivered_in.is_some()
    }

    /// How often the partition came to an owner who could not know that what the decision covers
    /// was delivered; or that late spans were.
    pub fn hand_overs(&self, late: bool) -> u32 {
        let known_in = match self.delivered_in {
            Some((_, last)) if late => last,
            Some((first, _)) => first,
            None => self.ended_in,
        };
        known_in - self.decided_in
    }
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
        let mut owners: HashMap<i32, (u64, u32)> = HashMap::new();
        for message in records {
            let record = LogRecord::decode(message.payload().unwrap_or_default()).unwrap();
            let (owner, ownerships) = owners.entry(message.partition()).or_default();
            match record.entry.expect("a record says something") {
                Entry::Ownership(_) => (*owner, *ownerships) = (record.owner, *ownerships + 1),
                Entry::Decision(decision) => {
                    let is_superseded = *owner != record.owner;
                    all.superseded += u64::from(is_superseded);
                    all.take_in(message, decision, *ownerships, is_superseded);
                }
            }
        }
        for said in all.traces.values_mut() {
            said.ended_in = owners[&said.partition].1;
            if said.decisions.is_empty() {
                said.decisions.append(&mut said.superseded);
            }
        }
        all
    }

    /// Takes in a record that was written when `epoch` ownerships had begun.
    fn take_in(
        &mut self,
        message: &OwnedMessage,
        decision: TraceDecision,
        epoch: u32,
        is_superseded: bool,
    ) {
        let key = message.key().expect("the records are keyed");
        let id = TraceId::from_hex(key).expect("the key is a trace id");
        let partition = message.partition();
        let new = || Said { partition, decided_in: epoch, ..Said::default() };
        let said = self.traces.entry(id).or_insert_with(new);
        if decision.delivered {
            let (_, last) = said.delivered_in.get_or_insert((epoch, epoch));
            *last = epoch;
        }
        let decisions = if is_superseded { &mut said.superseded } else { &mut said.decisions };
        decisions.insert(Decision {
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
        let late = [owned(1), owned(2), decided(1, KEPT)];
        assert_eq!(judged(&late), (1, 1), "nobody says otherwise");
        assert_eq!(judged(&[&late[..], &[decided(1, 1)]].concat()), (2, 2));
    }

    #[test]
    fn who_takes_over_knows_what_is_on_record_before() {
        let owned = |owner| message(owner, "owner", Entry::Ownership(Ownership::default()));
        let delivered = |owner| {
            let decision = TraceDecision { outcome: KEPT, delivered: true, ..Default::default() };
            message(owner, &"7".repeat(32), Entry::Decision(decision))
        };
        let kept = || decided(1, KEPT);
        let hand_overs = |records: &[OwnedMessage]| {
            let all = Decisions::read(records);
            let id = TraceId::from_hex("7".repeat(32).as_bytes()).unwrap();
            (all.traces[&id].hand_overs(false), all.traces[&id].hand_overs(true))
        };
        assert_eq!(hand_overs(&[owned(1), kept(), delivered(1), owned(2)]), (0, 0));
        assert_eq!(hand_overs(&[owned(1), kept(), owned(2), delivered(2), owned(3)]), (1, 1));
        assert_eq!(hand_overs(&[owned(1), kept(), owned(2), delivered(1), owned(3)]), (1, 1));
        assert_eq!(hand_overs(&[owned(1), kept(), owned(2), owned(3)]), (2, 2));
        let late = [owned(1), kept(), delivered(1), owned(2), delivered(2)];
        assert_eq!(hand_overs(&late), (0, 1));
    }
}
