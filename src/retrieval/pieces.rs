//! The spans of an answer as bytes: whose they are, and how many fit.
//!
//! Promises that what is sent is as it was read, byte for byte: resources are left out or taken whole, except
//! for those that are larger than a message may be, and the one at which an answer is full.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::iter::Peekable;
use std::vec::IntoIter;

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
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

/// The first spans of a resource, as many as fit.
fn first(resource: &[u8], room: usize) -> Cow<'_, [u8]> {
    Cow::Owned(Split::new(resource, room).next().unwrap_or_default())
}

/// Divides resources into messages of at most `limit` bytes, and says whether spans were left out because
/// one alone is larger than that.
pub(super) fn messages(data: &Bytes, limit: usize) -> (Vec<Bytes>, bool) {
    let (mut messages, mut is_cut) = (Vec::new(), false);
    let (mut start, mut end) = (0, 0);
    for resource in resources(data) {
        if end + resource.len() - start > limit {
            messages.push(data.slice(start..end));
            start = end;
        }
        end += resource.len();
        if resource.len() > limit {
            let mut split = Split::new(resource, limit);
            messages.extend(split.by_ref().map(Bytes::from));
            is_cut |= split.is_cut;
            start = end;
        }
    }
    messages.push(data.slice(start..end));
    messages.retain(|message| !message.is_empty());
    (messages, is_cut)
}

/// The spans of a resource in messages of at most so many bytes, each with the resource.
struct Split {
    limit: usize,
    /// Without spans.
    resource: ResourceSpans,
    /// What is left: scopes without spans, and their spans.
    scopes: VecDeque<(ScopeSpans, Peekable<IntoIter<Span>>)>,
    /// A span was left out.
    is_cut: bool,
}

impl Split {
    #[expect(clippy::disallowed_methods, reason = "of one trace, which was scanned before")]
    fn new(resource: &[u8], limit: usize) -> Self {
        let data = TracesData::decode(resource).unwrap_or_default();
        let mut resource = data.resource_spans.into_iter().next().unwrap_or_default();
        let scopes = std::mem::take(&mut resource.scope_spans);
        let apart = |mut scope: ScopeSpans| {
            let spans = std::mem::take(&mut scope.spans);
            (scope, spans.into_iter().peekable())
        };
        Self { limit, resource, scopes: scopes.into_iter().map(apart).collect(), is_cut: false }
    }
}

impl Iterator for Split {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut taken = self.resource.clone();
        // What surrounds the spans grows as they do: lengths take up to 10 bytes each.
        let around = framed(taken.encoded_len()) + 2 * MOST_OF_A_LENGTH;
        let mut left = self.limit.saturating_sub(around);
        while let Some((scope, spans)) = self.scopes.front_mut() {
            let around = framed(scope.encoded_len()) + MOST_OF_A_LENGTH;
            let (mut scope, mut room) = (scope.clone(), left.saturating_sub(around));
            while let Some(span) = spans.next_if(|span| framed(span.encoded_len()) <= room) {
                room -= framed(span.encoded_len());
                scope.spans.push(span);
            }
            let is_done = spans.peek().is_none();
            if !scope.spans.is_empty() {
                taken.scope_spans.push(scope);
                left = room;
            } else if !is_done && taken.scope_spans.is_empty() {
                // It is larger than a message by itself.
                spans.next();
                self.is_cut = true;
                continue;
            }
            if !is_done {
                break;
            }
            self.scopes.pop_front();
        }
        let is_empty = taken.scope_spans.is_empty();
        (!is_empty).then(|| TracesData { resource_spans: vec![taken] }.encode_to_vec())
    }
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

    /// The spans of messages, each with its resource and scope.
    fn spans(messages: &[Bytes]) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        for message in messages {
            let resources = TracesData::decode(&message[..]).unwrap().resource_spans;
            assert!(!resources.is_empty());
            for resource in resources {
                for scope in &resource.scope_spans {
                    for span in &scope.spans {
                        let scope = ScopeSpans { spans: vec![span.clone()], ..scope.clone() };
                        let alone = ResourceSpans { scope_spans: vec![scope], ..resource.clone() };
                        all.push(alone.encode_to_vec());
                    }
                }
            }
        }
        all
    }

    #[test]
    fn messages_have_all_spans_unless_one_alone_is_too_large() {
        let all: Bytes = [resource("a", 3), resource("b", 5), resource("c", 1)].concat().into();
        let whole = spans(std::slice::from_ref(&all));
        let alone = whole.iter().map(|span| framed(span.len())).max().unwrap();
        let mut most = 0;
        for limit in (1..=all.len()).rev() {
            let (divided, is_cut) = messages(&all, limit);
            assert!(divided.iter().all(|message| message.len() <= limit), "{limit}");
            if is_cut {
                assert!(limit < alone + 4 * MOST_OF_A_LENGTH, "{limit}");
            } else {
                assert_eq!(spans(&divided), whole, "{limit}");
                most = divided.len();
            }
        }
        assert_eq!(messages(&all, all.len()), (vec![all.clone()], false), "as it was");
        assert_eq!(most, whole.len(), "at the end, a message for each span");
        assert_eq!(messages(&all, 1), (Vec::new(), true));
    }
}
