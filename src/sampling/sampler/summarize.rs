//! What the spans of a record say, into the summaries of their traces.

use std::ops::Range;

use crate::otlp::{AttributeKeys, Extras, Scan, ot_member};
use crate::sampling::facts::Summary;
use crate::sampling::policy::{Predicates, ResourceFacts};

/// What a scan has to look at for these questions to be answered.
pub fn keys_for(predicates: &Predicates) -> AttributeKeys {
    let needs = predicates.needs();
    let extras = Extras { details: needs.details, events: needs.events, scopes: needs.scopes };
    AttributeKeys::new(predicates.keys().iter().cloned()).with(extras)
}

/// What resource number `index` of a record says.
pub fn ask_resource(
    predicates: &Predicates,
    record: &[u8],
    found: &Scan,
    index: usize,
) -> ResourceFacts {
    predicates.ask_resource(found.resources[index].attributes.of(&found.attributes), record)
}

/// Adds what `spans`, which are all of one trace and one resource, say to the summary of their
/// trace. Their number and their bytes are counted where their bytes are kept.
pub fn summarize(
    predicates: &Predicates,
    resource: &ResourceFacts,
    record: &[u8],
    found: &Scan,
    spans: Range<usize>,
    summary: &mut Summary,
) {
    resource.enter(summary);
    for index in spans {
        let span = &found.spans[index];
        predicates.ask_span(span, span.attributes.of(&found.attributes), record, summary);
        if predicates.has_conditions() {
            predicates.ask_conditions(&found.view(index, record), &mut summary.facts);
        }
        summary.start_unix_nano = summary.start_unix_nano.min(span.start_unix_nano);
        summary.end_unix_nano = summary.end_unix_nano.max(span.end_unix_nano);
        if !span.trace_state.is_empty() && summary.explicit_randomness.is_none() {
            summary.explicit_randomness = ot_member::randomness(span.trace_state.of(record));
        }
    }
}
