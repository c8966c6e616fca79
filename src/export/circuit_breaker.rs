//! Whether the backend is down, and which requests it has accepted: the evidence for
//! [`retry`](super::retry).
//!
//! Only requests with spans count: if one without spans is accepted, that says nothing about others.
//! The backend is down when two attempts in a row failed that are not known to be the fault of their
//! request. Then one request at a time is sent as a probe, with growing waits between, and the first
//! one that is accepted ends the outage. New requests have a wait of their own, which begins when one
//! of them fails: if all that were sent before are at fault themselves, new ones must not wait for
//! them.
//!
//! A function of the events and their times; the caller has the clock and the random numbers.

use std::time::Duration;

use tokio::time::Instant;

use super::retry::Backoff;
use super::settings::RetrySettings;

/// How many failures in a row make a backend count as down.
const DOWN_AFTER: u32 = 2;

/// A logical time: which of an exporter's attempts was before which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tick(u64);

/// What is known about the backend; see the module.
#[derive(Debug)]
pub(super) struct CircuitBreaker {
    settings: RetrySettings,
    last: Tick,
    /// When the latest accepted request was sent.
    accepted: Tick,
    /// Failures since a request was accepted, without those that are the fault of their request.
    row: u32,
    /// While it is down: a probe is in flight.
    is_probing: bool,
    /// While it is down: when to probe next with a request that was sent before,
    probe_at: Instant,
    /// or with a new one.
    untried_at: Instant,
    backoff: Backoff,
}

/// An attempt that failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed {
    /// The request had never been sent before.
    pub(super) is_first: bool,
    /// It was a probe.
    pub(super) is_probe: bool,
    /// An even draw from 0 to 1.
    pub(super) random: f64,
}

impl CircuitBreaker {
    pub(super) fn new(settings: &RetrySettings, now: Instant) -> Self {
        Self {
            settings: settings.clone(),
            last: Tick::default(),
            accepted: Tick::default(),
            row: 0,
            is_probing: false,
            probe_at: now,
            untried_at: now,
            backoff: Backoff::new(settings),
        }
    }

    fn tick(&mut self) -> Tick {
        self.last.0 += 1;
        self.last
    }

    /// A request is sent.
    pub(super) fn sent(&mut self) -> Tick {
        self.tick()
    }

    /// The request that was sent at `sent` was accepted.
    pub(super) fn accepted(&mut self, sent: Tick) {
        self.accepted = self.accepted.max(sent);
        self.row = 0;
        self.is_probing = false;
        self.backoff = Backoff::new(&self.settings);
    }

    /// Whether a request was accepted that was sent after `failed_at`.
    pub(super) fn others_pass(&self, failed_at: Option<Tick>) -> bool {
        failed_at.is_some_and(|failed_at| self.accepted > failed_at)
    }

    /// An attempt failed, and it is not known to be the fault of its request. The next probe is after
    /// `delay`, or after a growing wait if that is longer.
    pub(super) fn failed(&mut self, failed: Failed, delay: Option<Duration>, now: Instant) -> Tick {
        let was_down = self.is_down();
        self.row = self.row.saturating_add(1);
        // Others that were in flight when it went down prove nothing new.
        if failed.is_probe || !was_down {
            let step = self.backoff.step(&self.settings, failed.random);
            self.probe_at = now + delay.map_or(step, |delay| delay.max(step));
            if failed.is_first {
                self.untried_at = self.probe_at;
            }
        }
        self.tick()
    }

    /// An attempt failed, and it is the fault of its request.
    pub(super) fn failed_by_itself(&mut self) -> Tick {
        self.tick()
    }

    /// Nothing is accepted any more.
    pub(super) fn is_down(&self) -> bool {
        self.row >= DOWN_AFTER
    }

    /// The last attempt that counts was accepted, or there was none.
    pub(super) fn is_well(&self) -> bool {
        self.row == 0
    }

    /// Whether no probe is in flight.
    pub(super) fn may_probe(&self) -> bool {
        !self.is_probing
    }

    /// A probe is sent.
    pub(super) fn probing(&mut self) {
        self.is_probing = true;
    }

    /// The probe has ended.
    pub(super) fn probed(&mut self) {
        self.is_probing = false;
    }

    /// While it is down: when a request that `was_sent` before, or was not, may be sent as a probe.
    pub(super) fn probe_at(&self, was_sent: bool) -> Instant {
        if was_sent { self.probe_at } else { self.untried_at }
    }

    /// The next probe may be sent now.
    pub(super) fn hurry(&mut self, now: Instant) {
        (self.probe_at, self.untried_at) = (now, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Failed = Failed { is_first: true, is_probe: false, random: 0.5 };
    const AGAIN: Failed = Failed { is_first: false, ..FIRST };
    const PROBE: Failed = Failed { is_probe: true, ..AGAIN };

    fn breaker(now: Instant) -> CircuitBreaker {
        CircuitBreaker::new(&RetrySettings::default(), now)
    }

    #[test]
    fn only_what_was_sent_after_a_failure_speaks_against_it() {
        let now = Instant::now();
        let mut breaker = breaker(now);
        let before = breaker.sent();
        let failed_at = Some(breaker.failed(FIRST, None, now));
        breaker.accepted(before);
        assert!(!breaker.others_pass(failed_at));
        assert!(!breaker.others_pass(None), "what never failed has nothing against it");
        let after = breaker.sent();
        assert!(!breaker.others_pass(failed_at), "not before it is accepted");
        breaker.accepted(after);
        assert!(breaker.others_pass(failed_at));
        let again = Some(breaker.failed_by_itself());
        assert!(!breaker.others_pass(again), "each attempt needs its own");
        assert!(breaker.others_pass(failed_at));
    }

    #[test]
    fn two_failures_in_a_row_are_a_backend_that_is_down_and_the_waits_grow() {
        let now = Instant::now();
        let mut breaker = breaker(now);
        let seconds = |breaker: &CircuitBreaker| (breaker.probe_at(true) - now).as_secs_f64();
        breaker.failed(FIRST, None, now);
        assert!(!breaker.is_down());
        breaker.failed(AGAIN, None, now);
        assert!(breaker.is_down());
        assert_eq!(seconds(&breaker), 7.5);
        breaker.failed(AGAIN, None, now);
        assert_eq!(seconds(&breaker), 7.5, "it was on its way before");
        breaker.failed(PROBE, None, now);
        assert_eq!(seconds(&breaker), 11.25);
        breaker.failed(PROBE, Some(Duration::from_secs(90)), now);
        assert_eq!(seconds(&breaker), 90.0);
        breaker.failed(PROBE, Some(Duration::from_millis(1)), now);
        assert_eq!(seconds(&breaker), 25.3125, "no tight loop");
        let sent = breaker.sent();
        breaker.accepted(sent);
        assert!(!breaker.is_down());
        for _ in 0..10 {
            breaker.failed_by_itself();
        }
        assert!(!breaker.is_down(), "that was not the backend");
    }

    #[test]
    fn what_was_never_sent_does_not_wait_for_what_failed_before() {
        let now = Instant::now();
        let mut breaker = breaker(now);
        breaker.failed(AGAIN, None, now);
        breaker.failed(AGAIN, None, now);
        assert!(breaker.is_down());
        assert_eq!(breaker.probe_at(false), now);
        assert!(breaker.probe_at(true) > now);
        breaker.failed(Failed { is_first: true, ..PROBE }, None, now);
        assert!(breaker.probe_at(false) > now);
    }
}
