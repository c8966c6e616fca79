//! Some of the traces that were decided last, remembered for those who look at a member.

use super::outcomes::Outcomes;
use crate::ids::Partition;
use crate::sampling::decided::SamplingDecision;
use crate::sampling::sampler::DecidedTrace;
use crate::telemetry::cut::beginning;
use crate::telemetry::latest::LatestTrace;
use crate::telemetry::metrics::TRIGGERS;

/// How much is remembered of a name, in bytes.
const LONGEST_NAME: usize = 256;

impl Outcomes<'_> {
    /// Remembers the trace, if there was not enough of its kind in this second.
    pub(super) fn remember(&self, decided: &DecidedTrace<'_>) {
        let is_kept = matches!(decided.recorded.decision, SamplingDecision::Kept(_));
        if self.shared.latest.wants(is_kept) {
            let trace = describe(self.settlement.origin().partition, decided);
            self.shared.latest.push(is_kept, trace);
        }
    }
}

/// What is shown of a trace of this partition.
pub(super) fn describe(partition: Partition, decided: &DecidedTrace<'_>) -> LatestTrace {
    let (summary, recorded) = (&decided.trace.summary, &decided.recorded);
    let details = decided.details();
    LatestTrace {
        trace_id: summary.trace_id,
        partition,
        at: recorded.at,
        policy: recorded.policy().cloned(),
        probability: recorded.probability(),
        trigger: TRIGGERS[recorded.trigger as usize],
        spans: summary.spans,
        bytes: summary.bytes,
        errors: summary.errors,
        duration: summary.duration(),
        service: some(&details.service),
        name: some(&details.name),
    }
}

/// A name, if there is one, as far as it is remembered.
fn some(name: &str) -> Option<String> {
    (!name.is_empty()).then(|| cut(name.to_owned()))
}

fn cut(mut text: String) -> String {
    if text.len() > LONGEST_NAME {
        text.truncate(beginning(&text, LONGEST_NAME).len());
        text.push('…');
    }
    text
}
