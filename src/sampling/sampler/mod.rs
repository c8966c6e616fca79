//! The sampler of one partition: records in; traces opened, decided, and spans that come late out.
//!
//! Owns the partition's clock, its open traces with the headers they share, its budgets, and what was
//! decided. Promises that what is due is decided before the record that moves the clock past it is
//! taken in, that a decision covers whole records, and that the same records, policies and topic size
//! give the same decisions, whoever calls it: a member, `decide` and `test` do. It reads no clock and
//! knows no Kafka. Leaves to its [`Sink`] what becomes of what comes out, and to its callers how a
//! record's value becomes OTLP protobuf.

mod arrivals;
mod policies;
mod reload;
mod reopen;
mod restore;
mod run;
mod sink;
mod summarize;

use std::sync::Arc;

use crate::ids::{Position, Timestamp, TraceId};
use crate::sampling::decided::{DecisionMemory, DecisionRecord, Kept, SamplingDecision};
use crate::sampling::policy::{Budgets, Decision, PolicySet, RateLimit};
use crate::sampling::trace::{Headers, OpenTrace, OpenTraces, Trigger};

use arrivals::InHand;

pub use arrivals::ScannedRecord;
pub use policies::Policies;
pub use reload::Rescan;
pub use restore::{Restoring, Unrestored};
pub use run::{SpanRun, runs};
pub use sink::{DecidedTrace, FollowingSpans, Piece, Question, ReopenedTrace, Sink};
pub use summarize::{ask_resource, keys_for, summarize};

/// The sampler of one partition, of one generation.
///
/// It has more methods than a type should: a record, the clock, the memory bound, a reload, what was
/// read back and what has to end each come in by a method of their own, and users read its figures.
#[derive(Debug)]
pub struct Sampler {
    /// What the facts, the deadlines and the budgets below are for.
    policies: Arc<Policies>,
    traces: OpenTraces,
    headers: Headers,
    budgets: Budgets,
    /// Of requests to keep traces that were dropped.
    requests: RateLimit,
    memory: DecisionMemory,
    in_hand: InHand,
}

impl Sampler {
    /// Nothing was read yet; the clock goes on from `clock`. The topic has so many partitions, over
    /// which budgets are shared out.
    pub fn new(policies: &Arc<Policies>, clock: Timestamp, topic_size: u32) -> Self {
        Self {
            policies: Arc::clone(policies),
            traces: OpenTraces::at(policies.limits, clock),
            headers: Headers::default(),
            budgets: policies.set.budgets(topic_size),
            requests: restore::limit(),
            memory: DecisionMemory::default(),
            in_hand: InHand::default(),
        }
    }

    /// The policies that it judges by.
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    /// The partition's clock.
    pub fn clock(&self) -> Timestamp {
        self.traces.clock()
    }

    /// When the next trace falls due.
    pub fn next_due(&mut self) -> Option<Timestamp> {
        self.traces.next_due()
    }

    /// An open trace.
    pub fn open_trace(&self, id: TraceId) -> Option<&OpenTrace> {
        self.traces.get(id)
    }

    /// The open trace that was opened first.
    pub fn oldest_open(&mut self) -> Option<&OpenTrace> {
        self.traces.oldest()
    }

    /// Number of open traces.
    pub fn open_traces(&self) -> usize {
        self.traces.count()
    }

    /// What was decided, by this owner and before.
    pub fn decision_memory(&self) -> &DecisionMemory {
        &self.memory
    }

    /// Bytes of memory that the open traces take, about.
    pub fn bytes(&self) -> u64 {
        self.traces.cost() + self.headers.bytes()
    }

    /// Moves the clock to `now`, unless it is there already, and decides what falls due.
    pub fn advance_clock(&mut self, now: Timestamp, sink: &mut impl Sink) {
        self.traces.advance_clock(now);
        self.decide_due(sink);
    }

    /// Decides what fell due.
    pub fn decide_due(&mut self, sink: &mut impl Sink) {
        while let Some((trace, trigger)) = self.traces.take_due() {
            self.decide(&trace, trigger, sink);
        }
    }

    /// Decides the heaviest traces early, until `share` of the bytes of the open ones is free.
    pub fn relieve(&mut self, share: f64, sink: &mut impl Sink) {
        let bytes = (self.traces.cost() as f64 * share).ceil() as u64;
        for trace in self.traces.take_heaviest(bytes) {
            self.decide(&trace, Trigger::Memory, sink);
        }
    }

    /// Decides everything that is open, on what there is of it.
    pub fn decide_all(&mut self, trigger: Trigger, sink: &mut impl Sink) {
        for trace in self.traces.take_heaviest(u64::MAX) {
            self.decide(&trace, trigger, sink);
        }
    }

    /// Lets go of everything that is open: the partition's next owner reads it again.
    pub fn abandon(&mut self) -> Vec<OpenTrace> {
        self.traces.take_all()
    }

    /// Learns what earlier owners decided; reading starts at `start`. Late spans follow the latest
    /// of these decisions that there is `room` for, as long as decisions are remembered.
    pub fn learn(&mut self, start: Position, decisions: &[DecisionRecord], room: usize) {
        let oldest = self.clock().before(self.policies.decision_cache_ttl);
        let crowded_out = latest_beyond(room, decisions);
        for recorded in decisions {
            let has_room = crowded_out.is_none_or(|latest| recorded.at > latest);
            self.memory.learn(start, recorded, has_room && recorded.at >= oldest);
        }
    }

    /// Everything below `next` was read.
    pub fn passed(&mut self, next: Position) {
        self.memory.passed(next);
    }

    /// Remembers no more than so many decisions, from now on.
    pub fn set_decision_room(&mut self, room: usize) {
        self.memory.set_room(room);
    }

    /// Forgets decisions that no span would follow any more, a part of them at a time.
    pub fn forget_old(&mut self) {
        self.memory.forget_old(self.traces.clock(), self.policies.decision_cache_ttl);
    }

    /// Decides a trace that was taken, and remembers the decision.
    fn decide(&mut self, trace: &OpenTrace, trigger: Trigger, sink: &mut impl Sink) {
        let (policies, now) = (&self.policies.set, self.traces.clock());
        let (summary, budgets) = (&trace.summary, &mut self.budgets);
        let decision = sink.judge(Question { policies, summary, now, budgets });
        let (outcome, dropped_by) = outcome(policies, &decision);
        let recorded = DecisionRecord {
            trace_id: summary.trace_id,
            decision: outcome,
            dropped_by,
            first: trace.records.first(),
            last: trace.records.last(),
            at: now,
            trigger,
            delivered: false,
        };
        self.memory.made(&recorded);
        sink.decided(DecidedTrace::new(trace, decision, recorded, &self.headers));
        for (segment, _) in trace.payload.segments() {
            self.headers.release(segment.resource);
            self.headers.release(segment.scope);
        }
    }
}

/// A decision in words that outlive the policies; and who dropped it, if a policy did.
fn outcome(policies: &PolicySet, decision: &Decision) -> (SamplingDecision, Option<Arc<str>>) {
    match *decision {
        Decision::Drop { policy } => {
            (SamplingDecision::Dropped, policy.map(|policy| Arc::clone(policies.name(policy))))
        }
        Decision::Keep { policy, threshold, consistent, leaf: _ } => {
            let policy = Arc::clone(policies.name(policy));
            (SamplingDecision::Kept(Kept { policy, threshold, consistent }), None)
        }
    }
}

/// When the latest decision was made that has no room among the `room` latest. Partitions are read
/// back one after the other: if each brought all it has, the last would push out the fresh decisions
/// of the first.
fn latest_beyond(room: usize, decisions: &[DecisionRecord]) -> Option<Timestamp> {
    if decisions.len() <= room {
        return None;
    }
    let mut made: Vec<Timestamp> = decisions.iter().map(|recorded| recorded.at).collect();
    let (_, latest, _) = made.select_nth_unstable_by(room, |one, other| other.cmp(one));
    Some(*latest)
}
