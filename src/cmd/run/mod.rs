//! `tailsieve run`: a member of the consumer group as a process of its own.
//!
//! Owns what surrounds the member: files, logs, the admin pages, signals and the exit code.

mod topics;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::{self, PolicyFile, Settings, Surroundings};
use crate::member::app::{Member, MemberSettings, Readiness, StartError};
use crate::member::reload::{self, Answer, ReloadSettings, Reloader};
use crate::member::watchdog;
use crate::member::worker::{Annotations, PoliciesInForce};
use crate::sampling::policy;
use crate::telemetry::admin::{self, AdminError, Check, Pages, PolicyPages};
use crate::telemetry::books::Books;
use crate::telemetry::logs::{self, LogFormat, TelemetryError};
use crate::telemetry::memory::Memory;

use topics::Checked;
pub use topics::TopicsError;

/// What a process ends with whose files or arguments are wrong, as clap does.
pub const EXIT_USAGE: u8 = 2;

/// What a process ends with that was ended before everything was handed over: by a second signal,
/// or because `shutdown_timeout` was over.
pub const EXIT_FORCED: u8 = 3;

/// What a process ends with one of whose workers hangs, which only a defect can cause: its
/// partitions go to others.
pub const EXIT_STUCK: u8 = 4;

/// How long after `shutdown_timeout` the process may still take before it ends by force.
const LAST_SECONDS: Duration = Duration::from_secs(5);

/// How often it is looked at whether the member is ready, for the log.
const READINESS_INTERVAL: Duration = Duration::from_millis(500);

/// Run a member of the consumer group.
#[derive(Clone, Debug, clap::Args)]
pub struct RunArgs {
    /// The static file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Create the topics that are missing: those of the decision log and of dead letters
    #[arg(long)]
    pub create_topics: bool,
}

/// Why the member does not run.
#[derive(Debug, Error)]
pub enum RunError {
    /// The files are wrong.
    #[error(transparent)]
    Config(#[from] config::Errors),
    /// Logs cannot be set up.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The metrics recorder cannot be installed.
    #[error("metrics cannot be set up: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    /// The policies cannot be compiled.
    #[error(transparent)]
    Policies(#[from] policy::CompileError),
    /// The admin pages cannot be served.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// A topic is not as it has to be.
    #[error(transparent)]
    Topics(#[from] TopicsError),
    /// A part cannot be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The system refuses threads or signal handlers.
    #[error("the system refuses: {0}")]
    System(#[from] std::io::Error),
}

impl RunError {
    /// The exit code: 2 if files have to be mended, 1 otherwise.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_)
            | Self::Policies(_)
            | Self::Topics(_)
            | Self::Telemetry(TelemetryError::Filter { .. }) => ExitCode::from(EXIT_USAGE),
            _ => ExitCode::FAILURE,
        }
    }
}

/// Runs until SIGTERM or SIGINT, then hands everything over. `log_format` and `log` win over
/// what the file says.
///
/// # Errors
/// When it cannot be started; Kafka or a backend out of reach is not an error.
pub fn run(args: &RunArgs, log_format: LogFormat, log: Option<&str>) -> Result<(), RunError> {
    let (settings, policies) = config::load_both(&args.config)?;
    let telemetry = &settings.telemetry;
    let format = if log_format == LogFormat::Auto { telemetry.log_format } else { log_format };
    logs::init(format, log.or(telemetry.log.as_deref()))?;
    let runtime = Builder::new_multi_thread().enable_all().thread_name("tailsieve-io").build()?;
    // Before anything that takes time: process 1 of a container ignores what it does not handle.
    let mut signals = Signals::new(&runtime)?;
    info!(brokers = settings.source.brokers, "topics.checking");
    let (own, create) = (settings.clone(), args.create_topics);
    match signals.unless_before(&runtime, move || topics::check(&own, create)) {
        Ok(checked) => match checked? {
            Checked::Well => {}
            Checked::Unknown => topics::check_when_reachable(settings.clone(), create)?,
        },
        Err(signal) => {
            info!(signal, "member.stopped: before it started");
            runtime.shutdown_background();
            return Ok(());
        }
    }
    serve(&settings, &policies, &runtime, signals)
}

fn serve(
    settings: &Settings,
    file: &PolicyFile,
    runtime: &Runtime,
    mut signals: Signals,
) -> Result<(), RunError> {
    let recorder = admin::install()?;
    let policies = Arc::new(PoliciesInForce::new(reload::in_force(file)?));
    let books = Arc::new(Books::new());
    let memory = Arc::new(Memory::new(settings.max_bytes));
    let listener = runtime.block_on(admin::bind(settings.admin_listen))?;
    info!(
        version = env!("CARGO_PKG_VERSION"),
        brokers = settings.source.brokers,
        topic = settings.source.topic,
        group_id = settings.source.group_id,
        backend = settings.exports[0].target(),
        admin = %settings.admin_listen,
        policies = file.policies.len(),
        policy_hash = file.hash,
        "member.starting"
    );
    for note in &settings.notes {
        info!(note, "config.note");
    }
    for warning in &settings.warnings {
        warn!(warning, "config.warning");
    }
    for note in &file.notes {
        info!(note, "policies.note");
    }
    for warning in &file.warnings {
        warn!(warning, "policies.warning");
    }
    let member_settings = member_settings(settings, file);
    let member = Member::start(
        "tailsieve",
        member_settings,
        Arc::clone(&policies),
        Arc::clone(&books),
        memory,
        runtime.handle(),
    )?;
    watchdog::watch(member.pulses(), || std::process::exit(EXIT_STUCK.into()))?;
    let is_stopping = Arc::new(AtomicBool::new(false));
    let readiness = member.readiness();
    let checks = checks(readiness.clone(), Arc::clone(&is_stopping));
    let stop_pages = CancellationToken::new();
    let reload_settings = ReloadSettings {
        path: settings.policies.clone(),
        surroundings: Surroundings {
            processor: settings.policies_processor.clone(),
            exporters: Some(settings.exporters()),
        },
        poll_interval: settings.policies_poll_interval,
    };
    let reloader = {
        let _context = runtime.enter();
        Reloader::start(reload_settings, file, policies, stop_pages.clone())?
    };
    let (render, standing) = (recorder.clone(), reloader.clone());
    let pages = Pages {
        metrics: Arc::new(move || books.read(|| render.render()) + &standing.standing().metrics()),
        readiness: Arc::clone(&checks),
        notes: Arc::new(move || readiness.routing()),
        policies: Some(policy_pages(reloader)),
    };
    let pages = runtime.spawn(admin::serve(listener, pages, stop_pages.clone()));
    runtime.spawn(recorder.upkeep());
    let watch = runtime.spawn(tell_readiness(checks));

    let name = runtime.block_on(signals.next());
    is_stopping.store(true, Ordering::Relaxed);
    watch.abort();
    info!(signal = name, "member.stopping");
    end_by_force(signals, settings.shutdown_timeout, runtime);
    member.stop(runtime.handle(), settings.shutdown_timeout);
    stop_pages.cancel();
    // The pages are gone or were aborted with the runtime; neither is worth an error.
    let _ = runtime.block_on(pages);
    Ok(())
}

fn policy_pages(reloader: Reloader) -> PolicyPages {
    let (text, json) = (reloader.clone(), reloader.clone());
    PolicyPages {
        text: Arc::new(move || text.standing().text()),
        json: Arc::new(move || json.standing().json()),
        reload: Arc::new(move || {
            let reloader = reloader.clone();
            Box::pin(async move {
                match reloader.reload().await {
                    Some(Answer::Reloaded(changed)) => Ok(format!("reloaded\n{changed}\n")),
                    Some(Answer::Unchanged) => Ok("unchanged\n".to_owned()),
                    Some(Answer::Refused(errors)) => Err(errors),
                    None => Err("the process is about to end".to_owned()),
                }
            })
        }),
    }
}

/// What a member has to know, out of the two files.
pub fn member_settings(settings: &Settings, file: &PolicyFile) -> MemberSettings {
    MemberSettings {
        source: settings.source.clone(),
        consumers: settings.consumers,
        workers: settings.workers,
        queue_bytes: settings.queue_bytes,
        idle_grace: settings.idle_grace,
        decision_log: settings.decision_log.clone(),
        decision_cache_entries: file.decision_cache_entries,
        annotations: Annotations {
            policy: settings.annotate.policy,
            tracestate: settings.annotate.tracestate,
            sample_rate: settings.annotate.sample_rate,
        },
        exports: settings.exports.clone(),
        dead_letter: settings.dead_letter.clone(),
    }
}

type Checks = Arc<dyn Fn() -> Vec<Check> + Send + Sync>;

fn checks(readiness: Readiness, is_stopping: Arc<AtomicBool>) -> Checks {
    Arc::new(move || {
        let running = if is_stopping.load(Ordering::Relaxed) {
            Err("the process is shutting down".to_owned())
        } else {
            Ok(())
        };
        vec![
            Check { name: "kafka", state: readiness.kafka() },
            Check { name: "decision_log", state: readiness.decision_log() },
            Check { name: "backend", state: readiness.backend() },
            Check { name: "running", state: running },
        ]
    })
}

/// Says in the log when the member becomes ready, and what is missing when it is not any more.
async fn tell_readiness(checks: Checks) {
    let mut told = None;
    loop {
        let now = checks();
        let missing: Vec<_> = now.into_iter().filter_map(|check| check.state.err()).collect();
        if told.as_ref() != Some(&missing) {
            match missing.as_slice() {
                [] => info!("member.ready"),
                missing => warn!(missing = missing.join("; "), "member.not_ready"),
            }
            told = Some(missing);
        }
        tokio::time::sleep(READINESS_INTERVAL).await;
    }
}

/// SIGTERM and SIGINT.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes both from now on.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn new(runtime: &Runtime) -> std::io::Result<Self> {
        let _context = runtime.enter();
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// What `work` comes to, which may block; the name of a signal if one comes before that.
    ///
    /// # Errors
    /// The signal. The work goes on then.
    pub fn unless_before<T: Send + 'static>(
        &mut self,
        runtime: &Runtime,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, &'static str> {
        let work = runtime.spawn_blocking(work);
        runtime.block_on(async {
            tokio::select! {
                done = work => match done {
                    Ok(done) => Ok(done),
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                },
                name = self.next() => Err(name),
            }
        })
    }

    /// The name of the next one.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// A second signal, or a stop that hangs, ends the process as it is: whatever is not committed is
/// read again by the next owner.
pub fn end_by_force(mut signals: Signals, timeout: Duration, runtime: &Runtime) {
    runtime.spawn(async move {
        let why = tokio::select! {
            name = signals.next() => name,
            () = tokio::time::sleep(timeout + LAST_SECONDS) => "shutdown_timeout",
        };
        warn!(why, "member.ended_by_force: what is not committed will be read again");
        std::process::exit(EXIT_FORCED.into());
    });
}
