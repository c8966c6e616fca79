//! Whether the backend accepts kept traces, for readiness and for the log.
//!
//! It is up when it has accepted something, if only a request without spans. It is down when it accepts
//! nothing any more, whatever it answers. Logs each change, and repeats it at a limited rate while it
//! stays down or flaps; remembers the reason.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use metrics::Gauge;
use tokio::time::Instant;
use tracing::Span;

use super::hint::Target;
use super::transport::Failure;
use crate::sync::lock;
use crate::telemetry::log_throttle::LogThrottle;

/// How often it is logged that a backend is still down.
const REPEAT: Duration = Duration::from_secs(30);

/// The state of the backend, as the last attempts show it.
pub(super) struct Health {
    exporter: String,
    endpoint: String,
    target: Target,
    up: AtomicBool,
    gauge: Gauge,
    logged: Mutex<Logged>,
    last: Mutex<Last>,
    /// The span of what was logged as an outage, until its end.
    outage: Mutex<Span>,
    limit: LogThrottle,
}

/// The last events.
#[derive(Default)]
struct Last {
    accepted_at: Option<Instant>,
    /// Why it is down.
    trouble: Option<String>,
}

/// What was logged last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Logged {
    Nothing,
    Up,
    Down,
}

impl Health {
    pub(super) fn new(exporter: &str, endpoint: String, target: Target, gauge: Gauge) -> Self {
        Self {
            exporter: exporter.to_owned(),
            endpoint,
            target,
            up: AtomicBool::new(false),
            gauge,
            logged: Mutex::new(Logged::Nothing),
            last: Mutex::default(),
            outage: Mutex::new(Span::none()),
            limit: LogThrottle::new(REPEAT),
        }
    }

    pub(super) fn exporter(&self) -> &str {
        &self.exporter
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Whether the backend accepts what it is sent. False before it did so first.
    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Why it is down: the last error.
    pub(super) fn trouble(&self) -> Option<String> {
        self.last().trouble.clone()
    }

    /// Whether nothing was accepted for this long.
    pub(super) fn is_quiet(&self, long: Duration) -> bool {
        self.last().accepted_at.is_none_or(|at| at.elapsed() >= long)
    }

    /// The backend accepted a request.
    pub(super) fn accepted(&self) {
        *self.last() = Last { accepted_at: Some(Instant::now()), trouble: None };
        let was_up = self.up.swap(true, Ordering::Relaxed);
        if was_up {
            return;
        }
        self.gauge.set(1.0);
        let _outage = std::mem::replace(&mut *lock(&self.outage), Span::none()).entered();
        // If the outage was not logged, its end is not logged either.
        if self.say(Logged::Up) {
            let (exporter, endpoint) = (&self.exporter, &self.endpoint);
            tracing::info!(exporter, endpoint, "export.backend_up");
        }
    }

    /// The backend accepts nothing or cannot be reached; `held_bytes` wait for it.
    pub(super) fn failed(&self, failure: &Failure, held_bytes: usize) {
        let said = shortened(&failure.message);
        let hint = self.target.hint(failure);
        let trouble = format!("{}: {said}", failure.code.name());
        self.last().trouble = Some(match hint {
            Some(hint) => format!("{trouble} ({hint})"),
            None => trouble,
        });
        self.up.store(false, Ordering::Relaxed);
        self.gauge.set(0.0);
        let Some(suppressed) = self.limit.allow_at(Instant::now().into_std()) else {
            return;
        };
        self.say(Logged::Down);
        let outage = self.outage(failure.code.name(), said);
        let _outage = outage.enter();
        tracing::warn!(
            exporter = self.exporter,
            endpoint = self.endpoint,
            code = failure.code.name(),
            error = said,
            hint,
            held_bytes,
            suppressed,
            effect = "kept traces wait, kafka is held back, nothing is lost; retrying",
            "export.backend_down"
        );
    }

    /// The span of this outage. As it begins only when one is logged, there are no more than that.
    fn outage(&self, code: &'static str, error: &str) -> Span {
        let mut outage = lock(&self.outage);
        if outage.is_none() {
            let (exporter, endpoint) = (&self.exporter, &self.endpoint);
            *outage = tracing::info_span!(
                "export.outage",
                exporter,
                endpoint,
                code,
                otel.status_description = error
            );
        }
        outage.clone()
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        lock(&self.last)
    }

    /// Notes what is logged; whether it is a change.
    fn say(&self, now: Logged) -> bool {
        let mut logged = lock(&self.logged);
        std::mem::replace(&mut *logged, now) != now
    }
}

/// The beginning of a text from a backend, which may be of any length.
pub(super) fn shortened(text: &str) -> &str {
    const MOST: usize = 500;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use tonic::Code;
    use tracing_subscriber::filter::filter_fn;
    use tracing_subscriber::fmt;
    use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

    use super::super::testing::failure;
    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn count(&self, text: &str) -> usize {
            let bytes = self.0.lock().unwrap().clone();
            String::from_utf8(bytes).unwrap().matches(text).count()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_log_tells_of_changes_and_repeats_itself_rarely() {
        let lines = Lines::default();
        let writer = lines.clone();
        // Lines are shown without the spans that they are in.
        let is_event = filter_fn(|metadata| metadata.is_event());
        let layer = fmt::layer().with_ansi(false).with_writer(move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(is_event));
        let _guard = tracing::subscriber::set_default(subscriber);
        let health =
            Health::new("default", "http://tempo:4317".to_owned(), Target::TOPIC, Gauge::noop());
        let down = failure(Code::Unavailable);

        health.accepted();
        health.accepted();
        assert_eq!(lines.count("export.backend_up"), 1);
        for _ in 0..5 {
            health.failed(&down, 17);
        }
        assert_eq!(lines.count("export.backend_down"), 1);
        assert_eq!(lines.count("http://tempo:4317"), 2);
        assert_eq!(lines.count("held_bytes=17"), 1);
        tokio::time::advance(REPEAT).await;
        health.failed(&down, 17);
        assert_eq!(lines.count("export.backend_down"), 2);
        assert_eq!(lines.count("suppressed=4"), 1);
        health.accepted();
        assert_eq!(lines.count("export.backend_up"), 2);

        // Flapping is not told each time.
        for _ in 0..5 {
            health.failed(&down, 17);
            health.accepted();
        }
        assert_eq!(lines.count("export.backend_down"), 2);
        assert_eq!(lines.count("export.backend_up"), 2);
    }
}
