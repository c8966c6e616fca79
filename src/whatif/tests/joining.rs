//! The join against a slow reference, which keeps all that it is told and looks at it in the end.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use proptest::prelude::*;

use super::super::join::{Join, LateSpans, NewDecision, OldDecision, Scope};
use super::super::tally::{Edges, PolicyTally, RootTally, Tally};
use crate::ids::{Offset, Partition, Timestamp, TraceId};
use crate::sampling::policy::PolicyIndex;

const CANDIDATES: usize = 2;

/// Offsets of first records that are in the range.
const RANGE: std::ops::Range<i64> = 2..6;

/// Something that the join is told.
#[derive(Clone, Debug)]
pub(super) enum Told {
    Old { trace: u8, first: i64, kept: bool, policy: u8, superseded: bool },
    ReopenedBefore { trace: u8, first: i64, policy: u8 },
    NewOwner,
    New { candidate: usize, trace: u8, first: i64, kept: bool, policy: u8, spans: u64 },
    Late { candidate: usize, trace: u8, first: i64, spans: u64 },
    Reopened { candidate: usize, trace: u8, first: i64, policy: u8, spans: u64 },
}

pub(super) fn told() -> impl Strategy<Value = Told> {
    let trace = || 1..4_u8;
    let first = || 0..8_i64;
    let candidate = || 0..CANDIDATES;
    let verdict = || (any::<bool>(), 0..3_u8);
    prop_oneof![
        4 => (trace(), first(), verdict(), any::<bool>()).prop_map(
            |(trace, first, (kept, policy), superseded)| {
                Told::Old { trace, first, kept, policy, superseded }
            }
        ),
        1 => (trace(), first(), 0..3_u8)
            .prop_map(|(trace, first, policy)| Told::ReopenedBefore { trace, first, policy }),
        1 => Just(Told::NewOwner),
        6 => (candidate(), trace(), first(), verdict(), 1..9_u64).prop_map(
            |(candidate, trace, first, (kept, policy), spans)| {
                Told::New { candidate, trace, first, kept, policy, spans }
            }
        ),
        2 => (candidate(), trace(), first(), 1..9_u64).prop_map(
            |(candidate, trace, first, spans)| Told::Late { candidate, trace, first, spans }
        ),
        1 => (candidate(), trace(), first(), 0..3_u8, 1..9_u64).prop_map(
            |(candidate, trace, first, policy, spans)| {
                Told::Reopened { candidate, trace, first, policy, spans }
            }
        ),
    ]
}

fn id(trace: u8) -> TraceId {
    TraceId::from_slice(&[trace; 16]).unwrap()
}

/// The name of a policy: one of them is none.
fn name(policy: u8) -> Option<&'static str> {
    [None, Some("a"), Some("b")][usize::from(policy)]
}

fn service(trace: u8) -> &'static str {
    ["", "cart", "shop", "cart"][usize::from(trace)]
}

pub(super) fn empty(scope: Scope) -> Join {
    let policy = |name: &str| PolicyTally { name: name.to_owned(), ..PolicyTally::default() };
    let tally = || Tally { policies: vec![policy("a"), policy("b")], ..Tally::default() };
    Join::new(scope, (0..CANDIDATES).map(|_| tally()))
}

pub(super) fn scope() -> Scope {
    Scope {
        partition: Partition(3),
        records: RANGE,
        from: Timestamp(0),
        to: Timestamp(i64::MAX),
        hold: Duration::from_secs(3600),
        room: 1000,
    }
}

/// Tells the join.
pub(super) fn tell(join: &mut Join, told: &Told) {
    let now = Timestamp(5);
    match *told {
        Told::Old { trace, first, kept, policy, superseded } => {
            let (id, first, policy) = (id(trace), Offset(first), name(policy));
            let is_superseded = superseded;
            let decision =
                OldDecision { id, first, kept, policy, is_superseded, reopens: false, at: now };
            join.old(now, &decision);
        }
        Told::ReopenedBefore { trace, first, policy } => {
            let (id, first, policy) = (id(trace), Offset(first), name(policy));
            let (kept, is_superseded, reopens, at) = (true, false, true, now);
            join.old(now, &OldDecision { id, first, kept, policy, is_superseded, reopens, at });
        }
        Told::NewOwner => join.new_owner(),
        Told::New { candidate, trace, first, kept, policy, spans } => {
            let decision = NewDecision {
                id: id(trace),
                first: Offset(first),
                kept,
                policy: name(policy),
                alone: (kept && policy == 1).then_some(PolicyIndex(0)),
                is_plain: spans % 2 == 1,
                spans,
                bytes: spans * 10,
                service: service(trace),
                name: "GET",
                delay: Duration::ZERO,
            };
            join.new_decision(candidate, now, &decision);
        }
        Told::Late { candidate, trace, first, spans } => {
            join.late(candidate, late(trace, first, spans))
        }
        Told::Reopened { candidate, trace, first, policy, spans } => {
            join.reopened(candidate, name(policy), late(trace, first, spans));
        }
    }
}

fn late(trace: u8, first: i64, spans: u64) -> LateSpans {
    LateSpans { id: id(trace), first: Offset(first), spans, bytes: spans * 10 }
}

type Verdict = (bool, Option<&'static str>);

/// What is known of a trace that begins at an offset.
#[derive(Clone, Debug, Default)]
struct Known {
    old: Option<(Verdict, bool)>,
    new: [Option<(Verdict, u64)>; CANDIDATES],
}

/// What came of all, and the number of those that began before the range, by candidate.
fn known(all: &[Told]) -> (BTreeMap<(u8, i64), Known>, [u64; CANDIDATES]) {
    let mut known: BTreeMap<(u8, i64), Known> = BTreeMap::new();
    let mut before = [0; CANDIDATES];
    let last = |known: &BTreeMap<(u8, i64), Known>, trace: u8, offset: i64| {
        known.range((trace, i64::MIN)..=(trace, offset)).next_back().map(|(key, _)| *key)
    };
    for told in all {
        match *told {
            Told::Old { trace, first, kept, policy, superseded } if RANGE.contains(&first) => {
                let of_it = known.entry((trace, first)).or_default();
                let stands = match of_it.old {
                    None => false,
                    Some((_, was_superseded)) if superseded && !was_superseded => true,
                    Some(((was_kept, _), was_superseded)) => was_kept && !kept && !was_superseded,
                };
                if !stands {
                    of_it.old = Some(((kept, name(policy)), superseded));
                }
            }
            Told::ReopenedBefore { trace, first, policy } => {
                let Some(key) = last(&known, trace, first) else { continue };
                let old = &mut known.get_mut(&key).unwrap().old;
                if old.is_some_and(|((kept, _), _)| !kept) {
                    *old = Some(((true, name(policy)), false));
                }
            }
            Told::NewOwner => {
                known.values_mut().filter_map(|it| it.old.as_mut()).for_each(|old| old.1 = false);
            }
            Told::New { candidate, trace, first, kept, policy, spans } => {
                if RANGE.contains(&first) {
                    let of_it = known.entry((trace, first)).or_default();
                    of_it.new[candidate] = Some(((kept, name(policy)), spans));
                } else {
                    before[candidate] += u64::from(first < RANGE.start);
                }
            }
            Told::Late { candidate, trace, first, spans } => {
                let Some(key) = last(&known, trace, first) else { continue };
                if let Some(new) = &mut known.get_mut(&key).unwrap().new[candidate] {
                    new.1 += spans;
                }
            }
            Told::Reopened { candidate, trace, first, policy, spans } => {
                let Some(key) = last(&known, trace, first) else { continue };
                if let Some(new) = &mut known.get_mut(&key).unwrap().new[candidate] {
                    *new = ((true, name(policy)), new.1 + spans);
                }
            }
            Told::Old { .. } => {}
        }
    }
    (known, before)
}

type Cells = BTreeMap<(Verdict, Verdict), (u64, u64, u64)>;

/// What should be counted of a candidate.
fn expected(all: &[Told], candidate: usize) -> (Cells, Edges, BTreeMap<String, u64>) {
    let (known, before) = known(all);
    let (mut cells, mut services) = (Cells::new(), BTreeMap::new());
    let mut edges = Edges { began_before: before[candidate], ..Edges::default() };
    for ((trace, _), Known { old, new }) in known {
        match (old, new[candidate]) {
            (Some((old, _)), Some((new, spans))) => {
                let cell = cells.entry((old, new)).or_default();
                *cell = (cell.0 + 1, cell.1 + spans, cell.2 + spans * 10);
                *services.entry(service(trace).to_owned()).or_default() += spans;
            }
            (None, Some(_)) => edges.not_on_record += 1,
            (Some(_), None) => edges.only_on_record += 1,
            (None, None) => {}
        }
    }
    (cells, edges, services)
}

/// A cell, as it is compared.
type Row = ((bool, Option<String>), (bool, Option<String>), [u64; 3]);

fn counted(tally: &Tally) -> (Vec<Row>, Edges) {
    let cells = tally.cells.iter().map(|cell| {
        let verdict = |it: &super::super::Verdict| (it.kept, it.policy.clone());
        let figures = &cell.figures;
        (verdict(&cell.old), verdict(&cell.new), [figures.traces, figures.spans, figures.bytes])
    });
    (cells.collect(), tally.edges)
}

proptest! {
    /// Guarantee: whatever comes in whatever order, each trace is counted once, where it belongs.
    #[test]
    fn the_join_counts_what_the_slow_reference_counts(
        all in prop::collection::vec(told(), 0..40),
    ) {
        let mut join = empty(scope());
        all.iter().for_each(|told| tell(&mut join, told));
        let tallies = join.finish(&[HashSet::new(), HashSet::new()]);
        for (candidate, tally) in tallies.iter().enumerate() {
            let (cells, edges, services) = expected(&all, candidate);
            let owned = |it: Verdict| (it.0, it.1.map(str::to_owned));
            let mut cells: Vec<_> = cells
                .into_iter()
                .map(|((old, new), (traces, spans, bytes))| (owned(old), owned(new), [traces, spans, bytes]))
                .collect();
            cells.sort();
            prop_assert_eq!(counted(tally), (cells, edges));
            let by_service = tally.services.iter();
            let by_service: BTreeMap<_, _> =
                by_service.map(|(name, square)| (name.clone(), square.all().spans)).collect();
            prop_assert_eq!(by_service, services);
            for cell in &tally.cells {
                let most = if cell.is_change() { cell.figures.traces.min(5) } else { 0 };
                prop_assert_eq!(cell.examples.len() as u64, most);
            }
        }
    }
}

fn new(join: &mut Join, trace: u8, first: i64, at: i64) {
    let decision = NewDecision {
        id: id(trace),
        first: Offset(first),
        kept: true,
        policy: Some("a"),
        alone: Some(PolicyIndex(0)),
        is_plain: true,
        spans: 1,
        bytes: 10,
        service: "cart",
        name: "GET",
        delay: Duration::from_millis(20),
    };
    for candidate in 0..CANDIDATES {
        join.new_decision(candidate, Timestamp(at), &decision);
    }
}

#[test]
fn a_trace_is_held_for_its_time_and_while_there_is_room() {
    let mut join = empty(Scope { hold: Duration::from_secs(1), room: 2, ..scope() });
    new(&mut join, 1, 2, 0);
    join.pass(Timestamp(1000));
    join.late(0, late(1, 2, 5));
    assert!(join.misses_old());
    join.pass(Timestamp(1001));
    join.late(0, late(1, 2, 7));
    assert!(!join.misses_old(), "it is gone");
    for trace in 1..4 {
        new(&mut join, trace, 3, 1001);
    }
    join.pass(Timestamp(1001));
    let tallies =
        join.finish(&[HashSet::from([(id(9), Offset(4)), (id(8), Offset(0))]), HashSet::new()]);
    let Tally { late_spans, late_traces, decided, delay_millis, .. } = tallies[0];
    assert_eq!((late_spans, late_traces, decided, delay_millis), (5, 1, 4, 80));
    let edges = Edges { not_on_record: 4, undecided: 1, ..Edges::default() };
    assert_eq!(tallies[0].edges, edges);
}

#[test]
fn what_is_open_at_the_end_has_no_other_edge() {
    let mut join = empty(scope());
    tell(&mut join, &Told::Old { trace: 1, first: 3, kept: true, policy: 1, superseded: false });
    let tallies = join.finish(&[HashSet::from([(id(1), Offset(3))]), HashSet::new()]);
    assert_eq!(tallies[0].edges, Edges { undecided: 1, ..Edges::default() });
    assert_eq!(tallies[1].edges, Edges { only_on_record: 1, ..Edges::default() });
}

#[test]
fn what_reopens_a_trace_after_the_range_does_not_count() {
    let mut join = empty(Scope { to: Timestamp(4), ..scope() });
    new(&mut join, 1, 3, 1);
    tell(&mut join, &Told::Old { trace: 1, first: 3, kept: false, policy: 0, superseded: false });
    tell(&mut join, &Told::ReopenedBefore { trace: 1, first: 5, policy: 1 });
    let tallies = join.finish(&[HashSet::new(), HashSet::new()]);
    assert_eq!(tallies[0].square().newly_kept.traces, 1);
}

#[test]
fn what_a_policy_alone_keeps_without_an_error_is_counted_by_its_root() {
    let mut join = empty(scope());
    // Of "a" alone, without errors and with; and of another policy. Late spans count with their trace.
    for (trace, first, policy, spans) in [(1, 3, 1, 3), (3, 3, 1, 5), (2, 3, 1, 4), (2, 5, 2, 7)] {
        let (kept, superseded, candidate) = (true, false, 0);
        tell(&mut join, &Told::Old { trace, first, kept: false, policy: 0, superseded });
        tell(&mut join, &Told::New { candidate, trace, first, kept, policy, spans });
    }
    tell(&mut join, &Told::Late { candidate: 0, trace: 3, first: 4, spans: 2 });
    let tallies = join.finish(&[HashSet::new(), HashSet::new()]);
    let roots: Vec<_> = tallies[0].roots.iter().collect();
    let [RootTally { policy, service, name, kept }] = roots[..] else { panic!("{roots:?}") };
    assert_eq!((&**policy, &**service, &**name), ("a", "cart", "GET"));
    assert_eq!((kept.traces, kept.spans, kept.bytes), (2, 10, 100));
}
