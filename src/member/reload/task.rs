//! The task that owns reloading.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch as published};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, error, field, info, info_span};

use super::attempt::{Attempt, Fingerprint, attempt};
use super::metrics::ReloadMetrics;
use super::status::{Changed, Failure, ReloadStatus};
use super::{Answer, Message, ReloadSettings, Trigger};
use crate::config::PolicyFile;
use crate::member::worker::{ActivePolicies, PolicyWatch};
use crate::telemetry::service_manager::ServiceManager;

/// How long the contents must stay as they are before a poll believes them: the file may be in the
/// middle of being written.
const QUIET: Duration = Duration::from_millis(100);

pub(super) struct Task {
    settings: ReloadSettings,
    policies: Arc<PolicyWatch>,
    status: published::Sender<Arc<ReloadStatus>>,
    metrics: ReloadMetrics,
    hangup: Signal,
    /// What the file held when it was looked at last; `None` before the first look.
    seen: Option<Fingerprint>,
    /// What a poll found instead, and the next look has to find, too.
    changing: Option<Fingerprint>,
    /// `decision_cache.max_entries` as the process started with it.
    cache_entries: u64,
}

impl Task {
    pub(super) fn new(
        settings: ReloadSettings,
        loaded: &PolicyFile,
        policies: Arc<PolicyWatch>,
        status: published::Sender<Arc<ReloadStatus>>,
    ) -> io::Result<Self> {
        let metrics = ReloadMetrics::new(status.borrow().since);
        let hangup = signal(SignalKind::hangup())?;
        let cache_entries = loaded.decision_cache_entries;
        let (seen, changing) = (None, None);
        Ok(Self { settings, policies, status, metrics, hangup, seen, changing, cache_entries })
    }

    pub(super) async fn run(
        mut self,
        mut requests: mpsc::Receiver<Message>,
        stop: CancellationToken,
    ) {
        // It may have changed since it was loaded.
        self.look(Trigger::Poll).await;
        let poll_interval = self.settings.poll_interval;
        let mut poll = interval_at(Instant::now() + poll_interval, poll_interval);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut reply = None;
            let trigger = tokio::select! {
                () = stop.cancelled() => return,
                request = requests.recv() => match request {
                    Some(Message::Reload { reply: to }) => {
                        reply = Some(to);
                        Trigger::Request
                    }
                    None => return,
                },
                Some(()) = self.hangup.recv() => Trigger::Signal,
                _ = poll.tick() => Trigger::Poll,
            };
            let manager =
                (trigger == Trigger::Signal).then(|| self.settings.service_manager.clone());
            manager.iter().for_each(ServiceManager::reloading);
            let answer = self.look(trigger).await;
            manager.iter().for_each(ServiceManager::reloaded);
            if self.changing.is_some() {
                poll.reset_after(QUIET.min(poll_interval));
            }
            if let Some(reply) = reply {
                // Who asked may be gone.
                let _ = reply.send(answer);
            }
        }
    }

    async fn look(&mut self, trigger: Trigger) -> Answer {
        let span = info_span!(
            "policies.reload",
            trigger = trigger.name(),
            result = field::Empty,
            hash = field::Empty,
            discarded = field::Empty,
            otel.status_description = field::Empty,
        );
        let was_bad = self.status.borrow().failure.is_some();
        let answer = self.look_at_file(trigger).instrument(span.clone()).await;
        let is_mended = was_bad && self.status.borrow().failure.is_none();
        match &answer {
            // Nobody asked, and nothing happened.
            Answer::Unchanged if trigger.is_automatic() && !is_mended => {
                span.record("discarded", true);
            }
            Answer::Unchanged => {
                span.record("result", "unchanged");
            }
            Answer::Reloaded(_) => {
                span.record("result", "success").record("hash", &*self.status.borrow().hash);
            }
            Answer::Refused(errors) => {
                span.record("result", "failure").record("otel.status_description", &**errors);
            }
        }
        answer
    }

    async fn look_at_file(&mut self, trigger: Trigger) -> Answer {
        let settings = self.settings.clone();
        // Who asks is answered, also if he asked before.
        let seen = if trigger.is_automatic() { self.seen } else { None };
        let hash = self.status.borrow().hash.clone();
        let attempt = tokio::task::spawn_blocking(move || attempt(&settings, seen, &hash)).await;
        let attempt = attempt.expect("reading a policy file does not panic");
        let before = std::mem::replace(&mut self.changing, attempt.change());
        if trigger == Trigger::Poll && self.changing != before {
            return Answer::Unchanged;
        }
        self.changing = None;
        match attempt {
            Attempt::Same => Answer::Unchanged,
            Attempt::Active(fingerprint) => {
                self.seen = Some(fingerprint);
                self.unchanged(trigger)
            }
            Attempt::Good(fingerprint, file, next) => {
                self.seen = Some(fingerprint);
                self.put_in_force(trigger, &file, *next)
            }
            Attempt::Bad(fingerprint, errors) => {
                self.seen = Some(fingerprint);
                self.refuse(trigger, errors)
            }
        }
    }

    /// The file says what is in force, perhaps after it said something bad.
    fn unchanged(&self, trigger: Trigger) -> Answer {
        let status = ReloadStatus::clone(&self.status.borrow());
        let was_bad = status.failure.is_some();
        if was_bad {
            self.metrics.succeeded(crate::clock::system_time());
            self.status.send_replace(Arc::new(ReloadStatus { failure: None, ..status }));
        }
        if was_bad || !trigger.is_automatic() {
            info!(trigger = trigger.name(), was_bad, "policies.unchanged");
        }
        Answer::Unchanged
    }

    fn put_in_force(&self, trigger: Trigger, file: &PolicyFile, next: ActivePolicies) -> Answer {
        let mut changed = Changed::new(trigger, &self.policies.get(), &next);
        if file.decision_cache_entries != self.cache_entries {
            let (from, to) = (self.cache_entries, file.decision_cache_entries);
            let text = "takes effect at the next start";
            changed.settings.push(format!("decision_cache.max_entries {from} -> {to} ({text})"));
        }
        let status = ReloadStatus::at_start(&self.settings.path, &next);
        let since = status.since;
        info!(
            trigger = trigger.name(),
            hash = status.hash,
            policies = status.policies.len(),
            added = changed.added.join(","),
            removed = changed.removed.join(","),
            changed = changed.changed.join(","),
            unchanged = changed.unchanged,
            settings = changed.settings.join(","),
            "policies.reloaded"
        );
        for note in &file.notes {
            info!(note, "policies.note");
        }
        self.policies.replace(next);
        self.metrics.succeeded(since);
        let status = ReloadStatus { changed: Some(changed.clone()), ..status };
        self.status.send_replace(Arc::new(status));
        Answer::Reloaded(changed)
    }

    fn refuse(&self, trigger: Trigger, errors: String) -> Answer {
        let status = ReloadStatus::clone(&self.status.borrow());
        error!(
            trigger = trigger.name(),
            in_force = status.hash,
            errors,
            "policies.reload_failed: the policies in force stay"
        );
        self.metrics.failed();
        let at = crate::clock::system_time();
        let failure = Some(Failure { at, trigger, errors: errors.clone() });
        self.status.send_replace(Arc::new(ReloadStatus { failure, ..status }));
        Answer::Refused(errors)
    }
}
