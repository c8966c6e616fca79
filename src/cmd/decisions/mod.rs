//! `tailsieve decisions`: follows the decision log, for people and for other pipelines.
//!
//! Reads the log's partitions without joining a group, and commits nothing. Promises the entries of a
//! partition in their order, each whole line at once, and that it ends in good order when it is told
//! to or when its reader has left. Leaves to others what decisions mean, and what is done with them.

pub(super) mod entry;
pub(super) mod filter;
pub(super) mod reader;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use super::process::{self, CommandError, Output, Process};
use super::{generate, replay_dead_letters};
use crate::config;
use crate::ids::{Partition, Timestamp};
use crate::kafka::decision_log::GroupHash;
use crate::kafka::topic_reader::Record;

use entry::{Entry, Owners};
use filter::{Filter, FilterArgs};
use reader::{Reader, Step};

/// Follow the decision log: which traces are kept and dropped, by which policy.
///
/// Prints an entry when a trace is decided, and for a kept trace another one when it was
/// delivered. The entries of a partition come in order. Joins no group and commits nothing.
/// Partitions that are added to the topic later are read by who starts later.
#[derive(Clone, Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("cluster").required(true).args(["config", "brokers"])))]
#[command(after_help = "Exit codes:\n  0  entries were shown, or it was told to stop\n  1  with \
                        --no-follow or --until: there were none; or Kafka does not answer\n  2  \
                        the file or the command line is wrong")]
pub struct DecisionsArgs {
    /// The static file: brokers, how to log in, the topic and the group
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Brokers, if there is no static file
    #[arg(long, value_name = "HOST:PORT,...", requires = "topic")]
    brokers: Option<String>,
    /// The topic; by default that of the static file (decision_log.topic)
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Only decisions of this consumer group; by default that of the static file, or all
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Any librdkafka property
    #[arg(short = 'X', value_name = "KEY=VALUE", value_parser = generate::property)]
    properties: Vec<(String, String)>,
    /// From where on: beginning, end, a time (RFC 3339), or how long ago, such as 1h
    #[arg(long, value_name = "TIME", default_value = "end", allow_hyphen_values = true,
        value_parser = from)]
    from: From,
    /// End behind what was written until then: a time (RFC 3339), or how long ago, such as 10m
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = time)]
    until: Option<SystemTime>,
    /// End where the log ends now
    #[arg(long)]
    no_follow: bool,
    #[command(flatten)]
    filter: FilterArgs,
    /// How an entry is printed; json is an object a line
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// From where on the log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Beginning,
    End,
    Time(Timestamp),
}

/// What is read.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) brokers: String,
    pub(super) properties: Vec<(String, String)>,
    pub(super) topic: String,
    /// Only these partitions.
    pub(super) partitions: Option<BTreeSet<Partition>>,
    pub(super) from: From,
    pub(super) until: Option<Timestamp>,
    pub(super) follows: bool,
}

fn from(text: &str) -> Result<From, String> {
    match text {
        "beginning" => Ok(From::Beginning),
        "end" => Ok(From::End),
        text => match time(text) {
            Ok(time) => Ok(From::Time(timestamp(time))),
            Err(error) => Err(format!("{error}; or beginning, or end")),
        },
    }
}

/// A time, or how long ago, also with the minus sign that people put before it.
pub(super) fn time(text: &str) -> Result<SystemTime, String> {
    replay_dead_letters::since(text.strip_prefix('-').unwrap_or(text))
}

pub(super) fn timestamp(time: SystemTime) -> Timestamp {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// Prints entries until it is told to stop, or nothing more is to come.
///
/// # Errors
/// When Kafka does not answer, the topic does not exist, or an argument is wrong.
pub fn run(args: &DecisionsArgs) -> Result<ExitCode, CommandError> {
    let (origin, group) = origin(args)?;
    let (_runtime, stop) = Process::start()?.stop_flag_told(|_| {});
    let reader = Reader::start(&origin)?;
    let mut show = Show {
        filter: args.filter.filter(),
        group,
        output: args.output,
        owners: Owners::default(),
        entries: 0,
        shown: 0,
        not_understood: 0,
    };
    let ended = show.all(reader, &stop, &mut io::stdout().lock());
    let is_told = stop.load(Ordering::Relaxed)
        || matches!(&ended, Err(CommandError::System(error)) if error.kind() == io::ErrorKind::BrokenPipe);
    process::seen_enough(ended)?;
    let Show { entries, shown, not_understood, .. } = show;
    if not_understood > 0 {
        eprintln!("warning: {not_understood} records or entries are not understood");
    }
    if shown == 0 && !is_told {
        let topic = &origin.topic;
        return Err(CommandError::failed(format_args!(
            "no entry of {topic} in that range is asked for; there are {entries}"
        )));
    }
    Ok(ExitCode::SUCCESS)
}

/// What is read, and whose decisions.
fn origin(args: &DecisionsArgs) -> Result<(Origin, Option<GroupHash>), CommandError> {
    let (mut properties, mut brokers, mut topic, mut group) = Default::default();
    if let Some(file) = &args.config {
        let settings = config::load(file)?;
        (properties, brokers) = (settings.source.properties, settings.source.brokers);
        group = Some(settings.source.group_id);
        topic = settings.decision_log.map(|log| log.topic);
    }
    properties.extend(args.properties.iter().cloned());
    let topic = args.topic.clone().or(topic).ok_or_else(|| {
        CommandError::usage("the decision log is switched off (decision_log.enabled): name a topic")
    })?;
    let origin = Origin {
        brokers: args.brokers.clone().unwrap_or(brokers),
        properties,
        topic,
        partitions: None,
        from: args.from,
        until: args.until.map(timestamp),
        follows: !args.no_follow,
    };
    Ok((origin, args.group.clone().or(group).map(|group| GroupHash::of(&group))))
}

/// What is shown, and what came of it.
struct Show {
    filter: Filter,
    group: Option<GroupHash>,
    output: Output,
    owners: Owners,
    /// All that were read.
    entries: u64,
    shown: u64,
    not_understood: u64,
}

impl Show {
    fn all(
        &mut self,
        mut reader: Reader,
        stop: &AtomicBool,
        out: &mut impl Write,
    ) -> Result<(), CommandError> {
        // Whole lines, which leave together while there is more to read at once.
        let mut lines = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let step = reader.next(!lines.is_empty())?;
            match &step {
                Step::Record(record) => self.record(record, &mut lines),
                Step::Nothing | Step::Ended => {}
            }
            let is_much = lines.len() >= 64 * 1024;
            if is_much || !matches!(step, Step::Record(_)) {
                out.write_all(&lines)?;
                out.flush()?;
                lines.clear();
            }
            if matches!(step, Step::Ended) {
                return Ok(());
            }
        }
        Ok(out.write_all(&lines)?)
    }

    fn record(&mut self, record: &Record, lines: &mut Vec<u8>) {
        match self.owners.read(self.group, record) {
            Ok((entries, not_understood)) => {
                self.not_understood += not_understood;
                for entry in &entries {
                    self.entries += 1;
                    if self.filter.wants(entry) {
                        self.shown += 1;
                        self.write(entry, lines);
                    }
                }
            }
            Err(()) => self.not_understood += 1,
        }
    }

    fn write(&self, entry: &Entry, lines: &mut Vec<u8>) {
        match self.output {
            Output::Text => lines.extend_from_slice(entry.text().as_bytes()),
            Output::Json => lines.extend_from_slice(entry.json().as_bytes()),
        }
        lines.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_read_as_people_write_it() {
        assert_eq!(from("beginning"), Ok(From::Beginning));
        assert_eq!(from("end"), Ok(From::End));
        let time = |millis| Ok(From::Time(Timestamp(millis)));
        assert_eq!(from("1970-01-01T00:00:01.5Z"), time(1500));
        let ago = |text| match from(text) {
            Ok(From::Time(time)) => crate::clock::now().0 - time.0,
            other => panic!("{text}: {other:?}"),
        };
        for text in ["1h", "-1h"] {
            assert!((3_600_000..3_660_000).contains(&ago(text)), "{text}");
        }
        let error = from("soon").unwrap_err();
        assert!(error.contains("2h for 2h ago; or beginning, or end"), "{error}");
    }
}
