//! The two sides of each trace, put together as they come: what is on record and what the candidates say.
//!
//! A decision is known by its trace and the first record that it covers, which is the same for everybody who
//! reads the partition. Promises that each trace whose first record is in the range is counted once for each
//! candidate, in a cell or at an edge, with the late spans that follow its decision and what re-opened it.
//! What is held is bounded in number and in the partition's time. Pure.

use std::collections::{HashSet, VecDeque};
use std::ops::Range;
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::book::{Book, Compared, Label, Services};
use super::tally::Tally;
use super::verdicts::{VerdictIndex, Verdicts};
use crate::ids::{Offset, Partition, Timestamp, TraceId};
use crate::sampling::policy::PolicyIndex;

/// Of which traces it is asked, and how many may be held for how long.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The partition.
    pub partition: Partition,
    /// Where the first record of a trace has to be.
    pub records: Range<i64>,
    /// When the range begins.
    pub from: Timestamp,
    /// When it ends: what re-opens a trace later does not count.
    pub to: Timestamp,
    /// How long a trace is held, on the partition's clock: as long as late spans of it follow.
    pub hold: Duration,
    /// How many traces are held at most.
    pub room: usize,
}

/// A decision of the old side.
#[derive(Clone, Copy, Debug)]
pub struct OldDecision<'a> {
    /// The trace.
    pub id: TraceId,
    /// The first record that it covers.
    pub first: Offset,
    /// It is kept.
    pub kept: bool,
    /// On whose account.
    pub policy: Option<&'a str>,
    /// Somebody wrote it who did not own the partition any more.
    pub is_superseded: bool,
    /// Late spans re-opened the trace, and these are what it covers.
    pub reopens: bool,
    /// The partition's clock when it was made.
    pub at: Timestamp,
}

/// A decision of a candidate.
#[derive(Clone, Copy, Debug)]
pub struct NewDecision<'a> {
    /// The trace.
    pub id: TraceId,
    /// The first record that it covers.
    pub first: Offset,
    /// It is kept.
    pub kept: bool,
    /// On whose account.
    pub policy: Option<&'a str>,
    /// The policy without which it would be the other way.
    pub alone: Option<PolicyIndex>,
    /// Its root is known, and no span of it has an error.
    pub is_plain: bool,
    /// Its spans.
    pub spans: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The service that it starts in.
    pub service: &'a str,
    /// The name of its root.
    pub name: &'a str,
    /// From its first span to the decision, in the partition's time.
    pub delay: Duration,
}

/// Spans that follow a decision of a candidate.
#[derive(Clone, Copy, Debug)]
pub struct LateSpans {
    /// Their trace.
    pub id: TraceId,
    /// The first record that the decision covers.
    pub first: Offset,
    /// How many.
    pub spans: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Traces of one partition, on their way into the tallies.
#[derive(Debug)]
pub struct Join {
    scope: Scope,
    traces: HashMap<TraceId, SmallVec<[Waiting; 1]>, RandomState>,
    /// When each of them was heard of first.
    order: VecDeque<(Timestamp, TraceId, Offset)>,
    services: Services,
    old: Verdicts,
    books: Vec<Book>,
    /// A decision that is held is superseded.
    has_superseded: bool,
    /// Of how many traces that are held the old side is missing.
    without_old: usize,
}

/// What is known of a trace.
#[derive(Debug)]
struct Waiting {
    first: Offset,
    old: Option<Old>,
    new: SmallVec<[Option<Compared>; 1]>,
    label: Option<Label>,
}

#[derive(Clone, Copy, Debug)]
struct Old {
    verdict: VerdictIndex,
    kept: bool,
    is_superseded: bool,
}

impl Join {
    /// Nothing is known yet; a tally of each candidate, in which its policies are.
    pub fn new(scope: Scope, tallies: impl IntoIterator<Item = Tally>) -> Self {
        let (traces, order) = Default::default();
        let books = tallies.into_iter().map(Book::new).collect();
        let (services, old) = Default::default();
        Self { scope, traces, order, services, old, books, has_superseded: false, without_old: 0 }
    }

    /// Whether traces that begin with this record are compared.
    pub fn is_in_range(&self, first: Offset) -> bool {
        self.scope.records.contains(&first.0)
    }

    /// How many candidates there are.
    pub fn candidates(&self) -> usize {
        self.books.len()
    }

    /// The book of a candidate.
    pub fn book(&mut self, candidate: usize) -> &mut Book {
        &mut self.books[candidate]
    }

    /// The old side decided a trace, or wrote so once more.
    pub fn old(&mut self, now: Timestamp, decision: &OldDecision<'_>) {
        let OldDecision { id, first, kept, policy, is_superseded, reopens, .. } = *decision;
        if reopens {
            self.reopened_before(decision);
            return;
        }
        if !self.is_in_range(first) {
            return;
        }
        let verdict = self.old.index_of(kept, policy);
        let waiting = self.at(now, id, first);
        // What the owner has written wins over what a former one writes.
        if waiting.old.is_some_and(|before| is_superseded && !before.is_superseded) {
            return;
        }
        // A trace that was re-opened stays so, whatever is written of its first decision again.
        if waiting.old.is_some_and(|before| before.kept && !kept && !before.is_superseded) {
            return;
        }
        let is_first = waiting.old.is_none();
        waiting.old = Some(Old { verdict, kept, is_superseded });
        self.without_old -= usize::from(is_first);
        self.has_superseded |= is_superseded;
    }

    fn reopened_before(&mut self, decision: &OldDecision<'_>) {
        if decision.at > self.scope.to {
            return;
        }
        let verdict = self.old.index_of(true, decision.policy);
        let Some(waiting) = find(&mut self.traces, decision.id, decision.first) else { return };
        let is_superseded = decision.is_superseded;
        if waiting.old.is_some_and(|old| !old.kept) {
            waiting.old = Some(Old { verdict, kept: true, is_superseded });
        }
    }

    /// The old side has a new owner, who goes by all that was written so far.
    pub fn new_owner(&mut self) {
        if std::mem::take(&mut self.has_superseded) {
            let olds = self.traces.values_mut().flatten().filter_map(|it| it.old.as_mut());
            olds.for_each(|old| old.is_superseded = false);
        }
    }

    /// A candidate decided a trace. Returns false if it began before the range.
    pub fn new_decision(
        &mut self,
        candidate: usize,
        now: Timestamp,
        decision: &NewDecision<'_>,
    ) -> bool {
        let NewDecision { id, first, kept, policy, alone, is_plain, .. } = *decision;
        let NewDecision { spans, bytes, service, name, delay, .. } = *decision;
        if !self.is_in_range(first) {
            let is_counted = first.0 < self.scope.records.start && now >= self.scope.from;
            self.books[candidate].tally.edges.began_before += u64::from(is_counted);
            return false;
        }
        let book = &mut self.books[candidate];
        book.tally.decided += 1;
        book.tally.delay_millis += u64::try_from(delay.as_millis()).unwrap_or(0);
        let verdict = book.verdicts.index_of(kept, policy);
        let service = self.services.index_of(service);
        let waiting = self.at(now, id, first);
        waiting.label.get_or_insert_with(|| Label::new(service, name));
        let (at, has_late) = (now, false);
        waiting.new[candidate] =
            Some(Compared { verdict, kept, spans, bytes, at, has_late, alone, is_plain });
        true
    }

    /// Spans follow the decision of a candidate.
    pub fn late(&mut self, candidate: usize, late: LateSpans) {
        let Some(waiting) = find(&mut self.traces, late.id, late.first) else { return };
        if let Some(compared) = &mut waiting.new[candidate] {
            compared.spans += late.spans;
            compared.bytes += late.bytes;
            let is_first = !std::mem::replace(&mut compared.has_late, true);
            let tally = &mut self.books[candidate].tally;
            tally.late_spans += late.spans;
            tally.late_traces += u64::from(is_first);
        }
    }

    /// A candidate re-opens a trace that it had dropped, on account of this policy.
    pub fn reopened(&mut self, candidate: usize, policy: Option<&str>, late: LateSpans) {
        let verdict = self.books[candidate].verdicts.index_of(true, policy);
        let Some(waiting) = find(&mut self.traces, late.id, late.first) else { return };
        if let Some(compared) = &mut waiting.new[candidate] {
            (compared.verdict, compared.kept, compared.alone) = (verdict, true, None);
        }
        self.late(candidate, late);
    }

    /// The partition's clock is at `now`: what was held long enough is counted.
    pub fn pass(&mut self, now: Timestamp) {
        let Scope { hold, room, .. } = self.scope;
        while let Some((at, id, first)) = self.order.front().copied() {
            if now.since(at) <= hold && self.order.len() <= room {
                return;
            }
            self.order.pop_front();
            self.settle(id, first, &[]);
        }
    }

    /// True if the old side of some trace is missing.
    pub fn misses_old(&self) -> bool {
        self.without_old > 0
    }

    /// Nothing more comes. `open` are the traces that each candidate has not decided.
    pub fn finish(mut self, open: &[HashSet<(TraceId, Offset)>]) -> Vec<Tally> {
        while let Some((_, id, first)) = self.order.pop_front() {
            self.settle(id, first, open);
        }
        for (book, open) in self.books.iter_mut().zip(open) {
            let of_range = open.iter().filter(|(_, first)| self.scope.records.contains(&first.0));
            book.tally.edges.undecided += of_range.count() as u64;
        }
        let services = &self.services;
        self.books.into_iter().map(|book| book.close(services)).collect()
    }

    fn at(&mut self, now: Timestamp, id: TraceId, first: Offset) -> &mut Waiting {
        let of_trace = self.traces.entry(id).or_default();
        let place = of_trace.iter().position(|waiting| waiting.first == first);
        let place = place.unwrap_or_else(|| {
            let new = SmallVec::from_elem(None, self.books.len());
            of_trace.push(Waiting { first, old: None, new, label: None });
            self.order.push_back((now, id, first));
            self.without_old += 1;
            of_trace.len() - 1
        });
        &mut of_trace[place]
    }

    /// Counts a trace, and lets go of it.
    fn settle(&mut self, id: TraceId, first: Offset, open: &[HashSet<(TraceId, Offset)>]) {
        let Some(of_trace) = self.traces.get_mut(&id) else { return };
        let Some(place) = of_trace.iter().position(|waiting| waiting.first == first) else {
            return;
        };
        let waiting = of_trace.swap_remove(place);
        self.without_old -= usize::from(waiting.old.is_none());
        if of_trace.is_empty() {
            self.traces.remove(&id);
        }
        for (candidate, book) in self.books.iter_mut().enumerate() {
            match (waiting.old, waiting.new[candidate], &waiting.label) {
                (Some(old), Some(new), Some(label)) => {
                    let old = (old.verdict, self.old.get(old.verdict));
                    let trace = (id, self.scope.partition, label);
                    book.enter(trace, old, &new, &self.services);
                }
                (None, Some(_), _) => book.tally.edges.not_on_record += 1,
                (Some(_), None, _) => {
                    let is_open = open.get(candidate).is_some_and(|it| it.contains(&(id, first)));
                    book.tally.edges.only_on_record += u64::from(!is_open);
                }
                _ => {}
            }
        }
    }
}

/// The trace whose decision this record is covered by, or that its late spans follow: the last one that
/// begins there or before.
fn find(
    traces: &mut HashMap<TraceId, SmallVec<[Waiting; 1]>, RandomState>,
    id: TraceId,
    offset: Offset,
) -> Option<&mut Waiting> {
    let began = traces.get_mut(&id)?.iter_mut().filter(|waiting| waiting.first <= offset);
    began.max_by_key(|waiting| waiting.first)
}
