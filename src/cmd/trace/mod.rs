//! `tailsieve trace`: a trace by its id, kept or dropped, as long as Kafka has its records.
//!
//! Has its decision and its spans looked up by [`retrieval`](crate::retrieval), and prints both. Promises
//! that a span is printed as it was sent, and that what Kafka does not have any more is told.

mod keep;
mod output;
mod tree;

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use super::decisions;
use super::decisions::filter::trace_id;
use super::origin::{OriginArgs, failed};
use super::process::{self, CommandError};
use crate::config::{self, PolicyFile};
use crate::ids::{Timestamp, TraceId};
use crate::retrieval::{Budget, Origin, Places, Retrieval, RetrievalError, TimeRange};

use keep::{KeepError, Keeping};
use output::Shown;

/// When no decision on the trace is on record.
const EXIT_NOT_FOUND: u8 = 3;

/// When records of the trace are not in the topic any more.
const EXIT_GONE: u8 = 4;

/// Open a trace by its id, kept or dropped.
///
/// Looks its decision up in the decision log, which says which records hold its spans, and reads
/// these from the topic. Joins no group and commits nothing. Without --from and --to it reads all of
/// the decision log, where it has to.
#[derive(Clone, Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("cluster").required(true).args(["config", "brokers"])))]
#[command(
    after_help = "Exit codes:\n  0  the trace was found\n  1  Kafka does not answer\n  2  a file \
                        or the command line is wrong\n  3  no decision on it is on record in that \
                        range\n  4  it was decided, and Kafka does not have all of its records any \
                        more; what is left is printed, and with --keep nothing is kept\n  5  with \
                        --keep: a policy drops such traces whatever others say\n  6  with --keep: it \
                        was asked for, and is not on record as delivered after 30 s"
)]
pub struct TraceArgs {
    /// The trace id: 32 hexadecimal digits, or 16 of an old system
    #[arg(value_name = "TRACE_ID", value_parser = short_or_long)]
    id: TraceId,
    #[command(flatten)]
    origin: OriginArgs,
    /// It was decided after this time (RFC 3339), or so long ago at most, such as 1h
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = decisions::time)]
    from: Option<SystemTime>,
    /// It was decided before this time (RFC 3339), or so long ago at least, such as 10m
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = decisions::time)]
    to: Option<SystemTime>,
    /// Say how this policy file decides it, with all votes
    #[arg(long, value_name = "FILE")]
    policies: Option<PathBuf>,
    /// Have it kept after all: it is delivered to the backend as kept traces are, once
    #[arg(long, requires = "config", conflicts_with_all = ["from", "to"])]
    keep: bool,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Output {
    /// The decision, and the spans as a tree
    Text,
    /// An object with the decisions, and the spans as OTLP JSON
    Json,
    /// The spans alone: `TracesData` as OTLP JSON
    OtlpJson,
    /// The same as OTLP protobuf
    OtlpProto,
}

/// What is asked for, and where.
pub(super) struct Asked {
    pub(super) id: TraceId,
    pub(super) origin: Origin,
    /// Which part of the decision log.
    pub(super) range: TimeRange,
    /// It is to be kept after all.
    pub(super) keep: bool,
}

fn short_or_long(text: &str) -> Result<TraceId, String> {
    match text.len() {
        16 => trace_id(&format!("{:0>32}", text)),
        _ => trace_id(text),
    }
    .map_err(|error| format!("{error}; or 16 digits"))
}

/// Prints a trace.
///
/// # Errors
/// When Kafka does not answer, a topic does not exist, or an argument is wrong.
pub fn run(args: &TraceArgs) -> Result<ExitCode, CommandError> {
    let asked = asked(args)?;
    let policies = args.policies.as_deref().map(config::load_policies).transpose()?;
    let mut out = BufWriter::new(io::stdout().lock());
    show(&asked, (args.output, policies.as_ref()), &mut out)
}

/// Looks a trace up and writes it.
///
/// # Errors
/// When Kafka does not answer, or a topic does not exist.
pub(super) fn show(
    asked: &Asked,
    (output, policies): (Output, Option<&PolicyFile>),
    out: &mut impl Write,
) -> Result<ExitCode, CommandError> {
    let Asked { id, origin, range, keep } = asked;
    let failed = |error| failed(origin, error);
    let brokers = origin.brokers.clone();
    let mut budget = Budget::of_a_person(move |error| {
        eprintln!("warning: Kafka at {brokers} is waited for: {error}");
    });
    let mut retrieval = Retrieval::new(origin.clone()).map_err(failed)?;
    let entries = match retrieval.find(*id, *range, &mut budget) {
        Ok(entries) => entries,
        Err(
            RetrievalError::NotFound | RetrievalError::StillOpen | RetrievalError::BeyondRetention,
        ) => {
            eprintln!("{}", not_found(asked));
            return Ok(ExitCode::from(EXIT_NOT_FOUND));
        }
        Err(error) => return Err(failed(error)),
    };
    let places = Places::of(&entries);
    let fetched = retrieval.fetch(*id, &places, &mut budget).map_err(failed)?;
    let shown = Shown {
        topic: &origin.topic,
        id: *id,
        entries: &entries,
        fetched: &fetched,
        read: budget.bytes_read(),
    };
    process::seen_enough(shown.write(output, policies, out))?;
    process::seen_enough(out.flush().map_err(Into::into))?;
    let is_whole = fetched.missing == 0 && !places.is_gone();
    if let Some(group) = origin.group.filter(|_| *keep) {
        let (retrieval, budget) = (&mut retrieval, &mut budget);
        let keeping = Keeping { id: *id, origin, retrieval, budget };
        return keeping.run(group, &entries, is_whole).map_err(|error| match error {
            KeepError::Retrieval(error) => failed(error),
            KeepError::Command(error) => error,
        });
    }
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(EXIT_GONE) })
}

fn asked(args: &TraceArgs) -> Result<Asked, CommandError> {
    let (origin, has_log) = args.origin.origin()?;
    if !has_log {
        return Err(CommandError::usage(
            "the decision log is switched off (decision_log.enabled): nothing says where a trace is",
        ));
    }
    let range = TimeRange {
        from: args.from.map(decisions::timestamp),
        to: args.to.map(decisions::timestamp),
    };
    Ok(Asked { id: args.id, origin, range, keep: args.keep })
}

fn not_found(asked: &Asked) -> String {
    let Asked { id, origin, range, .. } = asked;
    let time = |time: Timestamp| decisions::entry::time(time);
    let range = match (range.from, range.to) {
        (Some(from), Some(to)) => format!(" from {} to {}", time(from), time(to)),
        (Some(from), None) => format!(" since {}", time(from)),
        (None, Some(to)) => format!(" until {}", time(to)),
        (None, None) => String::new(),
    };
    format!(
        "{id} is not in {}{range}: it is not decided yet, was decided before the log's retention, or \
         has no spans on the topic",
        origin.decision_log
    )
}
