//! Tries a policy file on the traffic that passes, for a while.
//!
//! Promises that nothing is decided otherwise because of it: the file is checked as `tailsieve validate`
//! does, and its policies are asked after each decision ([`Trial`]); that there is one trial at a time,
//! which ends when its time is over, when it is cancelled, or when other policies come into force; and
//! that only the last few are remembered. Leaves to the admin server who may begin one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::observer::Observer;
use super::reload::{self, Listed};
use super::worker::{ActivePolicies, PolicyWatch, Trial, TrialExample, TriedPolicy};
use crate::clock;
use crate::config::{self, Finding, Kind, Surroundings};
use crate::sampling::policy::PolicySet;
use crate::sampling::sampler::Policies;
use crate::sampling::trace::Limits;
use crate::sync::lock;
use crate::telemetry::admin::status::{
    FindingStatus, Findings, Later, ReasonStatus, TrialExampleStatus, TrialRefusal, TrialStatus,
    Trials, TriedPolicyStatus,
};
use crate::telemetry::cut::beginning;

/// What findings call the file.
const FILE: &str = "policies.yaml";

/// How many trials are remembered.
const REMEMBERED: usize = 5;

/// How much is said of a finding, in bytes. A file may be one long line.
const LONGEST_FINDING: usize = 4096;

/// The members that run in this process now.
pub type Observers = Arc<dyn Fn() -> Vec<Observer> + Send + Sync>;

/// Tries policies on what the members of this process decide.
#[derive(Clone)]
pub struct PolicyTrials {
    shared: Arc<Shared>,
}

struct Shared {
    observers: Observers,
    policies: Arc<PolicyWatch>,
    /// What is known around the policy file.
    surroundings: Surroundings,
    runs: Mutex<VecDeque<Arc<Run>>>,
    /// Locked while one is made ready.
    beginning: tokio::sync::Mutex<()>,
}

/// A trial from its beginning to its end, and after that.
struct Run {
    id: String,
    trial: Arc<Trial>,
    started_at: SystemTime,
    duration: Duration,
    hash: String,
    not_tried: Vec<&'static str>,
    findings: Findings,
    cancel: CancellationToken,
    end: watch::Sender<Option<End>>,
}

/// How a trial ended, and when.
#[derive(Clone, Copy, Debug)]
struct End {
    state: &'static str,
    at: SystemTime,
}

/// A file without errors.
struct Candidate {
    policies: Arc<Policies>,
    hash: String,
    findings: Findings,
}

impl PolicyTrials {
    /// Tries policies beside those of `policies`, on what `observers` see.
    pub fn new(
        observers: Observers,
        policies: Arc<PolicyWatch>,
        surroundings: Surroundings,
    ) -> Self {
        let (runs, beginning) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { shared: Arc::new(Shared { observers, policies, surroundings, runs, beginning }) }
    }
}

impl Trials for PolicyTrials {
    fn begin(&self, file: String, duration: Duration) -> Later<Result<TrialStatus, TrialRefusal>> {
        let shared = Arc::clone(&self.shared);
        // What was begun is not half done because the one who asked went away.
        let begun = tokio::spawn(async move { shared.begin(file, duration).await });
        Box::pin(async move { begun.await.unwrap_or(Err(TrialRefusal::NoAnswer)) })
    }

    fn all(&self) -> Vec<TrialStatus> {
        let runs: Vec<Arc<Run>> = lock(&self.shared.runs).iter().cloned().collect();
        runs.iter().map(|run| run.status()).collect()
    }

    fn cancel(&self, id: &str) -> Later<Option<TrialStatus>> {
        let run = lock(&self.shared.runs).iter().find(|run| run.id == id).cloned();
        Box::pin(async move {
            let run = run?;
            run.cancel.cancel();
            // The task that ends it may be gone with its runtime.
            let _ = run.end.subscribe().wait_for(Option::is_some).await;
            Some(run.status())
        })
    }
}

impl Shared {
    async fn begin(
        self: Arc<Self>,
        file: String,
        duration: Duration,
    ) -> Result<TrialStatus, TrialRefusal> {
        let Ok(_beginning) = self.beginning.try_lock() else {
            return Err(TrialRefusal::Busy(None));
        };
        if let Some(running) = lock(&self.runs).front().filter(|run| run.end.borrow().is_none()) {
            return Err(TrialRefusal::Busy(Some(running.id.clone())));
        }
        let surroundings = self.surroundings.clone();
        let checked = tokio::task::spawn_blocking(move || check(&file, &surroundings)).await;
        let candidate = checked.unwrap_or(Err(TrialRefusal::NoAnswer))?;
        let mut in_force = self.policies.follow();
        let active = Arc::clone(&in_force.borrow_and_update());
        let trial = Arc::new(Trial::new(Arc::clone(&candidate.policies), active.hash.clone()));
        let observers = (self.observers)();
        let mut takes_part = false;
        for observer in &observers {
            takes_part |= observer.begin_trial(&trial).await;
        }
        if !takes_part {
            return Err(TrialRefusal::NoAnswer);
        }
        let run = Arc::new(Run::new(candidate, trial, &active, duration));
        {
            let mut runs = lock(&self.runs);
            runs.push_front(Arc::clone(&run));
            runs.truncate(REMEMBERED);
        }
        info!(id = run.id, hash = run.hash, seconds = duration.as_secs(), "policies.trial_started");
        let status = run.status();
        tokio::spawn(async move { run.attend(in_force, observers).await });
        Ok(status)
    }
}

/// Checks a file as `validate` does.
fn check(file: &str, surroundings: &Surroundings) -> Result<Candidate, TrialRefusal> {
    let (mut checked, mut policies) = config::check_sent(FILE, file, surroundings);
    if surroundings.processor.is_some() && checked.kind == Kind::Policies {
        let surroundings = Surroundings { processor: None, ..surroundings.clone() };
        (checked, policies) = config::check_sent(FILE, file, &surroundings);
    }
    let all = |findings: &[Finding], what: &str| {
        findings.iter().map(|finding| shown(finding, what)).collect()
    };
    let mut findings = Findings {
        errors: all(&checked.errors, ""),
        warnings: all(&checked.warnings, "warning: "),
        notes: all(&checked.notes, "note: "),
    };
    let Some(file) = policies else { return Err(TrialRefusal::Invalid(findings)) };
    match reload::policies(&file) {
        Ok(policies) => Ok(Candidate { policies: Arc::new(policies), hash: file.hash, findings }),
        Err(error) => {
            let (message, shown) = (error.to_string(), format!("{FILE}: {error}"));
            findings.errors.push(FindingStatus { message, shown, ..FindingStatus::default() });
            Err(TrialRefusal::Invalid(findings))
        }
    }
}

fn shown(finding: &Finding, what: &str) -> FindingStatus {
    let place = |number: usize| (number > 0).then_some(number);
    let cut = |text: &str| beginning(text, LONGEST_FINDING).to_owned();
    FindingStatus {
        line: place(finding.line),
        column: place(finding.column),
        message: cut(&finding.message),
        help: finding.help.as_deref().map(cut),
        excerpt: finding.excerpt.as_deref().map(cut),
        shown: cut(&finding.shown(FILE, what)),
    }
}

impl Run {
    fn new(
        candidate: Candidate,
        trial: Arc<Trial>,
        active: &ActivePolicies,
        duration: Duration,
    ) -> Self {
        let Candidate { policies, hash, findings } = candidate;
        Self {
            id: format!("{:016x}", rand::random::<u64>()),
            trial,
            started_at: clock::system_time(),
            duration,
            hash,
            not_tried: differences(&policies.limits, &active.policies.limits),
            findings,
            cancel: CancellationToken::new(),
            end: watch::Sender::new(None),
        }
    }

    /// Waits for its end.
    async fn attend(
        &self,
        mut in_force: watch::Receiver<Arc<ActivePolicies>>,
        observers: Vec<Observer>,
    ) {
        let state = tokio::select! {
            () = tokio::time::sleep(self.duration) => "done",
            () = self.cancel.cancelled() => "cancelled",
            _ = in_force.changed() => "replaced",
        };
        self.trial.close();
        for observer in observers {
            observer.end_trial(&self.trial).await;
        }
        self.end.send_replace(Some(End { state, at: clock::system_time() }));
        info!(id = self.id, hash = self.hash, state, "policies.trial_ended");
    }

    fn status(&self) -> TrialStatus {
        let end = *self.end.borrow();
        let (tally, policies) = (self.trial.tally(), self.trial.policies());
        let all = |examples: Vec<TrialExample>| examples.into_iter().map(example).collect();
        TrialStatus {
            id: self.id.clone(),
            state: end.map_or("running", |end| end.state),
            started_at: self.started_at.into(),
            ended_at: end.map(|end| end.at.into()),
            seconds: self.duration.as_secs(),
            hash: self.hash.clone(),
            in_force: self.trial.in_force().to_owned(),
            has_limits: policies.has_limits(),
            not_tried: self.not_tried.clone(),
            warnings: self.findings.warnings.clone(),
            notes: self.findings.notes.clone(),
            decided: tally.decided(),
            left_out: tally.left_out,
            kept_kept: tally.kept_kept,
            kept_dropped: tally.kept_dropped,
            dropped_kept: tally.dropped_kept,
            dropped_dropped: tally.dropped_dropped,
            policies: tried(policies, &tally.policies),
            dropped_by_none: tally.dropped_by_none,
            newly_kept: all(tally.newly_kept),
            newly_dropped: all(tally.newly_dropped),
            busy_seconds: tally.busy.as_secs_f64(),
        }
    }
}

/// Settings of which a trial does not say what they would change: a trace is judged when those in force
/// have it decided.
fn differences(tried: &Limits, in_force: &Limits) -> Vec<&'static str> {
    let is_same = [
        ("decision_wait", tried.decision_wait == in_force.decision_wait),
        (
            "decision_wait_after_root_received",
            tried.decision_wait_after_root_received == in_force.decision_wait_after_root_received,
        ),
        ("maximum_trace_spans", tried.maximum_trace_spans == in_force.maximum_trace_spans),
        ("maximum_trace_size", tried.maximum_trace_size == in_force.maximum_trace_size),
    ];
    is_same.into_iter().filter(|(_, is_same)| !is_same).map(|(name, _)| name).collect()
}

fn tried(policies: &PolicySet, counts: &[TriedPolicy]) -> Vec<TriedPolicyStatus> {
    let status = |(listed, counts): (Listed, &TriedPolicy)| {
        let [no_votes, votes_to_keep, votes_to_drop] = counts.votes;
        TriedPolicyStatus {
            name: listed.name,
            kind: listed.kind.to_owned(),
            mode: listed.mode,
            votes_to_keep,
            votes_to_drop,
            no_votes,
            errors: counts.errors,
            kept: counts.kept,
            dropped: counts.dropped,
        }
    };
    policies.specs().map(Listed::from).zip(counts).map(status).collect()
}

fn example(example: TrialExample) -> TrialExampleStatus {
    let reason =
        |(policy, reason): (Arc<str>, String)| ReasonStatus { policy: policy.to_string(), reason };
    TrialExampleStatus {
        trace: example.trace.into(),
        policy: example.policy.map(|policy| policy.to_string()),
        reasons: example.reasons.into_iter().map(reason).collect(),
    }
}
