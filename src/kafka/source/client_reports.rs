//! What the client of one consumer reports, until the poll loop takes it.
//!
//! Owns the reading of its statistics and what that needs to know: how many records the client has
//! returned, and whether fetching is paused. Used on the consumer's thread only, except for
//! [`is_connected`](ClientReports::is_connected).

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use tracing::debug;

use super::statistics::{ClientState, Statistics};
use crate::sync::lock;

/// The reports of one client.
#[derive(Debug)]
pub(super) struct ClientReports {
    statistics: Mutex<Statistics>,
    /// Those that were not taken yet.
    states: Mutex<Vec<ClientState>>,
    /// Records that the client has returned so far.
    polled: AtomicU64,
    /// Fetching is paused, and what was fetched ahead was thrown away.
    paused: AtomicBool,
    /// Some broker is connected.
    connected: AtomicBool,
}

impl ClientReports {
    pub(super) fn new() -> Self {
        Self {
            statistics: Mutex::new(Statistics::new(Instant::now())),
            states: Mutex::default(),
            polled: AtomicU64::new(0),
            paused: AtomicBool::new(false),
            connected: AtomicBool::new(false),
        }
    }

    /// Takes a report in, as the client made it of `topic`.
    pub(super) fn push(&self, topic: &str, statistics: &[u8]) {
        let polled = self.polled.load(Ordering::Relaxed);
        let state = lock(&self.statistics).read(topic, statistics, Instant::now(), polled);
        let Some(mut state) = state else {
            debug!("kafka.statistics_unreadable");
            return;
        };
        if self.paused.load(Ordering::Relaxed) {
            state.at_end.clear();
        }
        self.set_connected(state.connected);
        lock(&self.states).push(state);
    }

    /// Reports that came since the last call.
    pub(super) fn take(&self) -> Vec<ClientState> {
        std::mem::take(&mut lock(&self.states))
    }

    /// Forgets the positions in the reports so far: they were changed from outside.
    pub(super) fn forget(&self) {
        lock(&self.states).clear();
        lock(&self.statistics).forget(Instant::now());
    }

    /// The client has returned one more record.
    pub(super) fn count_polled(&self) {
        self.polled.fetch_add(1, Ordering::Relaxed);
    }

    /// Sets whether fetching is paused. Positions in reports of that time prove nothing.
    pub(super) fn set_paused(&self, is_paused: bool) {
        self.paused.store(is_paused, Ordering::Relaxed);
        self.forget();
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    pub(super) fn set_connected(&self, is_connected: bool) {
        self.connected.store(is_connected, Ordering::Relaxed);
    }
}
