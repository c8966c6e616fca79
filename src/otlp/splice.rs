//! What tailsieve writes on the spans it forwards.
//!
//! A splice: the fields that change are left out or appended, everything else is copied. What is
//! written depends on the span and the decision alone, so that a replay writes the same bytes.

use smallvec::SmallVec;

use super::ot_member;
use super::plain;
use super::wire::{
    Reader, ScanError, delimited_len, varint_len, write_delimited_head, write_varint,
};
use crate::otlp::probability::Threshold;

/// The attribute that names the policy a trace was kept by.
const POLICY_KEY: &str = "tailsieve.policy";

/// The attribute of a trace that was dropped, and is kept since somebody asked for it: `true`.
const RESTORED_KEY: &str = "tailsieve.restored";

/// The attribute that Honeycomb and ClickStack read: how many spans this one stands for.
const SAMPLE_RATE_KEY: &str = "SampleRate";

const SPANS_FIELD: u32 = 2;
const TRACE_STATE_FIELD: u32 = 3;
const ATTRIBUTES_FIELD: u32 = 9;

/// The chance with which a trace was kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Chance {
    /// It was kept with certainty: what came in stays as it is.
    #[default]
    Certain,
    /// Its randomness passed this threshold: the larger of this and the incoming one is written.
    Passed(Threshold),
    /// It is that of this threshold and has nothing to do with the trace's randomness, so that no
    /// threshold says it: an incoming one is erased. How many spans each stands for is known.
    Apart(Threshold),
    /// The chance is not known: an incoming threshold, and how many spans each stands for, are erased.
    Unknown,
}

impl Chance {
    /// The threshold that a span carries after one with `incoming` was kept.
    fn threshold_after(self, incoming: Option<Threshold>) -> Option<Threshold> {
        match self {
            Self::Certain => incoming,
            Self::Passed(threshold) => incoming.max(Some(threshold)),
            Self::Apart(_) | Self::Unknown => None,
        }
    }

    /// How many spans one with `incoming` stands for after it was kept.
    fn sample_rate_after(self, incoming: Option<Threshold>) -> SampleRate {
        let count = match self {
            Self::Certain if incoming.is_none() => return SampleRate::AsItIs,
            Self::Certain | Self::Passed(_) => {
                self.threshold_after(incoming).and_then(Threshold::adjusted_count)
            }
            Self::Apart(threshold) => {
                threshold.adjusted_count_after(incoming.unwrap_or(Threshold::ALWAYS))
            }
            Self::Unknown => None,
        };
        count.map_or(SampleRate::Erased, SampleRate::Written)
    }
}

/// What becomes of attribute `SampleRate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SampleRate {
    AsItIs,
    Erased,
    Written(i64),
}

/// What is written on the spans of a kept trace.
#[derive(Clone, Copy, Debug, Default)]
pub struct Additions<'a> {
    /// The value of attribute `tailsieve.policy`, if it is written.
    pub policy: Option<&'a str>,
    /// Whether attribute `tailsieve.restored` is written.
    pub restored: bool,
    /// The chance with which the trace was kept.
    pub chance: Chance,
    /// Whether `th` is written to the tracestate.
    pub tracestate: bool,
    /// Whether attribute `SampleRate` is written.
    pub sample_rate: bool,
}

impl Additions<'_> {
    /// True if spans stay as they are.
    fn is_nothing(&self) -> bool {
        let changes_threshold = self.chance != Chance::Certain;
        let has_attributes = self.policy.is_some() || self.restored || self.sample_rate;
        let changes_tracestate = self.tracestate && changes_threshold;
        !(has_attributes || changes_tracestate)
    }
}

/// What became of a span's tracestate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spliced {
    Done,
    /// The tracestate could not take the threshold, and was left as it was.
    MalformedTracestate,
}

/// Fields of a span that are not copied.
#[derive(Clone, Copy, Debug, Default)]
struct Replaced {
    trace_state: bool,
    policy: bool,
    restored: bool,
    sample_rate: bool,
}

/// Where the parts of a span's body are that may change.
#[derive(Debug, Default)]
struct Body<'a> {
    trace_state: &'a [u8],
    /// Which of the fields that may be replaced are there.
    found: Replaced,
    /// Fields to copy, as runs.
    kept: SmallVec<[(usize, usize); 4]>,
}

impl Body<'_> {
    /// True if some field is there that is to be replaced.
    fn has(&self, replaced: Replaced) -> bool {
        let Replaced { trace_state, policy, restored, sample_rate } = self.found;
        (trace_state && replaced.trace_state)
            || (policy && replaced.policy)
            || (restored && replaced.restored)
            || (sample_rate && replaced.sample_rate)
    }
}

/// What a chance makes of a tracestate. Kept from span to span: those of a trace have mostly the
/// same, and it takes longer than the rest of the splice.
#[derive(Debug)]
pub(super) struct Outcome {
    before: Vec<u8>,
    chance: Chance,
    /// The tracestate that takes its place, if another one does.
    after: Result<Option<String>, ot_member::Malformed>,
    sample_rate: SampleRate,
}

impl Outcome {
    fn of(before: &[u8], chance: Chance) -> Self {
        let incoming = ot_member::threshold(before);
        let resulting = chance.threshold_after(incoming);
        let is_changed = resulting != incoming;
        let after = is_changed.then(|| ot_member::with_threshold(before, resulting));
        let sample_rate = chance.sample_rate_after(incoming);
        Self { before: before.to_vec(), chance, after: after.transpose(), sample_rate }
    }

    fn is_of(&self, before: &[u8], chance: Chance) -> bool {
        self.before == before && self.chance == chance
    }
}

/// Appends `framed`, a span with its tag and length that was scanned, with `additions`. `last` is
/// of the span before.
pub(super) fn splice(
    framed: &[u8],
    additions: &Additions<'_>,
    last: &mut Option<Outcome>,
    out: &mut Vec<u8>,
) -> Result<Spliced, ScanError> {
    if additions.is_nothing() {
        out.extend_from_slice(framed);
        return Ok(Spliced::Done);
    }
    let mut head = Reader::new(framed, 0);
    head.tag()?;
    let (start, _) = head.delimited()?;
    let mut body = body(framed, start, Replaced::default())?;
    let (before, chance) = (body.trace_state, additions.chance);
    let known = last.take().filter(|last| last.is_of(before, chance));
    let outcome = last.insert(known.unwrap_or_else(|| Outcome::of(before, chance)));
    let (trace_state, spliced) = match &outcome.after {
        Ok(after) if additions.tracestate => (after.as_deref(), Spliced::Done),
        Err(ot_member::Malformed) if additions.tracestate => (None, Spliced::MalformedTracestate),
        _ => (None, Spliced::Done),
    };
    let sample_rate = match additions.sample_rate {
        true => outcome.sample_rate,
        false => SampleRate::AsItIs,
    };
    let replaced = Replaced {
        trace_state: trace_state.is_some(),
        policy: additions.policy.is_some(),
        restored: additions.restored,
        sample_rate: sample_rate != SampleRate::AsItIs,
    };
    if body.has(replaced) {
        body = self::body(framed, start, replaced)?;
    }
    let sample_rate = match sample_rate {
        SampleRate::Written(rate) => Some(rate.cast_unsigned()),
        SampleRate::AsItIs | SampleRate::Erased => None,
    };
    let attributes =
        Attributes { policy: additions.policy, restored: additions.restored, sample_rate };
    write(framed, &body, trace_state, &attributes, out);
    Ok(spliced)
}

/// Finds what is copied: all fields but those that are replaced.
fn body(framed: &[u8], start: usize, replaced: Replaced) -> Result<Body<'_>, ScanError> {
    let mut body = Body::default();
    let mut reader = Reader::new(framed, start);
    while !reader.is_at_end() {
        let field_start = reader.position();
        let tag = reader.tag()?;
        let goes = match tag.field {
            TRACE_STATE_FIELD => {
                let (start, end) = reader.delimited()?;
                body.trace_state = &framed[start..end];
                body.found.trace_state = true;
                replaced.trace_state
            }
            ATTRIBUTES_FIELD => {
                let (start, end) = reader.delimited()?;
                let key = match plain::key_of_checked(&framed[start..end]) {
                    Some(key) => key,
                    None => key_of(&framed[..end], start)?,
                };
                let is_policy = key == POLICY_KEY.as_bytes();
                let is_restored = key == RESTORED_KEY.as_bytes();
                let is_sample_rate = key == SAMPLE_RATE_KEY.as_bytes();
                body.found.policy |= is_policy;
                body.found.restored |= is_restored;
                body.found.sample_rate |= is_sample_rate;
                (replaced.policy && is_policy)
                    || (replaced.restored && is_restored)
                    || (replaced.sample_rate && is_sample_rate)
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

/// The attributes that are written.
struct Attributes<'a> {
    policy: Option<&'a str>,
    restored: bool,
    sample_rate: Option<u64>,
}

impl Attributes<'_> {
    fn policy_len(policy: &str) -> usize {
        attribute_len(POLICY_KEY, delimited_len(1, policy.len()))
    }

    fn restored_len() -> usize {
        attribute_len(RESTORED_KEY, 2)
    }

    fn rate_len(rate: u64) -> usize {
        attribute_len(SAMPLE_RATE_KEY, 1 + varint_len(rate))
    }

    /// The bytes of all of them.
    fn len(&self) -> usize {
        let Self { policy, restored, sample_rate } = *self;
        let of = |length| delimited_len(ATTRIBUTES_FIELD, length);
        policy.map_or(0, |policy| of(Self::policy_len(policy)))
            + if restored { of(Self::restored_len()) } else { 0 }
            + sample_rate.map_or(0, |rate| of(Self::rate_len(rate)))
    }

    fn write(&self, out: &mut Vec<u8>) {
        if let Some(policy) = self.policy {
            write_delimited_head(ATTRIBUTES_FIELD, Self::policy_len(policy), out);
            write_key(POLICY_KEY, delimited_len(1, policy.len()), out);
            write_delimited_head(1, policy.len(), out);
            out.extend_from_slice(policy.as_bytes());
        }
        if self.restored {
            write_delimited_head(ATTRIBUTES_FIELD, Self::restored_len(), out);
            write_key(RESTORED_KEY, 2, out);
            write_varint(2 << 3, out);
            write_varint(1, out);
        }
        if let Some(rate) = self.sample_rate {
            write_delimited_head(ATTRIBUTES_FIELD, Self::rate_len(rate), out);
            write_key(SAMPLE_RATE_KEY, 1 + varint_len(rate), out);
            write_varint(3 << 3, out);
            write_varint(rate, out);
        }
    }
}

fn write(
    framed: &[u8],
    body: &Body<'_>,
    trace_state: Option<&str>,
    attributes: &Attributes<'_>,
    out: &mut Vec<u8>,
) {
    let trace_state = trace_state.filter(|text| !text.is_empty());
    let length = body.kept.iter().map(|(start, end)| end - start).sum::<usize>()
        + trace_state.map_or(0, |text| delimited_len(TRACE_STATE_FIELD, text.len()))
        + attributes.len();
    write_delimited_head(SPANS_FIELD, length, out);
    let end = out.len() + length;
    for (start, end) in &body.kept {
        out.extend_from_slice(&framed[*start..*end]);
    }
    if let Some(text) = trace_state {
        write_delimited_head(TRACE_STATE_FIELD, text.len(), out);
        out.extend_from_slice(text.as_bytes());
    }
    attributes.write(out);
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
