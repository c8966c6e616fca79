//! The invalid spans of a record, as a record of their own.

use super::found::{InvalidReason, Scan};
use super::frame::{RESOURCE_SPANS_FIELD, SCOPE_SPANS_FIELD};
use super::wire::write_delimited_head;
use crate::otlp::span::Run;

/// A `TracesData` of those spans of `record` that are invalid for this reason, each as it was and
/// under its own resource and scope; `found` is what was found in `record`.
pub fn only_invalid(record: &[u8], found: &Scan, reason: InvalidReason) -> Vec<u8> {
    let mut bytes = Vec::new();
    let invalid: Vec<_> = found.invalid.iter().filter(|span| span.reason == reason).collect();
    for spans in invalid.chunk_by(|a, b| a.scope == b.scope) {
        let scope = &found.scopes[spans[0].scope as usize];
        let resource = &found.resources[scope.resource as usize];
        let mut scope_spans = header(record, found, scope.header);
        spans.iter().for_each(|span| scope_spans.extend_from_slice(span.framed.of(record)));
        let mut resource_spans = header(record, found, resource.header);
        write_delimited_head(SCOPE_SPANS_FIELD, scope_spans.len(), &mut resource_spans);
        resource_spans.append(&mut scope_spans);
        write_delimited_head(RESOURCE_SPANS_FIELD, resource_spans.len(), &mut bytes);
        bytes.append(&mut resource_spans);
    }
    bytes
}

fn header(record: &[u8], found: &Scan, header: Run) -> Vec<u8> {
    let pieces = header.of(&found.pieces).iter();
    pieces.flat_map(|piece| piece.of(record)).copied().collect()
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
    use prost::Message;

    use super::*;
    use crate::otlp::{AttributeKeys, scan};

    fn span(trace_id: usize, span_id: usize) -> Span {
        let name = format!("{trace_id}-{span_id}");
        Span { trace_id: vec![1; trace_id], span_id: vec![1; span_id], name, ..Span::default() }
    }

    fn resource(url: &str, scopes: Vec<Vec<Span>>) -> ResourceSpans {
        let scope = |(index, spans)| ScopeSpans {
            spans,
            schema_url: format!("{url}-{index}"),
            ..ScopeSpans::default()
        };
        let scope_spans = scopes.into_iter().enumerate().map(scope).collect();
        ResourceSpans { scope_spans, schema_url: url.to_owned(), ..ResourceSpans::default() }
    }

    #[test]
    fn invalid_spans_keep_their_resource_and_scope() {
        let good = || span(16, 8);
        let resource_spans = vec![
            resource("a", vec![vec![good(), span(15, 8), good(), span(1, 8)], vec![span(16, 9)]]),
            resource("b", vec![vec![good()], vec![span(0, 0), good()]]),
        ];
        let record = TracesData { resource_spans }.encode_to_vec();
        let mut found = Scan::default();
        scan(&record, &AttributeKeys::default(), &mut found).unwrap();
        let of = |reason| {
            let bytes = only_invalid(&record, &found, reason);
            let spans = TracesData::decode(bytes.as_slice()).unwrap().resource_spans;
            let scopes = spans.into_iter().map(|resource| {
                let [scope] = resource.scope_spans.try_into().unwrap();
                let names: Vec<_> = scope.spans.into_iter().map(|span| span.name).collect();
                (resource.schema_url, scope.schema_url, names.join(" "))
            });
            scopes.collect::<Vec<_>>()
        };
        let place = |resource: &str, scope: &str, names: &str| {
            (resource.to_owned(), scope.to_owned(), names.to_owned())
        };
        let expected = [place("a", "a-0", "15-8 1-8"), place("b", "b-1", "0-0")];
        assert_eq!(of(InvalidReason::TraceId), expected);
        assert_eq!(of(InvalidReason::SpanId), [place("a", "a-1", "16-9")]);
    }
}
