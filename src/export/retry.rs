//! What a failure means: try again, when, or never (OTLP specification, "Failures" and
//! "OTLP/gRPC Throttling", "OTLP/HTTP Response").
//!
//! Functions of the failure and the settings; sleeping and random numbers are the caller's.

use std::time::Duration;

use tonic::Code as GrpcCode;

use super::code::Code;
use super::settings::RetrySettings;
use super::transport::Failure;

/// What to do with a request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The failure may pass: send the same again, after the given time if the backend said one.
    Retry(Option<Duration>),
    /// Send it in smaller requests; if it cannot be made smaller, retry.
    Shrink,
    /// Permanent, and perhaps the fault of one trace in it: find that one and refuse it alone.
    Isolate,
    /// Permanent for whatever is sent.
    Refuse,
}

/// What `failure` means for the request.
pub(super) fn judge(failure: &Failure, retry_on_resource_exhausted: bool) -> Verdict {
    let code = match failure.code {
        Code::Grpc(code) => code,
        Code::Http(status) => return judge_http(status, failure.retry_after),
    };
    judge_grpc(code, failure.retry_after, retry_on_resource_exhausted)
}

fn judge_http(status: u16, retry_after: Option<Duration>) -> Verdict {
    match status {
        429 | 502 | 503 | 504 => Verdict::Retry(retry_after),
        // The payload is at fault, or too large: smaller requests tell, or help.
        400 | 413 | 422 | 500 => Verdict::Isolate,
        _ => Verdict::Refuse,
    }
}

fn judge_grpc(
    code: GrpcCode,
    retry_after: Option<Duration>,
    retry_on_resource_exhausted: bool,
) -> Verdict {
    use GrpcCode as Code;
    match code {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Verdict::Retry(retry_after),
        // Whether `RetryInfo` is there decides, whatever delay it holds.
        Code::ResourceExhausted if retry_after.is_some() => Verdict::Retry(retry_after),
        Code::ResourceExhausted if retry_on_resource_exhausted => Verdict::Shrink,
        Code::InvalidArgument
        | Code::Internal
        | Code::Unknown
        | Code::ResourceExhausted
        | Code::FailedPrecondition => Verdict::Isolate,
        Code::Ok
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::Unimplemented
        | Code::Unauthenticated => Verdict::Refuse,
    }
}

/// The waits between the attempts of one request.
#[derive(Debug)]
pub(super) struct Backoff<'a> {
    settings: &'a RetrySettings,
    interval: Duration,
}

impl<'a> Backoff<'a> {
    pub(super) fn new(settings: &'a RetrySettings) -> Self {
        Self { settings, interval: settings.initial_interval.min(settings.max_interval) }
    }

    /// The wait before the next attempt, or `None` if that would be after `max_elapsed_time`.
    ///
    /// `told` is what the backend asked for; it is obeyed and does not count as a step, but a
    /// delay of zero is no reason to send in a tight loop. `elapsed` is the time since the first
    /// attempt, `random` an even draw from 0 to 1.
    pub(super) fn next(
        &mut self,
        told: Option<Duration>,
        elapsed: Duration,
        random: f64,
    ) -> Option<Duration> {
        let wait = match told {
            Some(told) if !told.is_zero() => told,
            _ => self.step(random),
        };
        let limit = self.settings.max_elapsed_time;
        let is_too_late = !limit.is_zero() && elapsed.saturating_add(wait) > limit;
        (!is_too_late).then_some(wait)
    }

    fn step(&mut self, random: f64) -> Duration {
        let spread = self.settings.randomization_factor * (2.0 * random - 1.0);
        let wait = self.interval.mul_f64((1.0 + spread).max(0.0));
        self.interval =
            self.interval.mul_f64(self.settings.multiplier).min(self.settings.max_interval);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: impl Into<Code>, retry_after: Option<Duration>) -> Failure {
        Failure { retry_after, ..Failure::new(code, "") }
    }

    #[test]
    fn every_status_is_judged_as_the_specification_says() {
        let verdict = |status| judge(&failure(Code::Http(status), None), true);
        for status in 300..600 {
            let wanted = match status {
                429 | 502 | 503 | 504 => Verdict::Retry(None),
                400 | 413 | 422 | 500 => Verdict::Isolate,
                _ => Verdict::Refuse,
            };
            assert_eq!(verdict(status), wanted, "{status}");
        }
        let told = Some(Duration::from_secs(7));
        assert_eq!(judge(&failure(Code::Http(503), told), false), Verdict::Retry(told));
        assert_eq!(judge(&failure(Code::Http(400), told), false), Verdict::Isolate);
    }

    #[test]
    fn every_code_is_judged_as_the_specification_says() {
        use GrpcCode::*;
        for code in [Cancelled, DeadlineExceeded, Aborted, OutOfRange, Unavailable, DataLoss] {
            assert_eq!(judge(&failure(code, None), false), Verdict::Retry(None));
        }
        for code in [InvalidArgument, Internal, Unknown, ResourceExhausted, FailedPrecondition] {
            assert_eq!(judge(&failure(code, None), false), Verdict::Isolate);
        }
        for code in [NotFound, AlreadyExists, PermissionDenied, Unimplemented, Unauthenticated] {
            assert_eq!(judge(&failure(code, None), false), Verdict::Refuse);
        }
    }

    #[test]
    fn retry_info_decides_on_resource_exhausted() {
        for delay in [Duration::ZERO, Duration::from_secs(7)] {
            assert_eq!(
                judge(&failure(GrpcCode::ResourceExhausted, Some(delay)), false),
                Verdict::Retry(Some(delay))
            );
        }
        assert_eq!(judge(&failure(GrpcCode::ResourceExhausted, None), true), Verdict::Shrink);
    }

    #[test]
    fn retry_info_does_not_make_a_permanent_code_retryable() {
        let failure = failure(GrpcCode::InvalidArgument, Some(Duration::from_secs(1)));
        assert_eq!(judge(&failure, false), Verdict::Isolate);
    }

    #[test]
    fn waits_grow_to_the_maximum_with_jitter_around_them() {
        let settings = RetrySettings::default();
        let mut backoff = Backoff::new(&settings);
        let mut next = |random| {
            let wait = backoff.next(None, Duration::ZERO, random);
            wait.unwrap().as_secs_f64()
        };
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
    fn what_the_backend_asks_for_is_obeyed_and_is_no_step() {
        let settings = RetrySettings::default();
        let mut backoff = Backoff::new(&settings);
        let told = Some(Duration::from_secs(90));
        assert_eq!(backoff.next(told, Duration::ZERO, 0.5), told);
        let zero = Some(Duration::ZERO);
        assert_eq!(backoff.next(zero, Duration::ZERO, 0.5), Some(Duration::from_secs(5)));
    }

    #[test]
    fn max_elapsed_time_ends_it_and_zero_never_does() {
        let mut settings = RetrySettings::default();
        let year = Duration::from_secs(365 * 86_400);
        assert!(Backoff::new(&settings).next(None, year, 0.5).is_some());
        settings.max_elapsed_time = Duration::from_secs(60);
        let mut backoff = Backoff::new(&settings);
        assert!(backoff.next(None, Duration::from_secs(55), 0.5).is_some());
        assert!(backoff.next(None, Duration::from_secs(55), 0.5).is_none());
    }
}
