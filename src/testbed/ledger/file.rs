//! The ledger as a file: JSON lines, a header line with the settings, then one trace a line.
//!
//! Ids and the randomness are hexadecimal, so that the file can be searched for what a backend
//! shows. `duration_ms` is there for readers; it follows from the two times.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Ledger, SpanEntry, TraceEntry};
use crate::ids::{SpanId, TraceId};

/// The version of the form; others are refused.
const VERSION: u32 = 1;

/// Why a ledger could not be read.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// The file could not be read.
    #[error("cannot read the ledger: {0}")]
    Io(#[from] io::Error),
    /// A line is not what it should be.
    #[error("line {line} of the ledger: {reason}")]
    Malformed {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Header {
    tailsieve_ledger: u32,
    settings: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct TraceLine {
    trace_id: String,
    error: bool,
    duration_ms: u64,
    start_unix_nano: u64,
    end_unix_nano: u64,
    root_missing: bool,
    randomness: String,
    services: Vec<Cow<'static, str>>,
    spans: Vec<SpanLine>,
}

#[derive(Serialize, Deserialize)]
struct SpanLine {
    id: String,
    copies: u32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    late: bool,
}

impl Ledger {
    /// Writes the file form, traces in the order of their ids.
    pub fn write(&self, mut to: impl Write) -> io::Result<()> {
        let header = Header { tailsieve_ledger: VERSION, settings: self.settings.clone() };
        write_line(&mut to, &header)?;
        let mut ids: Vec<_> = self.traces.keys().collect();
        ids.sort_unstable();
        for id in ids {
            write_line(&mut to, &to_line(id, &self.traces[id]))?;
        }
        to.flush()
    }

    /// Reads the file form back.
    pub fn read(from: impl BufRead) -> Result<Self, LedgerError> {
        let mut lines = from.lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        let header: Header = parse(1, &first)?;
        if header.tailsieve_ledger != VERSION {
            let reason = format!("unknown version {}", header.tailsieve_ledger);
            return Err(LedgerError::Malformed { line: 1, reason });
        }
        let mut ledger = Self::new(header.settings);
        for (line, text) in (2..).zip(lines) {
            let (trace_id, entry) = from_line(parse(line, &text?)?).ok_or_else(|| {
                LedgerError::Malformed { line, reason: "invalid id or randomness".into() }
            })?;
            ledger.traces.insert(trace_id, entry);
        }
        Ok(ledger)
    }
}

fn write_line(to: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *to, value)?;
    to.write_all(b"\n")
}

fn parse<'a, T: Deserialize<'a>>(line: usize, text: &'a str) -> Result<T, LedgerError> {
    serde_json::from_str(text)
        .map_err(|error| LedgerError::Malformed { line, reason: error.to_string() })
}

fn to_line(id: &TraceId, trace: &TraceEntry) -> TraceLine {
    let spans = trace.spans.iter().map(|span| SpanLine {
        id: span.span_id.to_string(),
        copies: span.copies,
        late: span.late,
    });
    TraceLine {
        trace_id: id.to_string(),
        error: trace.error,
        duration_ms: trace.duration_ms(),
        start_unix_nano: trace.start_unix_nano,
        end_unix_nano: trace.end_unix_nano,
        root_missing: trace.root_missing,
        randomness: format!("{:014x}", trace.randomness),
        services: trace.services.clone(),
        spans: spans.collect(),
    }
}

fn from_line(line: TraceLine) -> Option<(TraceId, TraceEntry)> {
    let spans = line.spans.into_iter().map(|span| {
        Some(SpanEntry {
            span_id: span_id_from_hex(&span.id)?,
            late: span.late,
            copies: span.copies,
        })
    });
    let entry = TraceEntry {
        spans: spans.collect::<Option<_>>()?,
        error: line.error,
        start_unix_nano: line.start_unix_nano,
        end_unix_nano: line.end_unix_nano,
        root_missing: line.root_missing,
        services: line.services,
        randomness: u64::from_str_radix(&line.randomness, 16).ok()?,
    };
    Some((TraceId::from_hex(line.trace_id.as_bytes())?, entry))
}

/// The span id written as 16 hexadecimal digits.
pub(super) fn span_id_from_hex(hex: &str) -> Option<SpanId> {
    let all_digits = hex.len() == 16 && hex.bytes().all(|digit| digit.is_ascii_hexdigit());
    let id = all_digits.then(|| u64::from_str_radix(hex, 16).ok())??;
    SpanId::from_slice(&id.to_be_bytes())
}
