//! A dead letter: what was refused, why, and where it was read.

use std::time::SystemTime;

use crate::ids::{Offset, Partition};

/// The header that says what a letter holds: a [`Kind`] by its name.
pub const KIND: &str = "tailsieve.kind";

/// The header that says why, in a sentence.
pub const MESSAGE: &str = "tailsieve.message";

/// The headers that say where it was read.
pub const TOPIC: &str = "tailsieve.topic";
/// See [`TOPIC`].
pub const PARTITION: &str = "tailsieve.partition";

/// The header that names the exporter that could not deliver it.
pub const EXPORTER: &str = "tailsieve.exporter";

/// The header that says when it was refused (RFC 3339).
pub const TIMESTAMP: &str = "tailsieve.timestamp";

/// The header that names the reason.
pub const REASON: &str = "tailsieve.reason";

/// The header that counts how often the contents became a letter. `replay-dead-letters` copies it to
/// what it feeds back; a record without it was never a letter.
pub const ATTEMPTS: &str = "tailsieve.attempts";

/// The names of a letter's own headers begin with this.
pub const OWN_HEADERS: &str = "tailsieve.";

/// What a letter holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A record as it was read, key and value.
    Record,
    /// The invalid spans of a record whose other spans are valid: a `TracesData` of only those, with
    /// the record's key.
    Spans,
    /// Spans of kept traces that a backend refused for good: an `ExportTraceServiceRequest`.
    Refused,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Record, Self::Spans, Self::Refused];

    /// The value of its header.
    pub fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Spans => "spans",
            Self::Refused => "refused",
        }
    }
}

/// A letter to the dead-letter topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// What it holds.
    pub kind: Kind,
    /// Why it was refused, in a word: the `reason` of the metrics, or the code of a backend.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
    /// The partition it was read from.
    pub partition: Partition,
    /// The offset it was read at; `None` for what comes from several records.
    pub offset: Option<Offset>,
    /// The exporter that could not deliver it.
    pub exporter: Option<String>,
    /// How often its contents were refused before.
    pub attempts: u32,
    /// The key of the record.
    pub key: Option<Vec<u8>>,
    /// What was refused.
    pub value: Option<Vec<u8>>,
    /// Its forwarded headers, see [`record_headers`](crate::kafka::record_headers).
    pub forwarded: Vec<u8>,
}

impl Letter {
    /// A request, or a part of one, that the backend of `exporter` refused for good with this code
    /// and message.
    pub fn refused(
        partition: Partition,
        bytes: &[u8],
        exporter: &str,
        code: &str,
        message: &str,
    ) -> Self {
        Self {
            kind: Kind::Refused,
            reason: code.to_owned(),
            message: message.to_owned(),
            partition,
            offset: None,
            exporter: Some(exporter.to_owned()),
            attempts: 0,
            key: None,
            value: Some(bytes.to_vec()),
            forwarded: Vec::new(),
        }
    }

    /// Its headers. `topic` is where it was read, `now` is when it was refused.
    pub fn headers(&self, topic: &str, now: SystemTime) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            (KIND, self.kind.name().to_owned()),
            (REASON, self.reason.clone()),
            (MESSAGE, cut(&self.message)),
            (TOPIC, topic.to_owned()),
            (PARTITION, self.partition.0.to_string()),
        ];
        if let Some(offset) = self.offset {
            headers.push(("tailsieve.offset", offset.0.to_string()));
        }
        if let Some(exporter) = &self.exporter {
            headers.push((EXPORTER, exporter.clone()));
        }
        headers.push((TIMESTAMP, humantime::format_rfc3339_millis(now).to_string()));
        headers.push(("tailsieve.version", env!("CARGO_PKG_VERSION").to_owned()));
        headers.push((ATTEMPTS, (self.attempts + 1).to_string()));
        headers
    }
}

/// Cuts a message, which may quote what was refused, so that the letter fits.
fn cut(message: &str) -> String {
    const MOST: usize = 1000;
    match message.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &message[..end]),
        None => message.to_owned(),
    }
}
