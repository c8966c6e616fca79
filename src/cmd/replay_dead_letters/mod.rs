//! `tailsieve replay-dead-letters`: feeds letters back once their cause is mended.
//!
//! Reads the dead-letter topic from where the last replay stopped to the end it has at the start.
//! Records and spans go to the input topic, to be judged like any others; spans of kept traces that
//! a backend refused were judged already, and go to the exporters. Promises that a letter's offset
//! is committed only after it is acknowledged where it belongs, or is on the dead-letter topic
//! again: what is not asked for, cannot be fed back, or is refused again stays there.

mod feeder;
mod found;
mod reader;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use tokio::runtime::Runtime;

use super::process::{CommandError, LogOptions, Process};
use crate::config::{self, Settings};
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
    let time = ago.ok().and_then(|ago| SystemTime::now().checked_sub(ago));
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
    let is_whole = replay(&settings, dead_letter, &wanted, args.dry_run, &runtime, &|| {
        stop.load(Ordering::Relaxed)
    })?;
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// True if all that was asked for is fed back.
fn replay(
    settings: &Settings,
    dead_letter: &DeadLetterSettings,
    wanted: &Wanted,
    dry_run: bool,
    runtime: &Runtime,
    stop: &dyn Fn() -> bool,
) -> Result<bool, CommandError> {
    let source = &settings.source;
    let kafka = |error| {
        let (brokers, text) =
            (&source.brokers, "offsets were committed of what was fed back before");
        CommandError::failed(format_args!("Kafka at {brokers}: {error}; {text}"))
    };
    let partitions = |topic: &str, from| {
        let text = "create it, or name another one";
        let no_topic = format_args!("the topic {topic} does not exist ({from}): {text}");
        let partitions = reader::partitions(source, topic).map_err(kafka)?;
        partitions.ok_or_else(|| CommandError::usage(no_topic))
    };
    let letters = partitions(&dead_letter.topic, "dead_letter.topic")?;
    let from = if wanted.to.is_some() { "--to" } else { "kafka.topic" };
    let target = partitions(wanted.target(), from)?;
    let mut reader = Reader::start(source, &dead_letter.topic, letters).map_err(kafka)?;
    println!(
        "{}: {} letters at most, {}",
        dead_letter.topic,
        reader.left(),
        if dry_run { "looked at only" } else { "fed back" },
    );
    let mut report = Report::default();
    let (mut feeder, mut to_show) = (None, MOST_SHOWN);
    let result = loop {
        let batch = match reader.next_batch(BATCH, stop) {
            Ok(batch) => batch,
            Err(error) => break Err(kafka(error)),
        };
        if batch.is_empty() {
            break Ok(());
        }
        let fates = if dry_run {
            Ok(batch.iter().map(|it| look_at(it, wanted, target, &mut to_show)).collect())
        } else {
            match &mut feeder {
                Some(feeder) => Feeder::feed(feeder, &batch),
                None => {
                    let runtime = runtime.handle().clone();
                    let new = Feeder::start(settings, dead_letter, wanted, target, runtime, stop)
                        .map_err(CommandError::failed)?;
                    feeder.insert(new).feed(&batch)
                }
            }
        };
        let fates: Vec<Fate> = match fates {
            Ok(fates) => fates,
            Err(error) => break Err(CommandError::failed(error)),
        };
        batch.iter().zip(fates).for_each(|((_, found), fate)| report.add(found, fate));
        if !dry_run && let Err(error) = reader.commit() {
            break Err(kafka(error));
        }
        if let Some(error) = feeder.as_ref().and_then(Feeder::gave_up) {
            break Err(CommandError::failed(error));
        }
    };
    println!("{report}");
    result?;
    let is_whole = reader.left() == 0;
    if !is_whole {
        println!("stopped: {} letters at most are left for next time", reader.left());
    }
    Ok(is_whole && report.count(Fate::Failed) + report.count(Fate::RefusedAgain) == 0)
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
