//! Reads captures of spans: files or streams of OTLP, whose format is recognised by the content.
//!
//! Owns the formats: OTLP JSON documents (one a line, pretty-printed or back to back), the answers
//! of Tempo's and Jaeger's APIs, one OTLP protobuf message, and values after their lengths, as the
//! Collector's file exporter, `kcat` and `tailsieve capture` write them; each also compressed with gzip
//! or zstd. A document or a value is one Kafka record. Promises to hold one record at a time, to report
//! the place of what cannot be read, and to go on after it if that is possible. Leaves to others what
//! the spans mean.

mod answers;
mod compressed;
mod documents;
mod jaeger;
mod length_delimited;
mod sniff;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use serde_json::Value;
use thiserror::Error;

use crate::ids::Timestamp;
use crate::otlp::encoding::{self, Decoder};
use crate::otlp::json;
use answers::Contents;
use compressed::Fault;
use documents::{Document, Documents};
use length_delimited::Messages;
use sniff::Format;

/// Bytes that one record may have. Bounds the memory that a broken length, or a document that never
/// ends, can take.
const MAX_RECORD: usize = 256 << 20;

/// The known formats, for error messages.
pub const EXPECTED: &str = "OTLP JSON (one `{\"resourceSpans\": [...]}` a line), an OTLP protobuf \
    message, what the Collector's file exporter or `tailsieve capture` writes, or an answer of \
    Tempo's or Jaeger's API";

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedRecord {
    /// Its time, if the capture tells it (`recordTimestampMs` beside `resourceSpans`).
    pub timestamp: Option<Timestamp>,
    /// Its value: OTLP protobuf, which is not checked if the capture is protobuf.
    pub payload: Vec<u8>,
    /// Its place, for error messages: `line 7` or `byte 1024`.
    pub place: String,
}

/// Why a capture, or a record of it, cannot be read.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// The file cannot be read any further.
    #[error("{name}: cannot be read: {error}")]
    Io {
        /// Its name.
        name: String,
        /// What the system says.
        error: io::Error,
    },
    /// The format is not known.
    #[error(
        "{name}: {found}; expected {expected}", expected = EXPECTED
    )]
    Unknown {
        /// Its name.
        name: String,
        /// A guess at what it is.
        found: String,
    },
    /// One record cannot be read. There may be others after it.
    #[error("{name}:{place}: {message}")]
    Record {
        /// The name of the capture.
        name: String,
        /// The line, or the byte.
        place: String,
        /// What is wrong, and what was expected.
        message: String,
    },
}

impl CaptureError {
    /// True if only one record is lost.
    pub fn is_of_one_record(&self) -> bool {
        matches!(self, Self::Record { .. })
    }
}

/// The records of a capture, in order.
pub struct Capture {
    name: String,
    records: Records,
    /// The fault of the compressed data.
    fault: Fault,
    decoder: Decoder,
}

enum Records {
    Documents(Documents<Box<dyn io::BufRead>>),
    Messages(Messages<Box<dyn io::BufRead>>),
    Whole(Box<dyn io::BufRead>),
    End,
}

impl Capture {
    /// The capture in a file.
    ///
    /// # Errors
    /// If it cannot be read, or has no known format.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Self::new(name, Box::new(file)),
            Err(error) => Err(CaptureError::Io { name, error }),
        }
    }

    /// The capture in `input`; errors call it `name`.
    ///
    /// # Errors
    /// If it cannot be read, or has no known format.
    pub fn new(name: String, input: Box<dyn Read>) -> Result<Self, CaptureError> {
        let fault = Fault::default();
        match Self::records(input, true, &fault) {
            Ok(Ok(records)) => Ok(Self { name, records, fault, decoder: Decoder::default() }),
            Ok(Err(found)) => Err(CaptureError::Unknown { name, found }),
            Err(error) => Err(CaptureError::Io { name, error }),
        }
    }

    /// Its name in errors.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn records(
        input: Box<dyn Read>,
        may_be_packed: bool,
        fault: &Fault,
    ) -> io::Result<Result<Records, String>> {
        let (head, input) = sniff::peek(input)?;
        let input: Box<dyn io::BufRead> = Box::new(BufReader::with_capacity(1 << 16, input));
        Ok(Ok(match sniff::format(&head) {
            Format::Documents => Records::Documents(Documents::new(input, MAX_RECORD)),
            Format::Messages => Records::Messages(Messages::new(input, MAX_RECORD)),
            Format::Whole => Records::Whole(input),
            Format::Nothing => Records::End,
            Format::Packed(compression) if may_be_packed => {
                let contents = compressed::unpack(compression, input, fault.clone())?;
                return Self::records(contents, false, fault);
            }
            Format::Packed(_) => return Ok(Err("it is compressed twice".to_owned())),
            Format::Unknown(found) => return Ok(Err(found)),
        }))
    }

    fn read(&mut self) -> Option<Result<CapturedRecord, Failure>> {
        let next = match &mut self.records {
            Records::Documents(documents) => documents.next().map(|document| match document {
                Ok(document) => json_record(&document),
                Err(error) => Err(Failure::Io(error)),
            }),
            Records::Messages(messages) => messages.next().map(|message| {
                let (start, message) = message?;
                message_record(&mut self.decoder, start, &message)
            }),
            Records::Whole(input) => {
                let record = whole(input);
                self.records = Records::End;
                Some(record)
            }
            Records::End => None,
        };
        next.or_else(|| self.fault.take().map(|what| Err(Failure::at("its end", what))))
    }
}

impl Iterator for Capture {
    type Item = Result<CapturedRecord, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read()?;
        let name = self.name.clone();
        Some(read.map_err(|failure| match failure {
            Failure::Record { place, message } => CaptureError::Record { name, place, message },
            Failure::Io(error) => {
                self.records = Records::End;
                CaptureError::Io { name, error }
            }
        }))
    }
}

/// Why there is no next record.
#[derive(Debug)]
enum Failure {
    /// There are no more records.
    Io(io::Error),
    /// The record is broken.
    Record { place: String, message: String },
}

impl Failure {
    fn at(place: impl ToString, message: impl Into<String>) -> Self {
        Self::Record { place: place.to_string(), message: message.into() }
    }
}

/// The record of a document.
fn json_record(document: &Document) -> Result<CapturedRecord, Failure> {
    let first = document.line;
    if document.is_too_large {
        return Err(Failure::at(first, "the document is larger than 256 MiB"));
    }
    let wrong = |message| Failure::at(first, message);
    let mut record =
        CapturedRecord { timestamp: None, payload: Vec::new(), place: first.to_string() };
    let mut take = |value: Value| -> Result<Option<String>, String> {
        let (timestamp, payload) = match answers::contents(value)? {
            Contents::Otlp(value) => traces(&value)?,
            Contents::Protobuf(payload) => (None, payload),
            Contents::Logged(text) => return Ok(Some(text)),
        };
        record.timestamp = record.timestamp.or(timestamp);
        record.payload.extend(payload);
        Ok(None)
    };
    let logged = take(parse_one(first, &document.text)?).map_err(wrong)?;
    if let Some(text) = logged {
        let text = text.trim();
        let inner = &text[text.find('{').unwrap_or(0)..];
        take(parse_one(first, inner.as_bytes())?).map_err(wrong)?;
    }
    Ok(record)
}

/// The value of a text that begins in line `first`.
fn parse_one(first: u64, text: &[u8]) -> Result<Value, Failure> {
    let mut documents = json::parse(text).map_err(|error| {
        let line = first + error.line().saturating_sub(1) as u64;
        let (reason, at) = (error.to_string(), error.column());
        let reason = reason.split(" at line ").next().unwrap_or_default();
        Failure::at(format!("{line}:{at}"), format!("not valid JSON: {reason}"))
    })?;
    documents.pop().ok_or_else(|| Failure::at(first, "there is nothing in it"))
}

const TIME: [&str; 2] = ["recordTimestampMs", "record_timestamp_ms"];

/// The time, if it is given, and the value of the record in `value`.
fn traces(value: &Value) -> Result<(Option<Timestamp>, Vec<u8>), String> {
    let read = json::read(value);
    let mut time = None;
    if let Some(fields) = value.as_object() {
        let expected = "expected `{\"resourceSpans\": [...]}`";
        let other = fields.keys().find(|key| !TIME.contains(&key.as_str()));
        if let (false, Some(other)) = (json::is_traces(value), other) {
            return Err(format!("{expected}, found `{other}` without it: only traces are read"));
        }
        time = TIME.iter().find_map(|name| fields.get(*name)).filter(|time| !time.is_null());
    }
    let traces = read.map_err(|error| error.to_string())?;
    if let (0, Some(field)) = (traces.spans, traces.passed_over) {
        return Err(format!("no span in it is understood; it has {field}"));
    }
    let timestamp = time.map(|time| {
        let text = time.as_str().and_then(|text| text.parse().ok());
        let millis = time.as_i64().or(text).map(Timestamp);
        millis.ok_or_else(|| "recordTimestampMs: expected whole milliseconds".to_owned())
    });
    Ok((timestamp.transpose()?, traces.protobuf))
}

/// The record of a value, in any encoding that members read.
fn message_record(
    decoder: &mut Decoder,
    start: u64,
    message: &[u8],
) -> Result<CapturedRecord, Failure> {
    let place = format!("byte {start}");
    let wrong = |error: encoding::DecodeError| Failure::at(&place, error.to_string());
    let payload = decoder.decode(message).protobuf.map_err(wrong)?.to_vec();
    Ok(CapturedRecord { timestamp: None, payload, place })
}

/// All of `input` as one record.
fn whole(input: &mut dyn io::BufRead) -> Result<CapturedRecord, Failure> {
    let mut payload = Vec::new();
    let limit = MAX_RECORD as u64 * 4;
    let read = input.take(limit + 1).read_to_end(&mut payload).map_err(Failure::Io)?;
    let place = "byte 0".to_owned();
    if read as u64 > limit {
        return Err(Failure::at(place, "the message is larger than 1 GiB"));
    }
    Ok(CapturedRecord { timestamp: None, payload, place })
}

#[cfg(test)]
mod tests;
