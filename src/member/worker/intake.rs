//! A record's value on its way to the sampler, and what is refused on that way.

use std::borrow::Cow;
use std::time::Duration;

use tracing::warn;

use super::context::Context;
use super::partition::PartitionState;
use crate::ids::{Offset, Partition};
use crate::kafka::dead_letters::{Kind, Letter};
use crate::kafka::source::Record;
use crate::otlp::encoding::{self, Compression, DecodeError, Decoder, Encoding};
use crate::otlp::{
    AttributeKeys, InvalidReason, Scan, ScanError, not_understood, only_invalid, scan,
};
use crate::sampling::sampler::ScannedRecord;
use crate::telemetry::accounts::{Amount, Counts};
use crate::telemetry::log_throttle::LogThrottle;
use crate::telemetry::metrics::Invalid;

/// Finds out what the values of records are, and where spans are in them.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Made for the first value that needs it.
    decoder: Option<Box<Decoder>>,
    found: Scan,
}

/// A value that was read.
pub(super) struct Value<'a> {
    /// As OTLP protobuf.
    bytes: Cow<'a, [u8]>,
    /// Where its spans are, if there are any.
    found: &'a Scan,
}

/// Why a whole record is refused.
pub(super) enum Refused {
    NullValue,
    Decode(DecodeError),
    Scan(ScanError),
}

impl Reader {
    /// Reads a record's value, looking for what `keys` say.
    pub(super) fn read<'a>(
        &'a mut self,
        value: Option<&'a [u8]>,
        keys: &AttributeKeys,
        counts: &mut Counts,
    ) -> Result<Value<'a>, Refused> {
        let value = value.ok_or(Refused::NullValue)?;
        counts.record_bytes += value.len() as u64;
        let Self { decoder, found } = self;
        let (encoding, bytes) = if encoding::is_plain(value) {
            (Encoding::OtlpProto, value)
        } else {
            let decoded = decoder.get_or_insert_default().decode(value);
            if let Some(compression) = decoded.compression {
                counts.compressed[compression as usize] += 1;
            }
            match decoded.protobuf {
                Ok(bytes) => (decoded.encoding, bytes),
                Err(error) => {
                    counts.encoded[decoded.encoding as usize] += 1;
                    return Err(Refused::Decode(error));
                }
            }
        };
        let scanned = scan(bytes, keys, found);
        if scanned.is_ok() && !found.spans.is_empty() {
            counts.encoded[encoding as usize] += 1;
            return Ok(Value { bytes: Cow::Borrowed(bytes), found });
        }
        // JSON that was read is what it is.
        let is_doubtful = encoding == Encoding::OtlpProto;
        let again = if is_doubtful { encoding::look_again(bytes) } else { None };
        let encoding = again.as_ref().map_or(encoding, |(other, _)| *other);
        counts.encoded[encoding as usize] += 1;
        let bytes = match again {
            Some((_, json)) => {
                let json = json.map_err(Refused::Decode)?;
                scan(&json, keys, found).map_err(Refused::Scan)?;
                Cow::Owned(json)
            }
            None => {
                scanned.map_err(Refused::Scan)?;
                Cow::Borrowed(bytes)
            }
        };
        if found.spans.is_empty() && found.invalid.is_empty() {
            if let Some(what) = not_understood(&bytes) {
                return Err(Refused::Decode(DecodeError::NotUnderstood(what)));
            }
            counts.empty_records += 1;
        }
        Ok(Value { bytes, found })
    }
}

impl<'a> Value<'a> {
    /// The spans, for the sampler.
    pub(super) fn of<'b>(&'b self, record: &Record<'b>) -> ScannedRecord<'b>
    where
        'a: 'b,
    {
        let (offset, forwarded) = (record.offset, record.headers);
        ScannedRecord { offset, forwarded, bytes: &self.bytes, found: self.found }
    }
}

impl PartitionState {
    /// Refuses a whole record.
    pub(super) fn refuse(&mut self, ctx: &mut Context, record: &Record<'_>, why: &Refused) {
        let bytes = record.value.map_or(0, <[u8]>::len) as u64;
        let (reason, amount) = (why.reason(), Amount { traces: 0, spans: 0, bytes });
        let counts = &mut ctx.counting.counts;
        counts.received.add(amount);
        counts.refuse(reason, amount);
        counts.invalid_records[reason as usize] += 1;
        let why = (reason, why.message());
        self.send_letter(ctx, record, why, || (Kind::Record, record.value.map(<[u8]>::to_vec)));
    }

    /// Refuses the invalid spans of a record: a letter for each reason.
    pub(super) fn refuse_spans(
        &mut self,
        ctx: &mut Context,
        record: &Record<'_>,
        value: &Value<'_>,
    ) {
        let Value { bytes, found } = value;
        if found.invalid.is_empty() {
            return;
        }
        for span in &found.invalid {
            let amount = Amount { traces: 0, spans: 1, bytes: span.framed.len() as u64 };
            ctx.counting.counts.received.add(amount);
            ctx.counting.counts.refuse(invalid(span.reason), amount);
        }
        for (why, message) in [
            (InvalidReason::TraceId, "the trace id is not 16 bytes, or all zeros"),
            (InvalidReason::SpanId, "the span id is not 8 bytes, or all zeros"),
        ] {
            if found.invalid.iter().any(|span| span.reason == why) {
                let spans = || (Kind::Spans, Some(only_invalid(bytes, found, why)));
                self.send_letter(ctx, record, (invalid(why), message.to_owned()), spans);
            }
        }
    }

    /// Says that something of a record is refused, and sends it as a letter if there is a topic for
    /// that. Its offset is held back until the letter is settled.
    fn send_letter(
        &mut self,
        ctx: &mut Context,
        record: &Record<'_>,
        (reason, message): (Invalid, String),
        what: impl FnOnce() -> (Kind, Option<Vec<u8>>),
    ) {
        let partition = self.origin.partition;
        ctx.shared.refusals.record(partition, record.offset, reason, &message);
        if !ctx.shared.dead_letters.is_open() {
            return;
        }
        let (kind, value) = what();
        let letter = Letter {
            kind,
            reason: reason.label().to_owned(),
            message,
            partition,
            offset: Some(record.offset),
            exporter: None,
            attempts: record.attempts,
            key: record.key.map(<[u8]>::to_vec),
            value,
            forwarded: record.headers.to_vec(),
        };
        self.settlement.refused(record.offset, letter, &mut ctx.outbox);
        ctx.send_letters();
    }
}

fn invalid(reason: InvalidReason) -> Invalid {
    match reason {
        InvalidReason::TraceId => Invalid::TraceId,
        InvalidReason::SpanId => Invalid::SpanId,
    }
}

impl Refused {
    fn reason(&self) -> Invalid {
        match self {
            Self::NullValue => Invalid::NullValue,
            Self::Scan(_) => Invalid::Malformed,
            Self::Decode(DecodeError::Compressed { .. }) => Invalid::Compressed,
            Self::Decode(DecodeError::TooLarge) => Invalid::TooLarge,
            Self::Decode(DecodeError::Json(_)) => Invalid::Json,
            Self::Decode(DecodeError::Unsupported(_)) => Invalid::Unsupported,
            Self::Decode(DecodeError::NotUnderstood(_)) => Invalid::NotUnderstood,
        }
    }

    fn message(&self) -> String {
        match self {
            Self::NullValue => "the record has no value".to_owned(),
            Self::Scan(error) => format!("it is not OTLP protobuf: {error}"),
            Self::Decode(error) => error.to_string(),
        }
    }
}

/// Logs refused records, at a limited rate for each reason, so that no reason hides another.
#[derive(Debug)]
pub struct Refusals {
    records: [LogThrottle; Invalid::ALL.len()],
    requests: LogThrottle,
}

impl Default for Refusals {
    fn default() -> Self {
        let throttle = || LogThrottle::new(Duration::from_secs(10));
        Self { records: std::array::from_fn(|_| throttle()), requests: throttle() }
    }
}

impl Refusals {
    fn record(&self, partition: Partition, offset: Offset, reason: Invalid, message: &str) {
        if let Some(suppressed) = self.records[reason as usize].allow() {
            let (partition, offset, reason) = (partition.0, offset.0, reason.label());
            warn!(partition, offset, reason, message, suppressed, "record.refused");
        }
    }

    /// A record asks for a trace in a way that is not understood.
    pub(super) fn request(&self, partition: Partition, offset: Offset) {
        if let Some(suppressed) = self.requests.allow() {
            let (partition, offset) = (partition.0, offset.0);
            let message = "the header tailsieve.keep is not understood, or the record has a value";
            warn!(partition, offset, message, suppressed, "keep.refused");
        }
    }
}

// Places among the counts have these numbers.
const _: () = assert!(
    Invalid::SpanId as usize + 1 == Invalid::ALL.len()
        && Encoding::MangledText as usize + 1 == Encoding::ALL.len()
        && Compression::Zstd as usize + 1 == Compression::ALL.len()
);
