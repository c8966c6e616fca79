//! The records of the log: what is known of a decision, to bytes and back.
//!
//! Reading never fails on what another version or another program wrote: it says what is not
//! understood, and the record is passed over.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use prost::Message;
use thiserror::Error;

use crate::ids::{Offset, Timestamp, TraceId};
use crate::probability::Threshold;
use crate::proto::log_record::Entry;
use crate::proto::trace_decision::{Outcome, Trigger as WireTrigger};
use crate::proto::{LogRecord, Ownership, TraceDecision};
use crate::trace::Trigger;

/// Which ownership of a partition writes: drawn at random for each acquisition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OwnerId(pub u64);

impl OwnerId {
    /// A new one.
    pub fn draw() -> Self {
        // The standard library's hash keys are random, which is all that is asked for.
        Self(RandomState::new().hash_one(std::process::id()))
    }
}

/// Which consumer group a record belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupHash(u32);

impl GroupHash {
    /// The hash of a group's name (FNV-1a).
    pub fn of(group_id: &str) -> Self {
        Self(
            group_id
                .bytes()
                .fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)),
        )
    }
}

/// What was decided of a trace. Policies may have changed since, so it refers to none of theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was dropped.
    Dropped,
    /// It was kept.
    Kept(Kept),
}

/// Why a trace was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The name of the policy on whose account.
    pub policy: Arc<str>,
    /// The threshold it passed.
    pub threshold: Threshold,
    /// Whether that threshold says what the chance was.
    pub consistent: bool,
}

/// A decision on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The trace.
    pub trace_id: TraceId,
    /// What was decided.
    pub verdict: Verdict,
    /// The policy that dropped it, if one did; of kept ones the verdict says it.
    pub dropped_by: Option<Arc<str>>,
    /// The first record with spans of the trace.
    pub first: Offset,
    /// The last record that the decision covers.
    pub last: Offset,
    /// The partition's clock at the decision.
    pub at: Timestamp,
    /// Why it was decided then.
    pub trigger: Trigger,
    /// Every backend has taken what the decision covers.
    pub delivered: bool,
}

/// What a record of the log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// An ownership begins.
    Owned,
    /// A decision.
    Decided(Recorded),
}

/// A record that says nothing here.
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

/// The key of a trace's records.
pub fn trace_key(id: TraceId) -> String {
    id.to_string()
}

/// The key of an ownership's first record.
pub fn owner_key(owner: OwnerId) -> String {
    format!("owner-{:016x}", owner.0)
}

/// The value of an ownership's first record.
pub fn owned(owner: OwnerId, group: GroupHash, since: Timestamp) -> Vec<u8> {
    wire(owner, group, Entry::Ownership(Ownership { since_unix_milli: since.0 })).encode_to_vec()
}

/// The value of a decision's record.
pub fn decided(owner: OwnerId, group: GroupHash, recorded: &Recorded) -> Vec<u8> {
    let (outcome, policy, threshold, consistent) = match &recorded.verdict {
        Verdict::Dropped => (Outcome::Dropped, recorded.dropped_by.as_deref(), 0, false),
        Verdict::Kept(Kept { policy, threshold, consistent }) => {
            (Outcome::Kept, Some(&**policy), threshold.value(), *consistent)
        }
    };
    let decision = TraceDecision {
        outcome: outcome.into(),
        policy: policy.unwrap_or_default().to_owned(),
        threshold,
        consistent,
        first_offset: recorded.first.0,
        last_offset: recorded.last.0,
        decided_unix_milli: recorded.at.0,
        trigger: to_wire(recorded.trigger).into(),
        delivered: recorded.delivered,
    };
    wire(owner, group, Entry::Decision(decision)).encode_to_vec()
}

/// Reads a record.
///
/// # Errors
/// When it says nothing to `group`.
pub fn read(
    group: GroupHash,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Result<(OwnerId, Said), Unread> {
    let record = LogRecord::decode(value.ok_or(Unread::NoValue)?).map_err(|_| Unread::Malformed)?;
    let entry = record.entry.ok_or(Unread::Malformed)?;
    if record.group != group.0 {
        return Err(Unread::OtherGroup);
    }
    let said = match entry {
        Entry::Ownership(_) => Said::Owned,
        Entry::Decision(decision) => {
            let id = key.and_then(TraceId::from_hex).ok_or(Unread::Malformed)?;
            Said::Decided(of_wire(id, decision).ok_or(Unread::Malformed)?)
        }
    };
    Ok((OwnerId(record.owner), said))
}

fn of_wire(trace_id: TraceId, decision: TraceDecision) -> Option<Recorded> {
    let policy = (!decision.policy.is_empty()).then(|| Arc::from(&*decision.policy));
    let (verdict, dropped_by) = match decision.outcome() {
        Outcome::Unspecified => return None,
        Outcome::Dropped => (Verdict::Dropped, policy),
        Outcome::Kept => {
            let (threshold, consistent) =
                (Threshold::new(decision.threshold)?, decision.consistent);
            (Verdict::Kept(Kept { policy: policy?, threshold, consistent }), None)
        }
    };
    if decision.first_offset < 0 || decision.last_offset < decision.first_offset {
        return None;
    }
    let trigger = match decision.trigger() {
        WireTrigger::Root => Trigger::Root,
        WireTrigger::Wait | WireTrigger::Unspecified => Trigger::Wait,
        WireTrigger::Size => Trigger::Size,
        WireTrigger::Memory => Trigger::Memory,
    };
    Some(Recorded {
        trace_id,
        verdict,
        dropped_by,
        first: Offset(decision.first_offset),
        last: Offset(decision.last_offset),
        at: Timestamp(decision.decided_unix_milli),
        trigger,
        delivered: decision.delivered,
    })
}

fn to_wire(trigger: Trigger) -> WireTrigger {
    match trigger {
        Trigger::Root => WireTrigger::Root,
        Trigger::Wait => WireTrigger::Wait,
        Trigger::Size => WireTrigger::Size,
        Trigger::Memory => WireTrigger::Memory,
    }
}

fn wire(owner: OwnerId, group: GroupHash, entry: Entry) -> LogRecord {
    LogRecord { owner: owner.0, group: group.0, entry: Some(entry) }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn recorded() -> impl Strategy<Value = Recorded> {
        let kept = ("[a-z]{1,12}", 0..=1_u64 << 56, any::<bool>()).prop_map(
            |(policy, threshold, consistent)| {
                let threshold = Threshold::new(threshold).unwrap();
                Verdict::Kept(Kept { policy: policy.into(), threshold, consistent })
            },
        );
        let verdict = prop_oneof![Just(Verdict::Dropped), kept];
        let trigger = prop_oneof![
            Just(Trigger::Root),
            Just(Trigger::Wait),
            Just(Trigger::Size),
            Just(Trigger::Memory)
        ];
        let offsets = (0..i64::MAX / 2, 0..1000_i64);
        (1..=u128::MAX, verdict, offsets, any::<i64>(), trigger, any::<bool>()).prop_map(
            |(id, verdict, (first, more), at, trigger, delivered)| Recorded {
                trace_id: TraceId::from_slice(&id.to_be_bytes()).unwrap(),
                dropped_by: (verdict == Verdict::Dropped).then(|| "veto".into()),
                verdict,
                first: Offset(first),
                last: Offset(first + more),
                at: Timestamp(at),
                trigger,
                delivered,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(recorded in recorded(), owner in any::<u64>()) {
            let group = GroupHash::of("shop");
            let value = decided(OwnerId(owner), group, &recorded);
            let key = trace_key(recorded.trace_id);
            let read_back = read(group, Some(key.as_bytes()), Some(&value));
            prop_assert_eq!(read_back, Ok((OwnerId(owner), Said::Decided(recorded))));
            let other = read(GroupHash::of("bank"), Some(key.as_bytes()), Some(&value));
            prop_assert_eq!(other, Err(Unread::OtherGroup));
        }

        /// Whatever somebody else wrote there, and whatever became of what was written.
        #[test]
        fn anything_can_be_read(
            recorded in recorded(),
            key in prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
            noise in prop::collection::vec(any::<u8>(), 0..80),
            place in any::<usize>(),
            byte in any::<u8>(),
        ) {
            let group = GroupHash::of("shop");
            let _ = read(group, key.as_deref(), Some(&noise));
            let mut value = decided(OwnerId(1), group, &recorded);
            let place = place % value.len();
            value[place] = byte;
            let own_key = trace_key(recorded.trace_id);
            if let Ok((_, Said::Decided(read))) = read(group, Some(own_key.as_bytes()), Some(&value)) {
                prop_assert!(read.first <= read.last && read.first.0 >= 0);
            }
            let _ = read(group, key.as_deref(), Some(&value[..place]));
        }
    }

    #[test]
    fn an_ownership_is_told_from_a_decision() {
        let group = GroupHash::of("shop");
        let value = owned(OwnerId(7), group, Timestamp(1));
        assert_eq!(read(group, None, Some(&value)), Ok((OwnerId(7), Said::Owned)));
        assert_eq!(read(group, None, None), Err(Unread::NoValue));
        assert_eq!(read(group, None, Some(b"")), Err(Unread::Malformed));
    }
}
