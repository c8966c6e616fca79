//! Which decision records count: those of one partition's log, as they are read in order.
//!
//! Each owner first writes an ownership marker. A process that was frozen may still write after its
//! partition went to another one; its records are then *superseded*: they count only for traces of
//! which the owner has written nothing. A new owner goes by all records that count when its marker is
//! written, so from there on they count like its own.

use std::collections::HashMap;

use super::record::{self, Contents, GroupHash, OwnerId, Unread};
use crate::ids::{Offset, Position, Timestamp, TopicId, TraceId};
use crate::sampling::decided::{DecisionRecord, SamplingDecision};

/// The result of reading a log, so far.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The owner at this point of the log; `None` before the first ownership marker, since the
    /// reading may begin after one.
    owner: Option<OwnerId>,
    /// The input topic at this point, if owners have known its id.
    topic: Option<TopicId>,
    order: Vec<Entry>,
    /// Where in `order` the latest record of a decision is. A decision is known by its trace and the
    /// first offset that it covers.
    index: HashMap<(TraceId, Offset), usize, foldhash::fast::RandomState>,
    pub(super) superseded: u64,
    markers: Vec<OwnershipMarker>,
    /// The clock of the latest decision so far.
    latest: Option<Timestamp>,
}

/// The marker of a new owner. A log can be read from here on: it is known whose records are superseded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnershipMarker {
    /// The position of the marker.
    pub position: Position,
    /// The latest clock of all decisions before it.
    pub latest: Timestamp,
}

#[derive(Debug)]
struct Entry {
    by: OwnerId,
    record: DecisionRecord,
    is_superseded: bool,
}

impl Entry {
    /// What counts after `owner` has written `again` about the same decision. What an owner knows of
    /// its own decisions only grows, but a record that had to be written again comes after later ones.
    fn then(&self, owner: OwnerId, again: DecisionRecord) -> DecisionRecord {
        let before = &self.record;
        if self.by != owner || before.decision != again.decision {
            return again;
        }
        let delivered = before.delivered || again.delivered;
        DecisionRecord { last: before.last.max(again.last), delivered, ..again }
    }
}

impl Reading {
    /// A reading that begins where the input topic was this one, if that is known.
    pub(super) fn of(topic: Option<TopicId>) -> Self {
        Self { topic, ..Self::default() }
    }

    /// Reads the next record of the log, which is at `position`. Returns how many of its decisions
    /// are not understood.
    ///
    /// # Errors
    /// When it is not a record of `group`; then it changes nothing.
    pub(super) fn read(
        &mut self,
        group: GroupHash,
        position: Position,
        value: Option<&[u8]>,
    ) -> Result<u64, Unread> {
        match record::read(group, value)? {
            (owner, Contents::Marker { topic }) => {
                self.begin(owner, position, topic);
                Ok(0)
            }
            (owner, Contents::Decisions { decisions, not_understood }) => {
                decisions.into_iter().for_each(|record| self.take_in(owner, record));
                Ok(not_understood)
            }
        }
    }

    /// From here on the input topic is this one.
    fn turn_to(&mut self, topic: Option<TopicId>) {
        let before = self.topic;
        self.topic = topic.or(before);
        if before.is_some() && before != self.topic {
            self.leave_old_topic();
        }
    }

    /// A new owner's marker, for a partition of this topic.
    fn begin(&mut self, owner: OwnerId, position: Position, topic: Option<TopicId>) {
        self.turn_to(topic);
        let latest = self.latest.unwrap_or(Timestamp(i64::MIN));
        self.markers.push(OwnershipMarker { position, latest });
        self.owner = Some(owner);
        // The new owner reads all decisions up to its marker and follows them, whoever wrote them.
        self.order.iter_mut().for_each(|entry| entry.is_superseded = false);
    }

    /// The topic was deleted and created again. Kept traces stay kept, but their decisions cover no
    /// record of the new topic. Dropped traces are decided again if their spans come again: before the
    /// new topic was noticed it may have been read from the middle.
    fn leave_old_topic(&mut self) {
        self.order.retain(|entry| matches!(entry.record.decision, SamplingDecision::Kept(_)));
        for entry in &mut self.order {
            entry.record.first = Offset::BEFORE_ALL;
            entry.record.last = Offset::BEFORE_ALL;
        }
        let places = self.order.iter().enumerate();
        let latest =
            places.map(|(place, entry)| ((entry.record.trace_id, entry.record.first), place));
        self.index = latest.collect();
    }

    fn take_in(&mut self, owner: OwnerId, record: DecisionRecord) {
        let is_superseded = self.owner.is_some_and(|current| current != owner);
        self.superseded += u64::from(is_superseded);
        self.latest = self.latest.max(Some(record.at));
        let key = (record.trace_id, record.first);
        if let Some(place) = self.index.get(&key).copied() {
            if is_superseded && !self.order[place].is_superseded {
                return;
            }
            // Decisions come in the order in which they were made. A second record of one takes
            // the place of the first.
            let record = self.order[place].then(owner, record);
            self.order[place] = Entry { by: owner, record, is_superseded };
            return;
        }
        self.index.insert(key, self.order.len());
        self.order.push(Entry { by: owner, record, is_superseded });
    }

    /// The decision records that count for this topic, in the order in which they were made, and the
    /// markers that were read.
    pub(super) fn finish(
        mut self,
        topic: Option<TopicId>,
    ) -> (Vec<DecisionRecord>, Vec<OwnershipMarker>) {
        self.turn_to(topic);
        (self.order.into_iter().map(|entry| entry.record).collect(), self.markers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::decision_log::testing::dropped;

    fn record(trace: u8, first: i64, delivered: bool) -> DecisionRecord {
        DecisionRecord { delivered, ..dropped(trace, first, first + 5) }
    }

    fn read(records: &[(u64, Option<DecisionRecord>)]) -> (Vec<DecisionRecord>, u64) {
        let mut reading = Reading::default();
        for (position, (owner, record)) in (0..).map(Position).zip(records) {
            match record {
                None => reading.begin(OwnerId(*owner), position, None),
                Some(record) => reading.take_in(OwnerId(*owner), record.clone()),
            }
        }
        let superseded = reading.superseded;
        (reading.finish(None).0, superseded)
    }

    #[test]
    fn ownerships_are_told_with_the_latest_decision_before_them() {
        let mut reading = Reading::default();
        let decided = |at| DecisionRecord { at: Timestamp(at), ..record(1, at, false) };
        reading.begin(OwnerId(1), Position(7), None);
        reading.take_in(OwnerId(1), decided(30));
        reading.take_in(OwnerId(1), decided(20));
        reading.begin(OwnerId(2), Position(10), None);
        reading.take_in(OwnerId(1), decided(40));
        reading.begin(OwnerId(3), Position(12), None);
        let marker = |position, latest| OwnershipMarker {
            position: Position(position),
            latest: Timestamp(latest),
        };
        let expected = [marker(7, i64::MIN), marker(10, 30), marker(12, 40)];
        assert_eq!(reading.finish(None).1, expected);
    }

    fn kept(trace: u8, first: i64, delivered: bool) -> DecisionRecord {
        let threshold = crate::otlp::probability::Threshold::ALWAYS;
        let kept =
            crate::sampling::decided::Kept { policy: "all".into(), threshold, consistent: true };
        DecisionRecord { decision: SamplingDecision::Kept(kept), ..record(trace, first, delivered) }
    }

    #[test]
    fn decisions_on_a_topic_that_is_gone_cover_nothing_of_the_new_one() {
        let topic = TopicId::from_bits;
        let mut reading = Reading::default();
        reading.begin(OwnerId(1), Position(0), topic(1));
        reading.take_in(OwnerId(1), kept(1, 4, false));
        reading.take_in(OwnerId(1), kept(1, 9, true));
        reading.take_in(OwnerId(1), record(5, 9, false));
        // Nobody could tell the id, and then it was the same.
        reading.begin(OwnerId(2), Position(3), None);
        reading.begin(OwnerId(3), Position(4), topic(1));
        reading.take_in(OwnerId(3), kept(2, 20, false));
        reading.begin(OwnerId(4), Position(6), topic(2));
        reading.take_in(OwnerId(4), record(3, 0, false));
        let gone = |of: DecisionRecord| DecisionRecord {
            first: Offset::BEFORE_ALL,
            last: Offset::BEFORE_ALL,
            ..of
        };
        let stands = reading.finish(None).0;
        assert_eq!(
            stands,
            [
                gone(kept(1, 4, false)),
                gone(kept(1, 9, true)),
                gone(kept(2, 20, false)),
                record(3, 0, false),
            ]
        );
    }

    #[test]
    fn the_first_owner_on_a_new_topic_does_not_go_by_offsets_of_the_old_one() {
        let topic = TopicId::from_bits;
        // Read from the middle of an ownership; whose offset was committed says of which topic.
        let mut reading = Reading::of(topic(1));
        reading.take_in(OwnerId(1), kept(1, 4, true));
        reading.take_in(OwnerId(1), record(2, 5, false));
        let (first, last) = (Offset::BEFORE_ALL, Offset::BEFORE_ALL);
        let gone = DecisionRecord { first, last, ..kept(1, 4, true) };
        assert_eq!(reading.finish(topic(2)).0, [gone]);
        // Of the same topic, and where nobody knows, they stand.
        for (was, now) in [(topic(1), topic(1)), (None, topic(2)), (topic(1), None)] {
            let mut reading = Reading::of(was);
            reading.take_in(OwnerId(1), kept(1, 4, true));
            assert_eq!(reading.finish(now).0, [kept(1, 4, true)], "{was:?}, {now:?}");
        }
    }

    #[test]
    fn the_latest_word_on_a_decision_stands() {
        let (one, other) = (record(1, 0, false), record(2, 1, false));
        let again = record(1, 0, true);
        let (stands, superseded) =
            read(&[(1, None), (1, Some(one)), (1, Some(other.clone())), (1, Some(again.clone()))]);
        assert_eq!((stands, superseded), (vec![again, other], 0));
    }

    #[test]
    fn a_trace_may_be_decided_twice_when_its_first_decision_was_forgotten() {
        let (one, other) = (record(1, 0, false), record(1, 100, false));
        let (stands, _) = read(&[(1, Some(one.clone())), (1, Some(other.clone()))]);
        assert_eq!(stands, [one, other]);
    }

    #[test]
    fn a_zombie_does_not_win_over_its_successor_in_either_order() {
        let (by_owner, by_zombie) = (record(1, 0, true), record(1, 0, false));
        for records in [
            [(2, None), (2, Some(by_owner.clone())), (1, Some(by_zombie.clone()))],
            [(2, None), (1, Some(by_zombie.clone())), (2, Some(by_owner.clone()))],
        ] {
            let (stands, superseded) = read(&records);
            assert_eq!((stands, superseded), (vec![by_owner.clone()], 1));
        }
    }

    #[test]
    fn what_only_a_zombie_said_stands() {
        let by_zombie = record(1, 0, false);
        let (stands, superseded) = read(&[(2, None), (1, Some(by_zombie.clone()))]);
        assert_eq!((stands, superseded), (vec![by_zombie], 1));
    }

    #[test]
    fn what_was_written_again_takes_nothing_back() {
        let early = record(1, 0, true);
        let late = DecisionRecord { last: Offset(20), ..early.clone() };
        let (stands, _) = read(&[(1, None), (1, Some(late.clone())), (1, Some(early))]);
        assert_eq!(stands, [late]);
    }

    #[test]
    fn what_an_owner_found_on_record_no_zombie_changes() {
        let (found, other) = (record(1, 0, true), record(1, 0, false));
        let records = [(2, None), (1, Some(found.clone())), (3, None), (2, Some(other))];
        assert_eq!(read(&records), (vec![found], 2), "the third owner went by it");
    }

    #[test]
    fn before_the_first_ownership_everybody_is_believed() {
        let (one, other) = (record(1, 0, false), record(2, 1, true));
        let (stands, superseded) = read(&[(1, Some(one.clone())), (2, Some(other.clone()))]);
        assert_eq!((stands, superseded), (vec![one, other], 0));
    }
}
