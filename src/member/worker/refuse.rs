//! A record's value on its way to the scan, and what is refused on that way.

use std::time::Duration;

use tracing::warn;

use super::partition::PartitionState;
use super::{Desk, Shared, Worker, current_or_revoked};
use crate::export::DeliveryId;
use crate::ids::{Offset, Partition};
use crate::kafka::dead_letters::{DeadLetters, Holds, Kind, Letter, LetterTicket};
use crate::kafka::source::Record;
use crate::otlp::encoding::{self, Compression, DecodeError, Decoded, Encoding};
use crate::otlp::{InvalidReason, Scan, ScanError, not_understood, only_invalid, scan};
use crate::telemetry::accounts::Amount;
use crate::telemetry::log_throttle::LogThrottle;
use crate::telemetry::metrics::Invalid;

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
        desk.counts.record_bytes += value.len() as u64;
        if encoding::is_plain(value) {
            self.read_protobuf(shared, desk, record, value, Encoding::OtlpProto);
            return;
        }
        let mut decoder = desk.decoder.take().unwrap_or_default();
        let Decoded { encoding, compression, protobuf } = decoder.decode(value);
        if let Some(compression) = compression {
            desk.counts.compressed[compression as usize] += 1;
        }
        match protobuf {
            Ok(protobuf) => self.read_protobuf(shared, desk, record, protobuf, encoding),
            Err(error) => {
                desk.counts.encoded[encoding as usize] += 1;
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
        if scanned.is_ok() && !found.spans.is_empty() {
            desk.counts.encoded[encoding as usize] += 1;
            self.arrive(shared, desk, record, protobuf, &found);
        } else {
            // JSON that was read is what it is.
            let is_doubtful = encoding == Encoding::OtlpProto;
            let again = if is_doubtful { encoding::look_again(protobuf) } else { None };
            let encoding = again.as_ref().map_or(encoding, |(other, _)| *other);
            desk.counts.encoded[encoding as usize] += 1;
            match (again, scanned) {
                (Some((_, Ok(json))), _) => match scan(&json, &self.in_force.keys, &mut found) {
                    Ok(()) => self.arrive_or_not(shared, desk, record, &json, &found),
                    Err(error) => self.refuse(shared, desk, record, &Refused::Scan(error)),
                },
                (Some((_, Err(error))), _) => {
                    self.refuse(shared, desk, record, &Refused::Decode(error));
                }
                (None, Err(error)) => self.refuse(shared, desk, record, &Refused::Scan(error)),
                (None, Ok(())) => self.arrive_or_not(shared, desk, record, protobuf, &found),
            }
        }
        desk.scan = Some(found);
    }

    /// Takes in what a scan found, which may be no span at all.
    fn arrive_or_not(
        &mut self,
        shared: &Shared,
        desk: &mut Desk,
        record: &Record<'_>,
        protobuf: &[u8],
        found: &Scan,
    ) {
        if found.spans.is_empty() && found.invalid.is_empty() {
            if let Some(what) = not_understood(protobuf) {
                let error = DecodeError::NotUnderstood(what);
                self.refuse(shared, desk, record, &Refused::Decode(error));
                return;
            }
            desk.counts.empty_records += 1;
        }
        self.arrive(shared, desk, record, protobuf, found);
    }

    /// Refuses a whole record.
    fn refuse(&mut self, shared: &Shared, desk: &mut Desk, record: &Record<'_>, why: &Refused) {
        let bytes = record.value.map_or(0, <[u8]>::len) as u64;
        let (reason, amount) = (why.reason(), Amount { traces: 0, spans: 0, bytes });
        desk.counts.received.add(amount);
        desk.counts.refuse(reason, amount);
        desk.counts.invalid_records[reason as usize] += 1;
        let message = why.message();
        shared.refusals.record(self.partition, record.offset, reason, &message);
        if shared.dead_letters.is_open() {
            let value = record.value.map(<[u8]>::to_vec);
            let letter = self.letter(Kind::Record, record, reason, message, value);
            self.send(shared, desk, record.offset, letter);
        }
    }

    /// Refuses the invalid spans of a record: a letter for each reason.
    pub(super) fn refuse_spans(
        &mut self,
        shared: &Shared,
        desk: &mut Desk,
        record: &Record<'_>,
        value: &[u8],
        found: &Scan,
    ) {
        if found.invalid.is_empty() {
            return;
        }
        for span in &found.invalid {
            let amount = Amount { traces: 0, spans: 1, bytes: span.framed.len() as u64 };
            desk.counts.received.add(amount);
            desk.counts.refuse(invalid(span.reason), amount);
        }
        for (why, message) in [
            (InvalidReason::TraceId, "the trace id is not 16 bytes, or all zeros"),
            (InvalidReason::SpanId, "the span id is not 8 bytes, or all zeros"),
        ] {
            if found.invalid.iter().all(|span| span.reason != why) {
                continue;
            }
            let reason = invalid(why);
            shared.refusals.record(self.partition, record.offset, reason, message);
            if shared.dead_letters.is_open() {
                let spans = Some(only_invalid(value, found, why));
                let letter = self.letter(Kind::Spans, record, reason, message.to_owned(), spans);
                self.send(shared, desk, record.offset, letter);
            }
        }
    }

    fn letter(
        &self,
        kind: Kind,
        record: &Record<'_>,
        reason: Invalid,
        message: String,
        value: Option<Vec<u8>>,
    ) -> Letter {
        Letter {
            kind,
            reason: reason.label().to_owned(),
            message,
            partition: self.partition,
            offset: Some(record.offset),
            exporter: None,
            attempts: record.attempts,
            key: record.key.map(<[u8]>::to_vec),
            value,
            forwarded: record.headers.to_vec(),
        }
    }

    /// Sends a letter about the record in hand, whose offset is held back until it is settled.
    fn send(&mut self, shared: &Shared, desk: &mut Desk, offset: Offset, letter: Letter) {
        let ticket = LetterTicket {
            partition: self.partition,
            generation: self.generation(),
            holds: Holds::Record(self.watermark.pin(offset)),
            worker: self.worker,
        };
        self.letters += 1;
        desk.unsent.push_back((letter, ticket));
        send_letters(&shared.dead_letters, desk);
    }

    /// A letter is written or given up.
    pub(super) fn letter_settled(&mut self, shared: &Shared, desk: &mut Desk, holds: Holds) {
        match holds {
            Holds::Record(pin) => {
                debug_assert!(self.letters > 0, "a letter is settled once");
                self.letters -= 1;
                self.watermark.release(pin);
            }
            Holds::Delivery(number) => self.settled(shared, desk, DeliveryId(number)),
        }
        self.publish(desk);
    }
}

impl Worker {
    /// A letter is settled, of a partition that may be gone.
    pub(super) fn letter_settled(&mut self, ticket: LetterTicket) {
        let LetterTicket { partition, generation, holds, .. } = ticket;
        if let Some(state) = current_or_revoked(&mut self.partitions, partition, generation) {
            state.letter_settled(&self.shared, &mut self.desk, holds);
            self.feed();
            self.go_on_with_revocations();
        }
    }
}

/// Hands letters to the producer, in order, as far as it has room.
pub(super) fn send_letters(dead_letters: &DeadLetters, desk: &mut Desk) {
    while let Some((letter, ticket)) = desk.unsent.front() {
        if dead_letters.try_send(letter, *ticket).is_err() {
            break;
        }
        desk.unsent.pop_front();
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

/// What is said, once in a while, about records that are refused: by reason, so that none hides
/// another.
#[derive(Debug)]
pub struct Refusals([LogThrottle; Invalid::ALL.len()]);

impl Default for Refusals {
    fn default() -> Self {
        Self(std::array::from_fn(|_| LogThrottle::new(Duration::from_secs(10))))
    }
}

impl Refusals {
    fn record(&self, partition: Partition, offset: Offset, reason: Invalid, message: &str) {
        if let Some(suppressed) = self.0[reason as usize].allow() {
            let (partition, offset, reason) = (partition.0, offset.0, reason.label());
            warn!(partition, offset, reason, message, suppressed, "record.refused");
        }
    }
}

// What the counts's places are numbered by.
const _: () = assert!(
    Invalid::SpanId as usize + 1 == Invalid::ALL.len()
        && Encoding::MangledText as usize + 1 == Encoding::ALL.len()
        && Compression::Zstd as usize + 1 == Compression::ALL.len()
);
