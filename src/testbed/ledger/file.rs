//! The ledger as a file: JSON lines, a header line with the settings, then one trace a line.
//!
//! Ids and the randomness are hexadecimal, so that the file can be searched for ids that a backend
//! shows. `duration_ms` is for people; it follows from the two times.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::{Ledger, TraceEntry};
use crate::ids::TraceId;

/// The version of the format.
const VERSION: u32 = 1;

#[derive(Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
struct Header {
    tailsieve_ledger: u32,
    settings: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
struct TraceLine {
    trace_id: String,
    error: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    late_error: bool,
    duration_ms: u64,
    start_unix_nano: u64,
    end_unix_nano: u64,
    root_missing: bool,
    randomness: String,
    services: Vec<Cow<'static, str>>,
    spans: Vec<SpanLine>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
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
}

fn write_line(to: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *to, value)?;
    to.write_all(b"\n")
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
        late_error: trace.late_error,
        duration_ms: trace.duration_ms(),
        start_unix_nano: trace.start_unix_nano,
        end_unix_nano: trace.end_unix_nano,
        root_missing: trace.root_missing,
        randomness: format!("{:014x}", trace.randomness),
        services: trace.services.clone(),
        spans: spans.collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufRead;

    use super::*;
    use crate::ids::SpanId;
    use crate::testbed::ledger::SpanEntry;

    impl Ledger {
        /// Reads the file form back.
        pub(crate) fn read(from: impl BufRead) -> Self {
            let mut lines = from.lines().map(Result::unwrap);
            let header: Header = serde_json::from_str(&lines.next().unwrap()).unwrap();
            assert_eq!(header.tailsieve_ledger, VERSION);
            let traces = lines.map(|line| from_line(serde_json::from_str(&line).unwrap()));
            Self { traces: traces.collect(), ..Self::new(header.settings) }
        }
    }

    fn from_line(line: TraceLine) -> (TraceId, TraceEntry) {
        let spans = line.spans.into_iter().map(|SpanLine { id, copies, late }| {
            let id = u64::from_str_radix(&id, 16).unwrap();
            let span_id = SpanId::from_slice(&id.to_be_bytes()).unwrap();
            SpanEntry { span_id, late, copies }
        });
        let entry = TraceEntry {
            spans: spans.collect(),
            error: line.error,
            late_error: line.late_error,
            start_unix_nano: line.start_unix_nano,
            end_unix_nano: line.end_unix_nano,
            root_missing: line.root_missing,
            services: line.services,
            randomness: u64::from_str_radix(&line.randomness, 16).unwrap(),
        };
        (TraceId::from_hex(line.trace_id.as_bytes()).unwrap(), entry)
    }
}
