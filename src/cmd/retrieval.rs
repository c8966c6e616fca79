//! `tailsieve retrieval`: the server of dropped traces as a process of its own.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use tracing::info;

use super::own_telemetry::OwnTelemetry;
use super::process::{CommandError, LogOptions, Process};
use crate::config;
use crate::retrieval::server::RetrievalServer;
use crate::telemetry::admin::Pages;

/// Serve dropped traces to Tempo and Jaeger, without being a member of the group.
///
/// It reads the decision log and the input topic, and commits nothing. `run` serves them, too, where
/// the static file says so (retrieval.listen).
#[derive(Clone, Debug, clap::Args)]
pub struct RetrievalArgs {
    /// The static file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot be started; Kafka out of reach is not an error.
pub fn run(args: &RetrievalArgs, logs: &LogOptions) -> Result<ExitCode, CommandError> {
    let settings = config::load(&args.config)?;
    let Some(retrieval) = settings.retrieval else {
        return Err(CommandError::usage(format_args!(
            "{} does not say where traces are served: set retrieval.listen, such as 127.0.0.1:9465",
            args.config.display()
        )));
    };
    let lines = (settings.telemetry.log_format, settings.telemetry.log.as_deref());
    let own = OwnTelemetry::start(logs, lines, None)?;
    let process = Process::start()?.with_otel(own.otel());
    let admin = process.admin(&settings.admin)?;
    info!(brokers = settings.source.brokers, admin = %settings.admin.listen, "retrieval.starting");
    let server = process.runtime().block_on(RetrievalServer::bind(retrieval))?;
    process.runtime().spawn(server.serve(process.ended()));
    let render = admin.recorder.clone();
    let pages = Pages {
        metrics: Arc::new(move || render.render()),
        readiness: Arc::new(Vec::new),
        notes: Arc::new(Vec::new),
        policies: None,
        status: None,
    };
    let pages = process.serve(admin, pages);
    process.stop_when_told(pages, settings.shutdown_timeout, |signal| {
        info!(signal, "retrieval.stopping");
    });
    Ok(ExitCode::SUCCESS)
}
