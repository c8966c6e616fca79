//! The records of the log: decisions to bytes and back.
//!
//! Records of other versions and other programs are no error: reading tells what is not understood,
//! and passes over it.

use std::sync::Arc;

use prost::Message;
use thiserror::Error;

use super::details::{self, NamesWritten};
use super::index::TraceHash;
use crate::fnv;
use crate::ids::{Offset, Timestamp, TopicId, TraceId};
use crate::otlp::probability::Threshold;
use crate::proto::trace_decision::{Outcome, Trigger as WireTrigger};
use crate::proto::{LogRecord, Ownership, TraceDecision};
use crate::sampling::decided::{DecisionRecord, Kept, SamplingDecision, TraceDetails};
use crate::sampling::trace::Trigger;

/// Names the writer of a record: a random number for each acquisition of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OwnerId(pub u64);

impl OwnerId {
    /// A new one.
    pub fn draw() -> Self {
        Self(rand::random())
    }
}

/// Which consumer group a record belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupHash(u32);

impl GroupHash {
    /// The hash of a group's name (FNV-1a).
    pub fn of(group_id: &str) -> Self {
        Self(fnv::hash_32(group_id.bytes()))
    }

    /// The hash with these bits.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Its bits.
    pub fn bits(self) -> u32 {
        self.0
    }
}

/// What a record of the log contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contents {
    /// The ownership marker of a new owner.
    Marker {
        /// The input topic, if its id was known.
        topic: Option<TopicId>,
    },
    /// Decisions.
    Decisions {
        /// Those that are understood, in order.
        decisions: Vec<DecisionRecord>,
        /// How many others there are.
        not_understood: u64,
    },
}

/// A decision as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The decision.
    pub record: DecisionRecord,
    /// The spans that this entry is the first to tell of.
    pub details: Option<TraceDetails<'static>>,
}

/// A record of the log, with all that it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeRecord {
    /// Whose members wrote it.
    pub group: GroupHash,
    /// Which of them.
    pub owner: OwnerId,
    /// It is the ownership marker of a new owner.
    pub is_marker: bool,
    /// The decisions that are understood, in order.
    pub entries: Vec<LogEntry>,
    /// How many others there are.
    pub not_understood: u64,
}

/// Why a record is passed over.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Unread {
    /// The record has no value.
    #[error("it has no value")]
    NoValue,
    /// It is not a message of the log.
    #[error("it is not a record of a decision log")]
    Malformed,
    /// Another consumer group wrote it.
    #[error("another consumer group wrote it")]
    OtherGroup,
}

/// A log batch is full at this size: some two hundred decisions.
const LARGE: usize = 16 * 1024;

/// The tag of `LogRecord.decisions`: field 4, length-delimited.
const DECISIONS_TAG: u8 = 4 << 3 | 2;

/// The tag of `LogRecord.names`.
const NAMES_TAG: u8 = 5 << 3 | 2;

/// Decision records that are written as one Kafka record. It grows until it is appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogBatch {
    pub(super) value: Vec<u8>,
    pub(super) names: NamesWritten,
    /// The traces that it decides, for the index.
    pub(super) traces: Vec<TraceHash>,
}

impl LogBatch {
    /// An empty batch of `owner`.
    pub fn new(group: GroupHash, owner: OwnerId) -> Self {
        Self::of(head(owner, group, None).encode_to_vec())
    }

    /// A batch that begins with this.
    pub(crate) fn of(value: Vec<u8>) -> Self {
        Self { value, names: NamesWritten::default(), traces: Vec::new() }
    }

    /// Adds a decision, and the spans that this is the first entry to tell of.
    pub fn push(&mut self, record: &DecisionRecord, details: Option<&TraceDetails<'_>>) {
        let Self { value, names, .. } = self;
        let mut number_of = |name: &str| {
            names.number_of(name, |name| {
                value.push(NAMES_TAG);
                prost::encoding::encode_varint(name.len() as u64, value);
                value.extend_from_slice(name.as_bytes());
            })
        };
        let details = details.map(|it| details::to_wire(it, record.first, &mut number_of));
        let message = TraceDecision { details, ..wire(record) };
        self.value.reserve(message.encoded_len() + 4);
        self.value.push(DECISIONS_TAG);
        let encoded = message.encode_length_delimited(&mut self.value);
        debug_assert!(encoded.is_ok(), "a vector grows");
        self.traces.push(TraceHash::of(record.trace_id));
    }

    /// Its bytes, as they are written.
    pub fn bytes(&self) -> usize {
        self.value.len()
    }

    /// True if the next decision should go to another batch.
    pub fn is_full(&self) -> bool {
        self.value.len() >= LARGE
    }
}

/// The value of an ownership marker.
pub fn marker(
    owner: OwnerId,
    group: GroupHash,
    since: Timestamp,
    topic: Option<TopicId>,
) -> Vec<u8> {
    let topic_id = topic.map(|topic| topic.bits().to_be_bytes().to_vec()).unwrap_or_default();
    let ownership = Ownership { since_unix_milli: since.0, topic_id };
    head(owner, group, Some(ownership)).encode_to_vec()
}

fn head(owner: OwnerId, group: GroupHash, ownership: Option<Ownership>) -> LogRecord {
    LogRecord { owner: owner.0, group: group.0, ownership, ..LogRecord::default() }
}

fn wire(record: &DecisionRecord) -> TraceDecision {
    let (outcome, policy, threshold, consistent) = match &record.decision {
        SamplingDecision::Dropped => (Outcome::Dropped, record.dropped_by.as_deref(), 0, false),
        SamplingDecision::Kept(Kept { policy, threshold, consistent }) => {
            (Outcome::Kept, Some(&**policy), threshold.value(), *consistent)
        }
    };
    TraceDecision {
        trace_id: record.trace_id.as_bytes().to_vec(),
        outcome: outcome.into(),
        policy: policy.unwrap_or_default().to_owned(),
        threshold,
        consistent,
        first_offset: record.first.0,
        last_offset: record.last.0,
        decided_unix_milli: record.at.0,
        trigger: to_wire(record.trigger).into(),
        delivered: record.delivered,
        details: None,
    }
}

/// Reads a record.
///
/// # Errors
/// When it is not a record of `group`.
pub fn read(group: GroupHash, value: Option<&[u8]>) -> Result<(OwnerId, Contents), Unread> {
    let record = message(value)?;
    if record.group != group.0 {
        return Err(Unread::OtherGroup);
    }
    contents(record)
}

/// Reads a record with all that it says, whichever group wrote it.
///
/// # Errors
/// When it is not a record of a decision log.
pub fn read_whole(value: Option<&[u8]>) -> Result<WholeRecord, Unread> {
    let LogRecord { owner, group, ownership, decisions, names } = message(value)?;
    let (is_marker, all) = (ownership.is_some(), decisions.len());
    if !is_marker && all == 0 {
        return Err(Unread::Malformed);
    }
    let mut policies = Names::default();
    let entry = |mut message: TraceDecision| {
        let details = message.details.take();
        let record = of_wire(message, &mut policies)?;
        let covered = (record.first, record.last);
        let details = details.and_then(|it| details::of_wire(&it, covered, &names));
        Some(LogEntry { record, details })
    };
    let entries: Vec<LogEntry> = decisions.into_iter().filter_map(entry).collect();
    let not_understood = (all - entries.len()) as u64;
    let (group, owner) = (GroupHash(group), OwnerId(owner));
    Ok(WholeRecord { group, owner, is_marker, entries, not_understood })
}

#[expect(clippy::disallowed_methods, reason = "a record of the log, not of spans")]
fn message(value: Option<&[u8]>) -> Result<LogRecord, Unread> {
    LogRecord::decode(value.ok_or(Unread::NoValue)?).map_err(|_| Unread::Malformed)
}

fn contents(record: LogRecord) -> Result<(OwnerId, Contents), Unread> {
    let owner = OwnerId(record.owner);
    if let Some(ownership) = record.ownership {
        let bits = <[u8; 16]>::try_from(ownership.topic_id).map(u128::from_be_bytes);
        return Ok((owner, Contents::Marker { topic: bits.ok().and_then(TopicId::from_bits) }));
    }
    let all = record.decisions.len();
    if all == 0 {
        return Err(Unread::Malformed);
    }
    let mut names = Names::default();
    let decisions = record.decisions.into_iter().filter_map(|it| of_wire(it, &mut names));
    let decisions: Vec<DecisionRecord> = decisions.collect();
    let not_understood = (all - decisions.len()) as u64;
    Ok((owner, Contents::Decisions { decisions, not_understood }))
}

/// The names of policies in one record, each of them kept once.
#[derive(Default)]
struct Names(Vec<Arc<str>>);

impl Names {
    fn get(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.iter().find(|known| ***known == *name) {
            return Arc::clone(known);
        }
        let name = Arc::from(name);
        self.0.push(Arc::clone(&name));
        name
    }
}

fn of_wire(message: TraceDecision, names: &mut Names) -> Option<DecisionRecord> {
    let trace_id = TraceId::from_slice(&message.trace_id)?;
    let policy = (!message.policy.is_empty()).then(|| names.get(&message.policy));
    let (decision, dropped_by) = match message.outcome() {
        Outcome::Unspecified => return None,
        Outcome::Dropped => (SamplingDecision::Dropped, policy),
        Outcome::Kept => {
            let (threshold, consistent) = (Threshold::new(message.threshold)?, message.consistent);
            (SamplingDecision::Kept(Kept { policy: policy?, threshold, consistent }), None)
        }
    };
    if message.first_offset < Offset::BEFORE_ALL.0 || message.last_offset < message.first_offset {
        return None;
    }
    let trigger = match message.trigger() {
        WireTrigger::Root => Trigger::Root,
        WireTrigger::Wait | WireTrigger::Unspecified => Trigger::Wait,
        WireTrigger::Size => Trigger::Size,
        WireTrigger::Memory => Trigger::Memory,
        WireTrigger::LogGone => Trigger::LogGone,
        WireTrigger::Late => Trigger::Late,
        WireTrigger::Restored => Trigger::Restored,
    };
    Some(DecisionRecord {
        trace_id,
        decision,
        dropped_by,
        first: Offset(message.first_offset),
        last: Offset(message.last_offset),
        at: Timestamp(message.decided_unix_milli),
        trigger,
        delivered: message.delivered,
    })
}

fn to_wire(trigger: Trigger) -> WireTrigger {
    match trigger {
        Trigger::Root => WireTrigger::Root,
        Trigger::Wait => WireTrigger::Wait,
        Trigger::Size => WireTrigger::Size,
        Trigger::Memory => WireTrigger::Memory,
        Trigger::LogGone => WireTrigger::LogGone,
        Trigger::Late => WireTrigger::Late,
        Trigger::Restored => WireTrigger::Restored,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::kafka::decision_log::testing::dropped;
    use crate::sampling::trace::RecordOffsets;

    pub(crate) fn record() -> impl Strategy<Value = DecisionRecord> {
        let kept = ("[a-z]{1,12}", 0..=1_u64 << 56, any::<bool>()).prop_map(
            |(policy, threshold, consistent)| {
                let threshold = Threshold::new(threshold).unwrap();
                SamplingDecision::Kept(Kept { policy: policy.into(), threshold, consistent })
            },
        );
        let decision = prop_oneof![Just(SamplingDecision::Dropped), kept];
        let trigger = prop_oneof![
            Just(Trigger::Root),
            Just(Trigger::Wait),
            Just(Trigger::Size),
            Just(Trigger::Memory),
            Just(Trigger::LogGone),
            Just(Trigger::Late),
            Just(Trigger::Restored)
        ];
        let offsets = (0..i64::MAX / 2, 0..1000_i64);
        (1..=u128::MAX, decision, offsets, any::<i64>(), trigger, any::<bool>()).prop_map(
            |(id, decision, (first, more), at, trigger, delivered)| DecisionRecord {
                trace_id: TraceId::from_slice(&id.to_be_bytes()).unwrap(),
                dropped_by: (decision == SamplingDecision::Dropped).then(|| "veto".into()),
                decision,
                first: Offset(first),
                last: Offset(first + more),
                at: Timestamp(at),
                trigger,
                delivered,
            },
        )
    }

    /// The records from `first` on.
    fn records(first: Offset, steps: &[u32]) -> RecordOffsets {
        let mut at = first.0;
        let mut next = |step: &u32| {
            at += i64::from(*step);
            Offset(at)
        };
        let (to_first, steps) = steps.split_first().unwrap();
        let mut records = RecordOffsets::one(next(to_first));
        steps.iter().for_each(|step| records.add(next(step)));
        records
    }

    pub(crate) fn entry() -> impl Strategy<Value = LogEntry> {
        let steps = prop_oneof![
            9 => prop::collection::vec(0..20_u32, 1..6),
            1 => prop::collection::vec(1..10_u32, 60..70),
        ];
        let sums = (any::<u64>(), any::<u64>(), any::<Option<u64>>(), any::<Option<u32>>());
        let names = ("[a-c]{0,2}", "[a-c]{0,2}");
        let details = prop::option::of((steps, sums, names));
        (record(), details).prop_map(|(record, details)| {
            let details = details.map(|(steps, (spans, bytes, nanos, errors), names)| {
                let records = records(record.first, &steps);
                let is_listed = records.listed().is_some();
                let unlisted = RecordOffsets::unlisted(record.first, record.last);
                let records = if is_listed { records } else { unlisted };
                let duration = nanos.map(Duration::from_nanos);
                let (service, name) = (names.0.into(), names.1.into());
                TraceDetails { records, spans, bytes, duration, errors, service, name }
            });
            LogEntry { record, details }
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            entries in prop::collection::vec(entry(), 1..5),
            owner in any::<u64>(),
        ) {
            let (group, owner) = (GroupHash::of("shop"), OwnerId(owner));
            let mut batch = LogBatch::new(group, owner);
            entries.iter().for_each(|it| batch.push(&it.record, it.details.as_ref()));
            let read_back = read(group, Some(&batch.value));
            let decisions = entries.iter().map(|it| it.record.clone()).collect();
            let contents = Contents::Decisions { decisions, not_understood: 0 };
            prop_assert_eq!(read_back, Ok((owner, contents)));
            let whole = read_whole(Some(&batch.value)).unwrap();
            prop_assert_eq!((whole.group, whole.owner, whole.is_marker), (group, owner, false));
            prop_assert_eq!((whole.entries, whole.not_understood), (entries, 0));
            let other = read(GroupHash::of("bank"), Some(&batch.value));
            prop_assert_eq!(other, Err(Unread::OtherGroup));
        }

        /// Whatever somebody else wrote there, and whatever became of what was written.
        #[test]
        fn anything_can_be_read(
            entries in prop::collection::vec(entry(), 1..5),
            noise in prop::collection::vec(any::<u8>(), 0..80),
            place in any::<usize>(),
            byte in any::<u8>(),
        ) {
            let group = GroupHash::of("shop");
            let _ = read(group, Some(&noise));
            let mut batch = LogBatch::new(group, OwnerId(1));
            entries.iter().for_each(|it| batch.push(&it.record, it.details.as_ref()));
            let mut value = batch.value;
            let place = place % value.len();
            value[place] = byte;
            if let Ok((_, Contents::Decisions { decisions, .. })) = read(group, Some(&value)) {
                prop_assert!(decisions.iter().all(|it| it.first <= it.last && it.first >= Offset::BEFORE_ALL));
            }
            if let Ok(whole) = read_whole(Some(&value)) {
                for LogEntry { record, details } in whole.entries {
                    let records = details.map(|it| (it.records.first(), it.records.last()));
                    let (first, last) = records.unwrap_or((record.first, record.last));
                    prop_assert!(record.first <= first && first <= last);
                }
            }
            let _ = read(group, Some(&value[..place]));
            let _ = read_whole(Some(&value[..place]));
        }
    }

    #[test]
    fn a_name_stands_once_in_a_record_and_is_cut() {
        let group = GroupHash::of("shop");
        let mut batch = LogBatch::new(group, OwnerId(1));
        let long = "é".repeat(200);
        let details = TraceDetails {
            service: "shop".into(),
            name: long.as_str().into(),
            ..TraceDetails::late(RecordOffsets::one(Offset(0)), 1, 1)
        };
        batch.push(&dropped(1, 0, 1), Some(&details));
        let first = batch.bytes();
        batch.push(&dropped(2, 0, 1), Some(&details));
        assert!(batch.bytes() - first < 60, "{}", batch.bytes() - first);
        for entry in read_whole(Some(&batch.value)).unwrap().entries {
            let details = entry.details.unwrap();
            assert_eq!((&*details.service, &*details.name), ("shop", &*"é".repeat(128)));
        }
    }

    fn batch(owner: OwnerId, group: GroupHash, decisions: &[DecisionRecord]) -> LogBatch {
        let mut batch = LogBatch::new(group, owner);
        decisions.iter().for_each(|record| batch.push(record, None));
        assert_eq!(batch.traces.len(), decisions.len());
        batch
    }

    #[test]
    fn an_ownership_is_told_from_a_decision() {
        let group = GroupHash::of("shop");
        for topic in [None, TopicId::from_bits(7 << 64 | 9)] {
            let value = marker(OwnerId(7), group, Timestamp(1), topic);
            assert_eq!(read(group, Some(&value)), Ok((OwnerId(7), Contents::Marker { topic })));
        }
        assert_eq!(read(group, None), Err(Unread::NoValue));
        let nothing = LogBatch::new(group, OwnerId(7)).value;
        assert_eq!(read(group, Some(&nothing)), Err(Unread::Malformed));
    }

    #[test]
    fn a_decision_that_is_not_understood_does_not_hide_the_others() {
        let group = GroupHash::of("shop");
        let mut value = batch(OwnerId(7), group, &[dropped(1, 0, 1)]).value;
        let unknown = TraceDecision { trace_id: vec![2; 16], ..TraceDecision::default() };
        value.push(DECISIONS_TAG);
        unknown.encode_length_delimited(&mut value).unwrap();
        let contents = Contents::Decisions { decisions: vec![dropped(1, 0, 1)], not_understood: 1 };
        assert_eq!(read(group, Some(&value)), Ok((OwnerId(7), contents)));
    }
}
