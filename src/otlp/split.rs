//! A record split by trace: for each trace a record of its own, re-framed, not re-encoded.

use std::collections::HashMap;

use super::found::Scan;
use super::frame::{Framer, SpanSegment};
use super::keys::AttributeKeys;
use super::scan::scan;
use super::splice::Additions;
use super::wire::{Reader, ScanError, WireType, delimited_len};
use crate::ids::TraceId;
use crate::otlp::span::{Run, Slice};

const RESOURCE_SPANS_FIELD: u32 = 1;
const SCOPE_SPANS_FIELD: u32 = 2;

/// One of the records that a record was split into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The trace of all its spans; `None`: spans whose ids are of no use, of any trace.
    pub trace: Option<TraceId>,
    /// A `TracesData` message.
    pub bytes: Vec<u8>,
    /// How many spans are in it.
    pub spans: u32,
}

/// What a record comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SplitRecord {
    /// All its spans are of this trace, and it is not too large: it can stay as it is.
    Whole(TraceId),
    /// It has no spans, or none with an id: there is nothing to go by.
    Without,
    /// These take its place.
    Parts(Vec<Part>),
}

/// Splits records. Its buffers are used again from record to record.
#[derive(Debug)]
pub struct Splitter {
    max_bytes: usize,
    keys: AttributeKeys,
    found: Scan,
    framer: Framer,
    /// For what does not fit, however it is split.
    large: Framer,
}

/// A span and where it stands.
#[derive(Clone, Copy)]
struct Place {
    resource: usize,
    scope: usize,
    framed: Slice,
}

/// The spans of one trace, in order.
type Group = (Option<TraceId>, Vec<Place>);

impl Splitter {
    /// Makes records of at most `max_bytes`; a span that is larger gets a record of its own.
    pub fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            keys: AttributeKeys::default(),
            found: Scan::default(),
            framer: Framer::new(max_bytes),
            large: Framer::new(usize::MAX),
        }
    }

    /// Splits `record`, a `TracesData` message. Every span is in exactly one part, byte for byte,
    /// with all fields of its resource and scope; what stands beside the resources is in each part.
    ///
    /// # Errors
    /// If and only if the record is not such a message.
    pub fn split(&mut self, record: &[u8]) -> Result<SplitRecord, ScanError> {
        scan(record, &self.keys, &mut self.found)?;
        let found = &self.found;
        let Some(first) = found.spans.first() else { return Ok(SplitRecord::Without) };
        let is_one = found.spans.iter().all(|span| span.trace_id == first.trace_id);
        if is_one && found.invalid.is_empty() && record.len() <= self.max_bytes {
            return Ok(SplitRecord::Whole(first.trace_id));
        }
        let (groups, beside) = groups(record, found)?;
        let gather = |header: Run| {
            let pieces = header.of(&found.pieces).iter();
            pieces.flat_map(|piece| piece.of(record).iter().copied()).collect::<Vec<u8>>()
        };
        let resources: Vec<_> = found.resources.iter().map(|it| gather(it.header)).collect();
        let scopes: Vec<_> = found.scopes.iter().map(|it| gather(it.header)).collect();
        let mut parts = Vec::new();
        for (trace, places) in groups {
            let segment = |place: &Place| SpanSegment {
                resource: &resources[place.resource],
                scope: &scopes[place.scope],
                spans: place.framed.of(record),
            };
            let segments = places.iter().map(segment);
            let is_large = |it: &SpanSegment<'_>| size_alone(it) > self.max_bytes;
            let mut chunks = Vec::new();
            for large in segments.clone().filter(is_large) {
                let framed = self.large.frame(std::iter::once(large), &Additions::default());
                chunks.extend(framed.chunks);
            }
            let small = segments.filter(|segment| !is_large(segment));
            chunks.extend(self.framer.frame(small, &Additions::default()).chunks);
            parts.extend(chunks.into_iter().map(|chunk| {
                let mut bytes = chunk.bytes;
                bytes.extend_from_slice(&beside);
                Part { trace, bytes, spans: chunk.spans }
            }));
        }
        Ok(SplitRecord::Parts(parts))
    }
}

/// The size of a record that holds this span alone.
fn size_alone(segment: &SpanSegment<'_>) -> usize {
    let scope = segment.scope.len() + segment.spans.len();
    let resource = segment.resource.len() + delimited_len(SCOPE_SPANS_FIELD, scope);
    delimited_len(RESOURCE_SPANS_FIELD, resource)
}

/// The spans of a scanned record by trace, and the bytes of what is no `ResourceSpans`.
fn groups(record: &[u8], found: &Scan) -> Result<(Vec<Group>, Vec<u8>), ScanError> {
    let mut by_trace: HashMap<Option<TraceId>, usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    let mut valid = found.spans.iter().peekable();
    let mut add = |place: Place| {
        // Both walks come by the spans in the same order.
        let trace = valid.next_if(|span| span.framed == place.framed).map(|span| span.trace_id);
        let group = *by_trace.entry(trace).or_insert_with(|| {
            groups.push((trace, Vec::new()));
            groups.len() - 1
        });
        groups[group].1.push(place);
    };
    let mut beside = Vec::new();
    let (mut resource, mut scope) = (0, 0);
    for_each_field(record, 0, record.len(), |field| {
        if field.number != RESOURCE_SPANS_FIELD {
            beside.extend_from_slice(&record[field.start..field.end]);
            return Ok(());
        }
        for_each_field(record, field.body, field.end, |field| {
            if field.number != SCOPE_SPANS_FIELD {
                return Ok(());
            }
            for_each_field(record, field.body, field.end, |field| {
                if field.number == SPANS_FIELD {
                    let framed = Slice { start: field.start as u32, end: field.end as u32 };
                    add(Place { resource, scope, framed });
                }
                Ok(())
            })?;
            scope += 1;
            Ok(())
        })?;
        resource += 1;
        Ok(())
    })?;
    Ok((groups, beside))
}

const SPANS_FIELD: u32 = 2;

/// A field of a message: where it begins, where its contents do, where it ends.
pub(super) struct Field {
    pub(super) number: u32,
    pub(super) start: usize,
    pub(super) body: usize,
    pub(super) end: usize,
}

/// Comes by the fields of the message at `start..end`, which was scanned before.
pub(super) fn for_each_field(
    record: &[u8],
    start: usize,
    end: usize,
    mut visit: impl FnMut(Field) -> Result<(), ScanError>,
) -> Result<(), ScanError> {
    let mut reader = Reader::new(&record[..end], start);
    while !reader.is_at_end() {
        let start = reader.position();
        let tag = reader.tag()?;
        let mut body = reader.position();
        if tag.wire_type == WireType::Bytes {
            body = reader.delimited()?.0;
        } else {
            reader.skip(tag, super::wire::MAX_DEPTH)?;
        }
        visit(Field { number: tag.field, start, body, end: reader.position() })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    fn span(trace: u8, number: u8, bytes: usize) -> Span {
        Span {
            // Trace 0 has an invalid id.
            trace_id: vec![trace; 16],
            span_id: vec![number.max(1); 8],
            name: "n".repeat(bytes),
            ..Span::default()
        }
    }

    fn resource(number: usize, scopes: Vec<ScopeSpans>) -> ResourceSpans {
        let value = Some(AnyValue { value: Some(any_value::Value::IntValue(number as i64)) });
        let attribute = KeyValue { key: "service".into(), value, ..KeyValue::default() };
        ResourceSpans {
            resource: Some(Resource { attributes: vec![attribute], ..Resource::default() }),
            scope_spans: scopes,
            schema_url: format!("resource-{number}"),
        }
    }

    /// Spans with all that is around them, by trace: what must not change.
    fn contents(record: &[u8]) -> BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>> {
        let mut all = BTreeMap::<Vec<u8>, BTreeSet<Vec<u8>>>::new();
        for resource in TracesData::decode(record).unwrap().resource_spans {
            for scope in &resource.scope_spans {
                for span in &scope.spans {
                    let scope = ScopeSpans { spans: vec![span.clone()], ..scope.clone() };
                    let alone = ResourceSpans { scope_spans: vec![scope], ..resource.clone() };
                    all.entry(span.trace_id.clone()).or_default().insert(alone.encode_to_vec());
                }
            }
        }
        all
    }

    fn split(record: &[u8], max_bytes: usize) -> SplitRecord {
        Splitter::new(max_bytes).split(record).unwrap()
    }

    #[test]
    fn what_needs_no_splitting_stays() {
        let scope = |spans| vec![ScopeSpans { spans, ..ScopeSpans::default() }];
        let data = |spans| TracesData { resource_spans: vec![resource(1, scope(spans))] };
        let one = data(vec![span(1, 1, 5), span(1, 2, 5)]).encode_to_vec();
        let id = TraceId::from_slice(&[1; 16]).unwrap();
        assert_eq!(split(&one, 1000), SplitRecord::Whole(id));
        assert_eq!(split(&[], 1000), SplitRecord::Without);
        let invalid = data(vec![span(0, 1, 5)]).encode_to_vec();
        assert_eq!(split(&invalid, 1000), SplitRecord::Without);
        assert!(Splitter::new(1000).split(b"\xff\xff").is_err());
        let SplitRecord::Parts(parts) = split(&one, one.len() - 1) else { panic!("it stayed") };
        assert_eq!(parts.len(), 2, "a record that is too large is split by spans");
    }

    #[test]
    fn unknown_fields_are_kept_at_every_level() {
        let unknown = b"\xfa\x3e\x03abc"; // field 1007, three bytes
        let scoped = |trace: u8| {
            let mut scope =
                ScopeSpans { schema_url: "s".into(), ..ScopeSpans::default() }.encode_to_vec();
            scope.extend_from_slice(unknown);
            let mut span = span(trace, 1, 3).encode_to_vec();
            span.extend_from_slice(unknown);
            super::super::wire::write_delimited_head(SPANS_FIELD, span.len(), &mut scope);
            scope.extend(span);
            scope
        };
        let mut resource = resource(1, Vec::new()).encode_to_vec();
        resource.extend_from_slice(unknown);
        for trace in [1, 2] {
            let scope = scoped(trace);
            super::super::wire::write_delimited_head(2, scope.len(), &mut resource);
            resource.extend(scope);
        }
        let mut record = unknown.to_vec();
        super::super::wire::write_delimited_head(1, resource.len(), &mut record);
        record.extend(resource);
        let SplitRecord::Parts(parts) = split(&record, 1000) else { panic!("it stayed") };
        assert_eq!(parts.len(), 2);
        for part in parts {
            let found = part.bytes.windows(unknown.len()).filter(|it| it == unknown).count();
            assert_eq!(found, 4, "record, resource, scope and span");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn every_span_is_in_one_part_with_all_that_is_around_it(
            spans in prop::collection::vec((0..3_usize, 0..3_usize, 0..4_u8, 0..200_usize), 1..40),
            max_bytes in 60..400_usize,
        ) {
            let mut tree = BTreeMap::<usize, BTreeMap<usize, Vec<Span>>>::new();
            for (number, (resource, scope, trace, bytes)) in spans.iter().enumerate() {
                let spans = tree.entry(*resource).or_default().entry(*scope).or_default();
                spans.push(span(*trace, number as u8 + 1, *bytes));
            }
            let resource_spans = tree.into_iter().map(|(number, scopes)| {
                let scopes = scopes.into_iter().map(|(number, spans)| ScopeSpans {
                    spans,
                    schema_url: format!("scope-{number}"),
                    ..ScopeSpans::default()
                });
                resource(number, scopes.collect())
            });
            let record = TracesData { resource_spans: resource_spans.collect() }.encode_to_vec();
            let parts = match split(&record, max_bytes) {
                SplitRecord::Parts(parts) => parts,
                SplitRecord::Whole(trace) => {
                    prop_assert!(contents(&record).keys().eq([&trace.as_bytes().to_vec()]));
                    return Ok(());
                }
                SplitRecord::Without => {
                    prop_assert!(contents(&record).keys().eq([&vec![0; 16]]));
                    return Ok(());
                }
            };
            let mut merged = BTreeMap::<Vec<u8>, BTreeSet<Vec<u8>>>::new();
            let mut count = 0;
            for part in parts {
                prop_assert!(part.bytes.len() <= max_bytes || part.spans == 1);
                count += part.spans as usize;
                for (trace, found) in contents(&part.bytes) {
                    let id = part.trace.map_or(vec![0; 16], |id| id.as_bytes().to_vec());
                    prop_assert_eq!(&id, &trace);
                    merged.entry(trace).or_default().extend(found);
                }
            }
            prop_assert_eq!(count, spans.len());
            prop_assert_eq!(merged, contents(&record));
        }
    }
}
