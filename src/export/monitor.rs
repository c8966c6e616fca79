//! What an exporter does besides sending: it finds out whether a backend takes requests that nothing
//! is sent to, and looks for what waits in vain.
//!
//! They go as the last request that was accepted went, for the same tenant. Before there was one, a
//! backend of tenants may well refuse them, and is taken for one that is there.
//!
//! Requests without spans are few: while something waits or was accepted lately, there are none.

use std::sync::Arc;
use std::time::Duration;

use super::delivery::Shared;
use super::transport::Transport;

/// How often a backend that nothing waits for is asked whether it takes requests, while it is down.
pub(super) const PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// How long nothing may be accepted before a backend that nothing waits for is asked.
pub(super) const QUIET: Duration = Duration::from_secs(30);

/// How often it is looked for what waits in vain.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Finds out whether the backend takes requests while there is nothing to send that would show it.
pub(super) async fn probe<T: Transport>(shared: Arc<Shared>, transport: Arc<T>) {
    loop {
        let is_unknown = !shared.health.is_up() || shared.health.is_quiet(QUIET);
        if is_unknown && shared.queue.held_chunks() == 0 {
            let forwarded = shared.last_forwarded();
            let is_nobodys = forwarded.is_none() && shared.forwards_without_default;
            match transport.probe(forwarded.unwrap_or_default()).await {
                Ok(()) => shared.health.accepted(),
                // It answers, and whose spans they are is said by the spans: those will show.
                Err(failure) if is_nobodys && failure.is_for_want_of_identity() => {
                    shared.health.accepted();
                }
                // What was accepted meanwhile knows better, and what was handed in will.
                Err(failure) if shared.health.is_quiet(QUIET) || !shared.health.is_up() => {
                    shared.health.failed(&failure, shared.queue.held_bytes());
                }
                Err(_) => {}
            }
        }
        tokio::time::sleep(PROBE_INTERVAL).await;
    }
}

/// Settles what nobody waits for any more, also while the backend is down.
pub(super) async fn sweep(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        shared.sweep();
    }
}
