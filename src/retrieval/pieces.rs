//! The spans of an answer as bytes: whose they are, and how many fit.
//!
//! Promises that what is sent is as it was read, byte for byte: resources are left out or taken whole, except
//! for the one at which an answer is full, of which the first spans are taken.

use std::borrow::Cow;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, TracesData};
use prost::Message as _;
use prost::encoding::{decode_varint, encoded_len_varint};

/// The tag of `TracesData.resource_spans`: field 1, length-delimited.
const RESOURCE_SPANS_TAG: u8 = 1 << 3 | 2;

/// The messages `ResourceSpans` of a `TracesData`, each with its tag and length. What else is there, or is
/// not in order, ends them.
pub(super) fn resources(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (tag, mut rest) = data.split_first()?;
        let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
        if *tag != RESOURCE_SPANS_TAG || rest.len() < length {
            return None;
        }
        let end = data.len() - rest.len() + length;
        let (resource, rest) = data.split_at(end);
        data = rest;
        Some(resource)
    })
}

/// Whether a resource, with its tag, has one of these values in this attribute.
#[expect(clippy::disallowed_methods, reason = "of one trace, which was scanned before")]
pub(super) fn is_of(resource: &[u8], attribute: &str, values: &[&str]) -> bool {
    // What cannot be told is nobody's.
    let Ok(data) = TracesData::decode(resource) else { return false };
    data.resource_spans.iter().all(|spans| {
        let attributes = spans.resource.iter().flat_map(|it| &it.attributes);
        let mut found = attributes.filter(|it| it.key == attribute).peekable();
        found.peek().is_some()
            && found.all(|it| match it.value.as_ref().and_then(|it| it.value.as_ref()) {
                Some(Value::StringValue(text)) => values.contains(&text.as_str()),
                _ => false,
            })
    })
}

/// Joins resources to one message of at most `limit` bytes, and says whether spans were left out.
pub(super) fn join<'a>(resources: impl Iterator<Item = &'a [u8]>, limit: usize) -> (Vec<u8>, bool) {
    let mut joined = Vec::new();
    let mut is_cut = false;
    for resource in resources {
        let room = limit - joined.len();
        let fits =
            if resource.len() <= room { Cow::Borrowed(resource) } else { first(resource, room) };
        is_cut |= fits.len() != resource.len();
        joined.extend_from_slice(&fits);
    }
    (joined, is_cut)
}

/// As many spans of a resource as fit.
#[expect(clippy::disallowed_methods, reason = "of one trace, which was scanned before")]
fn first(resource: &[u8], room: usize) -> Cow<'_, [u8]> {
    let Ok(TracesData { resource_spans }) = TracesData::decode(resource) else {
        return Cow::Owned(Vec::new());
    };
    let Some(mut spans) = resource_spans.into_iter().next() else { return Cow::Owned(Vec::new()) };
    let scopes = std::mem::take(&mut spans.scope_spans);
    let (mut cut, mut count) = (ResourceSpans { scope_spans: Vec::new(), ..spans }, 0);
    // What surrounds the spans grows as they do: lengths take up to 10 bytes each.
    let mut left = room.saturating_sub(framed(cut.encoded_len()) + 2 * MOST_OF_A_LENGTH);
    for scope in scopes {
        let mut of_scope = opentelemetry_proto::tonic::trace::v1::ScopeSpans {
            spans: Vec::new(),
            ..scope.clone()
        };
        let head = framed(of_scope.encoded_len()) + MOST_OF_A_LENGTH;
        let Some(mut room) = left.checked_sub(head) else { break };
        for span in scope.spans {
            let Some(rest) = room.checked_sub(framed(span.encoded_len())) else { break };
            room = rest;
            count += 1;
            of_scope.spans.push(span);
        }
        left = room;
        cut.scope_spans.push(of_scope);
    }
    let data = TracesData { resource_spans: if count == 0 { Vec::new() } else { vec![cut] } };
    Cow::Owned(data.encode_to_vec())
}

const MOST_OF_A_LENGTH: usize = 10;

/// The bytes of a message in another one.
fn framed(length: usize) -> usize {
    1 + encoded_len_varint(length as u64) + length
}

/// As OTLP JSON; `None` if there is text that is not UTF-8.
#[expect(clippy::disallowed_methods, reason = "of one trace, which was scanned before")]
pub(super) fn json(data: &[u8]) -> Option<Vec<u8>> {
    serde_json::to_vec(&TracesData::decode(data).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Span};

    use super::*;

    fn resource(tenant: &str, spans: usize) -> Vec<u8> {
        let value = Some(AnyValue { value: Some(Value::StringValue(tenant.to_owned())) });
        let attribute = KeyValue { key: "tenant".to_owned(), value, ..KeyValue::default() };
        let span = Span { name: "x".repeat(50), span_id: vec![1; 8], ..Span::default() };
        let scope = ScopeSpans { spans: vec![span; spans], ..ScopeSpans::default() };
        let resource = Resource { attributes: vec![attribute], ..Resource::default() };
        let spans = ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![scope.clone(), scope],
            ..ResourceSpans::default()
        };
        TracesData { resource_spans: vec![spans] }.encode_to_vec()
    }

    fn count(data: &[u8]) -> usize {
        let data = TracesData::decode(data).unwrap();
        let scopes = data.resource_spans.iter().flat_map(|it| &it.scope_spans);
        scopes.map(|scope| scope.spans.len()).sum()
    }

    #[test]
    fn a_resource_is_of_a_tenant_or_not() {
        let (shop, bank) = (resource("shop", 1), resource("bank", 2));
        let all = [shop.clone(), bank.clone()].concat();
        assert_eq!(resources(&all).collect::<Vec<_>>(), [&shop[..], &bank[..]]);
        assert!(is_of(&shop, "tenant", &["bank", "shop"]));
        assert!(!is_of(&shop, "tenant", &["bank"]) && !is_of(&shop, "tenant", &[]));
        assert!(!is_of(&shop, "team", &["shop"]) && !is_of(&shop[..20], "tenant", &["shop"]));
    }

    #[test]
    fn an_answer_is_cut_at_a_whole_span() {
        let all = [resource("a", 3), resource("b", 3)].concat();
        let cut = |limit| join(resources(&all), limit);
        assert_eq!(cut(all.len()), (all.clone(), false));
        let mut before = 12;
        for limit in (0..all.len()).rev() {
            let (joined, is_cut) = cut(limit);
            assert!(is_cut && joined.len() <= limit, "{limit}");
            assert!(count(&joined) <= before, "{limit}");
            before = count(&joined);
        }
        assert_eq!(count(&cut(all.len() - 1).0), 11);
        assert_eq!(before, 0);
    }
}
