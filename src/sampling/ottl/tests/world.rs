//! Conditions asked about the spans and events of a trace, the way a sampler asks them.

use prost::Message;

use super::json;
use crate::otlp::span::{EventView, KeyIndex, SpanView};
use crate::otlp::{AttributeKeys, Extras, Scan, scan};
use crate::sampling::ottl::{Condition, Context, EvalError, Fields, Skeleton, TraceFields};

/// The record of a JSON trace.
pub fn record(json: &str) -> Vec<u8> {
    json::traces(json).encode_to_vec()
}

/// The answer for every span of `record`, or for every event, in order. The root of the trace is
/// its first span without a parent.
pub fn answers(
    mut condition: Condition,
    record: &[u8],
    trace: TraceFields,
) -> Vec<Result<bool, EvalError>> {
    let keys = condition.attribute_keys().to_vec();
    condition.bind(|key| KeyIndex(keys.iter().position(|known| known == key).unwrap() as u16));
    let needs = condition.needs();
    let extras = Extras { details: needs.details, events: needs.events, scopes: needs.scopes };
    let keys = AttributeKeys::new(keys).with(extras);
    let mut found = Scan::default();
    scan(record, &keys, &mut found).unwrap();
    assert!(found.invalid.is_empty(), "the test has valid spans only");
    let views: Vec<SpanView<'_>> =
        (0..found.spans.len()).map(|index| found.view(index, record)).collect();
    let root = views.iter().find(|view| view.span.is_root);
    let mut answers = Vec::new();
    for view in &views {
        let fields = Fields { span: Some(view), root, trace: Some(trace), event: None };
        if condition.context() == Context::Span {
            answers.push(answer(&condition, condition.skeleton(), &fields));
            continue;
        }
        for event in view.details.events.of(&found.events) {
            let attributes = event.attributes.of(&found.attributes);
            let event = EventView { span: *view, event, attributes };
            let fields = Fields { event: Some(&event), span: None, ..fields };
            answers.push(answer(&condition, condition.skeleton(), &fields));
        }
    }
    answers
}

fn answer(
    condition: &Condition,
    skeleton: &Skeleton,
    fields: &Fields<'_>,
) -> Result<bool, EvalError> {
    skeleton.evaluate(&mut |leaf| condition.leaves()[leaf].evaluate(fields))
}
