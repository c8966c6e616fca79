//! `tailsieve whatif`: policy files on traffic that was recorded, beside what was decided then.
//!
//! Owns the command: what it reads, what it prints, how it ends. The comparing is that of
//! [`whatif`](crate::whatif).

mod files;
mod format;
mod gate;
mod html;
mod input;
mod merge;
mod print;
mod progress;
mod state;
mod suggest;
mod summary;
mod text;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::builder::NonEmptyStringValueParser;

use super::decisions;
use super::origin::OriginArgs;
use super::process::CommandError;
use crate::units;

use files::Files;
use merge::MergeArgs;
use print::{EXIT_FAILED, EXIT_GONE, EXIT_NOTHING, PrintArgs};

/// Judge policy files on recorded traffic: what they would keep, lose and cost.
///
/// Reads the topic's records of a range of time, and judges each trace that began in it as a member would
/// have, in the time of the records. What was decided then is what the decision log has on record; or what
/// --baseline decides, or else SPANS are compared, which are captures as for `tailsieve decide`. Joins no
/// group and commits nothing.
#[derive(Clone, Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("source").required(true).args(["config", "brokers", "spans"])))]
#[command(
    after_help = "Exit codes:\n  0  it was compared, and no --fail-if holds\n  1  a --fail-if holds\n  2  a file, \
                  an argument or a topic is wrong\n  3  there is nothing to compare in that range\n  4  Kafka does \
                  not have all of that range any more; what is left is compared\n  5  it cannot be compared: Kafka \
                  does not answer, or a capture cannot be read"
)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(verbatim_doc_comment)]
pub struct WhatIfArgs {
    #[command(subcommand)]
    command: Option<Command>,
    /// A policy file that is tried; may be given several times
    #[arg(long = "policies", value_name = "FILE", required = true)]
    policies: Vec<PathBuf>,
    /// Compare with what this policy file decides, instead of with what is on record
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// What other values of `decision_wait` would do: spans that come late, memory, delay
    #[arg(long, value_name = "DURATION,...", value_delimiter = ',', value_parser = wait)]
    decision_wait: Vec<Duration>,
    #[command(flatten)]
    origin: OriginArgs,
    /// Traces that began at this time (RFC 3339) or later, or so long ago at most, such as 24h
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, default_value = "1h",
        value_parser = decisions::time)]
    from: SystemTime,
    /// Traces that began before this time, or so long ago at least
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, default_value = "now",
        value_parser = until)]
    to: Until,
    /// Read so much before the range, so that traces and budgets are known that began earlier; by default as
    /// long as decisions are remembered
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration)]
    warm_up: Option<Duration>,
    /// Read all partitions: nothing is scaled up, which is the default
    #[arg(long, conflicts_with_all = ["partitions", "these"])]
    full: bool,
    /// Read so many partitions, and scale up
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    partitions: Option<u32>,
    /// Read these partitions, and scale up; may be given several times
    #[arg(long = "partition", value_name = "NUMBER,...", value_delimiter = ',',
        conflicts_with = "partitions", value_parser = clap::value_parser!(i32).range(0..))]
    these: Vec<i32>,
    /// Read so many partitions at once; by default one for each core
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Read so many bytes a second at most, such as 20MB
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size)]
    bytes_per_second: Option<u64>,
    /// Keep in this file what was found, after each partition; if it exists, go on from there, with the range
    /// of time that it is about
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// The bound on open traces, in bytes, for each thread; files that wait for another time, or re-open traces,
    /// have one of their own
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = units::parse_size)]
    max_bytes: u64,
    #[command(flatten)]
    print: PrintArgs,
    /// Captures, instead of a topic; `-` is standard input
    #[arg(value_name = "SPANS", requires = "baseline", value_parser = NonEmptyStringValueParser::new())]
    spans: Vec<String>,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    Merge(MergeArgs),
}

/// Where the range ends.
#[derive(Clone, Copy, Debug)]
enum Until {
    Now,
    Time(SystemTime),
}

fn until(text: &str) -> Result<Until, String> {
    match text {
        "now" => Ok(Until::Now),
        text => decisions::time(text).map(Until::Time).map_err(|error| format!("{error}; or now")),
    }
}

fn wait(text: &str) -> Result<Duration, String> {
    let wait = units::parse_duration(text)?;
    if wait.is_zero() { Err("expected a duration above 0".to_owned()) } else { Ok(wait) }
}

/// Prints what the policy files would change.
///
/// # Errors
/// When a file, an argument or a topic is wrong.
pub fn run(args: &WhatIfArgs) -> Result<ExitCode, CommandError> {
    compare(args).or_else(|error| {
        // 1 is that of a condition that holds.
        let is_failure = error.exit_code() == ExitCode::FAILURE;
        if !is_failure {
            return Err(error);
        }
        eprintln!("error: {error}");
        Ok(ExitCode::from(EXIT_FAILED))
    })
}

fn compare(args: &WhatIfArgs) -> Result<ExitCode, CommandError> {
    if let Some(Command::Merge(args)) = &args.command {
        return merge::run(args);
    }
    args.print.check()?;
    let files = Files::load(args)?;
    match input::compare(args, &files)? {
        Ok(outcome) => args.print.print(&outcome, files.names()),
        Err(nothing) => {
            eprintln!("error: {}", nothing.why);
            Ok(ExitCode::from(if nothing.is_gone { EXIT_GONE } else { EXIT_NOTHING }))
        }
    }
}

#[cfg(test)]
mod tests;
