//! Policies that are tried on passing traffic: what they would have decided, beside what is decided.
//!
//! Owns a worker's part in a trial. Promises that it changes nothing: a trace is judged a second time when
//! it was decided, on all the bytes that there are of it, with budgets of the trial's own; that a trial
//! takes no more than half of a worker's time, and says what it left out for that; and that it ends
//! before other policies are in force. Leaves to `member::trials` who begins it and for how long.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Worker;
use super::counting::of_trace;
use super::latest::describe;
use crate::ids::{Generation, Origin, Partition};
use crate::sampling::decided::SamplingDecision;
use crate::sampling::policy::{
    Budgets, Decision, Explanation, LeafIndex, Observer, PolicyIndex, PolicySet, VoteKind,
};
use crate::sampling::sampler::{DecidedTrace, Policies, Question, Rescan};
use crate::sync::lock;
use crate::telemetry::accounts::Amount;
use crate::telemetry::cut::beginning;
use crate::telemetry::latest::LatestTrace;

/// How many traces of each kind are shown as examples.
const EXAMPLES: usize = 10;

/// How many reasons an example has, and how long one is, in bytes.
const REASONS: usize = 8;
const LONGEST_REASON: usize = 256;

/// What a trial may take beyond its half of the time, so that it does not begin by leaving out.
const HEAD_START: Duration = Duration::from_secs(1);

/// Policies that are tried.
#[derive(Debug)]
pub struct Trial {
    policies: Arc<Policies>,
    /// The hash of the policies in force, beside which they are tried.
    in_force: String,
    is_over: AtomicBool,
    tally: Mutex<TrialTally>,
}

/// What a trial has counted.
#[derive(Clone, Debug, Default)]
pub struct TrialTally {
    /// Kept, and would be kept.
    pub kept_kept: Amount,
    /// Kept, and would be dropped.
    pub kept_dropped: Amount,
    /// Dropped, and would be kept.
    pub dropped_kept: Amount,
    /// Dropped, and would be dropped.
    pub dropped_dropped: Amount,
    /// Decided, and not tried: the trial had no time for them.
    pub left_out: Amount,
    /// What the policies would have done, in the order of their file.
    pub policies: Vec<TriedPolicy>,
    /// What none of them would have kept, and none dropped.
    pub dropped_by_none: Amount,
    /// Some of what only they would have kept.
    pub newly_kept: Vec<TrialExample>,
    /// Some of what only they would have dropped.
    pub newly_dropped: Vec<TrialExample>,
    /// The time that all this took, of all workers.
    pub busy: Duration,
}

/// What a policy that is tried would have done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TriedPolicy {
    /// Its votes: for nothing, to keep, to drop.
    pub votes: [u64; 3],
    /// Traces of which it could not evaluate something.
    pub errors: u64,
    /// What would have been kept on its account.
    pub kept: Amount,
    /// What it would have dropped.
    pub dropped: Amount,
}

/// A trace of which the policies that are tried say something else.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialExample {
    /// The trace, and what was decided.
    pub trace: LatestTrace,
    /// The policy that would have kept or dropped it, if one would.
    pub policy: Option<Arc<str>>,
    /// What the policies say of it: their names and their reasons.
    pub reasons: Vec<(Arc<str>, String)>,
}

/// What a worker is told of a trial.
#[derive(Debug)]
pub enum TrialNotice {
    /// It begins.
    Begin {
        /// Which one.
        trial: Arc<Trial>,
        /// Told when the worker takes part; false if it has other policies in force.
        reply: oneshot::Sender<bool>,
    },
    /// It is over.
    End {
        /// Which one.
        trial: Arc<Trial>,
        /// Told when all that the worker has counted is there.
        reply: oneshot::Sender<()>,
    },
}

impl Trial {
    /// A trial of `policies` beside those with the hash `in_force`.
    pub fn new(policies: Arc<Policies>, in_force: String) -> Self {
        let tally = Mutex::new(TrialTally::of(&policies.set));
        Self { policies, in_force, is_over: AtomicBool::new(false), tally }
    }

    /// The policies that are tried.
    pub fn policies(&self) -> &PolicySet {
        &self.policies.set
    }

    /// The hash of the policies in force beside which they are tried.
    pub fn in_force(&self) -> &str {
        &self.in_force
    }

    /// Nothing that is decided from now on is tried.
    pub fn close(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// What is counted so far.
    pub fn tally(&self) -> TrialTally {
        lock(&self.tally).clone()
    }
}

impl TrialTally {
    fn of(policies: &PolicySet) -> Self {
        let policies = vec![TriedPolicy::default(); policies.names().count()];
        Self { policies, ..Self::default() }
    }

    /// All that was decided while the trial ran.
    pub fn decided(&self) -> Amount {
        let mut all = self.left_out;
        let tried = [self.kept_kept, self.kept_dropped, self.dropped_kept, self.dropped_dropped];
        tried.into_iter().for_each(|amount| all.add(amount));
        all
    }

    fn add(&mut self, more: &mut Self) {
        self.kept_kept.add(more.kept_kept);
        self.kept_dropped.add(more.kept_dropped);
        self.dropped_kept.add(more.dropped_kept);
        self.dropped_dropped.add(more.dropped_dropped);
        self.left_out.add(more.left_out);
        self.dropped_by_none.add(more.dropped_by_none);
        for (policy, more) in self.policies.iter_mut().zip(&more.policies) {
            policy.votes.iter_mut().zip(more.votes).for_each(|(votes, more)| *votes += more);
            policy.errors += more.errors;
            policy.kept.add(more.kept);
            policy.dropped.add(more.dropped);
        }
        take_over(&mut self.newly_kept, &mut more.newly_kept);
        take_over(&mut self.newly_dropped, &mut more.newly_dropped);
        self.busy += more.busy;
    }

    /// Enters what was decided of a trace, and what would have been.
    fn enter(&mut self, amount: Amount, was_kept: bool, decision: &Decision) {
        let cell = match (was_kept, decision) {
            (true, Decision::Keep { .. }) => &mut self.kept_kept,
            (true, Decision::Drop { .. }) => &mut self.kept_dropped,
            (false, Decision::Keep { .. }) => &mut self.dropped_kept,
            (false, Decision::Drop { .. }) => &mut self.dropped_dropped,
        };
        cell.add(amount);
        let account = match decision {
            Decision::Keep { policy, .. } => &mut self.policies[usize::from(policy.0)].kept,
            Decision::Drop { policy: Some(policy) } => {
                &mut self.policies[usize::from(policy.0)].dropped
            }
            Decision::Drop { policy: None } => &mut self.dropped_by_none,
        };
        account.add(amount);
    }
}

fn take_over(examples: &mut Vec<TrialExample>, more: &mut Vec<TrialExample>) {
    let room = EXAMPLES.saturating_sub(examples.len());
    examples.extend(more.drain(..).take(room));
}

/// Counts who votes how.
struct Votes<'a>(&'a mut [TriedPolicy]);

impl Observer for Votes<'_> {
    fn voted(&mut self, policy: PolicyIndex, vote: VoteKind) {
        self.0[usize::from(policy.0)].votes[vote as usize] += 1;
    }

    fn failed(&mut self, policy: PolicyIndex) {
        self.0[usize::from(policy.0)].errors += 1;
    }

    fn leaf_voted(&mut self, _: LeafIndex) {}
}

/// A worker's part in a trial.
pub(super) struct Part {
    trial: Arc<Trial>,
    since: Instant,
    /// What this worker has spent on it.
    pub(super) busy: Duration,
    topic_size: u32,
    /// Of each partition, while it is held under that generation.
    budgets: HashMap<Partition, (Generation, Budgets)>,
    rescan: Rescan,
    /// What is not posted yet.
    tally: TrialTally,
    has_news: bool,
    /// How many examples it has given: newly dropped, newly kept.
    given: [usize; 2],
}

impl Part {
    /// Nothing was decided yet, on a topic with so many partitions.
    pub(super) fn new(trial: Arc<Trial>, topic_size: u32) -> Self {
        Self {
            tally: TrialTally::of(&trial.policies.set),
            trial,
            since: Instant::now(),
            busy: Duration::ZERO,
            topic_size,
            budgets: HashMap::new(),
            rescan: Rescan::default(),
            has_news: false,
            given: [0; 2],
        }
    }

    /// Asks the policies that are tried about a trace that was decided.
    pub(super) fn decided(&mut self, origin: Origin, decided: &DecidedTrace<'_>) {
        if self.trial.is_over.load(Ordering::Relaxed) {
            return;
        }
        self.has_news = true;
        let amount = of_trace(decided.trace);
        let begun = Instant::now();
        if self.busy > HEAD_START + begun.duration_since(self.since) / 2 {
            self.tally.left_out.add(amount);
            return;
        }
        self.judge(origin, decided, amount);
        let took = begun.elapsed();
        self.busy += took;
        self.tally.busy += took;
    }

    fn judge(&mut self, origin: Origin, decided: &DecidedTrace<'_>, amount: Amount) {
        let (policies, now) = (&self.trial.policies, decided.recorded.at);
        let summary = &decided.summary_for(policies, &mut self.rescan);
        let was_kept = matches!(decided.recorded.decision, SamplingDecision::Kept(_));
        let fresh = || (origin.generation, policies.set.budgets(self.topic_size));
        let held = self.budgets.entry(origin.partition).or_insert_with(fresh);
        if held.0 != origin.generation {
            *held = fresh();
        }
        let budgets = &mut held.1;
        let wants_example = self.given[usize::from(!was_kept)] < EXAMPLES;
        let before = wants_example.then(|| budgets.clone());
        let policies = &policies.set;
        let mut votes = Votes(&mut self.tally.policies);
        let decision = Question { policies, summary, now, budgets }.decide(&mut votes);
        self.tally.enter(amount, was_kept, &decision);
        let would_keep = matches!(decision, Decision::Keep { .. });
        if let Some(mut before) = before.filter(|_| was_kept != would_keep) {
            let explained = Question { policies, summary, now, budgets: &mut before }.explain();
            self.given[usize::from(would_keep)] += 1;
            let example = example(policies, explained, describe(origin.partition, decided));
            let Self { tally: TrialTally { newly_kept, newly_dropped, .. }, .. } = self;
            if would_keep { newly_kept.push(example) } else { newly_dropped.push(example) }
        }
    }

    /// The topic has so many partitions.
    pub(super) fn share_out(&mut self, topic_size: u32) {
        let policies = &self.trial.policies.set;
        self.topic_size = topic_size;
        for (_, budgets) in self.budgets.values_mut() {
            *budgets = policies.budgets_after(policies, budgets, topic_size);
        }
    }

    /// Tells what was counted.
    pub(super) fn post(&mut self) {
        if std::mem::take(&mut self.has_news) {
            lock(&self.trial.tally).add(&mut self.tally);
            let mut policies = std::mem::take(&mut self.tally.policies);
            policies.fill(TriedPolicy::default());
            self.tally = TrialTally { policies, ..TrialTally::default() };
        }
    }
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Part").field("busy", &self.busy).finish_non_exhaustive()
    }
}

fn example(policies: &PolicySet, explained: Explanation, trace: LatestTrace) -> TrialExample {
    let policy = match explained.decision {
        Decision::Keep { policy, .. } => Some(policy),
        Decision::Drop { policy } => policy,
    };
    let votes = explained.votes.into_iter().filter(|vote| !policies.is_shadow(vote.policy));
    let mut reasons: Vec<_> = votes.collect();
    // Who decides it stands at the top; the others keep their order.
    reasons.sort_by_key(|vote| (Some(vote.policy) != policy, vote.vote == VoteKind::None));
    let reason = |vote: crate::sampling::policy::ExplainedVote| {
        (Arc::clone(policies.name(vote.policy)), beginning(&vote.reason, LONGEST_REASON).to_owned())
    };
    TrialExample {
        trace,
        policy: policy.map(|policy| Arc::clone(policies.name(policy))),
        reasons: reasons.into_iter().take(REASONS).map(reason).collect(),
    }
}

impl Worker {
    /// Takes part in a trial, or ends that.
    pub(super) fn told_of_trial(&mut self, notice: TrialNotice) {
        match notice {
            TrialNotice::Begin { trial, reply } => {
                self.keep_up();
                let is_over = trial.is_over.load(Ordering::Relaxed);
                let is_fit = !is_over && self.ctx.active.hash == trial.in_force;
                if is_fit {
                    self.begin_trial(trial);
                }
                // Who asked may be gone.
                let _ = reply.send(is_fit);
            }
            TrialNotice::End { trial, reply } => {
                let is_it = |part: &Part| Arc::ptr_eq(&part.trial, &trial);
                if self.ctx.trial.as_deref().is_some_and(is_it) {
                    self.end_trial();
                }
                let _ = reply.send(());
            }
        }
    }

    fn begin_trial(&mut self, trial: Arc<Trial>) {
        let mut part = Part::new(trial, self.topic_size);
        for state in self.partitions.states() {
            let Origin { partition, generation, .. } = state.origin;
            let budgets = state.sampler.budgets_of(&part.trial.policies, self.topic_size);
            part.budgets.insert(partition, (generation, budgets));
        }
        self.ctx.trial = Some(Box::new(part));
    }

    /// Nothing is tried from now on; what was counted is told.
    pub(super) fn end_trial(&mut self) {
        if let Some(mut part) = self.ctx.trial.take() {
            part.post();
        }
    }
}
