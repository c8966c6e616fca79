//! A sampler of one side: what comes out of it goes to the [`Join`].

use std::collections::HashSet;
use std::sync::Arc;

use super::join::{Join, LateSpans, NewDecision, OldDecision};
use super::tally::{PolicyTally, Tally};
use crate::ids::{Offset, Pin, Timestamp, TraceId};
use crate::sampling::decided::{DecisionRecord, SamplingDecision};
use crate::sampling::policy::{
    Decision, InEffect, LeafIndex, Observer, PolicyIndex, PolicySet, VoteKind,
};
use crate::sampling::sampler::{
    DecidedTrace, FollowingSpans, Policies, Question, ReopenedTrace, Sampler, ScannedRecord, Sink,
    SpanRun,
};
use crate::sampling::trace::Trigger;

/// Whose decisions these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Those of the old side, where no decision log tells them.
    Baseline,
    /// Those of the candidate with this number.
    Candidate(usize),
}

/// A sampler with its policies.
#[derive(Debug)]
pub(super) struct Side {
    role: Role,
    pub(super) policies: Arc<Policies>,
    sampler: Sampler,
    votes: Votes,
    /// The most bytes that its open traces took.
    most_bytes: u64,
}

/// The votes on the trace in hand.
#[derive(Debug, Default)]
struct Votes {
    cast: Vec<(PolicyIndex, VoteKind)>,
    failed: Vec<PolicyIndex>,
    in_effect: InEffect,
}

/// A tally of these policies in which nothing is counted.
pub(super) fn empty_tally(policies: &PolicySet) -> Tally {
    let policy = |(index, name): (PolicyIndex, &str)| PolicyTally {
        name: name.to_owned(),
        shadow: policies.is_shadow(index),
        simulated: policies.has_budgets(index),
        ..PolicyTally::default()
    };
    let policies = (0..).map(PolicyIndex).zip(policies.names()).map(policy).collect();
    Tally { policies, ..Tally::default() }
}

impl Side {
    /// Nothing was read yet. The topic has so many partitions; so many decisions are remembered.
    pub(super) fn new(role: Role, policies: &Arc<Policies>, topic_size: u32, room: usize) -> Self {
        let mut sampler = Sampler::new(policies, Timestamp(i64::MIN), topic_size);
        sampler.set_decision_room(room);
        Self {
            role,
            policies: Arc::clone(policies),
            sampler,
            votes: Votes::default(),
            most_bytes: 0,
        }
    }

    /// Bytes of memory that its open traces take.
    pub(super) fn bytes(&mut self) -> u64 {
        let bytes = self.sampler.bytes();
        self.most_bytes = self.most_bytes.max(bytes);
        bytes
    }

    /// The candidate that it is of, and the most bytes that its open traces took.
    pub(super) fn most_bytes(&self) -> Option<(usize, u64)> {
        match self.role {
            Role::Baseline => None,
            Role::Candidate(candidate) => Some((candidate, self.most_bytes)),
        }
    }

    /// Decides what is due at `now`.
    pub(super) fn advance_clock(&mut self, now: Timestamp, join: &mut Join) {
        let (sampler, mut events) = self.parts(join);
        sampler.advance_clock(now, &mut events);
    }

    /// Takes in a record.
    pub(super) fn take_in(&mut self, record: &ScannedRecord<'_>, join: &mut Join) {
        let (sampler, mut events) = self.parts(join);
        sampler.take_in(record, &mut events);
        sampler.forget_old();
    }

    /// When the next trace is due.
    pub(super) fn next_due(&mut self) -> Option<Timestamp> {
        self.sampler.next_due()
    }

    /// Decides the heaviest traces early, until this share of their bytes is free. Returns how many that were.
    pub(super) fn relieve(&mut self, share: f64, join: &mut Join) -> u64 {
        let (sampler, mut events) = self.parts(join);
        let before = sampler.open_traces();
        sampler.relieve(share, &mut events);
        (before - sampler.open_traces()) as u64
    }

    /// The traces that it has not decided, if it is a candidate's.
    pub(super) fn open(&mut self) -> Option<HashSet<(TraceId, Offset)>> {
        let open = self.sampler.abandon();
        let open = open.iter().map(|trace| (trace.summary.trace_id, trace.records.first()));
        matches!(self.role, Role::Candidate(_)).then(|| open.collect())
    }

    fn parts<'a>(&'a mut self, join: &'a mut Join) -> (&'a mut Sampler, Events<'a>) {
        let Self { role, policies, sampler, votes, .. } = self;
        (sampler, Events { role: *role, policies: &policies.set, votes, join })
    }
}

/// What comes out of a sampler, on its way to the join.
struct Events<'a> {
    role: Role,
    policies: &'a PolicySet,
    votes: &'a mut Votes,
    join: &'a mut Join,
}

impl Sink for Events<'_> {
    /// Nothing is committed here, so all traces may hold the same pin.
    fn opened(&mut self, _: Offset) -> Pin {
        Pin(0)
    }

    fn added(&mut self, _: &SpanRun<'_>) {}

    fn judge(&mut self, question: Question<'_>) -> Decision {
        self.votes.cast.clear();
        self.votes.failed.clear();
        self.votes.in_effect = InEffect::default();
        match self.role {
            Role::Baseline => question.decide(&mut ()),
            Role::Candidate(_) => {
                let (policies, votes) = (self.policies, &mut *self.votes);
                question.decide(&mut Observing { policies, votes })
            }
        }
    }

    fn decided(&mut self, decided: DecidedTrace<'_>) {
        let recorded = &decided.recorded;
        let Role::Candidate(candidate) = self.role else {
            self.join.old(recorded.at, &old(recorded));
            return;
        };
        let (details, summary) = (decided.details(), &decided.trace.summary);
        let decision = NewDecision {
            id: recorded.trace_id,
            first: recorded.first,
            kept: is_kept(recorded),
            policy: recorded.policy().map(|it| &**it),
            alone: self.votes.in_effect.alone(),
            is_plain: decided.trace.root_at().is_some() && summary.errors == 0,
            spans: u64::from(summary.spans),
            bytes: summary.bytes,
            service: &details.service,
            name: &details.name,
            delay: recorded.at.since(decided.trace.opened_at),
        };
        if self.join.new_decision(candidate, recorded.at, &decision) {
            let book = self.join.book(candidate);
            for (policy, vote) in self.votes.cast.drain(..) {
                book.voted(policy, vote == VoteKind::Keep);
            }
            self.votes.failed.drain(..).for_each(|policy| book.failed(policy));
        }
    }

    fn late(&mut self, spans: FollowingSpans<'_>) {
        if let Role::Candidate(candidate) = self.role {
            self.join.late(candidate, late(spans.run, spans.recorded.first));
        }
    }

    fn reopened(&mut self, trace: ReopenedTrace<'_>) {
        match self.role {
            Role::Baseline => self.join.old(trace.now, &old(&trace.recorded)),
            Role::Candidate(candidate) => {
                let policy = trace.recorded.policy().map(|it| &**it);
                self.join.reopened(candidate, policy, late(trace.run, trace.dropped.first));
            }
        }
    }

    fn reopen_over_budget(&mut self, _: PolicyIndex) {}

    fn read_again(&mut self, _: FollowingSpans<'_>) {
        debug_assert!(false, "nothing was decided before");
    }
}

/// A decision as it is put on record, of the old side.
pub(super) fn old(recorded: &DecisionRecord) -> OldDecision<'_> {
    OldDecision {
        id: recorded.trace_id,
        first: recorded.first,
        kept: is_kept(recorded),
        policy: recorded.policy().map(|it| &**it),
        is_superseded: false,
        reopens: recorded.trigger == Trigger::Late,
        at: recorded.at,
    }
}

fn is_kept(recorded: &DecisionRecord) -> bool {
    matches!(recorded.decision, SamplingDecision::Kept(_))
}

fn late(run: &SpanRun<'_>, first: Offset) -> LateSpans {
    LateSpans { id: run.trace_id(), first, spans: u64::from(run.count()), bytes: run.bytes() }
}

/// Writes down who votes how.
struct Observing<'a> {
    policies: &'a PolicySet,
    votes: &'a mut Votes,
}

impl Observer for Observing<'_> {
    fn voted(&mut self, policy: PolicyIndex, vote: VoteKind) {
        if vote != VoteKind::None {
            self.votes.cast.push((policy, vote));
        }
        if !self.policies.is_shadow(policy) {
            self.votes.in_effect.enter(self.policies, policy, vote);
        }
    }

    fn none_voted(&mut self, _: &[PolicyIndex]) {}

    fn failed(&mut self, policy: PolicyIndex) {
        self.votes.failed.push(policy);
    }

    fn leaf_voted(&mut self, _: LeafIndex) {}
}
