//! Captures of spans, read back: files or streams of OTLP, told apart by their content.
//!
//! Owns the formats: OTLP JSON documents (one a line, pretty-printed or back to back), one OTLP
//! protobuf message, and what the Collector's file exporter writes, which is the former or
//! messages behind their lengths; each also under zstd. A document or a message is one record of
//! Kafka. Promises to hold one record at a time, to say where what cannot be read stands, and to
//! go on behind it where that is possible. Leaves to others what the spans mean.

mod documents;
mod framed;
mod sniff;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use serde_json::Value;
use thiserror::Error;

use crate::ids::Timestamp;
use crate::otlp_json::{self, JsonError};
use documents::{Document, Documents};
use framed::Messages;
use sniff::Format;

/// Bytes that one record may have. Bounds what a broken length, or a document that never ends,
/// can take.
const MAX_RECORD: usize = 256 << 20;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedRecord {
    /// Its time, if the capture tells it (`recordTimestampMs` beside `resourceSpans`).
    pub timestamp: Option<Timestamp>,
    /// Its value: OTLP protobuf, not looked into yet where the capture is protobuf.
    pub payload: Vec<u8>,
    /// Where it stands, for messages: `line 7` or `byte 1024`.
    pub place: String,
}

/// Why a capture, or a record of it, cannot be read.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// The file cannot be read any further.
    #[error("{name}: cannot be read: {error}")]
    Io {
        /// What it is called.
        name: String,
        /// What the system says.
        error: io::Error,
    },
    /// The content is of no known format.
    #[error(
        "{name}: {found}; expected OTLP JSON (one `{{\"resourceSpans\": [...]}}` a line), an OTLP \
         protobuf message, or what the Collector's file exporter writes"
    )]
    Unknown {
        /// What it is called.
        name: String,
        /// What it looks like.
        found: String,
    },
    /// One record cannot be read. There may be more behind it.
    #[error("{name}:{place}: {message}")]
    Record {
        /// What the capture is called.
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
    /// If it cannot be read, or holds nothing that is known.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Self::new(name, Box::new(file)),
            Err(error) => Err(CaptureError::Io { name, error }),
        }
    }

    /// The capture that `input` holds; `name` is what errors call it.
    ///
    /// # Errors
    /// If it cannot be read, or holds nothing that is known.
    pub fn new(name: String, input: Box<dyn Read>) -> Result<Self, CaptureError> {
        match Self::records(input, true) {
            Ok(Ok(records)) => Ok(Self { name, records }),
            Ok(Err(found)) => Err(CaptureError::Unknown { name, found }),
            Err(error) => Err(CaptureError::Io { name, error }),
        }
    }

    /// What errors call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn records(input: Box<dyn Read>, may_be_packed: bool) -> io::Result<Result<Records, String>> {
        let (head, input) = sniff::peek(input)?;
        let input: Box<dyn io::BufRead> = Box::new(BufReader::with_capacity(1 << 16, input));
        Ok(Ok(match sniff::format(&head) {
            Format::Documents => Records::Documents(Documents::new(input, MAX_RECORD)),
            Format::Messages => Records::Messages(Messages::new(input, MAX_RECORD)),
            Format::Whole => Records::Whole(input),
            Format::Nothing => Records::End,
            Format::Packed if may_be_packed => {
                return Self::records(Box::new(zstd::Decoder::with_buffer(input)?), false);
            }
            Format::Packed => return Ok(Err("it is compressed twice".to_owned())),
            Format::Unknown(found) => return Ok(Err(found)),
        }))
    }

    fn read(&mut self) -> Option<Result<CapturedRecord, Failure>> {
        match &mut self.records {
            Records::Documents(documents) => match documents.next()? {
                Ok(document) => Some(json_record(&document)),
                Err(error) => Some(Err(Failure::Io(error))),
            },
            Records::Messages(messages) => match messages.next()? {
                Ok((start, message)) => Some(message_record(start, message)),
                Err(error) => Some(Err(error)),
            },
            Records::Whole(input) => {
                let record = whole(input);
                self.records = Records::End;
                Some(record)
            }
            Records::End => None,
        }
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

/// Why the next record cannot be had.
#[derive(Debug)]
enum Failure {
    /// There will be no other one.
    Io(io::Error),
    /// It is broken.
    Record { place: String, message: String },
}

impl Failure {
    fn at(place: impl ToString, message: impl Into<String>) -> Self {
        Self::Record { place: place.to_string(), message: message.into() }
    }
}

/// The record that a document stands for.
fn json_record(document: &Document) -> Result<CapturedRecord, Failure> {
    let first = document.line;
    if document.is_too_large {
        return Err(Failure::at(first, "the document is larger than 256 MiB"));
    }
    let value: Value = serde_json::from_slice(&document.text).map_err(|error| {
        let line = first + error.line().saturating_sub(1) as u64;
        let (reason, at) = (error.to_string(), error.column());
        let reason = reason.split(" at line ").next().unwrap_or_default();
        Failure::at(format!("{line}:{at}"), format!("not valid JSON: {reason}"))
    })?;
    let wrong = |message| Failure::at(first, message);
    let (timestamp, payload) = traces(&value).map_err(wrong)?;
    Ok(CapturedRecord { timestamp, payload, place: first.to_string() })
}

const SPANS: [&str; 2] = ["resourceSpans", "resource_spans"];
const TIME: [&str; 2] = ["recordTimestampMs", "record_timestamp_ms"];

/// The time, if it is given, and the value of the record that is written as `value`.
fn traces(value: &Value) -> Result<(Option<Timestamp>, Vec<u8>), String> {
    let expected = "expected `{\"resourceSpans\": [...]}`";
    let Some(fields) = value.as_object() else { return Err(expected.to_owned()) };
    let get = |names: [&str; 2]| names.iter().find_map(|name| fields.get(*name));
    let other = fields.keys().find(|key| !TIME.contains(&key.as_str()));
    if let (None, Some(other)) = (get(SPANS), other) {
        return Err(format!("{expected}, found `{other}` without it: only traces are read"));
    }
    let timestamp = get(TIME).filter(|time| !time.is_null()).map(|time| {
        let text = time.as_str().and_then(|text| text.parse().ok());
        let millis = time.as_i64().or(text).map(Timestamp);
        millis.ok_or_else(|| "recordTimestampMs: expected whole milliseconds".to_owned())
    });
    let payload = otlp_json::value_to_protobuf(value).map_err(|error| error.to_string())?;
    Ok((timestamp.transpose()?, payload))
}

/// The record that a message of the file exporter stands for: protobuf or JSON.
fn message_record(start: u64, message: Vec<u8>) -> Result<CapturedRecord, Failure> {
    let place = format!("byte {start}");
    let payload = match sniff::is_json(&message) {
        true => otlp_json::to_protobuf(&message)
            .map_err(|error: JsonError| Failure::at(&place, error.to_string()))?,
        false => message,
    };
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
