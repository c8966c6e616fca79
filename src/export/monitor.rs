//! Background tasks of an exporter: they probe a backend to which nothing is sent, and settle chunks
//! that wait in vain.
//!
//! A probe is a request without spans, with the forwarded headers (the tenant) of the request that was
//! accepted last. Before there was one, a backend with tenants may refuse the probe for lack of a
//! tenant; this counts as an answer.
//!
//! Probes are few: there are none while something waits or was accepted lately.

use std::sync::Arc;
use std::time::Duration;

use super::delivery::Shared;
use super::transport::Transport;

/// How often a backend that is down is probed while nothing waits for it.
pub(super) const PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// How long nothing may be accepted before a backend is probed for which nothing waits.
pub(super) const QUIET: Duration = Duration::from_secs(30);

/// How often to look for chunks that wait in vain.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Probes the backend while there is nothing to send.
pub(super) async fn probe<T: Transport>(shared: Arc<Shared>, transport: Arc<T>) {
    loop {
        let is_unknown = !shared.health.is_up() || shared.health.is_quiet(QUIET);
        if is_unknown && shared.queue.held_chunks() == 0 {
            let forwarded = shared.last_forwarded();
            let is_nobodys = forwarded.is_none() && shared.forwards_without_default;
            match transport.probe(forwarded.unwrap_or_default()).await {
                Ok(()) => shared.health.accepted(),
                // It answers. Whether it accepts the tenant is seen when spans come.
                Err(failure) if is_nobodys && failure.is_for_want_of_identity() => {
                    shared.health.accepted();
                }
                // A request with spans that was accepted meanwhile is better evidence.
                Err(failure) if shared.health.is_quiet(QUIET) || !shared.health.is_up() => {
                    shared.health.failed(&failure, shared.queue.held_bytes());
                }
                Err(_) => {}
            }
        }
        tokio::time::sleep(PROBE_INTERVAL).await;
    }
}

/// Settles what waits in vain, also while the backend is down.
pub(super) async fn sweep(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        shared.sweep();
    }
}
