//! What surrounds the work of a command in its process, once for all of them.
//!
//! Owns logs, the runtime of tokio, signals, the metrics recorder, the admin pages, standard output,
//! and exit codes.
//! Promises that signals are taken before anything that takes time (process 1 of a container ignores
//! what it does not handle), and that a second signal, or a stop that hangs, ends the process.
//! Leaves to the commands what is started, and in which order it is stopped.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use metrics_exporter_prometheus::BuildError;
use thiserror::Error;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use tracing_subscriber::EnvFilter;

use crate::config::{Diagnostics, Errors};
use crate::member::app::StartError;
use crate::otel::Otel;
use crate::retrieval::server::ServerError;
use crate::sampling::policy::CompileError;
use crate::telemetry::admin::{AdminError, AdminServer, AdminSettings, Check, Pages};
use crate::telemetry::logs::{self, LogFormat, OwnLayer, TelemetryError};
use crate::telemetry::metrics::{self, Recorder, table};

/// The exit code when files or arguments are wrong: that of clap.
const EXIT_USAGE: u8 = 2;

/// The exit code when a second signal, or the end of `shutdown_timeout`, ends the process before
/// everything was handed over.
pub const EXIT_FORCED: u8 = 3;

/// The exit code when a worker hangs, which only a defect can cause. Other members get its
/// partitions.
pub const EXIT_STUCK: u8 = 4;

/// How long after `shutdown_timeout` the process may still take before it ends by force.
const LAST_SECONDS: Duration = Duration::from_secs(5);

/// Why a command fails.
#[derive(Debug, Error)]
pub enum CommandError {
    /// A file is wrong.
    #[error(transparent)]
    File(#[from] Diagnostics),
    /// Files are wrong.
    #[error(transparent)]
    Files(#[from] Errors),
    /// The policies cannot be compiled.
    #[error(transparent)]
    Policies(#[from] CompileError),
    /// Logs cannot be set up.
    #[error(transparent)]
    Logs(#[from] TelemetryError),
    /// The metrics recorder cannot be installed.
    #[error("metrics cannot be set up: {0}")]
    Metrics(#[from] BuildError),
    /// The admin pages cannot be served.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// Traces cannot be served.
    #[error(transparent)]
    Retrieval(#[from] ServerError),
    /// A member cannot be started.
    #[error(transparent)]
    Member(#[from] StartError),
    /// Something else that the user has to fix: an argument, a topic.
    #[error("{0}")]
    Usage(String),
    /// Something else.
    #[error("{0}")]
    Failed(String),
    /// The system refuses threads, sockets, signal handlers, or to write.
    #[error("the system refuses: {0}")]
    System(#[from] io::Error),
}

impl CommandError {
    /// An error of one command that the user has to fix.
    pub fn usage(error: impl Display) -> Self {
        Self::Usage(error.to_string())
    }

    /// An error of one command that no file or argument fixes.
    pub fn failed(error: impl Display) -> Self {
        Self::Failed(error.to_string())
    }

    /// The exit code: 2 if the user has to fix something, 1 otherwise.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::File(_)
            | Self::Files(_)
            | Self::Policies(_)
            | Self::Logs(TelemetryError::Filter { .. })
            | Self::Usage(_) => ExitCode::from(EXIT_USAGE),
            Self::Logs(TelemetryError::Init(_))
            | Self::Metrics(_)
            | Self::Admin(_)
            | Self::Retrieval(_)
            | Self::Member(_)
            | Self::Failed(_)
            | Self::System(_) => ExitCode::FAILURE,
        }
    }
}

/// How a command prints what it found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Prints to standard output.
///
/// # Errors
/// When it cannot be written.
pub fn print(text: &str) -> Result<(), CommandError> {
    seen_enough(io::stdout().write_all(text.as_bytes()).map_err(Into::into))
}

/// How many records that cannot be read are named.
const MOST_NAMED: u64 = 10;

/// Names a record that cannot be read on standard error, unless there are many. It is the one with
/// this `number`, counted from 1.
pub fn name_unread(number: u64, record: impl Display) {
    match number {
        ..=MOST_NAMED => eprintln!("warning: {record}"),
        number if number == MOST_NAMED + 1 => {
            eprintln!("warning: more records cannot be read; they are counted");
        }
        _ => {}
    }
}

/// Takes it for success that the reader of standard output has left: they have seen enough.
///
/// # Errors
/// All others.
pub fn seen_enough(result: Result<(), CommandError>) -> Result<(), CommandError> {
    match result {
        Err(CommandError::System(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// What the command line says of logs.
#[derive(Clone, Debug, clap::Args)]
pub struct LogOptions {
    /// How log lines look
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Auto)]
    log_format: LogFormat,
    /// What is logged: a level, or filters such as `info,tailsieve::kafka::source=debug`
    #[arg(long, global = true, value_name = "FILTER", env = "TAILSIEVE_LOG")]
    log: Option<String>,
}

impl LogOptions {
    /// Sets logs up, with `format` and `filter` where the command line says nothing.
    ///
    /// # Errors
    /// When the filter cannot be read.
    pub fn init(&self, format: LogFormat, filter: Option<&str>) -> Result<(), CommandError> {
        self.init_with(format, filter, |_| None)
    }

    /// The same, with what `own` makes of the filter.
    ///
    /// # Errors
    /// When the filter cannot be read.
    pub fn init_with(
        &self,
        format: LogFormat,
        filter: Option<&str>,
        own: impl FnOnce(EnvFilter) -> Option<OwnLayer>,
    ) -> Result<(), CommandError> {
        let format = if self.log_format == LogFormat::Auto { format } else { self.log_format };
        Ok(logs::init(format, self.log.as_deref().or(filter), own)?)
    }
}

/// The runtime for everything that waits for others: exporters, admin pages, signals.
///
/// # Errors
/// When the system refuses threads.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().thread_name("tailsieve-io").build()
}

/// Waits for `future` on a runtime of its own, in a command that does nothing else meanwhile.
///
/// # Errors
/// When the system refuses it.
pub fn wait_for<T>(future: impl Future<Output = T>) -> io::Result<T> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(future);
    // A name is looked up on a thread of the runtime, which may take longer than the time given.
    runtime.shutdown_background();
    Ok(result)
}

/// A process that works until it is told to stop.
pub struct Process {
    runtime: Runtime,
    signals: Signals,
    is_stopping: Arc<AtomicBool>,
    ended: CancellationToken,
    otel: Option<Arc<Otel>>,
}

/// What is needed for the admin pages before there is anything to show.
pub struct Admin {
    /// All metrics that are made from now on.
    pub recorder: Recorder,
    server: AdminServer,
}

impl Process {
    /// Takes SIGTERM and SIGINT from now on.
    ///
    /// # Errors
    /// When the system refuses threads or signal handlers.
    pub fn start() -> io::Result<Self> {
        let runtime = runtime()?;
        let signals = Signals::new(&runtime)?;
        let (is_stopping, ended) = (Arc::default(), CancellationToken::new());
        Ok(Self { runtime, signals, is_stopping, ended, otel: None })
    }

    /// Its metrics are sent too, if there is `otel`.
    pub fn with_otel(self, otel: Option<Arc<Otel>>) -> Self {
        Self { otel, ..self }
    }

    /// Its runtime.
    pub fn runtime(&self) -> &Handle {
        self.runtime.handle()
    }

    /// Called off once everything is handed over.
    pub fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }

    /// The result of `work`, which may block.
    ///
    /// # Errors
    /// The name of a signal that came first. The work goes on then, and its result is dropped.
    pub fn unless_stopped<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, &'static str> {
        let (done, result) = oneshot::channel();
        // Not one of the runtime's: the end would wait for it.
        thread::spawn(move || done.send(work()));
        self.runtime.block_on(async {
            tokio::select! {
                result = result => Ok(result.expect("the work does not panic")),
                name = self.signals.next() => Err(name),
            }
        })
    }

    /// Installs the metrics recorder, which sees only metrics that are made after it, and listens
    /// for the admin pages.
    ///
    /// # Errors
    /// When the address cannot be listened on, or the token cannot be read.
    pub fn admin(&self, settings: &AdminSettings) -> Result<Admin, CommandError> {
        let recorder = metrics::install()?;
        let server = self.runtime.block_on(AdminServer::bind(settings.clone()))?;
        Ok(Admin { recorder, server })
    }

    /// Serves the admin pages until the end. The process is not ready any more once it is told to
    /// stop.
    pub fn serve(&self, Admin { recorder, server }: Admin, mut pages: Pages) -> JoinHandle<()> {
        let (checks, is_stopping) = (pages.readiness, Arc::clone(&self.is_stopping));
        pages.readiness = Arc::new(move || {
            let is_stopping = is_stopping.load(Ordering::Relaxed);
            let state =
                if is_stopping { Err("the process is shutting down".into()) } else { Ok(()) };
            let mut checks = checks();
            checks.push(Check { name: "running", state });
            checks
        });
        let (render, readiness) = (pages.metrics, Arc::clone(&pages.readiness));
        pages.metrics = Arc::new(move || {
            for Check { name, state } in readiness() {
                table::READY.with(&[name]).set(f64::from(state.is_ok()));
            }
            render()
        });
        self.otel.iter().for_each(|otel| otel.observe(Arc::clone(&pages.metrics)));
        self.runtime.spawn(recorder.upkeep());
        self.runtime.spawn(server.serve(pages, self.ended()))
    }

    /// Waits for a signal, whose name `stop` is given to hand everything over, then ends what
    /// serves the `pages`. If that takes longer than `timeout` and some seconds, or a second signal
    /// comes, the process ends as it is: whatever is not committed is read again by the next owner.
    pub fn stop_when_told(
        mut self,
        pages: JoinHandle<()>,
        timeout: Duration,
        stop: impl FnOnce(&'static str),
    ) {
        let name = self.runtime.block_on(self.signals.next());
        self.is_stopping.store(true, Ordering::Relaxed);
        let mut signals = self.signals;
        self.runtime.spawn(async move {
            let why = tokio::select! {
                name = signals.next() => name,
                () = tokio::time::sleep(timeout + LAST_SECONDS) => "shutdown_timeout",
            };
            warn!(why, "member.ended_by_force: what is not committed will be read again");
            std::process::exit(EXIT_FORCED.into());
        });
        stop(name);
        self.ended.cancel();
        // The pages are gone or were aborted with the runtime; neither is worth an error.
        let _ = self.runtime.block_on(pages);
    }

    /// A flag that the first signal sets, for work that looks at it; the second ends the process.
    pub fn stop_flag(self) -> (Runtime, Arc<AtomicBool>) {
        self.stop_flag_told(|name| {
            eprintln!("{name}: stops after what is under way; once more to end at once");
        })
    }

    /// As [`stop_flag`](Self::stop_flag), with what is said about the first signal left to `tell`.
    pub fn stop_flag_told(
        self,
        tell: impl FnOnce(&'static str) + Send + 'static,
    ) -> (Runtime, Arc<AtomicBool>) {
        let Self { runtime, mut signals, is_stopping, .. } = self;
        let stop = Arc::clone(&is_stopping);
        runtime.spawn(async move {
            let name = signals.next().await;
            stop.store(true, Ordering::Relaxed);
            tell(name);
            signals.next().await;
            std::process::exit(1);
        });
        (runtime, is_stopping)
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new(runtime: &Runtime) -> io::Result<Self> {
        let _context = runtime.enter();
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The name of the next one.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
