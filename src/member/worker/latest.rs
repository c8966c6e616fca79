//! Some of the traces that were decided last, remembered for those who look at a member.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;

use super::outcomes::Outcomes;
use crate::sampling::decided::SamplingDecision;
use crate::sampling::sampler::{DecidedTrace, Piece};
use crate::telemetry::cut::beginning;
use crate::telemetry::latest::LatestTrace;
use crate::telemetry::metrics::TRIGGERS;

/// Bytes of a trace in which its root span is looked for, and that a resource may have.
const MOST_BYTES: usize = 64 * 1024;

/// How much is remembered of a name, in bytes.
const LONGEST_NAME: usize = 256;

impl Outcomes<'_> {
    /// Remembers the trace, if there was not enough of its kind in this second.
    pub(super) fn remember(&self, decided: &DecidedTrace<'_>) {
        let is_kept = matches!(decided.recorded.decision, SamplingDecision::Kept(_));
        if self.shared.latest.wants(is_kept) {
            self.shared.latest.push(is_kept, self.describe(decided));
        }
    }

    fn describe(&self, decided: &DecidedTrace<'_>) -> LatestTrace {
        let (summary, recorded) = (&decided.trace.summary, &decided.recorded);
        let (service, name) = names(decided.pieces());
        LatestTrace {
            trace_id: summary.trace_id,
            partition: self.settlement.partition(),
            at: recorded.at,
            policy: recorded.policy().cloned(),
            probability: recorded.probability(),
            trigger: TRIGGERS[recorded.trigger as usize],
            spans: summary.spans,
            bytes: summary.bytes,
            errors: summary.errors,
            duration: summary.duration(),
            service,
            name,
        }
    }
}

/// The service and the name of the root span, if it is near the front; else those of the first span.
fn names<'a>(pieces: impl Iterator<Item = Piece<'a>>) -> (Option<String>, Option<String>) {
    let mut first = None;
    let mut left = MOST_BYTES;
    for Piece { segment, .. } in pieces {
        let Some(rest) = left.checked_sub(segment.spans.len()) else { break };
        left = rest;
        let spans = spans(segment.spans);
        if let Some(root) = spans.iter().find(|span| span.parent_span_id.is_empty()) {
            return (service(segment.resource), name(root));
        }
        if let (None, Some(span)) = (&first, spans.first()) {
            first = Some((service(segment.resource), name(span)));
        }
    }
    first.unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "a few traces a second, and a bounded part of them")]
fn spans(framed: &[u8]) -> Vec<Span> {
    ScopeSpans::decode(framed).map(|scope| scope.spans).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "a few traces a second, and a bounded part of them")]
fn service(resource: &[u8]) -> Option<String> {
    if resource.len() > MOST_BYTES {
        return None;
    }
    let resource = ResourceSpans::decode(resource).ok()?.resource?;
    let is_it = |key: &str| key == "service.name";
    let service = resource.attributes.into_iter().find(|attribute| is_it(&attribute.key))?;
    match service.value?.value? {
        Value::StringValue(text) => Some(cut(text)),
        _ => None,
    }
}

fn name(span: &Span) -> Option<String> {
    (!span.name.is_empty()).then(|| cut(span.name.clone()))
}

fn cut(mut text: String) -> String {
    if text.len() > LONGEST_NAME {
        text.truncate(beginning(&text, LONGEST_NAME).len());
        text.push('…');
    }
    text
}
