//! What the metrics say of reloads; the names are those of Prometheus's own reloads.

use std::time::{SystemTime, UNIX_EPOCH};

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

/// Handles of the metrics, taken once.
#[derive(Debug)]
pub(super) struct ReloadMetrics {
    successes: Counter,
    failures: Counter,
    last_successful: Gauge,
    last_success: Gauge,
}

impl ReloadMetrics {
    /// As they are after a start at `now`, when the file was good.
    pub(super) fn new(now: SystemTime) -> Self {
        describe();
        let reloads = |result| counter!("tailsieve_policy_reloads_total", "result" => result);
        let metrics = Self {
            successes: reloads("success"),
            failures: reloads("failure"),
            last_successful: gauge!("tailsieve_policy_last_reload_successful"),
            last_success: gauge!("tailsieve_policy_last_reload_success_timestamp_seconds"),
        };
        metrics.in_force_since(now);
        metrics
    }

    /// A good file was read.
    pub(super) fn succeeded(&self, now: SystemTime) {
        self.successes.increment(1);
        self.in_force_since(now);
    }

    /// A bad one was.
    pub(super) fn failed(&self) {
        self.failures.increment(1);
        self.last_successful.set(0.0);
    }

    fn in_force_since(&self, now: SystemTime) {
        self.last_successful.set(1.0);
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        self.last_success.set(seconds);
    }
}

/// The hash of the policies in force, in the text format of Prometheus. Written by hand: a series
/// of the recorder never goes, and each reload brings a new hash.
pub(super) fn render_hash(hash: &str) -> String {
    format!(
        "# HELP tailsieve_policy_info always 1; the label names the contents of the policy file in force\n\
         # TYPE tailsieve_policy_info gauge\n\
         tailsieve_policy_info{{hash=\"{hash}\"}} 1\n\n"
    )
}

fn describe() {
    let text = "times that the policy file was found changed, by what came of it";
    describe_counter!("tailsieve_policy_reloads_total", text);
    let text = "1 if the policy file was good when it was read last, else 0";
    describe_gauge!("tailsieve_policy_last_reload_successful", text);
    let text = "when a good policy file was read last, Unix time";
    let name = "tailsieve_policy_last_reload_success_timestamp_seconds";
    describe_gauge!(name, Unit::Seconds, text);
}
