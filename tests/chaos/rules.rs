//! Which traces have to be kept: by the policies, since a span failed late, or since somebody asked for them.
//!
//! A reading of the policies of its own, which shares nothing with the pipeline under test.

use std::collections::BTreeSet;

use tailsieve::testing::ids::TraceId;
use tailsieve::testing::testbed::ledger::{TraceEntry, sampling_threshold};

/// The name of no policy: spans of a trace that somebody asked for name none.
const ON_REQUEST: &str = "";

/// The policy file number `version`: always the same traces are kept, under names and waits that
/// change, and those are re-opened of which a span fails late. With `quick`, a part of a trace may be kept where the whole one is not: whoever judges
/// parts is found out.
pub fn policies(version: u32, quick: bool) -> String {
    let wait = 8 + version % 2;
    let mut text = format!(
        "decision_wait: {wait}s
decision_wait_after_root_received: 3s
reopen: {{policies: [errors-v{version}]}}
policies:
  - name: errors-v{version}
    type: status_code
    status_code: {{status_codes: [ERROR]}}
  - name: slow-v{version}
    type: latency
    latency: {{threshold_ms: 1000}}
  - name: the-rest-v{version}
    type: probabilistic
    probabilistic: {{sampling_percentage: 10}}
"
    );
    if quick {
        text.push_str(&format!(
            "  - name: quick-v{version}
    type: latency
    latency: {{threshold_ms: 100, upper_threshold_ms: 140}}
"
        ));
    }
    text
}

/// Whether `name` is that of `policy` in some version of the file, or both are none.
pub fn is_version_of(name: &str, policy: &str) -> bool {
    match policy {
        ON_REQUEST => name.is_empty(),
        _ => name.rsplit_once("-v").is_some_and(|(name, _)| name == policy),
    }
}

/// What a run goes by.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// See [`policies`].
    pub quick: bool,
    /// Traces that somebody asked for.
    pub asked_for: BTreeSet<TraceId>,
}

impl Rules {
    /// The policy that keeps a trace when its time has come, if one does.
    pub fn kept_at_once_by(&self, trace: &TraceEntry) -> Option<&'static str> {
        let passes =
            sampling_threshold(10.0).is_some_and(|threshold| trace.randomness >= threshold);
        match trace.duration_ms() {
            _ if trace.error => Some("errors"),
            1001.. => Some("slow"),
            // Of policies that keep a trace, one that was certain to has it on its account.
            101..=140 if self.quick => Some("quick"),
            _ if passes => Some("the-rest"),
            _ => None,
        }
    }

    /// The policy by which a span that fails late re-opens it, if one does.
    pub fn reopened_by(&self, trace: &TraceEntry) -> Option<&'static str> {
        trace.late_error.then_some("errors")
    }

    /// The policies that a trace may name that is kept in the end; none if it is dropped. Somebody may have asked for
    /// it before a span of it failed, or later: then all of it was delivered, and what comes follows the request.
    pub fn kept_by(&self, id: TraceId, trace: &TraceEntry) -> Vec<&'static str> {
        if let Some(policy) = self.kept_at_once_by(trace) {
            return vec![policy];
        }
        let on_request = self.asked_for.contains(&id).then_some(ON_REQUEST);
        self.reopened_by(trace).into_iter().chain(on_request).collect()
    }

    /// Whether a trace may be re-opened, and kept on request, or not, as it was.
    pub fn may_be_taken_back(&self, id: TraceId, trace: &TraceEntry, was: (bool, bool)) -> bool {
        let is_dropped = self.kept_at_once_by(trace).is_none();
        let may_be = (trace.late_error && is_dropped, self.asked_for.contains(&id) && is_dropped);
        match was {
            // The request was on its way when a span failed, and found nothing left to deliver.
            (true, true) => may_be == (true, true),
            (true, false) => may_be.0,
            (false, true) => may_be.1,
            (false, false) => may_be == (false, false),
        }
    }
}
