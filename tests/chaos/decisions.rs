//! The decision log, read by rules that are written down here once more: what was decided of each
//! trace, and whether anybody decided otherwise.

use std::collections::{BTreeSet, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;
use rdkafka::Message as _;
use rdkafka::message::OwnedMessage;
use tailsieve::testing::ids::TraceId;

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
    #[prost(message, optional, tag = "3")]
    ownership: Option<Ownership>,
    #[prost(message, repeated, tag = "4")]
    decisions: Vec<TraceDecision>,
}

#[derive(Clone, PartialEq, Message)]
struct Ownership {
    #[prost(int64, tag = "1")]
    since_unix_milli: i64,
}

#[derive(Clone, PartialEq, Message)]
struct TraceDecision {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(int32, tag = "2")]
    outcome: i32,
    #[prost(string, tag = "3")]
    policy: String,
    #[prost(uint64, tag = "4")]
    threshold: u64,
    #[prost(int64, tag = "6")]
    first_offset: i64,
    #[prost(int32, tag = "9")]
    trigger: i32,
    #[prost(bool, tag = "10")]
    delivered: bool,
}

/// `TraceDecision.Outcome.KEPT`.
const KEPT: i32 = 2;

/// `TraceDecision.Trigger.LATE`: late spans re-opened it.
const LATE: i32 = 6;

/// `TraceDecision.Trigger.RESTORED`: somebody asked for it.
const RESTORED: i32 = 7;

/// What it names in place of a policy.
const ON_REQUEST: &str = "tailsieve.restored";

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
    /// That it is kept after all.
    pub reopened: BTreeSet<Decision>,
    pub superseded: BTreeSet<Decision>,
    pub reopened_superseded: BTreeSet<Decision>,
    /// By which requests it is kept: where they are.
    pub restored: BTreeSet<i64>,
    pub restored_superseded: BTreeSet<i64>,
    pub partition: i32,
    /// How many ownerships of the partition had begun when the first record of the trace was
    /// written (that it is kept, if it was dropped before), and the first and the last of those that say that it was delivered.
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

    /// Whether anybody has said so far that it is kept though it was dropped.
    fn is_taken_back(&self) -> bool {
        let Self { reopened, reopened_superseded, restored, restored_superseded, .. } = self;
        let is_reopened = !reopened.is_empty() || !reopened_superseded.is_empty();
        is_reopened || !restored.is_empty() || !restored_superseded.is_empty()
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
    /// Decisions that owners wrote when somebody had followed them.
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
            if record.ownership.is_some() {
                (*owner, *ownerships) = (record.owner, *ownerships + 1);
            } else {
                assert!(!record.decisions.is_empty(), "a record says something");
            }
            for decision in record.decisions {
                let is_superseded = *owner != record.owner;
                all.superseded += u64::from(is_superseded);
                all.take_in(message.partition(), decision, *ownerships, is_superseded);
            }
        }
        for said in all.traces.values_mut() {
            said.ended_in = owners[&said.partition].1;
            if said.decisions.is_empty() {
                said.decisions.append(&mut said.superseded);
            }
            if said.reopened.is_empty() {
                said.reopened.append(&mut said.reopened_superseded);
            }
            if said.restored.is_empty() {
                said.restored.append(&mut said.restored_superseded);
            }
        }
        all
    }

    /// Takes in a decision that was written when `epoch` ownerships had begun.
    fn take_in(
        &mut self,
        partition: i32,
        decision: TraceDecision,
        epoch: u32,
        is_superseded: bool,
    ) {
        let id = TraceId::from_slice(&decision.trace_id).expect("a trace id");
        let new = || Said { partition, decided_in: epoch, ..Said::default() };
        let said = self.traces.entry(id).or_insert_with(new);
        if decision.delivered {
            let (_, last) = said.delivered_in.get_or_insert((epoch, epoch));
            *last = epoch;
        }
        let takes_back = [LATE, RESTORED].contains(&decision.trigger);
        if takes_back && !said.is_taken_back() {
            said.decided_in = epoch;
        }
        if decision.trigger == RESTORED {
            assert!(decision.outcome == KEPT && decision.policy == ON_REQUEST, "{decision:?}");
            let restored = match is_superseded {
                true => &mut said.restored_superseded,
                false => &mut said.restored,
            };
            restored.insert(decision.first_offset);
            return;
        }
        let decisions = match (takes_back, is_superseded) {
            (true, false) => &mut said.reopened,
            (true, true) => &mut said.reopened_superseded,
            (false, true) => &mut said.superseded,
            (false, false) => &mut said.decisions,
        };
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

    fn message(record: &LogRecord) -> OwnedMessage {
        let (payload, time) = (record.encode_to_vec(), Timestamp::NotAvailable);
        OwnedMessage::new(Some(payload), None, "log".into(), time, 0, 0, None)
    }

    fn owned(owner: u64) -> OwnedMessage {
        let ownership = Some(Ownership::default());
        message(&LogRecord { owner, ownership, decisions: Vec::new() })
    }

    fn id() -> TraceId {
        TraceId::from_slice(&[7; 16]).unwrap()
    }

    fn decided_as(owner: u64, decision: TraceDecision) -> OwnedMessage {
        let decision = TraceDecision { trace_id: id().as_bytes().to_vec(), ..decision };
        message(&LogRecord { owner, ownership: None, decisions: vec![decision] })
    }

    fn decided(owner: u64, outcome: i32) -> OwnedMessage {
        decided_as(owner, TraceDecision { outcome, ..TraceDecision::default() })
    }

    #[test]
    fn who_owns_the_partition_has_the_word_and_must_not_contradict_others() {
        let judged = |records: &[OwnedMessage]| {
            let all = Decisions::read(records);
            (all.traces[&id()].decisions.len(), all.superseded)
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
        let delivered = |owner| {
            decided_as(
                owner,
                TraceDecision { outcome: KEPT, delivered: true, ..Default::default() },
            )
        };
        let kept = || decided(1, KEPT);
        let hand_overs = |records: &[OwnedMessage]| {
            let all = Decisions::read(records);
            (all.traces[&id()].hand_overs(false), all.traces[&id()].hand_overs(true))
        };
        assert_eq!(hand_overs(&[owned(1), kept(), delivered(1), owned(2)]), (0, 0));
        assert_eq!(hand_overs(&[owned(1), kept(), owned(2), delivered(2), owned(3)]), (1, 1));
        assert_eq!(hand_overs(&[owned(1), kept(), owned(2), delivered(1), owned(3)]), (1, 1));
        assert_eq!(hand_overs(&[owned(1), kept(), owned(2), owned(3)]), (2, 2));
        let late = [owned(1), kept(), delivered(1), owned(2), delivered(2)];
        assert_eq!(hand_overs(&late), (0, 1));
    }
}
