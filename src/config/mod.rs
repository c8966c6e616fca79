//! The files of a member: the static file and the policy file, from YAML to checked settings.
//!
//! Promises that whoever gets settings gets checked ones, and that whoever gets errors gets all
//! of them at once, each with its place, an excerpt, what was expected and what to do. Secrets
//! show neither in errors nor in `Debug`. Leaves what the settings mean to the modules they are
//! for.

mod admin;
mod check;
mod diagnostics;
mod document;
mod export;
mod files;
mod kafka;
mod lint;
mod locate;
mod policies;
pub mod policy_tests;
mod retrieval;
pub mod schema;
mod sections;
mod shown;

use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::export::ExportSettings;
use crate::kafka::dead_letters::DeadLetterSettings;
use crate::kafka::decision_log::DecisionLogSettings;
use crate::kafka::source::SourceSettings;
use crate::options::{self, boolean, choice, options, scalar, values};
use crate::retrieval::RetrievalSettings;
use crate::sampling::policy::ReopenSpec;
use crate::sampling::policy::spec::PolicySpec;
use crate::telemetry::admin::AdminSettings;
use crate::telemetry::logs::LogFormat;

use document::Document;

pub use check::{Checked, Kind, check, check_sent};
pub use diagnostics::{Diagnostics, Finding};
pub use files::read as read_file;
pub use shown::shown;

/// The static file, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Section `kafka`, as the source needs it.
    pub source: SourceSettings,
    /// `kafka.consumers`: consumers in this process.
    pub consumers: usize,
    /// `kafka.idle_grace`: how far behind the wall clock the clock of a quiet partition stays.
    pub idle_grace: Duration,
    /// `buffer.workers`: worker threads; never 0.
    pub workers: usize,
    /// `buffer.max_bytes`: the bound on open traces, in bytes.
    pub max_bytes: u64,
    /// `buffer.queue_bytes`: bytes of records that may wait for the workers.
    pub queue_bytes: usize,
    /// Section `decision_log`; `None` if it is switched off.
    pub decision_log: Option<DecisionLogSettings>,
    /// Section `export`, or `exporters` in the order of the file; never empty.
    pub exports: Vec<ExportSettings>,
    /// Section `dead_letter`.
    pub dead_letter: Option<DeadLetterSettings>,
    /// Section `annotate`.
    pub annotate: Annotate,
    /// Section `admin`.
    pub admin: AdminSettings,
    /// Section `retrieval`; `None` unless traces are served.
    pub retrieval: Option<RetrievalSettings>,
    /// Section `telemetry`.
    pub telemetry: TelemetrySettings,
    /// `shutdown_timeout`: how long an orderly stop may take.
    pub shutdown_timeout: Duration,
    /// `policies`: the policy file.
    pub policies: PathBuf,
    /// `policies_processor`: which processor of it, if it is a Collector configuration with several.
    pub policies_processor: Option<String>,
    /// `policies_poll_interval`: how often its contents are looked at.
    pub policies_poll_interval: Duration,
    /// What was read and has no meaning here: place and message, a line each.
    pub notes: Vec<String>,
    /// What was read well and is probably not meant: place, message and what to do, a line each.
    pub warnings: Vec<String>,
}

impl Settings {
    /// The names of the exporters, in the order of the file.
    pub fn exporters(&self) -> Vec<String> {
        self.exports.iter().map(|export| export.name.clone()).collect()
    }
}

options! {
    /// What is written on kept spans.
    pub struct Annotate {
        /// The attribute tailsieve.policy: the policy that kept the trace.
        policy: bool = boolean().or("true"),
        /// `ot=th:` in the W3C tracestate: the sampling threshold.
        tracestate: bool = boolean().or("true"),
        /// The integer attribute SampleRate: how many traces this one stands for.
        sample_rate: bool = boolean().or("true"),
    }
}

options! {
    /// How the process logs.
    pub struct TelemetrySettings {
        /// A level, or filters such as info,tailsieve::kafka::source=debug; info by default. The
        /// flag --log and the environment variable TAILSIEVE_LOG win.
        log: Option<String> = sections::log_filter().optional(),
        /// How log lines look. The flag --log-format wins, unless it is auto.
        log_format: LogFormat = choice().or("auto"),
    }
}

/// The policy file, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyFile {
    /// From a trace's first span to its decision.
    pub decision_wait: Duration,
    /// From its root span to its decision, if that is sooner.
    pub decision_wait_after_root_received: Duration,
    /// Number of spans at which a trace is decided at once.
    pub maximum_trace_spans: u32,
    /// Wire bytes at which a trace is decided at once.
    pub maximum_trace_size: u64,
    /// How long a decision is remembered for late spans.
    pub decision_cache_ttl: Duration,
    /// How many decisions are remembered.
    pub decision_cache_entries: u64,
    /// Which late spans re-open a dropped trace, if any do.
    pub reopen: Option<ReopenSpec>,
    /// The policies, in order; never empty.
    pub policies: Vec<PolicySpec>,
    /// Options of the Collector that were read and have no meaning here.
    pub notes: Vec<String>,
    /// What was read well and is probably not meant: place, message and what to do, a line each.
    pub warnings: Vec<String>,
    /// Names the contents of the file.
    pub hash: String,
}

impl Default for PolicyFile {
    /// The defaults of all options, and no policies.
    fn default() -> Self {
        let mut file = Self {
            decision_wait: Duration::ZERO,
            decision_wait_after_root_received: Duration::ZERO,
            maximum_trace_spans: 0,
            maximum_trace_size: 0,
            decision_cache_ttl: Duration::ZERO,
            decision_cache_entries: 0,
            reopen: None,
            policies: Vec::new(),
            notes: Vec::new(),
            warnings: Vec::new(),
            hash: String::new(),
        };
        options::defaults::<policies::FileOptions>().enter(&mut file);
        file
    }
}

/// Reads the static file.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(path: &Path) -> Result<Settings, Diagnostics> {
    static_file(&Document::parse(&name(path), &text(path)?)?, folder(path))
}

/// Reads the static file and the policy file that it names.
///
/// # Errors
/// Everything that is wrong with both of them.
pub fn load_both(path: &Path) -> Result<(Settings, PolicyFile), Errors> {
    let document = Document::parse(&name(path), &text(path)?)?;
    let policies = sections::policies_path(&document, folder(path));
    let settings = static_file(&document, folder(path));
    // As long as it is not known which exporters there are, no policy can name a wrong one.
    let exporters = settings.as_ref().ok().map(Settings::exporters);
    let decision_log = settings.as_ref().ok().map(|settings| settings.decision_log.is_some());
    let policies = policies.map(|(path, processor)| {
        let surroundings = Surroundings { processor, exporters, decision_log };
        parse_policies_in(&name(&path), &text(&path)?, &surroundings)
    });
    match (settings, policies) {
        (Ok(settings), Some(Ok(policies))) => Ok((settings, policies)),
        (settings, policies) => {
            Err(Errors(settings.err().into_iter().chain(policies.and_then(Result::err)).collect()))
        }
    }
}

fn static_file(document: &Document, folder: &Path) -> Result<Settings, Diagnostics> {
    let sections::Reading { settings, errors, warnings, notes } =
        sections::settings(document, folder);
    let errors = document.all_problems(errors);
    if !errors.is_empty() {
        return Err(document.diagnostics(errors));
    }
    let warnings = document.diagnostics(warnings).lines();
    let notes = document.diagnostics(notes).lines();
    Ok(Settings { notes, warnings, ..settings })
}

/// What is wrong with several files.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", .0.iter().map(Diagnostics::to_string).collect::<Vec<_>>().join("\n\n"))]
pub struct Errors(Vec<Diagnostics>);

impl From<Diagnostics> for Errors {
    fn from(diagnostics: Diagnostics) -> Self {
        Self(vec![diagnostics])
    }
}

/// Reads a policy file: tailsieve's own, a `tail_sampling` block, or the first processor of that
/// type in a Collector configuration.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load_policies(path: &Path) -> Result<PolicyFile, Diagnostics> {
    load_policies_of(path, None)
}

/// Reads a policy file; `processor` is the one that is meant in a Collector configuration, for
/// example `tail_sampling/shop`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load_policies_of(path: &Path, processor: Option<&str>) -> Result<PolicyFile, Diagnostics> {
    parse_policies_of(&name(path), &text(path)?, processor)
}

/// Reads the text of a policy file; `name` is what errors call it.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse_policies(name: &str, text: &str) -> Result<PolicyFile, Diagnostics> {
    parse_policies_of(name, text, None)
}

/// Reads the text of a policy file, as [`load_policies_of`] does.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse_policies_of(
    name: &str,
    text: &str,
    processor: Option<&str>,
) -> Result<PolicyFile, Diagnostics> {
    let processor = processor.map(str::to_owned);
    parse_policies_in(name, text, &Surroundings { processor, ..Surroundings::default() })
}

/// What is known around a policy file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Which processor is meant, if it is a Collector configuration with several.
    pub processor: Option<String>,
    /// The names of the exporters of the static file, if they are known: those that policies may
    /// name.
    pub exporters: Option<Vec<String>>,
    /// Whether the static file has a decision log, if that is known.
    pub decision_log: Option<bool>,
}

/// Reads the text of a policy file that stands beside a static file.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse_policies_in(
    name: &str,
    text: &str,
    surroundings: &Surroundings,
) -> Result<PolicyFile, Diagnostics> {
    let locate::Located { mut document, found } = locate::parse(name, text)?;
    if check::is_foreign(&document.root) {
        return Err(check::unknown(&document));
    }
    let reading = policies::read(&mut document, found.as_ref(), surroundings);
    if reading.errors.is_empty() {
        Ok(reading.file)
    } else {
        Err(document.diagnostics(reading.errors))
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

fn text(path: &Path) -> Result<String, Diagnostics> {
    let unreadable = |error| Diagnostics::of_file(&name(path), format!("cannot be read: {error}"));
    files::read(path).map_err(unreadable)
}

#[cfg(test)]
mod mutations;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
