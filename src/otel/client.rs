//! Sends the requests of one signal, and tries again what may pass.
//!
//! Promises that a request is given up when its time is over, that what became of it is counted, and that
//! a receiver that is away is told in the log once in a while: here, and not to the receiver.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::counts::{Counts, Outcome};
use super::environment::EnvironmentError;
use super::settings::SignalSettings;
use crate::export::{Accepted, ExportError, OtlpClient, Protocol, Refused, Signal};
use crate::telemetry::log_throttle::LogThrottle;

/// How often it is logged that nothing can be sent.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The first wait between two attempts; each is twice as long as the one before.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// One attempt to send a request.
pub(super) trait Wire: Send + Sync + 'static {
    /// Sends it.
    fn send(&self, message: Bytes) -> impl Future<Output = Result<Accepted, Refused>> + Send;
}

impl Wire for OtlpClient {
    async fn send(&self, message: Bytes) -> Result<Accepted, Refused> {
        Self::send(self, message).await
    }
}

/// Sends requests of one signal; see the module.
pub(super) struct Client<W = OtlpClient> {
    signal: Signal,
    wire: W,
    /// Where to, without what is secret.
    endpoint: String,
    /// What to say where the receiver speaks the other protocol.
    hint: Option<&'static str>,
    counts: Arc<Counts>,
    throttle: LogThrottle,
    has_complained: AtomicBool,
    /// The process ends: nothing is waited for any more.
    stop: CancellationToken,
}

impl Client {
    /// A client. Must be made inside a runtime of tokio.
    ///
    /// # Errors
    /// When an endpoint, a header or a file cannot be used.
    pub(super) fn new(
        signal: Signal,
        to: &SignalSettings,
        counts: Arc<Counts>,
        stop: CancellationToken,
    ) -> Result<Self, EnvironmentError> {
        let wire = OtlpClient::new(&to.export, signal, to.place)
            .map_err(|error| refused(signal, to, &error))?;
        let endpoint = wire.endpoint().to_owned();
        let hint = hint(to.export.protocol, &endpoint);
        Ok(Self { hint, ..Self::over(wire, signal, endpoint, counts, stop) })
    }
}

impl<W: Wire> Client<W> {
    pub(super) fn over(
        wire: W,
        signal: Signal,
        endpoint: String,
        counts: Arc<Counts>,
        stop: CancellationToken,
    ) -> Self {
        let (throttle, has_complained) = (LogThrottle::new(LOG_INTERVAL), AtomicBool::new(false));
        Self { signal, wire, endpoint, hint: None, counts, throttle, has_complained, stop }
    }

    /// Sends a request with so many items, within `timeout` for all attempts. True if the receiver
    /// accepted it.
    pub(super) async fn export(&self, message: Vec<u8>, items: u64, timeout: Duration) -> bool {
        let message = Bytes::from(message);
        let deadline = Instant::now() + timeout;
        let mut wait = FIRST_WAIT;
        loop {
            let attempt = tokio::time::timeout_at(deadline, self.wire.send(message.clone())).await;
            let refused = match attempt {
                Ok(Ok(accepted)) => {
                    self.accepted(&accepted, items);
                    return true;
                }
                Ok(Err(refused)) => refused,
                Err(_elapsed) => Refused {
                    code: "DEADLINE_EXCEEDED",
                    message: "no answer within the export timeout".to_owned(),
                    may_pass: false,
                    retry_after: None,
                },
            };
            let next =
                refused.retry_after.unwrap_or_else(|| wait.mul_f64(rand::random_range(0.5..1.5)));
            wait = (wait * 2).min(LONGEST_WAIT);
            let is_over = self.stop.is_cancelled() || Instant::now() + next >= deadline;
            if !refused.may_pass || is_over {
                self.counts.count(self.signal, Outcome::Failed, items);
                self.complain(refused.code, &refused.message, items);
                return false;
            }
            tokio::select! {
                () = tokio::time::sleep(next) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    fn accepted(&self, accepted: &Accepted, items: u64) {
        let rejected = accepted.rejected.min(items);
        self.counts.count(self.signal, Outcome::Exported, items - rejected);
        self.counts.count(self.signal, Outcome::Rejected, rejected);
        if rejected > 0 {
            self.complain("partial_success", &accepted.message, rejected);
        } else if self.has_complained.swap(false, Ordering::Relaxed) {
            info!(signal = self.signal.name(), endpoint = self.endpoint, "otel.export_recovered");
        }
    }

    fn complain(&self, code: &str, error: &str, lost: u64) {
        let Some(suppressed) = self.throttle.allow() else { return };
        self.has_complained.store(true, Ordering::Relaxed);
        let (signal, endpoint, hint) = (self.signal.name(), &self.endpoint, self.hint);
        let effect = "own telemetry is lost, or told later; nothing else waits for it";
        warn!(signal, endpoint, code, error, hint, lost, suppressed, effect, "otel.export_failed");
    }
}

/// What an error of the settings is in the words of the environment.
fn refused(signal: Signal, to: &SignalSettings, error: &ExportError) -> EnvironmentError {
    let of = |what: &str| format!("OTEL_EXPORTER_OTLP_{what}");
    let (variable, reason) = match error {
        ExportError::Endpoint { endpoint, reason } => {
            (to.endpoint_variable.clone(), format!("{endpoint:?}: {reason}"))
        }
        ExportError::Header { name, reason } => (of("HEADERS"), format!("{name:?}: {reason}")),
        ExportError::Tls { what, reason } => {
            (of("CERTIFICATE, CLIENT_CERTIFICATE or CLIENT_KEY"), format!("{what}: {reason}"))
        }
        other => (of("ENDPOINT"), other.to_string()),
    };
    EnvironmentError { variable, reason: format!("{reason} (for {})", signal.name()) }
}

/// What to say if nothing works: the ports of the two protocols are often mixed up.
fn hint(protocol: Protocol, endpoint: &str) -> Option<&'static str> {
    match protocol {
        Protocol::Http if endpoint.ends_with(":4317") => {
            Some("4317 is the port of OTLP over gRPC: set OTEL_EXPORTER_OTLP_PROTOCOL=grpc")
        }
        Protocol::Grpc if endpoint.ends_with(":4318") => Some(
            "4318 is the port of OTLP over HTTP: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
        ),
        _ => None,
    }
}
