//! The decision log, as members and their successors write it.

use std::collections::HashSet;

use super::super::on_record::OnRecord;
use super::super::{Scope, Verdict};
use super::joining::{Told, empty, scope, tell};
use crate::ids::{Offset, Timestamp};
use crate::kafka::decision_log::testing::dropped;
use crate::kafka::decision_log::{GroupHash, LogBatch, OwnerId};
use crate::otlp::probability::Threshold;
use crate::sampling::decided::{DecisionRecord, Kept, SamplingDecision};
use crate::sampling::trace::Trigger;

fn kept(trace: u8, first: i64, policy: &str) -> DecisionRecord {
    let (policy, threshold) = (policy.into(), Threshold::ALWAYS);
    let decision = SamplingDecision::Kept(Kept { policy, threshold, consistent: true });
    DecisionRecord { decision, ..dropped(trace, first, first) }
}

/// What counts of trace 1, which begins at offset 3, after these records of the log.
fn stands(group: Option<GroupHash>, records: &[LogBatch]) -> (Option<Verdict>, OnRecord) {
    let mut join = empty(Scope { records: 3..4, ..scope() });
    let mut on_record = OnRecord::new(group);
    for record in records {
        on_record.take_in(Some(record.value()), Timestamp(0), &mut join);
    }
    let new = Told::New { candidate: 0, trace: 1, first: 3, kept: true, policy: 1, spans: 1 };
    tell(&mut join, &new);
    let tallies = join.finish(&[HashSet::new(), HashSet::new()]);
    (tallies[0].cells.first().map(|cell| cell.old.clone()), on_record)
}

/// Scenario: a process that was frozen writes after its partition went to another one.
/// Guarantees: what counts is what the owner goes by, in every order.
#[test]
fn what_a_former_owner_writes_counts_only_where_its_successor_has_nothing() {
    let shop = GroupHash::of("shop");
    let by = |owner, record: DecisionRecord| LogBatch::with(shop, OwnerId(owner), &[record]);
    let marker = |owner| LogBatch::marker(shop, OwnerId(owner));
    let (owners, formers) = (by(2, kept(1, 3, "owner")), by(1, kept(1, 3, "former")));
    let policy = |records: &[LogBatch]| stands(None, records).0.map(|it| it.policy.unwrap());
    let (owner, former) = (Some("owner".to_owned()), Some("former".to_owned()));
    assert_eq!(policy(&[marker(1), formers.clone(), marker(2)]), former);
    assert_eq!(policy(&[marker(2), formers.clone()]), former);
    assert_eq!(policy(&[marker(2), formers.clone(), owners.clone()]), owner);
    assert_eq!(policy(&[marker(2), owners.clone(), formers.clone()]), owner);
    // The third one has read what the first one wrote last, and goes by it.
    let third = by(2, kept(1, 3, "owner"));
    assert_eq!(policy(&[marker(2), formers, marker(3), third]), former);
    assert_eq!(policy(&[by(9, kept(1, 3, "owner"))]), owner, "it is not known who owns it");
}

#[test]
fn a_trace_that_somebody_asked_for_is_what_policies_said_of_it() {
    let restored = DecisionRecord { trigger: Trigger::Restored, ..kept(1, 8, "") };
    let tallies = |decisions: &[DecisionRecord]| {
        let mut join = empty(Scope { records: 3..9, ..scope() });
        let record = LogBatch::with(GroupHash::of("shop"), OwnerId(1), decisions);
        OnRecord::new(None).take_in(Some(record.value()), Timestamp(0), &mut join);
        let new = Told::New { candidate: 0, trace: 1, first: 3, kept: true, policy: 1, spans: 1 };
        tell(&mut join, &new);
        join.finish(&[HashSet::new(), HashSet::new()])
    };
    let with = tallies(&[dropped(1, 3, 5), restored]);
    assert_eq!(format!("{with:?}"), format!("{:?}", tallies(&[dropped(1, 3, 5)])));
    assert!(!with[0].cells[0].old.kept);
}

#[test]
fn a_trace_that_was_reopened_counts_as_kept() {
    let shop = GroupHash::of("shop");
    let late = DecisionRecord { trigger: Trigger::Late, ..kept(1, 8, "errors") };
    let batch = |records: &[DecisionRecord]| LogBatch::with(shop, OwnerId(1), records);
    let delivered = DecisionRecord { delivered: true, ..late.clone() };
    let records = [batch(&[dropped(1, 3, 5), late]), batch(&[dropped(1, 3, 5), delivered])];
    let (stands, on_record) = stands(Some(shop), &records);
    assert_eq!(stands, Some(Verdict { kept: true, policy: Some("errors".to_owned()) }));
    assert_eq!((on_record.of_others(), on_record.not_understood()), (0, 0));
}

#[test]
fn what_others_write_there_is_counted_and_passed_over() {
    let (shop, bank) = (GroupHash::of("shop"), GroupHash::of("bank"));
    let of_bank = LogBatch::with(bank, OwnerId(1), &[kept(1, 3, "bank")]);
    let of_shop = LogBatch::with(shop, OwnerId(1), &[dropped(1, 3, 3)]);
    let records = [of_bank, of_shop.clone()];
    let (named, on_record) = stands(Some(shop), &records);
    assert_eq!((named, on_record.of_others()), (Some(Verdict { kept: false, policy: None }), 1));
    let (first, on_record) = stands(None, &records);
    assert_eq!((first.map(|it| it.kept), on_record.of_others()), (Some(true), 1));
    let mut on_record = OnRecord::new(None);
    let mut join = empty(scope());
    on_record.take_in(Some(b"nonsense"), Timestamp(0), &mut join);
    on_record.take_in(None, Timestamp(0), &mut join);
    assert_eq!(on_record.not_understood(), 2);
    let at = DecisionRecord { at: Timestamp(70), ..dropped(1, 3, 3) };
    let batch = LogBatch::with(shop, OwnerId(1), &[at, dropped(2, 4, 4)]);
    on_record.take_in(Some(batch.value()), Timestamp(0), &mut join);
    assert_eq!(on_record.latest(), Timestamp(70));
    assert!(join.is_in_range(Offset(3)));
}
