//! A record's value on its way to the scan, and what is refused on that way.

use std::time::Duration;

use tracing::warn;

use super::partition::PartitionState;
use super::{Desk, Shared};
use crate::books::{Amount, Invalid};
use crate::encoding::{self, Compression, DecodeError, Decoded, Encoding};
use crate::ids::{Offset, Partition};
use crate::limited::Limited;
use crate::otlp::{InvalidReason, Scan, ScanError, scan};
use crate::source::Record;

/// Why a whole record is refused.
enum Refused {
    NullValue,
    Decode(DecodeError),
    Scan(ScanError),
}

impl PartitionState {
    pub(super) fn read_value(&mut self, shared: &Shared, desk: &mut Desk, record: &Record<'_>) {
        let Some(value) = record.value else {
            self.refuse(shared, desk, record, &Refused::NullValue);
            return;
        };
        desk.tally.record_bytes += value.len() as u64;
        if encoding::is_plain(value) {
            self.read_protobuf(shared, desk, record, value, Encoding::OtlpProto);
            return;
        }
        let mut decoder = desk.decoder.take().unwrap_or_default();
        let Decoded { encoding, compression, protobuf } = decoder.decode(value);
        if let Some(compression) = compression {
            desk.tally.compressed[compression as usize] += 1;
        }
        match protobuf {
            Ok(protobuf) => self.read_protobuf(shared, desk, record, protobuf, encoding),
            Err(error) => {
                desk.tally.encoded[encoding as usize] += 1;
                self.refuse(shared, desk, record, &Refused::Decode(error));
            }
        }
        desk.decoder = Some(decoder);
    }

    fn read_protobuf(
        &mut self,
        shared: &Shared,
        desk: &mut Desk,
        record: &Record<'_>,
        protobuf: &[u8],
        encoding: Encoding,
    ) {
        let mut found = desk.scan.take().unwrap_or_default();
        let scanned = scan(protobuf, &self.in_force.keys, &mut found);
        let is_doubtful = scanned.is_err() || (found.spans.is_empty() && !found.invalid.is_empty());
        let other = if is_doubtful { encoding::recognise(protobuf) } else { None };
        desk.tally.encoded[other.unwrap_or(encoding) as usize] += 1;
        match (other, scanned) {
            (Some(other), _) => {
                let error = DecodeError::Unsupported(other);
                self.refuse(shared, desk, record, &Refused::Decode(error));
            }
            (None, Err(error)) => self.refuse(shared, desk, record, &Refused::Scan(error)),
            (None, Ok(())) => self.arrive(shared, desk, record, protobuf, &found),
        }
        desk.scan = Some(found);
    }

    /// Refuses a whole record.
    fn refuse(&mut self, shared: &Shared, desk: &mut Desk, record: &Record<'_>, why: &Refused) {
        let bytes = record.value.map_or(0, <[u8]>::len) as u64;
        let (reason, amount) = (why.reason(), Amount { traces: 0, spans: 0, bytes });
        desk.tally.received.add(amount);
        desk.tally.refuse(reason, amount);
        desk.tally.invalid_records[reason as usize] += 1;
        shared.refusals.record(self.partition, record.offset, reason, &why.message());
    }

    /// Refuses the invalid spans of a record.
    pub(super) fn refuse_spans(
        &mut self,
        desk: &mut Desk,
        _record: &Record<'_>,
        _value: &[u8],
        found: &Scan,
    ) {
        for span in &found.invalid {
            let amount = Amount { traces: 0, spans: 1, bytes: span.framed.len() as u64 };
            desk.tally.received.add(amount);
            desk.tally.refuse(invalid(span.reason), amount);
        }
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

/// What is said, once in a while, about records that are refused: by reason, so that none hides
/// another.
#[derive(Debug)]
pub struct Refusals([Limited; Invalid::ALL.len()]);

impl Default for Refusals {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Limited::new(Duration::from_secs(10))))
    }
}

impl Refusals {
    fn record(&self, partition: Partition, offset: Offset, reason: Invalid, message: &str) {
        if let Some(left_out) = self.0[reason as usize].allow() {
            let (partition, offset, reason) = (partition.0, offset.0, reason.label());
            warn!(partition, offset, reason, message, left_out, "record.refused");
        }
    }
}

// What the tally's places are numbered by.
const _: () = assert!(
    Invalid::SpanId as usize + 1 == Invalid::ALL.len()
        && Encoding::Avro as usize + 1 == Encoding::ALL.len()
        && Compression::Zstd as usize + 1 == Compression::ALL.len()
);
