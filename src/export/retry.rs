//! What follows from a failed attempt: the request is sent again, in halves, or never.
//!
//! A code alone does not tell whether the backend or the request is at fault: backends that restart
//! answer with codes that the OTLP specification calls not retryable, and a request that the backend
//! will never accept may get a retryable code. So nothing is refused because of a code. A failed
//! attempt is evidence against the request only if, since its attempt before, another request was
//! sent and accepted. After enough evidence a trace that is alone in its request is refused. The one
//! exception is an answer that is clearly about the size.
//!
//! These are functions of the failure, the evidence and the time. The caller sleeps, draws random
//! numbers and knows what was accepted meanwhile.

use std::time::Duration;

use tokio::time::Instant;
use tonic::Code as GrpcCode;

use super::circuit_breaker::Tick;
use super::code::Code;
use super::settings::RetrySettings;
use super::transport::Failure;

/// How often a trace is sent that is alone in its request and clearly too large, before it is
/// refused.
const TOO_LARGE_ATTEMPTS: u32 = 3;

/// Retryable failures need this many times the evidence: a backend that limits the rate turns away
/// any request.
const PASSING_FACTOR: u32 = 10;

/// How much evidence it takes to send a request in halves although its failure is retryable.
const PASSING_HALVES_AFTER: u32 = 3;

/// The longest delay that a backend may ask for, unless `max_interval` is longer.
const MAX_REQUESTED_DELAY: Duration = Duration::from_secs(300);

/// The kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Clearly about the size of the request; the backend works.
    TooLarge,
    /// Retryable by the specification: it may pass.
    Passing,
    /// `RESOURCE_EXHAUSTED` without `RetryInfo`, with which backends limit the rate in bytes: it may
    /// pass, and smaller requests help.
    Exhausted,
    /// Not retryable by the specification: it will not pass.
    Final,
}

/// The kind of a failure (OTLP specification, "Failures", "OTLP/gRPC Throttling" and "OTLP/HTTP
/// Response").
pub(super) fn kind(failure: &Failure) -> Kind {
    use GrpcCode as Grpc;
    if failure.is_too_large {
        return Kind::TooLarge;
    }
    match failure.code {
        Code::Http(429 | 502 | 503 | 504) => Kind::Passing,
        Code::Http(_) => Kind::Final,
        // The presence of `RetryInfo` decides, whatever its delay.
        Code::Grpc(Grpc::ResourceExhausted) if failure.retry_after.is_some() => Kind::Passing,
        Code::Grpc(Grpc::ResourceExhausted) => Kind::Exhausted,
        Code::Grpc(
            Grpc::Cancelled
            | Grpc::DeadlineExceeded
            | Grpc::Aborted
            | Grpc::OutOfRange
            | Grpc::Unavailable
            | Grpc::DataLoss,
        ) => Kind::Passing,
        Code::Grpc(_) => Kind::Final,
    }
}

/// What to do with a request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextStep {
    /// Send it again.
    Again(Wait),
    /// Send it again in halves.
    Halves(Wait),
    /// Never send it again: it is refused, with the code of the failure.
    Refuse,
    /// Never send it again: `max_elapsed_time` is over.
    GiveUp,
}

/// When a request is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// Not before.
    pub(super) due: Instant,
    /// What ends it before that.
    pub(super) until: Until,
}

/// What ends a wait early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// Another request is accepted, so the backend works; or the exporter drains.
    Accepted,
    /// The exporter drains.
    Drained,
    /// Nothing: the backend has asked for this delay.
    Due,
}

/// The situation in which an attempt failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    /// Another request was accepted that was sent after the previous attempt had failed.
    pub(super) others_pass: bool,
    /// Something was accepted since the last failure of any request.
    pub(super) is_sudden: bool,
    /// The request cannot be made smaller.
    pub(super) is_alone: bool,
    /// Suspect traces take most of the queue, so that few others can be sent that would be evidence.
    pub(super) is_crowded: bool,
    pub(super) now: Instant,
    /// An even draw from 0 to 1.
    pub(super) random: f64,
}

/// What is known about a request from its attempts.
#[derive(Clone, Debug)]
pub(super) struct History {
    /// When the first attempt began.
    pub(super) since: Instant,
    /// Attempts that failed.
    pub(super) failures: u32,
    /// When the last one failed.
    pub(super) failed_at: Option<Tick>,
    /// How many of them are evidence against it, and when the first of these was.
    counted: u32,
    counted_since: Option<Instant>,
    /// How many of them were clearly about its size.
    too_large: u32,
    /// Whether it is a single trace. Evidence from before, when it was one of several, does not count.
    is_alone: bool,
    backoff: Backoff,
}

impl History {
    /// A request that is sent for the first time.
    pub(super) fn new(settings: &RetrySettings, now: Instant) -> Self {
        Self {
            since: now,
            failures: 0,
            failed_at: None,
            counted: 0,
            counted_since: None,
            too_large: 0,
            is_alone: false,
            backoff: Backoff::new(settings),
        }
    }

    /// An attempt failed: what to do with the request.
    pub(super) fn failed(
        &mut self,
        failure: &Failure,
        situation: Situation,
        settings: &RetrySettings,
    ) -> NextStep {
        let kind = kind(failure);
        if situation.is_alone && !self.is_alone {
            // The attempts before were not of this trace alone.
            (self.counted, self.counted_since, self.too_large) = (0, None, 0);
        }
        self.is_alone = situation.is_alone;
        self.failures = self.failures.saturating_add(1);
        self.too_large += u32::from(kind == Kind::TooLarge);
        if situation.others_pass && kind != Kind::TooLarge {
            self.counted = self.counted.saturating_add(1);
            self.counted_since.get_or_insert(situation.now);
        }
        if situation.is_alone && self.has_enough_evidence(kind, situation, settings) {
            return NextStep::Refuse;
        }
        let is_in_halves = !situation.is_alone && self.halves_help(kind);
        let wait = self.wait(failure, kind, is_in_halves, situation, settings);
        let limit = settings.max_elapsed_time;
        let elapsed = wait.due.saturating_duration_since(self.since);
        if !limit.is_zero() && elapsed > limit {
            return NextStep::GiveUp;
        }
        if is_in_halves { NextStep::Halves(wait) } else { NextStep::Again(wait) }
    }

    /// Whether there is half of the evidence that refuses a trace, which is alone.
    pub(super) fn is_suspect(&self, settings: &RetrySettings) -> bool {
        self.is_alone && self.counted >= settings.refuse_after_attempts.max(1).div_ceil(2)
    }

    /// Whether there is enough evidence to refuse a trace that is alone.
    fn has_enough_evidence(
        &self,
        kind: Kind,
        situation: Situation,
        settings: &RetrySettings,
    ) -> bool {
        let attempts = settings.refuse_after_attempts.max(1);
        let is_long_enough = self.counted_since.is_some_and(|since| {
            situation.now.saturating_duration_since(since) >= settings.refuse_after_time
        });
        if situation.is_crowded && is_long_enough && self.is_suspect(settings) {
            return true;
        }
        let enough = match kind {
            Kind::TooLarge => return self.too_large >= attempts.min(TOO_LARGE_ATTEMPTS),
            Kind::Final => attempts,
            Kind::Passing | Kind::Exhausted => attempts.saturating_mul(PASSING_FACTOR),
        };
        self.counted >= enough && is_long_enough
    }

    /// Whether to send it in halves. That costs little, but more and smaller requests do not help
    /// against a rate limit.
    fn halves_help(&self, kind: Kind) -> bool {
        match kind {
            Kind::TooLarge | Kind::Exhausted | Kind::Final => true,
            Kind::Passing => self.counted >= PASSING_HALVES_AFTER,
        }
    }

    fn wait(
        &mut self,
        failure: &Failure,
        kind: Kind,
        is_in_halves: bool,
        situation: Situation,
        settings: &RetrySettings,
    ) -> Wait {
        let Situation { others_pass, is_sudden, now, random, .. } = situation;
        if let Some(delay) = requested_delay(failure, settings) {
            // A delay of milliseconds would be a tight loop.
            let step = self.backoff.step(settings, random);
            return Wait { due: now + delay.max(step), until: Until::Due };
        }
        let is_found_out = others_pass || kind == Kind::TooLarge;
        if is_in_halves && (is_found_out || is_sudden) {
            return Wait { due: now, until: Until::Drained };
        }
        let until = if is_found_out { Until::Drained } else { Until::Accepted };
        Wait { due: now + self.backoff.step(settings, random), until }
    }
}

/// The delay that the backend asks for. Zero does not count, and no more than five minutes, or
/// `max_interval`, is obeyed.
pub(super) fn requested_delay(failure: &Failure, settings: &RetrySettings) -> Option<Duration> {
    let delay = failure.retry_after.filter(|delay| !delay.is_zero())?;
    Some(delay.min(MAX_REQUESTED_DELAY.max(settings.max_interval)))
}

/// Growing waits, with jitter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) fn new(settings: &RetrySettings) -> Self {
        Self(settings.initial_interval.min(settings.max_interval))
    }

    /// The next wait; `random` is an even draw from 0 to 1.
    pub(super) fn step(&mut self, settings: &RetrySettings, random: f64) -> Duration {
        let spread = settings.randomization_factor * (2.0 * random - 1.0);
        let wait = times(self.0, 1.0 + spread);
        self.0 = times(self.0, settings.multiplier).min(settings.max_interval);
        wait
    }
}

/// A duration times a factor, a year at most.
fn times(duration: Duration, factor: f64) -> Duration {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    let product = Duration::try_from_secs_f64(duration.as_secs_f64() * factor.max(0.0));
    product.unwrap_or(YEAR).min(YEAR)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn failure(code: impl Into<Code>, retry_after: Option<Duration>) -> Failure {
        Failure { retry_after, ..Failure::new(code, "") }
    }

    fn situation(now: Instant) -> Situation {
        Situation {
            others_pass: false,
            is_sudden: false,
            is_alone: true,
            is_crowded: false,
            now,
            random: 0.5,
        }
    }

    fn due(next: NextStep) -> Option<Instant> {
        match next {
            NextStep::Again(wait) | NextStep::Halves(wait) => Some(wait.due),
            NextStep::Refuse | NextStep::GiveUp => None,
        }
    }

    #[test]
    fn codes_are_of_the_kind_that_the_specification_says() {
        use GrpcCode::*;
        for code in [Cancelled, DeadlineExceeded, Aborted, OutOfRange, Unavailable, DataLoss] {
            assert_eq!(kind(&failure(code, None)), Kind::Passing, "{code:?}");
        }
        let finals = [InvalidArgument, Internal, Unknown, FailedPrecondition, NotFound]
            .into_iter()
            .chain([AlreadyExists, PermissionDenied, Unimplemented, Unauthenticated]);
        for code in finals {
            let delay = Some(Duration::from_secs(1));
            assert_eq!(kind(&failure(code, None)), Kind::Final, "{code:?}");
            assert_eq!(kind(&failure(code, delay)), Kind::Final, "{code:?}");
        }
        for status in 200..600 {
            let is_passing = [429, 502, 503, 504].contains(&status);
            let wanted = if is_passing { Kind::Passing } else { Kind::Final };
            assert_eq!(kind(&failure(Code::Http(status), None)), wanted, "{status}");
        }
        assert_eq!(kind(&failure(ResourceExhausted, None)), Kind::Exhausted);
        let delay = Some(Duration::ZERO);
        assert_eq!(kind(&failure(ResourceExhausted, delay)), Kind::Passing, "that it is there");
        let too_large = Failure { is_too_large: true, ..failure(ResourceExhausted, None) };
        assert_eq!(kind(&too_large), Kind::TooLarge);
    }

    #[test]
    fn waits_grow_to_the_maximum_with_jitter_around_them() {
        let settings = RetrySettings::default();
        let mut backoff = Backoff::new(&settings);
        let mut next = |random| backoff.step(&settings, random).as_secs_f64();
        assert_eq!(next(0.5), 5.0);
        assert_eq!(next(0.0), 3.75);
        assert_eq!(next(0.5), 11.25);
        for _ in 0..10 {
            next(0.5);
        }
        assert_eq!(next(0.5), 30.0);
        assert!((next(1.0) - 45.0).abs() < 1e-6);
    }

    #[test]
    fn what_the_backend_asks_for_is_obeyed_within_bounds_and_is_no_tight_loop() {
        let (settings, now) = (RetrySettings::default(), Instant::now());
        let mut history = History::new(&settings, now);
        let mut wait = |seconds| {
            let asked = failure(GrpcCode::Unavailable, Some(Duration::from_secs(seconds)));
            due(history.failed(&asked, situation(now), &settings)).unwrap() - now
        };
        assert_eq!(wait(90), Duration::from_secs(90));
        assert_eq!(wait(0), Duration::from_millis(7500), "no tight loop");
        assert_eq!(wait(1), Duration::from_millis(11_250), "the waits grow all the same");
        assert_eq!(wait(99_999_999_999), MAX_REQUESTED_DELAY);
        assert_eq!(wait(u64::MAX), MAX_REQUESTED_DELAY);
        let patient = RetrySettings { max_interval: Duration::from_secs(3600), ..settings };
        let asked = failure(Code::Http(503), Some(Duration::from_secs(u64::MAX)));
        assert_eq!(requested_delay(&asked, &patient), Some(patient.max_interval));
    }

    #[test]
    fn what_was_one_of_several_and_is_left_alone_starts_over() {
        let settings =
            RetrySettings { refuse_after_time: Duration::ZERO, ..RetrySettings::default() };
        let refused = failure(GrpcCode::InvalidArgument, None);
        let now = Instant::now();
        let mut history = History::new(&settings, now);
        let alone = Situation { others_pass: true, ..situation(now) };
        for _ in 0..100 {
            history.failed(&refused, Situation { is_alone: false, ..alone }, &settings);
        }
        assert!(!history.is_suspect(&settings));
        for _ in 1..settings.refuse_after_attempts {
            assert_ne!(history.failed(&refused, alone, &settings), NextStep::Refuse);
        }
        assert_eq!(history.failed(&refused, alone, &settings), NextStep::Refuse);
    }

    #[test]
    fn in_a_crowd_half_of_the_evidence_is_enough_but_not_before_the_time_and_not_none() {
        let (settings, start) = (RetrySettings::default(), Instant::now());
        let later = start + settings.refuse_after_time;
        let passing = failure(GrpcCode::Unavailable, None);
        let mut history = History::new(&settings, start);
        let crowd = Situation { is_crowded: true, ..situation(start) };
        let counted = Situation { others_pass: true, ..crowd };
        for _ in 0..100 {
            let mut innocent = history.clone();
            assert_ne!(innocent.failed(&passing, crowd, &settings), NextStep::Refuse);
            history = innocent;
        }
        for _ in 0..settings.refuse_after_attempts / 2 {
            assert!(!history.is_suspect(&settings));
            history.failed(&passing, counted, &settings);
        }
        assert!(history.is_suspect(&settings));
        assert_ne!(history.failed(&passing, crowd, &settings), NextStep::Refuse);
        let no_crowd = Situation { now: later, ..situation(start) };
        assert_ne!(history.failed(&passing, no_crowd, &settings), NextStep::Refuse);
        let crowd = Situation { now: later, ..crowd };
        assert_eq!(history.failed(&passing, crowd, &settings), NextStep::Refuse);
    }

    #[test]
    fn max_elapsed_time_ends_it_and_zero_never_does() {
        let (mut settings, start) = (RetrySettings::default(), Instant::now());
        let away = failure(GrpcCode::Unavailable, None);
        let after = |seconds, settings: &RetrySettings| {
            let later = situation(start + Duration::from_secs(seconds));
            History::new(settings, start).failed(&away, later, settings)
        };
        assert!(due(after(365 * 86_400, &settings)).is_some());
        settings.max_elapsed_time = Duration::from_secs(60);
        assert!(due(after(55, &settings)).is_some());
        assert_eq!(after(56, &settings), NextStep::GiveUp);
    }

    #[test]
    fn absurd_settings_do_not_overflow() {
        let settings = RetrySettings {
            initial_interval: Duration::MAX,
            max_interval: Duration::MAX,
            multiplier: 100.0,
            ..RetrySettings::default()
        };
        let mut backoff = Backoff::new(&settings);
        for _ in 0..3 {
            assert!(backoff.step(&settings, 1.0) <= Duration::from_secs(365 * 86_400));
        }
    }

    fn failures() -> impl Strategy<Value = Failure> {
        let code = prop_oneof![
            (1..=16_i32).prop_map(|code| Code::Grpc(GrpcCode::from_i32(code))),
            (200..600_u16).prop_map(Code::Http),
        ];
        let delay = proptest::option::of(any::<u64>().prop_map(Duration::from_secs));
        (code, delay).prop_map(|(code, delay)| failure(code, delay))
    }

    proptest! {
        /// Whatever is answered, and whenever: without others that are accepted nothing is refused,
        /// and a request of several traces never is. It is sent again within bounds.
        #[test]
        fn nothing_is_refused_without_evidence(
            attempts in proptest::collection::vec((failures(), any::<bool>(), 0..100_000_u64), 1..200),
        ) {
            let settings = RetrySettings::default();
            let start = Instant::now();
            let mut history = History::new(&settings, start);
            let mut now = start;
            for (failure, is_alone, later) in attempts {
                now += Duration::from_secs(later);
                // One that is not alone may have all the evidence there is.
                let situation =
                    Situation { others_pass: !is_alone, is_sudden: true, is_alone, is_crowded: true, now, random: 1.0 };
                let next = history.failed(&failure, situation, &settings);
                let due = due(next).expect("it is sent again");
                prop_assert!(due >= now && due <= now + MAX_REQUESTED_DELAY);
            }
        }

        /// While others are accepted a trace that is alone is refused, after a bounded number of
        /// attempts and not before the bounded time, whatever is answered.
        #[test]
        fn with_evidence_every_trace_comes_to_its_end(
            answers in proptest::collection::vec(failures(), 1..20),
            refuse_after_attempts in 1..20_u32,
            seconds in 0..600_u64,
        ) {
            let refuse_after_time = Duration::from_secs(seconds);
            let settings =
                RetrySettings { refuse_after_attempts, refuse_after_time, ..RetrySettings::default() };
            let start = Instant::now();
            let (mut now, mut attempts) = (start, 0);
            let mut history = History::new(&settings, start);
            for answer in answers.iter().cycle() {
                attempts += 1;
                let situation = Situation { others_pass: true, random: 0.0, ..situation(now) };
                match history.failed(answer, situation, &settings) {
                    NextStep::Again(wait) => now = wait.due,
                    next => {
                        prop_assert_eq!(next, NextStep::Refuse);
                        break;
                    }
                }
            }
            prop_assert!(attempts >= refuse_after_attempts);
            // No wait is shorter than 2.5 s, but that which a backend asks for.
            let most = (refuse_after_attempts * PASSING_FACTOR).max(refuse_after_attempts + 600);
            prop_assert!(attempts <= most, "{attempts} attempts");
            prop_assert!(now - start >= refuse_after_time);
        }
    }

    #[test]
    fn a_trace_that_is_clearly_too_large_needs_no_evidence() {
        let (settings, mut now) = (RetrySettings::default(), Instant::now());
        let too_large = Failure { is_too_large: true, ..failure(Code::Http(413), None) };
        let mut of_many = History::new(&settings, now);
        let many = Situation { is_alone: false, ..situation(now) };
        let wait = Wait { due: now, until: Until::Drained };
        assert_eq!(of_many.failed(&too_large, many, &settings), NextStep::Halves(wait));
        let mut alone = of_many;
        for _ in 1..TOO_LARGE_ATTEMPTS {
            now = due(alone.failed(&too_large, situation(now), &settings)).unwrap();
        }
        assert_eq!(alone.failed(&too_large, situation(now), &settings), NextStep::Refuse);
    }

    #[test]
    fn what_may_pass_is_halved_only_when_others_pass_again_and_again() {
        let (settings, now) = (RetrySettings::default(), Instant::now());
        let mut history = History::new(&settings, now);
        let away = failure(GrpcCode::Unavailable, None);
        let mut halved = |others_pass| {
            let many = Situation { is_alone: false, others_pass, ..situation(now) };
            matches!(history.failed(&away, many, &settings), NextStep::Halves(_))
        };
        assert!((0..100).all(|_| !halved(false)));
        assert_eq!([halved(true), halved(true), halved(true)], [false, false, true]);
        for code in [GrpcCode::Unknown, GrpcCode::ResourceExhausted, GrpcCode::Unauthenticated] {
            let many = Situation { is_alone: false, ..situation(now) };
            let next = History::new(&settings, now).failed(&failure(code, None), many, &settings);
            assert!(matches!(next, NextStep::Halves(_)), "{code:?}: halving costs nothing");
        }
    }
}
