//! A sampler with its panel: what comes out of it, and what each judge makes of it, goes to the [`Join`].

use std::collections::HashSet;
use std::sync::Arc;

use super::join::{Join, LateSpans, NewDecision, OldDecision};
use super::panel::{Panel, Role};
use crate::ids::{Offset, Pin, Timestamp, TraceId};
use crate::sampling::decided::{DecisionRecord, SamplingDecision};
use crate::sampling::facts::Summary;
use crate::sampling::policy::{
    Budgets, Decision, InEffect, LeafIndex, Observer, PolicyIndex, PolicySet, VoteKind,
};
use crate::sampling::sampler::{
    DecidedTrace, FollowingSpans, Policies, Question, ReopenedTrace, Sampler, ScannedRecord, Sink,
    SpanRun,
};
use crate::sampling::trace::Trigger;

/// The sampler of a panel.
#[derive(Debug)]
pub(super) struct Side {
    sampler: Sampler,
    /// The one whose decisions the sampler remembers.
    first: Judging,
    /// Those who decide the same traces beside it, each with budgets of its own.
    others: Vec<(Judging, Budgets)>,
    /// The most bytes that its open traces took.
    most_bytes: u64,
}

/// One of those who decide.
#[derive(Debug)]
struct Judging {
    role: Role,
    policies: Arc<Policies>,
    /// What became of the trace in hand.
    verdict: (bool, Option<PolicyIndex>),
    votes: Votes,
}

/// The votes on the trace in hand.
#[derive(Debug, Default)]
struct Votes {
    cast: Vec<(PolicyIndex, VoteKind)>,
    failed: Vec<PolicyIndex>,
    in_effect: InEffect,
}

impl Side {
    /// Nothing was read yet. The topic has so many partitions.
    pub(super) fn new(panel: &Panel, topic_size: u32) -> Self {
        let (first, others) = panel.judges.split_first().expect("a panel has a judge");
        let mut sampler = Sampler::new(&first.1, Timestamp(i64::MIN), topic_size);
        sampler.set_decision_room(panel.room);
        let beside =
            |judge: &(Role, Arc<Policies>)| (Judging::new(judge), judge.1.set.budgets(topic_size));
        let others = others.iter().map(beside).collect();
        Self { sampler, first: Judging::new(first), others, most_bytes: 0 }
    }

    /// What spans are asked.
    pub(super) fn policies(&self) -> &Arc<Policies> {
        &self.first.policies
    }

    /// The candidates whose traces these are.
    pub(super) fn candidates(&self) -> impl Iterator<Item = usize> {
        let others = self.others.iter().map(|(judging, _)| judging);
        std::iter::once(&self.first).chain(others).filter_map(|judging| match judging.role {
            Role::Baseline => None,
            Role::Candidate(candidate) => Some(candidate),
        })
    }

    /// Bytes of memory that its open traces take.
    pub(super) fn bytes(&mut self) -> u64 {
        let bytes = self.sampler.bytes();
        self.most_bytes = self.most_bytes.max(bytes);
        bytes
    }

    /// The most bytes that its open traces took.
    pub(super) fn most_bytes(&self) -> u64 {
        self.most_bytes
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

    /// The traces that are not decided. Nothing more comes.
    pub(super) fn open(&mut self) -> HashSet<(TraceId, Offset)> {
        let open = self.sampler.abandon();
        open.iter().map(|trace| (trace.summary.trace_id, trace.records.first())).collect()
    }

    fn parts<'a>(&'a mut self, join: &'a mut Join) -> (&'a mut Sampler, Events<'a>) {
        let Self { sampler, first, others, .. } = self;
        (sampler, Events { first, others, join })
    }
}

impl Judging {
    fn new((role, policies): &(Role, Arc<Policies>)) -> Self {
        let (verdict, votes) = Default::default();
        Self { role: *role, policies: Arc::clone(policies), verdict, votes }
    }

    fn decide(&mut self, summary: &Summary, now: Timestamp, budgets: &mut Budgets) -> Decision {
        let Self { role, policies, verdict, votes } = self;
        let question = Question { policies: &policies.set, summary, now, budgets };
        votes.cast.clear();
        votes.failed.clear();
        votes.in_effect = InEffect::default();
        let decision = match role {
            Role::Baseline => question.decide(&mut ()),
            Role::Candidate(_) => {
                question.decide(&mut Observing { policies: &policies.set, votes })
            }
        };
        *verdict = match decision {
            Decision::Keep { policy, .. } => (true, Some(policy)),
            Decision::Drop { policy } => (false, policy),
        };
        decision
    }

    /// Tells of the decision on the trace in hand, in which all but the verdict is that of this judge.
    fn tell(&mut self, decided: &NewDecision<'_>, now: Timestamp, join: &mut Join) {
        let Self { role, policies, verdict: (kept, policy), votes } = self;
        let policy = policy.map(|it| &**policies.set.name(it));
        let NewDecision { id, first, .. } = *decided;
        let Role::Candidate(candidate) = *role else {
            let (is_superseded, reopens) = (false, false);
            let old =
                OldDecision { id, first, kept: *kept, policy, is_superseded, reopens, at: now };
            join.old(now, &old);
            return;
        };
        let alone = votes.in_effect.alone();
        let decision = NewDecision { kept: *kept, policy, alone, ..*decided };
        if join.new_decision(candidate, now, &decision) {
            let book = join.book(candidate);
            for (policy, vote) in votes.cast.drain(..) {
                book.voted(policy, vote == VoteKind::Keep);
            }
            votes.failed.drain(..).for_each(|policy| book.failed(policy));
        }
    }

    fn late(&self, late: LateSpans, join: &mut Join) {
        if let Role::Candidate(candidate) = self.role {
            join.late(candidate, late);
        }
    }
}

/// What comes out of a sampler, on its way to the join.
struct Events<'a> {
    first: &'a mut Judging,
    others: &'a mut [(Judging, Budgets)],
    join: &'a mut Join,
}

impl Sink for Events<'_> {
    /// Nothing is committed here, so all traces may hold the same pin.
    fn opened(&mut self, _: Offset) -> Pin {
        Pin(0)
    }

    fn added(&mut self, _: &SpanRun<'_>) {}

    fn judge(&mut self, question: Question<'_>) -> Decision {
        let Question { summary, now, budgets, .. } = question;
        for (judging, budgets) in &mut *self.others {
            judging.decide(summary, now, budgets);
        }
        self.first.decide(summary, now, budgets)
    }

    fn decided(&mut self, decided: DecidedTrace<'_>) {
        let (recorded, summary) = (&decided.recorded, &decided.trace.summary);
        let details = decided.details();
        let decision = NewDecision {
            id: recorded.trace_id,
            first: recorded.first,
            kept: false,
            policy: None,
            alone: None,
            is_plain: decided.trace.root_at().is_some() && summary.errors == 0,
            spans: u64::from(summary.spans),
            bytes: summary.bytes,
            service: &details.service,
            name: &details.name,
            delay: recorded.at.since(decided.trace.opened_at),
        };
        self.first.tell(&decision, recorded.at, self.join);
        for (judging, _) in &mut *self.others {
            judging.tell(&decision, recorded.at, self.join);
        }
    }

    fn late(&mut self, spans: FollowingSpans<'_>) {
        let late = late(spans.run, spans.recorded.first);
        self.first.late(late, self.join);
        self.others.iter().for_each(|(judging, _)| judging.late(late, self.join));
    }

    fn reopened(&mut self, trace: ReopenedTrace<'_>) {
        debug_assert!(self.others.is_empty(), "who re-opens traces judges alone");
        match self.first.role {
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
