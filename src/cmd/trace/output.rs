//! A trace, as it is printed.

use std::io::Write;

use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message as _;
use serde_json::{Value, json};

use super::Output;
use super::tree::Tree;
use crate::cmd::decide::{self, Offline};
use crate::cmd::process::CommandError;
use crate::config::PolicyFile;
use crate::ids::{Partition, TraceId};
use crate::retrieval::{Entry, Fetched, Part, ReadBytes};

/// What was found of a trace.
pub(super) struct Shown<'a> {
    /// The topic with its spans.
    pub(super) topic: &'a str,
    pub(super) id: TraceId,
    pub(super) entries: &'a [Entry],
    pub(super) fetched: &'a Fetched,
    /// What had to be read to find the entries.
    pub(super) read: ReadBytes,
}

impl Shown<'_> {
    pub(super) fn write(
        &self,
        output: Output,
        policies: Option<&PolicyFile>,
        out: &mut impl Write,
    ) -> Result<(), CommandError> {
        match output {
            Output::Text => self.text(policies, out),
            Output::Json => Ok(writeln!(out, "{}", self.json())?),
            Output::OtlpJson => Ok(writeln!(out, "{}", otlp_json(&self.traces_data()))?),
            // Messages one after the other are one message, with the lists of all of them.
            Output::OtlpProto => {
                let mut parts = self.fetched.parts.iter();
                Ok(parts.try_for_each(|part| out.write_all(&part.bytes))?)
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "one trace, which was scanned before")]
    fn traces_data(&self) -> TracesData {
        let mut data = TracesData::default();
        for part in &self.fetched.parts {
            match TracesData::decode(part.bytes.as_slice()) {
                Ok(more) => data.resource_spans.extend(more.resource_spans),
                Err(_) => eprintln!(
                    "warning: the record at {} of partition {} has text that is not UTF-8: only \
                     --output otlp-proto shows its spans",
                    part.offset.0, part.partition.0
                ),
            }
        }
        data
    }

    fn json(&self) -> Value {
        let entries = self.entries.iter().map(Entry::value);
        let record = |part: &Part| {
            json!({
                "partition": part.partition.0,
                "offset": part.offset.0,
                "timestampUnixMilli": part.timestamp.0,
            })
        };
        json!({
            "traceId": self.id.to_string(),
            "topic": self.topic,
            "entries": entries.collect::<Vec<_>>(),
            "records": self.fetched.parts.iter().map(record).collect::<Vec<_>>(),
            "readBytes": {
                "decisionLog": self.read.log,
                "decisionIndex": self.read.index,
            },
            "missingRecords": self.fetched.missing,
            "trace": otlp_json(&self.traces_data()),
        })
    }

    fn text(
        &self,
        policies: Option<&PolicyFile>,
        out: &mut impl Write,
    ) -> Result<(), CommandError> {
        for entry in self.entries {
            writeln!(out, "{}", entry.text())?;
        }
        writeln!(out, "{}", self.places())?;
        if self.fetched.missing > 0 {
            let missing = decide::noun(self.fetched.missing, "record");
            writeln!(
                out,
                "{missing} of it {} not in {} any more",
                is(self.fetched.missing),
                self.topic
            )?;
        }
        if let Some(file) = policies {
            writeln!(out)?;
            self.explain(file, out)?;
        }
        let tree = Tree::of(&self.traces_data());
        if !tree.is_empty() {
            writeln!(out)?;
            tree.write(width(), out)?;
        }
        Ok(())
    }

    /// Where its records are.
    fn places(&self) -> String {
        let mut text = String::new();
        let mut before: Option<Partition> = None;
        for part in &self.fetched.parts {
            if before.replace(part.partition) != Some(part.partition) {
                let separator = if text.is_empty() { "" } else { "; " };
                text += &format!("{separator}{}, partition {}, at", self.topic, part.partition.0);
            }
            text += &format!(" {}", part.offset.0);
        }
        if text.is_empty() { format!("{} has no record of it any more", self.topic) } else { text }
    }

    /// Says how these policies decide it, had nothing else been there.
    fn explain(&self, file: &PolicyFile, out: &mut impl Write) -> Result<(), CommandError> {
        let mut offline = Offline::new(file)?;
        let mut decisions = Vec::new();
        for part in &self.fetched.parts {
            // It was split, so it can be read.
            let _ =
                offline.take_in(Some(part.timestamp), &part.bytes, &mut |it| decisions.push(it));
        }
        offline.run_on(None, &mut |it| decisions.push(it));
        for explained in &decisions {
            decide::write_decision(out, offline.policies(), explained)?;
        }
        Ok(())
    }
}

fn otlp_json(data: &TracesData) -> Value {
    serde_json::to_value(data).expect("spans can be written as JSON")
}

fn is(count: u64) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

/// Columns of the terminal.
fn width() -> usize {
    const USUAL: usize = 100;
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    columns.unwrap_or(USUAL)
}
