//! What the service manager is told: systemd, for a unit of `Type=notify`, as sd_notify(3) has it.
//!
//! Promises to say nothing where nobody listens, that nothing is said of a reload before the first
//! word that the process is ready (a manager would take its end for that word), and that a manager
//! which cannot be told is no reason to stop. Leaves to others when these words are true.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

use super::log_throttle::LogThrottle;

/// The service manager that started the process, if one did and wants to be told. Clones are the same
/// one.
#[derive(Clone, Debug, Default)]
pub struct ServiceManager(Option<Arc<Listening>>);

#[derive(Debug)]
struct Listening {
    /// It was told that the process is ready.
    is_started: AtomicBool,
    /// It wants to be told again and again that the process lives.
    has_watchdog: bool,
    trouble: LogThrottle,
}

impl ServiceManager {
    /// The one that the environment names.
    pub fn from_env() -> Self {
        let listening = || Listening {
            is_started: AtomicBool::new(false),
            has_watchdog: sd_notify::watchdog_enabled().is_some(),
            trouble: LogThrottle::new(Duration::from_secs(60)),
        };
        Self(std::env::var_os("NOTIFY_SOCKET").map(|_| Arc::new(listening())))
    }

    /// Spans flow.
    pub fn ready(&self) {
        let Some(listening) = &self.0 else { return };
        listening.is_started.store(true, Ordering::Relaxed);
        listening.tell(&[NotifyState::Ready, NotifyState::Status("ready")]);
    }

    /// Spans do not flow: what is missing.
    pub fn not_ready(&self, missing: &str) {
        let Some(listening) = &self.0 else { return };
        // A line of its own would be a word of its own.
        let status = format!("not ready: {}", missing.replace(['\n', '\r'], " "));
        listening.tell(&[NotifyState::Status(&status)]);
    }

    /// Files are read again.
    pub fn reloading(&self) {
        let Some(listening) = self.started() else { return };
        match NotifyState::monotonic_usec_now() {
            Ok(now) => listening.tell(&[NotifyState::Reloading, now]),
            Err(_) => listening.tell(&[NotifyState::Reloading]),
        }
    }

    /// Files were read again, whatever came of it.
    pub fn reloaded(&self) {
        if let Some(listening) = self.started() {
            listening.tell(&[NotifyState::Ready]);
        }
    }

    /// Everything is handed over, and then the process ends.
    pub fn stopping(&self) {
        if let Some(listening) = &self.0 {
            listening.tell(&[NotifyState::Stopping, NotifyState::Status("handing over")]);
        }
    }

    /// The process lives.
    pub fn alive(&self) {
        if let Some(listening) = self.0.as_ref().filter(|it| it.has_watchdog) {
            listening.tell(&[NotifyState::Watchdog]);
        }
    }

    fn started(&self) -> Option<&Listening> {
        self.0.as_deref().filter(|it| it.is_started.load(Ordering::Relaxed))
    }
}

impl Listening {
    fn tell(&self, words: &[NotifyState<'_>]) {
        if let Err(error) = sd_notify::notify(words)
            && let Some(suppressed) = self.trouble.allow()
        {
            warn!(%error, suppressed, "service_manager.not_told");
        }
    }
}
