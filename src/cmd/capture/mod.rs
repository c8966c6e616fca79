//! `tailsieve capture`: spans of a topic, taken straight from Kafka into a file that `decide` reads.
//!
//! Reads the partitions side by side, in the order of their records' times, up to the end that the
//! topic has at the start. Joins no group and commits nothing. Writes each record behind its length,
//! as OTLP protobuf ([`crate::testbed::captures`] reads it). Promises that a trace is whole as far as the
//! topic has it in that range, and that what may not be is told. Leaves to others what becomes of the
//! spans.

mod reader;
mod selection;

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use super::process::{self, CommandError};
use super::{generate, replay_dead_letters};
use crate::config;
use crate::ids::Timestamp;
use crate::otlp::encoding::Decoder;
use crate::otlp::{Splitter, value};

use reader::Reader;
use selection::Selection;

/// Take whole traces from the topic, for `tailsieve decide`.
///
/// Reads up to the end that the topic has now, without joining a group, and writes to standard
/// output what was read: each record behind its length, as OTLP protobuf. With --traces it takes
/// the first so many traces and reads on until nothing of them can be expected any more (--wait).
/// Traces that may have begun before the range, or may go on after it, are counted on standard
/// error.
///
/// Exit codes: 0 if there were spans, 1 if there were none or Kafka does not answer, 2 if the file
/// or an argument is wrong.
#[derive(Clone, Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("cluster").required(true).args(["config", "brokers"])))]
#[command(verbatim_doc_comment)]
pub struct CaptureArgs {
    /// The static file: brokers, how to log in, and the topic
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Brokers, if there is no static file
    #[arg(long, value_name = "HOST:PORT,...", requires = "topic")]
    pub brokers: Option<String>,
    /// The topic; by default the one that members read (kafka.topic)
    #[arg(long, value_name = "TOPIC")]
    pub topic: Option<String>,
    /// Any librdkafka property
    #[arg(short = 'X', value_name = "KEY=VALUE", value_parser = generate::property)]
    pub properties: Vec<(String, String)>,
    /// Take so many traces; by default all
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub traces: Option<u64>,
    /// From where on: a time (RFC 3339), or how long ago, such as 2h; by default all there is
    #[arg(long, value_name = "TIME", value_parser = replay_dead_letters::since)]
    pub from: Option<SystemTime>,
    /// Only the last part of the topic, such as 10m
    #[arg(long, value_name = "DURATION", conflicts_with = "from",
        value_parser = humantime::parse_duration)]
    pub last: Option<Duration>,
    /// How much longer, in the time of the records, is read on after the last trace was taken
    #[arg(long, value_name = "DURATION", default_value = "1m",
        value_parser = humantime::parse_duration)]
    pub wait: Duration,
}

/// Where it is read from.
struct Origin {
    brokers: String,
    properties: Vec<(String, String)>,
    topic: String,
    from: Option<Timestamp>,
}

/// Writes the capture to standard output, and what is to be known of it to standard error.
///
/// # Errors
/// If it cannot be read to its end, or there is nothing in it.
pub fn run(args: &CaptureArgs) -> Result<ExitCode, CommandError> {
    if io::stdout().is_terminal() {
        let text = "a capture is no text: send it to a file, tailsieve capture ... > spans.capture";
        return Err(CommandError::usage(text));
    }
    let origin = origin(args)?;
    let reader = Reader::start(&origin)?;
    let most = args.traces.map(|most| usize::try_from(most).unwrap_or(usize::MAX));
    let selection = Selection::new(most, args.wait);
    let out = BufWriter::new(io::stdout().lock());
    process::seen_enough(take(reader, selection, &origin.topic, out))?;
    Ok(ExitCode::SUCCESS)
}

fn origin(args: &CaptureArgs) -> Result<Origin, CommandError> {
    let (mut properties, mut brokers, mut topic) = Default::default();
    if let Some(file) = &args.config {
        let source = config::load(file)?.source;
        (properties, brokers, topic) = (source.properties, source.brokers, source.topic);
    }
    properties.extend(args.properties.iter().cloned());
    let ago = args.last.and_then(|last| crate::clock::system_time().checked_sub(last));
    let from = args.from.or(ago).and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    Ok(Origin {
        brokers: args.brokers.clone().unwrap_or(brokers),
        properties,
        topic: args.topic.clone().unwrap_or(topic),
        from: from.map(|time| Timestamp(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))),
    })
}

fn take(
    mut reader: Reader,
    mut selection: Selection,
    topic: &str,
    mut out: impl Write,
) -> Result<(), CommandError> {
    let mut splitter = Splitter::new(usize::MAX);
    let mut decoder = Decoder::default();
    let mut unread = 0;
    let read = loop {
        let record = match reader.next() {
            Ok(Some(record)) => record,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        if selection.is_over(record.timestamp) {
            break Ok(());
        }
        let Some(value) = &record.value else {
            selection.clock(record.timestamp);
            continue;
        };
        match value::split(&mut decoder, &mut splitter, value) {
            Ok((protobuf, split)) => {
                for message in selection.choose(record.timestamp, &protobuf, split) {
                    write_message(&mut out, &message)?;
                }
            }
            Err(error) => {
                unread += 1;
                selection.clock(record.timestamp);
                let (partition, offset) = (record.partition.0, record.offset.0);
                process::name_unread(
                    unread,
                    format_args!("{topic}/{partition} at {offset}: {error}"),
                );
            }
        }
    };
    out.flush()?;
    eprintln!("{}", selection.report(topic, unread));
    read?;
    if selection.is_empty() {
        let text = format_args!("there are no spans in that range of {topic}");
        return Err(CommandError::failed(text));
    }
    Ok(())
}

fn write_message(out: &mut impl Write, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(io::Error::other)?;
    out.write_all(&length.to_be_bytes())?;
    out.write_all(message)
}
