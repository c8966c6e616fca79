//! What tailsieve writes on the spans it forwards.
//!
//! A splice: the fields that change are left out or appended, everything else is copied. What is
//! written depends on the span and the decision alone, so that a replay writes the same bytes.

use smallvec::SmallVec;

use super::plain;
use super::tracestate;
use super::wire::{
    Reader, ScanError, delimited_len, varint_len, write_delimited_head, write_varint,
};
use crate::probability::Threshold;

/// The attribute that names the policy a trace was kept by.
const POLICY_KEY: &str = "tailsieve.policy";

/// The attribute that Honeycomb and ClickStack read: how many spans this one stands for.
const SAMPLE_RATE_KEY: &str = "SampleRate";

const SPANS_FIELD: u32 = 2;
const TRACE_STATE_FIELD: u32 = 3;
const ATTRIBUTES_FIELD: u32 = 9;

/// What is written on the spans of a kept trace.
#[derive(Clone, Copy, Debug, Default)]
pub struct Additions<'a> {
    /// The value of attribute `tailsieve.policy`, if it is written.
    pub policy: Option<&'a str>,
    /// The threshold that the trace passed; `None` where it was kept with certainty.
    pub threshold: Option<Threshold>,
    /// The chance with which it was kept is unknown: an incoming threshold is erased.
    pub erase_threshold: bool,
    /// Whether `th` is written to the tracestate.
    pub tracestate: bool,
    /// Whether attribute `SampleRate` is written.
    pub sample_rate: bool,
}

impl Additions<'_> {
    /// True if spans stay as they are.
    fn is_nothing(&self) -> bool {
        let changes_threshold = self.threshold.is_some() || self.erase_threshold;
        self.policy.is_none() && !(self.tracestate && changes_threshold) && !self.sample_rate
    }
}

/// What became of a span's tracestate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spliced {
    Done,
    /// The tracestate could not take the threshold, and was left as it was.
    MalformedTracestate,
}

/// Where the parts of a span's body are that may change.
#[derive(Debug, Default)]
struct Body<'a> {
    trace_state: &'a [u8],
    has_trace_state: bool,
    /// Fields to copy, as runs.
    kept: SmallVec<[(usize, usize); 4]>,
}

/// Appends `framed`, a span with its tag and length that was scanned, with `additions`.
pub(super) fn splice(
    framed: &[u8],
    additions: &Additions<'_>,
    out: &mut Vec<u8>,
) -> Result<Spliced, ScanError> {
    if additions.is_nothing() {
        out.extend_from_slice(framed);
        return Ok(Spliced::Done);
    }
    let mut head = Reader::new(framed, 0);
    head.tag()?;
    let (start, _) = head.delimited()?;
    let mut body = body(framed, start, additions, false)?;
    let incoming = tracestate::threshold(body.trace_state);
    let resulting = resulting_threshold(additions, incoming);
    let mut outcome = Spliced::Done;
    let mut trace_state = None;
    if additions.tracestate && resulting != incoming {
        match tracestate::with_threshold(body.trace_state, resulting) {
            Ok(after) => trace_state = Some(after),
            Err(tracestate::Malformed) => outcome = Spliced::MalformedTracestate,
        }
    }
    if trace_state.is_some() && body.has_trace_state {
        body = self::body(framed, start, additions, true)?;
    }
    let sample_rate =
        if additions.sample_rate { resulting.and_then(Threshold::adjusted_count) } else { None };
    write(framed, &body, trace_state.as_deref(), additions.policy, sample_rate, out);
    Ok(outcome)
}

/// The threshold may only grow; it is erased where the chance is unknown.
fn resulting_threshold(
    additions: &Additions<'_>,
    incoming: Option<Threshold>,
) -> Option<Threshold> {
    if additions.erase_threshold {
        return None;
    }
    incoming.max(additions.threshold)
}

/// Finds what is copied: all fields but the attributes that are written anew, and the tracestate
/// if it is.
fn body<'a>(
    framed: &'a [u8],
    start: usize,
    additions: &Additions<'_>,
    replaces_trace_state: bool,
) -> Result<Body<'a>, ScanError> {
    let mut body = Body::default();
    let mut reader = Reader::new(framed, start);
    while !reader.is_at_end() {
        let field_start = reader.position();
        let tag = reader.tag()?;
        let goes = match tag.field {
            TRACE_STATE_FIELD => {
                let (start, end) = reader.delimited()?;
                body.trace_state = &framed[start..end];
                body.has_trace_state = true;
                replaces_trace_state
            }
            ATTRIBUTES_FIELD => {
                let (start, end) = reader.delimited()?;
                let key = match plain::key_of_checked(&framed[start..end]) {
                    Some(key) => key,
                    None => key_of(&framed[..end], start)?,
                };
                (additions.policy.is_some() && key == POLICY_KEY.as_bytes())
                    || (additions.sample_rate && key == SAMPLE_RATE_KEY.as_bytes())
            }
            _ => {
                reader.skip(tag, super::wire::MAX_DEPTH)?;
                false
            }
        };
        if goes {
            continue;
        }
        match body.kept.last_mut() {
            Some((_, end)) if *end == field_start => *end = reader.position(),
            _ => body.kept.push((field_start, reader.position())),
        }
    }
    Ok(body)
}

fn key_of(message: &[u8], start: usize) -> Result<&[u8], ScanError> {
    let mut key: &[u8] = b"";
    let mut reader = Reader::new(message, start);
    while !reader.is_at_end() {
        let tag = reader.tag()?;
        if tag.field == 1 {
            let (start, end) = reader.delimited()?;
            key = &message[start..end];
        } else {
            reader.skip(tag, super::wire::MAX_DEPTH)?;
        }
    }
    Ok(key)
}

fn write(
    framed: &[u8],
    body: &Body<'_>,
    trace_state: Option<&str>,
    policy: Option<&str>,
    sample_rate: Option<i64>,
    out: &mut Vec<u8>,
) {
    let trace_state = trace_state.filter(|text| !text.is_empty());
    let sample_rate = sample_rate.map(i64::cast_unsigned);
    let policy_len = |policy: &str| attribute_len(POLICY_KEY, delimited_len(1, policy.len()));
    let rate_len = |rate: u64| attribute_len(SAMPLE_RATE_KEY, 1 + varint_len(rate));
    let length = body.kept.iter().map(|(start, end)| end - start).sum::<usize>()
        + trace_state.map_or(0, |text| delimited_len(TRACE_STATE_FIELD, text.len()))
        + policy.map_or(0, |policy| delimited_len(ATTRIBUTES_FIELD, policy_len(policy)))
        + sample_rate.map_or(0, |rate| delimited_len(ATTRIBUTES_FIELD, rate_len(rate)));
    write_delimited_head(SPANS_FIELD, length, out);
    let end = out.len() + length;
    for (start, end) in &body.kept {
        out.extend_from_slice(&framed[*start..*end]);
    }
    if let Some(text) = trace_state {
        write_delimited_head(TRACE_STATE_FIELD, text.len(), out);
        out.extend_from_slice(text.as_bytes());
    }
    if let Some(policy) = policy {
        write_delimited_head(ATTRIBUTES_FIELD, policy_len(policy), out);
        write_key(POLICY_KEY, delimited_len(1, policy.len()), out);
        write_delimited_head(1, policy.len(), out);
        out.extend_from_slice(policy.as_bytes());
    }
    if let Some(rate) = sample_rate {
        write_delimited_head(ATTRIBUTES_FIELD, rate_len(rate), out);
        write_key(SAMPLE_RATE_KEY, 1 + varint_len(rate), out);
        write_varint(3 << 3, out);
        write_varint(rate, out);
    }
    debug_assert_eq!(out.len(), end, "a span's length is that of what is written");
}

/// Length of a `KeyValue` whose `AnyValue` is `value_len` bytes long.
fn attribute_len(key: &str, value_len: usize) -> usize {
    delimited_len(1, key.len()) + delimited_len(2, value_len)
}

/// The key of a `KeyValue`, and the head of its value.
fn write_key(key: &str, value_len: usize, out: &mut Vec<u8>) {
    write_delimited_head(1, key.len(), out);
    out.extend_from_slice(key.as_bytes());
    write_delimited_head(2, value_len, out);
}
