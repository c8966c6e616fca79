//! `tailsieve decide`: the policies on a capture of spans, offline, with reasons.
//!
//! Owns the command: what it reads, what it prints, how it ends. The decisions are those that a
//! member of the consumer group would make of the same records in one partition ([`Offline`]).

mod json;
mod offline;
mod summary;
mod text;
mod votes;

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::process::{self, CommandError, Output};
use crate::config;
use crate::otlp::encoding;
use crate::sampling::policy::PolicySet;
use crate::testbed::captures::{Capture, CaptureError, EXPECTED};

pub(crate) use json::{DecisionLine, attribution, decision, vote_name};
pub use offline::{Counts, ExplainedDecision, Offline};
pub use summary::Summary;
pub(crate) use text::{noun, why, write_decision, write_votes};

/// Run the policies over captured spans, and say what is kept and why.
///
/// SPANS are files, `-` or nothing for standard input: OTLP JSON (one TracesData or ResourceSpans
/// a line, or documents back to back), one OTLP protobuf message, what the Collector's file
/// exporter, `tailsieve capture` or `kcat -f '%R%s'` writes, or an answer of Tempo's or Jaeger's
/// API; gzip or zstd may be around it. They are told apart by their content. Each line or message
/// counts as one Kafka record, read from one partition, one after the other. A record's time is
/// `recordTimestampMs` beside `resourceSpans`, else the latest end of a span in it. What is still
/// open at the end is decided when its time comes.
///
/// Exit codes: 0 if decisions were made, 1 if the spans cannot be read or there are none, 2 if the
/// policy file or the arguments are wrong. Single records or lines that cannot be read are counted,
/// and named on standard error; they do not change the exit code as long as there are others.
#[derive(Clone, Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct DecideArgs {
    /// The policy file; a tail_sampling block or a whole Collector configuration will do
    #[arg(long, value_name = "FILE")]
    pub policies: PathBuf,
    /// Which processor of a Collector configuration is meant; by default the one that its pipelines use
    #[arg(long, value_name = "NAME")]
    pub processor: Option<String>,
    /// How decisions are printed; json is one object a line, the summary last
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// Captured spans; `-` is standard input
    #[arg(value_name = "SPANS")]
    pub spans: Vec<PathBuf>,
}

/// Decides what the captures hold, and prints it on standard output.
///
/// # Errors
/// If the policy file is wrong, a capture cannot be read, or there are no spans at all.
pub fn run(args: &DecideArgs) -> Result<ExitCode, CommandError> {
    let out = BufWriter::new(io::stdout().lock());
    process::seen_enough(decide(args, out))?;
    Ok(ExitCode::SUCCESS)
}

fn decide(args: &DecideArgs, out: impl Write) -> Result<(), CommandError> {
    let file = config::load_policies_of(&args.policies, args.processor.as_deref())?;
    for note in &file.notes {
        eprintln!("note: {}: {note}", args.policies.display());
    }
    for warning in &file.warnings {
        eprintln!("warning: {warning}");
    }
    let mut session = Session::new(Offline::new(&file)?, args.output, out);
    let standard_input = [PathBuf::from("-")];
    let spans = if args.spans.is_empty() { &standard_input[..] } else { &args.spans };
    for path in spans {
        session.read(open(path).map_err(CommandError::failed)?)?;
    }
    let names: Vec<String> = spans.iter().map(|path| name(path)).collect();
    session.finish(&names.join(", "))
}

fn name(path: &Path) -> String {
    match path.to_str() {
        Some("-") => "standard input".to_owned(),
        _ => path.display().to_string(),
    }
}

fn open(path: &Path) -> Result<Capture, CaptureError> {
    if path.to_str() != Some("-") {
        return Capture::open(path);
    }
    let input = io::stdin();
    if input.is_terminal() {
        eprintln!("reading spans from standard input: OTLP JSON, one TracesData a line");
    }
    Capture::new(name(path), Box::new(input))
}

/// The decisions of one call of the command, on their way out.
struct Session<W: Write> {
    offline: Offline,
    printer: Printer<W>,
    /// Records that are passed over are not named.
    is_silent: bool,
}

struct Printer<W: Write> {
    output: Output,
    out: W,
    summary: Summary,
    /// Decisions that are not printed yet.
    waiting: Vec<ExplainedDecision>,
}

impl<W: Write> Session<W> {
    fn new(offline: Offline, output: Output, out: W) -> Self {
        let summary = Summary::new(offline.policies());
        let printer = Printer { output, out, summary, waiting: Vec::new() };
        Self { offline, printer, is_silent: false }
    }

    /// Takes in a capture up to its end.
    fn read(&mut self, capture: Capture) -> Result<(), CommandError> {
        let name = capture.name().to_owned();
        for record in capture {
            let record = match record {
                Ok(record) => record,
                Err(error) if error.is_of_one_record() => {
                    self.offline.count_malformed();
                    self.refuse(error);
                    continue;
                }
                Err(error) => return Err(CommandError::failed(error)),
            };
            let waiting = &mut self.printer.waiting;
            let taken = self.offline.take_in(record.timestamp, &record.payload, &mut |explained| {
                waiting.push(explained);
            });
            if let Err(error) = taken {
                let text = match encoding::look_again(&record.payload) {
                    Some((_, Err(named))) => named.to_string(),
                    _ => error.to_string(),
                };
                self.refuse(format_args!("{name}:{}: {text}", record.place));
            }
            self.printer.print(self.offline.policies())?;
        }
        Ok(())
    }

    fn refuse(&self, record: impl Display) {
        if !self.is_silent {
            process::name_unread(self.offline.counts().malformed_records, record);
        }
    }

    /// Decides what is left, and prints what all came to.
    fn finish(mut self, names: &str) -> Result<(), CommandError> {
        let Self { offline, printer, .. } = &mut self;
        if offline.counts().spans == 0 {
            let there_is = nothing(offline.counts());
            let text = format_args!("there are no spans in {names}{there_is}; expected {EXPECTED}");
            return Err(CommandError::failed(text));
        }
        let waiting = &mut printer.waiting;
        offline.run_on(None, &mut |explained| waiting.push(explained));
        printer.print(offline.policies())?;
        let (policies, counts) = (offline.policies(), offline.counts());
        let Printer { output, out, summary, .. } = printer;
        match output {
            Output::Text => text::write_summary(out, policies, summary, counts)?,
            Output::Json => json::write_summary(out, policies, summary, counts)?,
        }
        Ok(printer.out.flush()?)
    }
}

/// What there was if there was no span.
fn nothing(counts: &Counts) -> String {
    let counts = [
        (counts.empty_records, "without any"),
        (counts.malformed_records, "that cannot be read"),
        (counts.records - counts.empty_records, "whose spans have no valid ids"),
    ];
    let told = counts.iter().filter(|(count, _)| *count > 0);
    let told: Vec<String> =
        told.map(|(count, what)| format!("{} {what}", noun(*count, "record"))).collect();
    if told.is_empty() { String::new() } else { format!(" ({})", told.join(", ")) }
}

impl<W: Write> Printer<W> {
    fn print(&mut self, policies: &PolicySet) -> io::Result<()> {
        for explained in self.waiting.drain(..) {
            self.summary.add(policies, &explained);
            match self.output {
                Output::Text => text::write_decision(&mut self.out, policies, &explained)?,
                Output::Json => json::write_decision(&mut self.out, policies, &explained)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
