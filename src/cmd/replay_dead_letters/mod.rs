//! `tailsieve replay-dead-letters`: feeds letters back once their cause is mended.
//!
//! Reads the dead-letter topic from where the last replay stopped to the end it has at the start.
//! Records and spans go to the input topic, to be judged like any others; spans of kept traces that
//! a backend refused were judged already, and go to the exporters. Promises that a letter's offset
//! is committed only after it is acknowledged where it belongs, or is on the dead-letter topic
//! again: what is not asked for, cannot be fed back, or is refused again stays there.

mod batch;
mod exporters;
mod feeder;
mod found;
mod reader;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use rdkafka::error::KafkaError;
use tokio::runtime::Handle;

use super::access;
use super::process::{CommandError, LogOptions, Process};
use crate::config::{self, Settings};
use crate::kafka::access::{Acl, Denied};
use crate::kafka::dead_letters::DeadLetterSettings;
use crate::telemetry::logs::LogFormat;

use feeder::Feeder;
use found::{Course, Found, Place, Wanted};
use reader::{Limits, Reader};
use report::{Fate, Report};

/// How much is under way at once.
const BATCH: Limits = Limits { letters: 1000, bytes: 32 << 20 };

/// Letters that are shown in a dry run.
const MOST_SHOWN: u32 = 20;

/// Feed dead letters back once their cause is mended.
///
/// Records that could not be read go to the input topic again, kept spans that a backend refused
/// to its exporter. Goes from where the last replay stopped to the end that the topic has now. Run
/// one at a time. The exit code is 0 if nothing failed, 1 if something did, 2 if the file or an
/// argument is wrong.
#[derive(Clone, Debug, clap::Args)]
pub struct ReplayDeadLettersArgs {
    /// The static file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Only what was refused since then: a time (RFC 3339), or how long ago, such as 2h
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub since: Option<SystemTime>,
    /// Only what was refused for this reason; may be given several times
    #[arg(long = "reason", value_name = "REASON")]
    pub reasons: Vec<String>,
    /// Where records go; by default the topic that members read (kafka.topic)
    #[arg(long, value_name = "TOPIC")]
    pub to: Option<String>,
    /// Only count and show
    #[arg(long)]
    pub dry_run: bool,
}

/// A time, or how long ago.
pub(crate) fn since(text: &str) -> Result<SystemTime, String> {
    if let Ok(time) = humantime::parse_rfc3339_weak(text) {
        return Ok(time);
    }
    let ago = humantime::parse_duration(text);
    let time = ago.ok().and_then(|ago| crate::clock::system_time().checked_sub(ago));
    time.ok_or_else(|| "expected a time such as 2026-05-01T12:00:00Z, or 2h for 2h ago".to_owned())
}

/// Feeds letters back until the end that their topic has now, or a signal.
///
/// # Errors
/// When it cannot go on. What was settled until then is committed.
pub fn run(args: &ReplayDeadLettersArgs, logs: &LogOptions) -> Result<ExitCode, CommandError> {
    let settings = config::load(&args.config)?;
    // The report is what is looked at: only what is wrong is logged, unless more is asked for.
    logs.init(LogFormat::Auto, Some("warn"))?;
    let dead_letter = settings.dead_letter.as_ref().ok_or_else(|| {
        let file = args.config.display();
        let text = "has no section `dead_letter`: add it, with the topic that letters are on";
        CommandError::usage(format_args!("{file} {text}"))
    })?;
    let wanted = Wanted {
        since: args.since,
        reasons: args.reasons.clone(),
        to: args.to.clone(),
        input: settings.source.topic.clone(),
        exporters: settings.exporters(),
    };
    if wanted.target() == dead_letter.topic {
        let (topic, text) = (&dead_letter.topic, "name the one that members read");
        let text = format_args!("--to names the dead-letter topic itself ({topic}): {text}");
        return Err(CommandError::usage(text));
    }
    let (runtime, stop) = Process::start()?.stop_flag();
    let (dry_run, runtime) = (args.dry_run, runtime.handle().clone());
    let replay = Replay { settings: &settings, dead_letter, wanted, dry_run, runtime, stop: &stop };
    Ok(if replay.run()? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a replay goes by.
struct Replay<'a> {
    settings: &'a Settings,
    dead_letter: &'a DeadLetterSettings,
    wanted: Wanted,
    dry_run: bool,
    runtime: Handle,
    /// Set once it is told to stop.
    stop: &'a AtomicBool,
}

impl Replay<'_> {
    /// True if all that was asked for is fed back.
    fn run(&self) -> Result<bool, CommandError> {
        let topic = &self.dead_letter.topic;
        access::check(&self.settings.source, &self.needed()).map_err(CommandError::failed)?;
        let letters = self.partitions(topic, "dead_letter.topic")?;
        let from = if self.wanted.to.is_some() { "--to" } else { "kafka.topic" };
        let target = self.partitions(self.wanted.target(), from)?;
        let reader = Reader::start(&self.settings.source, topic, letters);
        let mut reader = reader.map_err(|error| self.kafka(error))?;
        let feeder = (!self.dry_run).then(|| Feeder::start(self, target)).transpose();
        let feeder = feeder.map_err(CommandError::failed)?;
        println!(
            "{topic}: {} letters at most, {}",
            reader.left(),
            if self.dry_run { "looked at only" } else { "fed back" },
        );
        let mut report = Report::default();
        let result = match feeder {
            Some(feeder) => self.feed_all(&mut reader, feeder, &mut report),
            None => self.look_at_all(&mut reader, target, &mut report),
        };
        println!("{report}");
        result?;
        let is_whole = reader.left() == 0;
        if !is_whole {
            println!("stopped: {} letters at most are left for next time", reader.left());
        }
        Ok(is_whole && report.count(Fate::Failed) + report.count(Fate::RefusedAgain) == 0)
    }

    fn feed_all(
        &self,
        reader: &mut Reader,
        mut feeder: Feeder<'_>,
        report: &mut Report,
    ) -> Result<(), CommandError> {
        loop {
            let batch = self.next_batch(reader)?;
            if batch.is_empty() {
                return Ok(());
            }
            let fates = feeder.feed(&batch).map_err(CommandError::failed)?;
            batch.iter().zip(fates).for_each(|((_, found), fate)| report.add(found, fate));
            reader.commit().map_err(|error| self.kafka(error))?;
            if let Some(error) = feeder.gave_up() {
                return Err(CommandError::failed(error));
            }
        }
    }

    fn look_at_all(
        &self,
        reader: &mut Reader,
        partitions: usize,
        report: &mut Report,
    ) -> Result<(), CommandError> {
        let mut to_show = MOST_SHOWN;
        loop {
            let batch = self.next_batch(reader)?;
            if batch.is_empty() {
                return Ok(());
            }
            for it in &batch {
                report.add(&it.1, look_at(it, &self.wanted, partitions, &mut to_show));
            }
        }
    }

    fn next_batch(&self, reader: &mut Reader) -> Result<Vec<(Place, Found)>, CommandError> {
        reader.next_batch(BATCH, self.stop).map_err(|error| self.kafka(error))
    }

    /// How many partitions a topic has that `from` names.
    fn partitions(&self, topic: &str, from: &str) -> Result<usize, CommandError> {
        let found = reader::partitions(&self.settings.source, topic);
        found.map_err(|error| self.kafka(error))?.ok_or_else(|| {
            let text = "create it, or name another one";
            CommandError::usage(format_args!("the topic {topic} does not exist ({from}): {text}"))
        })
    }

    fn needed(&self) -> Vec<Acl> {
        let group = reader::group_id(&self.settings.source);
        let (letters, target) = (&self.dead_letter.topic, self.wanted.target());
        access::of_replay(letters, target, &group, self.dry_run)
    }

    fn kafka(&self, error: KafkaError) -> CommandError {
        let brokers = &self.settings.source.brokers;
        let error = Denied::explain(&error, brokers, &self.needed());
        let text = "offsets were committed of what was fed back before";
        CommandError::failed(format_args!("Kafka at {brokers}: {error}; {text}"))
    }
}

/// What would become of a letter, which is shown if it is one of the first.
fn look_at(
    (place, found): &(Place, Found),
    wanted: &Wanted,
    partitions: usize,
    to_show: &mut u32,
) -> Fate {
    let (fate, course) = match wanted.course(found, partitions) {
        Course::Topic(Some(at)) => (Fate::FedBack, format!("{} {}", wanted.target(), at.0)),
        Course::Topic(None) => (Fate::FedBack, format!("{} by key", wanted.target())),
        Course::Exporters(places) => {
            let names: Vec<_> = places.iter().map(|it| wanted.exporters[*it].as_str()).collect();
            (Fate::FedBack, format!("exporter {}", names.join(", ")))
        }
        Course::Left => (Fate::Left, "not asked for".to_owned()),
        Course::Elsewhere => (Fate::PassedOver, "of another topic".to_owned()),
        Course::NoLetter => (Fate::PassedOver, "no letter".to_owned()),
        Course::Stuck(why) => (Fate::Failed, why),
    };
    if *to_show > 0 {
        *to_show -= 1;
        let at = format!("{}@{}", place.partition.0, place.offset.0);
        let (reason, attempts) = (found.reason(), found.attempts());
        let message = found.message();
        println!("  {at}  {reason}, refused {attempts}x: {message} -> {course}");
    }
    fate
}
