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
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use rdkafka::error::KafkaError;
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};

use crate::cmd::run::{EXIT_USAGE, Signals};
use crate::config::{self, Settings};
use crate::kafka::dead_letters::DeadLetterSettings;
use crate::telemetry::logs::{self, LogFormat, TelemetryError};

use feeder::Feeder;
use found::{Course, Found, Place, Wanted};
use reader::{Limits, Reader};
use report::{Fate, Report};

pub use feeder::FeedError;

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

/// Why letters are not fed back.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The file is wrong.
    #[error(transparent)]
    Config(#[from] config::Diagnostics),
    /// There are no letters in this configuration.
    #[error("{0} has no section `dead_letter`: add it, with the topic that letters are on")]
    NoDeadLetters(String),
    /// Letters would be fed back to where they are.
    #[error("--to names the dead-letter topic itself ({0}): name the one that members read")]
    Circle(String),
    /// A topic is not there.
    #[error("the topic {topic} does not exist ({from}): create it, or name another one")]
    NoTopic {
        /// The topic.
        topic: String,
        /// What names it.
        from: &'static str,
    },
    /// Logs cannot be set up.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// Kafka does not answer, or refuses.
    #[error("Kafka at {brokers}: {error}; offsets were committed of what was fed back before")]
    Kafka {
        /// `kafka.brokers`.
        brokers: String,
        /// Why.
        error: KafkaError,
    },
    /// A batch is not settled.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// The system refuses threads or signal handlers.
    #[error("the system refuses: {0}")]
    System(#[from] std::io::Error),
}

impl ReplayError {
    /// The exit code: 2 if files or arguments have to be mended, 1 otherwise.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_)
            | Self::NoDeadLetters(_)
            | Self::Circle(_)
            | Self::NoTopic { .. }
            | Self::Telemetry(TelemetryError::Filter { .. }) => ExitCode::from(EXIT_USAGE),
            _ => ExitCode::FAILURE,
        }
    }
}

/// Feeds letters back until the end that their topic has now, or a signal. True if all that was
/// asked for is fed back.
///
/// # Errors
/// When it cannot go on. What was settled until then is committed.
pub fn run(
    args: &ReplayDeadLettersArgs,
    log_format: LogFormat,
    log: Option<&str>,
) -> Result<bool, ReplayError> {
    let settings = config::load(&args.config)?;
    // The report is what is looked at: only what is wrong is logged, unless more is asked for.
    logs::init(log_format, log.or(Some("warn")))?;
    let Some(dead_letter) = &settings.dead_letter else {
        return Err(ReplayError::NoDeadLetters(args.config.display().to_string()));
    };
    let wanted = Wanted {
        since: args.since,
        reasons: args.reasons.clone(),
        to: args.to.clone(),
        input: settings.source.topic.clone(),
        exporters: settings.exporters(),
    };
    if wanted.target() == dead_letter.topic {
        return Err(ReplayError::Circle(dead_letter.topic.clone()));
    }
    let runtime = Builder::new_multi_thread().enable_all().thread_name("tailsieve-io").build()?;
    let stop = stop_on_signal(&runtime)?;
    replay(&settings, dead_letter, &wanted, args.dry_run, &runtime, &|| {
        stop.load(Ordering::Relaxed)
    })
}

/// The first signal asks to stop after the batch that is under way; the second ends the process.
fn stop_on_signal(runtime: &Runtime) -> Result<Arc<AtomicBool>, ReplayError> {
    let mut signals = Signals::new(runtime)?;
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    runtime.spawn(async move {
        let name = signals.next().await;
        told.store(true, Ordering::Relaxed);
        eprintln!("{name}: stops after the letters under way; once more to end at once");
        signals.next().await;
        std::process::exit(1);
    });
    Ok(stop)
}

fn replay(
    settings: &Settings,
    dead_letter: &DeadLetterSettings,
    wanted: &Wanted,
    dry_run: bool,
    runtime: &Runtime,
    stop: &dyn Fn() -> bool,
) -> Result<bool, ReplayError> {
    let source = &settings.source;
    let kafka = |error| ReplayError::Kafka { brokers: source.brokers.clone(), error };
    let partitions = |topic: &str, from| {
        let no_topic = || ReplayError::NoTopic { topic: topic.to_owned(), from };
        reader::partitions(source, topic).map_err(kafka)?.ok_or_else(no_topic)
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
                    let new = Feeder::start(settings, dead_letter, wanted, target, runtime, stop)?;
                    feeder.insert(new).feed(&batch)
                }
            }
        };
        let fates: Vec<Fate> = match fates {
            Ok(fates) => fates,
            Err(error) => break Err(error.into()),
        };
        batch.iter().zip(fates).for_each(|((_, found), fate)| report.add(found, fate));
        if !dry_run && let Err(error) = reader.commit() {
            break Err(kafka(error));
        }
        if let Some(error) = feeder.as_ref().and_then(Feeder::gave_up) {
            break Err(error.into());
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
